"""What must not have changed when a commit is tried again, and which commit took it."""

from collections.abc import Sequence
from typing import NamedTuple

from buildguard.errors import GitFault
from buildguard.git import commandline
from buildguard.git.process import answer
from buildguard.git.repository import Repository
from buildguard.session import Session


class Pin(NamedTuple):
    """What must not have changed when the commit is tried again: HEAD, branch, and what it takes of that which is
    staged (git's raw diff against HEAD, with whole object names)."""

    head: str
    branch: str
    staged: str


def pinned(session: Session, repository: Repository, arguments: Sequence[str]) -> Pin:
    """What this commit would be made of now."""
    head, branch = repository.where()[:2]
    # In a shared checkout others stage and commit files of theirs: nothing to a commit that names its own.
    paths = commandline.only_paths(arguments)
    asked = ("diff", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev", "--no-relative", "--", *paths)
    try:
        staged = answer(asked, session.environment, session.cwd)
    except GitFault:
        staged = ""
    return Pin(head, branch, staged)


def taken_by(repository: Repository, pin: Pin) -> str:
    """The commit that took, with its own, everything that was staged here; empty if there is none."""
    wanted = _contents(pin.staged)
    try:
        listed = repository.git("--literal-pathspecs", "ls-tree", "-r", "-z", "HEAD", "--", *wanted)
        there = {
            path: meta.split()[2] for meta, _, path in (row.partition("\t") for row in listed.split("\0") if row)
        }
        if any(there.get(path, "") != name for path, name in wanted.items()):
            return ""
        since = f"{pin.head}..HEAD" if pin.head else "HEAD"
        return repository.git("--literal-pathspecs", "log", "-1", "--format=%h (%an: %s)", since, "--", *wanted)
    except GitFault:
        return ""


def _contents(raw: str) -> dict[str, str]:
    """Each path of a raw diff with the object it leads to; an empty name for a deletion."""
    fields = raw.split("\0")
    return {
        path: "" if meta.split()[4] == "D" else meta.split()[3]
        for meta, path in zip(fields[::2], fields[1::2], strict=False)
    }


def branch_name(branch: str) -> str:
    """A branch as people call it."""
    return branch.removeprefix("refs/heads/") or "a detached HEAD"
