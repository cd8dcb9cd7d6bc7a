"""A fix that was made in another checkout: whether it is in this tree yet, and which command brings it in."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from buildguard import git, gitlock, safety, scope, words
from buildguard.call import Call
from buildguard.exits import Exit
from buildguard.git import GitFault, Index, Repository
from buildguard.guard import Guard
from buildguard.reports import Report
from buildguard.states import Event, Evidence, Run

LANDING = 10.0
"""Seconds that the fixer's commit is given to land: its hook resolves before git writes the commit."""
LOOK_EVERY = 0.1
SEARCHED = 1000
"""How many of the newest commits are looked through for the tree of a fix."""


def elsewhere(call: Call, run: Run, index: Index | None, lives: Callable[[], bool]) -> Report | None:
    """The answer to a failing run whose failure is fixed in another checkout, but not yet in this tree: the
    commit, and the command that brings it in. None if there is no such fix, so that the run may claim."""
    repository = call.repository
    if repository is None:
        return None

    def look(guard: Guard) -> Report | None:
        snapshot = guard.read()
        event = scope.fixed_elsewhere(snapshot, guard.fixes(snapshot.now), guard.checkout, run)
        if event is None:
            return None
        commit = _landed(call, repository, guard, event, run.check, lives)
        if not commit or _contains(repository, commit, index):
            return None
        touched = _touched(repository, commit, index)
        if _told(guard, commit, touched):
            return None
        guard.remember(f"fix {commit}", touched, False)
        return _report(repository, event, commit, snapshot.now)

    return call.coordinate(look)


def after_waking(call: Call, run: Run, since: int, now: float, lives: Callable[[], bool]) -> Report | None:
    """Tell what was fixed since that event, give its commit time to land, and say where the fix is if it is not
    in this tree: to check again would only show that. `run` is the one that had to wait, `now` the end of it."""

    def look(guard: Guard) -> Report | None:
        for fix in reversed(guard.fixes(now)):
            if fix.id > since:
                call.voice.say(words.history_line(fix, now))
                _let_land(call, fix, lives)
        present = call.up_to_date()
        index = git.index(present.repository) if present.repository else None
        return elsewhere(present, run, index, lives)

    return call.coordinate(look)


def _let_land(call: Call, fix: Event, lives: Callable[[], bool]) -> None:
    """Give the commit that a fix in this very checkout is part of time to land, 10 s at most. Git moves HEAD
    first and lets go of the index afterwards: who commits in between is refused."""
    repository = call.repository
    deadline = time.monotonic() + LANDING
    expected = fix.committing and fix.checkout == call.checkout
    while repository is not None and expected and time.monotonic() < deadline and lives():
        if safety.head_moved(repository) and not gitlock.held(repository):
            return
        time.sleep(LOOK_EVERY)


def _landed(
    call: Call, repository: Repository, guard: Guard, event: Event, check: str, lives: Callable[[], bool]
) -> str:
    """The commit of a fix, waiting a little for it to appear; empty if it never became one."""
    snapshot = guard.read()
    deadline = time.monotonic() + max(0.0, LANDING - (snapshot.now - event.at))
    while True:
        commit = _commit_of(repository, event) or _passing_since(repository, event, guard.read().evidence, check)
        if commit:
            return commit
        if time.monotonic() >= deadline or not lives():
            when = words.clock(event.at, snapshot.now)
            call.voice.say(
                f"{event.agent} fixed this at {when} elsewhere, but no commit holds that fix: it does not count"
            )
            return ""
        time.sleep(LOOK_EVERY)


def _commit_of(repository: Repository, event: Event) -> str:
    """The commit with the tree that was fixed, the oldest of those that picked it; where the fix was not checked
    in a commit's hook, the first one on its branch since."""
    try:
        if event.tree:
            # A fix that takes a change back has the tree of an old commit: only newer ones count.
            newer = [f"^{event.head}"] if event.head else []
            listed = repository.git("log", "--all", *newer, f"--max-count={SEARCHED}", "--format=%T %H")
            return dict(row.split() for row in listed.splitlines()).get(event.tree, "")
        if event.branch and event.head:
            since = f"{event.head}..{event.branch}"
            return repository.git("rev-list", "--reverse", "--first-parent", since).partition("\n")[0]
    except GitFault:
        pass  # a branch that is gone, a history that was rewritten: there is no commit to be had
    return ""


def _passing_since(repository: Repository, event: Event, evidence: Iterable[Evidence], check: str) -> str:
    """The first commit on the fix's branch since that is known to pass the check: a fix that another hook had
    changed, or that was amended, has become a commit of another tree."""
    good = {one.tree for one in evidence if one.passed and not one.agent and one.check == check}
    if not (event.branch and event.head and good):
        return ""
    try:
        since = f"{event.head}..{event.branch}"
        listed = repository.git("log", "--reverse", "--first-parent", "--format=%T %H", since)
    except GitFault:
        return ""  # a branch that is gone
    commits = (row.split() for row in listed.splitlines())
    return next((commit for tree, commit in commits if tree in good), "")


def _contains(repository: Repository, commit: str, index: Index | None) -> bool:
    """Whether this tree has the fix: HEAD descends from it, or its patch can be taken out of the index again."""
    try:
        if repository.git("rev-list", "--max-count=1", commit, f"^{repository.head or commit}") == "":
            return True
        patch = repository.patch(f"{commit}^", commit)
    except GitFault:
        return False
    try:
        with _as_it_was(repository, index) as variables:
            repository.git("apply", "--cached", "--check", "--reverse", "-", stdin=patch, **variables)
    except GitFault:
        return not patch
    return True


def _touched(repository: Repository, commit: str, index: Index | None) -> str:
    """What the index holds of the files that a fix touches, as one short word."""
    import hashlib

    try:
        paths = repository.git("diff-tree", "-r", "-z", "--root", "--no-commit-id", "--name-only", commit)
        named = [path for path in paths.split("\0") if path]
        with _as_it_was(repository, index) as variables:
            listed = repository.git("--literal-pathspecs", "ls-files", "-s", "-z", "--", *named, **variables)
    except GitFault:
        return repository.head
    return hashlib.sha256(listed.encode(errors="surrogateescape")).hexdigest()


@contextmanager
def _as_it_was(repository: Repository, index: Index | None) -> Iterator[dict[str, str]]:
    """The variables for a git that is to see what was there when the check began: a fix that others brought in
    since did not fail it."""
    if index is None:
        yield {}
        return
    with index.copy(repository) as copy:
        yield {"GIT_INDEX_FILE": copy}


def _told(guard: Guard, commit: str, touched: str) -> bool:
    """Whether this agent was sent for that fix before and its files have changed since: somebody may have brought
    it in by hand, so if the check still fails, that is a new breakage. Other files prove nothing: in a shared
    work tree they are others'."""
    return any(
        kept.agent == guard.me.id and kept.check == f"fix {commit}" and kept.tree != touched
        for kept in guard.read().evidence
    )


def _report(repository: Repository, event: Event, commit: str, now: float) -> Report:
    short = commit[:12]
    lines = (
        f"fixed elsewhere: {event.agent} fixed this at {words.clock(event.at, now)} in {short}"
        f"{' on ' + event.branch.removeprefix('refs/heads/') if event.branch else ''}; it is not in this tree yet",
        "nobody has to fix it again: bring the fix in, then commit again",
    )
    command = _bring_in(repository, short)
    return Report("fixed_elsewhere", Exit.BUSY, lines, command, extra={"fix": commit, "fixer_was": event.agent})


def _bring_in(repository: Repository, commit: str) -> str:
    """The command that makes the fix a commit of this branch; while git merges, a part of that merge."""
    if (repository.git_dir / "MERGE_HEAD").exists():
        return f"git show --binary {commit} | git apply --index"
    return f"buildguard cherry-pick {commit}"
