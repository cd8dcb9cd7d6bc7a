"""Clones on several machines, with a ref on their remote as the engine: end to end, with agents as processes."""

import json
import time
from pathlib import Path

import pytest
from testing.breakage import status
from testing.clones import REF, WHERE, Silence, clone, followed, remote_with
from testing.documents import blocks
from testing.support import PROJECT, Checkout, Following, eventually


@pytest.fixture
def clones(tmp_path: Path) -> list[Checkout]:
    return remote_with(tmp_path, "one", "two")


def staged(checkout: Checkout, name: str) -> None:
    checkout.write(f"{name}.txt", f"{name}\n")
    checkout.ok("add", "-A")


def test_a_broken_remote_is_fixed_once_and_the_fix_travels_by_the_next_lines(clones: list[Checkout]) -> None:
    one, two = clones
    for checkout, name in zip(clones, ("ann", "bob"), strict=True):
        staged(checkout, name)
    done = one.buildguard("commit", "-m", "ann", agent="ann")
    assert (done.status, "claimed: you are the fixer" in done.err) == (1, True), done
    bob = Following(two.start("buildguard", "commit", "-m", "bob", agent="bob"))
    bob.says("waiting: ann is fixing")
    assert status(one, "ann")["shared"]

    one.write("app.txt", "fine\n")
    one.ok("add", "-A")
    done = one.buildguard("commit", "-m", "fix", agent="ann")
    assert done.status == 0, done
    assert "push it: others wait for it in other clones\nnext: git push\n" in done.out.replace("buildguard: ", "")
    ended = bob.ends()
    assert (ended.status, "fixed elsewhere: ann fixed this" in ended.both) == (75, True), ended
    assert "\nnext: git fetch origin && buildguard commit" in ended.out

    # Not pushed yet: bob is sent again, and does not begin to fix.
    code, said = followed(two, ended.out, "bob")
    assert (code, "next: sleep 30 && git fetch origin && buildguard commit" in said) == (75, True), said
    assert followed(one, done.out, "ann")[0] == 0
    code, said = followed(two, ended.out, "bob")
    assert (code, "next: git pull --ff-only && buildguard commit" in said) == (75, True), said
    code, said = followed(two, said, "bob")
    assert code == 0, said
    assert two.ok("log", "-1", "--format=%s") == "bob"
    assert [event["kind"] for event in json.loads(two.buildguard("log", "--json").out)["events"]][:3] == [
        "claimed",
        "shared",
        "fixed",
    ]


def test_whoever_has_the_name_of_a_fixer_in_another_clone_is_told_to_take_another(clones: list[Checkout]) -> None:
    one, two = clones
    assert one.buildguard("run", agent="ann").status == 1
    done = two.buildguard("run", agent="ann")
    assert (done.status, status(two, "ann")["mine"]) == (75, False), done
    assert "that is another agent of your name, in checkout one-" in done.both


def test_a_passing_commit_sends_no_packet(tmp_path: Path) -> None:
    (one,) = remote_with(tmp_path, "one", broken=False)
    with Silence() as server:
        one.ok("remote", "set-url", "origin", server.url)
        staged(one, "ann")
        done = one.buildguard("commit", "-m", "ann", agent="ann")
        assert done.status == 0, done
        staged(one, "again")
        one.ok("commit", "-qm", "again", agent="ann")
        assert server.asked == 0


def test_the_verdict_stands_where_the_remote_is_silent_and_the_clone_goes_on_alone(tmp_path: Path) -> None:
    (one,) = remote_with(tmp_path, "one")
    with Silence() as server:
        one.ok("remote", "set-url", "origin", server.url)
        began = time.monotonic()
        done = one.buildguard("run", agent="ann")
        assert (done.status, done.both.count(": only this clone is coordinated")) == (1, 1), done
        assert "claimed: you are the fixer" in done.both
        assert time.monotonic() - began < 30
        asked = server.asked
        done = one.buildguard("run", agent="bob")
        assert (done.status, done.both.count(": only this clone is coordinated")) == (75, 1), done
        assert "busy: ann is fixing" in done.both
        told = json.loads(one.buildguard("status", "--json", agent="bob").out)
        assert (told["engine"], told["reach"], told["copy_age_s"]) == (WHERE, "away", None)
        assert server.asked == asked, "nobody asks again so soon"


def test_a_failure_of_one_s_own_asks_and_tells_nobody(tmp_path: Path) -> None:
    one, two = remote_with(tmp_path, "one", "two", broken=False)
    assert one.buildguard("run", agent="ann").status == 0
    one.write("app.txt", "BROKEN\n")
    with Silence() as server:
        url = one.ok("remote", "get-url", "origin")
        one.ok("remote", "set-url", "origin", server.url)
        done = one.buildguard("run", agent="ann")
        assert (done.status, "claimed: you are the fixer" in done.both, server.asked) == (1, True, 0), done
    one.ok("remote", "set-url", "origin", url)
    assert two.buildguard("status", agent="bob").status == 0
    assert one.ok("ls-remote", "origin", "refs/buildguard/*") == ""


def test_whoever_lost_the_claim_is_told_at_the_next_call_even_if_the_check_passes(clones: list[Checkout]) -> None:
    one, _ = clones
    assert one.buildguard("run", agent="ann").status == 1
    one.ok("push", "-q", "origin", f":{REF}")
    one.write("app.txt", "fine\n")
    done = one.buildguard("commit", "-qam", "fix", agent="ann")
    lost = f"your claim has ended: somebody ended the claim of ann: it is not in {WHERE} any more"
    assert (done.status, lost in done.both) == (0, True), done


def test_status_says_how_it_stands_with_the_engine(clones: list[Checkout]) -> None:
    one, two = clones
    assert one.buildguard("claim", agent="ann").status == 0
    told = json.loads(two.buildguard("status", "--all", "--json", agent="bob").out)
    assert (told["engine"], told["reach"]) == (WHERE, "reached")
    assert told["copy_age_s"] < 60
    assert [scope["fixer"] for scope in told["scopes"] if scope["fixer"]] == ["ann"]
    assert f"engine {WHERE}: seen 0.0 s ago" in two.buildguard("status", agent="bob").out


def test_waiters_see_a_release_and_one_of_a_clone_asks_for_all(clones: list[Checkout]) -> None:
    one, two = clones
    assert one.buildguard("run", agent="ann").status == 1
    assert two.buildguard("run", agent="bob").status == 75
    waiters = [Following(two.start("buildguard", "wait", agent=name)) for name in ("bob", "carl", "dora")]
    for waiter in waiters:
        waiter.says("waiting: ann is fixing")
    assert one.buildguard("release", "--gave-up", agent="ann").status == 0
    for waiter in waiters:
        assert waiter.ends().status == 0


def test_doctor_says_what_keeps_the_engine_from_electing(clones: list[Checkout]) -> None:
    one, _ = clones
    done = one.buildguard("doctor", agent="ann")
    assert (done.status, f"note: engine: {WHERE} answers; two writes took " in done.both) == (0, True), done
    hook = one.path.parent / "hub.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    done = one.buildguard("doctor", agent="ann")
    words = "can be read, but not written (pre-receive hook declined): nobody would see what is claimed here"
    assert (done.status, f"engine: {WHERE} {words}" in done.both) == (1, True), done
    one.ok("remote", "remove", "origin")
    done = one.buildguard("doctor", agent="ann")
    assert (done.status, f"engine: {WHERE} cannot be read: fatal: 'origin' does not appear" in done.both) == (
        1,
        True,
    )


def test_install_probes_the_engine_before_it_writes_it_down(tmp_path: Path) -> None:
    (one,) = remote_with(tmp_path, "one", broken=False)
    settings = one.path / ".buildguard.toml"
    before = settings.read_text()
    settings.write_text(before.replace('engine = "git:origin"\n', ""))
    done = one.buildguard("install", "--engine", "git:nowhere")
    assert (done.status, "cannot be read" in done.both) == (1, True), done
    assert "engine" not in settings.read_text()
    done = one.buildguard("install", "--engine", "git:origin")
    assert (done.status, settings.read_text()) == (0, before), done


def test_the_commands_in_the_document_set_it_up_for_all(tmp_path: Path) -> None:
    (one,) = remote_with(tmp_path, "one", broken=False)
    one.write(".buildguard.toml", 'check = "sh check.sh"\n')
    one.ok("commit", "-qam", "no engine", agent="ann")
    (block,) = [block for block in blocks(PROJECT / "docs/engines.md") if block.language == "sh"]
    done = one.run("sh", "-ec", block.text, agent="ann")
    assert done.status == 0, done
    two = clone(tmp_path, "two", one)
    assert json.loads(two.buildguard("status", "--json", agent="bob").out)["engine"] == WHERE


def test_a_release_is_refused_by_another_clone_s_claim(clones: list[Checkout]) -> None:
    one, two = clones
    assert one.buildguard("run", agent="ann").status == 1
    assert two.buildguard("run", agent="bob").status == 75
    assert two.buildguard("release", agent="bob").status == 3
    assert two.buildguard("reset", "--yes", agent="bob").status == 0
    done = one.buildguard("run", agent="carl")
    assert done.status == 1, done
    eventually(lambda: "bob reset it" in one.buildguard("log").out, "the reset is known here")


def test_an_engine_outranks_the_database_that_the_environment_names(clones: list[Checkout]) -> None:
    one = clones[0]
    done = one.buildguard("run", agent="ann", BUILDGUARD_DB=str(one.path / "own.db"))
    assert done.status == 1, done
    assert done.both.count("BUILDGUARD_DB is not used: the engine of the settings is for all clones already") == 1
    assert "--db" not in done.both
    assert not (one.path / "own.db").exists()
    assert REF in one.ok("ls-remote", "origin", REF)
