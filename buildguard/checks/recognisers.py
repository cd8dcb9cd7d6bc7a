"""How the tools of the trade tell what failed: a table, in which another tool is another row."""

from typing import Final, NamedTuple

FAR: Final = 1 << 30  # lines

_FILE: Final = r"\s*(?P<file>[^\s:]+?)"
_PLACE: Final = r"(?=[:(](?P<row>\d+))(?::\d+(?::\d+)*|\(\d+(?:,\d+)*\))"
_ARROW: Final = r"\s*--> (?P<file>[^:]+):(?P<row>\d+):\d+$"
# One crate's tests end with their result, lest its name be put on the tests of another.
_CRATE: Final = r"test result: |\s+(?:Running .*[/\\]|Doc-tests )(?P<crate>\w+)(?:-[0-9a-f]{16}(?:\.exe)?\))?$"
_OF_RUST: Final = r"(?: \(line \d+\))?(?: - should panic| - compile(?: fail)?)?"
_REMARK: Final = r"(?:\[\*\] )?(?P<message>\S.*)"  # what ruff can mend is marked in some of its formats
# A parameter may have ` - ` in it: before the first one that an exception follows; if none does, before the last.
_PARAMETERS: Final = r"\[(?:.*?\](?= - (?:assert |[^\W\d][\w.]*(?:: |$)))|.*\](?= - |$)|.*)"

SECTION: Final = r"=+ (?:ERRORS|FAILURES|PASSES) =+$"
"""Where pytest begins to show tests, up to its summary."""
SUMMARY: Final = r"=+ short test summary info =+$"
"""Where pytest begins to name what failed."""
COULD_NOT_TEST: Final = (
    r"(?:^|\n)(?:(?:=+ )?(?:no tests ran|(?:\d+ (?:passed|skipped|deselected|xfailed|xpassed|warnings?)(?:, )?)+)"
    r" in [\d.]+s.*(?:\nERROR: file or directory not found: .*)?|  inifile: .*\n  rootdir: .*)$"
)
"""How pytest ends that did not fail, and did not get to its tests or through them."""
FOLDER: Final = (
    r"(?:rootdir: ?|g?make(?:\[\d+\])?: Entering directory [`'])(?P<folder>[^,']*)|g?make(?:\[\d+\])?: Leaving"
    r"|> (?P<of>@?[\w./-]+)@\d[\w.+-]* [\w:.-]+$"
)
"""How pytest and make tell in which folder the following lines come about, and npm of which package they are."""


class Recogniser(NamedTuple):
    """How one kind of output tells what failed.

    `line` matches a line that names a failure, from its start. Its named groups fill the first of the templates
    `ids` for which there are enough. More groups come from other lines: the nearest before that matches `above`
    (without one, `line` names nothing) or the nearest after that matches `below` (without one, they are missing),
    with at most `reach` lines between; and the nearest before that matches `under`, however far.
    The group `row` is the number of the line in the file; no id has it, because it changes with any edit above.

    Every pattern must be linear in its line, since anything may stand in an output.
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
        r"(?:FAILED |ERROR |SUBFAIL |SUBFAILED[\[(].*?[\])] (?=[^\s:\[]+\.\w+::)|[\[(].*?[\])] SUBFAIL )"
        rf"(?P<test>[^\s:\[]+(?:\.py(?= - |$)|\.\w+::[^\[]*?(?:(?= - |$)|{_PARAMETERS})))",
        ("{test}",),
    ),
    Recogniser("unittest", r"(?:FAIL|ERROR): (?P<test>[\w.]+ \([\w.]+\)(?: .*)?)$", ("{test}",)),
    Recogniser(
        "go test",
        r"\s*--- FAIL: (?P<test>\S+) \(",
        ("{package} {test}",),
        below=r"(?:FAIL|ok)\s*\t(?P<package>\S+)",
        reach=FAR,
    ),
    Recogniser(
        "go test, of a package that does not build",
        r"FAIL\t(?P<package>\S+) \[(?P<reason>\w+ failed)\]$",
        ("{package} [{reason}]",),
    ),
    Recogniser("go build and go vet", r"(?:vet: )?(?P<file>[^\s:]+\.go):(?P<row>\d+):\d+: (?P<message>.+)"),
    Recogniser(
        "go test -json",
        r'\{(?:"Time":"[^"]*",)?"Action":"fail","Package":"(?P<package>[^"]+)","Test":"(?P<test>[^"]+)"',
        ("{package} {test}",),
    ),
    Recogniser("gotestsum", r"=== FAIL: (?P<package>\S+) (?P<test>\S+) \(", ("{package} {test}",)),
    Recogniser(
        "cargo nextest",
        r"\s+(?:FAIL|TIMEOUT|ABORT|SIG[A-Z]+) \[\s*[\d.]+s\] (?:\(\s*\d+/\d+\) )?(?P<test>\S+ \S+)$",
        ("{test}",),
    ),
    Recogniser("cargo test", rf"test (?P<test>\S.*?){_OF_RUST} \.\.\. FAILED$", ("{crate} {test}",), under=_CRATE),
    Recogniser(
        "jest",
        r"\s*● (?!Console$)(?P<test>.+)",
        ("{file} › {test}",),
        above=r"\s*(?:PASS\s|FAIL\s+(?:\S.* )?(?P<file>\S+\.\w+)(?: \([\d.]+ m?s\))?$)",
        reach=FAR,
    ),
    Recogniser(
        "node --test as TAP, but for a test around others that failed",
        r"\s*failureType: '(?!subtestsFailed')",
        ("{file} > {test}",),
        above=r"\s*location: '(?P<file>[^']+?):(?P<row>\d+):\d+'$",
        under=r"\s*not ok \d+ - (?:.* # (?:SKIP|TODO)\b|(?P<test>.+))",
    ),
    Recogniser(
        "node --test, but for a test around others that failed",
        r"\s+(?!'\d+ subtests? failed'$)\S",
        ("{file} > {test}",),
        above=r"✖ (?P<test>.+) \([\d.]+m?s\)$",
        under=r"test at (?P<file>.+?):(?P<row>\d+):\d+$",
    ),
    Recogniser(
        "bats and others that tell in TAP where a test is",
        r"not ok \d+ (?:- )?(?P<test>(?!.* # (?:skip|SKIP|todo|TODO)\b).+)$",
        ("{file} > {test}",),
        below=r"#\s+\((?:in test file|from function .* in(?: test)? file) (?P<file>[^,]+), line (?P<row>\d+)",
    ),
    Recogniser(
        "Gradle",
        r"(?P<test>[\w.$]+ > .+) FAILED$",
        ("{task} {test}",),
        under=r"> Task (?P<task>\S+)",
    ),
    Recogniser(
        "vitest",
        r"\s*FAIL\s+(?:\S+\s+)?(?P<file>\S+\.\w+) (?:> (?P<test>.+)|\[ \S+ \]$)",
        ("{file} > {test}", "{file}"),
    ),
    Recogniser(
        "eslint, under the file's name",
        r"\s+(?P<row>\d+):\d+\s+error\s+(?P<message>.*?\S)(?:\s{2,}(?P<code>\S+))?$",
        above=r"(?P<file>[^\s:][^:]*\.\w+)$",
        reach=FAR,
    ),
    Recogniser("eslint -f unix", _FILE + _PLACE + r": (?P<message>.*?)\.? \[Error(?:/(?P<code>[^\]\s]+))?\]$"),
    Recogniser(
        "rustc and its like, the place in the next line",
        _ARROW,
        above=r"error(?:\[(?P<code>[\w:-]+)\])?: (?P<message>.+)",
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
        _FILE + _PLACE + r"(?::| -) (?:fatal )?error: (?!\[GHC-)(?P<message>.*?)"
        r"(?:(?<!\s)\s+[\[(](?P<code>[a-zA-Z-][\w.,=+/-]+)[\])])?$",
        # Where mypy --pretty wraps a message depends on the terminal and on the length of the line's number.
        ("{file} {code}: {message}", "{file} {wrapped}", "{file}: {message}"),
        below=r"(?!\S+:\d+: )(?:\S.*  | ?)\[(?P<wrapped>[a-z][a-z-]+)\]$",
        reach=2,
    ),
    Recogniser(
        "GHC, the message in the next line",
        _FILE + r":(?P<row>\d+):\d+(?:-\d+)?: error:(?: \[(?P<code>GHC-\d+)\])?$",
        below=r"\s+(?:• )?(?P<message>\S.*)",
    ),
    Recogniser("tsc, of the project", r"error (?P<code>TS\d+): (?P<message>.+)", ("{code}: {message}",)),
)
"""The kinds of output that are understood."""
