"""`buildguard cherry-pick`, killed or with git's objects pruned before each git that it starts."""

import shutil
from pathlib import Path

import pytest
from testing.picking import without_the_fix
from testing.support import Checkout, Done, with_variables

KILLED = 'kill -9 "$PPID"'
PRUNED = '"$REAL" prune --expire=now'
MOST_STEPS = 60


def disturbed(here: Checkout, folder: Path, step: int, what: str) -> tuple[Done, bool]:
    """A pick, before whose git number `step` that is done; and whether it came so far."""
    folder.mkdir()
    git = folder / "git"
    git.write_text(
        f'#!/bin/sh\nprintf . >> "$STEPS"\n[ $(wc -c < "$STEPS") != {step} ] || {what}\nexec "$REAL" "$@"\n'
    )
    git.chmod(0o755)
    steps = folder / "steps"
    steps.touch()
    variables = {"REAL": str(shutil.which("git")), "STEPS": str(steps), "PATH": f"{folder}:{here.env()['PATH']}"}
    done = with_variables(here, variables).buildguard("cherry-pick", "main", agent="bob")
    return done, len(steps.read_text()) >= step


def state(here: Checkout) -> tuple[str, str]:
    return here.ok("log", "--format=%s"), here.ok("status", "--porcelain")


@pytest.mark.parametrize("what", [KILLED, PRUNED], ids=["killed", "pruned"])
def test_before_whatever_git_it_is_ended_the_next_pick_makes_it_whole(tmp_path: Path, what: str) -> None:
    seen = set()
    for step in range(1, MOST_STEPS):
        (tmp_path / str(step)).mkdir()
        here = without_the_fix(tmp_path / str(step))
        before = state(here)
        done, came_so_far = disturbed(here, tmp_path / f"git{step}", step, what)
        if not came_so_far:
            break
        seen.add(done.status)
        if what == PRUNED and done.status != 0:
            assert state(here) == before, done
        again = here.buildguard("cherry-pick", "main", agent="bob")
        assert again.status == 0, again
        assert here.ok("show", "--name-only", "--format=", "HEAD") == "app.txt"
        assert here.ok("status", "--porcelain") == "A  bob.txt"
    assert step > 5
    assert seen <= ({-9, 137, 0} if what == KILLED else {0, 1})
