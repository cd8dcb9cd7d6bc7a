"""Who else is at work in a repository: the processes that may hold one of git's locks.

Git's lock files name nobody, so this looks at the process table, and says honestly when that does not tell.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from buildguard.agents import processes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psutil

_NEVER_LOCK: Final = ("fsmonitor--daemon", "cat-file", "buildguard")
"""What a git that lives on beside the work does, and ourselves called as `git buildguard`."""
_SECRETIVE: Final = ("(sd-pam)", "ssh-agent", "gpg-agent")
"""Like the first process of the machine, they show their open files to nobody, and never write an index."""
_REMOTE: Final = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "fuse",
    "virtiofs",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "vboxsf",
    "prl",
)
"""How the names of the file systems begin that other machines may write to as well."""
_FIRST_PID_NAMESPACE: Final = "pid:[4026531836]"


class Sight(Enum):
    """What can be seen of a lock's owner."""

    NOBODY = "nobody"
    SOMEBODY = "somebody"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Presence:
    """Who may hold the lock, in words."""

    sight: Sight
    who: str


def at_work(lock: Path, places: Sequence[Path]) -> Presence:
    """Who may hold `lock`: any live git in `places`, or any process that has the file open. UNKNOWN in any doubt:
    processes of others that we may not look into, of other containers, of other machines."""
    import psutil

    doubts = list(_out_of_sight(lock))
    try:
        owner = lock.stat().st_uid
    except OSError:
        return Presence(Sight.UNKNOWN, "the lock has just gone")
    if os.geteuid() not in (0, owner):
        doubts.append(f"the lock belongs to another user ({owner})")
    for process in psutil.process_iter():
        try:
            held = _holds(process, lock, owner, [place.resolve() for place in places])
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        except (psutil.AccessDenied, OSError):
            doubts.append(f"process {process.pid} does not let us look")
        else:
            if held:
                return Presence(Sight.SOMEBODY, held)
    return Presence(Sight.UNKNOWN, doubts[0]) if doubts else Presence(Sight.NOBODY, "")


def running(name: str, places: Sequence[Path]) -> bool:
    """Whether a process whose name begins so works in one of the places, as far as can be seen."""
    import psutil

    for process in psutil.process_iter():
        try:
            if process.name().startswith(name) and _within(Path(process.cwd()), places):
                return True
        except (psutil.Error, OSError):
            continue
    return False


def _holds(process: psutil.Process, lock: Path, owner: int, places: Sequence[Path]) -> str | None:
    """Why this process may hold the lock, or None. Raises psutil's errors."""
    import psutil

    if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
        return None
    name = process.name()
    words = process.cmdline()
    if name == "git" or Path(next(iter(words), "")).name == "git":
        if not any(word in _NEVER_LOCK for word in words[1:]) and _concerns(process, words, places):
            return f"git works here (process {process.pid})"
        return None
    if process.uids().effective != owner or name in _SECRETIVE or process.pid == 1:
        return None
    has_it_open = any(Path(file.path) == lock for file in process.open_files())
    return f"{name} has it open (process {process.pid})" if has_it_open else None


def _concerns(process: psutil.Process, words: Sequence[str], places: Sequence[Path]) -> bool:
    """Whether a git works in one of the places: by its folder, or told so by option or environment."""
    cwd = Path(process.cwd())
    environment = process.environ()
    named = [environment.get(name, "") for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")]
    for word, following in zip(words, [*words[1:], ""], strict=True):
        option, separator, value = word.partition("=")
        if option in ("--git-dir", "--work-tree", "-C"):
            named.append(value if separator else following)
    return any(_within(cwd / name, places) for name in ["", *filter(None, named)])


def _within(path: Path, places: Sequence[Path]) -> bool:
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(place) for place in places)


def _out_of_sight(path: Path) -> Iterator[str]:
    """Why processes that we cannot see at all may write there."""
    import psutil

    mounts = [part for part in psutil.disk_partitions(all=True) if _within(path, [Path(part.mountpoint)])]
    mount = max(mounts, key=lambda part: len(part.mountpoint), default=None)
    if mount is None or mount.fstype.startswith(_REMOTE):
        yield "other machines may write to this file system"
    elif processes.ON_LINUX and not _sees_all_processes() and (mount.mountpoint, mount.fstype) != ("/", "overlay"):
        # What lies on a container's own root is its own; anything else may be mounted elsewhere, too.
        yield "processes outside this container cannot be seen"


def _sees_all_processes() -> bool:
    try:
        return str(Path("/proc/self/ns/pid").readlink()) == _FIRST_PID_NAMESPACE
    except OSError:
        return False
