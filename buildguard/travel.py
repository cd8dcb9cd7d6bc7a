"""A fix that was made in another checkout: whether it is in this tree yet, and which command brings it in."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from buildguard import git, gitlock, landed, safety, scope, words
from buildguard.call import Call
from buildguard.exits import Exit
from buildguard.git import GitFault, Index, Repository
from buildguard.guard import Guard
from buildguard.reports import Report
from buildguard.states import Event, Run, Snapshot, Status
from buildguard.ui import Countdown

LANDING = 10.0
"""Seconds that the fixer's commit is given to land: its hook resolves before git writes the commit."""
UNCOMMITTED = 300.0
"""The same for a fix that was checked before it was committed: its agent has yet to do that."""
LOOK_EVERY = 0.1


class Waiter(NamedTuple):
    """Who asks for a fix: whether its answer is still awaited, how many seconds it may wait just now (asked only
    when there is something to wait for), and the command that asks again."""

    lives: Callable[[], bool]
    patience: Callable[[], float]
    again: str | None


def elsewhere(call: Call, run: Run, index: Index | None, waiter: Waiter) -> Report | Run:
    """The answer to a failing run whose failure is fixed in another checkout, but not yet in this tree: the
    commits, and the command that brings them in; or, with that run, that they are not there yet. Else the run
    itself, which may claim, and which then knows the fix that its tree has."""
    repository = call.repository
    if repository is None:
        return run

    def look(guard: Guard) -> Report | Run:
        snapshot = guard.read()
        fix = scope.fixed_elsewhere(snapshot, guard.fixes(snapshot.now), guard.checkout, run)
        if fix is None:
            return run
        if not call.same_clone(fix.checkout):
            # A branch of that name is another one here.
            fix = fix._replace(branch="")
        own_change = scope.own_change(snapshot, run)
        expected = 0.0 if own_change else _expected(call, repository, fix, snapshot)
        wait = min(expected, waiter.patience()) if expected else 0.0
        commits = _landed(call, repository, guard, fix, run, wait, waiter.lives)
        if commits:
            return _handed_on(repository, guard, fix, commits, run, index, own_change)
        if own_change or guard.read().state(fix.scope).status is not Status.PASSING:
            return run
        return _awaited(call, repository, guard, fix, run, waiter.again) or _lost(call, guard, fix) or run

    return call.coordinate(look) or run


def after_waking(call: Call, run: Run, since: int, now: float, waiter: Waiter) -> Report | None:
    """Tell what was fixed since that event, give its commit time to land, and say where the fix is if it is not
    in this tree: to check again would only show that. `run` is the one that had to wait, `now` the end of it."""

    def look(guard: Guard) -> Report | None:
        for fix in reversed(guard.fixes(now)):
            if fix.id > since:
                call.voice.say(words.history_line(fix, now))
                _let_land(call, fix, waiter.lives)
        present = call.up_to_date()
        index = git.index(present.repository) if present.repository else None
        found = elsewhere(present, run, index, waiter)
        return found if isinstance(found, Report) else None

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


def _expected(call: Call, repository: Repository, fix: Event, snapshot: Snapshot) -> float:
    """Seconds for which the fix's commit may still be expected to appear."""
    if not call.same_clone(fix.checkout) or landed.nothing_to_commit(repository, fix):
        return 0.0
    if snapshot.state(fix.scope).status is not Status.PASSING:
        return 0.0
    return max(0.0, (LANDING if fix.committing else UNCOMMITTED) - (snapshot.now - fix.at))


def _landed(
    call: Call,
    repository: Repository,
    guard: Guard,
    fix: Event,
    run: Run,
    wait: float,
    lives: Callable[[], bool],
) -> tuple[str, ...]:
    """The commits of a fix, waiting at most `wait` seconds for them; none if there are none, or if meanwhile it is
    broken again."""
    deadline = time.monotonic() + wait
    with Countdown(call.voice) as countdown:
        while True:
            snapshot = guard.read()
            good = {
                one.tree for one in snapshot.evidence if one.passed and not one.agent and one.check == run.check
            }
            commits, left = landed.commits_of(repository, fix, good), deadline - time.monotonic()
            open_again = snapshot.state(fix.scope).status is not Status.PASSING
            if commits or left <= 0 or open_again or not lives():
                return commits
            countdown.show(
                f"{_fixed(fix, snapshot.now)} elsewhere; its commit is still to come", left, time.monotonic()
            )
            time.sleep(min(LOOK_EVERY, left))


def _handed_on(
    repository: Repository,
    guard: Guard,
    fix: Event,
    commits: tuple[str, ...],
    run: Run,
    index: Index | None,
    own_change: bool,
) -> Report | Run:
    """The command that brings in what of a fix is not here yet. Nothing to bring in, or sent for it before and
    changed since: the run knows the fix that it has."""
    with _checked(repository, index, run) as checked:
        wanted = [commit for commit in commits if not _contains(repository, commit, checked)]
        touched = _touched(repository, wanted, checked) if wanted else ""
    about = f"fix {commits[-1]}"
    if not wanted or _told(guard, about, but=touched):
        return run._replace(has_fix=fix.id)
    if own_change:
        return run
    guard.remember(about, touched, False)
    shorts = [commit[:12] for commit in wanted]
    branch = f" on {fix.branch.removeprefix('refs/heads/')}" if fix.branch else ""
    fixed = _fixed(fix, guard.read().now)
    lines = (
        f"fixed elsewhere: {fixed} in {words.some(shorts)}{branch}; it is not in this tree yet",
        *_own(fix, run),
        "nobody has to fix it again: bring the fix in, then commit again",
    )
    extra = {"fix": wanted[-1], "fixer_was": fix.agent}
    return Report("fixed_elsewhere", Exit.BUSY, lines, _bring_in(repository, " ".join(shorts)), extra=extra)


def _awaited(
    call: Call, repository: Repository, guard: Guard, fix: Event, run: Run, again: str | None
) -> Report | None:
    """That the fix is not committed yet; None once it need not be expected any more."""
    snapshot = guard.read()
    if _expected(call, repository, fix, snapshot) <= 0:
        return None
    lines = (
        f"fixed elsewhere: {_fixed(fix, snapshot.now)}, but has not committed it yet",
        *_own(fix, run),
        "nobody has to fix it again: wait for that commit",
    )
    extra = {"fix": None, "fixer_was": fix.agent}
    return Report("fixed_elsewhere", Exit.BUSY, lines, again, extra=extra, run=run)


def _lost(call: Call, guard: Guard, fix: Event) -> Report | None:
    """What becomes of a fix that no commit here holds: one of another clone may only need to be fetched, which
    this agent is told once. None: it does not count."""
    fixed, fetch = _fixed(fix, guard.read().now), f"fetch {fix.id}"
    if call.same_clone(fix.checkout):
        call.voice.say(f"{fixed} elsewhere, but no commit holds that fix: it does not count")
        return None
    if _told(guard, fetch):
        call.voice.say(f"{fixed} in another clone, but it cannot be fetched from there yet: it does not count")
        return None
    guard.remember(fetch, "", False)
    lines = (
        f"fixed elsewhere: {fixed} in another clone; this one has no commit of it yet",
        "nobody has to fix it again: fetch, then commit again",
    )
    extra = {"fix": None, "fixer_was": fix.agent}
    return Report("fixed_elsewhere", Exit.BUSY, lines, "git fetch --all", extra=extra)


@contextmanager
def _checked(repository: Repository, index: Index | None, run: Run) -> Iterator[dict[str, str]]:
    """The variables for a git that is to see what was checked: in a commit what the index held when the check
    began, else the work tree. A fix that others have brought in since did not fail."""
    if index is None:
        yield {}
        return
    with index.copy(repository) as copy:
        if not run.committing and repository.where()[0] == run.head:
            repository.git("add", "--update", GIT_INDEX_FILE=copy)
        yield {"GIT_INDEX_FILE": copy}


def _contains(repository: Repository, commit: str, checked: dict[str, str]) -> bool:
    """Whether what was checked has the fix: HEAD descends from it, or its patch can be taken out again."""
    try:
        if repository.git("rev-list", "--max-count=1", commit, f"^{repository.head or commit}") == "":
            return True
        return repository.has(repository.patch(f"{commit}^", commit), **checked)
    except GitFault:
        return False


def _touched(repository: Repository, commits: list[str], checked: dict[str, str]) -> str:
    """What was checked of the files that a fix touches, as one short word."""
    import hashlib

    try:
        listing = ("diff-tree", "-r", "-z", "--root", "--no-commit-id", "--name-only")
        named = {path for commit in commits for path in repository.git(*listing, commit).split("\0") if path}
        listed = repository.git("--literal-pathspecs", "ls-files", "-s", "-z", "--", *sorted(named), **checked)
    except GitFault:
        return repository.head
    return hashlib.sha256(listed.encode(errors="surrogateescape")).hexdigest()


def _told(guard: Guard, what: str, but: str | None = None) -> bool:
    """Whether this agent was sent for that before. Not if the files that it touches are still `but`: who has
    changed them may have brought the fix in by hand, so if the check still fails, that is a new breakage. Other
    files prove nothing: in a shared work tree they are others'."""
    return any(
        kept.agent == guard.me.id and kept.check == what and kept.tree != but for kept in guard.read().evidence
    )


def _fixed(fix: Event, now: float) -> str:
    return f"{fix.agent or 'somebody'} fixed this at {words.clock(fix.at, now)}"


def _own(fix: Event, run: Run) -> list[str]:
    """What of a run's failures that fix had nothing to do with."""
    own = [failure for failure in run.failures if failure not in fix.failures]
    return [f"your own, nobody fixed them: {words.some(own)}"] if own else []


def _bring_in(repository: Repository, commit: str) -> str:
    """The command that makes the fix a commit of this branch; while git merges, a part of that merge."""
    if (repository.git_dir / "MERGE_HEAD").exists():
        return f"git show --binary {commit} | git apply --index"
    return f"buildguard cherry-pick {commit}"
