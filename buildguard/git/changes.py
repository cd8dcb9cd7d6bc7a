"""What a commit changes where it is brought in: worked out in trees and a scratch index, touching nothing."""

from collections.abc import Sequence
from typing import NamedTuple

from buildguard.errors import GitFault
from buildguard.git.index import holding
from buildguard.git.repository import APPLY, Repository


class Change(NamedTuple):
    """A commit's change here: the tree that it makes of `base`, and the paths in which those two differ."""

    base: str
    wanted: str
    paths: Sequence[str]


def of(repository: Repository, commit: str) -> Change:
    """What the commit changes on HEAD, merged where its lines have moved. Raises `GitFault` where it does not go in
    cleanly."""
    before = _before(repository, commit)
    base = repository.head or _no_files(repository)
    patch = _patch(repository, before, commit, base)
    with holding(repository, base) as scratch:
        try:
            if patch:
                repository.write(*APPLY, "--cached", "--3way", "-", stdin=patch, GIT_INDEX_FILE=scratch)
        except GitFault:
            raise GitFault(f"{commit[:12]} does not go in cleanly here; nothing was changed") from None
        wanted = repository.write("write-tree", GIT_INDEX_FILE=scratch)
    return Change(base, wanted, repository.differing(base, wanted))


def _patch(repository: Repository, before: str, commit: str, base: str) -> str:
    """What a commit changed, but for the files that `base` has as the commit has them: to `git apply` a new file
    that is there already, or a removed one that is gone, is one that does not fit."""
    lacking = set(repository.differing(base, commit)).intersection(repository.differing(before, commit))
    return repository.patch(before, commit, *sorted(lacking)) if lacking else ""


def _before(repository: Repository, commit: str) -> str:
    """What a commit changed: its first parent, or no files at all. Not `commit^`, which a shallow clone lacks as
    it does of a first commit: all files of such a commit would be taken for its change."""
    header = repository.git("cat-file", "commit", commit).partition("\n\n")[0]
    parents = [line.removeprefix("parent ") for line in header.split("\n") if line.startswith("parent ")]
    return parents[0] if parents else _no_files(repository)


def _no_files(repository: Repository) -> str:
    return repository.git("mktree", stdin="")
