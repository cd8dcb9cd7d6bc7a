"""Commit safety: git reads the index again after the hook, so what it commits need not be what was checked."""

from pathlib import Path
from typing import NamedTuple

from buildguard.errors import GitFault
from buildguard.git.heads import head_and_branch
from buildguard.git.index import Index, current
from buildguard.git.repository import Repository


class Moved(NamedTuple):
    """HEAD or the branch is not what it was when the hook began."""

    before: str
    after: str


class Gone(NamedTuple):
    """The index that git commits from was deleted or emptied: git would commit a tree without files."""

    path: Path


class Changed(NamedTuple):
    """Another tree would be committed than `tree`, that of the start. `foreign` are the paths that others changed,
    `staged` pathspecs of those staged at the start, where git commits only some paths."""

    foreign: tuple[str, ...]
    staged: tuple[str, ...]
    tree: str


Harm = Moved | Gone | Changed


def harm(repository: Repository, index: Index) -> Harm | None:
    """What would make this commit another one than it was at the start, or None. Starts no git while HEAD and index
    are as they were. Raises `GitFault`."""
    now = current(repository)
    if now is None or (now.empty and repository.has_files):
        return Gone(index.path)
    moved = head_moved(repository)
    if moved is not None:
        return moved
    if now.content == index.content:
        return None
    before, after = index.tree(repository), now.tree(repository)
    if not before:
        raise GitFault("the index has changed, and what it was cannot be read any more")
    if before == after:
        return None
    inside = bool(repository.environment.get("GIT_PREFIX"))
    # While git merges or picks it refuses to commit only some paths.
    partial = not any((repository.git_dir / name).exists() for name in ("MERGE_HEAD", "CHERRY_PICK_HEAD"))
    staged = tuple(pathspec(path, inside) for path in _paths(repository, repository.tree, before) if partial)
    return Changed(_paths(repository, before, after), staged, before)


def head_moved(repository: Repository) -> Moved | None:
    """Whether HEAD or the branch has changed since the repository was looked at."""
    if head_and_branch(repository.git_dir, repository.common_dir) == (repository.head, repository.branch):
        return None
    head, branch, _ = repository.where()
    if branch != repository.branch:
        names = [name.removeprefix("refs/heads/") or "detached HEAD" for name in (repository.branch, branch)]
        return Moved(*names)
    if head != repository.head:
        return Moved(repository.head[:7] or "no commit", head[:7] or "no commit")
    return None


def pathspec(path: str, inside: bool) -> str:
    """What names just this path, which is relative to the top; `inside` a folder below it."""
    if any(char in path for char in "*?[\\") or path.startswith(":"):
        return f":(top,literal){path}"
    return f":/{path}" if inside else path


def _paths(repository: Repository, before: str, after: str) -> tuple[str, ...]:
    try:
        return tuple(repository.differing(before, after)) if before and after else ()
    except GitFault:
        return ()
