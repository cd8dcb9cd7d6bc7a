"""Which commits a fix has become.

A fix is known by the HEAD that it began from and, if it could be told, by the tree that passed. Its commits may
not be there yet, may have been rebased, amended or squashed since, and may never come.
"""

import time
from collections.abc import Collection

from buildguard.claims.model import Event
from buildguard.errors import GitFault
from buildguard.git import index as gitindex
from buildguard.git.repository import Repository

SEARCHED = 1000
"""How many of the newest commits are looked through."""
LOOKING = 1.0
"""Seconds that one look at what commits hold may take: the caller may hold the index lock."""
MOST_COMMITS = 20
"""How many commits of one fix are handed on, the newest of them."""
_ANYWHERE = ("--exclude=refs/stash", "--all")
"""Every ref and every work tree's HEAD. What somebody has put away is no commit to build on."""
_ONE_BY_ONE = ("--literal-pathspecs", "rev-list", "--reverse", "--no-merges", f"--max-count={SEARCHED}")


def commits_of(repository: Repository, fix: Event, good: Collection[str], rejected: set[str]) -> tuple[str, ...]:
    """The commits of a fix, oldest first; none while there are none. `good` are trees that are known to pass the
    check. Commits that do not have the fix's change are added to `rejected`, and not looked at again."""

    def with_its_change(repository: Repository, fix: Event, _: Collection[str]) -> str:
        return _with_its_change(repository, fix, rejected)

    for look in (_of_its_tree, with_its_change, _of_good_tree, _first_since):
        try:
            last = look(repository, fix, good)
            if last:
                return _with_earlier(repository, fix, last)
        except GitFault:
            continue  # a branch that is gone, a history that was rewritten: so there is none to be had
    return ()


def nothing_to_commit(repository: Repository, fix: Event) -> bool:
    """Whether the fix changed nothing, so that no commit of it will come: the check was flaky, or the breakage was
    never committed either."""
    try:
        return bool(fix.tree and fix.head) and not _paths(repository, fix)
    except GitFault:
        return False


def _of_its_tree(repository: Repository, fix: Event, _: Collection[str]) -> str:
    """The oldest commit of the very tree that passed. A fix that takes a change back has the tree of an old
    commit: only those count that the fix's HEAD does not have."""
    if not fix.tree:
        return ""
    return dict(_trees(repository, *_ANYWHERE, *_after(fix), f"--max-count={SEARCHED}")).get(fix.tree, "")


def _with_its_change(repository: Repository, fix: Event, rejected: set[str]) -> str:
    """The oldest commit that has the fix's change, though its tree is another one: it was rebased, amended,
    squashed, or committed without what else lay in the work tree."""
    paths = _paths(repository, fix)
    if not paths:
        return ""
    change, deadline = repository.patch(fix.head, fix.tree), time.monotonic() + LOOKING
    for commit in repository.git(*_ONE_BY_ONE, *_ANYWHERE, *_after(fix), "--", *paths).splitlines():
        if commit in rejected:
            continue
        if time.monotonic() >= deadline:
            break
        with gitindex.holding(repository, commit) as index:
            if repository.has(change, GIT_INDEX_FILE=index):
                return commit
        rejected.add(commit)
    return ""


def _of_good_tree(repository: Repository, fix: Event, good: Collection[str]) -> str:
    """The first commit on the fix's branch since that is known to pass: another hook has changed the fix."""
    if not (fix.branch and fix.head and good):
        return ""
    newest_first = _trees(repository, "--first-parent", f"{fix.head}..{fix.branch}")
    return next((commit for tree, commit in reversed(newest_first) if tree in good), "")


def _first_since(repository: Repository, fix: Event, _: Collection[str]) -> str:
    """The first commit on the fix's branch since, where the fix was not checked in a commit's hook; of those that
    touch what the fix touches, as far as that is known."""
    if fix.committing or not (fix.branch and fix.head) or nothing_to_commit(repository, fix):
        return ""
    since = ("--first-parent", f"{fix.head}..{fix.branch}", "--", *_paths(repository, fix))
    return repository.git(*_ONE_BY_ONE, *since).partition("\n")[0]


def _with_earlier(repository: Repository, fix: Event, last: str) -> tuple[str, ...]:
    """The last commit of a fix, and those before it that are part of the fix: its tree has their change."""
    paths = _paths(repository, fix)
    if not paths:
        return (last,)
    listed = repository.git(*_ONE_BY_ONE, last, *_after(fix), "--", *paths).splitlines()
    with gitindex.holding(repository, fix.tree) as index:
        earlier = [
            commit
            for commit in listed
            if commit != last and repository.has(repository.patch(f"{commit}^", commit), GIT_INDEX_FILE=index)
        ]
    return (*earlier, last)[-MOST_COMMITS:]


def _trees(repository: Repository, *which: str) -> list[tuple[str, str]]:
    """Tree and name of commits, newest first."""
    # Signatures would be printed, too, for those who have their log show them.
    listed = repository.git("log", "--no-show-signature", "--format=%T %H", *which)
    return [(tree, commit) for tree, _, commit in (row.partition(" ") for row in listed.splitlines())]


def _after(fix: Event) -> tuple[str, ...]:
    return (f"^{fix.head}",) if fix.head else ()


def _paths(repository: Repository, fix: Event) -> list[str]:
    """The paths that the fix touches; none where its tree is not known."""
    if not (fix.tree and fix.head):
        return []
    return repository.differing(fix.head, fix.tree)
