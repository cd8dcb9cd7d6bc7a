"""A fix that was made in another checkout: whether it is in this tree yet, and which command brings it in."""

import time
from collections.abc import Callable
from typing import NamedTuple

from buildguard import safety, scope, words
from buildguard.call import Call
from buildguard.exits import Exit
from buildguard.git import GitFault, Index, Repository
from buildguard.guard import Guard
from buildguard.reports import Report
from buildguard.states import Event, Run

LANDING = 10.0
"""Seconds that the fixer's commit is given to land: its hook resolves before git writes the commit."""
LOOK_EVERY = 0.1
SEARCHED = 1000
"""How many of the newest commits are looked through for the tree of a fix."""


class Fix(NamedTuple):
    """A fix that is not in this tree: who made it, and the commit that holds it."""

    event: Event
    commit: str


def elsewhere(call: Call, run: Run, index: Index | None, lives: Callable[[], bool]) -> Report | None:
    """The answer to a failing run whose failure is fixed in another checkout, but not yet in this tree: the
    commit, and the command that brings it in. None if there is no such fix, so that the run may claim."""
    repository = call.repository
    if repository is None:
        return None

    def look(guard: Guard) -> Report | None:
        snapshot = guard.read()
        event = scope.fixed_elsewhere(snapshot, guard.checkout, run)
        if event is None:
            return None
        commit = _landed(call, repository, event, snapshot.now, lives)
        if not commit or _contains(repository, commit, index):
            return None
        touched = _touched(repository, commit, index)
        if _told(guard, commit, touched):
            return None
        guard.remember(f"fix {commit}", touched, False)
        # git hands its hooks the top as the current folder, and where it was called as a prefix.
        inside = bool(call.environment.get("GIT_PREFIX")) or call.cwd != repository.top
        return _report(repository, Fix(event, commit), snapshot.now, inside)

    return call.coordinate(look)


def let_land(repository: Repository, event: Event, checkout: str, lives: Callable[[], bool]) -> None:
    """Give the commit that a fix in this very checkout is part of time to land, 10 s at most. Git moves HEAD
    first and lets go of the index afterwards: who commits in between is refused."""
    deadline = time.monotonic() + LANDING
    expected = event.committing and event.checkout == checkout
    lock = repository.git_dir / "index.lock"
    while expected and time.monotonic() < deadline and lives():
        if safety.head_moved(repository) and not lock.exists():
            return
        time.sleep(LOOK_EVERY)


def _landed(call: Call, repository: Repository, event: Event, now: float, lives: Callable[[], bool]) -> str:
    """The commit of a fix, waiting a little for it to appear; empty if it never became one."""
    deadline = time.monotonic() + max(0.0, LANDING - (now - event.at))
    while True:
        commit = _commit_of(repository, event)
        if commit:
            return commit
        if time.monotonic() >= deadline or not lives():
            when = words.clock(event.at, now)
            call.voice.say(
                f"{event.agent} fixed this at {when} elsewhere, but no commit holds that fix: it does not count"
            )
            return ""
        time.sleep(LOOK_EVERY)


def _commit_of(repository: Repository, event: Event) -> str:
    """The newest commit with the tree that was fixed; where the fix was not checked in a commit's hook, the
    first one on its branch since."""
    try:
        if event.tree:
            # A fix that takes a change back has the tree of an old commit: only newer ones count.
            newer = [f"^{event.head}"] if event.head else []
            listed = repository.git("log", "--all", *newer, f"--max-count={SEARCHED}", "--format=%T %H")
            return dict(row.split() for row in reversed(listed.splitlines())).get(event.tree, "")
        if event.branch and event.head:
            since = f"{event.head}..{event.branch}"
            return repository.git("rev-list", "--reverse", "--first-parent", since).partition("\n")[0]
    except GitFault:
        pass  # a branch that is gone, a history that was rewritten: there is no commit to be had
    return ""


def _contains(repository: Repository, commit: str, index: Index | None) -> bool:
    """Whether this tree has the fix: HEAD descends from it, or its patch can be taken out of the index again."""
    try:
        if repository.git("rev-list", "--max-count=1", commit, f"^{repository.head or commit}") == "":
            return True
        patch = repository.git("diff-tree", "-p", "--binary", "--full-index", f"{commit}^", commit)
    except GitFault:
        return False
    try:
        variables = {"GIT_INDEX_FILE": str(index.path)} if index else {}
        repository.git("apply", "--cached", "--check", "--reverse", "-", stdin=patch + "\n", **variables)
    except GitFault:
        return not patch
    return True


def _touched(repository: Repository, commit: str, index: Index | None) -> str:
    """What the index holds of the files that a fix touches, as one short word."""
    import hashlib

    variables = {"GIT_INDEX_FILE": str(index.path)} if index else {}
    try:
        paths = repository.git("diff-tree", "-r", "-z", "--root", "--no-commit-id", "--name-only", commit)
        named = [path for path in paths.split("\0") if path]
        listed = repository.git("--literal-pathspecs", "ls-files", "-s", "-z", "--", *named, **variables)
    except GitFault:
        return repository.head
    return hashlib.sha256(listed.encode(errors="surrogateescape")).hexdigest()


def _told(guard: Guard, commit: str, touched: str) -> bool:
    """Whether this agent was sent for that fix before and its files have changed since: somebody may have brought
    it in by hand, so if the check still fails, that is a new breakage. Other files prove nothing: in a shared
    work tree they are others'."""
    return any(
        kept.agent == guard.me.id and kept.check == f"fix {commit}" and kept.tree != touched
        for kept in guard.read().evidence
    )


def _report(repository: Repository, fix: Fix, now: float, inside: bool) -> Report:
    event, short = fix.event, fix.commit[:12]
    lines = (
        f"fixed elsewhere: {event.agent} fixed this at {words.clock(event.at, now)} in {short}"
        f"{' on ' + event.branch.removeprefix('refs/heads/') if event.branch else ''}; it is not in this tree yet",
        "nobody has to fix it again: bring the fix in, then commit again",
    )
    command = _bring_in(repository, short, inside)
    return Report("fixed_elsewhere", Exit.BUSY, lines, command, extra={"fix": fix.commit, "fixer_was": event.agent})


def _bring_in(repository: Repository, commit: str, inside: bool) -> str:
    """The command that makes the fix a commit of this branch. git picks no commit while anything is staged, and
    stashing could hide others' edits: then the fix's own paths are picked and committed alone."""
    if (repository.git_dir / "MERGE_HEAD").exists():
        # A pick would replace the message of the merge that is under way.
        return f"git show --binary {commit} | git apply --index"
    try:
        if not repository.git("diff", "--cached", "--name-only", GIT_INDEX_FILE=str(repository.git_dir / "index")):
            return f"git cherry-pick {commit}"
        paths = repository.git("diff-tree", "-r", "-z", "--root", "--no-commit-id", "--name-only", commit)
    except GitFault:
        return f"git cherry-pick {commit}"
    own = [safety.pathspec(path, inside) for path in paths.split("\0") if path]
    committed = words.command(["git", "commit", "-C", commit, "--", *own])
    picked = f"git cherry-pick --no-commit {commit}"
    return f"{picked} && {committed}" if committed else picked
