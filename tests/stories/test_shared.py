"""Only a breakage that others share makes others wait: end to end, with real git and agents as processes."""

import os
import shlex
from pathlib import Path

import pytest
from testing.breakage import (
    RUN,
    broken_base,
    first_command,
    fix,
    history,
    repository,
    shared_breakage,
    status,
)
from testing.support import Checkout, Following, ended, eventually


@pytest.fixture
def shared(tmp_path: Path) -> Checkout:
    return repository(tmp_path)


def test_two_work_trees_with_a_private_failure_each_do_not_wait_for_each_other(shared: Checkout) -> None:
    other = shared.work_tree("other")
    for place, agent in ((shared, "alice"), (other, "bob")):
        place.write(f"private-{agent}.txt", "BAD\n")
        place.ok("add", "-A")
    at_once = [
        place.start("buildguard", "commit", "-m", agent, agent=agent)
        for place, agent in ((shared, "alice"), (other, "bob"))
    ]
    for process, agent in zip(at_once, ("alice", "bob"), strict=True):
        done = ended(process)
        assert done.status == 1, done
        assert f"as {agent}" in done.err
        assert "busy" not in done.err
        assert "waiting: " not in done.err
    told = [status(place, agent) for place, agent in ((shared, "alice"), (other, "bob"))]
    assert [(one["mine"], one["shared"]) for one in told] == [(True, False), (True, False)]
    assert told[0]["scope"] != told[1]["scope"]


def test_a_broken_base_is_fixed_once_and_the_fix_travels(shared: Checkout) -> None:
    broken_base(shared)
    other = shared.work_tree("other")
    shared.write("alice.txt", "alice\n")
    shared.ok("add", "-A")
    assert shared.git("commit", "-m", "alice", agent="alice").status == 1
    other.write("bob.txt", "bob\n")
    other.ok("add", "-A")
    bob = other.start("git", "commit", "-m", "bob", agent="bob")
    eventually(lambda: bool(status(shared, "alice")["shared"]), "bob shares the breakage of alice")

    shared.write("app.txt", "fine\n")
    shared.ok("commit", "-q", "-a", "-m", "fix", agent="alice")

    done = ended(bob)
    fix = shared.ok("rev-parse", "HEAD")
    assert done.status == 1
    assert "tests/test_app.py::test_app fails for alice too" in done.err
    assert "fixed elsewhere: alice fixed this" in done.err
    line = next(line for line in done.err.splitlines() if line.startswith("next: ")).removeprefix("next: ")
    assert line == f"buildguard cherry-pick --agent bob {fix[:12]} && buildguard commit --agent bob -m bob"
    assert other.run("sh", "-c", line, agent="bob").status == 0
    assert other.ok("log", "-2", "--format=%s") == "bob\nfix"
    claims = [event for event in history(shared) if event["kind"] in ("claimed", "taken_over")]
    assert [event["agent"] for event in claims] == ["alice"]


def test_a_run_is_given_the_cherry_pick_too(shared: Checkout) -> None:
    broken_base(shared)
    other = shared.work_tree("other")
    shared.buildguard(*RUN, agent="alice")
    assert other.buildguard(*RUN, agent="bob").status == 75
    fix(shared)
    done = other.buildguard(*RUN, agent="bob")
    assert done.status == 75
    command = first_command(done.both)
    assert command[:2] == ["buildguard", "cherry-pick"]
    assert other.run(*command).status == 0
    assert other.buildguard(*RUN, agent="bob").status == 0


def test_a_fix_that_another_hook_had_changed_is_found_by_what_is_known_of_its_tree(shared: Checkout) -> None:
    broken_base(shared)
    other = shared.work_tree("other")
    assert shared.buildguard("run", agent="alice").status == 1
    assert other.buildguard("run", agent="bob").status == 75
    refuse = shared.path / ".git" / "hooks" / "commit-msg"
    refuse.write_text("#!/bin/sh\ntest ! -e ../refuse\n")
    refuse.chmod(0o755)
    shared.write("../refuse", "")
    shared.write("app.txt", "fine\n")
    assert shared.git("commit", "-am", "fix", agent="alice").status == 1
    (shared.path.parent / "refuse").unlink()
    shared.write("app.txt", "fine, and formatted\n")
    assert shared.git("commit", "-am", "fix", agent="alice").status == 0
    done = other.buildguard("run", agent="bob")
    fix = shared.ok("rev-parse", "HEAD")[:12]
    assert (done.status, first_command(done.both)[-1]) == (75, fix), done


def test_of_two_agents_in_one_checkout_one_waits_for_the_other(shared: Checkout) -> None:
    broken_base(shared)
    for agent in ("alice", "bob"):
        shared.write(f"{agent}.txt", f"{agent}\n")
    shared.ok("add", "alice.txt", "bob.txt")
    assert shared.buildguard("commit", "-m", "alice", "--", "alice.txt", agent="alice").status == 1
    bob = Following(shared.start("buildguard", "commit", "-m", "bob", "--", "bob.txt", agent="bob"))
    bob.says("waiting: alice is fixing")
    shared.write("app.txt", "fine\n")
    assert shared.buildguard("commit", "-m", "alice", "--", "app.txt", "alice.txt", agent="alice").status == 0
    done = bob.ends()
    assert done.status == 0, done
    assert shared.ok("log", "-2", "--format=%s") == "bob\nalice"
    assert [event["agent"] for event in history(shared) if event["kind"] == "claimed"] == ["alice"]


def test_a_shared_failure_and_a_private_one_are_told_apart(shared: Checkout) -> None:
    broken_base(shared)
    other = shared.work_tree("other")
    assert shared.buildguard(*RUN, agent="alice").status == 1
    other.write("private-bob.txt", "BAD\n")
    done = other.buildguard(*RUN, agent="bob")
    assert done.status == 75
    lines = done.both.splitlines()
    assert any(
        "alice" in line and "tests/test_app.py::test_app" in line and "test_own" not in line for line in lines
    )
    assert any("your own" in line and "test_own" in line and "test_app.py" not in line for line in lines)


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        ("kill -KILL $$", ""),
        ("no-such-command-anywhere", ""),
        ("while :; do :; done", 'check-timeout = "0.2s"\n'),
    ],
    ids=["out of memory", "missing command", "time-out"],
)
def test_a_check_that_could_not_run_elects_nobody(shared: Checkout, command: str, settings: str) -> None:
    shared.write(".buildguard.toml", settings)
    done = shared.buildguard("run", "--", "sh", "-c", command, agent="alice")
    assert done.status == 4
    assert "inconclusive" in done.both
    assert status(shared, "alice")["status"] == "passing"


def test_a_check_that_crashes_elects_somebody(shared: Checkout) -> None:
    assert shared.buildguard("run", "--", "sh", "-c", "kill -SEGV $$", agent="alice").status == 1
    assert status(shared, "alice")["mine"]


def test_a_flaky_check_is_resolved_by_its_next_pass_without_a_second_fixer(shared: Checkout) -> None:
    flaky = ("--", "sh", "-c", "echo x >> ../runs; test $(wc -l < ../runs) -gt 2")
    assert shared.buildguard("run", *flaky, agent="alice").status == 1
    bob = Following(shared.start("buildguard", "run", "--wait", "5m", *flaky, agent="bob"))
    bob.says("waiting: alice is fixing")
    assert shared.buildguard("run", *flaky, agent="alice").status == 0
    assert bob.ends().status == 0
    assert status(shared, "alice")["status"] == "passing"
    assert [event["agent"] for event in history(shared) if event["kind"] == "claimed"] == ["alice"]


def test_a_fix_that_is_in_the_tree_and_still_fails_is_a_new_breakage_with_its_history(shared: Checkout) -> None:
    other = shared_breakage(shared)
    fix(shared)
    other.ok("merge", "-q", "main")
    other.write("app.txt", "BROKEN\n")
    other.ok("commit", "-q", "--no-verify", "-am", "broken again")
    done = other.buildguard(*RUN, agent="bob")
    assert done.status == 1
    assert status(other, "bob")["mine"]
    story = shared.buildguard("log", agent="bob").out
    assert "fixed by alice" in story
    assert "broken again" in story


def test_evidence_of_a_passing_head_is_the_reason_for_a_private_scope(shared: Checkout) -> None:
    done = shared.buildguard(*RUN, agent="alice")
    assert done.status == 0
    shared.write("app.txt", "BROKEN\n")
    done = shared.buildguard(*RUN, agent="alice")
    assert done.status == 1
    head = shared.ok("rev-parse", "--short=7", "HEAD")
    assert f"buildguard: HEAD {head} passed: this checkout's changes fail\n" in done.both


def test_the_log_tells_the_story_of_a_breakage(shared: Checkout) -> None:
    shared.write("app.txt", "BROKEN\n")
    assert shared.buildguard(*RUN, agent="alice").status == 1
    assert shared.buildguard(*RUN, agent="alice").status == 1
    waiter = shared.start("buildguard", "wait", "--timeout", "1m", agent="bob")
    eventually(lambda: "waiting" in (waiter.stderr.readline() if waiter.stderr else ""), "bob waits")
    shared.write("app.txt", "fine\n")
    assert shared.buildguard(*RUN, agent="alice").status == 0
    assert ended(waiter).status == 0
    story = shared.buildguard("log", agent="alice").out
    assert "alice claimed it" in story
    assert "attempt 2" in story
    assert "after " in story
    assert "bob waited" in story


def test_other_peoples_commits_do_not_make_a_fix_elsewhere_a_new_breakage(shared: Checkout) -> None:
    other = shared_breakage(shared)
    fix(shared)
    for name in ("one.txt", "two.txt"):
        done = other.buildguard(*RUN, agent="bob")
        assert (done.status, "fixed elsewhere" in done.both) == (75, True)
        other.write(name, "somebody else's\n")
        other.ok("add", name)
        other.ok("commit", "-q", "--no-verify", "-m", name)


def test_whoever_brought_a_fix_in_by_hand_may_claim_what_still_fails(shared: Checkout) -> None:
    other = shared_breakage(shared)
    fix(shared)
    assert other.buildguard(*RUN, agent="bob").status == 75
    other.write("app.txt", "fine in another way, but BROKEN\n")
    other.ok("commit", "-q", "--no-verify", "-am", "by hand")
    assert other.buildguard(*RUN, agent="bob").status == 1
    assert status(other, "bob")["mine"]


def test_a_fleets_private_fixes_do_not_push_out_the_shared_one(shared: Checkout) -> None:
    other = shared_breakage(shared)
    fix(shared)
    for number in range(3):
        shared.write(f"private-{number}.txt", "BAD\n")
        assert shared.buildguard(*RUN, agent="alice").status == 1
        (shared.path / f"private-{number}.txt").unlink()
        assert shared.buildguard(*RUN, agent="alice").status == 0
    done = other.buildguard(*RUN, agent="bob")
    assert (done.status, "fixed elsewhere: alice fixed this" in done.both) == (75, True)


def test_a_fix_that_arrives_while_the_check_runs_is_no_new_breakage(shared: Checkout) -> None:
    other = shared_breakage(shared)
    fix(shared)
    gate = other.path.parent / "gate"
    os.mkfifo(gate)
    slow = f"sh check.sh; status=$?; echo checked; cat {shlex.quote(str(gate))}; exit $status"
    run = Following(other.start("buildguard", "run", "--", "sh", "-c", slow, agent="bob"))
    run.says("checked")
    assert other.buildguard("cherry-pick", "main", agent="carol").status == 0
    gate.write_text("go\n")
    done = run.ends()
    assert (done.status, "claimed" in done.both) == (75, False), done
    assert other.run(*first_command(done.out), agent="bob").status == 0
    assert other.buildguard(*RUN, agent="bob").status == 0


def test_a_waiting_run_is_told_where_the_fix_is_without_another_check(shared: Checkout) -> None:
    broken_base(shared)
    other = shared.work_tree("other")
    assert shared.buildguard(*RUN, agent="alice").status == 1
    run = Following(other.start("buildguard", "run", "--wait", "5m", "--", "sh", "check.sh", agent="bob"))
    run.says("waiting: alice is fixing")
    fix(shared)
    done = run.ends()
    assert (done.status, "fixed elsewhere: alice fixed this" in done.both) == (75, True)
    assert done.both.count("FAILED tests/test_app.py") == 1


def test_a_fixer_on_its_way_still_fixes_what_the_breakage_began_with(shared: Checkout) -> None:
    broken_base(shared)
    other = shared.work_tree("other")
    assert shared.buildguard(*RUN, agent="alice").status == 1
    shared.write("app.txt", "fine\n")
    shared.write("private-alice.txt", "BAD\n")
    assert shared.buildguard(*RUN, agent="alice").status == 1
    done = other.buildguard(*RUN, agent="bob")
    assert (done.status, "tests/test_app.py::test_app fails for alice too" in done.both) == (75, True)
    (shared.path / "private-alice.txt").unlink()
    assert shared.git("commit", "-a", "-m", "fix", agent="alice").status == 0
    done = other.buildguard(*RUN, agent="bob")
    assert (done.status, "fixed elsewhere: alice fixed this" in done.both) == (75, True)
