"""A database that cannot serve: the store says which fault it is, and the check's verdict stands."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

import pytest
from testing.support import BUILDGUARD, PATIENCE, Checkout, Done, ended, new_repository

from buildguard.claims.model import Claim, Event, Outcome, State, Status, Step
from buildguard.store.faults import Fault, Unavailable
from buildguard.store.sqlite import Store

FIXING = State("repo", Status.FIXING, 1, Claim("ann", "repo", 1e9, 1e9, 900.0, 3600.0), reason="because")
FIXED = Event(Outcome.FIXED, "repo", Status.FIXING, Status.PASSING, 1, "ann")

TOUCH = """
import sys
from pathlib import Path
from buildguard.claims.model import (Outcome, State, Step)
from buildguard.store.faults import Unavailable
from buildguard.store.sqlite import Store
try:
    Store(Path(sys.argv[1])).update("default", lambda _: Step(Outcome.STATUS, "x", (State("x"),)))
except Unavailable as error:
    print(error.fault.name, error)
"""
"""Writes to a store; for an environment that only another process can have."""

OBEYING = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    if os.getuid() == 0 and ctypes.CDLL(None).prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
        sys.exit(99)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Starts a command that obeys the permissions of files, as root otherwise does not."""


def good(path: Path) -> None:
    """A database with a fixer, an event and a fix in it."""
    store = Store(path)
    store.update("default", lambda _: Step(Outcome.CLAIMED, "repo", (FIXING,), (FIXED,)))
    store.close()


def damaged_by(*statements: str) -> Callable[[Path], None]:
    """A good database to which somebody did this."""

    def prepare(path: Path) -> None:
        good(path)
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA ignore_check_constraints = ON")
            for statement in statements:
                db.execute(statement)

    return prepare


def foreign(version: int) -> Callable[[Path], None]:
    """The database of a program that counts its schemas, too."""

    def prepare(path: Path) -> None:
        path.parent.mkdir()
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("CREATE TABLE bookmark (url TEXT)")
            db.execute(f"PRAGMA user_version = {version}")

    return prepare


def filled_with(content: bytes) -> Callable[[Path], None]:
    def prepare(path: Path) -> None:
        path.parent.mkdir()
        path.write_bytes(content)

    return prepare


def torn(path: Path) -> None:
    good(path)
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(255 for _ in range(len(content) - 100)))


def a_folder(path: Path) -> None:
    path.mkdir(parents=True)


def a_file_in_the_way(path: Path) -> None:
    path.parent.write_text("no folder")


@dataclass(frozen=True)
class Bad:
    """A database that cannot serve, and how that is said."""

    name: str
    prepare: Callable[[Path], None]
    fault: Fault
    words: str
    readable: bool = False


ROW = "holds what buildguard did not write ("
BAD = [
    Bad("not a database", filled_with(b"meeting notes\n" * 500), Fault.NOT_A_DATABASE, "is not a database"),
    Bad("a few bytes that are no database", filled_with(b"notes"), Fault.NOT_A_DATABASE, "is not a database"),
    Bad("torn", torn, Fault.DAMAGED, "is damaged ("),
    Bad("newer", damaged_by("PRAGMA user_version = 99"), Fault.NEWER, "made by a newer buildguard (schema 99;"),
    Bad("without its state", damaged_by("DROP TABLE build_state"), Fault.DAMAGED, "no such table: build_state"),
    Bad("without its history", damaged_by("DROP TABLE event"), Fault.DAMAGED, "no such table: event"),
    Bad("another program's", foreign(0), Fault.FOREIGN, "is a database of another program"),
    Bad("another program's of its 12th schema", foreign(12), Fault.FOREIGN, "is a database of another program"),
    Bad("a folder itself", a_folder, Fault.UNREACHABLE, "cannot be opened (unable to open database file)"),
    Bad("in a folder that cannot be made", a_file_in_the_way, Fault.UNREACHABLE,
        "its folder cannot be made (File exists)", readable=True),
    Bad("with garbage in a row", damaged_by("UPDATE build_state SET status = 'on ' || char(10) || 'fire'"),
        Fault.DAMAGED, rf"{ROW}status is 'on \nfire', fixer_agent_id is 'ann')"),
]  # fmt: skip

GARBAGE = {
    "UPDATE build_state SET seen_at = 'yesterday'": f"{ROW}seen_at is 'yesterday')",
    "UPDATE build_state SET claimed_at = 1e300": f"{ROW}claimed_at is 1e+300)",
    "UPDATE build_state SET stale_after = NULL": f"{ROW}a claim lacks one of its values)",
    "UPDATE build_state SET fixer_agent_id = NULL": f"{ROW}status is 'fixing', fixer_agent_id is None)",
    "UPDATE build_state SET status = 'broken'": f"{ROW}status is 'broken', fixer_agent_id is 'ann')",
    "UPDATE build_state SET claim_number = x'00ff'": rf"{ROW}claim_number is b'\x00\xff')",
    "UPDATE build_state SET claim_number = 9223372036854775807": f"{ROW}claim_number is 9223372036854775807)",
    "UPDATE build_state SET revision = 'many'": f"{ROW}revision is 'many')",
    "UPDATE build_state SET reason = x'fffe'": rf"{ROW}reason is b'\xff\xfe')",
    "UPDATE build_state SET reason = CAST(x'fffe' AS TEXT)": "is damaged (Could not decode to UTF-8",
    "UPDATE event SET kind = 'fixed' , after = 'gone'": f"{ROW}after is 'gone')",
    "UPDATE event SET attempts = 'often'": f"{ROW}attempts is 'often')",
}


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where the database of a test lies. Its folder is opened up in the end, so that pytest can remove it."""
    path = tmp_path / "buildguard" / "state.db"
    yield path
    may_be_removed(tmp_path, path.parent)


def may_be_removed(*folders: Path) -> None:
    for folder in folders:
        if folder.is_dir():
            folder.chmod(0o755)


def fault_of(path: Path, lock_bound: float = 5.0) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        Store(path, lock_bound=lock_bound).update("default", lambda _: Step(Outcome.STATUS, "x", (State("x"),)))
    return caught.value


def all_that_is_read(path: Path) -> None:
    Store(path).read("default")
    Store(path).history("default", 9, fixes=True)


def one_line(error: Unavailable, path: Path, words: str) -> bool:
    text = str(error)
    return text.startswith(f"{path}: ") and words in text and text.isprintable()


# The store


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_the_store_says_which_fault_a_write_meets(bad: Bad, path: Path) -> None:
    bad.prepare(path)
    error = fault_of(path)
    assert error.fault is bad.fault
    assert one_line(error, path, bad.words), str(error)


@pytest.mark.parametrize("bad", [bad for bad in BAD if not bad.readable], ids=lambda bad: bad.name)
def test_reading_a_bad_database_is_never_taken_for_passing(bad: Bad, path: Path) -> None:
    bad.prepare(path)
    with pytest.raises(Unavailable) as caught:
        Store(path).read("default")
    assert caught.value.fault is bad.fault


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_database_is_left_as_it_was_found(bad: Bad, path: Path) -> None:
    bad.prepare(path)
    before = path.read_bytes() if path.is_file() else None
    fault_of(path)
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize("statement", GARBAGE)
def test_garbage_in_a_row_is_named_and_never_believed(statement: str, path: Path) -> None:
    damaged_by(statement)(path)
    with pytest.raises(Unavailable) as caught:
        all_that_is_read(path)
    error = caught.value
    assert error.fault is Fault.DAMAGED
    assert one_line(error, path, GARBAGE[statement]), str(error)


def test_garbage_of_any_length_is_told_shortly(path: Path) -> None:
    damaged_by(f"UPDATE build_state SET seen_at = '{'x' * 10_000}'")(path)
    assert len(str(fault_of(path))) < len(str(path)) + 120


def test_garbage_that_only_the_history_shows_makes_only_the_history_unavailable(path: Path) -> None:
    damaged_by("UPDATE event SET kind = 'explosion'")(path)
    with pytest.raises(Unavailable, match=r"kind is 'explosion'"):
        Store(path).history("default", 5)
    assert Store(path).read("default").state("repo").status is Status.FIXING


@pytest.mark.parametrize("make", [lambda path: None, filled_with(b"")], ids=["missing", "empty"])
def test_a_missing_or_an_empty_database_serves(make: Callable[[Path], None], path: Path) -> None:
    make(path)
    good(path)
    assert Store(path).read("default").state("repo").status is Status.FIXING


def test_a_database_in_a_chain_of_missing_folders_serves(tmp_path: Path) -> None:
    good(tmp_path / "a" / "b" / "c" / "state.db")
    assert (tmp_path / "a" / "b" / "c" / "state.db").exists()


@pytest.mark.parametrize(("lock", "reads"), [("EXCLUSIVE", False), ("IMMEDIATE", True)])
def test_a_database_that_stays_locked_is_locked_and_not_lost(lock: str, reads: bool, path: Path) -> None:
    good(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"BEGIN {lock}")
        error = fault_of(path, lock_bound=0.05)
        assert error.fault is Fault.LOCKED
        assert one_line(error, path, "locked by another process for longer than 0.05 s")
        if reads:
            assert Store(path, lock_bound=0.05).read("default").state("repo") is not None
        other.execute("ROLLBACK")
    Store(path, lock_bound=0.05).read("default")


def test_a_lock_that_is_let_go_within_the_bound_only_delays(path: Path) -> None:
    good(path)
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        let_go = Timer(0.2, other.execute, ("ROLLBACK",))
        let_go.start()
        assert Store(path, lock_bound=PATIENCE).read("default").state("repo").status is Status.FIXING
        let_go.join()


def test_a_lock_that_never_opens_is_waited_for_once_and_not_at_every_call(path: Path) -> None:
    good(path)
    store = Store(path, lock_bound=1.0)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        for _ in range(6):
            with pytest.raises(Unavailable):
                store.read("default")
        assert 1.0 <= time.monotonic() - began < 4.0


# What only another process can meet: permissions as an ordinary user has them, and a full disk


def obeying() -> list[str]:
    """The beginning of a command line that makes permissions hold, also for root."""
    words = [sys.executable, "-c", OBEYING]
    if os.getuid() == 0 and subprocess.run([*words, "true"], check=False).returncode:
        pytest.skip("root ignores permissions, and its capabilities cannot be dropped here")
    return words


def on_a_full_disk(folder: Path, seed: Path | None = None) -> list[str]:
    """The beginning of a command line for which `folder` is a file system without a free byte; of what it holds,
    a copy of `seed` is the only part of interest."""
    script = (
        'mount -t tmpfs -o size=128k,mode=0777 tmpfs "$1" && { [ -z "$2" ] || cp "$2" "$1/state.db"; } &&'
        ' { head -c 1000000 /dev/zero >"$1/ballast" 2>/dev/null; shift 2; exec "$@"; }'
    )
    words = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(folder), str(seed or "")]
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], capture_output=True).returncode:
        pytest.skip("no small file system can be mounted here to be filled up")
    return words


def touched(prefix: list[str], path: Path) -> str:
    """What a write meets in the process that `prefix` starts."""
    done = subprocess.run(
        [*prefix, sys.executable, "-c", TOUCH, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(("file", "folder"), [(0o444, 0o755), (0o644, 0o555), (0o444, 0o555)])
def test_a_database_that_may_not_be_written_is_read_only(path: Path, file: int, folder: int) -> None:
    good(path)
    path.chmod(file)
    path.parent.chmod(folder)
    assert touched(obeying(), path) == f"READ_ONLY {path}: cannot be written\n"


def test_a_database_that_may_not_be_read_is_unreachable(path: Path) -> None:
    good(path)
    path.chmod(0)
    assert touched(obeying(), path).startswith(f"UNREACHABLE {path}: cannot be opened (")


def test_a_folder_that_may_not_be_entered_is_unreachable(path: Path) -> None:
    good(path)
    path.parent.chmod(0)
    assert touched(obeying(), path) == f"UNREACHABLE {path}: cannot be opened (Permission denied)\n"


def test_a_folder_that_may_not_be_made_is_unreachable(path: Path) -> None:
    path.parent.parent.chmod(0o555)
    assert touched(obeying(), path) == f"UNREACHABLE {path}: its folder cannot be made (Permission denied)\n"


def test_a_database_that_finds_no_room_to_begin_with_is_on_a_full_disk(path: Path) -> None:
    path.parent.mkdir()
    assert touched(on_a_full_disk(path.parent), path) == f"FULL {path}: the disk is full\n"


def test_a_database_that_finds_no_room_to_grow_is_on_a_full_disk(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    good(tmp_path / "seed.db")
    assert touched(on_a_full_disk(path.parent, tmp_path / "seed.db"), path) == f"FULL {path}: the disk is full\n"


# The commands


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A repository with the hook and something new to commit."""
    folder = tmp_path_factory.mktemp("template")
    made = new_repository(folder / "repository", folder / "home")
    made.write("new.txt", "new\n")
    made.ok("add", "-A")
    return made


@pytest.fixture
def ready(template: Checkout, tmp_path: Path) -> Iterator[Checkout]:
    """A copy of the template: as good as new, and cheaper."""
    shutil.copytree(template.path.parent, tmp_path / "made")
    made = Checkout(tmp_path / "made" / "repository", tmp_path / "made" / "home")
    yield made
    may_be_removed(database(made).parent)


def database(checkout: Checkout) -> Path:
    return checkout.path / ".git" / "buildguard" / "state.db"


def refused(done: Done, words: str) -> None:
    """A command that only coordinates said in one line why it cannot, and what to do next."""
    assert done.status == 69, done
    assert done.out == ""
    said, following = done.err.splitlines()
    assert said.startswith("buildguard: coordination is unavailable: /")
    assert words in said
    assert following.startswith("next: ")


def verdict_stands(checkout: Checkout, words: str, *prefix: str) -> None:
    """Check and hook keep their verdict, red and green, and say each time that coordination is unavailable."""
    heads = [checkout.ok("rev-parse", "HEAD")]
    started = [
        checkout.start(*prefix, BUILDGUARD, "run", "--", "true", agent="me"),
        checkout.start(*prefix, BUILDGUARD, "run", "--", "false", agent="me"),
        checkout.start(*prefix, "git", "commit", "-q", "-m", "green", agent="me"),
    ]
    green, red, commit = (ended(process) for process in started)
    heads.append(checkout.ok("rev-parse", "HEAD"))
    checkout.write("app.txt", "BROKEN\n")
    checkout.ok("add", "-A")
    refusal = checkout.run(*prefix, "git", "commit", "-q", "-m", "red", agent="me")
    assert [green.status, red.status, commit.status, refusal.status] == [0, 1, 0, 1], (green, red, commit, refusal)
    assert heads[0] != heads[1] == checkout.ok("rev-parse", "HEAD")
    for done in (green, red, commit, refusal):
        said = [line for line in done.err.splitlines() if "coordination is unavailable" in line]
        assert said, done
        assert all(line.startswith("buildguard: ") and words in line for line in said), done
        assert "Traceback" not in done.both
        assert "claimed" not in done.both
    assert refusal.last.startswith("next: ")


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_command_that_only_coordinates_says_that_it_cannot(bad: Bad, ready: Checkout) -> None:
    bad.prepare(database(ready))
    refused(ready.buildguard("claim", agent="me"), bad.words)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_the_verdict_stands_whatever_is_wrong_with_the_database(bad: Bad, ready: Checkout) -> None:
    bad.prepare(database(ready))
    verdict_stands(ready, bad.words)


@pytest.mark.parametrize("command", ["release", "reset", "wait", "status", "log"])
def test_every_command_that_only_coordinates_ends_alike(command: str, ready: Checkout) -> None:
    damaged_by("PRAGMA user_version = 99")(database(ready))
    refused(ready.buildguard(command, *(["--yes"] if command == "reset" else []), agent="me"), "newer buildguard")


@pytest.mark.parametrize("bad", [BAD[0], BAD[2], BAD[5], BAD[6], BAD[10]], ids=lambda bad: bad.name)
def test_the_next_command_mends_a_database_that_is_of_no_use(bad: Bad, ready: Checkout) -> None:
    bad.prepare(database(ready))
    refusal = ready.buildguard("claim", agent="me")
    assert ready.run("sh", "-c", refusal.last.removeprefix("next: ")).status == 0
    assert ready.buildguard("claim", agent="me").status == 0


@pytest.mark.parametrize("make", [lambda path: None, filled_with(b"")], ids=["missing", "empty"])
def test_a_missing_or_an_empty_database_is_made_by_the_first_claim(
    make: Callable[[Path], None], ready: Checkout
) -> None:
    make(database(ready))
    assert ready.buildguard("claim", agent="me").status == 0
    assert ready.buildguard("claim", agent="you").status == 75


def test_a_locked_database_costs_a_while_and_no_verdict(ready: Checkout) -> None:
    good(database(ready))
    with closing(sqlite3.connect(database(ready), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        claim = ready.start(BUILDGUARD, "claim", agent="me")
        verdict_stands(ready, "locked by another process for longer than 5 s")
        refused(ended(claim), "locked by another process for longer than 5 s")


@pytest.mark.parametrize(("file", "folder"), [(0o444, 0o755), (0o644, 0o555)], ids=["file", "folder"])
def test_the_verdict_stands_where_the_database_may_not_be_written(ready: Checkout, file: int, folder: int) -> None:
    prefix = obeying()
    good(database(ready))
    database(ready).chmod(file)
    database(ready).parent.chmod(folder)
    refused(ready.run(*prefix, BUILDGUARD, "claim", "--scope", "checkout", agent="me"), "cannot be written")
    verdict_stands(ready, "cannot be written", *prefix)


def test_status_log_and_wait_serve_from_a_read_only_folder(ready: Checkout) -> None:
    prefix = obeying()
    assert ready.buildguard("claim", agent="ann").status == 0
    database(ready).chmod(0o444)
    database(ready).parent.chmod(0o555)
    status = ready.run(*prefix, BUILDGUARD, "status", agent="me")
    assert (status.status, status.err) == (0, "")
    assert "ann is fixing since" in status.out
    assert "ann claimed it" in ready.run(*prefix, BUILDGUARD, "log", agent="me").out
    assert ready.run(*prefix, BUILDGUARD, "wait", agent="ann").status == 0
    assert ready.run(*prefix, BUILDGUARD, "wait", "--timeout", "0", agent="me").status == 75


def test_the_verdict_stands_on_a_full_disk(ready: Checkout) -> None:
    folder = database(ready).parent
    folder.mkdir()
    prefix = on_a_full_disk(folder)
    refused(ready.run(*prefix, BUILDGUARD, "claim", agent="me"), "the disk is full")
    verdict_stands(ready, "the disk is full", *prefix)


def test_a_claim_that_was_held_before_the_disk_was_full_can_still_be_read(ready: Checkout, tmp_path: Path) -> None:
    ready.buildguard("claim", agent="ann")
    database(ready).rename(tmp_path / "seed.db")
    prefix = on_a_full_disk(database(ready).parent, tmp_path / "seed.db")
    refused(ready.run(*prefix, BUILDGUARD, "release", agent="ann"), "the disk is full")
    assert ready.run(*prefix, BUILDGUARD, "claim", agent="me").status == 75


def test_a_reason_or_a_check_that_is_no_unicode_is_no_fault_of_the_database(ready: Checkout) -> None:
    odd = os.fsdecode(b"caf\xe9")
    check = [BUILDGUARD, "run", "--", "sh", "-c", "grep -q fine app.txt", odd]
    ready.write("app.txt", "BROKEN\n")
    red = ready.run(*check, agent="me")
    assert (red.status, "unavailable" in red.both) == (1, False), red
    ready.write("app.txt", "fine\n")
    green = ready.run(*check, agent="me")
    assert (green.status, "fixed: " in green.both) == (0, True), green
    ready.buildguard("claim", agent="me")
    assert ready.run(BUILDGUARD, "release", "--gave-up", "--reason", odd, agent="me").status == 0
