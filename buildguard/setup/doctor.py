"""`buildguard doctor`: says what stands in the way here, and changes nothing.

The one thing that it makes is an empty store where there is none yet, because nothing but trying shows whether that
can be written.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from buildguard.agents.identity import Unidentified, shell_limit
from buildguard.agents.processes import gits_in
from buildguard.claims.guard import Guard
from buildguard.claims.model import Outcome, Step
from buildguard.errors import Exit
from buildguard.git.repository import GitFault, Repository
from buildguard.session import NAME_YOURSELF, Call, unavailable
from buildguard.settings import off
from buildguard.setup.hookfile import calls_us, content, is_ours
from buildguard.setup.hookspath import HOOK, HooksPlace, hooks_place, refusal, require_git, uncommitted
from buildguard.setup.runners import Runner, found
from buildguard.setup.suggestion import set_check
from buildguard.store.faults import Unavailable
from buildguard.ui.phrases import command, span, who
from buildguard.ui.reports import Report

_SPARE = 20.0
"""Seconds that a coding agent's shell is left with beside a wait: the check, and what the hook says."""
_AT_WORK = 1.0
"""Seconds for which a lock that git holds is nothing to speak of."""


class Finding(NamedTuple):
    """What was found. `mend` is a command that can be run as it stands, or None where there is none; a `note` is
    good to know and keeps buildguard from nothing."""

    name: str
    what: str
    mend: str | None
    note: bool = False

    @property
    def line(self) -> str:
        """As one line."""
        mend = f"; {'better' if self.note else 'mend it with'}: {self.mend}" if self.mend else ""
        return f"{'note: ' if self.note else ''}{self.name}: {self.what}{mend}"


def doctor(call: Call) -> Report:
    """Examine everything that buildguard needs here. Exit status 1 if anything stands in the way."""
    findings = list(_examined(call))
    lines = [finding.line for finding in sorted(findings, key=lambda finding: finding.note)]
    extra = {
        "findings": [
            {"name": name, "weight": "note" if note else "in the way", "what": what, "next": mend}
            for name, what, mend, note in findings
        ]
    }
    serious = [finding for finding in findings if not finding.note]
    if not serious:
        return Report("healthy", Exit.OK, (_all_well(call), *lines), extra=extra)
    mend = next((finding.mend for finding in serious if finding.mend), "buildguard doctor")
    return Report("unhealthy", Exit.FAILED, tuple(lines), mend, extra=extra)


def _examined(call: Call) -> Iterator[Finding]:
    """All findings, what keeps others from being looked at first."""
    try:
        require_git(call.environment, call.cwd)
        if call.repository is not None:
            yield from _in_repository(call, call.repository)
            return
        fault = call.fault
    except GitFault as error:
        fault = error
    mend = fault.next_command if isinstance(fault, GitFault) else None
    yield Finding("git", str(fault), mend or "buildguard doctor --help")


def _in_repository(call: Call, repository: Repository) -> Iterator[Finding]:
    yield from _bare(repository)
    place, runner = hooks_place(repository), found(repository.top)
    yield from _hook(repository, place, runner)
    if call.settings.check is None and repository.top is not None:
        yield _no_check(repository.top, place, runner)
    if call.guard is not None:
        yield from _coordination(call.guard)
    yield from _wait(call)
    yield from _locks(repository)
    reason = off(call.environment)
    if reason is not None:
        yield Finding("off", f"{reason}: buildguard is switched off in this environment", None, note=True)


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
    """Whether git really runs our hook in this work tree, and what a hook runner does to others' edits."""
    not_run = _not_run(repository, place, runner)
    if not_run is not None:
        yield Finding("hook", *not_run)
    elif runner is not None and runner.hides and not calls_us(place.hook):
        what = f"{runner.name} hides {runner.hides} while hooks run, others' too: the hook cannot wait then"
        yield Finding("stash", what, "buildguard commit", note=True)
    if paths := uncommitted(place, repository):
        what = f"git runs no hook in the other work trees and clones until {paths[0]} is committed"
        yield Finding("uncommitted", what, command(["git", "add", *map(str, paths)]), note=True)
    for stray in sorted(repository.common_dir.glob(f"worktrees/*/hooks/{HOOK}")):
        what = f"{stray} never runs: git takes all work trees' hooks from one folder"
        yield Finding("stray", what, "git rev-parse --git-path hooks", note=True)


def _not_run(repository: Repository, place: HooksPlace, runner: Runner | None) -> tuple[str, str | None] | None:
    """Why git does not run us, the first reason that holds, and what mends that."""
    hook, no = place.hook, refusal(place, repository)
    runnable = os.access(hook, os.X_OK)
    if runnable and (b"buildguard" in content(hook) or (runner is not None and runner.calls_us)):
        return None
    if no is not None:
        # Where no setting can be changed, `buildguard commit` runs the check without any hook.
        return str(no), "buildguard commit" if place.scope == "command" else no.next_command
    setup = runner.setup if runner else "buildguard install"
    if not hook.parent.is_dir() and place.setting is not None:
        return f"core.hooksPath is {place.setting}, and there is no folder {hook.parent}: git runs no hook", setup
    if not hook.exists():
        return f"no hook is installed: git looks for {hook}", setup
    if not runnable:
        return f"{hook} is not executable: git ignores it", command(["chmod", "+x", str(hook)])
    return f"{runner.file if runner else hook} does not call buildguard", "buildguard install"


def _no_check(top: Path, place: HooksPlace, runner: Runner | None) -> Finding:
    """The settings name no check; a hook that is not our shim may give one itself."""
    theirs = calls_us(place.hook) and not is_ours(place.hook)
    if theirs or (runner is not None and runner.calls_us):
        what = "the settings name no check: the hook has one to run only if its own line names it"
        return Finding("check", what, set_check(top), note=True)
    return Finding("check", "no check is set: the hook has nothing to run", set_check(top))


def _coordination(guard: Guard) -> Iterator[Finding]:
    try:
        guard.store.update(guard.build, lambda _: Step(Outcome.STATUS, guard.checkout))
    except Unavailable as error:
        yield Finding("database", str(error), unavailable(error).next)
    finally:
        guard.store.close()
    try:
        _ = guard.me
    except Unidentified as error:
        yield Finding("identity", str(error), NAME_YOURSELF)


def _wait(call: Call) -> Iterator[Finding]:
    limit = shell_limit(call.environment)
    if limit is None or call.settings.wait <= limit.seconds:
        return
    wait, most = span(call.settings.wait), span(limit.seconds)
    what = f"a wait may last {wait}, but {limit.agent} stops a command after {most}: waits are cut short to fit"
    yield Finding("wait", what, f"export BUILDGUARD_WAIT={max(0, int(limit.seconds - _SPARE))}", note=True)


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
                holder, mend = _holder([common, own, repository.top or own])
                yield Finding(name, f"{lock} stands since {span(max(0.0, age))}; {holder}", mend)


def _holder(places: list[Path]) -> tuple[str, str]:
    """Who may hold a lock, and what to do about that."""
    if gits := ", ".join(map(str, gits_in(places))):
        return f"git works here (process {gits}) and may hold it: wait for it", "sleep 10 && buildguard doctor"
    unseen = "no git can be seen here; one of another user, container or machine may hold it"
    return unseen, "ps -A -o pid,user,etime,args"


def _all_well(call: Call) -> str:
    check = f"the check is {call.settings.check.text}" if call.settings.check else "the check is the hook's own"
    you = f"you are {who(call.guard.me)}" if call.guard else ""
    return "; ".join(filter(None, ("all is well: git runs the hook here", check, you)))
