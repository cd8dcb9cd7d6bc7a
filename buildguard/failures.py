"""Ids of what failed, so that two runs can be seen to break on the same thing.

An id is the same for the same failure in every run and in every work tree of a repository, and it is fit to
be printed: no line number, duration, address or absolute path is in it, no colour, control character or bidi
mark.

Ids come from a JUnit XML report, else from what the check printed, by the rows of `RECOGNISERS`: another tool
is another row. Where nothing is recognised there are none, and the check as a whole is what failed: a missing
id costs a coarser answer, a wrong one makes somebody wait for the wrong fix.
"""

from __future__ import annotations

import os
import re
import stat
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

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
_FAR: Final = 1 << 30  # lines

_FILE: Final = r"\s*(?P<file>[^\s:]+?)"
_PLACE: Final = r"(?::\d+(?::\d+)*|\(\d+(?:,\d+)*\))"
_COLOUR: Final = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\r\n]*(?:\x07|\x1b\\)?|[ -/]*[0-Z\\^-~])"
_TEMPORARY: Final = r"(?<![\w.…/-])(?:/private)?/(?:tmp|var/tmp|var/folders|dev/shm)/[^\s'\"`,;:()\[\]]*"
_ARROW: Final = r"\s*--> (?P<file>[^:]+):\d+:\d+$"
# With -q nothing tells the crate: one crate's tests end here, lest its name be put on the tests of another.
_CRATE: Final = r"test result: |\s+(?:Running .*[/\\]|Doc-tests )(?P<crate>\w+)(?:-[0-9a-f]{16}(?:\.exe)?\))?$"
_REMARK: Final = r"(?:\[\*\] )?(?P<message>\S.*)"  # what ruff can mend is marked in some of its formats
_SAID: Final = r"(?:[^`:]|`[^`]*`|`|:(?! ))++"  # up to a colon that is not in code

_OF_PYTEST: Final = re.compile(
    r"(?P<section>=+ (?:ERRORS|X?FAILURES|X?PASSES|warnings summary(?: \(final\))?) =+$)"
    r"|(?P<part>_+ (?!summary )\S.* _+$|-+ Captured \w+ \w+ -+$)|(?P<summary>=+ short test summary info =+$)"
    r"|(?P<end>(?:=+ )?(?:no tests|\d+ (?:(?:x?fail|x?pass|skipp|deselect)ed|errors?|warnings?|subtests|rerun)\b).*"
    r" in [\d.]+s(?: \([\w:, ]{1,40}\))?(?: =+)?$)"
)
_SUMMARY: Final = ("FAILED ", "ERROR ", "SUBFAIL", "[", "(")  # how a line begins that pytest's summary has


class Recogniser(NamedTuple):
    """How one kind of output tells what failed.

    `line` is the pattern of a line that names a failure, matched from the line's start. Its named groups fill
    the first of the templates `ids` for which there are enough. More groups come from another line: the
    nearest one before that matches `above` (without one, `line` names nothing) or the nearest one after that
    matches `below` (without one, they are missing), where at most `reach` other lines stand between.
    The nearest line before that matches `under`, however far, adds its groups, where there is such a line.

    Positions and absolute paths go out of the groups `file` and `message`; a `file` that does not look like
    one counts as missing. Every pattern must be linear in its line, since anything may stand in an output.
    """

    name: str
    line: str
    ids: tuple[str, ...] = ("{file} {code}: {message}", "{file}: {message}")
    above: str | None = None
    below: str | None = None
    reach: int = 0
    under: str | None = None


RECOGNISERS: Final = (
    Recogniser(
        "pytest's short summary",
        # What a subtest is of stays out: pytest-xdist prints `i='1'` where pytest prints `i=1`.
        r"(?:FAILED |ERROR |SUBFAIL |(?>SUBFAILED[\[(].*?[\])] (?=[^\s:\[]+\.\w+::))|(?>[\[(].*?[\])] SUBFAIL ))"
        r"(?P<test>[^\s:\[]+(?:\.py(?= - |$)|\.\w+::[^\[]*?(?:\[.*?\])?(?= - |$)))",
        ("{test}",),
    ),
    Recogniser("unittest", r"(?:FAIL|ERROR): (?P<test>[\w.]+ \([\w.]+\)(?: .*)?)$", ("{test}",)),
    Recogniser(
        "go test",
        r"\s*--- FAIL: (?P<test>\S+) \(",
        ("{package} {test}", "{test}"),
        below=r"(?:FAIL|ok)\s*\t(?P<package>\S+)",
        reach=_FAR,
    ),
    Recogniser(
        "go test, of a package that does not build",
        r"FAIL\t(?P<package>\S+) \[(?P<reason>\w+ failed)\]$",
        ("{package} [{reason}]",),
    ),
    Recogniser("go build and go vet", r"(?:vet: )?(?P<file>[^\s:]+\.go):\d+:\d+: (?P<message>.+)"),
    Recogniser(
        "cargo test",
        r"test (?P<test>\S.*?)(?: \(line \d+\))?(?: - should panic| - compile(?: fail)?)? \.\.\. FAILED$",
        ("{crate} {test}", "{test}"),
        under=_CRATE,
    ),
    Recogniser(
        "cargo test's closing list",
        r" {4}(?P<test>\S.*?)(?: \(line \d+\))?$",
        ("{crate} {test}", "{test}"),
        above=r"failures:$",
        under=_CRATE,
    ),
    Recogniser(
        "jest",
        r"\s*● (?!Console$)(?P<test>.+)",
        ("{file} › {test}",),
        above=r"\s*(?:PASS\s|FAIL\s++(?:.* )?(?P<file>\S+\.\w+)(?: \([\d.]+ m?s\))?$)",
        reach=_FAR,
    ),
    Recogniser(
        "vitest",
        r"\s*FAIL\s++(?:\S+\s++)?(?P<file>\S+\.\w+) (?:> (?P<test>.+)|\[ \S+ \]$)",
        ("{file} > {test}", "{file}"),
    ),
    Recogniser(
        "eslint, under the file's name",
        r"\s+\d+:\d+\s+error\s+(?P<message>.*?\S)(?:\s{2,}+(?P<code>\S+))?$",
        above=r"(?P<file>[^\s:][^:]*\.\w+)$",
        reach=_FAR,
    ),
    Recogniser("eslint -f unix", _FILE + _PLACE + r": (?P<message>.*?)\.? \[Error(?:/(?P<code>[^\]\s]+))?\]$"),
    Recogniser(
        "rustc and its like, the place in the next line",
        _ARROW,
        above=r"error(?:\[(?P<code>[\w:-]+)\])?: (?P<message>.+)",
    ),
    Recogniser(
        "rustc in short, where the label of the place follows the message",
        _FILE + _PLACE + rf": error\[(?P<code>\w+)\]: (?P<message>{_SAID}(?:: {_SAID})*?)(?:: {_SAID})?$",
    ),
    Recogniser(
        "ruff in full, the place in the next line",
        _ARROW,
        above=r"(?!(?:error|warning|note|help)\b)(?P<code>[A-Z]{1,9}\d+(?= )|[a-z][a-z-]*(?=: )):? " + _REMARK,
    ),
    Recogniser(
        "black, and ruff format of old",
        r"[Ww]ould reformat:? (?P<file>\S+)$",
        ("{file} unformatted: File would be reformatted",),
    ),
    Recogniser(
        "file:line:col: CODE message, as of ruff, flake8, pylint, and with `error` tsc",
        _FILE + _PLACE + r"(?::| -) (?:error )?(?P<code>[A-Z]{1,9}\d{1,5}\b|[a-z]+(?:-[a-z]+)+(?=: )):? " + _REMARK,
    ),
    Recogniser(
        "file:line:col: error: message [code], as of mypy, gcc, clang, pyright",
        _FILE + _PLACE + r"(?::| -) (?:fatal )?error: (?P<message>.*?)"
        r"(?:(?<!\s)\s++[\[(](?P<code>[a-zA-Z-][\w.,=+/-]+)[\])])?$",
        # Where mypy --pretty wraps a message depends on the terminal and on the length of the line's number.
        ("{file} {code}: {message}", "{file} {wrapped}", "{file}: {message}"),
        below=r"(?!\S+:\d+: )(?:\S.*  | ?)\[(?P<wrapped>[a-z][a-z-]+)\]$",
        reach=2,
    ),
    Recogniser("tsc, of the project", r"error (?P<code>TS\d+): (?P<message>.+)", ("{code}: {message}",)),
    Recogniser(
        "ld",
        r"(?:.*\bld: )?(?P<file>[^\s:()]+):(?:\d+|\([^)\s]*\)): "
        r"(?P<message>(?:undefined reference to|multiple definition of) [^\s;]+)",
    ),
)
"""The kinds of output that are understood."""


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
    shown = 0 if cut else _FAR  # where in `kept` that was first; the header may be in what was cut off
    summary = _FAR
    for line in lines:
        last, hit = kind, _OF_PYTEST.match(line)
        kind = hit.lastgroup or "" if hit else ""
        if kind == "section":
            if last == "end" and "ERRORS" not in line:  # no run begins without a line of its progress
                del kept[shown:]
            shows, shown = True, min(shown, len(kept))
        elif kind == "summary" or (kind == "part" and shown < _FAR):
            if not shows:  # nor did it before, whatever seemed to end it
                del kept[shown:]
            shows, summary = kind == "part", len(kept)
        elif kind == "end":
            # Where $CI is set, the summary has every line of a message.
            kept[summary:] = [one for one in kept[summary:] if one.startswith(_SUMMARY)]
            shows, summary = False, _FAR
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
