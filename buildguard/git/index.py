"""The index that a commit is made from: as it was at one moment, and copies of it that take no lock."""

import os
import stat
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
    """The index that a commit is made from, as it was at one moment, and when git wrote it (ns since the epoch)."""

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
        """The tree that committing this would make, or an empty string (unmerged, unwritable). Takes no lock."""
        try:
            with self.copy(repository) as copy:
                return repository.git("write-tree", GIT_INDEX_FILE=copy)
        except GitFault:
            return ""

    @contextmanager
    def copy(self, repository: Repository) -> Iterator[str]:
        """The path of a private copy (of one without content: where git may write one), gone afterwards. It lies in
        our folder, which is swept of what a killed process left. Raises `GitFault`."""
        copy = None
        try:
            copy = private.folder(repository.git_dir) / f"{COPY}{os.urandom(8).hex()}"
            if self.content:  # git takes an empty file for a damaged index
                with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(self.content)
                # Git trusts files older than the index: a newer copy would hide edits of the same second.
                os.utime(copy, ns=(self.written, self.written))
            yield utf8(str(copy))
        except OSError as error:
            raise GitFault(f"no copy of the index can be written: {error.strerror}") from error
        finally:
            for left in (copy, copy.with_name(f"{copy.name}.lock")) if copy else ():
                with suppress(OSError):
                    left.unlink()


def path(repository: Repository) -> Path:
    """Where the index lies that a commit is made from: git tells a hook."""
    return (repository.top or Path.cwd()) / (
        repository.environment.get("GIT_INDEX_FILE") or repository.git_dir / "index"
    )


def current(repository: Repository) -> Index | None:
    """The index as it is now; None where it does not exist."""
    place = path(repository)
    try:
        # A pipe would keep us waiting, and a device has no end.
        with open(os.open(place, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            return Index(place, file.read(), found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None
    except OSError:
        return None


@contextmanager
def holding(repository: Repository, tree: str, **variables: str) -> Iterator[str]:
    """The path of an index that holds that tree, gone afterwards. Raises `GitFault`."""
    with Index(repository.git_dir / "index", b"").copy(repository) as scratch:
        repository.git("read-tree", "--", tree, GIT_INDEX_FILE=scratch, **variables)
        yield scratch
