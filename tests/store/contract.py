"""What every store promises, whichever engine keeps it. The tests of an engine subclass the suite and give it their
`engine`; a new one has to pass all of it."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from store.values import (
    CLAIMED,
    EVENTS,
    FILES,
    FIXED,
    FIXING,
    HERE,
    OTHER_FILES,
    PROOF,
    PROOFS,
    STATES,
    THERE,
    WAITER,
    Clock,
    writing,
)
from testing.support import PATIENCE

from buildguard.claims.model import Event, Outcome, Proof, Snapshot, State, Status, Step
from buildguard.claims.store import Store
from buildguard.errors import Unavailable

MONTH = 30 * 24 * 3600.0
ROUND_TRIP = settings(
    max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
RACE_PATIENCE = PATIENCE * 4
"""Seconds after which a race has hung; 64 processes may share one core."""
RACE = """
import os, sys
from pathlib import Path
from buildguard.claims.model import Breakage, Claim, Event, Kind, Outcome, State, Step
from buildguard.store import open_store
racers, rounds = int(sys.argv[1]), int(sys.argv[2])

def claiming(agent, scope):
    def transition(now):
        if now.state(scope).claim is not None:
            return Step(Outcome.BUSY, scope)
        number = now.view(scope).next_number
        claim = Claim(agent, scope, now.now, now.now, 900.0, 3600.0)
        state = now.state(scope)._replace(number=number, breakage=Breakage("", now.now, claim=claim))
        return Step(Outcome.CLAIMED, scope, (state,), (Event(Kind.CLAIMED, scope, number, agent),))
    return transition

start, starter = os.pipe()
ready, reporter = os.pipe()
for racer in range(racers):
    if os.fork() == 0:
        try:
            os.close(starter)
            os.write(reporter, b".")
            os.read(start, 1)
            store = STORE
            for number in range(rounds):
                scope = f"checkout:{number}"
                won = store.update("race", claiming(f"racer-{racer}", scope))[0].outcome is Outcome.CLAIMED
                os.write(1, f"{scope} {racer if won else -1}\\n".encode())
            os._exit(0)
        finally:
            os._exit(99)
for _ in range(racers):
    os.read(ready, 1)
os.close(starter)
print("end", *(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(racers)))
"""
"""Forks the racers from one interpreter that has imported everything, so that they start within a millisecond."""


class Engine(NamedTuple):
    """A place for one store: `opened` opens it, as often as it is called, with the clock of the test; `expression`
    does so with the real one, in a process that has imported `open_store` and `Path`."""

    opened: Callable[[], Store]
    expression: str


class StoreContract:
    """The suite."""

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def store(self, engine: Engine) -> Iterator[Store]:
        store = engine.opened()
        yield store
        store.close()

    # Reading

    def test_a_build_of_which_nothing_is_known_is_empty(self, store: Store, clock: Clock) -> None:
        assert store.read("default") == store.read("default", fresh=True) == Snapshot(now=clock.now)
        assert store.history("default", 10) == []
        assert not store.wait_for_change("default", 0, 0.0)

    def test_a_read_sees_all_scopes_of_its_build_and_no_other_build(self, store: Store) -> None:
        store.update("default", writing(FIXING, State(THERE), events=(CLAIMED,), proofs=(PROOF,)))
        store.update("other", writing(State("repo")))
        assert set(store.read("default").states) == {HERE, THERE}
        other = store.read("other")
        assert (set(other.states), other.proofs, other.last_event, other.highest) == ({"repo"}, (), 0, 0)

    def test_a_snapshot_bears_the_time_of_its_read(self, store: Store, clock: Clock) -> None:
        store.update("default", writing(FIXING))
        clock.now += 5
        assert store.read("default").now == clock.now

    def test_a_second_store_sees_what_the_first_one_wrote(self, store: Store, engine: Engine) -> None:
        store.update("default", writing(FIXING, events=(CLAIMED,), proofs=(PROOF,)))
        other = engine.opened()
        assert other.read("default") == store.read("default")
        assert other.history("default", 9) == store.history("default", 9)
        other.close()

    def test_a_store_that_was_closed_can_be_used_again(self, store: Store) -> None:
        store.update("default", writing(FIXING))
        store.close()
        store.close()
        assert store.read("default").state(HERE).status is Status.FIXING

    # Updating

    def test_an_update_returns_its_step_with_ids_and_times_and_the_snapshot_afterwards(
        self, store: Store, clock: Clock
    ) -> None:
        event = CLAIMED._replace(id=77, at=5.0)
        step, after = store.update("default", writing(FIXING, events=(event, FIXED), proofs=(PROOF,)))
        first = after.last_event - 1
        assert step == Step(
            Outcome.CLAIMED,
            HERE,
            (FIXING,),
            (event._replace(id=first, at=clock.now), FIXED._replace(id=first + 1, at=clock.now)),
            (PROOF,),
        )
        assert after == Snapshot(
            {HERE: FIXING._replace(revision=1)}, (PROOF._replace(at=clock.now),), first + 1, clock.now, 1
        )
        assert after == store.read("default")
        assert store.history("default", 10) == list(step.events)

    def test_a_transition_sees_what_was_written_before(self, store: Store) -> None:
        seen: list[Snapshot] = []
        _, written = store.update("default", writing(FIXING, events=(CLAIMED,), proofs=(PROOF,)))

        def look(snapshot: Snapshot) -> Step:
            seen.append(snapshot)
            return Step(Outcome.STATUS, HERE)

        step, after = store.update("default", look)
        assert step == Step(Outcome.STATUS, HERE)
        assert [*seen, after] == [written] * (len(seen) + 1)

    def test_a_step_is_written_as_a_whole_or_not_at_all(self, store: Store, clock: Clock) -> None:
        def breaks_off(snapshot: Snapshot) -> Step:
            raise RuntimeError("on purpose")

        not_to_be_kept = FIXED._replace(head="--output=/x")
        with pytest.raises(RuntimeError, match="on purpose"):
            store.update("default", breaks_off)
        for step in (
            writing(FIXING, events=(CLAIMED, not_to_be_kept), proofs=(PROOF,)),
            writing(FIXING, events=(CLAIMED,), proofs=(PROOF, PROOF._replace(written=("/etc",)))),
            writing(FIXING, State("a\nb"), events=(CLAIMED,)),
        ):
            with pytest.raises(Unavailable, match="is '"):
                store.update("default", step)
        assert store.read("default") == Snapshot(now=clock.now)
        assert store.history("default", 10) == []

    def test_every_write_gives_the_state_another_revision(self, store: Store) -> None:
        store.update("default", writing(FIXING))
        _, after = store.update("default", lambda now: Step(Outcome.STATUS, HERE, (now.state(HERE),)))
        assert after.state(HERE) == FIXING._replace(revision=2)

    @pytest.mark.parametrize("wrong", [0, 7], ids=["a state that was not there yet", "a state at another revision"])
    def test_a_transition_is_put_again_to_a_state_that_has_changed(self, store: Store, wrong: int) -> None:
        store.update("default", writing(FIXING))
        seen: list[int] = []

        def transition(now: Snapshot) -> Step:
            seen.append(now.state(HERE).revision)
            revision = wrong if len(seen) == 1 else seen[-1]
            states = (State(THERE, len(seen)), FIXING._replace(number=9, revision=revision))
            return Step(Outcome.CLAIMED, HERE, states, (CLAIMED,), (PROOF,))

        _, after = store.update("default", transition)
        assert set(seen) == {1}
        assert after.state(HERE).number == 9
        assert after.state(THERE) == State(THERE, len(seen), 1), "the lost attempt must leave no state"
        assert len(store.history("default", 10)) == 1, "the lost attempt must leave no event"

    def test_a_transition_that_never_fits_ends(self, store: Store) -> None:
        store.update("default", writing(FIXING))
        before = store.read("default")
        tries: list[Snapshot] = []

        def transition(now: Snapshot) -> Step:
            tries.append(now)
            return Step(Outcome.CLAIMED, HERE, (FIXING._replace(revision=7),), (CLAIMED,))

        with pytest.raises(Unavailable):
            store.update("default", transition)
        assert 2 <= len(tries) <= 21
        assert store.read("default") == before

    def test_the_greatest_number_is_remembered_for_ever_and_for_each_build(
        self, store: Store, clock: Clock
    ) -> None:
        store.update("default", writing(FIXING._replace(number=7), State(THERE, 3)))
        store.update("default", lambda now: Step(Outcome.RESET, HERE, (now.state(HERE)._replace(number=2),)))
        store.update("other", writing(State("repo", 1)))
        assert store.read("default").highest == 7
        assert store.read("default").view(THERE).next_number == 8
        assert store.read("other").highest == 1

    # Waiting

    def test_a_waiter_is_woken_by_another_process(self, store: Store, engine: Engine) -> None:
        store.update("race", writing(events=(CLAIMED,)))
        before = store.read("race").last_event
        script = RACE.replace("STORE", engine.expression)
        with subprocess.Popen([sys.executable, "-c", script, "1", "1"], stdout=subprocess.DEVNULL) as other:
            woken = store.wait_for_change("race", before, PATIENCE)
            assert other.wait(PATIENCE) == 0
        assert woken
        assert store.read("race").last_event > before

    def test_a_wait_ends_when_its_time_has_run_out(self, store: Store) -> None:
        _, after = store.update("default", writing(events=(CLAIMED,)))
        began = time.monotonic()
        assert not store.wait_for_change("default", after.last_event, 0.15)
        assert time.monotonic() - began >= 0.15

    def test_a_wait_for_what_has_happened_already_ends_at_once(self, store: Store) -> None:
        _, after = store.update("default", writing(events=(CLAIMED,)))
        for other in (0, after.last_event - 1, after.last_event + 1):
            assert store.wait_for_change("default", other, PATIENCE)

    def test_a_waiter_is_not_woken_by_another_build_or_by_a_state(self, store: Store) -> None:
        _, after = store.update("default", writing(events=(CLAIMED,)))
        store.update("default", writing(FIXING, proofs=(PROOF,)))
        store.update("other", writing(events=(CLAIMED,)))
        assert not store.wait_for_change("default", after.last_event, 0.06)

    # History

    # Who waits

    def test_who_waits_is_told_longest_first_until_it_waits_no_more(self, store: Store) -> None:
        bob, cat = WAITER._replace(agent="bob", since=20.0), WAITER._replace(agent="cat", since=10.0)
        assert store.waiters("default") == []
        for one in (bob, cat):
            store.keep_waiter("default", one)
        assert (store.waiters("default"), store.waiters("other")) == ([cat, bob], [])
        store.drop_waiter("default", cat._replace(seen_at=99.0))
        assert store.waiters("default") == [bob]

    def test_a_waiter_s_sign_of_life_takes_the_place_of_the_one_before(self, store: Store) -> None:
        again = WAITER._replace(seen_at=70.0, other="dan")
        store.keep_waiter("default", WAITER)
        store.keep_waiter("default", again)
        assert store.waiters("default") == [again]

    def test_a_waiter_wakes_nobody_and_is_in_no_snapshot(self, store: Store, clock: Clock) -> None:
        store.keep_waiter("default", WAITER)
        assert store.read("default") == Snapshot(now=clock.now)
        assert not store.wait_for_change("default", 0, 0.0)

    def test_the_history_is_the_newest_events_oldest_first(self, store: Store, clock: Clock) -> None:
        began = clock.now
        for number in range(1, 6):
            clock.now = began + number
            store.update("default", writing(events=(CLAIMED._replace(number=number),)))
        assert [(event.number, event.at - began) for event in store.history("default", 3)] == [
            (3, 3),
            (4, 4),
            (5, 5),
        ]
        assert [event.number for event in store.history("default", 100)] == [1, 2, 3, 4, 5]
        assert store.history("default", 0) == []

    def test_the_history_is_one_build_s_alone(self, store: Store) -> None:
        store.update("default", writing(events=(CLAIMED,)))
        store.update("other", writing(events=(FIXED,)))
        assert [event.kind for event in store.history("other", 10)] == [FIXED.kind]

    def test_the_ids_of_a_build_s_events_only_grow(self, store: Store) -> None:
        found = []
        for _ in range(3):
            found.append(store.update("default", writing(events=(CLAIMED,)))[1].last_event)
            store.update("other", writing(events=(FIXED,)))
        assert found == sorted(set(found))
        assert found[0] > 0

    # Proofs

    def proofs(self, store: Store) -> list[Proof]:
        return [proof._replace(at=0.0) for proof in store.read("default").proofs]

    def test_a_proof_bears_the_time_at_which_it_was_written(self, store: Store, clock: Clock) -> None:
        store.update("default", writing(proofs=(PROOF._replace(at=1.0),)))
        clock.now += 3
        assert store.read("default").proofs == (PROOF._replace(at=clock.now - 3),)

    def test_a_proof_takes_the_place_of_one_that_shows_the_same(self, store: Store) -> None:
        again = PROOF._replace(agent="bob", tree=OTHER_FILES, seen=4, failures=("a",))
        store.update("default", writing(proofs=(PROOF, PROOF._replace(check="ruff"))))
        store.update("default", writing(proofs=(again,)))
        assert self.proofs(store) == [PROOF._replace(check="ruff"), again]

    def test_proofs_that_show_something_else_stand_beside_it_oldest_first(self, store: Store) -> None:
        others = [
            PROOF._replace(check="ruff"),
            PROOF._replace(files=OTHER_FILES),
            PROOF._replace(files=""),
            PROOF._replace(checkout=THERE),
            PROOF._replace(passed=False),
            PROOF._replace(failed=FILES),
        ]
        store.update("default", writing(proofs=(PROOF, *others)))
        store.update("other", writing(proofs=(PROOF,)))
        assert self.proofs(store) == [PROOF, *others]

    def test_a_proof_is_forgotten_after_a_month(self, store: Store, clock: Clock) -> None:
        store.update("default", writing(proofs=(PROOF,)))
        clock.now += MONTH - 1
        assert self.proofs(store) == [PROOF]
        clock.now += 1
        assert self.proofs(store) == []

    def test_the_newest_hundred_proofs_are_kept(self, store: Store, clock: Clock) -> None:
        clock.now += 500.0
        store.update("default", writing(proofs=(PROOF,)))
        clock.now -= 500.0
        for number in range(103):
            clock.now += 1
            store.update("default", writing(proofs=(PROOF._replace(check=str(number)),)))
        assert [proof.check for proof in self.proofs(store)] == [str(number) for number in range(3, 103)]

    # What goes in comes out

    def test_every_field_of_a_state_survives(self, store: Store) -> None:
        @ROUND_TRIP
        @given(STATES)
        def holds(state: State) -> None:
            known = store.read("default").state(state.scope).revision
            store.update("default", writing(state._replace(revision=known)))
            assert store.read("default").state(state.scope) == state._replace(revision=known + 1)

        holds()

    def test_every_field_of_an_event_survives(self, store: Store, clock: Clock) -> None:
        @ROUND_TRIP
        @given(EVENTS)
        def holds(event: Event) -> None:
            step, after = store.update("default", writing(events=(event,)))
            assert step.events == (event._replace(id=after.last_event, at=clock.now),)
            assert store.history("default", 1) == list(step.events)

        holds()

    def test_every_field_of_a_proof_survives(self, store: Store, clock: Clock) -> None:
        @ROUND_TRIP
        @given(PROOFS)
        def holds(proof: Proof) -> None:
            store.update("default", writing(proofs=(proof,)))
            assert store.read("default").proofs[-1] == proof._replace(at=clock.now)

        holds()

    # Races

    @pytest.mark.parametrize(("racers", "rounds"), [(2, 20), (8, 8), (32, 2), (64, 1)])
    def test_of_processes_that_claim_at_once_exactly_one_wins(
        self, engine: Engine, store: Store, racers: int, rounds: int
    ) -> None:
        script = RACE.replace("STORE", engine.expression)
        done = subprocess.run(
            [sys.executable, "-c", script, str(racers), str(rounds)],
            capture_output=True,
            text=True,
            timeout=RACE_PATIENCE,
        )
        assert (done.returncode, done.stderr) == (0, "")
        *lines, end = done.stdout.splitlines()
        assert end == "end" + " 0" * racers
        winners = {scope: racer for scope, racer in (line.split() for line in lines) if racer != "-1"}
        assert len(lines) == racers * rounds
        assert sum(not line.endswith(" -1") for line in lines) == rounds
        now = store.read("race")
        claims = {scope: state.claim.agent for scope, state in now.states.items() if state.claim is not None}
        assert claims == {scope: f"racer-{racer}" for scope, racer in winners.items()}
        assert sorted(state.number for state in now.states.values()) == list(range(1, rounds + 1))
        history = store.history("race", 1000)
        assert [event.number for event in history] == list(range(1, rounds + 1))
        assert {event.scope: event.agent for event in history} == claims
