"""Nothing of a check survives what ends it: a signal to buildguard, or buildguard's own death by SIGKILL.

Each test starts a process that runs a check as the hook does, and marks it in the environment, so that
whatever comes of it is found: the check, what it started, buildguard and the guardian.
"""

import fcntl
import json
import os
import random
import select
import shlex
import signal
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from buildguard.checks import runner as module

NOTHING_SURVIVES = 10.0
"""Seconds after which nothing of a run may live. A quiet machine needs 2; a survivor lives for 60."""

AT_MOST = 60.0
"""Seconds to wait for what must come; only a failing test waits that long."""

RUNNER = """
import contextlib, json, os, signal, sys
from buildguard.checks.runner import Command, Order, run
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
with contextlib.suppress(OSError):  # closed, in one test
    os.write(1, b"begins\\n")
result = run(Order(Command.from_shell(sys.argv[1]), os.environ, "."))
with open(sys.argv[2], "w") as report:
    json.dump([result.verdict.name, result.why, result.status], report)
"""

PYTHON = shlex.quote(sys.executable)


def until(condition: Callable[[], bool], within: float = AT_MOST) -> bool:
    """Whether the condition came true in time; looks every 10 ms, so as not to take the time from the others."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def python(code: str) -> str:
    """A line for the shell that runs `code`."""
    return f"exec {PYTHON} -S -c {shlex.quote(code)}"


READY = "import os, signal, time; ready = lambda: os.write(1, b'ready\\n')\n"
DEAF = "for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)\n"

ORPHAN = "os.fork() or (os.setpgid(0, 0), os.fork() and os._exit(0), ready())\ntime.sleep(60)"
DAEMON = (
    "os.fork() or (os.setsid(), os.fork() and os._exit(0), os.write(1, b'%d\\n' % os.getpid()))\ntime.sleep(60)"
)
DEAF_CHECK = python(READY + DEAF + "ready(); time.sleep(60)")
CHECKS = {
    "a child of a shell": "echo ready; sleep 60; true",
    "another process group": python(READY + "os.fork() or (os.setpgid(0, 0), ready()); time.sleep(60)"),
    "an orphan": python(READY + ORPHAN),
    "a deaf orphan": python(READY + DEAF + ORPHAN),
}


class Runner:
    """A process that runs a check, with what becomes of both."""

    def __init__(self, line: str, folder: Path, *prefix: str, inherited: int | None = None) -> None:
        self.mark = uuid.uuid4().hex
        self._report = folder / f"report-{self.mark}"
        self.argv = [*prefix, sys.executable, "-c", RUNNER, line, str(self._report)]
        root = str(Path(module.__file__).parents[2])
        self.process = subprocess.Popen(
            self.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": root, "BUILDGUARD_TEST_MARK": self.mark},
            start_new_session=True,
            pass_fds=() if inherited is None else (inherited,),
            bufsize=0,
        )

    def wait_for(self, line: bytes) -> None:
        """Read its output up to this line."""
        while self.line() != line:
            pass

    def line(self) -> bytes:
        """Read the next line of its output."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + AT_MOST
        seen = b""
        while not seen.endswith(b"\n"):
            assert select.select([self.process.stdout], [], [], deadline - time.monotonic())[0], seen
            piece = self.process.stdout.read(1)
            assert piece, seen
            seen += piece
        return seen[:-1]

    def rest(self) -> bytes:
        """Everything it still prints, until nobody holds its output any more."""
        return self.process.communicate(timeout=AT_MOST)[0]

    def unread(self) -> int:
        """How many bytes of its output wait for us."""
        assert self.process.stdout is not None
        answer = fcntl.ioctl(self.process.stdout, termios.FIONREAD, b"0000")
        return int.from_bytes(answer, sys.byteorder)

    def report(self) -> list[object]:
        """What the run came to: verdict, why, status."""
        self.process.wait(AT_MOST)
        found: list[object] = json.loads(self._report.read_text())
        return found

    def living(self) -> list[int]:
        """Whatever bears the mark and lives: buildguard, its guardian, the check and all that came of it."""
        self.process.poll()
        return [pid for pid in psutil.pids() if self._bears(pid)]

    def assert_gone(self) -> None:
        """Fails unless nothing lives when the promised time is over."""
        gone = until(lambda: not self.living(), NOTHING_SURVIVES)
        assert gone, [psutil.Process(pid) for pid in self.living()]

    def _bears(self, pid: int) -> bool:
        try:
            process = psutil.Process(pid)
            bears = process.environ().get("BUILDGUARD_TEST_MARK") == self.mark
            return bears and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def clean_up(self) -> None:
        """Kill what a failed test left."""
        while left := self.living():
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


Start = Callable[..., Runner]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    runners: list[Runner] = []

    def start_runner(line: str, *prefix: str, inherited: int | None = None) -> Runner:
        runners.append(Runner(line, tmp_path, *prefix, inherited=inherited))
        return runners[-1]

    yield start_runner
    for runner in runners:
        runner.clean_up()


# SIGKILL, that nobody can answer


@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["buildguard", "its process group"])
@pytest.mark.parametrize("line", CHECKS.values(), ids=CHECKS.keys())
def test_nothing_survives_sigkill(start: Start, kill: Callable[[int, int], None], line: str) -> None:
    runner = start(line)
    runner.wait_for(b"ready")
    assert len(runner.living()) >= 3
    kill(runner.process.pid, signal.SIGKILL)
    runner.assert_gone()


@pytest.mark.parametrize("seed", range(4))
def test_nothing_survives_sigkill_at_any_moment(start: Start, seed: int) -> None:
    moments, kinds = random.Random(seed), [line for kind, line in CHECKS.items() if "deaf" not in kind]
    for turn in range(10):
        runner = start(moments.choice(kinds))
        runner.wait_for(b"begins")
        with suppress(subprocess.TimeoutExpired):
            runner.process.wait(moments.uniform(0, 0.02))
        (os.kill if turn % 2 else os.killpg)(runner.process.pid, signal.SIGKILL)
        runner.assert_gone()


def test_nothing_survives_sigkill_while_buildguard_is_stopped(start: Start) -> None:
    runner = start(CHECKS["an orphan"])
    runner.wait_for(b"ready")
    os.killpg(runner.process.pid, signal.SIGSTOP)
    os.killpg(runner.process.pid, signal.SIGKILL)
    runner.assert_gone()


def test_nothing_survives_sigkill_while_the_check_is_being_ended(start: Start) -> None:
    runner = start(
        python(READY + "signal.signal(15, lambda *_: os.write(1, b'asked\\n'))\nready()\nwhile 1: time.sleep(60)")
    )
    runner.wait_for(b"ready")
    runner.process.terminate()
    runner.wait_for(b"asked")
    runner.process.kill()
    runner.assert_gone()


def test_a_nested_run_does_not_survive_sigkill_of_the_outer_one(start: Start, tmp_path: Path) -> None:
    inner = [PYTHON, "-c", shlex.quote(RUNNER), shlex.quote(CHECKS["a deaf orphan"])]
    runner = start(" ".join([*inner, shlex.quote(str(tmp_path / "inner"))]))
    runner.wait_for(b"ready")
    assert len(runner.living()) >= 5
    runner.process.kill()
    runner.assert_gone()


def test_a_daemon_that_left_the_session_is_let_be(start: Start) -> None:
    runner = start(python(READY + DAEMON))
    runner.wait_for(b"begins")
    daemon = int(runner.line())
    runner.process.terminate()
    assert runner.report()[:2] == ["INTERRUPTED", "SIGTERM"]
    assert until(lambda: runner.living() == [daemon])


def test_who_reads_our_output_sees_its_end_at_once_when_we_are_killed(start: Start) -> None:
    runner = start(DEAF_CHECK)
    runner.wait_for(b"ready")
    runner.process.kill()
    assert runner.rest() == b""
    assert runner.living(), "the deaf check still has its second"
    runner.assert_gone()


def test_neither_guardian_nor_check_keeps_what_we_inherited(start: Start) -> None:
    reader, writer = os.pipe()
    runner = start(DEAF_CHECK, inherited=writer)
    os.close(writer)
    runner.wait_for(b"ready")
    runner.process.kill()
    assert select.select([reader], [], [], AT_MOST)[0]
    os.close(reader)
    assert runner.living(), "the deaf check still has its second"
    runner.assert_gone()


# Signals that are answered


@pytest.mark.parametrize(
    ("name", "kind"), [*(("SIGTERM", kind) for kind in CHECKS), ("SIGINT", "an orphan"), ("SIGHUP", "an orphan")]
)
def test_nothing_survives_a_signal(start: Start, name: str, kind: str) -> None:
    runner = start(CHECKS[kind])
    runner.wait_for(b"ready")
    runner.process.send_signal(signal.Signals[name])
    runner.assert_gone()
    assert runner.report()[:2] == ["INTERRUPTED", name]


@pytest.mark.parametrize(("sent", "received"), [("SIGINT", 2), ("SIGTERM", 15), ("SIGHUP", 15)])
def test_each_process_is_asked_once_and_may_say_a_last_word(start: Start, sent: str, received: int) -> None:
    code = "[signal.signal(n, lambda n, _: os.write(1, b'got %d\\n' % n)) for n in (1, 2, 15)]; ready()\n"
    runner = start(python(READY + code + "while True: time.sleep(60)"))
    runner.wait_for(b"ready")
    os.killpg(runner.process.pid, signal.Signals[sent])
    assert runner.rest() == b"got %d\n" % received
    assert runner.report() == ["INTERRUPTED", sent, 137]


def test_what_the_check_starts_to_tidy_up_is_let_finish(start: Start) -> None:
    runner = start("trap 'sleep 0.2; echo tidy; exit' TERM; echo ready; while :; do sleep 60; done 2>&-")
    runner.wait_for(b"ready")
    runner.process.terminate()
    runner.wait_for(b"tidy")
    assert runner.report()[:2] == ["INTERRUPTED", "SIGTERM"]


def test_a_second_signal_does_not_abort_the_ending(start: Start) -> None:
    runner = start(
        python(READY + "signal.signal(2, lambda *_: os.write(1, b'asked\\n'))\nready()\nwhile 1: time.sleep(60)")
    )
    runner.wait_for(b"ready")
    runner.process.send_signal(signal.SIGINT)
    runner.wait_for(b"asked")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        runner.process.send_signal(number)
    runner.assert_gone()
    assert runner.report() == ["INTERRUPTED", "SIGINT", 137]


def test_a_signal_is_answered_while_the_reader_of_our_output_stands_still(start: Start) -> None:
    runner = start("yes")
    assert until(lambda: runner.unread() > 60_000), "a pipe holds 64 KiB"
    runner.process.terminate()
    runner.assert_gone()
    assert runner.report()[:2] == ["INTERRUPTED", "SIGTERM"]


def test_a_signal_in_the_first_moments_is_answered(start: Start) -> None:
    for moment in range(5):
        runner = start(CHECKS["a child of a shell"])
        runner.wait_for(b"begins")
        with suppress(subprocess.TimeoutExpired):
            runner.process.wait(0.004 * moment)
        runner.process.terminate()
        runner.assert_gone()


def test_closed_standard_descriptors_do_not_matter(start: Start) -> None:
    runner = start("echo one; echo two >&2; exit 3", "/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
    assert runner.report() == ["FAILED", "", 3]
