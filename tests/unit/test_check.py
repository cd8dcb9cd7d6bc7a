"""How a check runs, and what its end means. How it is ended is in `test_check_killing.py`."""

import os
import resource
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from buildguard.agents.processes import token_of
from buildguard.checks import runner as module
from buildguard.checks.output import TAIL_BYTES
from buildguard.checks.runner import (
    ACTIVE_VARIABLE,
    Command,
    Order,
    Result,
    Verdict,
    active,
    nested_in,
    run,
    scrubbed,
)

# xdist's workers have threads; buildguard itself has none when it forks.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

AT_MOST = 60.0
"""Seconds that a check which waits for the test may take; only a failing test takes that long."""

Run = Callable[..., Result]


def children() -> set[int]:
    """The processes below this one."""
    return {child.pid for child in psutil.Process().children()}


@pytest.fixture
def servers() -> set[int]:
    """The processes that other tests of this worker have started and share."""
    return children()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Run]:
    """Runs a line for the shell in a fresh folder, its output going nowhere unless the test says where."""
    with open(os.devnull, "wb") as nowhere:

        def run_line(line: str, **options: Any) -> Result:
            defaults = {"stdout": nowhere.fileno(), "stderr": nowhere.fileno(), "timeout": AT_MOST}
            where = {"environment": os.environ, "cwd": tmp_path}
            return ordered(Command.from_shell(line), **{**defaults, **where, **options})

        yield run_line


def ordered(command: Command, **options: Any) -> Result:
    """Run it with those options that belong to the order, and those that belong to the run."""
    rest = {name: options.pop(name) for name in list(options) if name not in Order._fields}
    return run(Order(command, **options), **rest)


def words(*argv: str, **options: Any) -> Result:
    return ordered(Command.from_words(argv), environment=os.environ, cwd=options.pop("cwd", "."), **options)


# What the end of a check means


@pytest.mark.parametrize(
    ("line", "verdict", "status", "why"),
    [
        ("exit 0", Verdict.PASSED, 0, ""),
        ("exit 1", Verdict.FAILED, 1, ""),
        ("exit 125", Verdict.FAILED, 125, ""),
        ("exit 255", Verdict.FAILED, 255, ""),
        ("exit 126", Verdict.INCONCLUSIVE, 126, "not executable (exit status 126)"),
        ("no-such-command-here", Verdict.INCONCLUSIVE, 127, "command not found (exit status 127)"),
        *(
            (
                line.format(name=name, status=128 + number),
                Verdict.INCONCLUSIVE,
                128 + number,
                f"killed by SIG{name}",
            )
            for name, number in (("HUP", 1), ("INT", 2), ("KILL", 9), ("TERM", 15))
            for line in ("kill -{name} $$", "exit {status}")
        ),
        *(
            (line.format(name=name, status=128 + number), Verdict.FAILED, 128 + number, "")
            for name in ("ABRT", "SEGV", "BUS", "FPE", "ILL")
            for number in [signal.Signals[f"SIG{name}"]]
            for line in ("ulimit -c 0; kill -{name} $$", "exit {status}")
        ),
    ],
)
def test_the_exit_status_is_the_verdict(shell: Run, line: str, verdict: Verdict, status: int, why: str) -> None:
    result = shell(line)
    assert (result.verdict, result.status, result.why) == (verdict, status, why)


def test_a_status_may_be_declared_inconclusive(shell: Run) -> None:
    result = shell("exit 5", inconclusive=frozenset({5}))
    assert (result.verdict, result.status, result.why) == (Verdict.INCONCLUSIVE, 5, "exit status 5")


def test_another_status_than_the_declared_one_is_a_failure(shell: Run) -> None:
    assert shell("exit 6", inconclusive=frozenset({5})).verdict is Verdict.FAILED


NOTHING_TESTED = {
    "no tests ran in 0.42s\nERROR: file or directory not found: nope.py\n\n": 4,
    "ERROR: usage: pytest [options]\npytest: error: unrecognized arguments: -y\n  inifile: None\n  rootdir: /a": 4,
    "\n======= 3 deselected, 1 warning in 75.20s (0:01:15) =======\n": 5,
    "INTERNALERROR> ZeroDivisionError: division by zero\n\nno tests ran in 0.00s\n": 3,
    "!!!!!!!!! KeyboardInterrupt !!!!!!!!!\n(to show a full traceback use --full-trace)\n1 passed in 0.58s\n": 2,
    "\x1b[33m\x1b[33mno tests ran\x1b[0m\x1b[33m in 0.00s\x1b[0m\x1b[0m\n": 5,
}
TESTED_OR_ANOTHER_TOOL = {
    "ERROR test_a.py\n!!!!! Interrupted: 1 error during collection !!!!!\n1 error in 0.53s\n": 2,
    "!!!!! xdist.dsession.Interrupted: stopping after 1 failures !!!!!\n1 failed, 2 passed in 3.07s\n": 2,
    "ImportError while loading conftest '/a/conftest.py'.\nE   ModuleNotFoundError: No module named 'b'\n": 4,
    "no tests ran in 0.00s\nmake: *** [Makefile:2: test] Error 5\n": 2,
    "no tests ran in 0.00s\n": 1,
    "done in 0.53s\n": 2,
    "": 5,
}


@pytest.mark.parametrize("output", NOTHING_TESTED)
def test_pytest_that_does_not_get_through_its_tests_is_inconclusive(shell: Run, output: str) -> None:
    result = shell(f"printf %s {shlex.quote(output)}; exit {NOTHING_TESTED[output]}")
    assert result.verdict is Verdict.INCONCLUSIVE
    status = NOTHING_TESTED[output]
    what = "found no tests" if status == 5 else "did not get through its tests"
    assert result.why == f"pytest {what} (exit status {status})"


@pytest.mark.parametrize("output", TESTED_OR_ANOTHER_TOOL)
def test_the_same_status_with_an_error_or_of_another_tool_is_a_failure(shell: Run, output: str) -> None:
    result = shell(f"printf %s {shlex.quote(output)}; exit {TESTED_OR_ANOTHER_TOOL[output]}")
    assert (result.verdict, result.why) == (Verdict.FAILED, "")


def test_a_command_that_is_not_there_is_named() -> None:
    result = words("no-such-command-here")
    assert (result.verdict, result.status) == (Verdict.INCONCLUSIVE, 127)
    assert result.why == "command not found: no-such-command-here"


def test_a_file_that_may_not_be_executed_is_named(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    result = words("./plain", cwd=tmp_path)
    assert (result.verdict, result.status) == (Verdict.INCONCLUSIVE, 126)
    assert result.why == "cannot start: ./plain: Permission denied"


def test_a_script_without_interpreter_is_inconclusive(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("exit 0\n")
    (tmp_path / "script").chmod(0o755)
    result = words("./script", cwd=tmp_path)
    assert (result.verdict, result.status) == (Verdict.INCONCLUSIVE, 126)
    assert result.why.startswith("cannot start: ./script: ")


def test_a_path_through_a_file_is_inconclusive(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert words("file/check", cwd=tmp_path).status == 126


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    result = words("true", cwd=tmp_path / "gone")
    assert (result.verdict, result.status) == (Verdict.INCONCLUSIVE, 126)
    assert result.why == f"cannot start: {tmp_path}/gone: No such file or directory"


@pytest.mark.parametrize("argv", [(), ("tr\0ue",), ("true", "\0")])
def test_what_no_system_can_execute_is_inconclusive(argv: tuple[str, ...]) -> None:
    result = words(*argv)
    assert (result.verdict, result.status) == (Verdict.INCONCLUSIVE, None)
    assert result.why.startswith("cannot start: ")


def test_a_system_without_descriptors_is_inconclusive(shell: Run) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        result = shell("true")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (result.verdict, result.status) == (Verdict.INCONCLUSIVE, 126)
    assert result.why.endswith("Too many open files")


def test_words_are_shown_as_they_would_be_typed() -> None:
    command = Command.from_words(["pytest", "-k", "not slow"])
    assert (command.argv, command.text) == (("pytest", "-k", "not slow"), "pytest -k 'not slow'")


def test_the_time_it_took_is_told(shell: Run) -> None:
    assert 0.2 <= shell("sleep 0.2").seconds < AT_MOST


# Its output


def test_a_line_arrives_before_the_check_ends(shell: Run, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)

    def release_when_the_line_is_here() -> bool:
        try:
            arrived = os.read(reader, 100)
        except BlockingIOError:
            return True
        assert arrived == b"first\n"
        (tmp_path / "go").touch()
        return True

    line = "echo first; until [ -e go ]; do sleep 0.01; done"
    result = shell(line, stdout=writer, stderr=writer, caller_lives=release_when_the_line_is_here)
    os.close(reader)
    os.close(writer)
    assert result.verdict is Verdict.PASSED


def test_both_streams_of_one_file_keep_their_order(shell: Run, tmp_path: Path) -> None:
    with open(tmp_path / "log", "wb") as log:
        both = os.dup(log.fileno())
        result = shell(
            "for i in 1 2 3 4 5 6 7 8 9; do echo $i; echo -$i >&2; done", stdout=log.fileno(), stderr=both
        )
        os.close(both)
    expected = b"".join(b"%d\n-%d\n" % (i, i) for i in range(1, 10))
    assert (tmp_path / "log").read_bytes() == expected
    assert result.output == expected


def test_streams_of_two_files_stay_apart(shell: Run, tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as err:
        result = shell("echo out; echo err >&2", stdout=out.fileno(), stderr=err.fileno())
    assert (tmp_path / "out").read_bytes() == b"out\n"
    assert (tmp_path / "err").read_bytes() == b"err\n"
    assert sorted(result.output.split()) == [b"err", b"out"]


def test_only_the_tail_is_kept_and_all_is_passed_on(shell: Run, tmp_path: Path) -> None:
    size = 5 * TAIL_BYTES
    with open(tmp_path / "log", "wb") as log:
        result = shell(f"head -c {size} /dev/zero; echo end", stdout=log.fileno(), stderr=log.fileno())
    assert (tmp_path / "log").stat().st_size == size + 4
    assert len(result.output) == TAIL_BYTES
    assert result.output.endswith(b"\0end\n")


def test_a_reader_that_went_away_does_not_change_the_verdict(shell: Run) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = shell(f"head -c {TAIL_BYTES} /dev/zero; echo end", stdout=writer, stderr=writer)
    os.close(writer)
    assert result.verdict is Verdict.PASSED
    assert result.output.endswith(b"end\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_does_not_change_the_verdict(shell: Run) -> None:
    with open("/dev/full", "wb") as full:
        assert shell("echo one; echo two", stdout=full.fileno(), stderr=full.fileno()).output == b"one\ntwo\n"


def test_a_last_line_without_end_is_ended_where_our_own_lines_follow(shell: Run, tmp_path: Path) -> None:
    with open(tmp_path / "both", "wb") as both, open(tmp_path / "out", "wb") as out:
        result = shell("printf done", stdout=both.fileno(), stderr=both.fileno())
        shell("printf out; printf err >&2", stdout=out.fileno(), stderr=both.fileno())
    assert result.output == b"done"
    assert (tmp_path / "both").read_bytes() == b"done\nerr\n"
    assert (tmp_path / "out").read_bytes() == b"out"


def test_more_than_1024_open_descriptors_do_not_matter(shell: Run, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("the system allows no more descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        result = shell("echo out; exit 1")
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (result.verdict, result.output) == (Verdict.FAILED, b"out\n")


def test_the_check_reads_nothing(shell: Run) -> None:
    ours = os.dup(0)
    reader, writer = os.pipe()
    os.dup2(reader, 0)
    try:
        assert shell("cat").verdict is Verdict.PASSED
    finally:
        os.dup2(ours, 0)
        for end in (ours, reader, writer):
            os.close(end)


def test_it_ends_with_its_main_process_whoever_holds_its_output(shell: Run) -> None:
    result = shell(f"sleep {AT_MOST:.0f} & echo $!")
    os.kill(int(result.output), signal.SIGKILL)
    assert result.verdict is Verdict.PASSED
    assert result.seconds < AT_MOST / 2


def test_a_process_left_behind_is_left_alone(shell: Run) -> None:
    left = psutil.Process(int(shell(f"sleep {AT_MOST:.0f} >&- 2>&- & echo $!").output))
    assert left.status() in (psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING)
    left.kill()


def test_what_floods_its_output_after_the_end_does_not_hold_us(shell: Run) -> None:
    assert shell("yes & exit 0").verdict is Verdict.PASSED


# What it is asked while it runs, and what it leaves


def test_it_ticks_while_it_runs(shell: Run, tmp_path: Path) -> None:
    ticks: list[None] = []

    def tick() -> None:
        ticks.append(None)
        if len(ticks) == 3:
            (tmp_path / "go").touch()

    result = shell("until [ -e go ]; do sleep 0.01; done", tick=tick, tick_every=0.1)
    assert result.verdict is Verdict.PASSED


def test_an_error_in_a_tick_ends_the_check_and_is_raised(shell: Run, servers: set[int]) -> None:
    def tick() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        shell("exec sleep 60", tick=tick, tick_every=0.0)
    assert children() <= servers


def test_it_ends_when_its_time_is_over(shell: Run) -> None:
    result = shell("sleep 60; true", timeout=0.2)
    assert (result.verdict, result.status, result.why) == (Verdict.INCONCLUSIVE, 143, "timed out after 0.2 s")
    assert result.seconds < AT_MOST / 2


def test_its_last_words_are_passed_on_when_its_time_is_over(shell: Run) -> None:
    assert shell("trap 'echo bye; exit' TERM; sleep 60", timeout=0.2).output.endswith(b"bye\n")


def test_a_reader_that_stands_still_does_not_keep_it_from_ending(shell: Run) -> None:
    reader, writer = os.pipe()
    result = shell("yes", stdout=writer, stderr=writer, timeout=0.2)
    os.close(reader)
    os.close(writer)
    assert result.why == "timed out after 0.2 s"
    assert result.seconds < AT_MOST / 2


def test_one_that_ignores_sigterm_is_killed(shell: Run) -> None:
    result = shell("trap '' TERM; while :; do sleep 1; done", timeout=0.2)
    assert (result.status, result.why) == (137, "timed out after 0.2 s")


def test_it_ends_when_the_calling_git_is_gone(shell: Run) -> None:
    result = shell("sleep 60; true", caller_lives=lambda: False)
    assert (result.verdict, result.why) == (Verdict.INTERRUPTED, "the git that called is gone")
    assert result.seconds < AT_MOST / 2


def test_it_ends_even_when_the_guardian_was_killed(shell: Run, servers: set[int]) -> None:
    def kill_the_guardian() -> bool:
        ourselves = psutil.Process()
        for child in ourselves.children():
            if child.cmdline() == ourselves.cmdline():
                child.kill()
        return False

    assert shell("exec sleep 60", caller_lives=kill_the_guardian).verdict is Verdict.INTERRUPTED
    assert children() <= servers


def test_signals_do_again_what_they_did_before(shell: Run) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
    before = [signal.getsignal(number) for number in numbers]
    shell("true")
    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_failure_is_seen_where_ended_children_are_ignored(shell: Run) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert shell("exit 3").status == 3
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_hangup_that_nohup_ignores_stays_ignored(shell: Run) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert shell("kill -HUP $PPID").verdict is Verdict.PASSED
    finally:
        signal.signal(signal.SIGHUP, before)


def test_it_runs_in_another_thread_than_the_main_one(shell: Run) -> None:
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(shell("echo here; exit 3")))
    thread.start()
    thread.join()
    assert [(result.status, result.output) for result in results] == [(3, b"here\n")]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
def test_many_runs_leave_no_descriptor_and_no_zombie(shell: Run, servers: set[int]) -> None:
    shell("true")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for line in ["true", "exit 1", "sleep 60"] * 3:
        shell(line, timeout=0.1)
        words("no-such-command-here")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert children() <= servers


# The environment


def test_a_check_knows_the_process_that_runs_it_and_the_runs_around_that(shell: Run) -> None:
    around = "'/a/.git'\t'make'\t7 8 here\n"
    asked = active({ACTIVE_VARIABLE: around.rstrip()}, "/b/.git", "tox")
    environment = {ACTIVE_VARIABLE: asked, "PATH": os.defpath}
    output = shell(f'printf %s "${ACTIVE_VARIABLE}"', environment=environment).output.decode()
    assert output == f"{around}'/b/.git'\t'tox'\t{token_of(os.getpid())}"


def below(*runs: tuple[str, str]) -> dict[str, str]:
    """The environment below runs in repositories, the outermost first."""
    environment: dict[str, str] = {}
    for common_dir, check in runs:
        environment[ACTIVE_VARIABLE] = active(environment, common_dir, check)
    return environment


def test_a_run_is_nested_in_every_run_of_its_check_above() -> None:
    environment = below(("/a/.git", "make"), ("/b/.git", "tox"), ("/a/.git", "echo 'x'\necho é"))
    for common_dir, check in (("/a/.git", "make"), ("/b/.git", "tox"), ("/a/.git", "echo 'x'\necho é")):
        assert nested_in(environment, common_dir, check)
        assert nested_in(environment, common_dir)


def test_a_run_is_not_nested_in_another_check_nor_in_another_repository() -> None:
    environment = below(("/a/.git", "make"), ("/b/.git", "tox"))
    assert not nested_in(environment, "/a/.git", "tox")
    assert not nested_in(environment, "/a/.git", "mak")
    assert not nested_in(environment, "/a/.gi")
    assert not nested_in({}, "/a/.git")
    assert not nested_in({}, "", "")


HOOK = """
import os, sys
from buildguard.checks.runner import ACTIVE_VARIABLE, Command, Order, active, nested_in, run
check, common_dir = "git commit --allow-empty -qm inner", os.path.realpath(os.environ["GIT_DIR"])
nested = nested_in(os.environ, common_dir, check)
with open("../said", "a") as said:
    print("nested" if nested else "checks", file=said)
if not nested:
    environment = {**os.environ, ACTIVE_VARIABLE: active(os.environ, common_dir, check)}
    sys.exit(run(Order(Command.from_shell(check), environment, ".")).status)
"""


def test_the_hook_of_a_commit_that_the_check_makes_can_tell_that_it_is_nested(shell: Run, tmp_path: Path) -> None:
    root = str(Path(module.__file__).parents[2])
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "@", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "@"}
    repository = tmp_path / "a b"
    assert shell("git init -q 'a b'").verdict is Verdict.PASSED
    hook = repository / ".git" / "hooks" / "pre-commit"
    hook.write_text(f"#!{sys.executable}\n{HOOK}")
    hook.chmod(0o755)
    environment = {**os.environ, **who, "PYTHONPATH": root, "GIT_DIR": str(repository / ".git")}
    shell("git commit --allow-empty -qm outer", environment=environment, cwd=repository)
    assert (tmp_path / "said").read_text() == "checks\nnested\n"


LOCAL_NAMES = ["GIT_DIR", "GIT_INDEX_FILE", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"]


@pytest.mark.parametrize(
    "name",
    [
        *("GIT_DIR", "GIT_INDEX_FILE", "GIT_CONFIG_PARAMETERS"),
        *("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_DATE"),
        *("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_COMMITTER_DATE"),
        *("GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "GIT_REFLOG_ACTION", "BUILDGUARD_VERDICT_FILE"),
    ],
)
def test_the_check_does_not_see(name: str) -> None:
    assert scrubbed({name: "x", "HOME": "/home/me"}, LOCAL_NAMES, None) == {"HOME": "/home/me"}


@pytest.mark.parametrize(
    "name",
    [
        *("GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0", "GIT_EXEC_PATH", "GIT_SSH_COMMAND"),
        *("EDITOR", "VISUAL", "PATH", "VIRTUAL_ENV", "BUILDGUARD_ACTIVE", "BUILDGUARD_AGENT"),
    ],
)
def test_the_check_still_sees(name: str) -> None:
    assert scrubbed({name: "x"}, LOCAL_NAMES, None) == {name: "x"}


def test_the_frameworks_environment_leaves_the_path_wherever_it_stands(tmp_path: Path) -> None:
    private = tmp_path / "private"
    (private / "bin").mkdir(parents=True)
    (tmp_path / "link").symlink_to(private)
    path = f"{private}/bin:/usr/bin::{private}/./bin/:{tmp_path}/link/bin:/bin:{private}"
    assert scrubbed({"PATH": path}, [], str(private)) == {"PATH": f"/usr/bin::/bin:{private}"}


def test_the_frameworks_environment_is_no_virtual_environment_of_the_check(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert scrubbed({"VIRTUAL_ENV": f"{tmp_path}/link/"}, [], str(tmp_path)) == {}


def test_the_users_own_virtual_environment_stays(tmp_path: Path) -> None:
    environment = {"VIRTUAL_ENV": f"{tmp_path}/mine", "PATH": f"{tmp_path}/mine/bin:/bin"}
    assert scrubbed(environment, [], f"{tmp_path}/private") == environment


def test_an_environment_given_to_scrub_is_not_changed() -> None:
    environment = {"GIT_DIR": "x"}
    scrubbed(environment, LOCAL_NAMES, None)
    assert environment == {"GIT_DIR": "x"}


def test_importing_the_module_does_not_import_what_only_killing_needs() -> None:
    heavy = "{'psutil', 'pathlib', 'json', 'tempfile', 'asyncio', 'shlex', 'buildguard.agents.processes'}"
    code = f"import sys, buildguard.checks.runner; raise SystemExit(sorted({heavy} & set(sys.modules)) or 0)"
    environment = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2])}
    result = ordered(
        Command.from_shell(f"{shlex.quote(sys.executable)} -S -c {shlex.quote(code)}"),
        environment=environment,
        cwd=".",
    )
    assert (result.status, result.output) == (0, b"")
