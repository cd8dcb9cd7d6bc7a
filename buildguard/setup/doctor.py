"""`buildguard doctor`: says what stands in the way here, and changes nothing.

The one thing that it writes is a scratch database in the database's folder, because nothing but trying shows
whether that can be written and locked; it is gone when the doctor is.
"""

from collections.abc import Iterator
from contextlib import suppress

from buildguard import session as calls
from buildguard.agents import identity as agents
from buildguard.agents.identity import Unidentified
from buildguard.claims.guard import Guard
from buildguard.claims.model import Outcome, Step
from buildguard.errors import Exit
from buildguard.git.repository import GitFault, Repository
from buildguard.session import Call
from buildguard.settings import off
from buildguard.setup import hookfindings, indexlock, lockrace, orphans
from buildguard.setup import hookspath as hooksplace
from buildguard.setup.findings import Finding, Weight
from buildguard.store.faults import Unavailable
from buildguard.ui import phrases as words
from buildguard.ui.reports import Report

_SPARE = 20.0
"""Seconds that a coding agent's shell is left with beside a wait: the check, and what the hook says."""


def doctor(call: Call) -> Report:
    """Examine everything that buildguard needs here. Exit status 1 if anything stands in the way."""
    found = list(_examined(call))
    serious = [finding for finding in found if finding.weight is Weight.IN_THE_WAY]
    lines = [finding.line for finding in (*serious, *(one for one in found if one not in serious))]
    extra = {"findings": [finding.facts for finding in found]}
    if not serious:
        return Report("healthy", Exit.OK, (_all_well(call), *lines), extra=extra)
    mend = next((finding.mend for finding in serious if finding.mend), "buildguard doctor")
    return Report("unhealthy", Exit.FAILED, tuple(lines), mend, extra=extra)


def _examined(call: Call) -> Iterator[Finding]:
    """All findings, what keeps others from being looked at first."""
    try:
        said, numbers = hooksplace.version(call.environment, call.cwd)
    except GitFault as error:
        yield Finding("git", str(error), error.next_command)
        return
    if numbers < hooksplace.OLDEST:
        yield Finding("git", f"git {said} is too old; buildguard needs git 2.31 or newer", "git --version")
        return
    if call.repository is None:
        fault = call.fault
        mend = fault.next_command if isinstance(fault, GitFault) else None
        yield Finding("repository", str(fault or "not a git repository"), mend)
        return
    try:
        yield from _in_repository(call, call.repository, numbers)
    except GitFault as error:
        yield Finding("git", str(error), error.next_command or "git status")


def _in_repository(call: Call, repository: Repository, numbers: hooksplace.Version) -> Iterator[Finding]:
    yield from _bare(repository)
    yield from hookfindings.findings(repository, numbers)
    yield from _check(call, repository)
    if call.guard is not None:
        yield from _database(call.guard)
        yield from _identity(call.guard)
    yield from _wait(call)
    yield from indexlock.findings(repository)
    yield from orphans.findings(repository, call.environment)
    reason = off(call.environment)
    if reason is not None:
        yield Finding("off", f"{reason}: buildguard is switched off in this environment", None, Weight.NOTE)


def _bare(repository: Repository) -> Iterator[Finding]:
    """A repository with a checkout that says it has none: a test that ran git in a hook does that."""
    with suppress(GitFault):
        bare = repository.git("config", "--type=bool", "--get", "core.bare") == "true"
        if bare and repository.common_dir.name == ".git" and (repository.common_dir / "index").exists():
            mend = words.command(["git", f"--git-dir={repository.common_dir}", "config", "core.bare", "false"])
            what = (
                f"core.bare is true, but {repository.common_dir.parent} is a work tree: git refuses to work in it"
            )
            yield Finding("core.bare", what, mend)


def _check(call: Call, repository: Repository) -> Iterator[Finding]:
    if call.settings.check is not None or repository.top is None:
        return
    where = hookfindings.gives_check(repository)
    mend = "buildguard install --check 'pytest -q'"
    if where is None:
        yield Finding("check", "no check is set: the hook has nothing to run", mend)
    else:
        what = f"the settings name no check: the hook has one to run only if {where} gives it one"
        yield Finding("check", what, mend, Weight.NOTE)


def _database(guard: Guard) -> Iterator[Finding]:
    path = guard.store.path
    folder = next(folder for folder in path.parents if folder.is_dir())
    try:
        race = lockrace.race(folder)
        if path.exists() and path.stat().st_size:
            guard.store.update(guard.build, lambda _: Step(Outcome.STATUS, guard.checkout))
    except (Unavailable, OSError) as error:
        yield _database_fault(error, words.command(["ls", "-ld", str(folder)]))
        return
    finally:
        guard.store.close()
    if race is lockrace.Race.ONE_WON:
        return
    what = f"the file system of {folder} grants one lock twice: two fixers could be elected"
    if race is lockrace.Race.NONE_WON:
        what = f"the file system of {folder} grants no lock: nobody could be elected"
    yield Finding("lock", what, 'export BUILDGUARD_DB="$HOME/.buildguard.db"')


def _database_fault(error: Unavailable | OSError, mend: str | None) -> Finding:
    if isinstance(error, OSError):
        return Finding("database", f"its folder cannot be written: {error}", mend)
    return Finding("database", str(error), calls.unavailable(error).next)


def _identity(guard: Guard) -> Iterator[Finding]:
    try:
        _ = guard.me
    except Unidentified as error:
        yield Finding("identity", str(error), calls.NAME_YOURSELF)


def _wait(call: Call) -> Iterator[Finding]:
    limit = agents.shell_limit(call.environment)
    if limit is None or call.settings.wait <= limit.seconds:
        return
    wait, most = words.span(call.settings.wait), words.span(limit.seconds)
    what = f"a wait may last {wait}, but {limit.agent} stops a command after {most}: waits are cut short to fit"
    yield Finding("wait", what, f"export BUILDGUARD_WAIT={max(0, int(limit.seconds - _SPARE))}", Weight.NOTE)


def _all_well(call: Call) -> str:
    check = f"the check is {call.settings.check.text}" if call.settings.check else "the check is the hook's own"
    you = f"you are {words.who(call.guard.me)}" if call.guard else ""
    return "; ".join(filter(None, ("all is well: git runs the hook here", check, you)))
