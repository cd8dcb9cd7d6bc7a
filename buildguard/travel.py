"""A fix that was made in another checkout: whether it is in this tree yet, and which command brings it in."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from buildguard import git, gitlock, landed, safety, scope, words
from buildguard.call import Call
from buildguard.exits import Exit
from buildguard.git import GitFault, Index, Repository
from buildguard.guard import Guard
from buildguard.reports import Report
from buildguard.states import Event, Run

LANDING = 10.0
"""Seconds that the fixer's commit is given to land: its hook resolves before git writes the commit."""
LOOK_EVERY = 0.1


def elsewhere(call: Call, run: Run, index: Index | None, lives: Callable[[], bool]) -> Report | Run:
    """The answer to a failing run whose failure is fixed in another checkout, but not yet in this tree: the
    commit, and the command that brings it in. Else the run itself, which may claim, and which then knows the fix
    that its tree has."""
    repository = call.repository
    if repository is None:
        return run

    def look(guard: Guard) -> Report | Run:
        snapshot = guard.read()
        fix = scope.fixed_elsewhere(snapshot, guard.fixes(snapshot.now), guard.checkout, run)
        if fix is None:
            return run
        own_change, here = scope.own_change(snapshot, run), call.same_clone(fix.checkout)
        if not here:
            # A branch of that name is another one here.
            fix = fix._replace(branch="")
        patience = LANDING - (snapshot.now - fix.at) if here and not own_change else 0.0
        commit = _landed(repository, guard, fix, run.check, patience, lives)
        if not commit:
            return run if own_change else _lost(call, guard, fix, snapshot.now) or run
        with _checked(repository, index, run) as checked:
            there, touched = _contains(repository, commit, checked), _touched(repository, commit, checked)
        if there or _told(guard, f"fix {commit}", but=touched):
            return run._replace(has_fix=fix.id)
        if own_change:
            return run
        guard.remember(f"fix {commit}", touched, False)
        return _report(repository, fix, commit, run, snapshot.now)

    return call.coordinate(look) or run


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
        found = elsewhere(present, run, index, lives)
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


def _landed(
    repository: Repository, guard: Guard, fix: Event, check: str, patience: float, lives: Callable[[], bool]
) -> str:
    """The commit of a fix, waiting at most `patience` seconds for it to appear; empty if it never became one."""
    deadline = time.monotonic() + patience
    while True:
        good = {one.tree for one in guard.read().evidence if one.passed and not one.agent and one.check == check}
        commit = landed.commit_of(repository, fix, good)
        if commit or time.monotonic() >= deadline or not lives():
            return commit
        time.sleep(LOOK_EVERY)


def _lost(call: Call, guard: Guard, fix: Event, now: float) -> Report | None:
    """What becomes of a fix that no commit here holds: one of another clone may only need to be fetched, which
    this agent is told once. None: it does not count."""
    fixed, fetch = f"{_fixer(fix)} fixed this at {words.clock(fix.at, now)}", f"fetch {fix.id}"
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


def _touched(repository: Repository, commit: str, checked: dict[str, str]) -> str:
    """What was checked of the files that a fix touches, as one short word."""
    import hashlib

    try:
        paths = repository.git("diff-tree", "-r", "-z", "--root", "--no-commit-id", "--name-only", commit)
        named = [path for path in paths.split("\0") if path]
        listed = repository.git("--literal-pathspecs", "ls-files", "-s", "-z", "--", *named, **checked)
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


def _report(repository: Repository, fix: Event, commit: str, run: Run, now: float) -> Report:
    short = commit[:12]
    own = [failure for failure in run.failures if failure not in fix.failures]
    lines = [
        f"fixed elsewhere: {_fixer(fix)} fixed this at {words.clock(fix.at, now)} in {short}"
        f"{' on ' + fix.branch.removeprefix('refs/heads/') if fix.branch else ''}; it is not in this tree yet",
        "nobody has to fix it again: bring the fix in, then commit again",
    ]
    if own:
        lines.insert(1, f"your own, nobody fixed them: {words.some(own)}")
    extra = {"fix": commit, "fixer_was": fix.agent}
    return Report("fixed_elsewhere", Exit.BUSY, tuple(lines), _bring_in(repository, short), extra=extra)


def _fixer(fix: Event) -> str:
    return fix.agent or "somebody"


def _bring_in(repository: Repository, commit: str) -> str:
    """The command that makes the fix a commit of this branch; while git merges, a part of that merge."""
    if (repository.git_dir / "MERGE_HEAD").exists():
        return f"git show --binary {commit} | git apply --index"
    return f"buildguard cherry-pick {commit}"
