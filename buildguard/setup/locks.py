"""Git's own locks that stay: who may hold them, and the one that may be removed.

A lock does not tell who holds it, and git commits a tree without files where the lock of a live commit is deleted.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from buildguard.agents.processes import gits_in, sees_all
from buildguard.git.repository import Repository
from buildguard.text import command, span

MEND = "buildguard doctor --mend"
_AT_WORK = 1.0
"""Seconds for which a lock that git holds is nothing to speak of."""
_LEFT_BEHIND = 600.0
"""Seconds after which a lock that no git holds is old: longer than most hooks run."""
_OF_MANY_MACHINES = r"nfs4?|cifs|smb3|9p|virtiofs|fuse.*|ceph|afs|lustre|gfs2|ocfs2|vboxsf|prl_fs"


def staying(repository: Repository) -> Iterator[tuple[str, str, str]]:
    """The locks that have been there for a second: name, what is known of each, and the command to run."""
    common, own = repository.common_dir, repository.git_dir
    shared = [common / "packed-refs.lock", common / "config.lock", *common.glob("refs/**/*.lock")]
    for lock in sorted({*own.glob("*.lock"), *shared}):
        with suppress(FileNotFoundError):
            age = time.time() - lock.lstat().st_mtime
            if not 0 <= age < _AT_WORK:
                who, line = holder(lock, repository)
                name = str(lock.relative_to(own if lock.parent == own else common))
                yield name, f"{lock} has been there for {span(max(0.0, age))}; {who}", line


def holder(lock: Path, repository: Repository) -> tuple[str, str]:
    """Who may hold a lock, and the command to run: `MEND` only for this work tree's index lock, if it was certainly
    left behind. Raises FileNotFoundError."""
    seen, look = lock.lstat(), command(["ls", "-l", str(lock)]) or "git status"
    if not sees_all():
        return "a git in another container, which cannot be seen from here, may hold it", look
    if of_many_machines(Path("/proc/self/mountinfo").read_text(errors="replace"), seen.st_dev):
        return "a git on another machine may hold it", look
    if seen.st_uid != os.getuid():
        return "a git of another user may hold it", look
    places = [repository.common_dir, repository.git_dir, repository.top or repository.git_dir]
    if gits := ", ".join(map(str, gits_in(places))):
        return f"git works here (process {gits}) and may hold it: wait for it", "sleep 10 && buildguard doctor"
    old = time.time() - seen.st_mtime >= _LEFT_BEHIND
    return "no git works here", MEND if old and lock == repository.git_dir / "index.lock" else look


def mended(repository: Repository) -> Iterator[str]:
    """Remove this work tree's index lock if it was certainly left behind, and say so."""
    lock = repository.git_dir / "index.lock"
    with suppress(FileNotFoundError):
        seen = lock.lstat()
        # Another git may have made a new one since.
        if holder(lock, repository)[1] == MEND and lock.lstat() == seen:
            lock.unlink()
            yield f"removed {lock}: it was {span(time.time() - seen.st_mtime)} old, and no git works here"


def of_many_machines(mounts: str, device: int) -> bool:
    """Whether other machines may work in the file system of a device, by the text of `/proc/self/mountinfo`."""
    number = f"{os.major(device)}:{os.minor(device)}"
    kind = re.search(rf"^\d+ \d+ {number} .* - (\S+)", mounts, re.MULTILINE)
    return kind is not None and re.fullmatch(_OF_MANY_MACHINES, kind[1]) is not None
