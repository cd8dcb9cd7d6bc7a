"""Which commit a fix has become.

A fix is known by the HEAD that it began from and, if it could be told, by the tree that passed. Its commit may
not be there yet, may have been rebased, amended or squashed since, and may never come.
"""

from collections.abc import Collection

from buildguard.git import GitFault, Repository
from buildguard.states import Event

SEARCHED = 1000
"""How many of the newest commits are looked through."""
_ANYWHERE = ("--exclude=refs/stash", "--all")
"""Every ref and every work tree's HEAD. What somebody has put away is no commit to build on."""


def commit_of(repository: Repository, fix: Event, good: Collection[str]) -> str:
    """The commit of a fix, or an empty string while there is none. `good` are trees that are known to pass the
    check."""
    for look in (_of_its_tree, _with_its_change, _of_good_tree, _first_since):
        try:
            commit = look(repository, fix, good)
        except GitFault:
            continue  # a branch that is gone, a history that was rewritten: so there is none to be had
        if commit:
            return commit
    return ""


def _of_its_tree(repository: Repository, fix: Event, _: Collection[str]) -> str:
    """The oldest commit of the very tree that passed. A fix that takes a change back has the tree of an old
    commit: only those count that the fix's HEAD does not have."""
    if not fix.tree:
        return ""
    listed = repository.git("log", *_ANYWHERE, *_after(fix), f"--max-count={SEARCHED}", "--format=%T %H")
    return dict(row.split() for row in listed.splitlines()).get(fix.tree, "")


def _with_its_change(repository: Repository, fix: Event, _: Collection[str]) -> str:
    """The oldest commit that has the fix's change, though its tree is another one: it was rebased, amended,
    squashed, or committed without what else lay in the work tree."""
    if not (fix.tree and fix.head):
        return ""
    change, paths = repository.patch(fix.head, fix.tree), _paths(repository, fix)
    if not paths:
        return ""
    some = (f"--max-count={SEARCHED}", "--reverse", "--no-merges")
    listed = repository.git("--literal-pathspecs", "rev-list", *some, *_ANYWHERE, *_after(fix), "--", *paths)
    for commit in listed.splitlines():
        with repository.index_of(commit) as index:
            if repository.has(change, GIT_INDEX_FILE=index):
                return commit
    return ""


def _of_good_tree(repository: Repository, fix: Event, good: Collection[str]) -> str:
    """The first commit on the fix's branch since that is known to pass: another hook has changed the fix."""
    if not (fix.branch and fix.head and good):
        return ""
    since = f"{fix.head}..{fix.branch}"
    listed = repository.git("log", "--reverse", "--first-parent", "--format=%T %H", since)
    commits = (row.split() for row in listed.splitlines())
    return next((commit for tree, commit in commits if tree in good), "")


def _first_since(repository: Repository, fix: Event, _: Collection[str]) -> str:
    """The first commit on the fix's branch since, where the fix was not checked in a commit's hook; of those that
    touch what the fix touches, as far as that is known."""
    if fix.committing or not (fix.branch and fix.head):
        return ""
    paths = _paths(repository, fix)
    since = f"{fix.head}..{fix.branch}"
    words = ("--literal-pathspecs", "rev-list", "--reverse", "--first-parent", since, "--")
    return repository.git(*words, *paths).partition("\n")[0]


def _after(fix: Event) -> tuple[str, ...]:
    return (f"^{fix.head}",) if fix.head else ()


def _paths(repository: Repository, fix: Event) -> list[str]:
    if not (fix.tree and fix.head):
        return []
    listed = repository.git("diff-tree", "-r", "-z", "--name-only", "--no-renames", fix.head, fix.tree)
    return [path for path in listed.split("\0") if path]
