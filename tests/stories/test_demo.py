"""`buildguard demo`: what it shows, what it verifies, and that nothing of it is left.

`tests/slow/test_demo_anywhere.py` runs it in odd environments and ends it in odd ways.
"""

import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from testing.stage import Place, place_in, said_by, wrapped_git
from testing.support import Done, Following

from buildguard.claims.model import Event, Kind
from buildguard.commands import demo


@pytest.fixture
def place(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = place_in(tmp_path, tmp_path_factory.getbasetemp() / "bytecode")
    yield place
    place.clear()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Done]:
    """One demo that ran to its end, in an environment that asks for colours; nobody changes anything of it."""
    place = place_in(tmp_path_factory.mktemp("played"), tmp_path_factory.getbasetemp() / "bytecode")
    return place, place.run(FORCE_COLOR="1", TERM="xterm")


def test_it_shows_one_claim_the_wait_the_fix_the_wake_up_and_all_commits(played: tuple[Place, Done]) -> None:
    _, done = played
    assert done.status == 0, done
    fixer, waiter = said_by(done, "agent-a"), said_by(done, "agent-b")
    assert done.out.count("you are the fixer") == 1
    assert "you are the fixer" in fixer
    assert "waiting: agent-a is fixing" in waiter
    assert re.search(r"agent-a fixed it[^|]*\n(.*\n)*.*committing again", waiter)
    assert re.search(r"\[main [0-9a-f]+\] Write agent-a.md(.*\n)*.*\[main [0-9a-f]+\] Fix the build", fixer)
    assert re.search(r"\[main [0-9a-f]+\] Write agent-b.md", waiter)
    assert "seen: one claim" in done.out


def test_the_fixer_runs_each_line_as_it_was_told_and_it_is_fixed_only_when_that_is_committed(
    played: tuple[Place, Done],
) -> None:
    fixer = said_by(played[1], "agent-a")
    told, run = re.findall(r"next: (.*)", fixer), re.findall(r"\| \$ (.*)", fixer)
    assert run[1:] == told
    assert len(told) == 2
    before, after = fixer.split(f"$ {told[1]}")
    assert "not committed: greet.sh" in before
    assert "fixed: " not in before
    assert "fixed: " in after


def test_every_line_says_who_speaks_and_a_pipe_gets_no_colour(played: tuple[Place, Done]) -> None:
    _, done = played
    assert "\x1b" not in done.both
    lines = done.out.splitlines()
    assert [line for line in lines if not re.match(r"(demo|agent-[ab]) +\| |buildguard: ", line)] == []


def test_nothing_of_it_is_left(played: tuple[Place, Done]) -> None:
    assert played[0].left == []


def test_its_lines_come_while_it_runs_and_ended_early_it_clears_away(place: Place) -> None:
    following = Following(place.start())
    following.says("you are the fixer")
    following.process.send_signal(signal.SIGTERM)
    done = following.ends()
    assert done.status == 130, done
    assert "agent-b waited" not in done.out
    assert done.out.splitlines()[-1] == "next: buildguard demo"
    assert place.left == []


def test_a_waiter_that_did_not_wait_is_told_of(place: Place) -> None:
    path = wrapped_git(
        place,
        'case "$1 $*" in "commit "*"Write agent-b.md"*) shift; exec "$GIT" commit --no-verify "$@" ;; esac\n'
        'exec "$GIT" "$@"',
    )
    done = place.run(PATH=path)
    assert done.status == 1, done
    assert "not seen: claimed by agent-a, fixed by agent-a, waited by agent-b (but: claimed by agent-a" in done.out
    assert done.out.splitlines()[-1] == "next: buildguard demo"
    assert place.left == []


def test_without_git_it_says_so(place: Place) -> None:
    done = place.run(PATH=str(place.work))
    assert done.status == 1, done
    assert "git is not installed" in done.both
    assert done.out.splitlines()[-1] == "next: buildguard demo"
    assert place.left == []


def test_with_nowhere_to_put_it_it_says_so(place: Place) -> None:
    code = "import tempfile; tempfile.tempdir = '/nowhere'; from buildguard.commands import demo; exit(demo.demo())"
    done = place.run(sys.executable, "-c", code)
    assert done.status == 1, done
    assert "/nowhere" in done.out
    assert done.out.splitlines()[-1] == "next: df -h"
    assert done.err == ""


CLAIM = Event(Kind.CLAIMED, "checkout:it", 1, "agent-a")
FIX = CLAIM._replace(kind=Kind.FIXED)
WAIT = CLAIM._replace(kind=Kind.WAITED, agent="agent-b", other="agent-a")


def test_a_history_of_all_of_it_lacks_nothing() -> None:
    assert demo.unseen([CLAIM, FIX, WAIT], demo.COMMITS) == []


@pytest.mark.parametrize(
    ("events", "seen"),
    [
        ([], "nothing"),
        ([FIX, WAIT], "fixed by agent-a, waited by agent-b"),
        ([CLAIM, FIX], "claimed by agent-a, fixed by agent-a"),
        ([CLAIM, WAIT, FIX], "claimed by agent-a, waited by agent-b, fixed by agent-a"),
        ([CLAIM, FIX._replace(agent="agent-b"), WAIT], "claimed by agent-a, fixed by agent-b, waited by agent-b"),
        (
            [CLAIM, FIX, WAIT, CLAIM._replace(agent="agent-b")],
            "claimed by agent-a, fixed by agent-a, waited by agent-b, claimed by agent-b",
        ),
    ],
)
def test_any_other_history_is_told(events: list[Event], seen: str) -> None:
    (told,) = demo.unseen(events, demo.COMMITS)
    assert told == f"claimed by agent-a, fixed by agent-a, waited by agent-b (but: {seen})"


@pytest.mark.parametrize("commits", [demo.COMMITS[:-1], [*demo.COMMITS, "more"], sorted(demo.COMMITS), []])
def test_other_commits_are_told(commits: list[str]) -> None:
    (told,) = demo.unseen([CLAIM, FIX, WAIT], commits)
    assert f"(but: {', '.join(commits)})" in told
