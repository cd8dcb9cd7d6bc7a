"""The verbs of the guard over a real store in memory: what each writes, what it answers, and who waits how long."""

import threading
from collections.abc import Callable
from typing import NamedTuple

import pytest
from testing.heart import HEAD, HERE, LATER, MAIN, NOTE, THERE, THIRD, breakage, held, of
from testing.memory import MemoryStore

from buildguard.claims.guard import WAITER_RENEWS, WAITER_STALE, Guard, Moment, Terms
from buildguard.claims.model import (
    LANDING,
    REPO,
    Content,
    Event,
    Kind,
    Landing,
    Outcome,
    Proof,
    Run,
    Snapshot,
    Stale,
    State,
    Status,
    Step,
    Waiter,
)
from buildguard.claims.store import Store, Transition
from buildguard.errors import Fault, Unavailable, Unidentified

BUILD = "default"
PATIENCE = 60.0
"""Seconds after which a wait that should have ended is a failure."""
CODE = Content("code", "100644", "mended")
RUN = Run("pytest", 0, HERE, HEAD, MAIN, "red", ("test_a",))
PROOF = Proof("pytest", True, "green", HERE)


class Me(NamedTuple):
    """Who calls."""

    id: str
    process: str | None = None


class World:
    """The world outside the store, of which a test decides what is known."""

    def __init__(self, agent: str | None) -> None:
        self.agent = agent
        self.asked = 0
        self.gone_checkouts: set[str] = set()
        self.ended: set[tuple[str, str]] = set()

    def identify(self) -> Me:
        self.asked += 1
        if self.agent is None:
            raise Unidentified("nothing tells who is calling")
        return Me(self.agent, f"{self.agent}'s process")

    def dead(self, agent: str, process: str) -> bool:
        return (agent, process) in self.ended

    def elsewhere(self, checkout: str) -> bool:
        return False

    def gone(self, checkout: str) -> bool:
        return checkout in self.gone_checkouts


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class ReadOnly(MemoryStore):
    """What a sandboxed agent has: a store that it may only read."""

    def update(self, build: str, transition: Transition) -> tuple[Step, Snapshot]:
        raise Unavailable(Fault.READ_ONLY, self.where, "cannot be written")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock)


def guard(store: Store, agent: str | None = "me", checkout: str = HERE, asked: str | None = None) -> Guard:
    return Guard(store, BUILD, checkout, World(agent), Terms(900.0, 3600.0, HEAD, MAIN), asked)


def world(guard: Guard) -> World:
    assert isinstance(guard._world, World)
    return guard._world


def run_at(store: Store, checkout: str = HERE, *failures: str, **more: object) -> Run:
    """A run of now, in that checkout."""
    return RUN._replace(seen=store.read(BUILD).last_event, checkout=checkout, failures=failures, **more)  # type: ignore[arg-type]


def fails(store: Store, agent: str, checkout: str, *failures: str) -> Outcome:
    return guard(store, agent, checkout).failed(run_at(store, checkout, *failures)).outcome


def fixed(store: Store, checkout: str = HERE, *, loose: tuple[str, ...] = (), clean: bool = False) -> Run:
    """A pass of now, in that checkout, with two changed paths."""
    landing = Landing("red", (CODE, NOTE), loose, ("c1",))
    follows = frozenset({HEAD})
    return run_at(store, checkout, head=LATER, files="green", clean=clean, follows=follows, landings=(landing,))


# Who is calling


def test_the_caller_is_who_the_world_says_on_the_terms_that_are_set(store: MemoryStore) -> None:
    caller = guard(store, "me", THERE).caller
    assert (caller.agent, caller.checkout, caller.process) == ("me", THERE, "me's process")
    assert (caller.stale_after, caller.max_claim, caller.head, caller.branch) == (900.0, 3600.0, HEAD, MAIN)


def test_the_world_is_asked_once(store: MemoryStore) -> None:
    one = guard(store)
    assert (one.me.id, one.me_if_known, one.caller.agent) == ("me", one.me, "me")
    assert world(one).asked == 1


def test_who_cannot_be_told_claims_nothing(store: MemoryStore) -> None:
    nobody = guard(store, None)
    assert nobody.me_if_known is None
    with pytest.raises(Unidentified):
        nobody.failed(RUN)
    assert store.read(BUILD).states == {}


# What a failure writes


def test_a_failure_chooses_the_scope_and_claims_in_one_step(store: MemoryStore) -> None:
    answer = guard(store).failed(RUN)
    assert (answer.outcome, answer.view.state.scope, answer.why) == (Outcome.CLAIMED, HERE, "")
    assert held(answer.view.state).agent == "me"
    assert answer.view.state == answer.snapshot.states[HERE] == store.read(BUILD).states[HERE]
    assert answer.agent == Me("me", "me's process")
    assert answer.run == RUN
    assert answer.event == store.history(BUILD, 9)[-1]
    assert answer.event is not None
    assert (answer.event.kind, answer.event.id) == (Kind.CLAIMED, 1)


def test_a_failure_that_another_has_says_why_it_is_theirs(store: MemoryStore) -> None:
    fails(store, "ann", THERE, "test_a")
    answer = guard(store).failed(run_at(store, HERE, "test_a"))
    assert (answer.outcome, answer.view.state.scope) == (Outcome.BUSY, THERE)
    assert answer.why == "test_a fails for ann too"
    assert answer.event is not None
    assert answer.event.kind is Kind.SHARED


def test_a_renewal_by_another_process_of_the_session_says_so(store: MemoryStore) -> None:
    class Elsewhere(World):
        def identify(self) -> Me:
            return Me("me", "another process")

    fails(store, "me", HERE, "test_a")
    again = Guard(store, BUILD, HERE, Elsewhere("me"), Terms(900.0, 3600.0)).failed(run_at(store, HERE, "test_a"))
    assert (again.outcome, again.why[:23]) == (Outcome.RENEWED, "renewed by this session")


def test_a_failure_in_the_scope_that_was_asked_for_stays_there(store: MemoryStore) -> None:
    fails(store, "ann", THERE, "test_a")
    answer = guard(store, asked=REPO).failed(run_at(store, HERE, "test_a"))
    assert (answer.outcome, answer.view.state.scope) == (Outcome.CLAIMED, REPO)


def test_a_report_claims_nothing(store: MemoryStore) -> None:
    assert guard(store, "ci").failed(RUN, claiming=False).view.state.status is Status.BROKEN


def test_a_claim_by_hand_has_no_run(store: MemoryStore) -> None:
    answer = guard(store).failed(None)
    assert (answer.outcome, answer.run) == (Outcome.CLAIMED, None)


@pytest.mark.parametrize("seen", [0, 99])
def test_what_a_failing_run_showed_is_kept_whatever_comes_of_it(store: MemoryStore, seen: int) -> None:
    fails(store, "ann", HERE, "test_a")
    guard(store, "ann").release(None, False, "")
    guard(store).failed(RUN._replace(seen=seen, proof=PROOF))
    assert store.read(BUILD).proofs == (PROOF._replace(at=1_000_000.0),)


def test_a_failure_of_what_was_fixed_here_says_so(store: MemoryStore) -> None:
    fails(store, "ann", HERE, "test_a")
    guard(store, "ann").passed(fixed(store), "ann")
    one = guard(store)
    answer = one.failed(run_at(store, HERE, "test_a"), history=one.history())
    assert answer.event is not None
    assert (answer.event.kind, answer.event.other, answer.event.fixed_at) == (Kind.CLAIMED, "ann", 1_000_000.0)


def read_only_after(*agents: str) -> ReadOnly:
    """A store that may only be read, in which these agents have failed here before."""
    written, store = MemoryStore(), ReadOnly()
    for agent in agents:
        fails(written, agent, HERE, "test_a")
    store._states = written._states
    return store


def test_who_may_only_read_is_bound_by_the_claims_of_others() -> None:
    store = read_only_after("ann")
    run = run_at(store, THERE, "test_a")
    answer = guard(store, "me", THERE).failed(run)
    assert (answer.outcome, answer.view.state.scope) == (Outcome.BUSY, HERE)
    assert (answer.agent, answer.run) == (Me("me", "me's process"), run)
    assert answer.why == "test_a fails for ann too"
    assert answer.snapshot == store.read(BUILD)._replace(now=answer.snapshot.now)


@pytest.mark.parametrize("agents", [(), ("me",)])
def test_who_may_only_read_claims_and_renews_nothing(agents: tuple[str, ...]) -> None:
    store = read_only_after(*agents)
    with pytest.raises(Unavailable):
        guard(store).failed(run_at(store, HERE, "test_a"))


def test_who_may_only_read_knows_what_has_ended() -> None:
    one = guard(read_only_after("ann"))
    world(one).ended = {("ann", "ann's process")}
    with pytest.raises(Unavailable):
        one.failed(run_at(one.store, HERE, "test_a"))


def test_of_two_that_fail_at_once_one_is_elected(store: MemoryStore) -> None:

    class Racing(MemoryStore):
        """A store in which ann is faster once: she claims after another's decision and before its write."""

        is_ann_s_turn = True

        def read(self, build: str, fresh: bool = False) -> Snapshot:
            snapshot = super().read(build, fresh)
            if self.is_ann_s_turn:
                self.is_ann_s_turn = False
                assert guard(self, "ann").failed(RUN).outcome is Outcome.CLAIMED
            return snapshot

    racing = Racing()
    answer = guard(racing).failed(RUN)
    assert answer.outcome is Outcome.BUSY
    assert [event.agent for event in racing.history(BUILD, 9)] == ["ann"]


def test_of_many_threads_that_claim_at_once_one_is_elected() -> None:
    store = MemoryStore()
    outcomes: list[Outcome] = []
    names = [f"agent {number}" for number in range(8)]
    threads = [
        threading.Thread(target=lambda name=name: outcomes.append(guard(store, name).failed(RUN).outcome))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [Outcome.BUSY] * 7 + [Outcome.CLAIMED]


# What a pass writes


def test_a_pass_ends_the_breakage_of_its_checkout(store: MemoryStore) -> None:
    fails(store, "me", HERE, "test_a")
    run = fixed(store)._replace(proof=PROOF)
    answer = guard(store).passed(run, "me")
    assert (answer.outcome, answer.view.state.scope, answer.run) == (Outcome.FIXED, HERE, run)
    assert answer.view.state.status is Status.PASSING
    assert answer.snapshot.proofs == (PROOF._replace(at=1_000_000.0),)
    assert answer.event is not None
    assert answer.event.commits == ("c1",)


def test_a_pass_is_noted_where_nothing_was_broken(store: MemoryStore) -> None:
    answer = guard(store, None).passed(RUN, None)
    assert (answer.outcome, answer.agent, answer.event) == (Outcome.PASSED, None, None)
    assert store.read(BUILD).states == {HERE: State(HERE, revision=1, last_check=1_000_000.0)}
    assert store.read(BUILD).proofs == ()


def test_a_pass_is_told_to_every_breakage_that_its_checkout_has(store: MemoryStore) -> None:
    fails(store, "ann", THERE, "test_a")
    fails(store, "bob", HERE, "test_a")
    guard(store, "cat", HERE, REPO).failed(run_at(store, HERE, "test_c"))
    answer = guard(store).passed(fixed(store, clean=True), "me")
    assert answer.outcome is Outcome.FIXED
    states = store.read(BUILD).states
    assert {name: state.status for name, state in states.items()} == dict.fromkeys(
        (HERE, THERE, REPO), Status.PASSING
    )
    assert [event.kind for event in store.history(BUILD, 2)] == [Kind.FIXED, Kind.FIXED]


def test_a_pass_says_nothing_of_what_another_checkout_has(store: MemoryStore) -> None:
    fails(store, "ann", THERE, "test_a")
    answer = guard(store).passed(fixed(store, clean=True), "me")
    assert (answer.outcome, answer.view.state.scope) == (Outcome.PASSED, HERE)
    assert (store.read(BUILD).states[THERE].status, store.read(BUILD).states[THERE].revision) == (Status.FIXING, 1)


def test_a_pass_in_the_scope_that_was_asked_for_is_told_there_first(store: MemoryStore) -> None:
    guard(store, asked=REPO).failed(RUN)
    answer = guard(store, asked=REPO).passed(fixed(store), "me")
    assert (answer.outcome, answer.view.state.scope) == (Outcome.FIXED, REPO)
    assert store.read(BUILD).states.keys() == {REPO}


@pytest.mark.parametrize(
    ("own", "everybody_s", "told"),
    [
        ((), ("code", "note"), (Outcome.PENDING, REPO)),
        (("code", "note"), (), (Outcome.PENDING, HERE)),
        ((), ("note",), (Outcome.LANDED, REPO)),
        (("code", "note"), ("note",), (Outcome.PENDING, HERE)),
        ((), (), (Outcome.FIXED, HERE)),
        ((), None, (Outcome.FIXED, HERE)),
        (None, (), (Outcome.FIXED, REPO)),
    ],
)
def test_of_several_breakages_the_one_that_asks_most_is_told(
    store: MemoryStore, own: tuple[str, ...] | None, everybody_s: tuple[str, ...] | None, told: tuple[Outcome, str]
) -> None:
    """None: on the very files that failed."""
    fails(store, "me", HERE, "test_a")
    guard(store, asked=REPO).failed(run_at(store, HERE, "test_c", files="also red"))
    landings = tuple(
        Landing(failed) if loose is None else Landing(failed, (CODE, NOTE), loose, ("c1",))
        for failed, loose in (("red", own), ("also red", everybody_s))
    )
    answer = guard(store).passed(fixed(store)._replace(landings=landings), "me")
    assert (answer.outcome, answer.view.state.scope) == told
    assert {event.scope for event in [answer.event] if event} <= {told[1]}


def test_a_checkout_that_left_one_breakage_is_told_so(store: MemoryStore) -> None:
    fails(store, "ann", THERE, "test_a")
    fails(store, "me", HERE, "test_a")
    switched = run_at(store, HERE, head="another", branch="refs/heads/old")
    answer = guard(store).passed(switched, "me")
    assert (answer.outcome, answer.view.state.scope) == (Outcome.LEFT, THERE)
    assert store.read(BUILD).states.keys() == {HERE, THERE}


# Release and reset


@pytest.mark.parametrize(("gave_up", "status"), [(False, Status.PASSING), (True, Status.BROKEN)])
def test_a_release_acts_on_the_caller_s_own_claim_wherever_it_is(
    store: MemoryStore, gave_up: bool, status: Status
) -> None:
    fails(store, "me", THERE, "test_a")
    answer = guard(store).release(1, gave_up, "why", ("c1",))
    assert (answer.outcome, answer.view.state.scope) == (Outcome.GAVE_UP if gave_up else Outcome.RELEASED, THERE)
    assert answer.view.state.status is status
    assert answer.event is not None
    assert (answer.event.reason, answer.event.commits) == ("why", () if gave_up else ("c1",))


def test_a_release_of_the_scope_that_was_asked_for_touches_no_other(store: MemoryStore) -> None:
    fails(store, "me", HERE, "test_a")
    assert guard(store, asked=REPO).release(None, False, "").outcome is Outcome.NOTHING_HELD
    assert store.read(BUILD).states[HERE].status is Status.FIXING


def test_a_release_with_another_number_is_refused(store: MemoryStore) -> None:
    fails(store, "me", HERE, "test_a")
    assert guard(store).release(7, False, "").outcome is Outcome.NOT_YOURS


@pytest.mark.parametrize(("evict", "status"), [(False, Status.PASSING), (True, Status.BROKEN)])
def test_a_reset_ends_what_binds_this_checkout(store: MemoryStore, evict: bool, status: Status) -> None:
    fails(store, "ann", HERE, "test_a")
    answer = guard(store).reset(evict)
    assert (answer.outcome, answer.view.state.status) == (Outcome.EVICTED if evict else Outcome.RESET, status)
    assert answer.view.state.number == 2


def test_a_reset_declares_passing_unless_it_is_to_evict(store: MemoryStore) -> None:
    fails(store, "ann", HERE, "test_a")
    fails(store, "bob", THERE, "test_b")
    assert guard(store, asked=THERE).reset().view.state.scope == THERE
    assert [state.status for state in store.read(BUILD).states.values()] == [Status.FIXING, Status.PASSING]


# Status and signs of life


def test_the_status_renews_nothing_and_needs_no_right_to_write() -> None:
    store = ReadOnly()
    answer = guard(store).status(store.read(BUILD))
    assert answer.why == ""
    assert (answer.outcome, answer.view.state, answer.agent) == (
        Outcome.STATUS,
        State(HERE),
        Me("me", "me's process"),
    )


def test_the_status_is_that_of_what_concerns_the_caller(store: MemoryStore) -> None:
    fails(store, "me", THERE, "test_a")
    snapshot = store.read(BUILD)
    assert guard(store).status(snapshot).view.state.scope == THERE
    assert guard(store, None).status(snapshot).view.state.scope == HERE
    assert guard(store, asked=REPO).status(snapshot).view.state.scope == REPO


def test_a_sign_of_life_renews_all_that_the_caller_holds(store: MemoryStore, clock: Clock) -> None:
    fails(store, "me", HERE, "test_a")
    fails(store, "me", THERE, "test_b")
    fails(store, "ann", THIRD, "test_c")
    clock.now += 100.0
    guard(store).alive()
    seen = {name: held(state).seen_at - clock.now for name, state in store.read(BUILD).states.items()}
    assert seen == {HERE: 0.0, THERE: 0.0, THIRD: -100.0}
    assert len(store.history(BUILD, 9)) == 3


def test_who_holds_nothing_writes_no_sign_of_life() -> None:
    store, written = ReadOnly(), MemoryStore()
    guard(store, None).alive()
    fails(written, "ann", HERE, "test_a")
    store._states = written._states
    guard(store).alive()


def test_where_nobody_holds_anything_the_caller_need_not_be_known(store: MemoryStore) -> None:
    guard(store, "ci").failed(RUN, claiming=False)
    nobody = guard(store, None)
    nobody.alive()
    assert world(nobody).asked == 0


# What the world knows


def test_a_claim_goes_stale_when_its_process_is_known_to_have_ended(store: MemoryStore) -> None:
    fails(store, "ann", HERE, "test_a")
    fails(store, "bob", THERE, "test_b")
    one = guard(store)
    world(one).ended = {("ann", "ann's process"), ("bob", "another process")}
    snapshot = one.read()
    assert (snapshot.view(HERE).stale, snapshot.view(THERE).stale) == (Stale.DEAD, None)
    assert one.failed(run_at(store, HERE, "test_a")).outcome is Outcome.TAKEN_OVER


def test_a_claim_goes_stale_when_its_checkout_is_known_to_be_gone(store: MemoryStore) -> None:
    fails(store, "ann", THERE, "test_a")
    fails(store, "bob", THIRD, "test_b")
    one = guard(store)
    world(one).gone_checkouts = {THERE}
    snapshot = one.read()
    assert (snapshot.view(THERE).stale, snapshot.view(THIRD).stale) == (Stale.GONE, None)
    answer = one.failed(run_at(store, HERE, "test_a"))
    assert answer.outcome is Outcome.TAKEN_OVER
    assert of(answer.view.state).seen.keys() == {HERE}


def test_the_answer_knows_of_the_world_too(store: MemoryStore) -> None:
    fails(store, "ann", THERE, "test_a")
    one = guard(store)
    world(one).gone_checkouts = {THERE}
    assert one.failed(run_at(store, HERE, "test_c")).snapshot.gone == {THERE}
    assert one.status(one.read()).snapshot.gone == {THERE}


def test_a_checkout_that_only_has_the_breakage_may_be_gone(store: MemoryStore) -> None:
    fails(store, "ann", HERE, "test_a")
    fails(store, "bob", THERE, "test_a")
    one = guard(store, "ann")
    world(one).gone_checkouts = {THERE}
    assert of(one.failed(run_at(store, HERE, "test_a")).view.state).seen.keys() == {HERE}


def test_the_caller_s_own_checkout_is_never_gone(store: MemoryStore) -> None:
    fails(store, "ann", HERE, "test_a")
    one = guard(store)
    world(one).gone_checkouts = {HERE}
    assert one.read().gone == frozenset()


def test_without_a_process_nobody_asks_whether_it_has_ended(store: MemoryStore) -> None:
    class Nameless(World):
        def identify(self) -> Me:
            return Me("me")

        def dead(self, agent: str, process: str) -> bool:
            raise AssertionError("there is no process to ask about")

    one = Guard(store, BUILD, HERE, Nameless("me"), Terms(900.0, 3600.0))
    assert (one.caller.head, one.caller.branch) == ("", "")
    assert one.failed(RUN).outcome is Outcome.CLAIMED


# Times that cannot be


@pytest.mark.parametrize(("ahead", "put_right"), [(5.0, False), (5.5, True)])
def test_a_time_of_the_future_is_put_right_when_it_is_read(
    store: MemoryStore, clock: Clock, ahead: float, put_right: bool
) -> None:
    fails(store, "ann", HERE, "test_a")
    clock.now -= ahead
    snapshot = guard(store).read()
    assert held(snapshot.states[HERE]).seen_at == (clock.now if put_right else clock.now + ahead)
    assert snapshot.states == store.read(BUILD).states
    assert snapshot.last_event == 1


def test_one_scope_that_is_ahead_is_put_right_and_the_others_stay(store: MemoryStore, clock: Clock) -> None:
    fails(store, "bob", THERE, "test_b")
    clock.now += 100.0
    fails(store, "ann", HERE, "test_a")
    clock.now -= 100.0
    snapshot = guard(store).read()
    assert {name: (held(state).seen_at, state.revision) for name, state in snapshot.states.items()} == {
        HERE: (clock.now, 2),
        THERE: (clock.now, 1),
    }


def test_a_clock_that_ran_ahead_keeps_no_claim_alive(store: MemoryStore, clock: Clock) -> None:
    clock.now += 10_000.0
    fails(store, "ann", HERE, "test_a")
    clock.now -= 10_000.0
    guard(store).read()
    clock.now += 900.0
    assert fails(store, "me", HERE, "test_a") is Outcome.TAKEN_OVER


def test_who_may_only_read_goes_on_with_what_was_read(clock: Clock) -> None:
    written = MemoryStore(lambda: clock.now + 100.0)
    fails(written, "ann", HERE, "test_a")
    store = ReadOnly(clock)
    store._states = written._states
    assert guard(store).read().states == written.read(BUILD).states


# What ends by time


def lands_in_part(store: Store, agent: str = "ann", checkout: str = HERE) -> None:
    fails(store, agent, checkout, "test_a")
    assert (
        guard(store, agent, checkout).passed(fixed(store, checkout, loose=("note",)), agent).outcome
        is Outcome.LANDED
    )


def test_a_read_ends_what_landed_two_minutes_ago(store: MemoryStore, clock: Clock) -> None:
    lands_in_part(store)
    clock.now += LANDING - 1.0
    assert guard(store).read().states[HERE].status is Status.FIXING
    clock.now += 1.0
    snapshot = guard(store).read()
    assert snapshot.states[HERE].status is Status.PASSING
    event = store.history(BUILD, 1)[0]
    assert (event.kind, event.agent, event.reason, event.commits) == (Kind.FIXED, "ann", "not proved", ("c1",))
    assert guard(store).read().last_event == event.id


def test_what_is_over_and_was_written_by_a_clock_that_ran_ahead_is_put_right_once(
    store: MemoryStore, clock: Clock
) -> None:
    lands_in_part(store)
    state = store.read(BUILD).states[HERE]
    ahead = breakage(state, claim=held(state)._replace(seen_at=clock.now + 5_000.0))
    store.update(BUILD, lambda _: Step(Outcome.NOTED, HERE, (ahead,)))
    clock.now += LANDING
    assert guard(store).read().states[HERE].status is Status.PASSING


# Waiting


def looks(guard: Guard, timeout: float, *between: Callable[[], object], held_by: str | None = None) -> list[Moment]:
    """All moments of a wait; after each of the first ones the next thing happens."""
    happens = iter(between)
    moments = []
    for moment in guard.waiting(timeout, held_by):
        moments.append(moment)
        next(happens, bool)()
    return moments


def releases(store: Store, agent: str, checkout: str = HERE) -> Callable[[], object]:
    return lambda: guard(store, agent, checkout).release(None, False, "")


def test_who_is_held_up_by_nobody_does_not_wait(store: MemoryStore) -> None:
    (moment,) = looks(guard(store), PATIENCE)
    assert (moment.holder, moment.concerning.state.scope) == (None, HERE)
    assert PATIENCE - 10.0 < moment.left <= PATIENCE


def test_a_waiter_is_free_when_the_fixer_has_ended_the_breakage(store: MemoryStore) -> None:
    fails(store, "ann", HERE, "test_a")
    moments = looks(guard(store), PATIENCE, bool, releases(store, "ann"))
    assert [moment.holder is None for moment in moments] == [False, False, True]
    assert held(moments[0].concerning.state).agent == "ann"
    assert moments[0].holder == moments[0].concerning
    assert moments[-1].snapshot.last_event == 2
    assert moments[0].left >= moments[-1].left > 0.0


def test_a_waiter_is_woken_by_an_event() -> None:
    """It blocks in the store until another thread writes there."""

    class Patient(MemoryStore):
        """A store that waits for an event and for nothing else."""

        waits = threading.Event()
        woken = False

        def wait_for_change(self, build: str, since_event: int, timeout: float) -> bool:
            assert (build, since_event) == (BUILD, 1)
            assert 0.0 < timeout <= 0.25, "a HEAD that moves makes no event"
            self.waits.set()
            self.woken = super().wait_for_change(build, since_event, PATIENCE)
            return self.woken

    store = Patient()
    fails(store, "ann", HERE, "test_a")
    ender = threading.Thread(target=lambda: store.waits.wait(PATIENCE) and releases(store, "ann")())
    ender.start()
    moments = looks(guard(store), PATIENCE)
    ender.join()
    assert [moment.holder is None for moment in moments] == [False, True]
    assert store.woken


def test_a_wait_that_runs_out_ends_with_the_holder(store: MemoryStore) -> None:
    fails(store, "ann", HERE, "test_a")
    moments = looks(guard(store), 0.05)
    assert all(moment.holder is not None for moment in moments)
    assert (moments[-1].left, moments[0].left > 0.0) == (0.0, True)


def test_no_time_is_one_look(store: MemoryStore) -> None:
    fails(store, "ann", HERE, "test_a")
    assert [moment.left for moment in looks(guard(store), 0.0)] == [0.0]


def test_a_waiter_waits_for_the_scope_that_was_found_busy(store: MemoryStore) -> None:
    fails(store, "ann", HERE, "test_a")
    fails(store, "bob", THERE, "test_b")
    moments = looks(guard(store), PATIENCE, releases(store, "bob", THERE), held_by=THERE)
    assert [moment.concerning.state.scope for moment in moments] == [THERE, THERE]
    assert moments[-1].holder is None


def test_what_holds_a_waiter_up_concerns_it_more_than_its_own_claim_elsewhere(store: MemoryStore) -> None:
    fails(store, "me", THERE, "test_b")
    fails(store, "ann", HERE, "test_a")
    moments = looks(guard(store), PATIENCE, releases(store, "ann"))
    assert [moment.concerning.state.scope for moment in moments] == [HERE, THERE]


def test_who_asked_for_a_scope_waits_for_that_one(store: MemoryStore) -> None:
    fails(store, "ann", HERE, "test_a")
    (moment,) = looks(guard(store, asked=REPO), PATIENCE)
    assert (moment.holder, moment.concerning.state.scope) == (None, REPO)


def test_a_waiter_is_free_when_the_fixer_has_died(store: MemoryStore) -> None:
    fails(store, "ann", HERE, "test_a")
    one = guard(store)
    moments = looks(one, PATIENCE, lambda: world(one).ended.add(("ann", "ann's process")))
    assert [moment.holder is None for moment in moments] == [False, True]


def test_a_waiter_elsewhere_is_free_two_minutes_after_some_of_the_fix_landed(
    store: MemoryStore, clock: Clock
) -> None:
    fails(store, "ann", THERE, "test_a")
    fails(store, "me", HERE, "test_a")
    run = fixed(store, THERE, loose=("note",))
    assert guard(store, "ann", THERE).passed(run, "ann").outcome is Outcome.LANDED
    moments = looks(guard(store), PATIENCE, lambda: setattr(clock, "now", clock.now + LANDING))
    assert [moment.holder is None for moment in moments] == [False, True]
    assert store.history(BUILD, 1)[0].reason == "not proved"


def test_who_was_found_busy_after_some_of_the_fix_had_landed_here_waits(store: MemoryStore, clock: Clock) -> None:
    """Its check has failed since: to check again at once would only fail again."""
    lands_in_part(store)
    assert fails(store, "me", HERE, "test_b") is Outcome.BUSY
    assert [moment.holder for moment in looks(guard(store), PATIENCE)] == [None]
    ends = lambda: setattr(clock, "now", clock.now + LANDING)  # noqa: E731
    moments = looks(guard(store), PATIENCE, ends, held_by=HERE)
    assert [moment.holder is None for moment in moments] == [False, True]


def test_who_was_found_busy_before_goes_on_when_some_of_the_fix_lands_here(store: MemoryStore) -> None:
    fails(store, "ann", HERE, "test_a")
    run = fixed(store, loose=("note",))
    moments = looks(guard(store), PATIENCE, lambda: guard(store, "ann").passed(run, "ann"), held_by=HERE)
    assert [moment.holder is None for moment in moments] == [False, True]


# Notes


def test_a_note_moves_no_state(store: MemoryStore) -> None:
    fails(store, "ann", HERE, "test_a")
    before = store.read(BUILD).states
    guard(store).note(Event(Kind.WAITED, HERE, 1, "", "ann", "12 s"))
    after = store.read(BUILD)
    assert after.states == before
    event = store.history(BUILD, 1)[0]
    assert (event.kind, event.agent, event.checkout, event.other) == (Kind.WAITED, "me", HERE, "ann")


def test_a_note_that_cannot_be_written_is_nobody_s_trouble() -> None:
    guard(ReadOnly()).note(Event(Kind.WAITED, HERE, 1, ""))


def test_the_history_is_the_newest_events(store: MemoryStore) -> None:
    one = guard(store)
    for number in range(210):
        one.note(Event(Kind.WAITED, HERE, number, ""))
    assert [event.number for event in one.history(2)] == [208, 209]
    assert len(one.history()) == 200


def test_a_waiter_without_a_sign_of_life_counts_as_gone_like_a_silent_fixer(
    store: MemoryStore, clock: Clock
) -> None:
    waiter = Waiter("bob", HERE, HERE, "me", clock.now, clock.now)
    store.keep_waiter(BUILD, waiter)
    clock.now += WAITER_STALE - 1
    assert guard(store).status(store.read(BUILD)).snapshot.waiters == (waiter,)
    clock.now += 1
    assert guard(store).status(store.read(BUILD)).snapshot.waiters == ()


def test_a_waiter_of_the_future_is_not_believed(store: MemoryStore, clock: Clock) -> None:
    store.keep_waiter(BUILD, Waiter("bob", HERE, HERE, "me", clock.now, clock.now + 1000))
    assert guard(store).status(store.read(BUILD)).snapshot.waiters == ()


def test_a_pass_does_not_ask_who_waits(clock: Clock) -> None:
    class Deaf(MemoryStore):
        def waiters(self, build: str) -> list[Waiter]:
            raise AssertionError("asked")

    assert guard(Deaf(clock)).passed(fixed(Deaf(clock)), None).outcome is Outcome.PASSED


def test_a_claim_is_told_though_nobody_knows_who_waits(clock: Clock) -> None:
    class Mute(MemoryStore):
        def waiters(self, build: str) -> list[Waiter]:
            raise Unavailable(Fault.LOCKED, "memory", "locked")

    assert guard(Mute(clock)).failed(None).outcome is Outcome.CLAIMED


def test_a_wait_is_known_from_its_beginning_to_its_end_and_written_rarely(store: MemoryStore, clock: Clock) -> None:
    fails(store, "ann", HERE, "test_a")
    seen: list[list[Waiter]] = []

    def look() -> None:
        seen.append(store.waiters(BUILD))
        clock.now += WAITER_RENEWS / 2

    began = clock.now
    looks(guard(store), PATIENCE, look, look, look, look, releases(store, "ann"))
    known = [[(one.agent, one.other, one.since - began, one.seen_at - began) for one in row] for row in seen]
    assert known == [[], [("me", "ann", 0.0, 0.0)], [("me", "ann", 0.0, 0.0)], [("me", "ann", 0.0, 60.0)]]
    assert store.waiters(BUILD) == []
