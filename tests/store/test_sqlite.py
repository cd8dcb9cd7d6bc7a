"""The near store keeps the contract; and how it lies on disk."""

import ast
import os
import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from store.contract import Engine, StoreContract
from store.values import BREAKAGE, CLAIM, CLAIMED, FIXED, FIXING, HERE, PROOF, THERE, WAITER, Clock, writing
from testing.support import PATIENCE

import buildguard.store.sqlite
from buildguard.claims.model import Outcome, Snapshot, State, Status, Step
from buildguard.errors import Unavailable
from buildguard.store import open_store
from buildguard.store.sqlite import APPLICATION, EVENTS_KEPT, MONTH, VERSION, WAITERS_KEPT, YEAR, SqliteStore

ODD_NAME = os.fsdecode(b"caf\xe9 # ?mode=ro %41")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "buildguard" / "state.db"


@pytest.fixture
def opened(path: Path, clock: Clock) -> Iterator[Callable[..., SqliteStore]]:
    """Opens a store at `path`, and closes it in the end."""
    stores: list[SqliteStore] = []

    def opened(repository: str = "", at: Path = path) -> SqliteStore:
        stores.append(SqliteStore(at, repository, clock))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Callable[..., SqliteStore]) -> SqliteStore:
    return opened()


class TestTheContract(StoreContract):
    """Kept by the near store."""

    @pytest.fixture
    def engine(self, path: Path, clock: Clock) -> Engine:
        return Engine(lambda: SqliteStore(path, clock=clock), f"open_store(Path({str(path)!r}), Path('/'))")


# The file


def test_looking_makes_no_file(store: SqliteStore, path: Path, clock: Clock) -> None:
    assert store.read("default") == Snapshot(now=clock.now)
    assert store.history("default", 10) == []
    assert not store.wait_for_change("default", 0, 0.0)
    assert not path.parent.exists()


def test_a_step_that_writes_nothing_makes_no_file(store: SqliteStore, path: Path, clock: Clock) -> None:
    nothing = Step(Outcome.NOTHING_HELD, HERE)
    assert store.update("default", lambda _: nothing) == (nothing, Snapshot(now=clock.now))
    assert not path.parent.exists()


def test_a_step_that_writes_nothing_leaves_the_file_as_it_is(store: SqliteStore, path: Path) -> None:
    store.update("default", writing(FIXING))
    before = path.read_bytes()
    store.update("default", lambda _: Step(Outcome.STATUS, HERE))
    assert path.read_bytes() == before


def test_a_file_of_no_bytes_is_empty_and_can_be_written(store: SqliteStore, path: Path, clock: Clock) -> None:
    path.parent.mkdir()
    path.touch()
    assert store.read("default") == Snapshot(now=clock.now)
    assert store.history("default", 10) == []
    assert path.stat().st_size == 0
    store.update("default", writing(FIXING))
    assert store.read("default").state(HERE).status is Status.FIXING


def test_a_read_leaves_no_lock_behind(store: SqliteStore, path: Path) -> None:
    store.update("default", writing(FIXING, events=(CLAIMED,), proofs=(PROOF,)))
    store.read("default")
    store.history("default", 5)
    store.wait_for_change("default", 1, 0.0)
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")


def test_a_closed_store_and_one_whose_file_was_deleted_hold_no_file_open(store: SqliteStore, path: Path) -> None:
    def held() -> list[str]:
        links = Path("/proc/self/fd").iterdir()
        return [name for name in map(os.path.realpath, links) if name.startswith(str(path))]

    store.update("default", writing(FIXING))
    assert held() == [str(path)]
    path.unlink()
    store.update("default", writing(FIXING))
    assert held() == [str(path)]
    store.close()
    assert held() == []


def test_a_file_that_was_deleted_is_made_anew_and_not_written_to_where_nobody_reads(
    store: SqliteStore, path: Path, opened: Callable[..., SqliteStore]
) -> None:
    store.update("default", writing(FIXING))
    path.unlink()
    assert store.read("default").states == {}
    store.update("default", writing(State(THERE)))
    assert set(opened().read("default").states) == {THERE}


def test_a_file_that_was_replaced_is_read_anew(
    store: SqliteStore, path: Path, tmp_path: Path, opened: Callable[..., SqliteStore]
) -> None:
    other = opened(at=tmp_path / "other.db")
    other.update("default", writing(State(THERE)))
    other.close()
    store.update("default", writing(FIXING))
    (tmp_path / "other.db").replace(path)
    assert set(store.read("default").states) == {THERE}


def test_a_waiter_survives_the_deletion_of_the_file_and_takes_it_for_a_change(
    store: SqliteStore, path: Path
) -> None:
    store.update("default", writing(events=(CLAIMED, FIXED)))
    path.unlink()
    assert store.wait_for_change("default", 2, PATIENCE)
    store.update("default", writing(events=(CLAIMED,)))
    assert store.wait_for_change("default", 2, PATIENCE), "its id is smaller than the one that was waited for"


def test_the_file_may_lie_in_a_chain_of_missing_folders_with_odd_names(
    tmp_path: Path, opened: Callable[..., SqliteStore]
) -> None:
    path = tmp_path / "a" / ODD_NAME / ODD_NAME
    store = opened(at=path)
    store.update("default", writing(FIXING))
    assert store.read("default").state(HERE).status is Status.FIXING
    assert [found for found in (tmp_path / "a").rglob("*") if found.is_file()] == [path]
    assert path.stat().st_size > 0


def test_a_relative_path_means_the_same_file_when_the_folder_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Callable[..., SqliteStore]
) -> None:
    store = opened(at=Path("state.db"))
    here = Path.cwd()
    monkeypatch.chdir(tmp_path)
    store.update("default", writing(FIXING))
    assert store.where == str(here / "state.db")
    assert (here / "state.db").exists()


def modes(path: Path) -> tuple[int, int]:
    return stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)


@pytest.fixture(params=[0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_nobody_but_its_maker_may_touch_a_new_file(store: SqliteStore, path: Path, umask: int) -> None:
    store.update("default", writing(FIXING))
    assert modes(path) == (0o600, 0o777 & ~umask)


@pytest.mark.parametrize(("mode", "folder"), [(0o660, 0o2770), (0o664, 0o2775), (0o600, 0o2755)])
def test_a_new_file_of_a_shared_repository_is_its_group_s_whatever_the_umask_is(
    path: Path, umask: int, mode: int, folder: int, store: SqliteStore
) -> None:
    path.parent.parent.chmod(folder)
    store.update("default", writing(FIXING))
    assert modes(path)[0] == mode
    if mode != 0o600:
        assert modes(path)[1] == folder


def test_the_modes_of_what_is_there_already_are_left_alone(path: Path, store: SqliteStore) -> None:
    path.parent.mkdir(mode=0o750)
    path.touch(mode=0o640)
    path.parent.parent.chmod(0o2775)
    store.update("default", writing(FIXING))
    assert modes(path) == (0o640, 0o750)


def test_of_many_that_make_the_file_at_once_all_are_served(path: Path, store: SqliteStore) -> None:
    script = """if True:
        import sys
        from pathlib import Path
        from buildguard.claims.model import Event, Kind, Outcome, Step
        from buildguard.store.sqlite import SqliteStore
        step = Step(Outcome.CLAIMED, "repo", events=(Event(Kind.CLAIMED, "repo", 1, "bob"),))
        sys.stdin.readline()
        SqliteStore(Path(sys.argv[1])).update("default", lambda _: step)
    """
    argv = [sys.executable, "-c", script, str(path)]
    at_once = [subprocess.Popen(argv, stdin=subprocess.PIPE) for _ in range(8)]
    for process in at_once:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(PATIENCE) for process in at_once] == [0] * 8
    assert len(store.history("default", 10)) == 8


# Several repositories in one file


def test_repositories_that_share_a_file_are_kept_apart(opened: Callable[..., SqliteStore]) -> None:
    opened("https://example.org/a.git").update("default", writing(FIXING, events=(CLAIMED,), proofs=(PROOF,)))
    for other in (opened("https://example.org/b.git"), opened()):
        snapshot = other.read("default")
        assert (snapshot.states, snapshot.proofs, snapshot.last_event, snapshot.highest) == ({}, (), 0, 0)
        assert other.history("default", 10) == []
    assert opened("https://example.org/a.git").read("default").states


def test_a_blank_in_a_repository_s_name_does_not_make_it_another_one_s_build(
    opened: Callable[..., SqliteStore],
) -> None:
    opened("/home/ann/my project").update("default", writing(FIXING))
    assert opened("/home/ann/my").read("project default").states == {}


def test_names_that_are_no_unicode_are_kept_apart(opened: Callable[..., SqliteStore]) -> None:
    store, other = opened("/a/caf\udce9"), opened("/a/caf\udce8")
    odd = State("checkout:caf\udce9"), State("checkout:caf\udce8")
    proofs = PROOF._replace(check="./caf\udce9"), PROOF._replace(check="./caf\udce8")
    _, after = store.update("\udcff", writing(*odd, proofs=proofs))
    assert after.states == {state.scope: state._replace(revision=1) for state in odd}
    assert [proof.check for proof in after.proofs] == [proof.check for proof in proofs]
    assert other.read("\udcff").states == store.read("\udcfe").states == {}


def test_the_clone_s_own_file_has_no_part_for_a_repository(tmp_path: Path) -> None:
    tmp_path.chmod(0o2770)
    with closing(open_store(None, tmp_path, "https://example.org/a.git")) as store:
        store.update("default", writing(FIXING))
        own = tmp_path / "buildguard" / "state.db"
        assert store.where == str(own)
        assert modes(own) == (0o660, 0o2770)
    with closing(open_store(own, tmp_path)) as same:
        assert same.read("default").states


def test_a_file_that_the_settings_name_has_a_part_for_each_repository(tmp_path: Path) -> None:
    named = tmp_path / "named.db"
    with (
        closing(open_store(named, tmp_path, "a")) as store,
        closing(open_store(named, tmp_path, "b")) as other,
    ):
        store.update("default", writing(FIXING))
        assert (store.where, modes(named)[0]) == (str(named), 0o600)
        assert store.read("default").states
        assert other.read("default").states == {}


# What is in it


@pytest.fixture
def db(store: SqliteStore, path: Path) -> Iterator[sqlite3.Connection]:
    """The file of a store that has written something, as another program sees it."""
    store.update("default", writing(FIXING, State(THERE), events=(CLAIMED,), proofs=(PROOF,)))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield db


def test_the_tables_are_those_that_are_documented(db: sqlite3.Connection) -> None:
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables - {"sqlite_sequence"} == {"build", "build_state", "event", "proof"}


def test_build_and_scope_are_the_primary_key_of_the_state(db: sqlite3.Connection) -> None:
    key = {row[5]: row[1] for row in db.execute("PRAGMA table_info(build_state)") if row[5]}
    assert key == {1: "build", 2: "scope"}


def test_the_state_can_be_read_in_columns(db: sqlite3.Connection, store: SqliteStore, clock: Clock) -> None:
    broken = State("repo", 4, breakage=BREAKAGE._replace(claim=None))
    clock.now += 7
    store.update("default", writing(broken))
    columns = "build, scope, status, fixer_agent_id, broken_since, last_check, updated_at, revision"
    assert db.execute(f"SELECT {columns} FROM build_state ORDER BY scope").fetchall() == [
        ("default", HERE, "fixing", CLAIM.agent, BREAKAGE.since, FIXING.last_check, clock.now - 7, 1),
        ("default", THERE, "passing", None, None, None, clock.now - 7, 1),
        ("default", "repo", "broken", None, BREAKAGE.since, None, clock.now, 1),
    ]
    store.update("default", writing(broken._replace(revision=1)))
    assert db.execute("SELECT revision, updated_at FROM build_state WHERE scope = 'repo'").fetchone() == (
        2,
        clock.now,
    )


def test_the_time_of_the_last_write_can_be_read_in_a_column(
    db: sqlite3.Connection, store: SqliteStore, clock: Clock
) -> None:
    clock.now += 7
    store.update("default", lambda now: Step(Outcome.STATUS, HERE, (now.state(HERE),)))
    assert db.execute("SELECT updated_at FROM build_state WHERE scope = ?", (HERE,)).fetchone() == (clock.now,)


def test_events_and_proofs_can_be_read_in_columns(db: sqlite3.Connection, clock: Clock) -> None:
    events = db.execute("SELECT id, build, at, kind FROM event").fetchall()
    proofs = db.execute("SELECT build, check_command, checkout, files, passed, at FROM proof").fetchall()
    assert events == [(1, "default", clock.now, "claimed")]
    assert proofs == [("default", "pytest", HERE, PROOF.files, 1, clock.now)]


def test_the_file_says_whose_it_is_and_which_schema_it_has(db: sqlite3.Connection) -> None:
    assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
    assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_the_journal_is_a_rollback_journal_and_nothing_is_left_of_it(db: sqlite3.Connection, path: Path) -> None:
    assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert [found.name for found in path.parent.iterdir()] == ["state.db"]


def test_ids_only_grow_even_when_the_newest_events_are_gone(db: sqlite3.Connection, store: SqliteStore) -> None:
    db.execute("DELETE FROM event")
    _, after = store.update("default", writing(events=(CLAIMED,)))
    assert after.last_event == 2


# What is deleted


def ids(db: sqlite3.Connection, build: str) -> list[int]:
    return [number for (number,) in db.execute("SELECT id FROM event WHERE build = ? ORDER BY id", (build,))]


def test_now_and_then_all_but_the_newest_events_of_each_build_are_deleted(
    db: sqlite3.Connection, store: SqliteStore
) -> None:
    ten_more = range(2, EVENTS_KEPT + 12)
    db.execute("BEGIN")
    db.executemany("INSERT INTO event SELECT ?, build, at, value FROM event WHERE id = 1", ((n,) for n in ten_more))
    db.execute("UPDATE event SET build = 'other' WHERE id <= 4")
    db.execute("COMMIT")
    db.execute("UPDATE sqlite_sequence SET seq = 59998 WHERE name = 'event'")
    store.update("default", writing(events=(CLAIMED,)))
    assert len(ids(db, "default")) == EVENTS_KEPT + 8
    _, after = store.update("default", writing(events=(CLAIMED,)))
    assert after.last_event == 60_000
    assert ids(db, "default") == [*range(14, EVENTS_KEPT + 12), 59_999, 60_000]
    assert ids(db, "other") == [1, 2, 3, 4]


def test_now_and_then_the_events_of_more_than_a_year_ago_are_deleted_but_not_a_build_s_last(
    db: sqlite3.Connection, store: SqliteStore, clock: Clock
) -> None:
    store.update("other", writing(events=(CLAIMED, FIXED)))
    clock.now += 1
    store.update("default", writing(events=(FIXED,)))
    clock.now += YEAR - 1
    db.execute("UPDATE sqlite_sequence SET seq = 1999 WHERE name = 'event'")
    store.update("default", writing(events=(CLAIMED,)))
    assert ids(db, "default") == [4, 2000]
    assert ids(db, "other") == [3]


def test_old_proofs_and_all_but_the_newest_are_deleted(
    db: sqlite3.Connection, store: SqliteStore, clock: Clock
) -> None:
    count = "SELECT build, count(*) FROM proof GROUP BY build ORDER BY build"
    store.update("other", writing(proofs=(PROOF,)))
    store.update("default", writing(proofs=tuple(PROOF._replace(check=str(n)) for n in range(105))))
    assert db.execute(count).fetchall() == [("default", 100), ("other", 1)]
    clock.now += MONTH
    store.update("default", writing(proofs=(PROOF,)))
    assert db.execute(count).fetchall() == [("default", 1), ("other", 1)]


def test_the_newest_waiters_are_kept_and_of_no_other_build_is_one_lost(store: SqliteStore) -> None:
    store.keep_waiter("other", WAITER)
    for number in range(WAITERS_KEPT + 5):
        store.keep_waiter("default", WAITER._replace(agent=f"agent {number}", since=float(number)))
    names = [one.agent for one in store.waiters("default")]
    assert (len(names), names[0], names[-1]) == (WAITERS_KEPT, "agent 5", f"agent {WAITERS_KEPT + 4}")
    assert store.waiters("other") == [WAITER]


def test_in_a_file_in_which_nobody_has_waited_yet_nobody_waits(store: SqliteStore) -> None:
    store.update("default", writing(FIXING))
    store.drop_waiter("default", WAITER)
    assert store.waiters("default") == []


def test_a_waiter_that_buildguard_did_not_write_is_not_believed(store: SqliteStore, path: Path) -> None:
    store.keep_waiter("default", WAITER)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("""UPDATE waiter SET value = '{"agent": "a\u001b[2J"}'""")
    with pytest.raises(Unavailable):
        store.waiters("default")


def test_a_new_state_takes_the_place_of_those_that_have_passed_for_a_month(
    db: sqlite3.Connection, store: SqliteStore, clock: Clock
) -> None:
    store.update("other", writing(State(THERE)))
    clock.now += 1
    store.update("default", writing(State("checkout:later", 6)))
    clock.now += MONTH - 1
    store.update("default", lambda now: Step(Outcome.STATUS, HERE, (now.state(HERE),)))
    assert set(store.read("default").states) == {HERE, THERE, "checkout:later"}
    store.update("default", writing(State("checkout:new")))
    assert set(store.read("default").states) == {HERE, "checkout:later", "checkout:new"}
    assert store.read("default").highest == 6
    assert set(store.read("other").states) == {THERE}


# The SQL


def statements() -> list[str]:
    """All SQL of the store, as it stands in its source."""
    source = Path(buildguard.store.sqlite.__file__).read_text()
    values = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    texts = [text for text in values if isinstance(text, str)] + buildguard.store.sqlite.TABLES.split(";")
    return [text.strip() for text in texts if re.match(r"\s*(CREATE|SELECT|INSERT|UPDATE|DELETE)\b", text)]


def test_the_cost_of_a_look_does_not_grow_with_the_history(db: sqlite3.Connection) -> None:
    looks = [text for text in statements() if re.match("SELECT .* FROM (event|build|build_state)", text)]
    assert len(looks) >= 4
    for look in looks:
        plan = " ".join(str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {look}", (1,) * look.count("?")))
        assert "SEARCH" in plan, plan
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
    assert len(statements()) >= 15
    for statement in statements():
        for word, version in LATER_THAN_3_31.items():
            found = re.search(rf"(?<!\w){word}(?!\w)" if word[-1].isalpha() else word, statement, re.IGNORECASE)
            assert not found, f"SQLite {version}: {statement}"


def test_a_store_that_cannot_be_used_says_so_of_its_own_path(store: SqliteStore, path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(Unavailable) as caught:
        store.read("default")
    assert caught.value.where == store.where == str(path)
