"""A database that cannot serve: the near store says which fault it is in one line, and what to do about it."""

import random
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Timer

import pytest
from store.faulty import (
    BAD,
    ROW,
    Bad,
    damaged_by,
    filled_with,
    foreign,
    good,
    may_be_removed,
    obeying,
    on_a_full_disk,
    replaced_by,
    row,
    with_field,
)
from store.values import CLAIMED, PROOF, writing
from testing.support import PATIENCE

from buildguard.claims.model import State, Status
from buildguard.errors import Fault, Unavailable
from buildguard.store import codec, database
from buildguard.store.sqlite import SqliteStore

TOUCH = """
import sys
from pathlib import Path
from buildguard.claims.model import Outcome, State, Step
from buildguard.errors import Unavailable
from buildguard.store.sqlite import SqliteStore
try:
    SqliteStore(Path(sys.argv[1])).update("default", lambda _: Step(Outcome.STATUS, "x", (State("x"),)))
except Unavailable as error:
    print(error.fault.name, error)
    print(error.next_command)
"""
"""Writes to a store; for an environment that only another process can have."""


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where the database of a test lies."""
    path = tmp_path / "buildguard" / "state.db"
    yield path
    may_be_removed(tmp_path, path.parent)


def fault_of(path: Path, lock_bound: float = 5.0) -> Unavailable:
    """What a write meets."""
    with closing(SqliteStore(path, lock_bound=lock_bound)) as store, pytest.raises(Unavailable) as caught:
        store.update("default", writing(State("x")))
    return caught.value


def met_by_a_read(path: Path, lock_bound: float = 5.0) -> Unavailable:
    with closing(SqliteStore(path, lock_bound=lock_bound)) as store, pytest.raises(Unavailable) as caught:
        assert (store.read("default"), store.history("default", 9)) is None
    return caught.value


def status(path: Path, lock_bound: float = 5.0) -> Status:
    with closing(SqliteStore(path, lock_bound=lock_bound)) as store:
        return store.read("default").state("repo").status


def one_line(error: Unavailable, path: Path, words: str) -> bool:
    text = str(error)
    return text.startswith(f"{path}: {words}") and text.isprintable() and len(text) < len(str(path)) + 130


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_write_and_a_read_meet_the_same_fault(bad: Bad, path: Path) -> None:
    bad.prepare(path)
    for error in (fault_of(path), met_by_a_read(path)):
        assert error.fault is bad.fault
        assert error.where == str(path)
        assert one_line(error, path, bad.words), str(error)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_database_is_left_as_it_was_found(bad: Bad, path: Path) -> None:
    bad.prepare(path)
    before = path.read_bytes() if path.is_file() else None
    found = sorted(path.parent.iterdir()) if before else None
    fault_of(path)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert (sorted(path.parent.iterdir()) if before else None) == found


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_the_next_command_can_be_run_and_sets_aside_what_is_of_no_use(bad: Bad, path: Path) -> None:
    path = path.parent / "it's here" / "buildguard" / "state.db"
    path.parent.parent.mkdir(parents=True)
    bad.prepare(path)
    command = fault_of(path).next_command
    assert command is not None
    assert command.startswith(bad.next)
    assert str(path) in shlex.split(command) or bad.fault is Fault.NEWER
    if bad.next == "mv ":
        subprocess.run(["sh", "-c", command], check=True)
        assert path.with_name("state.db.set-aside").exists()
        good(path)


def test_nothing_is_made_in_a_folder_of_ours_that_is_a_link(path: Path) -> None:
    elsewhere = path.parent.with_name("elsewhere")
    elsewhere.mkdir()
    path.parent.symlink_to(elsewhere)
    assert one_line(fault_of(path), path, "lies in a folder that is a link")
    assert list(elsewhere.iterdir()) == []


def test_a_file_of_anybody_s_is_not_moved_away(path: Path) -> None:
    path = path.parent.with_name("mine") / "bookmarks.db"
    foreign("CREATE TABLE bookmark (url TEXT)")(path)
    assert fault_of(path).next_command == shlex.join(["ls", "-ld", str(path.parent), str(path)])


def test_a_table_without_an_end_is_not_read_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced_by(
        "WITH RECURSIVE endless(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM endless)"
        " SELECT 'default' AS build, 'x' AS scope, '{}' AS value FROM endless WHERE x < 0"
    )(path)
    monkeypatch.setattr(database, "WORK_SECONDS", 0.2)
    assert one_line(fault_of(path), path, "takes longer than 10 s to read")


ON_GARBAGE: list[tuple[Callable[[Path], None], str]] = [
    *(
        (damaged_by(with_field("build_state", field, value)), f"{ROW}{words})")
        for field, value, words in (
            ("breakage.claim.seen_at", '"yesterday"', "seen_at is 'yesterday'"),
            ("breakage.claim.claimed_at", "1e300", "claimed_at is 1e+300"),
            ("breakage.claim.stale_after", "null", "stale_after is None"),
            ("number", "9223372036854775807", "number is 9223372036854775807"),
            ("revision", "0", "scope is 'repo', revision is 0"),
            ("scope", '"other"', "scope is 'other', revision is 1"),
            ("breakage.seen.x", '{"head": "--output=/x", "branch": "", "files": ""}', "head is '--output=/x'"),
        )
    ),
    (replaced_by(row("'{'")), f"{ROW}State is '{{')"),
    (replaced_by(row("x'fffe'")), rf"{ROW}State is b'\xff\xfe')"),
    (replaced_by(row("CAST(x'fffe' AS TEXT)")), "is damaged (Could not decode to UTF-8"),
    (
        replaced_by("SELECT 'default' AS build, x'fffe' AS scope, '{\"scope\": \"x\"}' AS value"),
        f"{ROW}scope is 'x'",
    ),
    (damaged_by("UPDATE build SET highest = 'many'"), f"{ROW}highest is 'many')"),
    (damaged_by("UPDATE build SET highest = 1e300"), f"{ROW}highest is 1e+300)"),
    (damaged_by("UPDATE event SET id = 9223372036854775807 WHERE id = 2"), f"{ROW}id is 9223372036854775807)"),
    (damaged_by(with_field("event", "after", '"gone"')), f"{ROW}after is 'gone')"),
    (damaged_by(with_field("event", "attempts", '"often"')), f"{ROW}attempts is 'often')"),
    (damaged_by(with_field("proof", "written", '["/etc/passwd"]')), f"{ROW}written is '/etc/passwd')"),
    (damaged_by("UPDATE proof SET value = 7"), f"{ROW}Proof is 7)"),
]


@pytest.mark.parametrize(("prepare", "words"), ON_GARBAGE, ids=[words for _, words in ON_GARBAGE])
def test_garbage_is_named_and_never_believed(prepare: Callable[[Path], None], words: str, path: Path) -> None:
    prepare(path)
    error = met_by_a_read(path)
    assert error.fault is Fault.DAMAGED
    assert one_line(error, path, words), str(error)


def test_garbage_that_only_the_history_shows_makes_only_the_history_unavailable(path: Path) -> None:
    damaged_by(with_field("event", "kind", '"explosion"'))(path)
    with closing(SqliteStore(path)) as store:
        with pytest.raises(Unavailable, match=r"kind is 'explosion'"):
            store.history("default", 5)
        assert store.read("default").state("repo").status is Status.FIXING


def test_garbage_in_one_build_is_no_fault_of_another(path: Path) -> None:
    damaged_by(*(f"UPDATE {table} SET value = '{{}}'" for table in ("build_state", "event", "proof")))(path)
    with closing(SqliteStore(path)) as store:
        _, after = store.update("other", writing(State("x"), events=(CLAIMED,), proofs=(PROOF,)))
        assert (len(after.states), len(after.proofs), len(store.history("other", 9))) == (1, 1, 1)


def test_names_out_of_a_damaged_file_are_told_as_one_printable_line(path: Path) -> None:
    damaged_by("ALTER TABLE build_state RENAME TO 'a\nb'", 'CREATE VIEW build_state AS SELECT * FROM "x\n\x1b[2J"')(
        path
    )
    error = fault_of(path)
    assert error.fault is Fault.DAMAGED
    assert one_line(error, path, "is damaged (no such table: "), str(error)


def test_a_view_of_rows_without_an_end_is_read_to_a_bound(path: Path) -> None:
    replaced_by(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT 'default' AS build,"
        " 'x' || i AS scope, '{\"scope\": \"x' || i || '\", \"revision\": 1}' AS value FROM n"
    )(path)
    with closing(SqliteStore(path, lock_bound=PATIENCE)) as store:
        assert len(store.read("default").states) == codec.MOST_ENTRIES


@pytest.mark.parametrize("verb", ["UPDATE", "INSERT"])
def test_a_row_that_a_trigger_keeps_from_being_written_ends_the_write(verb: str, path: Path) -> None:
    damaged_by(f"CREATE TRIGGER no BEFORE {verb} ON build_state BEGIN SELECT RAISE(IGNORE); END")(path)
    scope = "repo" if verb == "UPDATE" else "checkout:new"
    tries = []
    with closing(SqliteStore(path)) as store, pytest.raises(Unavailable) as caught:
        store.update("default", lambda now: tries.append(now) or writing(now.state(scope))(now))  # type: ignore[func-returns-value]
    assert caught.value.fault is Fault.LOCKED
    assert one_line(caught.value, path, "could not be written in 20 tries")
    assert len(tries) == 20


def test_a_trigger_that_refuses_a_write_takes_all_of_it_back(path: Path) -> None:
    damaged_by("CREATE TRIGGER no BEFORE INSERT ON proof BEGIN SELECT RAISE(ABORT, 'no more proofs'); END")(path)
    with closing(SqliteStore(path)) as store:
        before = store.read("default")._replace(now=0.0)
        with pytest.raises(Unavailable, match="no more proofs"):
            store.update("default", writing(State("checkout:new", 9), events=(CLAIMED,), proofs=(PROOF,)))
        assert store.read("default")._replace(now=0.0) == before


def test_whatever_is_damaged_a_value_or_one_clear_line_comes_of_it(tmp_path: Path) -> None:
    chance = random.Random(7)
    good(tmp_path / "good.db")
    whole = (tmp_path / "good.db").read_bytes()
    written = [place for place, byte in enumerate(whole) if byte]
    path = tmp_path / "state.db"
    served = 0
    for _ in range(2000):
        content = bytearray(whole)
        for _ in range(chance.choice([1, 1, 2, 8])):
            content[chance.choice([chance.choice(written), chance.randrange(100)])] ^= chance.randrange(1, 256)
        if chance.random() < 0.1:
            content = content[: chance.randrange(1, len(content))]
        path.write_bytes(content)
        store, said = SqliteStore(path, lock_bound=0.5), f"{path}: served"
        try:
            for state in store.read("default").states.values():
                codec.encode(state)
            for event in store.history("default", 9):
                codec.encode(event)
            store.update("default", lambda now: writing(now.state("repo"), events=(CLAIMED,), proofs=(PROOF,))(now))
            served += 1
        except Unavailable as error:
            said = str(error)
        finally:
            store.close()
            path.with_name("state.db-journal").unlink(missing_ok=True)
        assert said.isprintable()
        assert said.startswith(f"{path}: ")
    assert 100 < served < 1900


@pytest.mark.parametrize("make", [lambda path: None, filled_with(b"")], ids=["missing", "empty"])
def test_a_missing_or_an_empty_database_serves(make: Callable[[Path], None], path: Path) -> None:
    make(path)
    good(path)
    assert status(path) is Status.FIXING


# Locks


@pytest.mark.parametrize(("lock", "reads"), [("EXCLUSIVE", False), ("IMMEDIATE", True)])
def test_a_database_that_stays_locked_is_locked_and_not_lost(lock: str, reads: bool, path: Path) -> None:
    good(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"BEGIN {lock}")
        error = fault_of(path, lock_bound=0.05)
        assert error.fault is Fault.LOCKED
        assert one_line(error, path, "locked by another process for longer than 0.05 s")
        assert error.next_command == shlex.join(["fuser", "-v", str(path)])
        if reads:
            assert status(path, lock_bound=0.05) is Status.FIXING
        other.execute("ROLLBACK")
    assert status(path, lock_bound=0.05) is Status.FIXING


def test_a_write_waits_for_readers_to_end_and_keeps_its_turn(path: Path) -> None:
    good(path)
    calls = []
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM build_state").fetchall()
        let_go = Timer(0.2, reader.execute, ("ROLLBACK",))
        let_go.start()
        with closing(SqliteStore(path, lock_bound=PATIENCE)) as store:
            store.update("default", lambda now: calls.append(now) or writing(State("x"))(now))  # type: ignore[func-returns-value]
        let_go.join()
    assert len(calls) == 1


def test_a_write_that_waits_for_a_reader_without_an_end_is_locked_and_taken_back(path: Path) -> None:
    good(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM build_state").fetchall()
        assert fault_of(path, lock_bound=0.05).fault is Fault.LOCKED
        reader.execute("ROLLBACK")
    with closing(SqliteStore(path)) as store:
        assert set(store.read("default").states) == {"repo", "checkout:x"}


def test_a_lock_that_is_let_go_within_the_bound_only_delays(path: Path) -> None:
    good(path)
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        let_go = Timer(0.2, other.execute, ("ROLLBACK",))
        let_go.start()
        assert status(path, lock_bound=PATIENCE) is Status.FIXING
        let_go.join()


def test_a_lock_that_never_opens_is_waited_for_once_and_not_at_every_call(path: Path) -> None:
    good(path)
    with (
        closing(SqliteStore(path, lock_bound=1.0)) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        for _ in range(12):
            with pytest.raises(Unavailable):
                store.read("default")
        assert 1.0 <= time.monotonic() - began < 9.0
        other.execute("ROLLBACK")
        store.read("default")
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        with pytest.raises(Unavailable):
            store.read("default")
        assert time.monotonic() - began >= 1.0, "a call that succeeds gives the patience back"


# What only another process can meet: permissions as an ordinary user has them, and a full disk


def touched(prefix: list[str], path: Path) -> list[str]:
    """What a write meets in the process that `prefix` starts, and its next command."""
    argv = [*prefix, sys.executable, "-c", TOUCH, str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize(("file", "folder"), [(0o444, 0o755), (0o644, 0o555), (0o444, 0o555)])
def test_a_database_that_may_not_be_written_is_read_only(path: Path, file: int, folder: int) -> None:
    good(path)
    path.chmod(file)
    path.parent.chmod(folder)
    assert touched(obeying(), path) == [
        f"READ_ONLY {path}: cannot be written",
        shlex.join(["ls", "-ld", str(path.parent), str(path)]),
    ]


def test_a_database_that_may_not_be_read_is_unreachable(path: Path) -> None:
    good(path)
    path.chmod(0)
    said, following = touched(obeying(), path)
    assert said == f"UNREACHABLE {path}: cannot be opened (unable to open database file)"
    assert following == shlex.join(["ls", "-ld", str(path.parent), str(path)])


def test_a_folder_that_may_not_be_entered_is_unreachable(path: Path) -> None:
    good(path)
    path.parent.chmod(0)
    assert touched(obeying(), path)[0] == f"UNREACHABLE {path}: cannot be opened (Permission denied)"


def test_a_folder_that_may_not_be_made_is_unreachable(path: Path) -> None:
    path.parent.parent.chmod(0o555)
    assert touched(obeying(), path)[0] == f"UNREACHABLE {path}: cannot be opened (Permission denied)"


def test_a_file_that_may_not_be_made_is_unreachable(path: Path) -> None:
    path.parent.mkdir(mode=0o555)
    assert touched(obeying(), path)[0] == f"UNREACHABLE {path}: cannot be opened (Permission denied)"


def test_a_database_that_finds_no_room_to_begin_with_is_on_a_full_disk(path: Path) -> None:
    path.parent.mkdir()
    assert touched(on_a_full_disk(path.parent), path) == [
        f"FULL {path}: the disk is full",
        shlex.join(["df", "-h", str(path.parent)]),
    ]


def test_a_database_that_finds_no_room_to_grow_is_on_a_full_disk(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    good(tmp_path / "seed.db")
    assert touched(on_a_full_disk(path.parent, tmp_path / "seed.db"), path)[0] == f"FULL {path}: the disk is full"
