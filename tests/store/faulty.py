"""Databases that cannot serve, and processes that meet them."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from store.values import CLAIMED, FIXED, FIXING, PROOF, writing

from buildguard.claims.model import State
from buildguard.errors import Fault
from buildguard.store.sqlite import SqliteStore

OBEYING = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    if os.getuid() == 0 and ctypes.CDLL(None).prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
        sys.exit(99)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Starts a command that obeys the permissions of files, as root otherwise does not."""


def good(path: Path) -> None:
    """A database with a fixer in the repository's scope, and something of everything else."""
    with closing(SqliteStore(path)) as store:
        repo = FIXING._replace(scope="repo")
        store.update("default", writing(repo, State("checkout:x"), events=(CLAIMED, FIXED), proofs=(PROOF,)))


def damaged_by(*statements: str) -> Callable[[Path], None]:
    """A good database to which somebody did this."""

    def prepare(path: Path) -> None:
        good(path)
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            for statement in statements:
                db.execute(statement)

    return prepare


def with_field(table: str, field: str, value: str) -> str:
    """The statement that puts other JSON in a field of the values of a table."""
    where = "WHERE scope = 'repo'" if table == "build_state" else ""
    return f"UPDATE {table} SET value = json_set(value, '$.{field}', json('{value}')) {where}"


def replaced_by(view: str) -> Callable[[Path], None]:
    """A good database in which a view stands in the place of the states."""
    return damaged_by("DROP TABLE build_state", f"CREATE VIEW build_state AS {view}")


def row(value: str) -> str:
    """A view of one state with that value."""
    return f"SELECT 'default' AS build, 'x' AS scope, {value} AS value"


def foreign(*statements: str) -> Callable[[Path], None]:
    """The database of another program, made so."""

    def prepare(path: Path) -> None:
        path.parent.mkdir()
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            for statement in statements:
                db.execute(statement)

    return prepare


def filled_with(content: bytes) -> Callable[[Path], None]:
    """A file with these bytes."""

    def prepare(path: Path) -> None:
        path.parent.mkdir()
        path.write_bytes(content)

    return prepare


def _torn(path: Path) -> None:
    good(path)
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(255 for _ in range(len(content) - 100)))


def _a_folder(path: Path) -> None:
    path.mkdir(parents=True)


def _a_file_in_the_way(path: Path) -> None:
    path.parent.write_text("no folder")


def _a_pipe(path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)


def _a_link(path: Path) -> None:
    good(path)
    path.rename(path.parent / "elsewhere.db")
    path.symlink_to(path.parent / "elsewhere.db")


def _a_link_to_nothing(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(path.parent / "nowhere.db")


def _a_link_to_a_device(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to("/dev/zero")


def _a_link_to_itself(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(path)


def _with_a_pipe_beside(suffix: str) -> Callable[[Path], None]:
    def prepare(path: Path) -> None:
        good(path)
        os.mkfifo(f"{path}{suffix}")

    return prepare


def _in_a_folder_that_is_a_link_to_itself(path: Path) -> None:
    path.parent.symlink_to(path.parent)


@dataclass(frozen=True)
class Bad:
    """A database that cannot serve, how that is said, and whether it is set aside."""

    name: str
    prepare: Callable[[Path], None]
    fault: Fault
    words: str
    next: str = "mv "


ROW = "holds what buildguard did not write ("
NO_FILE = "is a link or a folder or a device, not a file"
LS = "ls -ld "
BAD = [
    Bad("not a database", filled_with(b"meeting notes\n" * 500), Fault.FOREIGN, "is not a database"),
    Bad("a few bytes that are no database", filled_with(b"notes"), Fault.FOREIGN, "is not a database"),
    Bad("torn", _torn, Fault.DAMAGED, "is damaged ("),
    Bad("newer", damaged_by("PRAGMA user_version = 99"), Fault.NEWER,
        "was made by another buildguard (schema 99; this one knows 1)", "buildguard --version"),
    Bad("older", damaged_by("PRAGMA user_version = 0"), Fault.FOREIGN,
        "was made by another buildguard (schema 0; this one knows 1)"),
    Bad("without its state", damaged_by("DROP TABLE build_state"), Fault.DAMAGED,
        "is damaged (no such table: build_state)"),
    Bad("without its history", damaged_by("DROP TABLE event"), Fault.DAMAGED, "is damaged (no such table: event)"),
    *(Bad(name, foreign(*statements), Fault.FOREIGN, "is a database of another program or of an older buildguard")
      for name, *statements in (
        ("another program's", "CREATE TABLE bookmark (url TEXT)"),
        ("another program's of its 1st schema", "CREATE TABLE bookmark (url TEXT)", "PRAGMA user_version = 1"),
        ("another program's that is empty", "PRAGMA application_id = 7"),
        ("another schema's that is empty", "PRAGMA user_version = 1"),
    )),
    Bad("a folder itself", _a_folder, Fault.UNREACHABLE, NO_FILE, LS),
    Bad("in a folder that cannot be made", _a_file_in_the_way, Fault.UNREACHABLE,
        "cannot be opened (Not a directory)", LS),
    Bad("in a folder that is a link to itself", _in_a_folder_that_is_a_link_to_itself, Fault.UNREACHABLE,
        "cannot be opened (Too many levels of symbolic links)", LS),
    Bad("a pipe", _a_pipe, Fault.UNREACHABLE, NO_FILE, LS),
    Bad("a link to a good one", _a_link, Fault.UNREACHABLE, NO_FILE, LS),
    Bad("a link to nothing", _a_link_to_nothing, Fault.UNREACHABLE, NO_FILE, LS),
    Bad("a link to a device", _a_link_to_a_device, Fault.UNREACHABLE, NO_FILE, LS),
    Bad("a link to itself", _a_link_to_itself, Fault.UNREACHABLE, NO_FILE, LS),
    Bad("with a pipe as its journal", _with_a_pipe_beside("-journal"), Fault.UNREACHABLE,
        "has a -journal beside it that is no file", LS),
    Bad("with a pipe as its log", _with_a_pipe_beside("-wal"), Fault.UNREACHABLE,
        "has a -wal beside it that is no file", LS),
    Bad("with garbage in a row", damaged_by(with_field("build_state", "breakage.reason", '[\n"fire"]')),
        Fault.DAMAGED, f"{ROW}reason is a list of 1)"),
    Bad("with a row of a gigabyte", replaced_by(row("zeroblob(900000000)")),
        Fault.DAMAGED, "is damaged (string or blob too big)"),
]  # fmt: skip


def may_be_removed(*folders: Path) -> None:
    """Open folders up, so that pytest can remove them."""
    for folder in folders:
        if folder.is_dir() and not folder.is_symlink():
            folder.chmod(0o755)


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
