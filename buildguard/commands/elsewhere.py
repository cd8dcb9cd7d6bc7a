"""A fix that was made in another checkout: whether it is in this tree yet, and which command brings it in."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from buildguard.claims import scope
from buildguard.claims.guard import Guard
from buildguard.claims.model import Event, Run, Status
from buildguard.errors import Exit
from buildguard.git import changes, landed, safety
from buildguard.git import index as gitindex
from buildguard.git import lock as gitlock
from buildguard.git.index import Index
from buildguard.git.repository import GitFault, Repository
from buildguard.session import Call
from buildguard.ui import phrases as words
from buildguard.ui.reports import Report
from buildguard.ui.voice import Countdown

LANDING = 10.0
"""Seconds that a commit is given to land whose hook has passed: git writes it afterwards."""
UNCOMMITTED = 300.0
"""Seconds for which the commit of a fix is expected: its agent may write a message first, be refused by another
hook and try again, or have checked before it commits."""
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
        fixes = list(scope.fixed_elsewhere(snapshot, guard.fixes(snapshot.now), guard.checkout, run))
        if not fixes:
            return run
        # A pass that changed nothing must not hide the fix before it.
        fix = next((one for one in fixes if not landed.nothing_to_commit(repository, one)), fixes[0])
        own_change = scope.own_change(snapshot, run, fix)
        return _Search(call, repository, guard, fix, run).answer(index, waiter, own_change)

    return call.coordinate(look) or run


class _Search:
    """The search for what one fix, made in another checkout, has become."""

    def __init__(self, call: Call, repository: Repository, guard: Guard, fix: Event, run: Run) -> None:
        self.call = call
        self.repository = repository
        self.guard = guard
        self.run = run
        self.near = call.same_clone(fix.checkout)
        # In another clone a branch of that name is another one.
        self.fix = fix if self.near else fix._replace(branch="")
        self._rejected: set[str] = set()

    def answer(self, index: Index | None, waiter: Waiter, own_change: bool) -> Report | Run:
        """As `elsewhere`. With an `own_change` the fix is not handed on: it would mend nothing."""
        left = 0.0 if own_change else self._expected_for()
        commits = self._landed(min(left, waiter.patience()) if left else 0.0, waiter.lives)
        if commits:
            return self._handed_on(commits, index, own_change)
        if own_change or self._open_again():
            return self.run
        if self._expected_for():
            return self._awaited(waiter.again)
        return self._lost() or self.run

    @property
    def _fixed(self) -> str:
        at = words.clock(self.fix.at, self.guard.read().now)
        return f"{self.fix.agent or 'somebody'} fixed this at {at}"

    @property
    def _own(self) -> list[str]:
        """What of the run's failures the fix had nothing to do with."""
        own = [failure for failure in self.run.failures if failure not in self.fix.failures]
        return [f"your own, nobody fixed them: {words.some(own)}"] if own else []

    def _open_again(self) -> bool:
        """Whether this very failure is: another one of the same scope is nothing to who waits for this fix."""
        state = self.guard.read().state(self.fix.scope)
        return state.status is not Status.PASSING and scope.same_failure(state, self.run)

    def _expected_for(self) -> float:
        """Seconds for which the fix's commit may still be expected to appear."""
        if not self.near or self._open_again() or landed.nothing_to_commit(self.repository, self.fix):
            return 0.0
        return max(0.0, UNCOMMITTED - (self.guard.read().now - self.fix.at))

    def _landed(self, wait: float, lives: Callable[[], bool]) -> tuple[str, ...]:
        """The commits of the fix, waiting at most `wait` seconds for them; none if there are none, or if meanwhile
        it is broken again."""
        deadline = time.monotonic() + wait
        with Countdown(self.call.voice) as countdown:
            while True:
                commits, left = self._commits(), deadline - time.monotonic()
                if commits or left <= 0 or self._open_again() or not lives():
                    return commits
                countdown.show(f"{self._fixed} elsewhere; its commit is still to come", left, time.monotonic())
                time.sleep(min(LOOK_EVERY, left))

    def _commits(self) -> tuple[str, ...]:
        evidence = self.guard.read().evidence
        good = {one.tree for one in evidence if one.passed and not one.agent and one.check == self.run.check}
        return landed.commits_of(self.repository, self.fix, good, self._rejected)

    def _handed_on(self, commits: tuple[str, ...], index: Index | None, own_change: bool) -> Report | Run:
        """The command that brings in what is not here yet. With nothing to bring in, or for who was sent for it
        before and has changed its files since, the run that knows the fix that it has."""
        with _checked(self.repository, index, self.run) as checked:
            wanted = [commit for commit in commits if not _contains(self.repository, commit, checked)]
            touched = _touched(self.repository, wanted, checked) if wanted else ""
        # What a commit holds and what the work tree holds of the files are not to be compared.
        about = f"{'staged' if self.run.committing else 'edited'} fix {commits[-1]}"
        if not wanted or _told(self.guard, about, but=touched):
            return self.run._replace(has_fix=self.fix.id)
        if own_change:
            return self.run
        self.guard.remember(about, touched, False)
        shorts = [commit[:12] for commit in wanted]
        branch = f" on {self.fix.branch.removeprefix('refs/heads/')}" if self.fix.branch else ""
        what = f"{self._fixed} in {words.some(shorts)}{branch}; it is not in this tree yet"
        todo = "bring the fix in, then commit again"
        return self._report(what, todo, f"buildguard cherry-pick {' '.join(shorts)}", wanted[-1])

    def _awaited(self, again: str | None) -> Report:
        """That the fix is not committed yet."""
        report = self._report(f"{self._fixed}, but has not committed it yet", "wait for that commit", again)
        return report._replace(run=self.run)

    def _lost(self) -> Report | None:
        """What becomes of a fix that no commit here holds: one of another clone may only need to be fetched, which
        this agent is told once. None: it does not count."""
        if self.near:
            self.call.voice.say(f"{self._fixed} elsewhere, but no commit holds that fix: it does not count")
            return None
        fetch = f"fetch {self.fix.id}"
        if _told(self.guard, fetch):
            why = "it cannot be fetched from there yet: it does not count"
            self.call.voice.say(f"{self._fixed} in another clone, but {why}")
            return None
        self.guard.remember(fetch, "", False)
        what = f"{self._fixed} in another clone; this one has no commit of it yet"
        return self._report(what, "fetch, then commit again", "git fetch --all")

    def _report(self, what: str, todo: str, following: str | None, commit: str | None = None) -> Report:
        lines = (f"fixed elsewhere: {what}", *self._own, f"nobody has to fix it again: {todo}")
        extra = {"fix": commit, "fixer_was": self.fix.agent}
        return Report("fixed_elsewhere", Exit.BUSY, lines, following, extra=extra)


def after_waking(call: Call, run: Run, since: int, now: float, waiter: Waiter) -> Report | None:
    """Tell what was fixed since that event, give its commit time to land, and say where the fix is if it is not
    in this tree: to check again would only show that. `run` is the one that had to wait, `now` the end of it."""

    def look(guard: Guard) -> Report | None:
        for fix in reversed(guard.fixes(now)):
            if fix.id > since:
                call.voice.say(words.history_line(fix, now))
                _let_land(call, fix, waiter.lives)
        present = call.up_to_date()
        index = gitindex.current(present.repository) if present.repository else None
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
    """Whether what was checked has the fix: HEAD descends from it, its patch can be taken out again, or there is
    nothing that a cherry-pick of it would change."""
    try:
        if repository.git("rev-list", "--max-count=1", commit, f"^{repository.head or commit}") == "":
            return True
        if repository.has(repository.patch(f"{commit}^", commit), **checked):
            return True
        return not changes.of(repository, commit, staged=False).paths
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
