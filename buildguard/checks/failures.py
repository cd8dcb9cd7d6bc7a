"""Ids of what failed, so that two runs can be seen to break on the same thing.

An id is the same for the same failure in every run and in every work tree of a repository. It carries its container
(folder, package, crate, module), and is fit to be printed. Ids come from a JUnit XML report, else from what the
check printed, by the rows of `recognisers.py`. Where nothing is recognised there are none: a missing id costs a
coarser answer, a wrong one makes somebody wait for the wrong fix.
"""

from __future__ import annotations

import os
import re
import stat
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from buildguard.checks.recognisers import COULD_NOT_TEST, FOLDER, RECOGNISERS, SECTION, SUMMARY, Recogniser

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MAX_IDS: Final = 200  # the first ones in order, so that two runs keep the same
MAX_ID_LENGTH: Final = 300  # characters; a longer one is cut and ends in a checksum of the whole
MAX_OUTPUT: Final = 1 << 20  # bytes that are read of a check's output, from its end
MAX_REPORT: Final = 16 << 20  # bytes of a JUnit report; a larger one is not read
_MAY_BE_CUT: Final = 1 << 16  # bytes: a tail this long may start inside a line, whose rest names the wrong file
_MAX_LINES: Final = 50_000
_MAX_LINE: Final = 2000  # characters
_CLOCK_GRAIN: Final = 0.02  # seconds: a file is stamped with the last tick, up to 10 ms before time.time()

_COLOUR: Final = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\r\n]*(?:\x07|\x1b\\)?|[ -/]*[0-Z\\^-~])"
_TEMPORARY: Final = r"(?:/private)?/(?:tmp|var/tmp|var/folders/\w+/\w+/T|dev/shm)"


def failure_ids(
    output: bytes, junit: Path | None = None, not_before: float | None = None, root: Path | None = None
) -> tuple[str, ...]:
    """The ids of what failed, sorted and distinct; none if nothing is recognised. Never raises. The report `junit`
    is preferred to the check's `output`, if it names a failure and was written at `not_before` (seconds since the
    epoch) or later: an older one tells of another run. `root` is the work tree's absolute path."""
    ids = _report_ids(junit, not_before, root) if junit is not None else set()
    return tuple(sorted(_leaves(ids or rows(output, root)))[:MAX_IDS])


def could_not_test(output: bytes) -> bool:
    """Whether the last words are pytest's own, and say that it ended without testing and without an error."""
    end = re.sub(_COLOUR, "", output[-_MAX_LINE:].decode("utf-8", "replace"))
    return bool(re.search(COULD_NOT_TEST, end.rstrip()))


def _leaves(ids: Iterable[str]) -> Iterator[str]:
    """`ids` less Go's tests whose subtests failed: two failures that differ would share the test around them."""
    ordered = sorted(ids, key=lambda one: one.replace("/", "\0"))  # so that children come next
    for one, following in pairwise([*ordered, ""]):
        if not following.startswith(f"{one}/"):
            yield one


def rows(output: bytes, root: Path | None = None) -> dict[str, int]:
    """The ids of what the output names, each with the first line of its file that is told; 0 if none is."""
    lines, found, named = list(_placed(_lines(output, root), root)), dict[tuple[Any, ...], int](), dict[str, int]()
    for kind in RECOGNISERS:
        for fields in _matches(kind, lines):
            row = int(fields.pop("row", 0))
            key = kind.ids, *fields.items()
            found[key] = min(found.get(key, row), row)
    for (templates, *groups), row in found.items():
        if one := _filled(templates, dict(groups)):
            named[one] = min(named.get(one, row), row)
    return named


def _lines(output: bytes, root: Path | None) -> list[str]:
    """The whole lines, less empty ones and what pytest shows of tests, without colour, paths in `root` relative."""
    text = output[-MAX_OUTPUT:].decode("utf-8", "replace")
    lines = re.split(r"[\r\n]+", _without(root, re.sub(_COLOUR, "", text)))
    cut = len(output) >= _MAY_BE_CUT
    lines = [line[:_MAX_LINE].rstrip() for line in lines[1 if cut else 0 :][-_MAX_LINES:]]
    # Tests' source and what they print may look like any failure, and like another pytest's summary.
    shown = next((at for at, line in enumerate(lines) if re.match(SECTION, line)), None)
    summary = max((at for at, line in enumerate(lines) if re.match(SUMMARY, line)), default=-1)
    if shown is None:
        return lines[summary:] if cut and summary >= 0 else lines  # the header may be in what was cut off
    return lines[:shown] + (lines[summary:] if summary > shown else [])


def _placed(lines: Iterable[str], root: Path | None) -> Iterator[tuple[str, dict[str, str]]]:
    """Each line with the folder that the tool which printed it works in, as far as it was told."""
    of_folder, place = re.compile(FOLDER), dict[str, str]()
    for line in lines:
        if hit := of_folder.match(line):
            place = _groups(hit)
            # The tool may work for a folder above: all that it names lies there, and each work tree's is another.
            if f"{root}/".startswith(f"{place.get('folder', '?')}/"):
                place = {}
        yield line, place


def _matches(recogniser: Recogniser, lines: list[tuple[str, dict[str, str]]]) -> Iterator[dict[str, str]]:
    """The named groups of every failure that `recogniser` sees, with its place."""
    line = re.compile(recogniser.line)
    beside = recogniser.above or recogniser.below
    other = re.compile(beside) if beside else None
    under = re.compile(recogniser.under) if recogniser.under else None
    heading: dict[str, str] = {}
    alone: dict[str, str] | None = None if recogniser.above else {}
    context, left = alone, 0
    for text, place in reversed(lines) if recogniser.below else lines:
        if under and (hit := under.match(text)):
            heading = _groups(hit)
        if hit := line.match(text):
            if context is not None:
                yield place | heading | context | _groups(hit)
        elif other and (hit := other.match(text)):
            context, left = _groups(hit), recogniser.reach
        elif left:
            left -= 1
        else:
            context = alone


def _groups(hit: re.Match[str]) -> dict[str, str]:
    return {name: value for name, value in hit.groupdict().items() if value}


def _filled(templates: Iterable[str], fields: dict[str, str]) -> str:
    """The first of the templates that `fields` can fill, filled and fit to be printed; nothing if none."""
    steady = {name: kept for name, value in fields.items() if (kept := _steady(name, value))}
    for template in templates:
        try:
            text = template.format_map(steady)
        except KeyError:
            continue
        folder, of = steady.get("folder", ""), steady.get("of", "")
        text = f"{folder}/{text}" if folder and not text.startswith(f"{folder}/") else text
        return _presentable(f"{text} (of {of})" if of else text)
    return ""


def _steady(name: str, value: str) -> str:
    """The field's value less what differs between two runs or two work trees; nothing for a file that is none."""
    if name in ("file", "folder"):
        return _path(value if name == "file" else f"{value}/")
    value = re.sub(r"\b0x[0-9a-fA-F]{6,}\b", "0x…", value)
    value = re.sub(rf"(?<![\w.…/-]){_TEMPORARY}/[^\s'\"`,;:()\[\]]*", "…", value)
    if name == "message":
        value = re.sub(r"(?<![\w.…/-])/(?:[\w.@+-]+/)+(?=[\w.@+-])", "…/", value)
        value = re.sub(r"(?<![\w.])\d[\w.]*", "N", value)
    return value


def _path(path: str) -> str:
    """`path` within the work tree, or the end of one that leads elsewhere; nothing if it is no path."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or not ("/" in path or re.search(r"\.[A-Za-z]\w*$", path)):
        return ""
    if not (path.startswith("/") or parts[0] == ".."):
        return "/".join(parts)
    if hit := re.match(f"{_TEMPORARY}/[^/]*", path):
        # A temporary folder has another name in the next run, and those in it have other numbers.
        *folders, name = path[hit.end() :].split("/")
        parts = [re.sub(r"\d+", "N", folder) for folder in folders if folder] + [name]
    # What lies outside lies elsewhere from another work tree. But a file's mere name is that of many files.
    kept = [part for part in parts if part and part != ".."][-3:]
    return "" if kept in ([], ["__init__.py"]) else "/".join(["…", *kept])


def _without(root: Path | None, text: str) -> str:
    """`text` with the paths in the work tree made relative to it."""
    start = os.fsencode(root).decode("utf-8", "replace").rstrip("/") if root else ""
    if not start.startswith("/") or start not in text:
        return text
    return re.sub(rf"(?<![\w.-]){re.escape(start)}(?:/+|(?![\w.-]))", "", text)


def _presentable(text: str) -> str:
    """`text` in one line of printable characters, of bounded length."""
    kept = "".join(char if char.isprintable() else " " * char.isspace() for char in text)
    kept = " ".join(kept.split())
    if len(kept) <= MAX_ID_LENGTH:
        return kept
    import zlib

    return f"{kept[: MAX_ID_LENGTH - 9]}…{zlib.crc32(kept.encode()):08x}"


def _report_ids(report: Path, not_before: float | None, root: Path | None) -> set[str]:
    """The ids of the test cases that failed; none of a report that is stale, too large or no XML."""
    try:
        status = report.stat()
        stale = not_before is not None and status.st_mtime < not_before - _CLOCK_GRAIN
        # Opening a pipe would wait for its writer.
        if stale or not stat.S_ISREG(status.st_mode) or status.st_size > MAX_REPORT:
            return set()
        cases = _failed_cases(report.read_bytes())
    except (OSError, ValueError, LookupError, SyntaxError):
        return set()
    given = [{name: _without(root, value).strip() for name, value in case.items()} for case in cases]
    return {_case_id(case) for case in given} - {""}


def _failed_cases(content: bytes) -> list[dict[str, str]]:
    """The attributes of the test cases that failed and did not pass when they were tried again, with the file of
    their suite. Raises what the parser raises, and ValueError for a document type: entities may be endless."""
    from xml.etree import ElementTree as ET

    class Builder(ET.TreeBuilder):
        def doctype(self, *_: str | None) -> None:
            raise ValueError("a report has no document type")

    tree = ET.fromstring(content, ET.XMLParser(target=Builder()))  # noqa: S314
    failed: dict[tuple[str | None, ...], dict[str, str]] = {}
    passed = set()
    for suite in (tree, *tree.iterfind(".//{*}testsuite")):
        for case in suite.iterfind("{*}testcase"):
            given = {"file": suite.get("file", "") or suite.get("name", ""), **case.attrib}
            named = (given["file"], given.get("classname"), given.get("name"))
            if case.find("{*}failure") is not None or case.find("{*}error") is not None:
                failed[named] = given
            elif case.find("{*}skipped") is None:
                passed.add(named)
    return [case for named, case in failed.items() if named not in passed]


def _case_id(case: dict[str, str]) -> str:
    # The class names of jest, mocha and node say nothing, and a test's mere name is that of many tests.
    name, of_class = case.get("name", ""), case.get("classname", "")
    if name.endswith(of_class) or of_class == "test":
        case = {key: value for key, value in case.items() if key != "classname"}
    alone = re.fullmatch(r"[\w-]+(?:[./][\w-]+)+", name)
    return _filled(("{classname}::{name}", "{name}" if alone else "{file}::{name}"), case)
