"""What buildguard keeps in git's own folder: as open as that folder, read with a bound and through no link."""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path

from buildguard.git.process import utf8

MOST_KEPT = 4096
"""More than this is no note of ours."""
_LOCK_POLL = 0.01
"""Seconds between two tries to lock a file."""


def folder(git_dir: Path, *names: str) -> Path:
    """Our folder in there, or one within it, made if missing, as open to a group as git's. Raises `OSError`."""
    mode = stat.S_IMODE(git_dir.stat().st_mode)
    path = git_dir
    for name in ("buildguard", *names):
        path /= name
        try:
            path.mkdir()
            path.chmod(mode)
        except FileExistsError:
            # A link would let somebody else choose where we write, and what we delete.
            if not stat.S_ISDIR(path.lstat().st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(path)) from None
    return path


def write(path: Path, content: bytes) -> None:
    """Put a file there at once, as open as its folder; `{inode}` in it becomes its own inode. Raises `OSError`."""
    aside = path.with_name(f".{os.urandom(8).hex()}")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            os.fchmod(file.fileno(), path.parent.stat().st_mode & 0o666)
            file.write(content.replace(b"{inode}", b"%d" % os.fstat(file.fileno()).st_ino))
        aside.rename(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def read(path: Path, most: int = MOST_KEPT) -> tuple[str, int]:
    """The text of a file and its inode. Raises `OSError`, also of what is no file or longer than `most` bytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > most:
            raise OSError(errno.EINVAL, "no small file", str(path))
        text = os.read(descriptor, most).decode(errors="surrogateescape")
    finally:
        os.close(descriptor)
    if "\0" in text:
        raise OSError(errno.EINVAL, "no text", str(path))
    return text, found.st_ino


def alternates(environment: Mapping[str, str], folder: str) -> dict[str, str]:
    """What makes git find the objects in that folder, too."""
    others = environment.get("GIT_ALTERNATE_OBJECT_DIRECTORIES")
    if ":" in folder or folder.startswith('"'):
        folder = '"' + folder.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return {"GIT_ALTERNATE_OBJECT_DIRECTORIES": utf8(f"{folder}:{others}" if others else folder)}


def locked(descriptor: int, deadline: float) -> bool:
    """Whether that file could be locked for this process alone, until `deadline` (monotonic seconds). Raises
    `OSError` where there are no locks."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            # Not a lock that blocks: its holder may have been stopped with Ctrl-Z.
            if time.monotonic() >= deadline:
                return False
        time.sleep(_LOCK_POLL)
