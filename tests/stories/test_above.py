"""Processes above us, and sub-agents that share a session: nobody waits for itself."""

import os
import re
import shlex
import subprocess
import sys
import termios

import pytest
from testing.pasting import following
from testing.support import BUILDGUARD, Checkout, Done, Worker, ended, eventually

BELOW = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
"""A program below another one that can stand for an agent, too."""


@pytest.fixture
def broken(checkout: Checkout) -> Checkout:
    checkout.write("app.txt", "BROKEN\n")
    return checkout


def below(one: Worker, *argv: str) -> Done:
    """Let a program below that agent run a command."""
    return one.run(sys.executable, "-c", BELOW, *argv)


COMMANDS = (
    (BUILDGUARD, "run", "--wait", "60s"),
    (BUILDGUARD, "claim"),
    (BUILDGUARD, "wait", "--timeout", "60s"),
    (BUILDGUARD, "commit", "--timeout", "60s", "-am", "x"),
    ("git", "commit", "--allow-empty", "-m", "x"),
)


def test_a_claim_of_a_process_above_ends_every_wait_at_once(broken: Checkout) -> None:
    with Worker(broken) as one:
        name = re.search(r"as (\S+) ", one.run(BUILDGUARD, "run").out)
        assert name
        for argv in COMMANDS:
            done = below(one, *argv)
            assert done.status == (1 if argv[0] == "git" else 75), done
            assert (
                f"busy: held by {name[1]}, a process above you, which may be waiting for this call\n" in done.both
            )
            assert re.search(rf"you are (?!{re.escape(name[1])})\S+ \(from process ", done.both)
            assert "waiting: " not in done.both
            assert "the wait ran out" not in done.both
            # To wait again would end at once again.
            assert following(done) == ("buildguard status" if "wait" in argv else "buildguard wait")


def test_a_shell_that_somebody_types_into_is_the_same_person_under_another_name(broken: Checkout) -> None:
    said = broken.path.parent / "said"
    program = shlex.join([sys.executable, "-c", BELOW, BUILDGUARD, "run"])
    new = shlex.quote(f"{said}.new")
    typed = f"{shlex.quote(BUILDGUARD)} claim\n{program} > {new}; mv {new} {shlex.quote(str(said))}\nexit\n"
    terminal, follower = os.openpty()
    attributes = termios.tcgetattr(terminal)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)
    os.set_blocking(terminal, False)
    shell = subprocess.Popen(
        ["setsid", "--ctty", "bash", "--norc", "-i"],
        cwd=broken.path,
        env=broken.env(),
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    os.write(terminal, typed.encode())
    eventually(lambda: _drained(terminal) and said.exists(), "both commands have run")
    shell.wait(60)
    os.close(terminal)
    holder = re.search(r"held by (\S+), a process above you", said.read_text())
    assert holder, said.read_text()
    assert said.read_text().endswith(f"next: buildguard run --agent {holder[1]}\n")
    named = broken.buildguard("run", "--agent", holder[1])
    assert "renewed: yours since" in named.out


def _drained(terminal: int) -> bool:
    """Read what a terminal shows, or who writes there would have to wait."""
    try:
        while os.read(terminal, 1 << 16):
            pass
    except OSError:
        return True
    return True


def test_sub_agents_of_one_session_are_told_that_it_may_be_another_ones(broken: Checkout) -> None:
    session = {"CLAUDE_CODE_SESSION_ID": "s1"}
    with Worker(broken, **session) as one, Worker(broken, **session) as two:
        assert "claimed: " in one.run(BUILDGUARD, "run").out
        again = one.run(BUILDGUARD, "run")
        assert "renewed: yours since" in again.out
        assert "sub-agent" not in again.both, "an ordinary second attempt"
        other = two.run(BUILDGUARD, "run")
        expected = r"renewed by this session [\d.]+ s ago; if that was another sub-agent, use --agent\n"
        assert re.search(expected, other.out), other
        assert "sub-agent" not in two.run(BUILDGUARD, "run").both, "said once: now the claim is this one's"


def test_the_commands_of_a_named_agent_may_come_from_anywhere(broken: Checkout) -> None:
    with Worker(broken, BUILDGUARD_AGENT="ann") as one, Worker(broken, BUILDGUARD_AGENT="ann") as two:
        assert "claimed: " in one.run(BUILDGUARD, "run").out
        other = two.run(BUILDGUARD, "run")
        assert ("renewed: yours" in other.out, "sub-agent" in other.both) == (True, False)


def test_the_claim_of_a_session_does_not_die_with_the_process_that_made_it(broken: Checkout) -> None:
    with Worker(broken, CLAUDE_CODE_SESSION_ID="s1") as one:
        assert "claimed: " in one.run(BUILDGUARD, "run").out
    done = ended(broken.start(BUILDGUARD, "run", agent="bob"))
    assert (done.status, "busy: " in done.out) == (75, True)
