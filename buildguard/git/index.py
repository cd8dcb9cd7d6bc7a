"""The index that a commit is made from: as it was at one moment, and copies of it that take no lock."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from buildguard.errors import GitFault
from buildguard.git import private
from buildguard.git.process import utf8
from buildguard.git.repository import Repository

COPY = "index-"
"""What the name of a copy begins with."""


class Index(NamedTuple):
    """The index that a commit is made from, as it was at one moment; `written` is when git wrote it (nanoseconds
    since the epoch, 0: not known)."""

    path: Path
    content: bytes
    written: int = 0

    @property
    def locked(self) -> bool:
        """Whether this commit itself holds the index lock: git then works on a file named `….lock`."""
        return self.path.name.endswith(".lock")

    @property
    def empty(self) -> bool:
        """True if it holds no files, nor names another one that does (a split index)."""
        return self.content[:4] == b"DIRC" and self.content[8:12] == bytes(4) and b"link" not in self.content

    def tree(self, repository: Repository) -> str:
        """The tree that committing this would make, or an empty string (unmerged, unwritable). Made from a
        private copy, so it takes no lock and works while another holds it."""
        try:
            with self.copy(repository) as copy:
                return repository.git("write-tree", GIT_INDEX_FILE=copy)
        except GitFault:
            return ""

    @contextmanager
    def copy(self, repository: Repository) -> Iterator[str]:
        """The path of a private copy (of one without content: where git may write one), gone afterwards. Raises
        `GitFault` where none can be written."""
        copy = self._copied(repository)
        try:
            yield utf8(str(copy))
        finally:
            for left in (copy, copy.with_name(f"{copy.name}.lock")):
                with suppress(OSError):
                    left.unlink()

    def _copied(self, repository: Repository) -> Path:
        for folder in _folders(repository):
            copy = folder / f"{COPY}{os.urandom(8).hex()}"
            try:
                with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(self.content)
                if self.written:
                    # Git trusts files older than the index: a newer copy would hide edits of the same second.
                    os.utime(copy, ns=(self.written, self.written))
                if not self.content:
                    copy.unlink()  # git takes an empty file for a damaged index
            except OSError:  # no right or room to write there
                with suppress(OSError):
                    copy.unlink()
                continue
            return copy
        raise GitFault("no copy of the index can be written")


def _folders(repository: Repository) -> Iterator[Path]:
    """Where a copy may lie: in our own folder, which is swept of what a killed process left, or a temporary one."""
    with suppress(OSError):
        yield private.folder(repository.git_dir)
    # Not from `tempfile`: its import alone costs what the rest of this does.
    yield Path(repository.environment.get("TMPDIR") or "/tmp")  # noqa: S108  the name is not to be guessed


def path(repository: Repository) -> Path:
    """Where the index lies that a commit is made from: git tells a hook."""
    return (repository.top or Path.cwd()) / (
        repository.environment.get("GIT_INDEX_FILE") or repository.git_dir / "index"
    )


def current(repository: Repository) -> Index | None:
    """The index as it is now; None where it does not exist."""
    place = path(repository)
    try:
        with place.open("rb") as file:
            return Index(place, file.read(), os.fstat(file.fileno()).st_mtime_ns)
    except OSError:
        return None


@contextmanager
def holding(repository: Repository, tree: str, **variables: str) -> Iterator[str]:
    """The path of an index that holds that tree, gone afterwards. Raises `GitFault`."""
    with Index(repository.git_dir / "index", b"").copy(repository) as scratch:
        repository.git("read-tree", "--", tree, GIT_INDEX_FILE=scratch, **variables)
        yield scratch
