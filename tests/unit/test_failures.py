"""Ids of what failed.

`outputs/` holds what tools really printed, run on small failing projects on Debian 12: pytest 9.2.0 with
pytest-xdist 3.8.0, unittest of Python 3.11.7, mypy 2.4.1, ruff 0.17.6, flake8 7.5.0, go 1.19.8, cargo and rustc
1.95.0, gcc 12.2.0, clang 14.0.6 (both with GNU ld), TypeScript 5.9.3, eslint 9.39.5 with eslint-formatter-unix
9.0.1, jest 30.5.2 with jest-junit 17.0.0, vitest 3.2.7, node 20.20.2 (its
test runner in two packages of one npm workspace, too). Of pytest-subtests 0.15.0 there are lines only. Not run, and
here as lines in their shape: pylint, pyright, black, ty, MSVC, Gradle, Surefire, go-junit-report, go test -json,
gotestsum, cargo-nextest, bats, GHC.

`TOOL.txt` (or `.xml`, a JUnit report) is a failing run in ROOT and `TOOL.txt.ids` what failed there, one id a line;
`TOOL.moved.txt` the same failures some lines further down and in another work tree, `TOOL.colour.txt` with colour
forced, `TOOL.passing.txt` a run of the mended project, with warnings and notes. Paths of the machine were replaced,
but for the temporary ones that gcc and clang hand to the linker.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildguard.checks import recognisers
from buildguard.checks.failures import MAX_ID_LENGTH, MAX_IDS, MAX_OUTPUT, MAX_REPORT, failure_ids, rows
from buildguard.checks.recognisers import RECOGNISERS, Recogniser

OUTPUTS = Path(__file__).parents[1] / "outputs"
ROOT = Path("/home/me/project")
OTHER_ROOT = Path("/home/you/trees/feature")
HOSTILE_DEADLINE = 6.0
"""Seconds of computing for any output: some times what the worst takes, a fraction of what backtracking would."""

LINES = {
    "FAILED test_a.py::test_b": "test_a.py::test_b",
    "SUBFAIL test_a.py::test_b - assert 1": "test_a.py::test_b",
    "[part] (i=1) SUBFAIL test_a.py::test_b - assert 1": "test_a.py::test_b",
    "(<subtest>) SUBFAIL test_a.py::A::test_b": "test_a.py::A::test_b",
    "SUBFAILED[part] (i=1) test_a.py::A::test_b - assert 1": "test_a.py::A::test_b",
    "SUBFAILED[of (a) [b] c] test_a.py::test_b[x y]": "test_a.py::test_b[x y]",
    "SUBFAILED(at='/tmp/x.py: 1') test_a.py::test_b": "test_a.py::test_b",
    "ERROR: test_a (tests.Case)": "test_a (tests.Case)",
    "FAIL: test_a (a.Case.test_a) (of=<A at 0x7f00deadbeef>)": "test_a (a.Case.test_a) (of=<A at 0x…>)",
    "--- FAIL: TestA (0.10s)\nFAIL\nFAIL\tshop/cart\t0.1s": "shop/cart TestA",
    "app.py:3:1: C0116: Missing docstring (missing-function-docstring)": (
        "app.py C0116: Missing docstring (missing-function-docstring)"
    ),
    "/home/me/project/app.py:5:2 - error: No attribute (reportX)": "app.py reportX: No attribute",
    "app/models.py:1:8: F401 [*] `os` imported but unused": "app/models.py F401: `os` imported but unused",
    "F401 [*] `os` imported but unused\n --> app/models.py:1:8": "app/models.py F401: `os` imported but unused",
    "app.py:9:1: F811 `total` of line 3 redefined": "app.py F811: `total` of line N redefined",
    "error[invalid-assignment]: Not assignable\n --> app.py:1:1": "app.py invalid-assignment: Not assignable",
    "would reformat /home/me/project/app.py": "app.py unformatted: File would be reformatted",
    "Would reformat: app.py": "app.py unformatted: File would be reformatted",
    "unformatted: File would be reformatted\n --> app.py:1:2": "app.py unformatted: File would be reformatted",
    "cart.cpp(12): error C2065: 'x': undeclared identifier": "cart.cpp C2065: 'x': undeclared identifier",
    "app/cart.ts(6,7): error TS2345: No `a`: b.": "app/cart.ts TS2345: No `a`: b.",
    "app/cart.ts:6:7 - error TS2345: No `a`: b.": "app/cart.ts TS2345: No `a`: b.",
    "error[E0433]: unresolved: no type `A`\n --> src/a.rs:1:2": "src/a.rs E0433: unresolved: no type `A`",
    "app.js:1:7: 'a' is never used. [Error/no-unused-vars]": "app.js no-unused-vars: 'a' is never used",
    "app.js\n  1:7  error  'a' is never used  no-unused-vars": "app.js no-unused-vars: 'a' is never used",
    "cart.c:3:1: error: unused variable 'a' [-Werror,-Wunused]": "cart.c -Werror,-Wunused: unused variable 'a'",
    "cart.c:3: error: expected 2 arguments, got 13": "cart.c: expected N arguments, got N",
    "./a//b/./c.c:1:2: error: no": "a/b/c.c: no",
    "/tmp/pytest-7/run3/a1.c:1:2: error: no": "…/runN/a1.c: no",
    "/private/var/folders/a1/b_2/T/copy.Xq3/app/a.c:1:2: error: no": "…/app/a.c: no",
    "../../lib/a.c:1:2: error: no": "…/lib/a.c: no",
    "/home/me/project-2/a.c:1:2: error: no": "…/me/project-2/a.c: no",
    "/app/billing/__init__.py:1:8: F401 `os` unused": "…/app/billing/__init__.py F401: `os` unused",
    "/usr/src/app/src/billing/__init__.py:1:8: F401 `os` unused": "…/src/billing/__init__.py F401: `os` unused",
    "a.c:1:2: error: see /usr/include/stdio.h": "a.c: see …/stdio.h",
    "a.c:1:2: error: see /home/me/project/b.h:7": "a.c: see b.h:N",
    "a.c:1:2: error: see /tmp/ccXYZ.o": "a.c: see …",
    "error TS5083: Cannot read file '/home/me/project/tsconfig.json'.": "TS5083: Cannot read file 'tsconfig.json'.",
    "a.py:1:1: error: It is\nwrapped and\nwrapped  [arg-type]": "a.py arg-type",
    "a.py:1:1: error: It is wrapped just\n[arg-type]": "a.py arg-type",
    "a.py:1:1: error: It is wrapped just\n [arg-type]": "a.py arg-type",
    "     Running unittests src/lib.rs (/t/debug/deps/a-0123456789abcdef)\ntest b::c ... FAILED": "a b::c",
    "     Running tests/a.rs (t\\debug\\deps\\a-0123456789abcdef.exe)\ntest b ... FAILED": "a b",
    "   Doc-tests a\ntest src/lib.rs - b (line 3) ... FAILED": "a src/lib.rs - b",
    "FAIL unit app/a.test.js (5.302 s)\n  ● adds": "app/a.test.js › adds",
    " FAIL  |unit| app/a.test.ts > adds": "app/a.test.ts > adds",
    '{"Time":"2026-11-28T05:00:00Z","Action":"fail","Package":"shop/cart","Test":"TestA/b","Elapsed":0}': (
        "shop/cart TestA/b"
    ),
    '{"Action":"fail","Package":"shop/cart","Test":"TestA"}': "shop/cart TestA",
    "=== FAIL: shop/cart TestA (0.00s)": "shop/cart TestA",
    "        FAIL [   0.005s] (1/2) shop::bin/cart tests::it_works": "shop::bin/cart tests::it_works",
    "     TIMEOUT [  60.005s] shop tests::it_works": "shop tests::it_works",
    "  SIGABRT [   0.005s] shop tests::it_works": "shop tests::it_works",
    "> Task :cart:test FAILED\n\nshop.CartTest > adds() FAILED": ":cart:test shop.CartTest > adds()",
    "not ok 2 adds up\n# (in test file test/cart.bats, line 3)": "test/cart.bats > adds up",
    "not ok 2 - adds up\n# (from function `f' in file test/h.bash, line 3,": "test/h.bash > adds up",
    "src/Main.hs:3:5: error: [GHC-88464]\n    Variable not in scope: x": (
        "src/Main.hs GHC-88464: Variable not in scope: x"
    ),
    "src/Main.hs:3:5-9: error:\n    • Not in scope: ‘x’": "src/Main.hs: Not in scope: ‘x’",
    "> @shop/cart@1.0.0 test\n> jest\n\nFAIL src/a.test.js\n  ● adds": "src/a.test.js › adds (of @shop/cart)",
    "> cart@1.0.0-rc.1 lint:all\n/home/me/project/a.c:1:2: error: no": "a.c: no (of cart)",
    "> cart@1.0.0 test\nmake: Entering directory '/home/me/project/a'\nb.c:1:2: error: no": "a/b.c: no",
}
NO_FAILURES = (
    "--- FAIL: TestOfNoPackage (0.10s)",
    '{"Action":"fail","Package":"shop/cart","Elapsed":0}',
    '{"Action":"pass","Package":"shop/cart","Test":"TestA"}',
    "not ok 1 - of no file",
    "not ok 1 adds # skip\n# (in test file test/cart.bats, line 3)",
    "not ok 1 - adds # TODO later\n  location: '/home/me/project/a.js:1:1'\n  failureType: 'testCodeFailure'",
    "not ok 1 - all\n  location: '/home/me/project/a.js:1:1'\n  failureType: 'subtestsFailed'",
    "test at a.js:1:1\n✖ all (1.2ms)\n  '2 subtests failed'",
    "✖ of no file (1.2ms)\n  Error: no",
    "shop.CartTest > of no task() FAILED",
    "src/Main.hs:3:5: error: [GHC-88464]",
    "/tmp/copy.Xq3/__init__.py:1:8: F401 `os` unused",
    "   Doc-tests a\ntest result: ok. 1 passed\ntest of::no_crate ... FAILED",
    "tests/test_a.py:5: AssertionError",
    "tests/test_a.py:5: in test_b",
    "tests/test_a.py:5: DeprecationWarning: E501 is old",
    'app.py:3: note: Revealed type is "int"  [misc]',
    "cart.c:3:1: warning: unused [-Wunused]",
    "cart.c:3:1: note: error: said elsewhere",
    "warning: unused\n --> src/main.rs:1:2",
    "error: could not compile\nsomething else\n --> src/main.rs:1:2",
    "    tests::indented_but_in_no_list",
    "  1:2  error  of no file  semi",
    "PASS app/a.test.js\n  ● Console",
    "FAIL app/a.test.js\nPASS app/b.test.js\n  ● note",
    "FAILED (failures=2, errors=3)",
    "SUBFAILED[part] (i=1) of no test",
    "SUBFAILED test_a.py::test_b",
    "ERROR app.server - connection lost",
    "ERROR    app:server.py:5 connection lost",
    "12:03:04: E100 from a log",
    "make: *** [Makefile:5: all] Error 2",
    "run_tests.py: error: the following arguments are required: name",
    "http://localhost:80: error: refused",
)
HOSTILE = (
    *("a\n", " ", "1", "[", "a.c:1: error: x  [", "x(1,1", "x:1:1", "ERROR a.b.", "FAILED a.py::x[", "FAIL "),
    *("\x1b[1", "\x1b]", "/a", "/tmp/", "● ", "a-b-", "error: a\n --> a.c:1:2\n", "a.c:1: error: a\na  [b]\n"),
    *("/home/me/project", "--- FAIL: a/", "  1:2  error  a  ", "\u202e", "a.c:1: error: 1./a/0x1234567"),
    *("ld: a:((", "SUBFAILED[", "SUBFAILED[x] a.py::x[", "x) a.py::x[", "(x) SUBFAIL ", "(x) SUBFAIL a.b."),
    *("=== FAILURES ===\n", "== short test summary info ==\n", "=" * 9, "1 passed, 1 passed, in 1s (1 "),
    *("a.rs:1: error[E1]: ", "a.rs:1: error[E1]: `` : `", ": `", ": a: "),
    *(
        "FAILED a.py::x[a] - ",
        "FAILED a.py::a[] - b",
        "SUBFAILED[x] a.b::[",
        "(x) SUBFAIL a.b::[",
        "a::b --- FAILED",
    ),
    *("> @a/", "not ok 1 - ", "not ok 1 # ", "✖ a (1", "a > ", '{"Action":"fail","Package":"', "test at a:"),
    *("> a@1", "rootdir: a", "/tmp/1/1.c:1: error: ", "a.rs:1: error[E1]: a`: "),
    *("   Running a/", "   Running /a-01234567", "   Doc-tests a\nfailures:\n    b\n"),
)


def captured(name: str, root: Path | None = ROOT) -> tuple[str, ...]:
    """The ids in a captured file."""
    path = OUTPUTS / name
    is_report = path.suffix == ".xml"
    return failure_ids(b"" if is_report else path.read_bytes(), path if is_report else None, root=root)


def expected(name: str) -> tuple[str, ...]:
    """The ids that belong to a captured file, a variant or not."""
    parts = name.split(".")
    return tuple((OUTPUTS / f"{parts[0]}.{parts[-1]}.ids").read_text("utf-8").splitlines())


def variants(kind: str) -> list[str]:
    """The captured files of that kind."""
    return sorted(path.name for path in OUTPUTS.glob(f"*.{kind}.*"))


CAPTURED = sorted(path.stem for path in OUTPUTS.glob("*.ids"))


def ids(output: str, root: Path | None = ROOT) -> tuple[str, ...]:
    return failure_ids(output.encode(), root=root)


@pytest.mark.parametrize("name", CAPTURED)
def test_the_failures_in_a_tools_output_are_named(name: str) -> None:
    assert captured(name) == expected(name)


@pytest.mark.parametrize("name", variants("moved"))
def test_a_failure_has_the_same_ids_elsewhere_in_its_file_and_in_another_work_tree(name: str) -> None:
    assert captured(name, OTHER_ROOT) == expected(name)


@pytest.mark.parametrize("name", variants("colour"))
def test_colour_makes_no_difference(name: str) -> None:
    assert "\x1b" in (OUTPUTS / name).read_text("utf-8")
    assert captured(name) == expected(name)


@pytest.mark.parametrize("name", variants("passing"))
def test_a_passing_run_has_no_ids_whatever_it_warns_of(name: str) -> None:
    assert captured(name) == ()


@pytest.mark.parametrize("name", CAPTURED)
def test_without_a_root_no_absolute_path_gets_into_an_id(name: str) -> None:
    found = captured(name, root=None)
    assert len(found) == len(expected(name))
    assert not [one for one in found if "/home" in one or "/tmp" in one or one.startswith("/")]


@pytest.mark.parametrize("line", LINES)
def test_a_line_names_a_failure(line: str) -> None:
    assert ids(line) == (LINES[line],)


@pytest.mark.parametrize("line", NO_FAILURES)
def test_a_line_that_names_no_failure(line: str) -> None:
    assert ids(line) == ()


def test_a_test_around_failed_subtests_is_not_named_itself() -> None:
    names = ("TestA", "TestA/x/y", "TestA-b", "TestAb")
    output = "".join(f"--- FAIL: {name} (0.00s)\n" for name in names)
    assert ids(f"{output}FAIL\tshop\t0.1s\n") == ("shop TestA-b", "shop TestA/x/y", "shop TestAb")


def test_a_message_that_is_not_wrapped_keeps_its_own_code() -> None:
    wrapped = "b.py:1:1: error: It does\nnot  [arg-type]\n"
    assert ids(f"{wrapped}a.py:1:1: error: It fits  [misc]\n{wrapped}") == ("a.py misc: It fits", "b.py arg-type")


def test_failures_of_one_kind_in_one_file_differ_by_what_is_said_of_them() -> None:
    assert ids("app.py:1:8: F401 `os` imported but unused") != ids("app.py:1:8: F401 `json` imported but unused")


FORMATS = [("ruff", "ruff-concise"), ("eslint", "eslint-unix")]


@pytest.mark.parametrize(("one", "other"), FORMATS)
def test_the_formats_of_one_tool_name_a_failure_alike(one: str, other: str) -> None:
    assert captured(f"{one}.txt") == captured(f"{other}.txt")


PRINTED = "app.py:3:1: F401 printed\nFAILED tests/other.py::test_other\n"
HEADER = "=================================== FAILURES ==================================="
SECTION = f"_______________ test_a ________________\n---------- Captured stdout call -----------\n{PRINTED}"
SUMMARY = "=================== short test summary info ====================\nFAILED a.py::test_a - assert 0\n"
END = "1 failed in 0.03s\n"
WARNINGS = "============== warnings summary ==============\na.py::test_a\n  a.py:3: UserWarning: E501 is old\n"
RUN = f"F        [100%]\n{HEADER}\n{SECTION}"
QUIET = f"{RUN}{SUMMARY}{END}"
RUFF, MYPY = "ruff.py:1:8: F401 unused\n", "mypy.py:1: error: No  [misc]\n"
FOUND_BY_RUFF, FOUND_BY_MYPY = "ruff.py F401: unused", "mypy.py misc: No"


def test_other_tools_keep_their_ids_beside_pytests_report() -> None:
    loud_end = "================== 1 failed, 2 warnings in 75.20s (0:01:15) ==================\n"
    for run in (QUIET, f"{RUN}{WARNINGS}{PRINTED}{SUMMARY}{loud_end}", f"{RUN}{SUMMARY}{WARNINGS}{END}"):
        assert ids(f"{RUFF}{run}{MYPY}") == ("a.py::test_a", FOUND_BY_MYPY, FOUND_BY_RUFF)


def test_other_tools_keep_their_ids_after_a_run_that_passed() -> None:
    passed = "1 passed, 2 warnings in 0.03s\n"
    assert ids(f"{RUFF}.   [100%]\n{WARNINGS}{passed}{MYPY}") == (FOUND_BY_MYPY, FOUND_BY_RUFF)


def test_of_a_report_without_a_summary_nothing_is_believed() -> None:
    assert ids(f"{RUFF}{RUN}{END}{MYPY}") == (FOUND_BY_RUFF,)


def test_of_several_reports_of_pytest_the_last_one_counts() -> None:
    other = QUIET.replace("a.py::test_a", "b.py::test_b")
    assert ids(f"{RUFF}{QUIET}{other}{MYPY}") == ("b.py::test_b", FOUND_BY_MYPY, FOUND_BY_RUFF)


def test_a_report_that_a_test_printed_has_no_ids() -> None:
    printed = f"{PRINTED}{QUIET.replace('a.py::test_a', 'tests/other.py::test_other')}"
    for rest in ("", WARNINGS, SECTION):
        assert ids(f"{RUFF}{RUN}{printed}{printed}{rest}{SUMMARY}{END}") == ("a.py::test_a", FOUND_BY_RUFF)


def test_of_a_report_that_lacks_its_header_what_tests_printed_has_no_ids() -> None:
    printed = PRINTED * 2000
    for shown in (printed, printed + SECTION, printed + SECTION + WARNINGS + PRINTED):
        assert ids(f"{shown}{SUMMARY}{END}{MYPY}") == ("a.py::test_a", FOUND_BY_MYPY)


def test_a_long_output_of_another_tool_keeps_its_ids_before_pytests_report() -> None:
    assert ids(f"{RUFF * 4000}{QUIET}") == ("a.py::test_a", FOUND_BY_RUFF)
    assert ids(RUFF * 4000 + "1 passed in 0.03s\n") == (FOUND_BY_RUFF,)


PARAMETERS = ("a b", "a - b", "a] - b", "x[1] - x[2]", "[", "]]", "a::b", "t.py::test_x - y", "-", "", "a/b.py")
MESSAGES = ("", " - assert 'a] - b' == [1] - [2]", " - ValueError: x] - y]", " - a.b.Error", " - Asse...", " - ...")


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_a_parameter_of_a_test_is_kept_whole_whatever_is_said_of_its_failure(parameter: str) -> None:
    for message in MESSAGES:
        assert ids(f"FAILED a.py::test_a[{parameter}]{message}") == (f"a.py::test_a[{parameter}]",)


def test_a_message_with_brackets_does_not_belong_to_the_test() -> None:
    assert ids("FAILED a.py::test_a - assert [1] - [2] == [3]") == ("a.py::test_a",)
    assert ids("FAILED a.py::test_a[1] - assert [1] - [2] == [3]") == ("a.py::test_a[1]",)


PLACES = {
    "rootdir: /home/me/project/packages/{}\n": "packages/{}/",
    "make[1]: Entering directory '/home/me/project/packages/{}'\n": "packages/{}/",
    "make[1]: Entering directory `/build/packages/{}'\n": "…/build/packages/{}/",
}


@pytest.mark.parametrize("place", PLACES)
def test_what_fails_in_one_folder_differs_from_what_fails_in_another(place: str) -> None:
    output = "".join(f"{place.format(name)}main.c:3:5: error: no\n" for name in ("a", "b"))
    assert ids(output) == tuple(f"{PLACES[place].format(name)}main.c: no" for name in ("a", "b"))


def test_the_folder_of_the_check_itself_is_not_told() -> None:
    inner = (
        "make[1]: Entering directory '/home/me/project/sub'\nmake[1]: Leaving directory '/home/me/project/sub'\n"
    )
    above = "rootdir: /home/me\n"
    for start in ("rootdir: /home/me/project\n", "make: Entering directory '/home/me/project'\n", inner, above):
        assert ids(f"rootdir: /home/me/project/a\n{start}main.c:3:5: error: no") == ("main.c: no",)


def test_a_path_from_the_top_is_not_put_below_the_folder_a_second_time() -> None:
    output = "make: Entering directory '/home/me/project/app'\n/home/me/project/app/a.c:1: error: no"
    assert ids(output) == ("app/a.c: no",)


def test_line_ends_of_other_systems_and_progress_lines_make_no_difference() -> None:
    plain_text = (OUTPUTS / "ruff.txt").read_bytes()
    for end in (b"\r\n", b"\r\r\n", b"\r"):
        assert failure_ids(plain_text.replace(b"\n", end), root=ROOT) == expected("ruff.txt")


def test_of_a_long_output_only_the_end_is_read_and_its_first_line_may_be_half_a_line() -> None:
    line = "app/long_name.py:1:2: F401 unused\n"
    assert ids("a.py:1:2: F401 unused\n" * 99 + line * (MAX_OUTPUT // len(line))) == (
        "app/long_name.py F401: unused",
    )
    assert ids("ng_name.py:1:2: F401 unused\n" + line * 3000) == ("app/long_name.py F401: unused",)


def test_output_that_is_not_utf_8_is_read_all_the_same() -> None:
    assert failure_ids(b"\xff\xfe\x80\nFAILED a.py::test_\xff\n") == ("a.py::test_�",)


def test_an_id_is_one_line_of_printable_characters() -> None:
    assert ids("FAILED a.py::t[\u202eb\u2028c\x07\x9b\u200b\ue000d\te]") == ("a.py::t[b cd e]",)


def test_long_ids_are_cut_and_still_differ() -> None:
    found = ids("".join(f"FAILED a.py::test_{'x' * 400}{number}\n" for number in range(3)))
    assert len(found) == 3
    assert {len(one) for one in found} == {MAX_ID_LENGTH}


def test_of_many_ids_the_first_in_order_are_kept() -> None:
    names = [f"a.py::test_{number:05}" for number in range(3 * MAX_IDS)]
    assert ids("".join(f"FAILED {name}\n" for name in reversed(names))) == tuple(names[:MAX_IDS])


@pytest.mark.parametrize("root", ["/home/me/my (first) project+", "/", ".", "/home/me/project/"])
def test_any_root_will_do(root: str) -> None:
    path = Path(root) / "app" / "a.c"
    expected = "…/app/a.c: no" if root == "/" else "app/a.c: no"
    assert ids(f"{path}:1:2: error: no", Path(root)) == (expected,)


@pytest.mark.parametrize("kind", RECOGNISERS, ids=lambda kind: kind.name)
def test_every_group_of_a_recogniser_has_a_place_in_its_ids(kind: Recogniser) -> None:
    groups = {
        name
        for text in (kind.line, kind.above, kind.below, kind.under)
        if text
        for name in re.compile(text).groupindex
    }
    assert groups <= {*re.findall(r"{(\w+)}", "".join(kind.ids)), "row"}


@pytest.mark.parametrize(
    ("name", "failure", "row"),
    [
        ("mypy", "app/models.py call-arg:", 8),
        ("ruff", "app/models.py F401: `sys`", 2),
        ("tsc", "app/cart.ts TS2345:", 6),
        ("eslint", "eslint/app/cart.js no-undef:", 2),
        ("gcc", "cart.c: ‘missing’ undeclared", 19),
        ("go-build", "stock/stock.go:", 3),
        ("cargo-build", "src/main.rs E0308:", 5),
        ("pytest", "py/tests/test_import.py", 0),
    ],
)
def test_a_failure_is_told_with_the_line_that_its_tool_names(name: str, failure: str, row: int) -> None:
    found = rows((OUTPUTS / f"{name}.txt").read_bytes(), ROOT)
    assert next(at for one, at in found.items() if one.startswith(failure)) == row


def test_of_one_failure_in_several_lines_the_first_is_told() -> None:
    for said in (b"E1 no", b"error: no  [E1]"):
        assert set(rows(b"a.py:7:1: %b\na.py:9:1: %b\n" % (said, said)).values()) == {7}


def test_no_pattern_needs_what_python_3_11_2_matches_wrongly() -> None:
    kept = [vars(recognisers)[name] for name in ("SECTION", "SUMMARY", "COULD_NOT_TEST", "FOLDER")]
    kept += [text for kind in RECOGNISERS for text in (kind.line, kind.above, kind.below, kind.under) if text]
    assert [text for text in kept if re.search(r"[*+?}]\+|\(\?>", text)] == []


def check_form(found: tuple[str, ...]) -> None:
    assert list(found) == sorted(set(found))
    assert len(found) <= MAX_IDS
    assert all(one and one.isprintable() and len(one) <= MAX_ID_LENGTH for one in found)


@given(st.binary(max_size=2000), st.booleans())
def test_no_output_raises(output: bytes, rooted: bool) -> None:
    check_form(failure_ids(output, root=ROOT if rooted else None))


PIECES = [*HOSTILE, *LINES, *NO_FAILURES, "\n", "failures:", "    ", "\x00", "{0}", "\ud800"]


@settings(max_examples=200)
@given(st.lists(st.sampled_from(PIECES)))
def test_no_mixture_of_what_tools_print_raises(pieces: list[str]) -> None:
    check_form(failure_ids("".join(pieces).encode("utf-8", "surrogatepass"), root=ROOT))


def seconds(*outputs: bytes) -> float:
    """The time that it takes to read the outputs, less the time that others take on a busy machine."""
    began = time.process_time()
    for output in outputs:
        failure_ids(output, root=ROOT)
    return time.process_time() - began


@pytest.mark.parametrize("seed", HOSTILE)
def test_hostile_output_takes_bounded_time(seed: str) -> None:
    output = (seed * (MAX_OUTPUT // len(seed.encode()))).encode()
    lines = b"\n".join(b"a.c:1: error: " + output[:1980] + b" x" for _ in range(250))
    assert seconds(output, output[: MAX_OUTPUT // 32], lines) < HOSTILE_DEADLINE


@pytest.mark.parametrize("start", ["a.c:1: error: a", "FAIL", "  1:2  error", "ld:"])
def test_long_gaps_take_bounded_time(start: str) -> None:
    assert seconds(b"\n".join(start.encode() + b" " * 1980 + b"x" for _ in range(1000))) < HOSTILE_DEADLINE


FAILED_CASE = '<testsuite><testcase classname="tests.a" name="test_b"><failure/></testcase></testsuite>'
FROM_OUTPUT = b"FAILED a.py::test_of_the_output\n"
REPORTS = {
    "go-junit-report": (
        '<testsuites><testsuite name="shop/cart"><testcase classname="shop/cart" name="TestA"><failure '
        'message="no"/></testcase><testcase classname="shop/cart" name="TestA/x"><failure/></testcase></testsuite>'
        "</testsuites>",
        ("shop/cart::TestA/x",),
    ),
    "Gradle": (
        '<testsuite name="com.shop.CartTest" hostname="vm"><properties/><testcase name="adds()" '
        'classname="com.shop.CartTest" time="0.01"><failure message="no" type="AssertionFailedError">at …</failure>'
        '</testcase><testcase name="skipped()" classname="com.shop.CartTest"><skipped/></testcase></testsuite>',
        ("com.shop.CartTest::adds()",),
    ),
    "Surefire": (
        '<?xml version="1.0" encoding="ISO-8859-1"?><testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        '<testcase name="a" classname="com.shop.A"><error type="Error"/><system-out>x</system-out></testcase>'
        '<testcase name="b" classname="com.shop.A"><flakyFailure/></testcase></testsuite>',
        ("com.shop.A::a",),
    ),
    "with files": (
        '<r xmlns="urn:junit"><testcase file="/home/me/project/spec/a.rb" name="adds"><failure/></testcase>'
        '<testcase file="./spec/a.rb" name="adds"><error/></testcase><testcase name="alone"><error/></testcase>'
        '<testcase><error/></testcase><testcase name="passed"/><error/></r>',
        ("spec/a.rb::adds",),
    ),
    "failed, and skipped when it was tried again": (
        '<testsuite><testcase name="a" file="a.py"><error/></testcase>'
        '<testcase name="a" file="a.py"><skipped/></testcase><testcase name="a" file="b.py"/></testsuite>',
        ("a.py::a",),
    ),
    "mocha": (
        '<testsuites><testsuite name="Root Suite" file="/home/me/project/test/a.js"><testcase name="cart adds" '
        'classname="adds"><failure/></testcase></testsuite><testsuite name="b" file="/home/me/project/test/b.js">'
        '<testcase name="alone" classname="alone"><failure/></testcase></testsuite></testsuites>',
        ("test/a.js::cart adds", "test/b.js::alone"),
    ),
}
NO_REPORTS = {
    "empty": b"",
    "cut": FAILED_CASE.encode()[:-5],
    "no XML": b"FAILED\x00\xff",
    "nobody failed": b'<testsuite><testcase name="a"/></testsuite>',
    "entities": (
        '<!DOCTYPE a [<!ENTITY a "'
        + "b" * 999
        + '">'
        + "".join(f'<!ENTITY {one} "{f"&{two};" * 99}">' for two, one in zip("abcdef", "bcdefg", strict=True))
        + "]>"
        + FAILED_CASE.replace("<failure/>", "<failure>&g;</failure>")
    ).encode(),
    "a document type in another encoding": ("<!DOCTYPE r>" + FAILED_CASE).encode("utf-16-le"),
    "failed, and passed when it was tried again": (
        b"<testsuite><testcase name='a' file='a.py'><failure/></testcase>"
        b"<testcase name='a' file='a.py'/></testsuite>"
    ),
    "an encoding that is none": b'<?xml version="1.0" encoding="rot13"?>' + FAILED_CASE.encode(),
    "huge": FAILED_CASE.encode() + b" " * MAX_REPORT,
}


@pytest.mark.parametrize("shape", REPORTS)
def test_a_junit_report_names_the_failed_cases(shape: str, tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_text(REPORTS[shape][0], "utf-8")
    assert failure_ids(FROM_OUTPUT, report, root=ROOT) == REPORTS[shape][1]


@pytest.mark.parametrize("content", NO_REPORTS.values(), ids=NO_REPORTS.keys())
def test_the_output_counts_where_a_report_tells_nothing(content: bytes, tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_bytes(content)
    assert failure_ids(FROM_OUTPUT, report) == ("a.py::test_of_the_output",)


def test_the_output_counts_where_the_report_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("nowhere.xml", ".", "pipe", "\0"):
        assert failure_ids(FROM_OUTPUT, tmp_path / name) == ("a.py::test_of_the_output",)


def test_a_report_of_an_earlier_run_does_not_count(tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_text(FAILED_CASE)
    os.utime(report, (1000.0, 1000.0))
    assert failure_ids(FROM_OUTPUT, report, not_before=1001.0) == ("a.py::test_of_the_output",)
    one_tick_later = 1000.01
    for not_before in (None, 1000.0, one_tick_later):
        assert failure_ids(FROM_OUTPUT, report, not_before) == ("tests.a::test_b",)


def test_what_a_passing_hook_does_not_need_is_not_imported() -> None:
    code = (
        "import sys, buildguard.checks.failures as f; f.failure_ids(b'x'); print({'xml', 'zlib'} & {*sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=OUTPUTS.parents[1])
    assert run.stdout == "set()\n"
