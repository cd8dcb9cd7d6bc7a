"""The names of checkouts: no two on any machine share one, and a new checkout never inherits that of a removed one.

The name lies in the git dir of the work tree, so it goes with it. Beside it stands the inode of the very file that
holds it: a copy of the repository has another one, and gets a name of its own.
"""

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path

from buildguard.git import private
from buildguard.git.repository import Repository


def name_of(repository: Repository) -> str:
    """The name of this checkout, made and registered if it has none yet. Where nothing can be written: one that is
    the same at every call, and never gone."""
    git_dir = repository.git_dir
    with suppress(OSError):
        if name := _kept(git_dir):
            return name
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", (repository.top or git_dir).name).strip("-.")
    folder = plain[:40] or "checkout"
    try:
        return _made(repository, folder)
    except OSError:
        import hashlib  # What a passing hook does not need.

        place = f"{os.uname().nodename}\0{git_dir}\0{git_dir.stat().st_ino}"
        return f"{folder}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:12]}"


def gone(common_dir: Path, name: str, shared: bool = False) -> bool:
    """True if that checkout is registered here and known to be no more: its work tree was removed or made anew, or
    this repository is a copy of the one that it belongs to. In a `shared` database that one may go on claiming."""
    git_dir, copied = _registered(common_dir, name)
    return git_dir is not None and not (shared and copied) and not _lives(git_dir, common_dir, name)


def registered(common_dir: Path, name: str) -> bool:
    """Whether that is, or was, a checkout of this repository."""
    return _registered(common_dir, name)[0] is not None


def git_dir_of(common_dir: Path, name: str) -> Path | None:
    """The git dir of a checkout of this repository that lives; None of any other."""
    git_dir, _ = _registered(common_dir, name)
    return git_dir if git_dir is not None and _lives(git_dir, common_dir, name) else None


def _kept(git_dir: Path) -> str:
    """The name that lies there, or an empty string. Raises `OSError`."""
    text, inode = private.read(git_dir / "buildguard" / "checkout")
    name, _, rest = text.partition("\n")
    return name if rest == f"{inode}\n" and _sound(name) else ""


def _made(repository: Repository, folder: str) -> str:
    git_dir, common_dir = repository.git_dir, repository.common_dir
    ours, registered = private.folder(git_dir), private.folder(common_dir, "checkouts")
    lock = os.open(ours, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Two that come at once would replace each other's name, and each go on with its own.
        fcntl.flock(lock, fcntl.LOCK_EX)
        with suppress(OSError):
            if name := _kept(git_dir):
                return name
        name = f"{folder}-{os.urandom(6).hex()}"
        with suppress(ValueError):  # a git dir that lies elsewhere: nobody can tell when it is gone
            private.write(registered / name, b"%b\n{inode}\n" % os.fsencode(git_dir.relative_to(common_dir)))
        private.write(ours / "checkout", f"{name}\n{{inode}}\n".encode())
        return name
    finally:
        os.close(lock)


def _registered(common_dir: Path, name: str) -> tuple[Path | None, bool]:
    """The git dir that the name was given to, and whether another repository gave it, of which this one is a
    copy."""
    try:
        text, inode = private.read(common_dir / "buildguard" / "checkouts" / name) if _sound(name) else ("", 0)
    except OSError:
        return None, False
    where, _, rest = text.partition("\n")
    known = re.fullmatch(r"\.|worktrees/(?!\.\.?$)[^/]+", where)
    return (common_dir / where if known else None), rest != f"{inode}\n"


def _lives(git_dir: Path, common_dir: Path, name: str) -> bool:
    """False only where that is known: what may not be read may be somebody else's."""
    try:
        if _kept(git_dir) != name:
            return False
        # A locked work tree may be on a disk that is not here just now.
        if git_dir != common_dir and not (git_dir / "locked").exists():
            (git_dir / private.read(git_dir / "gitdir")[0].removesuffix("\n")).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _sound(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,79}", name) is not None
