"""The contract of the store's five methods, with a real file and a clock of our own; and how it lies on disk."""

import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from testing.support import PATIENCE

from buildguard.claims.model import Claim, Event, Evidence, Outcome, Silence, Snapshot, State, Status, Step
from buildguard.store import codec as schema
from buildguard.store.faults import Unavailable
from buildguard.store.sqlite import EVIDENCE_KEPT, EVIDENCE_SECONDS, Store

HERE, THERE = "checkout:here", "checkout:there"
CLAIM = Claim("ann", HERE, 1000.0, 1000.0, 900.0, 3600.0, "a process", 2)
FIXING = State(HERE, Status.FIXING, 1, CLAIM, "pytest", 990.0, failures=("test_a",))
CLAIMED = Event(Outcome.CLAIMED, HERE, Status.PASSING, Status.FIXING, 1, "ann")
FIXED = Event(Outcome.FIXED, HERE, Status.FIXING, Status.PASSING, 1, "ann")


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "buildguard" / "state.db"


@pytest.fixture
def store(path: Path, clock: Clock) -> Store:
    return Store(path, clock=clock)


def writing(
    *states: State,
    events: tuple[Event, ...] = (),
    evidence: tuple[Evidence, ...] = (),
    used: tuple[Evidence, ...] = (),
) -> Callable[[Snapshot], Step]:
    """A transition that writes just that."""
    return lambda _: Step(Outcome.CLAIMED, HERE, states, events, evidence, used)


# Reading


def test_a_database_that_is_not_there_is_empty_and_is_not_made_by_looking(store: Store, path: Path) -> None:
    assert store.read("default") == Snapshot(now=1000.0)
    assert store.history("default", 10) == []
    assert not store.wait_for_change("default", 0, 0.0)
    assert not path.parent.exists()


def test_a_database_of_no_bytes_is_empty(store: Store, path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert store.read("default") == Snapshot(now=1000.0)
    assert store.history("default", 10) == []
    assert path.stat().st_size == 0


def test_a_read_sees_all_scopes_of_its_build_and_no_other_build(store: Store) -> None:
    store.update("default", writing(FIXING, State(THERE)))
    store.update("other", writing(State("repo")))
    assert set(store.read("default").states) == {HERE, THERE}


def test_a_read_leaves_no_lock_behind(store: Store, path: Path) -> None:
    store.update("default", writing(FIXING))
    store.read("default")
    store.history("default", 5)
    store.wait_for_change("default", 0, 0.0)
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")


def test_silence_and_holding_are_measured_by_the_store_s_clock(store: Store, clock: Clock) -> None:
    store.update("default", writing(FIXING._replace(claim=CLAIM._replace(seen_at=1040.0))))
    clock.now = 1100.0
    assert store.read("default").silences == {HERE: Silence(silent_for=60.0, held_for=100.0)}


def test_a_clock_that_was_set_back_makes_no_silence_negative(store: Store, clock: Clock) -> None:
    store.update("default", writing(FIXING))
    clock.now = 500.0
    assert store.read("default").silences == {HERE: Silence(0.0, 0.0)}


def test_a_scope_without_a_claim_has_no_silence(store: Store) -> None:
    store.update("default", writing(State(HERE)))
    assert store.read("default").silences == {}


# Updating


def test_an_update_returns_its_step_and_the_snapshot_as_it_stands_afterwards(store: Store) -> None:
    step, after = store.update("default", writing(FIXING, events=(CLAIMED,)))
    assert (step.outcome, step.scope) == (Outcome.CLAIMED, HERE)
    assert after.states == {HERE: FIXING._replace(revision=1)}
    assert after == store.read("default")
    assert after.last_event == 1


def test_a_transition_sees_what_was_written_before(store: Store) -> None:
    seen: list[Snapshot] = []
    store.update("default", writing(FIXING))

    def look(snapshot: Snapshot) -> Step:
        seen.append(snapshot)
        return Step(Outcome.STATUS, HERE)

    store.update("default", look)
    assert [snapshot.state(HERE) for snapshot in seen] == [FIXING._replace(revision=1)]


def test_state_event_and_evidence_are_written_together_or_not_at_all(store: Store) -> None:
    def breaks_off(snapshot: Snapshot) -> Step:
        raise RuntimeError("on purpose")

    no_such_status = FIXING._replace(scope=THERE, claim=None)
    proof = Evidence("pytest", "tree", True, 0.0)
    with pytest.raises(RuntimeError):
        store.update("default", breaks_off)
    with pytest.raises(Unavailable):
        store.update("default", writing(FIXING, no_such_status, events=(CLAIMED,), evidence=(proof,)))
    assert store.read("default") == Snapshot(now=1000.0)


def test_every_write_gives_the_row_another_revision(store: Store) -> None:
    store.update("default", writing(FIXING))
    _, after = store.update("default", lambda now: Step(Outcome.STATUS, HERE, (now.state(HERE),)))
    assert after.state(HERE).revision == 2


@pytest.mark.parametrize("wrong", [0, 7], ids=["a row that was not there yet", "a row at another revision"])
def test_a_transition_is_put_again_to_fresh_state_when_its_row_has_changed(store: Store, wrong: int) -> None:
    store.update("default", writing(FIXING))
    seen: list[int] = []

    def transition(now: Snapshot) -> Step:
        seen.append(now.state(HERE).revision)
        revision = wrong if len(seen) == 1 else seen[-1]
        return Step(Outcome.CLAIMED, HERE, (FIXING._replace(number=9, revision=revision),), (CLAIMED,))

    _, after = store.update("default", transition)
    assert seen == [1, 1]
    assert after.state(HERE).number == 9
    assert len(store.history("default", 10)) == 1, "the lost attempt must leave no event"


def test_a_write_that_lost_its_race_takes_back_what_it_wrote_to_other_rows(store: Store) -> None:
    store.update("default", writing(FIXING))
    attempts: list[Snapshot] = []

    def transition(now: Snapshot) -> Step:
        attempts.append(now)
        if len(attempts) == 1:
            return Step(Outcome.CLAIMED, HERE, (State(THERE), FIXING._replace(revision=5)))
        return Step(Outcome.STATUS, HERE)

    store.update("default", transition)
    assert THERE not in store.read("default").states


def test_a_second_store_sees_what_the_first_one_wrote(store: Store, path: Path, clock: Clock) -> None:
    store.update("default", writing(FIXING, events=(CLAIMED,)))
    store.close()
    assert Store(path, clock=clock).read("default").state(HERE) == FIXING._replace(revision=1)


def test_a_store_that_was_closed_can_be_used_again(store: Store) -> None:
    store.update("default", writing(FIXING))
    store.close()
    store.close()
    assert store.read("default").state(HERE).status is Status.FIXING


def test_a_file_that_was_deleted_is_made_anew_and_not_written_to_where_nobody_reads(
    store: Store, path: Path, clock: Clock
) -> None:
    store.update("default", writing(FIXING))
    path.unlink()
    assert store.read("default").states == {}
    store.update("default", writing(State(THERE)))
    assert set(Store(path, clock=clock).read("default").states) == {THERE}


def test_a_file_that_was_replaced_is_read_anew(store: Store, path: Path, tmp_path: Path, clock: Clock) -> None:
    other = Store(tmp_path / "other.db", clock=clock)
    other.update("default", writing(State(THERE)))
    other.close()
    store.update("default", writing(FIXING))
    (tmp_path / "other.db").replace(path)
    assert set(store.read("default").states) == {THERE}


# Waiting


def test_a_waiter_is_woken_by_an_event_of_another_process(store: Store, path: Path) -> None:
    store.update("default", writing(events=(CLAIMED,)))
    script = (
        "import sys; from pathlib import Path; from buildguard.claims.model import *; from buildguard.store.sqlite import Store;"
        "event = Event(Outcome.FIXED, 'repo', Status.FIXING, Status.PASSING, 1, 'bob');"
        "Store(Path(sys.argv[1])).update('default', lambda _: Step(Outcome.FIXED, 'repo', events=(event,)))"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)]) as other:
        woken = store.wait_for_change("default", 1, PATIENCE)
        assert other.wait(PATIENCE) == 0
    assert woken
    assert store.read("default").last_event == 2


def test_a_wait_ends_when_its_time_has_run_out(store: Store) -> None:
    store.update("default", writing(events=(CLAIMED,)))
    began = time.monotonic()
    assert not store.wait_for_change("default", 1, 0.15)
    assert time.monotonic() - began >= 0.15


def test_a_wait_for_what_has_happened_already_ends_at_once(store: Store) -> None:
    store.update("default", writing(events=(CLAIMED,)))
    assert store.wait_for_change("default", 0, PATIENCE)


def test_a_waiter_is_not_woken_by_another_build(store: Store) -> None:
    store.update("default", writing(events=(CLAIMED,)))
    store.update("other", writing(events=(CLAIMED,)))
    assert not store.wait_for_change("default", 1, 0.06)


def test_a_waiter_survives_the_deletion_of_the_file_and_takes_it_for_a_change(store: Store, path: Path) -> None:
    store.update("default", writing(events=(CLAIMED, FIXED)))
    path.unlink()
    assert store.wait_for_change("default", 2, PATIENCE)
    store.update("default", writing(events=(CLAIMED,)))
    assert store.wait_for_change("default", 2, PATIENCE), "its id is smaller than the one that was waited for"


# History


def test_the_history_is_the_newest_events_oldest_first(store: Store, clock: Clock) -> None:
    for number in range(1, 6):
        clock.now = 1000.0 + number
        store.update("default", writing(events=(CLAIMED._replace(number=number),)))
    assert [(event.number, event.at) for event in store.history("default", 3)] == [
        (3, 1003.0),
        (4, 1004.0),
        (5, 1005.0),
    ]
    assert len(store.history("default", 100)) == 5


def test_the_history_is_one_build_s_alone(store: Store) -> None:
    store.update("default", writing(events=(CLAIMED,)))
    store.update("other", writing(events=(FIXED,)))
    assert [event.kind for event in store.history("other", 10)] == [Outcome.FIXED]


def test_event_ids_only_grow_even_when_the_newest_events_are_gone(store: Store, path: Path) -> None:
    store.update("default", writing(events=(CLAIMED, FIXED)))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM event")
    _, after = store.update("default", writing(events=(CLAIMED,)))
    assert after.last_event == 3


def test_the_history_of_only_the_fixes(store: Store) -> None:
    released = FIXED._replace(kind=Outcome.RELEASED)
    store.update("default", writing(events=(FIXED, CLAIMED, FIXED, released, CLAIMED)))
    fixes = store.history("default", 2, fixes=True)
    assert [event.kind for event in fixes] == [Outcome.FIXED, Outcome.RELEASED]


# Evidence

PROOF = Evidence("pytest", "tree", True, 0.0)


def test_evidence_is_kept_with_the_time_of_the_store(store: Store) -> None:
    store.update("default", writing(evidence=(PROOF,)))
    assert store.read("default").evidence == (PROOF._replace(at=1000.0),)
    assert store.read("other").evidence == ()


def test_later_evidence_of_the_same_tree_takes_the_place_of_the_earlier(store: Store, clock: Clock) -> None:
    store.update("default", writing(evidence=(PROOF,)))
    clock.now = 1001.0
    failed = PROOF._replace(passed=False)
    store.update("default", writing(evidence=(failed,)))
    assert store.read("default").evidence == (failed._replace(at=1001.0),)


def test_evidence_of_another_check_tree_or_agent_stands_beside_it(store: Store) -> None:
    others = (PROOF._replace(check="ruff"), PROOF._replace(tree="other"), PROOF._replace(agent="ann"))
    store.update("default", writing(evidence=(PROOF, *others)))
    assert {found._replace(at=0.0) for found in store.read("default").evidence} == {PROOF, *others}


def test_evidence_expires_after_a_day(store: Store, clock: Clock) -> None:
    store.update("default", writing(evidence=(PROOF,)))
    clock.now += EVIDENCE_SECONDS - 1
    assert store.read("default").evidence
    clock.now += 1
    assert not store.read("default").evidence


def test_evidence_that_was_used_is_gone_and_only_that(store: Store) -> None:
    kept = PROOF._replace(agent="ann")
    store.update("default", writing(evidence=(PROOF, kept)))
    store.update("default", writing(used=(kept,)))
    assert store.read("default").evidence == (PROOF._replace(at=1000.0),)


def test_old_evidence_and_all_but_the_newest_are_pruned_from_the_file(
    store: Store, path: Path, clock: Clock
) -> None:
    store.update("other", writing(evidence=(PROOF,)))
    for number in range(EVIDENCE_KEPT + 5):
        clock.now += 1
        store.update("default", writing(evidence=(PROOF._replace(tree=f"tree {number}"),)))
    assert {found.tree for found in store.read("default").evidence} == {
        f"tree {number}" for number in range(5, EVIDENCE_KEPT + 5)
    }
    clock.now += EVIDENCE_SECONDS
    store.update("default", writing(evidence=(PROOF,)))
    with closing(sqlite3.connect(path)) as db:
        found = db.execute("SELECT build, count(*) FROM evidence GROUP BY build ORDER BY build").fetchall()
    assert found == [("default", 1), ("other", 1)]


# One file for several repositories


def test_repositories_that_share_a_file_are_kept_apart(path: Path) -> None:
    Store(path, "https://example.org/a.git").update("default", writing(FIXING, events=(CLAIMED,)))
    for other in (Store(path, "https://example.org/b.git"), Store(path)):
        assert other.read("default").states == {}
        assert other.history("default", 10) == []
    assert Store(path, "https://example.org/a.git").read("default").states


def test_a_blank_in_a_repository_s_name_does_not_make_it_another_one_s_build(path: Path) -> None:
    Store(path, "/home/ann/my project").update("default", writing(FIXING))
    assert Store(path, "/home/ann/my").read("project default").states == {}


# What goes in comes out

TEXT = st.text(st.characters(), max_size=20)
"""With NULs, and with the lone surrogates that stand for bytes that are not Unicode."""
SECONDS = st.floats(0, 1e11)
LINES = st.lists(st.text(st.characters(exclude_characters="\n"), min_size=1), max_size=3).map(tuple)
COUNT = st.integers(-1, 2**31)
CLAIMS = st.builds(
    Claim, TEXT, TEXT, SECONDS, SECONDS, SECONDS, SECONDS, process=st.none() | TEXT, attempts=st.integers(1, 99)
)
STATES = st.builds(
    State,
    scope=TEXT,
    status=st.sampled_from([Status.PASSING, Status.BROKEN]),
    number=COUNT,
    claim=st.none() | CLAIMS,
    check=TEXT,
    broken_since=st.none() | SECONDS,
    last_check=st.none() | SECONDS,
    updated_at=st.none() | SECONDS,
    reason=TEXT,
    failures=LINES,
    head=TEXT,
    opened_after=COUNT,
    passed_after=COUNT,
    superseded_agent=st.none() | TEXT,
    superseded_number=st.none() | COUNT,
    began=LINES,
    staged=TEXT,
).map(lambda state: state._replace(status=Status.FIXING) if state.claim else state)
EVENTS = st.builds(
    Event,
    kind=st.sampled_from(Outcome),
    scope=TEXT,
    before=st.sampled_from(Status),
    after=st.sampled_from(Status),
    number=COUNT,
    agent=TEXT,
    other=st.none() | TEXT,
    reason=TEXT,
    failures=LINES,
    attempts=st.integers(0, 99),
    checkout=TEXT,
    head=TEXT,
    tree=TEXT,
    branch=TEXT,
    committing=st.booleans(),
    lasted=st.none() | SECONDS | SECONDS.map(lambda span: -span),
    fixed_at=st.none() | SECONDS,
    check=TEXT,
)
EVIDENCE = st.builds(Evidence, TEXT, TEXT, st.booleans(), SECONDS, TEXT, LINES)
ROUND_TRIP = settings(max_examples=60, deadline=None, database=None)


def test_every_field_of_a_state_survives_the_store(store: Store) -> None:
    @ROUND_TRIP
    @given(STATES)
    def holds(state: State) -> None:
        with_revision = state._replace(revision=store.read("default").state(state.scope).revision)
        store.update("default", writing(with_revision))
        assert store.read("default").state(state.scope) == state._replace(revision=with_revision.revision + 1)

    holds()


def test_every_field_of_an_event_survives_the_store(store: Store, clock: Clock) -> None:
    @ROUND_TRIP
    @given(EVENTS, SECONDS)
    def holds(event: Event, at: float) -> None:
        clock.now = at
        _, after = store.update("default", writing(events=(event,)))
        assert store.history("default", 1) == [event._replace(id=after.last_event, at=at)]

    holds()


def test_every_field_of_evidence_survives_the_store(store: Store, clock: Clock) -> None:
    @ROUND_TRIP
    @given(EVIDENCE)
    def holds(proof: Evidence) -> None:
        clock.now = proof.at
        store.update("default", writing(evidence=(proof,)))
        assert proof in store.read("default").evidence
        store.update("default", writing(used=(proof,)))
        assert proof not in store.read("default").evidence

    holds()


def test_a_build_and_a_repository_may_have_any_name(path: Path) -> None:
    @settings(max_examples=30, deadline=None, database=None)
    @given(TEXT, TEXT)
    def holds(repository: str, build: str) -> None:
        store = Store(path, repository)
        _, after = store.update(build, writing(events=(CLAIMED,)))
        assert store.history(build, 1)[0].id == after.last_event
        store.close()

    holds()


def test_the_strategies_cover_every_field() -> None:
    """A field that is added to a value and not to these tests would go untested, and lost, unseen."""
    for strategy, value in ((STATES, State), (EVENTS, Event)):
        given_names = set(re.findall(r"(\w+)=", repr(strategy)))
        assert set(value._fields) - given_names <= {"id", "at", "revision"}


# How it lies on disk


def of_schema_1(path: Path) -> None:
    """A file as the first buildguard left it: somebody fixes, and something was fixed before."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db, db:
        for statement in schema.STEPS[0]:
            db.execute(statement)
        db.execute(
            "INSERT INTO build_state VALUES ('default', 'repo', 'fixing', 4, 'ann', 'checkout:a', 900, 950, 900,"
            " 3600, NULL, 2, 'pytest', 800, 950, 950, '', 'test_a', 'f00', 7, 5, NULL, NULL, 3)"
        )
        db.execute(
            "INSERT INTO event VALUES (7, 'default', 700, 'fixed', 'repo', 'fixing', 'passing', 3, 'bob', NULL, '',"
            " 'test_a', 1, 'checkout:b', 'f00', 'tree', 'refs/heads/b', 1, 60, NULL)"
        )
        db.execute("PRAGMA user_version = 1")


def test_a_file_of_an_older_schema_is_brought_up_and_loses_nothing(path: Path, clock: Clock) -> None:
    of_schema_1(path)
    claim = Claim("ann", "checkout:a", 900, 950, 900, 3600, None, 2)
    store = Store(path, clock=clock)
    state = store.read("default").state("repo")
    assert (state.number, state.claim, state.revision) == (4, claim, 3)
    assert (state.failures, state.began) == (("test_a",), ("test_a",))
    (fixed,) = store.history("default", 10)
    assert (fixed.id, fixed.agent, fixed.lasted, fixed.check) == (7, "bob", 60, "")
    store.update("default", writing(events=(CLAIMED._replace(check="pytest"),)))
    assert [event.check for event in Store(path).history("default", 10)] == ["", "pytest"]


def test_a_write_brings_a_file_of_an_older_schema_up_too(path: Path, clock: Clock) -> None:
    of_schema_1(path)
    _, after = Store(path, clock=clock).update("default", writing(events=(CLAIMED,)))
    assert (after.last_event, after.state("repo").number) == (8, 4)


def test_of_many_that_open_a_file_of_an_older_schema_at_once_all_are_served(path: Path) -> None:
    of_schema_1(path)
    script = (
        "import sys; from pathlib import Path; from buildguard.claims.model import *; from buildguard.store.sqlite import Store;"
        "event = Event(Outcome.CLAIMED, 'repo', Status.PASSING, Status.FIXING, 1, 'bob'); sys.stdin.readline();"
        "Store(Path(sys.argv[1])).update('default', lambda _: Step(Outcome.CLAIMED, 'repo', events=(event,)))"
    )
    argv = [sys.executable, "-c", script, str(path)]
    at_once = [subprocess.Popen(argv, stdin=subprocess.PIPE) for _ in range(6)]
    for process in at_once:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(PATIENCE) for process in at_once] == [0] * 6
    assert len(Store(path).history("default", 10)) == 7


def made(path: Path) -> sqlite3.Connection:
    """The file of a store that has written something."""
    store = Store(path)
    store.update("default", writing(FIXING, events=(CLAIMED,), evidence=(PROOF,)))
    store.close()
    return sqlite3.connect(path)


def test_the_tables_and_columns_are_those_that_are_documented(path: Path) -> None:
    with closing(made(path)) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        columns = {row[1] for row in db.execute("PRAGMA table_info(build_state)")}
    assert tables - {"sqlite_sequence"} == {"build_state", "event", "evidence"}
    assert {"status", "fixer_agent_id", "broken_since", "last_check", "updated_at"} <= columns


def test_build_and_scope_are_the_primary_key_of_the_state(path: Path) -> None:
    with closing(made(path)) as db:
        key = {row[5]: row[1] for row in db.execute("PRAGMA table_info(build_state)") if row[5]}
    assert key == {1: "build", 2: "scope"}


def test_the_file_says_which_schema_it_has(path: Path) -> None:
    with closing(made(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)


def test_the_journal_is_a_rollback_journal_and_nothing_is_left_of_it(path: Path) -> None:
    with closing(made(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert [found.name for found in path.parent.iterdir()] == ["state.db"]


def test_the_database_itself_refuses_a_fixing_state_without_a_fixer(path: Path) -> None:
    with closing(made(path)) as db, pytest.raises(sqlite3.IntegrityError):
        db.execute("UPDATE build_state SET fixer_agent_id = NULL")


def test_the_cost_of_the_last_event_and_of_the_fixes_does_not_grow_with_the_history(path: Path) -> None:
    with closing(made(path)) as db:
        for query, values in ((schema.SELECT_LAST_EVENT, 1), (schema.SELECT_FIXES, 2), (schema.SELECT_EVENTS, 2)):
            plan = " ".join(str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {query}", ("default",) * values))
            assert "USING" in plan, plan
            assert "INDEX" in plan, plan
            assert "TEMP B-TREE" not in plan, plan


LATER_THAN_3_31 = {
    "RETURNING": "3.35",
    "STRICT": "3.37",
    "MATERIALIZED": "3.35",
    "DROP COLUMN": "3.35",
    "RIGHT JOIN": "3.39",
    "FULL JOIN": "3.39",
    "FULL OUTER JOIN": "3.39",
    "IS DISTINCT FROM": "3.39",
    "IS NOT DISTINCT FROM": "3.39",
    r"IIF\(": "3.32",
    r"UNIXEPOCH\(": "3.38",
    r"FORMAT\(": "3.38",
    r"TIMEDIFF\(": "3.43",
    r"CONCAT(?:_WS)?\(": "3.44",
    r"STRING_AGG\(": "3.44",
    r"OCTET_LENGTH\(": "3.43",
    r"SIGN\(": "3.35",
    r"UNHEX\(": "3.41",
    r"->>?": "3.38",
    r"UPDATE\b[^;]*\bSET\b[^;]*\bFROM\b": "3.33",
}


def test_only_sql_that_sqlite_3_31_understands_is_written() -> None:
    texts = [value for value in vars(schema).values() if isinstance(value, str)]
    texts += [statement for statements in schema.STEPS for statement in statements]
    statements = [text for text in texts if re.match("ALTER|CREATE|SELECT|INSERT|UPDATE|DELETE", text)]
    assert len(statements) >= 15
    for statement in statements:
        for word, version in LATER_THAN_3_31.items():
            found = re.search(rf"(?<!\w){word}(?!\w)" if word[-1].isalpha() else word, statement, re.IGNORECASE)
            assert not found, f"SQLite {version}: {statement}"
