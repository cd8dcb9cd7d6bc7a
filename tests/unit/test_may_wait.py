"""When a hook may wait, as one table: `refusal.may_wait` is a pure function of the situation."""

from dataclasses import dataclass

import pytest

from buildguard.agents.identity import ShellLimit
from buildguard.commands.refusal import SHELL_MARGIN, Leave, may_wait

GONE = "the git that called this hook is gone"
LOCKED = "this commit holds the index lock: waiting here would keep others from committing in this checkout"
OFF = "waiting in the hook is off"
FIVE_MINUTES = 300.0


def hides(framework: str) -> str:
    return f"{framework} hides unstaged edits while hooks run: waiting here would hide the fixer's"


def no_time(agent: str, limit: str) -> str:
    return f"{agent} stops a command after {limit}: no time is left to wait"


@dataclass(frozen=True)
class Asked:
    """A situation; what is not named is the harmless one."""

    locked: bool = False
    stash: str = ""
    lives: bool = True
    wait: float = FIVE_MINUTES
    shell: ShellLimit | None = None
    spent: float = 3.0
    check: float = 3.0


def leave(asked: Asked) -> Leave:
    return may_wait(
        locked=asked.locked,
        stash=asked.stash,
        lives=asked.lives,
        wait=asked.wait,
        shell=asked.shell,
        spent=asked.spent,
        check=asked.check,
    )


CLAUDE = ShellLimit("Claude Code", 120)
CODEX = ShellLimit("Codex", 10)
CURSOR = ShellLimit("Cursor", 30)

# Which commits hold the index lock, and what each runner's stash is called: docs/matrix.md has them measured.
KINDS = {
    "commit": False,
    "commit --amend": False,
    "merge resolution": False,
    "rebase reword": False,
    "pre-push, pre-merge-commit": False,
    "commit -a": True,
    "commit -p": True,
    "commit -i path": True,
    "commit -- path": True,
}
STASHES = {
    "native hook": "",
    "core.hooksPath": "",
    "configuration hook": "",
    "husky": "",
    "pre-commit, nothing unstaged": "",
    "pre-commit": "pre-commit",
    "prek": "prek",
    "lefthook": "lefthook",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("runner", STASHES)
def test_a_commit_waits_only_without_a_lock_and_without_a_stash(runner: str, kind: str) -> None:
    expected = Leave(FIVE_MINUTES)
    if STASHES[runner]:
        expected = Leave(0.0, hides(STASHES[runner]))
    if KINDS[kind]:
        expected = Leave(0.0, LOCKED)
    assert leave(Asked(locked=KINDS[kind], stash=STASHES[runner])) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Asked(), Leave(300.0)),
        (Asked(wait=1.0), Leave(1.0)),
        (Asked(wait=0.0), Leave(0.0, OFF)),
        # The shell's limit, less what is spent, the check that follows, and the margin.
        (Asked(shell=CLAUDE), Leave(120 - 3 - 3 - SHELL_MARGIN)),
        (Asked(shell=CLAUDE, wait=60), Leave(60.0)),
        (Asked(shell=CLAUDE, spent=40, check=40), Leave(30.0)),
        (Asked(shell=CLAUDE, spent=55, check=55), Leave(0.0, no_time("Claude Code", "2 min"))),
        (Asked(shell=CLAUDE, spent=54.5, check=55), Leave(0.5)),
        (Asked(shell=CLAUDE, spent=600, check=1), Leave(0.0, no_time("Claude Code", "2 min"))),
        (Asked(shell=CODEX, spent=0, check=0), Leave(0.0, no_time("Codex", "10 s"))),
        (Asked(shell=CURSOR), Leave(14.0)),
        (Asked(shell=CURSOR, spent=10, check=10), Leave(0.0, no_time("Cursor", "30 s"))),
        (Asked(lives=False), Leave(0.0, GONE)),
    ],
)
def test_the_wait_is_the_shortest_of_what_is_wanted_and_what_is_left(asked: Asked, expected: Leave) -> None:
    assert leave(asked) == expected


@pytest.mark.parametrize(
    ("asked", "gravest"),
    [
        (Asked(True, "prek", False, 0.0, CODEX), GONE),
        (Asked(True, "prek", True, 0.0, CODEX), LOCKED),
        (Asked(False, "prek", True, 0.0, CODEX), hides("prek")),
        (Asked(False, "", True, 0.0, CODEX), OFF),
        (Asked(False, "", True, 300.0, CODEX), no_time("Codex", "10 s")),
    ],
)
def test_of_several_reasons_the_gravest_is_told(asked: Asked, gravest: str) -> None:
    assert leave(asked).refusal == gravest


@pytest.mark.parametrize("lives", [True, False])
@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.parametrize("stash", ["", "pre-commit"])
@pytest.mark.parametrize("wait", [0.0, 300.0])
@pytest.mark.parametrize("shell", [None, CODEX, CLAUDE])
def test_a_leave_has_either_time_or_a_refusal_and_never_both(
    lives: bool, locked: bool, stash: str, wait: float, shell: ShellLimit | None
) -> None:
    answer = leave(Asked(locked, stash, lives, wait, shell))
    assert (answer.seconds > 0) != bool(answer.refusal)
    harmless = lives and not locked and not stash and wait > 0 and shell is not CODEX
    assert bool(answer.refusal) != harmless
