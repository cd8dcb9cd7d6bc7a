"""How a shared run ended, as it is left in a file; and what makes two runs one."""

import os
from pathlib import Path

import pytest

from buildguard.checks.runner import Result, Verdict
from buildguard.git.files import Watched
from buildguard.runs.ending import Ending, found, leave
from buildguard.runs.sameness import digest, surroundings

ENDING = Ending(
    Result(Verdict.FAILED, 1, "", 2.5, b"one\n\0\xfftwo"), Watched(True, frozenset({"a b", "c\nd", "\udcff"})), 99.5
)


@pytest.mark.parametrize(
    "ending",
    [
        ENDING,
        Ending(Result(Verdict.PASSED, 0, "", 0.0, b""), Watched(False, frozenset()), 1e9),
        Ending(
            Result(Verdict.INCONCLUSIVE, None, "cannot start: why", 0.1, b"5\n"), Watched(True, frozenset()), 0.0
        ),
    ],
)
def test_an_ending_is_read_as_it_was_left(tmp_path: Path, ending: Ending) -> None:
    leave(str(tmp_path), ending)
    assert found(str(tmp_path)) == ending


@pytest.mark.parametrize(
    "garbage", [b"", b"\n", b"3\nabc", b"x" * 5000, b"1000\npassed\0000", b"-5\npassed\0000\0\0001\0001\0001"]
)
def test_garbage_is_no_ending(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / "result").write_bytes(garbage)
    assert found(str(tmp_path)) is None


def test_an_ending_is_not_read_through_a_link(tmp_path: Path) -> None:
    leave(str(tmp_path), ENDING)
    (tmp_path / "result").rename(tmp_path / "elsewhere")
    (tmp_path / "result").symlink_to(tmp_path / "elsewhere")
    assert found(str(tmp_path)) is None


def test_an_ending_is_for_its_owner_only(tmp_path: Path) -> None:
    leave(str(tmp_path), ENDING)
    assert (tmp_path / "result").stat().st_mode & 0o777 == 0o600


def test_an_ending_that_cannot_be_written_as_a_whole_is_none() -> None:
    with pytest.raises(OSError, match=r".*"):
        leave("/dev", ENDING) if os.geteuid() else leave("/proc", ENDING)


def test_in_a_hook_git_puts_its_programs_in_front_and_that_is_no_other_path() -> None:
    hook = {"GIT_EXEC_PATH": "/usr/lib/git-core", "PATH": "/usr/lib/git-core:/usr/bin:/bin"}
    assert surroundings(hook) == surroundings({"PATH": "/usr/bin:/bin"})


@pytest.mark.parametrize(
    "name", ["PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "NODE_ENV", "LANG", "LC_ALL", "DATABASE_URL"]
)
def test_what_a_check_may_depend_on_is_part_of_its_surroundings(name: str) -> None:
    assert surroundings({name: "one"}, ("DATABASE_URL",)) != surroundings({name: "two"}, ("DATABASE_URL",))


def test_what_differs_from_call_to_call_is_not() -> None:
    assert surroundings({"PWD": "/a", "SHLVL": "1", "PATH": "/bin"}) == surroundings({"PATH": "/bin"})


def test_a_digest_tells_apart_what_only_joins_to_the_same() -> None:
    assert digest(("ab", "c")) != digest(("a", "bc"))
    assert digest(("a", "b")) == digest(("a", "b"))
