"""Clones whose store is a ref on a git remote that they share, each on a machine with a clock of its own."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from store.clones import REF, Alone, Machine, holder
from store.machines import git
from store.values import FIXED, FIXING, HEAD, Clock

from buildguard.claims.guard import Guard, Terms
from buildguard.claims.model import Claim, Content, Kind, Outcome, Step
from buildguard.store import codec, document
from buildguard.store.document import MOST_COUNTED, Document, applied
from buildguard.store.register import Kept, Unreachable
from buildguard.ui.phrases import superseded

RESET = {"kind": "reset", "scope": "c", "number": 1, "agent": "x"}


def deleted(hub: Path) -> None:
    git(hub, "update-ref", "-d", REF)


def set_back(hub: Path, token: str) -> None:
    git(hub, "update-ref", REF, token)


def test_of_two_clones_one_fixes_and_the_other_is_busy(a: Machine, b: Machine) -> None:
    assert a.fails("ann").outcome is Outcome.CLAIMED
    answer = b.fails("bob")
    assert (answer.outcome, holder(b)) == (Outcome.BUSY, "ann")
    assert answer.view.state.scope == a.checkout
    assert a.passes("ann").outcome is Outcome.FIXED
    assert not any(state.breakage for state in b.status().states.values())
    assert [event.kind for event in b.store.history("default", 9)] == [Kind.CLAIMED, Kind.SHARED, Kind.FIXED]
    assert a.told == b.told == []


def test_agents_of_one_name_in_two_clones_are_two(a: Machine, b: Machine) -> None:
    a.fails("ann")
    assert b.fails("ann").outcome is Outcome.BUSY
    assert b.guard("ann").release(None, False, "").outcome is Outcome.NOT_YOURS
    a.clock.now += 200
    b.guard("ann").alive()
    b.clock.now += 900
    answer = b.fails("ann")
    assert (answer.outcome, answer.event and answer.event.other) == (Outcome.TAKEN_OVER, "ann")
    assert a.fails("ann").outcome is Outcome.BUSY


def test_silence_is_as_long_as_this_clone_has_seen_no_new_sign(a: Machine, b: Machine) -> None:
    a.fails("ann")
    assert b.fails("bob").outcome is Outcome.BUSY
    b.clock.now += 899
    assert b.fails("bob").outcome is Outcome.BUSY
    a.clock.now += 200
    a.guard("ann").alive()
    b.status()
    b.clock.now += 899
    assert b.fails("bob").outcome is Outcome.BUSY
    b.clock.now += 1
    answer = b.fails("bob")
    assert (answer.outcome, answer.view.state.number) == (Outcome.TAKEN_OVER, 2)
    a.status()
    assert superseded(a.store.history("default", 9), Alone("ann")) == [
        "your claim was taken over by bob: look at their fix before you push yours"
    ]


def test_whoever_joins_gives_the_holder_no_sign_of_life(a: Machine, b: Machine) -> None:
    a.fails("ann")
    b.status()
    b.clock.now += 800
    b.fails("bob")
    a.status()
    a.clock.now += 900
    b.clock.now += 100
    assert b.fails("bob").outcome is Outcome.TAKEN_OVER


def test_what_a_clone_has_held_for_too_long_is_told_by_the_holder_s_clock(a: Machine, b: Machine) -> None:
    a.fails("ann")
    for _ in range(8):
        a.clock.now += 500
        a.guard("ann").alive()
    assert b.fails("bob").outcome is Outcome.TAKEN_OVER


def test_signs_of_life_travel_every_150_seconds(a: Machine) -> None:
    a.fails("ann")
    before = a.register.asked
    for _ in range(14):
        a.clock.now += 10
        a.guard("ann").alive()
    assert a.register.asked == before
    assert a.store.read("default").state(a.checkout).claim == Claim(
        "ann", a.checkout, a.clock.now - 140, a.clock.now, 900.0, 3600.0
    )
    a.clock.now += 10
    a.guard("ann").alive()
    assert a.register.asked > before


def test_a_pass_asks_nobody(a: Machine, b: Machine) -> None:
    a.fails("ann")
    b.status()
    before = b.register.asked
    answer = b.guard("bob").passed(b.run(), "bob")
    assert (answer.outcome, b.register.asked) == (Outcome.PASSED, before)
    assert b.store.read("default").state(b.checkout).last_check == b.clock.now


def test_a_failure_known_to_be_private_pushes_nothing(a: Machine, b: Machine, hub: Path) -> None:
    answer = a.fails("ann", good=True)
    assert (answer.outcome, a.register.asked) == (Outcome.CLAIMED, 0)
    assert a.fails("carl", good=True).outcome is Outcome.BUSY, "the clone's own work trees are bound by it"
    assert a.passes("ann").outcome is Outcome.FIXED
    assert a.guard("ann").passed(a.run(), "ann").outcome is Outcome.PASSED
    assert a.register.asked == 0
    assert git(hub, "for-each-ref", "refs/buildguard") == ""
    assert a.fails("ann").view.state.number == 2
    assert b.fails("bob").outcome is Outcome.BUSY


def test_a_private_claim_is_put_to_the_engine_once_the_failure_is_everybody_s(a: Machine, b: Machine) -> None:
    a.fails("ann", good=True)
    b.fails("bob")
    assert a.fails("ann").outcome is Outcome.BUSY
    assert holder(a) == "bob"
    assert a.store.read("default").state(a.checkout).claim is None


def test_a_clone_that_cannot_reach_the_engine_elects_alone_and_says_it(a: Machine, b: Machine, hub: Path) -> None:
    hub.rename(hub.with_name("elsewhere"))
    assert a.fails("ann").outcome is Outcome.CLAIMED
    assert a.fails("carl").outcome is Outcome.BUSY
    line = f"{a.store.where} cannot be asked ("
    assert len(a.told) == 2
    assert all(told.startswith(line) and told.endswith("): only this clone is coordinated") for told in a.told)
    asked = a.register.asked
    assert a.fails("carl").outcome is Outcome.BUSY
    assert a.register.asked == asked, "nobody asks again so soon"
    assert a.store.reach("default").away
    hub.with_name("elsewhere").rename(hub)
    assert b.fails("bob").outcome is Outcome.CLAIMED
    (a.clone / ".git/buildguard/engine/away").unlink()
    assert a.fails("ann").outcome is Outcome.BUSY
    assert holder(a) == "bob"


def test_a_claim_made_meanwhile_binds_its_clone_until_it_is_put_to_the_engine(
    a: Machine, b: Machine, hub: Path
) -> None:
    hub.rename(hub.with_name("elsewhere"))
    a.fails("ann")
    hub.with_name("elsewhere").rename(hub)
    (a.clone / ".git/buildguard/engine/away").unlink()
    assert a.fails("carl").outcome is Outcome.BUSY
    assert a.fails("ann").outcome is Outcome.CLAIMED
    assert b.fails("bob").outcome is Outcome.BUSY
    assert holder(b) == "ann"


def test_an_end_that_could_not_be_told_is_told_once_the_engine_answers(a: Machine, b: Machine, hub: Path) -> None:
    a.fails("ann")
    b.fails("bob")
    hub.rename(hub.with_name("elsewhere"))
    assert a.passes("ann").outcome is Outcome.FIXED
    hub.with_name("elsewhere").rename(hub)
    assert a.guard("ann").passed(a.run(), "ann").outcome is Outcome.PASSED
    assert holder(b) == "ann"
    b.status()
    assert holder(b) == "ann", "it counts as away"
    (a.clone / ".git/buildguard/engine/away").unlink()
    before = a.register.asked
    assert a.guard("ann").passed(a.run(), "ann").outcome is Outcome.PASSED
    assert a.register.asked == before, "a check that passes asks nobody"
    a.status()
    assert holder(a) is None, "what has ended here does not come back"
    b.status()
    assert holder(b) is None
    assert [event.kind for event in b.store.history("default", 9)][-1] is Kind.FIXED
    assert [event.kind for event in a.store.history("default", 9)].count(Kind.FIXED) == 1
    before = a.register.asked
    a.guard("ann").passed(a.run(), "ann")
    assert a.register.asked == before


def test_an_end_that_may_not_be_told_is_not_pushed_at_every_pass(a: Machine, b: Machine, hub: Path) -> None:
    a.fails("ann")
    b.fails("bob")
    hook = hub / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    assert a.passes("ann").outcome is Outcome.FIXED
    before = a.register.asked
    assert a.guard("ann").passed(a.run(), "ann").outcome is Outcome.PASSED
    assert (a.register.asked, holder(a)) == (before, None)
    hook.unlink()
    (a.clone / ".git/buildguard/engine/denied").unlink()
    a.status()
    b.status()
    assert holder(b) is None


def test_of_many_clones_that_join_only_the_first_is_told_to_all(a: Machine, b: Machine, hub: Path) -> None:
    git(hub.parent, "clone", "-q", "hub.git", "c")
    c = Machine(hub.with_name("c"), Clock())
    a.fails("ann")
    b.fails("bob")
    before = git(hub, "rev-parse", REF)
    assert c.fails("carl").outcome is Outcome.BUSY
    assert git(hub, "rev-parse", REF) == before
    assert set(c.store.read("default").state(a.checkout).breakage.seen) == {a.checkout, b.checkout, c.checkout}  # type: ignore[union-attr]
    b.guard("bob").alive()
    a.clock.now += 200
    a.guard("ann").alive()
    assert c.status().state(a.checkout).had_in(c.checkout)


def test_others_claims_bind_who_may_only_read(a: Machine, b: Machine, hub: Path) -> None:
    git(hub, "config", "receive.denyUpdateCurrentBranch", "true")
    hook = hub / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\nprintf 'not for you\\n' >&2; exit 1\n")
    hook.chmod(0o755)
    assert a.fails("ann").outcome is Outcome.CLAIMED
    words = "pre-receive hook declined: not for you; nobody elsewhere sees what is claimed here"
    assert a.told == [f"{a.store.where}: {words}"]
    hook.unlink()
    assert b.fails("bob", failures=("b",)).outcome is Outcome.CLAIMED
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    assert a.fails("carl", failures=("b",)).outcome is Outcome.BUSY


def test_a_claim_that_the_engine_has_lost_is_told_to_its_holder_and_numbers_grow(
    a: Machine, b: Machine, hub: Path
) -> None:
    a.fails("ann")
    deleted(hub)
    assert a.status().state(a.checkout).claim is None
    assert superseded(a.store.history("default", 9), Alone("ann")) == [
        f"your claim has ended: somebody ended the claim of ann: it is not in {a.store.where} any more"
    ]
    assert a.fails("ann").view.state.number == 2
    assert b.fails("bob").outcome is Outcome.BUSY


def test_a_failover_that_lost_the_last_write_is_found_out(a: Machine, b: Machine, hub: Path) -> None:
    b.fails("bob", failures=("b",))
    before = git(hub, "rev-parse", REF)
    assert a.fails("ann").view.state.number == 2
    set_back(hub, before)
    b.guard("bob").release(None, False, "")
    assert b.fails("carl", failures=("c",)).view.state.number == 2, "nobody there can know better"
    answer = a.fails("dora")
    assert (answer.outcome, answer.view.state.number) == (Outcome.CLAIMED, 3)
    assert superseded(a.store.history("default", 9), Alone("ann")) == [
        f"your claim has ended: somebody ended the claim of ann: it is not in {a.store.where} any more"
    ]


def put(clone: Path, message: str) -> str:
    """Make that the document of all; the name of its version."""
    tree = git(clone, "hash-object", "-w", "-t", "tree", "/dev/null")
    commit = git(clone, "commit-tree", "-m", message, tree)
    git(clone, "push", "-q", "-f", "origin", f"{commit}:{REF}")
    return commit


def stating(number: int = 1, claim: dict[str, object] | None = None, **breakage: object) -> str:
    """A document of one breakage, with a claim of bob where something of that is given."""
    whose = {"agent": "bob", "checkout": "c", "claimed_at": 1, "seen_at": 1, "stale_after": 900, "max_claim": 3600}
    what = {"check": "x", "since": 1, "claim": claim and {**whose, **claim}, **breakage}
    return json.dumps({"highest": 1, "states": {"c": {"scope": "c", "number": number, "breakage": what}}})


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("nothing of ours", "what is there was not written by buildguard"),
        ('{"later":"caf\udce9"}', "it is not one line of printable ASCII"),
        ('{"later":"\u2028"}', "it is not one line of printable ASCII"),
        ('{"format":2}', "what is there was written by a newer buildguard"),
        ('{"states":{"x":{"scope":"y"}}}', "what is there was not written by buildguard"),
        (stating(number=250_000_000_000), "number is 250000000000"),
        (stating(number=-1), "number is -1"),
        (stating(claim={"attempts": 250_000_000_000}), "attempts is 250000000000"),
        (stating(since=250_000_000_000), "since is 250000000000"),
        (stating(since=-1), "since is -1"),
        (stating(landed={"at": 2.4e11, "checkout": "c", "loose": []}), "at is 240000000000"),
        (stating(claim={"seen_at": 2.4e11}), "seen_at is 240000000000"),
        (stating(claim={"claimed_at": -2.4e11}), "claimed_at is -240000000000"),
        (json.dumps({"events": [{**RESET, "at": -2e11}]}), "at is -200000000000"),
        (stating(claim={"stale_after": 604801}), "stale_after is 604801"),
        (stating(claim={"max_claim": 250_000_000_000}), "max_claim is 250000000000"),
        (stating(claim={"max_claim": -1}), "max_claim is -1"),
        (stating(claim={"stale_after": 0}), "a claim is stale from the start"),
        (json.dumps({"states": {f"{n}": {"scope": f"{n}"} for n in range(201)}}), "the number of states is 201"),
        (json.dumps({"events": 51 * [RESET]}), "the number of events is 51"),
        (json.dumps({"events": [{**RESET, "failures": 101 * ["x"]}]}), "the number of failures is 101"),
        (json.dumps({"writes": 65 * ["x"]}), "the number of writes is 65"),
        ('{"highest":250000000000}', "highest is 250000000000"),
        ('{"last_event":250000000000}', "last_event is 250000000000"),
    ],
)
def test_what_buildguard_did_not_write_is_said_and_stays(a: Machine, hub: Path, message: str, told: str) -> None:
    commit = put(a.clone, message)
    assert a.fails("ann").outcome is Outcome.CLAIMED
    assert a.fails("bob").outcome is Outcome.BUSY
    assert a.told
    assert all(told in line for line in a.told)
    assert git(hub, "rev-parse", REF) == commit


def test_a_clone_without_room_for_the_next_number_elects_alone(a: Machine, b: Machine, hub: Path) -> None:
    commit = put(a.clone, f'{{"highest":{MOST_COUNTED}}}')
    assert a.fails("ann").outcome is Outcome.CLAIMED
    assert a.fails("bob").outcome is Outcome.BUSY
    assert all("others would not take" in line for line in a.told)
    assert git(hub, "rev-parse", REF) == commit
    assert b.status().states == {}


@pytest.mark.parametrize("claim", [None, {"claimed_at": 10, "seen_at": 5}])
def test_a_breakage_began_before_its_claim_and_before_now(a: Machine, claim: dict[str, object] | None) -> None:
    put(a.clone, stating(since=99_000_000_000, claim=claim))
    breakage = a.status().states["c"].breakage
    assert breakage is not None
    times = (breakage.since, *(breakage.claim[2:4] if breakage.claim else ()), a.clock.now)
    assert list(times) == sorted(times)
    assert a.fails("ann").outcome in (Outcome.CLAIMED, Outcome.BUSY)
    assert a.told == []


def test_a_writer_keeps_to_the_bounds_of_readers() -> None:
    states = [FIXING._replace(scope=f"checkout:{number}", number=number) for number in range(500)]
    events = [FIXED._replace(failures=("x",) * 500, contents=(Content("a", "", ""),) * 500)] * 500
    after = applied(Document(writes=("x",) * 64), states, events, "y")
    assert document.decoded(codec.encode(after)) == after


def test_a_build_named_as_doctor_s_probe_has_a_document_of_its_own(a: Machine, b: Machine) -> None:
    def claims(machine: Machine, agent: str) -> Outcome:
        guard = Guard(machine.store, "probe", machine.checkout, Alone(agent), Terms(900.0, 3600.0, HEAD))
        machine.asks_again()
        return guard.failed(machine.run()).outcome

    assert (claims(a, "ann"), a.store.probed()) == (Outcome.CLAIMED, "")
    assert (claims(b, "bob"), b.store.probed()) == (Outcome.BUSY, "")
    assert a.told == b.told == []


def test_no_name_of_a_build_is_the_hash_of_another_one(a: Machine) -> None:
    a.store.update("a build", lambda now: Step(Outcome.RESET, "c", (FIXING,)))
    (ref,) = git(a.clone, "ls-remote", "--refs", "origin").split("\n")
    hashed = ref.rpartition("/")[2]
    assert a.store.read(hashed, fresh=True).states == {}


def test_a_ref_that_can_be_written_and_not_read_elects_nobody_elsewhere_and_is_said(a: Machine, hub: Path) -> None:
    git(hub, "config", "uploadpack.hideRefs", "refs/buildguard")
    words = "can be written, but what stands there cannot be read: nobody would win a claim"
    for _ in range(2):
        assert a.store.probed() == f"{a.store.where} {words}"
    put(a.clone, stating())
    assert a.fails("ann").outcome is Outcome.CLAIMED
    assert a.fails("bob").outcome is Outcome.BUSY
    (line,) = a.told
    assert line.startswith(f"{a.store.where}: could not be written in ")
    assert line.endswith("; nobody elsewhere sees what is claimed here")


def test_a_lost_answer_is_settled(a: Machine, b: Machine) -> None:
    swap = a.register.swap

    def silent(*words: Any) -> Kept:
        swap(*words)
        raise Unreachable("the line broke", sent=True)

    a.register.swap = silent  # type: ignore[assignment, method-assign]
    assert a.fails("ann").outcome is Outcome.CLAIMED
    assert a.told == []
    assert b.fails("bob").outcome is Outcome.BUSY


def test_the_user_s_repository_stays_as_it_is(a: Machine, b: Machine) -> None:
    def theirs(clone: Path) -> dict[str, bytes]:
        files = (path for path in (clone / ".git").rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in files if "buildguard" not in path.parts}

    before = [theirs(machine.clone) for machine in (a, b)]
    a.fails("ann")
    b.fails("bob")
    a.passes("ann")
    b.status()
    assert [theirs(machine.clone) for machine in (a, b)] == before


def test_one_pass_ends_what_is_known_here_alone_and_what_all_know(a: Machine, b: Machine) -> None:
    a.fails("ann", good=True)
    b.fails("bob", failures=("b",))
    a.asks_again()
    a.guard("ann").failed(a.run(failures=("b",)))
    b.guard("bob").release(None, True, "too hard")
    a.status()
    answer = a.passes("ann")
    assert answer.outcome is Outcome.FIXED
    assert not any(state.breakage or state.near for state in a.store.read("default").states.values())
    assert not any(state.breakage for state in b.status().states.values())


def test_a_copy_that_is_damaged_is_had_again(a: Machine, b: Machine) -> None:
    a.fails("ann")
    b.status()
    (b.clone / ".git/buildguard/engine/copy-default").write_text("{}\nnonsense")
    assert b.fails("bob").outcome is Outcome.BUSY
    assert b.told == []


def test_one_waiter_of_a_clone_asks_for_all(a: Machine) -> None:
    a.fails("ann")
    other = Machine(a.clone, a.clock)
    known = a.store.read("default").last_event
    before = a.register.asked
    assert not a.store.wait_for_change("default", known, 0.3)
    assert a.register.asked == before, "the engine was asked just now"
    long_ago = time.time() - 60
    os.utime(a.clone / ".git/buildguard/engine/copy-default", (long_ago, long_ago))
    for store in (a.store, other.store, other.store):
        store._looked_at.clear()
        assert not store.wait_for_change("default", known, 0.3)
    assert (a.register.asked, other.register.asked) == (before + 1, 0)


def test_what_was_loaded_is_thrown_away_in_time(a: Machine, b: Machine) -> None:
    for _ in range(5):
        a.fails("ann")
        b.status()
    for machine in (a, b):
        objects = (machine.clone / ".git/buildguard/engine/objects").rglob("*")
        assert len([path for path in objects if path.is_file()]) <= 3
