"""Ids of what failed, so that two runs can be seen to break on the same thing.

An id is the same for the same failure in every run and in every work tree of a repository, and it is fit to
be printed: no line number, duration, address or absolute path is in it, no colour, control character or bidi
mark.

Ids come from a JUnit XML report, else from what the check printed, by the rows of `recognisers.py`. Where nothing
is recognised there are none, and the check as a whole is what failed: a missing id costs a coarser answer, a wrong
one makes somebody wait for the wrong fix.
"""

from __future__ import annotations

import os
import re
import stat
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from buildguard.checks.recognisers import FAR, RECOGNISERS, Recogniser

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MAX_IDS: Final = 200
"""How many ids a run has at most: the first ones in order, so that two runs keep the same."""
MAX_ID_LENGTH: Final = 300
"""How many characters an id has at most; a longer one is cut and ends in a checksum of the whole."""
MAX_OUTPUT: Final = 1 << 20
"""How many bytes of a check's output are read, from its end."""
MAX_REPORT: Final = 32 << 20
"""How many bytes a JUnit report may have; a larger one is not read."""

_MAY_BE_CUT: Final = 1 << 16  # bytes: a tail this long may start inside a line, whose rest names the wrong file
_MAX_LINES: Final = 50_000
_MAX_LINE: Final = 2000  # characters
_CLOCK_GRAIN: Final = 0.02  # seconds: a file is stamped with the last tick, up to 10 ms before time.time()

_COLOUR: Final = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\r\n]*(?:\x07|\x1b\\)?|[ -/]*[0-Z\\^-~])"
_TEMPORARY: Final = r"(?<![\w.…/-])(?:/private)?/(?:tmp|var/tmp|var/folders|dev/shm)/[^\s'\"`,;:()\[\]]*"

_OF_PYTEST: Final = re.compile(
    r"(?P<section>=+ (?:ERRORS|X?FAILURES|X?PASSES|warnings summary(?: \(final\))?) =+$)"
    r"|(?P<part>_+ (?!summary )\S.* _+$|-+ Captured \w+ \w+ -+$)|(?P<summary>=+ short test summary info =+$)"
    r"|(?P<end>(?:=+ )?(?:no tests|\d+ (?:(?:x?fail|x?pass|skipp|deselect)ed|errors?|warnings?|subtests|rerun)\b).*"
    r" in [\d.]+s(?: \([\w:, ]{1,40}\))?(?: =+)?$)"
)
_SUMMARY: Final = ("FAILED ", "ERROR ", "SUBFAIL", "[", "(")  # how a line begins that pytest's summary has


def failure_ids(
    output: bytes, junit: Path | None = None, not_before: float | None = None, root: Path | None = None
) -> tuple[str, ...]:
    """The ids of what failed, sorted and distinct; none if nothing is recognised. Never raises.

    `output` is the check's output or its end. The report `junit` is preferred to it, if it names a failure
    and was written at `not_before` (seconds since the epoch) or later: an older one tells of another run.
    `root` is the work tree's absolute path.
    """
    ids = _report_ids(junit, not_before, root) if junit is not None else set()
    return tuple(sorted(_leaves(ids or _output_ids(output, root)))[:MAX_IDS])


def _leaves(ids: set[str]) -> Iterator[str]:
    """`ids` less Go's tests whose subtests failed: two failures that differ would share the test around them."""
    ordered = sorted(ids, key=lambda one: one.replace("/", "\0"))  # so that children come next
    for one, following in pairwise([*ordered, ""]):
        if not following.startswith(f"{one}/"):
            yield one


def _output_ids(output: bytes, root: Path | None) -> set[str]:
    lines = _lines(output, root)
    found = {(kind.ids, tuple(fields.items())) for kind in RECOGNISERS for fields in _matches(kind, lines)}
    return {one for templates, fields in found if (one := _filled(templates, dict(fields)))}


def _lines(output: bytes, root: Path | None) -> list[str]:
    """The whole lines, less empty ones, without colour and with the paths in `root` relative to it."""
    text = output[-MAX_OUTPUT:].decode("utf-8", "replace")
    lines = re.split(r"[\r\n]+", _without(root, re.sub(_COLOUR, "", text)))
    whole = lines[1:] if len(output) >= _MAY_BE_CUT else lines
    return _said([line[:_MAX_LINE].rstrip() for line in whole[-_MAX_LINES:]], whole is not lines)


def _said(lines: Iterable[str], cut: bool) -> list[str]:
    """The lines less what pytest shows of tests: source and what they printed, where anything looks like a failure.

    They may have printed another pytest's report, whose end then seems to be the end of what is shown.
    """
    kept: list[str] = []
    shows, kind = False, ""
    shown = 0 if cut else FAR  # where in `kept` that was first; the header may be in what was cut off
    summary = FAR
    for line in lines:
        last, hit = kind, _OF_PYTEST.match(line)
        kind = hit.lastgroup or "" if hit else ""
        if kind == "section":
            if last == "end" and "ERRORS" not in line:  # no run begins without a line of its progress
                del kept[shown:]
            shows, shown = True, min(shown, len(kept))
        elif kind == "summary" or (kind == "part" and shown < FAR):
            if not shows:  # nor did it before, whatever seemed to end it
                del kept[shown:]
            shows, summary = kind == "part", len(kept)
        elif kind == "end":
            # Where $CI is set, the summary has every line of a message.
            kept[summary:] = [one for one in kept[summary:] if one.startswith(_SUMMARY)]
            shows, summary = False, FAR
        if not shows:
            kept.append(line)
    return kept


def _matches(recogniser: Recogniser, lines: list[str]) -> Iterator[dict[str, str]]:
    """The named groups of every failure that `recogniser` sees."""
    line = re.compile(recogniser.line)
    beside = recogniser.above or recogniser.below
    other = re.compile(beside) if beside else None
    under = re.compile(recogniser.under) if recogniser.under else None
    heading: dict[str, str] = {}
    alone: dict[str, str] | None = None if recogniser.above else {}
    context, left = alone, 0
    for text in reversed(lines) if recogniser.below else lines:
        if under and (hit := under.match(text)):
            heading = _groups(hit)
        if hit := line.match(text):
            if context is not None:
                yield heading | context | _groups(hit)
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
            return _presentable(template.format_map(steady))
        except KeyError:
            continue
    return ""


def _steady(name: str, value: str) -> str:
    """The field's value less what differs between two runs or two work trees; nothing for a file that is none."""
    if name == "file":
        return _file(value)
    value = re.sub(r"\b0x[0-9a-fA-F]{6,}\b", "0x…", value)
    value = re.sub(_TEMPORARY, "…", value)
    if name == "message":
        value = re.sub(r"(?<![\w.…/-])/(?:[\w.@+-]+/)+(?=[\w.@+-])", "…/", value)
        value = re.sub(r"(?<![\w.])\d[\w.]*", "N", value)
    return value


def _file(path: str) -> str:
    """`path` within the work tree, or the last part of one that leads elsewhere; nothing if it is no path."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or not ("/" in path or re.search(r"\.[A-Za-z]\w*$", path)):
        return ""
    # What lies outside lies elsewhere from another work tree.
    outside = path.startswith("/") or parts[0] == ".."
    return f"…/{parts[-1]}" if outside else "/".join(parts)


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


class _FailedCases:
    """Is told a report's elements by the XML parser, and keeps the ids of the test cases that failed."""

    def __init__(self, root: Path | None) -> None:
        self.ids: set[str] = set()
        self._root = root
        self._case: dict[str, str] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        match tag.rpartition("}")[2]:
            case "testcase":
                self._case = attributes
            case "failure" | "error" if self._case:
                self.ids.add(self._id(self._case))

    def end(self, tag: str) -> None:
        if tag.rpartition("}")[2] == "testcase":
            self._case = {}

    def _id(self, case: dict[str, str]) -> str:
        given = {name: _without(self._root, value).strip() for name, value in case.items()}
        if given.get("classname") == given.get("name"):
            return _filled(("{name}",), given)
        return _filled(("{classname}::{name}", "{file}::{name}", "{name}"), given)


def _report_ids(report: Path, not_before: float | None, root: Path | None) -> set[str]:
    """The ids of the test cases that failed; none of a report that is stale, too large or no XML."""
    text = _report(report, not_before)
    # No such report needs a DOCTYPE, and the entities it may declare turn a small file into gigabytes.
    if not text or "<!DOCTYPE" in text:
        return set()
    from xml.etree import ElementTree as ET

    cases = _FailedCases(root)
    parser = ET.XMLParser(target=cases)  # noqa: S314 - without a DOCTYPE there are no entities to attack with
    try:
        parser.feed(text)
        parser.close()
    except (ET.ParseError, ValueError):
        return set()
    return cases.ids - {""}


def _report(report: Path, not_before: float | None) -> str:
    """What the report says; nothing if it is none, of an earlier run, or too large."""
    try:
        status = report.stat()
        stale = not_before is not None and status.st_mtime < not_before - _CLOCK_GRAIN
        # Opening a pipe would wait for its writer.
        if stale or not stat.S_ISREG(status.st_mode):
            return ""
        with report.open("rb") as file:
            content = file.read(MAX_REPORT + 1)
    except (OSError, ValueError):
        return ""
    # Decoded here: to the parser the file could name an encoding that hides a DOCTYPE.
    return content.decode("utf-8-sig", "replace") if len(content) <= MAX_REPORT else ""
