"""Two agents in separate processes that do nothing but what the `next:` lines say.

In one checkout, in two work trees, in two clones with one database. Each line runs in a fresh shell, in which
nothing is exported.
"""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from testing.pair import CLONES, LAYOUTS, LINKED, SAME, Agent, broken, next_line, pair
from testing.support import BUILDGUARD, Checkout, Done, Worker

BUSY, NOT_YOURS = 75, 3
SOON = ("--timeout", "1s")
Agents = Callable[..., tuple[Agent, Agent]]
HOLDS = [("claimed", "ann"), ("fixed", "ann")]
"""The claims and their ends, where one agent fixes and nobody fixes it again."""


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[Agents]:
    """Makes ann and bob in a layout, on a base that passes."""
    made: list[Agent] = []

    def make(layout: str, *check: str) -> tuple[Agent, Agent]:
        made[:] = pair(tmp_path / "place", layout, *check)
        return made[0], made[1]

    yield make
    for agent in made:
        agent.ends()


def fixer(layout: str, ann: Agent, bob: Agent) -> Done:
    """A broken base, and ann the fixer by a commit of her own work; what she was told."""
    broken(layout, ann, bob)
    ann.writes("ann.txt", "ann's work\n")
    red = ann.types("commit", "-m", "ann's work", "--", "ann.txt")
    assert red.status == 1, red
    return red


def holds(agent: Agent) -> list[tuple[object, object]]:
    """Who held a claim and how that ended, oldest first."""
    return [(one["kind"], one["agent"]) for one in agent.log() if one["kind"] not in ("waited", "sent", "shared")]


def comes_through(agent: Agent, told: Done, *commit: str) -> None:
    """Go on until the agent's own commit is in, as an agent does that wants it: after each line that it was told it
    commits again."""
    for _ in range(5):
        said = agent.goes_on(told)
        if commit[1] in agent.at.ok("log", "--format=%s").splitlines():
            return
        assert said[-1].status != 1, said
        told = agent.types("commit", *commit)
    raise AssertionError(f"{agent.name} is not through: {told}")


# 1. Fixed means committed


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_fix_ends_the_breakage_when_it_is_committed_and_wakes_the_other_then(agents: Agents, layout: str) -> None:
    ann, bob = agents(layout)
    red = fixer(layout, ann, bob)
    bob.writes("bob.txt", "bob's work\n")
    waiter = bob.starts("commit", "-m", "bob", "--", "bob.txt")
    waiter.says("waiting: ann is fixing")
    ann.writes("code", "good\n")
    note = ann.follows(red)
    assert (note.status, ann.head("code"), ann.head("ann.txt")) == (0, "bad", "ann's work")
    assert "fixed: " not in note.both
    assert "not committed: code" in note.both
    assert ann.gate == bob.gate == 1
    assert waiter.process.poll() is None
    fix = ann.follows(note)
    assert (fix.status, ann.head("code"), "fixed: " in fix.both) == (0, "good", True), fix
    # Others in other clones cannot have it before.
    assert next_line(fix) == ("git push" if layout == CLONES else None)
    ann.goes_on(fix)
    comes_through(bob, waiter.ends(), "-m", "bob", "--", "bob.txt")
    assert (bob.head("code"), bob.head("bob.txt")) == ("good", "bob's work")
    assert (ann.gate, bob.gate) == (0, 0)
    assert holds(ann) == HOLDS


# 2. One fix is enough, whatever else it touches


@pytest.mark.parametrize("layout", [LINKED, CLONES])
def test_nobody_fixes_again_what_is_fixed_elsewhere_in_a_file_that_is_edited_here(
    agents: Agents, layout: str
) -> None:
    ann, bob = agents(layout)
    red = fixer(layout, ann, bob)
    commit = ("-m", "bob", "--", "README")
    bob.writes("README", "bob's words\n")
    assert bob.types("commit", *SOON, *commit).status == BUSY
    ann.writes("code", "good\n")
    ann.writes("README", "ann's words\n")
    ann.goes_on(ann.follows(red))
    assert (ann.head("code"), ann.head("README")) == ("good", "ann's words")
    if layout == CLONES:
        assert bob.follows(bob.types("status")).status == 0
    for _ in range(2):
        told = bob.types("commit", *commit)
        assert (told.status, "ann fixed this" in told.both) == (BUSY, True), told
        assert "ann fixed this" in bob.types("status").both
    refused = bob.follows(told)
    assert "README is edited here" in refused.both
    bob.follows(refused)
    assert bob.head("code") == "good"
    bob.writes("README", "ann's words, and bob's\n")
    assert bob.types("commit", *commit).status == 0
    assert "fixed elsewhere" not in bob.types("status").both
    assert holds(ann) == HOLDS


def test_a_fix_is_brought_into_a_branch_of_a_clone_that_has_commits_of_its_own(agents: Agents) -> None:
    ann, bob = agents(CLONES, "! grep -q bad code || { echo 'FAILED tests/test_code.py::test_it - bad'; exit 1; }")
    broken(CLONES, ann, bob)
    bob.writes("README", "bob's words\n")
    bob.at.ok("commit", "-q", "--no-verify", "-am", "not pushed")
    ann.writes("ann.txt", "ann's work\n")
    red = ann.types("commit", "-m", "ann's work", "--", "ann.txt")
    ann.writes("code", "good\n")
    ann.goes_on(ann.follows(red))
    # Nobody waits for it, so nobody tells her to.
    ann.at.ok("push", "-q")
    bob.writes("bob.txt", "bob's work\n")
    comes_through(bob, bob.types("commit", "-m", "bob", "--", "bob.txt"), "-m", "bob", "--", "bob.txt")
    assert bob.head("code") == "good"
    assert holds(ann) == HOLDS


# 3. What a removed work tree leaves behind

REMOVALS = ("git worktree remove", "rm -r and prune", "rm -r alone")


def remove(tree: Checkout, how: str, root: Checkout) -> None:
    """The ways in which a work tree goes."""
    if how.startswith("git"):
        root.ok("worktree", "remove", "--force", str(tree.path))
    else:
        shutil.rmtree(tree.path)
    if how.endswith("prune"):
        root.ok("worktree", "prune")


def in_a_tree(ann: Agent, bob: Agent) -> Agent:
    """A broken base, cat its fixer in a work tree of her own, and bob busy: cat."""
    cat = Agent("cat", ann.at.work_tree("cat's"))
    broken(LINKED, ann, bob)
    cat.at.ok("merge", "-q", "--ff-only", "main")
    assert cat.types("run").status == 1
    bob.writes("bob.txt", "bob's work\n")
    assert bob.types("commit", *SOON, "-m", "bob", "--", "bob.txt").status == BUSY
    return cat


@pytest.mark.parametrize("how", [*REMOVALS, "removed, and made anew elsewhere under the name"])
def test_a_claim_ends_with_the_work_tree_that_it_was_made_in(agents: Agents, how: str) -> None:
    ann, bob = agents(LINKED)
    cat = in_a_tree(ann, bob)
    remove(cat.at, how if how in REMOVALS else REMOVALS[0], ann.at)
    if how not in REMOVALS:
        ann.at.ok("worktree", "add", "-q", "--detach", str(cat.at.path.parent / "elsewhere" / cat.at.path.name))
    told = bob.types("status")
    assert "its checkout is gone" in told.both
    claim = bob.follows(told)
    assert (claim.status, "taken over from cat (its checkout is gone)" in claim.both) == (0, True), claim


@pytest.mark.parametrize("how", REMOVALS)
def test_a_work_tree_made_anew_under_a_name_inherits_nothing(agents: Agents, how: str) -> None:
    ann, _ = agents(SAME)
    cat = Agent("cat", ann.at.work_tree("tree"))
    cat.writes("code", "bad\n")
    red = cat.types("commit", "-m", "cat", "--", "code")
    assert (red.status, "you are the fixer" in red.both) == (1, True), red
    remove(cat.at, how, ann.at)
    ann.at.ok("worktree", "add", "-q", "--force", "--detach", str(cat.at.path))
    eve = Agent("eve", cat.at)
    assert (eve.status()["status"], eve.gate) == ("passing", 4)
    eve.writes("README", "anew\n")
    assert eve.types("commit", "-qm", "eve", "--", "README").status == 0
    assert (eve.status()["status"], eve.gate) == ("passing", 0)
    eve.writes("code", "bad again\n")
    red = eve.types("commit", "-m", "eve", "--", "code")
    assert (red.status, "claim 2, as eve" in red.both, "taken over" in red.both) == (1, True, False), red


def test_a_fix_is_made_and_ends_all_though_the_work_tree_of_its_fixer_is_gone(agents: Agents) -> None:
    ann, bob = agents(LINKED)
    cat = in_a_tree(ann, bob)
    remove(cat.at, REMOVALS[0], ann.at)
    red = bob.types("commit", "-m", "bob", "--", "bob.txt")
    assert (red.status, "you are the fixer" in red.both) == (1, True), red
    bob.writes("code", "good\n")
    bob.goes_on(bob.follows(red))
    assert (bob.status()["status"], bob.gate) == ("passing", 0)
    assert holds(bob) == [("claimed", "cat"), ("taken_over", "bob"), ("fixed", "bob")]


def test_a_copy_of_the_repository_is_a_checkout_of_its_own(agents: Agents) -> None:
    ann, bob = agents(SAME)
    fixer(SAME, ann, bob)
    shutil.copytree(ann.at.path, ann.at.path.parent / "copy", symlinks=True)
    dan = Agent("dan", Checkout(ann.at.path.parent / "copy", ann.at.home))
    claim = dan.types("claim")
    assert claim.status == 0, claim
    assert ann.status()["fixer"] == "ann"
    dan.writes("code", "good\n")
    assert dan.types("commit", "-qm", "fix", "--", "code").status == 0
    assert (ann.status()["status"], ann.status()["mine"]) == ("fixing", True)
    assert ann.status()["scope"] != dan.status()["scope"]


def test_a_copy_that_shares_the_database_does_not_take_a_living_checkout_for_gone(agents: Agents) -> None:
    ann, _ = agents(CLONES)
    ann.writes("code", "bad\n")
    ann.at.ok("commit", "-q", "--no-verify", "-am", "faster")
    assert ann.types("run").status == 1
    shutil.copytree(ann.at.path, ann.at.path.parent / "copy", symlinks=True)
    dan = Agent("dan", Checkout(ann.at.path.parent / "copy", ann.at.home, ann.at.variables))
    busy = dan.types("run")
    assert (busy.status, "busy: ann is fixing" in busy.both) == (BUSY, True), busy
    assert ann.status()["mine"] is True


# 4. Nobody waits for itself


@pytest.mark.parametrize("named", ["by --agent", "by BUILDGUARD_AGENT"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_line_carries_the_callers_name_and_options(agents: Agents, layout: str, named: str) -> None:
    zed, bob = agents(layout)
    zed.name = "zed"
    broken(layout, zed, bob)
    zed.writes("ann.txt", "zed's work\n")
    commit = ("commit", *SOON, "--json", "-m", "it's\n\nlong", "--", "ann.txt")
    red = zed.types(*commit) if "BUILD" in named else zed.at.buildguard(commit[0], "--agent", "zed", *commit[1:])
    answer = json.loads(red.out)
    assert (red.status, answer["mine"]) == (1, True)
    again = zed.runs(answer["next"])
    assert (again.status, json.loads(again.out)["election"]) == (1, "renewed"), again
    assert (answer["next"], "--timeout 1s --json" in answer["next"]) == (json.loads(again.out)["next"], True)
    busy = bob.types("run")
    assert (busy.status, "you are bob" in busy.both) == (BUSY, True)
    given_up = zed.runs(answer["message"].rpartition("give up with: ")[2].replace("...", "tired"))
    assert (given_up.status, "gave up claim 1" in given_up.both) == (0, True), given_up


def test_whoever_takes_a_name_after_its_first_claim_does_not_wait_for_itself(agents: Agents) -> None:
    ann, bob = agents(SAME)
    broken(SAME, ann, bob)
    ann.writes("ann.txt", "ann's work\n")
    commit = (BUILDGUARD, "commit", "-m", "x", "--", "ann.txt")
    with Worker(ann.at) as shell:
        assert shell.run(*commit).status == 1
        # Five minutes, if it waited.
        named = shell.run("env", "BUILDGUARD_AGENT=ann", *commit)
    assert (named.status, "a process above you" in named.both, "you are ann" in named.both) == (BUSY, True, True)
    assert "waiting: " not in named.both


# 5. The gate is shut while nothing is known


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_gate_opens_only_for_a_head_that_passed(agents: Agents, layout: str) -> None:
    ann, bob = agents(layout)
    assert (ann.gate, bob.gate) == (4, 4)
    assert ann.follows(ann.types("status", "--exit-code")).status == 0
    # The same tree: another checkout, or another clone with the same database.
    assert (ann.gate, bob.gate) == (0, 0)
    mistyped = ann.types("status", "--exit-code", "--db", str(ann.at.path / "mistyped.db"))
    assert mistyped.status == 4
    broken(layout, ann, bob)
    assert (ann.gate, bob.gate) == (4, 4)
    assert ann.follows(ann.types("status", "--exit-code")).status == 1
    assert (ann.gate, bob.gate) == (1, 1)


@pytest.mark.parametrize("layout", [LINKED, CLONES])
def test_the_gate_of_a_red_branch_stays_shut_when_another_branch_is_mended(agents: Agents, layout: str) -> None:
    ann, bob = agents(layout)
    red = fixer(layout, ann, bob)
    assert bob.types("run").status == BUSY
    ann.writes("code", "good\n")
    ann.goes_on(ann.follows(red))
    assert (ann.gate, bob.gate) == (0, 1)
    assert bob.head("code") == "bad"


# 6. Somebody's work in progress in a shared checkout


def test_an_edit_of_another_agent_makes_nobody_the_fixer_of_a_head_that_passes(agents: Agents) -> None:
    ann, bob = agents(SAME)
    assert ann.types("run").status == 0
    ann.writes("code", "bad, but I am not done\n")
    bob.writes("README", "bob's words\n")
    told = bob.types("commit", "-m", "bob", "--", "README")
    again = bob.follows(told)
    for said in (told, again):
        assert (said.status, "not your commit: code is being edited here" in said.both) == (BUSY, True), said
        assert "it may be somebody's work in progress" in said.both
        assert "you are the fixer" not in said.both
    assert holds(bob) == []
    ann.writes("code", "good, and done\n")
    assert bob.follows(again).status == 0
    assert (bob.head("README"), bob.head("code")) == ("bob's words", "good")


# 7. Lines that may be run as they stand


def test_outside_a_repository_nobody_is_told_to_make_one(agents: Agents, tmp_path: Path) -> None:
    ann, _ = agents(SAME)
    outside = Agent("ann", Checkout(tmp_path, ann.at.home))
    for command in ("status", "claim", "wait", "log", "release"):
        told = outside.types(command)
        assert (told.status, "not a git repository" in told.both) == (69, True), told
        assert "init" not in (next_line(told) or "")


def test_a_hook_that_other_repositories_run_too_is_left_where_it_is(agents: Agents, tmp_path: Path) -> None:
    ann, _ = agents(SAME)
    shared = tmp_path / "hooks"
    shared.mkdir()
    (ann.at.path / ".git" / "hooks" / "pre-commit").rename(shared / "pre-commit")
    ann.at.ok("config", "core.hooksPath", str(shared))
    told = ann.types("uninstall")
    if next_line(told) is not None:
        ann.follows(told)
    assert next_line(told) == "git config --unset core.hooksPath"
    assert (shared / "pre-commit").exists()


def test_the_check_that_is_proposed_is_the_projects_own(agents: Agents) -> None:
    ann, _ = agents(SAME)
    (ann.at.path / ".buildguard.toml").unlink()
    ann.writes("package.json", '{"scripts": {"test": "true"}}')
    told = ann.types("run")
    assert (told.status, next_line(told)) == (2, "buildguard install --check 'npm test'"), told


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_waiting_commit_that_is_interrupted_is_told_how_to_commit_again(agents: Agents, layout: str) -> None:
    ann, bob = agents(layout)
    red = fixer(layout, ann, bob)
    bob.writes("bob.txt", "bob's work\n")
    bob.at.ok("add", "bob.txt")
    waiter = bob.starts_git("commit", "-m", "bob")
    waiter.says("waiting: ann is fixing")
    # As a terminal does it on Ctrl-C: git and its hook hear of it alike.
    os.killpg(waiter.process.pid, signal.SIGINT)
    told = waiter.ends()
    line = str(next_line(told))
    assert (told.status != 0, line.startswith("buildguard commit"), "-m bob" in line) == (True, True, True), told
    ann.writes("code", "good\n")
    ann.goes_on(ann.follows(red))
    comes_through(bob, bob.follows(told), "-m", "bob")
    assert bob.head("bob.txt") == "bob's work"


def test_a_fixer_whose_message_came_on_stdin_is_not_sent_to_wait_and_gets_through(agents: Agents) -> None:
    ann, bob = agents(SAME)
    broken(SAME, ann, bob)
    ann.writes("ann.txt", "ann's work\n")
    piped = 'echo "ann\'s work" | buildguard commit -F - -- ann.txt'
    red = ann.at.run("sh", "-c", piped, agent="ann")
    assert (red.status, "wait" in str(next_line(red))) == (1, False), red
    ann.writes("code", "good\n")
    ann.goes_on(ann.follows(red))
    assert ann.head("code") == "good"
    assert holds(ann) == HOLDS


def test_a_fixer_is_sent_to_its_own_check_after_the_setting_was_edited(agents: Agents) -> None:
    ann, bob = agents(SAME)
    fixer(SAME, ann, bob)
    ann.writes(".buildguard.toml", 'check = "true"\n')
    assert ann.types("run").status == 0
    told = ann.types("status")
    assert (ann.status()["mine"], "release" in str(next_line(told))) == (True, False), told
    red = ann.follows(told)
    assert (red.status, "bad" in red.both) == (1, True), red
    ann.writes("code", "good\n")
    ann.goes_on(ann.follows(told))
    assert (ann.head("code"), holds(ann)) == ("good", HOLDS)


# 8. What else was found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_reason_for_giving_up_is_told_to_whoever_claims_next(agents: Agents, layout: str) -> None:
    ann, bob = agents(layout)
    fixer(layout, ann, bob)
    assert bob.types("run").status == BUSY
    assert ann.types("release", "--gave-up", "--reason", "needs the new compiler").status == 0
    claim = bob.types("claim")
    assert (claim.status, "given up before: needs the new compiler" in claim.both) == (0, True), claim
    assert bob.types("release", "--gave-up", "--reason", "so it does").status == 0
    claim = ann.types("claim")
    assert "given up before: needs the new compiler; so it does" in claim.both


def test_what_passes_on_the_very_files_that_failed_was_not_fixed_by_anybody(agents: Agents) -> None:
    ann, bob = agents(SAME, "test -e ../weather")
    red = ann.types("run")
    assert red.status == 1
    (ann.at.path.parent / "weather").touch()
    green = ann.follows(red)
    assert (green.status, "recovered: " in green.both, "fixed" in green.both) == (0, True, False)
    assert [kind for kind, _ in holds(bob)] == ["claimed", "recovered"]


def test_a_check_that_commits_comes_to_an_end(agents: Agents) -> None:
    ann, _ = agents(SAME, "git commit -q --allow-empty -m snapshot && test ! -e bad")
    done = ann.types("run")
    assert done.status == 0, done
    assert ann.at.ok("log", "-1", "--format=%s") == "snapshot"


def test_a_second_attempt_does_not_make_the_fixer_doubt_its_name(agents: Agents) -> None:
    ann, bob = agents(SAME)
    again = ann.follows(fixer(SAME, ann, bob))
    assert (again.status, "renewed: " in again.both, "not you" in again.both) == (1, True, False), again


def test_an_option_that_log_does_not_heed_is_an_error(agents: Agents) -> None:
    ann, _ = agents(SAME)
    told = ann.types("log", "--scope", "repo")
    assert (told.status, "--scope" in told.both) == (2, True), told


def test_an_option_that_run_does_not_have_is_an_error_and_no_check(agents: Agents) -> None:
    ann, _ = agents(SAME)
    told = ann.types("run", "--timeout", "10m", "--", "true")
    assert (told.status, "--timeout" in told.both) == (2, True), told
    assert ann.follows(told).status == 0
