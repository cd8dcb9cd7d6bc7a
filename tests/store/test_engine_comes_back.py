"""Clones whose engine goes away, refuses, or is busy, and comes back."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from store.clones import OPEN, Alone, Counted, Machine, holder
from store.machines import git
from store.values import BREAKAGE, FIXED

from buildguard.claims.model import Kind, Outcome, State, Status
from buildguard.git.process import Done
from buildguard.store import clone, codec, document, gitref, shared
from buildguard.store.document import Document
from buildguard.store.register import Kept, Lost, Unreachable
from buildguard.store.shared import SharedStore
from buildguard.store.sqlite import SqliteStore
from buildguard.ui.phrases import superseded


def goes_away(hub: Path) -> None:
    hub.rename(hub.with_name("elsewhere"))


def comes_back(hub: Path, *machines: Machine) -> None:
    hub.with_name("elsewhere").rename(hub)
    for machine in machines:
        (machine.clone / ".git/buildguard/engine/away").unlink()


@contextmanager
def turn_taken(machine: Machine) -> Iterator[None]:
    """As while another process of this clone asks the engine."""
    folder = machine.clone / ".git/buildguard/engine"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield
    os.close(descriptor)


def kinds(machine: Machine) -> list[Kind]:
    return [event.kind for event in machine.store.history("default", 20)]


def test_a_claim_made_after_a_fix_that_nobody_was_told_stays(a: Machine, b: Machine, hub: Path) -> None:
    a.fails("ann")
    b.status()
    goes_away(hub)
    assert a.passes("ann").outcome is Outcome.FIXED
    assert a.fails("carl").view.state.number == 2
    comes_back(hub, a)
    a.status()
    assert (holder(a), a.store.read("default").state(a.checkout).number) == ("carl", 2)
    answer = a.fails("carl")
    assert (answer.outcome, answer.view.state.number) == (Outcome.CLAIMED, 3)
    assert Kind.EVICTED not in kinds(a)
    b.status()
    assert holder(b) == "carl"
    assert kinds(b) == [Kind.CLAIMED, Kind.FIXED, Kind.CLAIMED]
    assert kinds(a) == [Kind.CLAIMED, Kind.FIXED, Kind.CLAIMED, Kind.CLAIMED]


def test_the_end_is_told_though_the_scope_has_opened_again(a: Machine, b: Machine, hub: Path) -> None:
    a.fails("ann")
    b.status()
    goes_away(hub)
    a.passes("ann")
    a.fails("carl")
    comes_back(hub, a)
    a.status()
    b.status()
    assert holder(b) is None
    assert holder(a) == "carl"


def test_a_claim_that_was_renewed_elsewhere_outranks_one_made_meanwhile(a: Machine, b: Machine, hub: Path) -> None:
    b.fails("bob")
    a.status()
    goes_away(hub)
    a.clock.now += 1000
    answer = a.fails("ann")
    assert (answer.outcome, answer.view.state.scope) == (Outcome.TAKEN_OVER, b.checkout)
    hub.with_name("elsewhere").rename(hub)
    b.clock.now += 200
    b.asks_again()
    b.guard("bob").alive()
    (a.clone / ".git/buildguard/engine/away").unlink()
    a.status()
    assert holder(a) == "bob"
    event = a.store.history("default", 1)[0]
    reason = f"{a.store.where} has bob as the fixer"
    assert (event.agent, event.other, event.reason, event.at) == ("", "ann", reason, a.clock.now)


def test_a_claim_that_stands_is_told_though_it_cannot_be_written_near(a: Machine, b: Machine) -> None:
    a.fails("carl", good=True)
    a.guard("carl").release(None, False, "")
    path, swap = a.clone / ".git/buildguard/state.db", a.register.swap
    a.store._near = near = SqliteStore(path, clock=a.clock, lock_bound=0.1)
    OPEN.append(near)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:

        def locked_after(*words: Any) -> Kept:
            kept = swap(*words)
            other.execute("BEGIN IMMEDIATE")
            return kept

        a.register.swap = locked_after  # type: ignore[assignment, method-assign]
        answer = a.fails("ann")
    assert (answer.outcome, answer.view.state.number) == (Outcome.CLAIMED, 2)
    assert answer.view.held_by("ann")
    (line,) = a.told
    assert line.startswith(f"{a.store.where} has it, but it could not be written here: ")
    a.status()
    assert holder(a) == "ann"
    assert b.fails("bob").outcome is Outcome.BUSY


def test_an_engine_is_not_away_because_another_process_of_the_clone_asks_it(
    a: Machine, b: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    b.fails("bob")
    monkeypatch.setattr(clone, "TURN_SECONDS", 0.1)
    with turn_taken(a):
        assert a.fails("ann").outcome is Outcome.CLAIMED
    assert "another process of this clone" in a.told[0]
    assert a.store.reach("default").away == ""
    assert a.fails("ann").outcome is Outcome.BUSY


def test_nobody_waits_for_a_turn_to_ask_an_engine_that_is_away(
    a: Machine, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_away(hub)
    a.fails("ann")
    monkeypatch.setattr(clone, "TURN_SECONDS", 0.1)
    with turn_taken(a):
        a.fails("ann")
        a.status()
    assert not any("another process of this clone" in line for line in a.told)


def test_an_election_ends_in_time(a: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[object] = []

    def loses(*words: Any) -> Kept:
        tries.append(words)
        raise Lost

    a.register.swap = loses  # type: ignore[assignment, method-assign]
    monkeypatch.setattr(shared, "ELECT_SECONDS", 0.0)
    a.fails("ann")
    assert len(tries) == 1
    assert any("in time" in line for line in a.told)


def test_a_sign_of_life_waits_for_nobody_s_turn(a: Machine) -> None:
    a.fails("ann")
    a.clock.now += 200
    with turn_taken(a):  # for as long as it takes
        a.guard("ann").alive()
    claim = a.store.read("default").state(a.checkout).claim
    assert claim is not None
    assert claim.seen_at == a.clock.now
    assert a.told == []
    before = a.register.asked
    a.clock.now += 10
    a.guard("ann").alive()
    assert a.register.asked > before, "it travels with the next one"


def test_who_may_only_read_pushes_once_and_then_not_for_a_while(a: Machine, b: Machine, hub: Path) -> None:
    hook = hub / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho push >>pushes; exit 1\n")
    hook.chmod(0o755)
    a.fails("ann", failures=("b",))
    a.fails("ann", failures=("b",))
    assert (hub / "pushes").read_text() == "push\n"
    assert len(a.told) == 2
    hook.unlink()
    b.fails("bob")
    assert a.status().state(b.checkout).claim, "it reads all the same"
    (a.clone / ".git/buildguard/engine/denied").unlink()
    assert a.fails("ann", failures=("b",)).outcome is Outcome.CLAIMED
    assert b.status().state(a.checkout).claim


def test_another_engine_knows_nothing_of_the_first_and_ends_nothing(a: Machine, hub: Path) -> None:
    a.fails("ann")
    goes_away(hub)
    a.status()
    git(hub.parent, "init", "-q", "--bare", "other.git")
    git(a.clone, "remote", "add", "other", str(hub.with_name("other.git")))
    register = Counted("other", a.clone / ".git", dict(os.environ))
    a.store = SharedStore(a.store._near, register, a.clone / ".git", a.told.append, a.clock)
    assert a.store.reach("default").away == ""
    a.status()
    assert holder(a) == "ann"
    answer = a.fails("ann")
    assert (answer.outcome, answer.view.state.number) == (Outcome.CLAIMED, 2)
    assert "default" in git(hub.with_name("other.git"), "for-each-ref", "refs/buildguard")


def test_a_copy_that_is_missing_doubles_no_event(a: Machine, b: Machine) -> None:
    a.fails("ann")
    b.fails("bob")
    before = kinds(a), kinds(b)
    for machine in (a, b):
        (machine.clone / ".git/buildguard/engine/copy-default").unlink()
    b.status()
    a.status()
    assert kinds(b) == before[1]
    assert kinds(a) == [*before[0], Kind.SHARED]
    assert (holder(a), holder(b)) == ("ann", "ann")


def test_a_near_claim_that_loses_has_an_end_in_the_history(a: Machine, b: Machine, hub: Path) -> None:
    goes_away(hub)
    a.fails("ann")
    comes_back(hub, a)
    b.fails("bob")
    assert a.fails("ann").outcome is Outcome.BUSY
    (end,) = (event for event in a.store.history("default", 9) if event.kind is Kind.EVICTED)
    assert (end.scope, end.number, end.other, end.after) == (a.checkout, 1, "ann", Status.PASSING)
    assert superseded(a.store.history("default", 9), Alone("ann")) == [
        f"your claim has ended: somebody ended the claim of ann: what fails is that of {b.checkout}"
    ]
    assert not a.store.read("default").state(a.checkout).breakage
    b.status()
    assert Kind.EVICTED not in kinds(b)


def test_an_address_may_be_relative(a: Machine, b: Machine) -> None:
    git(a.clone, "remote", "set-url", "origin", "../hub.git")
    assert a.fails("ann").outcome is Outcome.CLAIMED
    assert a.told == []
    assert b.fails("bob").outcome is Outcome.BUSY


@pytest.mark.parametrize("name", ["permission-denied.git", "read-only", "not allowed 403"])
def test_the_name_of_a_repository_does_not_say_that_it_refuses(a: Machine, hub: Path, name: str) -> None:
    a.register.load("default")
    git(a.clone, "remote", "set-url", "origin", str(hub.with_name(name)))
    with pytest.raises(Unreachable, match="does not appear to be a git repository"):
        a.register.swap("default", Kept(), "one", "claimed")


@pytest.mark.parametrize(
    ("said", "refuses"),
    [
        ("remote: Permission to o/r.git denied to bob.", True),
        ("fatal: unable to access 'https://h/r/': The requested URL returned error: 403", True),
        ("git@github.com: Permission denied (publickey).", True),
        ("ERROR: The key you are authenticating with has been marked as read only.", True),
        ("fatal: unable to access 'https://denied.example/r/': Could not resolve host: denied.example", False),
        ("ssh: Could not resolve hostname read-only.example: Name or service not known", False),
        ("ssh: connect to host protected.example port 403: Connection refused", False),
        ("fatal: unable to access 'https://h/r/': Failed to connect to h port 401: Connection refused", False),
    ],
)
def test_only_a_server_s_own_words_say_that_it_refuses(said: str, refuses: bool) -> None:
    assert gitref.refuses(said) is refuses


def test_a_write_that_landed_counts_though_a_proxy_says_no(a: Machine, b: Machine) -> None:
    real = a.register._git

    def proxied(*words: str, stdin: str = "") -> Done:
        done = real(*words, stdin=stdin)
        no = "fatal: unable to access 'https://h/': The requested URL returned error: 403"
        return Done([], 128, "", no) if words[0] == "push" else done

    a.register._git = proxied  # type: ignore[method-assign]
    assert a.fails("ann").outcome is Outcome.CLAIMED
    assert a.told == []
    assert b.fails("bob").outcome is Outcome.BUSY


def test_many_breakages_of_many_failures_can_be_written() -> None:
    ids = tuple(f"{number} {'x' * 290}" for number in range(400))
    breakage = BREAKAGE._replace(began=ids, failures=ids)
    states = [State(f"checkout:{number}", number, breakage=breakage) for number in range(200)]
    events = [FIXED._replace(failures=ids, agent=str(number)) for number in range(60)]
    found = document.applied(Document(), states, events, "nonce")
    assert document.decoded(codec.encode(found)) == found
    assert len(found.states) == 200


def test_the_failures_that_do_not_travel_stay_near(a: Machine, b: Machine) -> None:
    ids = tuple(map(str, range(150)))
    a.fails("ann", failures=ids)
    b.fails("bob", failures=ids)
    a.status()
    breakage = a.store.read("default").state(a.checkout).breakage
    assert breakage is not None
    assert breakage.failures == breakage.began == ids
