"""Each `next:` line can be run as it stands: an agent's next command runs in a fresh shell that knows no names."""

import json
import shlex
from pathlib import Path

import pytest
from testing.pasting import following, pasted
from testing.support import BUILDGUARD, Checkout, Worker

OTHER = ("run", "--", "sh", "-c", "exit 3")
FAILS = ("run", "--", "false")

LINES = (
    # who calls, what, its exit status; the line, without the name; the exit status of the line, and what it says
    ("ann", ("run",), 1, "buildguard run", 1, "renewed: yours since"),
    ("ann", ("status",), 0, "buildguard run", 1, "renewed: yours since"),
    ("ann", ("run", "--", "no-such-check"), 4, "buildguard run -- no-such-check", 4, "could not run"),
    (
        "ann",
        OTHER,
        1,
        "buildguard run --build other -- sh -c 'exit 3'",
        1,
        "claimed: you are the fixer of build other",
    ),
    ("ann", ("release", "--claim", "7"), 3, "buildguard release --claim 1", 0, "released claim 1"),
    ("ann", ("commit", "-m", "x", "-a"), 1, "buildguard commit -m x -a", 1, "renewed: yours since"),
    ("bob", ("claim",), 75, "buildguard wait", 75, "you are bob\n"),
    ("bob", ("status",), 0, "buildguard wait", 75, "you are bob\n"),
    ("bob", ("wait", "--timeout", "0.1s"), 75, "buildguard wait", 75, "you are bob\n"),
    ("bob", ("release",), 3, "buildguard status", 0, "you are bob\n"),
    ("bob", ("reset",), 2, "buildguard reset --yes", 0, "the claim of ann is superseded"),
    ("bob", ("run", "--wait", "0.1s"), 75, "buildguard run --wait 0.1s", 75, "you are bob\n"),
    ("bob", ("run", "--build", "lint", *FAILS[1:]), 1, "buildguard run --build lint -- false", 1, "renewed: "),
    (
        "bob",
        ("commit", "--timeout", "0.1s", "-am", "x"),
        75,
        "buildguard commit --timeout 0.1s -am x",
        75,
        "you are bob",
    ),
)


@pytest.fixture
def held(checkout: Checkout) -> Checkout:
    """The build is broken, and ann is the fixer."""
    checkout.write("app.txt", "BROKEN\n")
    assert checkout.buildguard("run", agent="ann").status == 1
    return checkout


def claim(checkout: Checkout) -> list[object]:
    """All that is known of the claim."""
    found = json.loads(checkout.buildguard("status", "--json", agent="ann").out)
    return [found[name] for name in ("claim", "fixer", "seen_at", "broken_since", "last_check", "failures")]


@pytest.mark.parametrize(
    ("by", "agent", "words", "status", "line", "again", "said"),
    [*(("variable", *row) for row in LINES), *(("option", *row) for row in LINES[::4])],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_line_names_the_caller_and_is_run_as_it_stands(
    held: Checkout, by: str, agent: str, words: tuple[str, ...], status: int, line: str, again: int, said: str
) -> None:
    if by == "option":
        done = held.buildguard(words[0], "--agent", agent, *words[1:])
    else:
        done = held.buildguard(*words, agent=agent)
    assert done.status == status, done
    assert following(done).replace(f" --agent {agent}", "", 1) == line
    # What waits need not wait for long here.
    after = pasted(held, done, BUILDGUARD_WAIT="0.1s")
    assert (after.status, said in after.both) == (again, True), after


def test_a_name_with_a_blank_is_quoted(held: Checkout) -> None:
    done = held.buildguard("claim", agent="bob the builder")
    assert following(done) == "buildguard wait --agent 'bob the builder'"
    assert "you are bob the builder\n" in pasted(held, done, BUILDGUARD_WAIT="0.1s").out


def test_a_published_session_is_not_repeated_for_every_shell_of_it_knows_it(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    session = {"CLAUDE_CODE_SESSION_ID": "s1"}
    done = checkout.buildguard("run", **session)
    assert following(done) == "buildguard run"
    assert "renewed: yours since" in pasted(checkout, done, **session).out


def test_a_process_is_not_repeated_for_its_next_command_comes_from_it_too(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    with Worker(checkout) as one:
        done = one.run(BUILDGUARD, "run")
        assert following(done) == "buildguard run"
        assert "renewed: yours since" in one.run("sh", "-c", following(done)).out


def test_another_check_leaves_the_claim_alone_whatever_its_build_is_called(held: Checkout) -> None:
    before = claim(held)
    done = held.buildguard(*OTHER, agent="bob")
    assert (done.status, "another check than the one that build default is about" in done.out) == (1, True)
    assert "nothing is claimed" in done.out
    assert claim(held) == before
    held.buildguard("run", "--build", "lint", "--", "false", agent="ann")
    for words in (("--build", "lint"), ("--build=lint",)):
        done = held.buildguard("run", *words, *OTHER[1:], agent="bob")
        assert following(done) == "buildguard run --agent bob --build lint-other -- sh -c 'exit 3'"


def test_a_hook_of_another_check_names_a_commit_about_another_build(held: Checkout) -> None:
    (held.path / ".buildguard.toml").write_text('check = "grep -q fine app.txt"\n')
    done = held.git("commit", "-am", "x", agent="bob")
    assert done.status == 1
    assert following(done) == "buildguard commit --build other --agent bob -am x"
    after = pasted(held, done)
    assert (after.status, "claimed: you are the fixer of build other" in after.err) == (1, True)


def test_the_options_of_the_hook_itself_are_not_those_of_the_commit(checkout: Checkout) -> None:
    hook = checkout.path / ".git" / "hooks" / "pre-commit"
    hook.write_text(
        f"#!/bin/sh\n'{BUILDGUARD}' hook -- true || exit 1\nexec '{BUILDGUARD}' hook --build lint -- false\n"
    )
    done = checkout.git("commit", "--allow-empty", "-m", "x", agent="ann")
    assert following(done) == "buildguard commit --agent ann --allow-empty -m x"
    after = pasted(checkout, done)
    assert (after.status, "passed: true" in after.err, "renewed: yours" in after.err) == (1, True, True)


def test_from_a_folder_below_the_line_is_run_where_it_was_said(checkout: Checkout, tmp_path: Path) -> None:
    below = Checkout(checkout.write("sub/file", "").parent, checkout.home)
    checkout.write("app.txt", "BROKEN\n")
    done = below.buildguard("run", agent="ann")
    assert done.status == 1
    checkout.write("app.txt", "fine\n")
    assert pasted(below, done).status == 0


def test_a_relative_database_of_the_environment_is_the_same_file_from_every_folder(checkout: Checkout) -> None:
    below = Checkout(checkout.write("sub/file", "").parent, checkout.home)
    assert checkout.buildguard("claim", agent="ann", BUILDGUARD_DB=".bg.db").status == 0
    done = below.buildguard("claim", agent="bob", BUILDGUARD_DB=".bg.db")
    assert following(done) == f"buildguard wait --db {shlex.quote(f'{checkout.path}/.bg.db')} --agent bob"
    after = pasted(below, done, BUILDGUARD_WAIT="0.1s")
    assert (after.status, "ann is fixing" in after.out) == (75, True)
