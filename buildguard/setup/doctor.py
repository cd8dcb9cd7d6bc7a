"""`buildguard doctor`: says what stands in the way here, and changes nothing, but may make a missing store."""

import os
import shlex
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from buildguard.claims.guard import Guard
from buildguard.claims.model import Outcome, Snapshot, Step
from buildguard.errors import Exit, GitFault, Unavailable, Unidentified
from buildguard.git.repository import Repository
from buildguard.session import Session
from buildguard.settings import off
from buildguard.setup.hookfile import calls_us, is_ours
from buildguard.setup.hookspath import HooksPlace, hooks_place, refusal, require_git
from buildguard.setup.runners import Runner, found, runs_buildguard, set_check
from buildguard.text import command, span
from buildguard.ui.phrases import who
from buildguard.ui.reports import Report, unavailable

NOTE = "note"
_AT_WORK = 1.0
"""Seconds for which a lock that git holds is nothing to speak of."""


class Finding(NamedTuple):
    """What was found, as `--json` shows it. `next` is a command that can be run as it stands, if there is one; a
    note is good to know and keeps buildguard from nothing."""

    name: str
    what: str
    next: str | None
    weight: str = "in the way"

    @property
    def line(self) -> str:
        """As one line."""
        before, mend = ("note: ", "better") if self.weight == NOTE else ("", "mend it with")
        return f"{before}{self.name}: {self.what}" + (f"; {mend}: {self.next}" if self.next else "")


def examine(session: Session) -> Report:
    """Examine everything that buildguard needs here. Exit status 1 if anything stands in the way."""
    findings = list(_examined(session))
    findings.sort(key=lambda finding: finding.weight == NOTE)
    lines = [finding.line for finding in findings]
    extra = {"findings": [finding._asdict() for finding in findings]}
    if findings and findings[0].weight != NOTE:
        mend = next((finding.next for finding in findings if finding.next), "buildguard doctor")
        return Report("unhealthy", Exit.FAILED, tuple(lines), mend, extra=extra)
    check = f"the check is {session.settings.check.text}" if session.settings.check else "the hook names its check"
    you = f"; you are {who(session.guard.me)}" if session.guard else ""
    return Report("healthy", Exit.OK, (f"all is well: git runs the hook here; {check}{you}", *lines), extra=extra)


def _examined(session: Session) -> Iterator[Finding]:
    """All findings, what keeps others from being looked at first."""
    try:
        require_git(session.environment, session.cwd)
        if session.repository is not None:
            yield from _in_repository(session, session.repository)
            return
        fault = session.fault
    except GitFault as error:
        fault = error
    mend = fault.next_command if isinstance(fault, GitFault) else None
    yield Finding("git", str(fault), mend or "buildguard doctor --help")


def _in_repository(session: Session, repository: Repository) -> Iterator[Finding]:
    yield from _bare(repository)
    place, runner = hooks_place(repository), found(repository.top)
    yield from _hook(repository, place, runner)
    if session.settings.check is None and repository.top is not None:
        yield _no_check(repository.top, place, runner)
    if session.guard is not None:
        yield from _coordination(session.guard)
    elif session.fault is not None:
        yield Finding("database", str(session.fault), unavailable(session.fault).next)
    yield from _locks(repository)
    if reason := off(session.environment):
        yield Finding("off", f"{reason}: buildguard is switched off in this environment", None, NOTE)


def _bare(repository: Repository) -> Iterator[Finding]:
    """A repository with a checkout that says it has none: a test that ran git in a hook does that."""
    with suppress(GitFault):
        common = repository.common_dir
        bare = repository.git("config", "--type=bool", "--get", "core.bare") == "true"
        if bare and common.name == ".git" and (common / "index").exists():
            mend = command(["git", f"--git-dir={common}", "config", "core.bare", "false"])
            what = f"core.bare is true, but {common.parent} is a work tree: git refuses to work in it"
            yield Finding("core.bare", what, mend)


def _hook(repository: Repository, place: HooksPlace, runner: Runner | None) -> Iterator[Finding]:
    """Why git does not run our hook in this work tree, the first reason that holds."""
    hook, no = place.hook, refusal(place, repository)
    mend: str | None = runner.setup if runner else "buildguard install"
    if runs_buildguard(repository, runner):
        return
    if no is not None:
        # Where no setting can be changed, `buildguard commit` runs the check without any hook.
        what, mend = str(no), "buildguard commit" if place.scope == "command" else no.next_command
    elif not hook.exists():
        what = f"no hook is installed: git looks for {hook}"
    elif not os.access(hook, os.X_OK):
        what, mend = f"{hook} is not executable: git ignores it", f"chmod +x {shlex.quote(str(hook))}"
    else:
        what, mend = f"{runner.file if runner else hook} does not call buildguard", "buildguard install"
    yield Finding("hook", what, mend)


def _no_check(top: Path, place: HooksPlace, runner: Runner | None) -> Finding:
    """The settings name no check; a hook that is not our shim may give one itself."""
    theirs = calls_us(place.hook) and not is_ours(place.hook)
    if theirs or (runner is not None and runner.calls_us):
        what = "the settings name no check: the hook has one to run only if its own line names it"
        return Finding("check", what, set_check(top), NOTE)
    return Finding("check", "no check is set: the hook has nothing to run", set_check(top))


def _coordination(guard: Guard) -> Iterator[Finding]:
    def write(snapshot: Snapshot) -> Step:
        # Where nothing is kept yet, only something to be kept shows whether it can be.
        states = () if snapshot.states else (snapshot.state(guard.checkout),)
        return Step(Outcome.STATUS, guard.checkout, states)

    try:
        guard.store.update(guard.build, write)
    except Unavailable as error:
        yield Finding("database", str(error), unavailable(error).next)
    try:
        guard.me  # noqa: B018
    except Unidentified as error:
        yield Finding("identity", str(error), unavailable(error).next)
    guard.store.close()


def _locks(repository: Repository) -> Iterator[Finding]:
    """Git's own locks that stand. A lock does not tell who holds it, and git commits a tree without files where the
    lock of a live commit is deleted: so nothing here ever says that one may be deleted."""
    common, own = repository.common_dir, repository.git_dir
    shared = [common / "packed-refs.lock", common / "config.lock", *common.glob("refs/**/*.lock")]
    for lock in sorted({*own.glob("*.lock"), *shared}):
        with suppress(FileNotFoundError):
            age = time.time() - lock.stat().st_mtime
            if not 0 <= age < _AT_WORK:
                name = str(lock.relative_to(own if lock.parent == own else common))
                what = f"{lock} stands since {span(max(0.0, age))}; a git that still works may hold it: look"
                yield Finding(name, what, "ps -A -o pid,user,etime,args")
