"""`buildguard demo` whatever the environment says, and however it is ended."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from testing.stage import Place, place_in, wrapped_git
from testing.support import BUILDGUARD, Checkout, Following, ended, eventually


@pytest.fixture
def place(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = place_in(tmp_path / "stage", tmp_path_factory.getbasetemp() / "bytecode")
    yield place
    place.clear()


def test_all_that_it_writes_is_in_one_folder(place: Place) -> None:
    following = Following(place.start())
    seen: set[str] = set()

    def over() -> bool:
        # Python itself tries for a moment whether a file can be made here, under a name of eight characters.
        seen.update(path.name for path in place.temporary.glob("buildguard*"))
        return following.process.poll() is not None

    eventually(over, "the end of the demo")
    assert following.ends().status == 0
    assert len(seen) == 1, seen


@pytest.mark.parametrize(
    "variables",
    [
        {"CI": "true", "GITHUB_RUN_ID": "1", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_JOB": "test"},
        {"BUILDGUARD": "0"},
        {"SKIP": "buildguard"},
        {"BUILDGUARD_CHECK": "false", "BUILDGUARD_AGENT": "agent-b", "BUILDGUARD_BUILD": "other"},
        {"BUILDGUARD_DB": "/nowhere/state.db", "BUILDGUARD_ACTIVE": "/nowhere/.git"},
        {"CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": "s-1"},
        {"PRE_COMMIT": "1"},
        {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": "/nowhere"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_it_runs_whatever_the_environment_says(place: Place, variables: dict[str, str]) -> None:
    done = place.run(**variables)
    assert done.status == 0, done
    assert "seen: one claim" in done.out


def test_the_users_git_configuration_does_not_reach_it(place: Place) -> None:
    (place.home / ".gitconfig").write_text(
        "[core]\n\thooksPath = /nowhere\n[commit]\n\tgpgSign = true\n[user]\n\tuseConfigOnly = true\n"
    )
    done = place.run()
    assert done.status == 0, done


def test_in_a_repositorys_hook_it_leaves_that_repository_alone(place: Place, checkout: Checkout) -> None:
    checkout.write("app.txt", "staged\n")
    checkout.ok("add", "-A")
    git_dir = checkout.path / ".git"
    before = checkout.ok("rev-parse", "HEAD"), checkout.ok("write-tree"), sorted(git_dir.iterdir())
    done = place.run(
        GIT_DIR=str(git_dir), GIT_INDEX_FILE=str(git_dir / "index"), GIT_WORK_TREE=str(checkout.path), GIT_PREFIX=""
    )
    assert done.status == 0, done
    assert before == (checkout.ok("rev-parse", "HEAD"), checkout.ok("write-tree"), sorted(git_dir.iterdir()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_ended_early_it_clears_away(place: Place, number: signal.Signals) -> None:
    following = Following(place.start())
    following.says("waiting: agent-a")
    # A terminal sends Ctrl-C to the whole group; who ends a process names that one.
    send = os.killpg if number == signal.SIGINT else os.kill
    send(following.process.pid, number)
    done = following.ends()
    assert done.status == 130, done
    assert (done.out + done.err).rstrip().endswith("next: buildguard demo")
    assert place.left == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ended_before_it_has_begun_it_clears_away(place: Place, number: signal.Signals) -> None:
    process = place.start()
    eventually(lambda: bool(list(place.temporary.iterdir())), "a folder for the demo")
    process.send_signal(number)
    assert ended(process).status == 130
    assert place.left == []


def test_killed_outright_its_processes_end_too(place: Place) -> None:
    following = Following(place.start())
    following.says("waiting: agent-a")
    following.process.kill()
    eventually(lambda: not place.processes, "no process of the demo is left")
    following.ends()


def test_a_terminal_gets_a_colour_for_each_agent(place: Place) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(
        [BUILDGUARD, "demo"], cwd=place.work, env=place.env(TERM="xterm"), stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    seen = b""
    while piece := _read(master):
        seen += piece
    os.close(master)
    assert process.wait() == 0, seen
    colours = {
        name: set(re.findall(rf"(\x1b\[[0-9;]+m){name} +\|".encode(), seen)) for name in ("agent-a", "agent-b")
    }
    assert [len(found) for found in colours.values()] == [1, 1]
    assert colours["agent-a"] != colours["agent-b"]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # how Linux says that nobody is left at the other end
        return b""


def test_what_the_agents_pass_on_cannot_move_the_cursor(place: Place) -> None:
    path = wrapped_git(
        place, 'case " $* " in *" Write "*) printf "\\033[2Jgone\\033]0;title\\007\\n" ;; esac\nexec "$GIT" "$@"'
    )
    done = place.run(PATH=path)
    assert done.status == 0, done
    assert "gone" in done.out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.out)


def test_what_takes_too_long_is_told_of_in_time(place: Place) -> None:
    path = wrapped_git(place, 'case "$*" in *"Write agent-a.md"*) sleep 300 ;; esac\nexec "$GIT" "$@"')
    code = "from buildguard.commands import demo; exit(demo.demo(3))"
    done = place.run(sys.executable, "-c", code, PATH=path)
    assert done.status == 1, done
    assert "(but: nothing)" in done.out
    assert "timed out" in done.out
    assert place.left == []
