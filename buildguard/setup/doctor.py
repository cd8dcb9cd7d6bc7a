"""`buildguard doctor`: says what stands in the way here, and changes nothing unless it is asked to mend.

The one thing that it makes is a store where there is none yet, because nothing but trying shows whether that can be
written.
"""

import json
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from buildguard.agents.identity import coding_agent, shell_limit
from buildguard.claims.guard import Guard
from buildguard.claims.model import Outcome, Snapshot, Step
from buildguard.errors import Exit, GitFault, Unavailable, Unidentified
from buildguard.git.repository import Repository
from buildguard.session import Session
from buildguard.settings import off
from buildguard.setup.hookfile import calls_us, is_ours
from buildguard.setup.hookspath import HOOK, HooksPlace, hooks_place, refusal, require_git, uncommitted
from buildguard.setup.locks import mended, staying
from buildguard.setup.runners import Runner, found, runs_buildguard, set_check
from buildguard.store import probed, reach_of, to_look_at
from buildguard.text import command, span
from buildguard.ui.phrases import who
from buildguard.ui.reports import Report, unavailable

_SPARE = 20.0
"""Seconds that a coding agent's shell is left with beside a wait: the check, and what the hook says."""
NOTE = "note"
_OF_THE_SHELL = r"cd|if|for|while|until|case|exec|set|export|eval|\.|:|exit|command|trap|unset|ulimit|time"


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


def examine(session: Session, mend: bool = False) -> Report:
    """Examine everything that buildguard needs here. Exit status 1 if anything stands in the way. With `mend` an
    index lock that was left behind is removed first."""
    done = list(mended(session.repository)) if mend and session.repository else []
    findings = list(_examined(session))
    lines = done + [finding.line for finding in sorted(findings, key=lambda finding: finding.weight == NOTE)]
    extra = {"findings": [finding._asdict() for finding in findings]}
    serious = [finding for finding in findings if finding.weight != NOTE]
    if serious:
        first = next((finding.next for finding in serious if finding.next), "buildguard doctor")
        return Report("unhealthy", Exit.FAILED, tuple(lines), first, extra=extra)
    check = (
        f"the check is {session.settings.check.text}" if session.settings.check else "the check is the hook's own"
    )
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
    yield from _other_hooks(repository, place)
    if session.settings.check is None and repository.top is not None:
        yield _no_check(repository.top, place, runner)
    yield from _program(session, repository)
    if session.guard is not None:
        yield from _coordination(session.guard, repository, session.settings.engine)
    elif session.fault is not None:
        yield Finding("database", str(session.fault), unavailable(session.fault).next)
    yield from _wait(session)
    yield from (Finding(*lock) for lock in staying(repository))
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
    """Why git does not run our hook in this work tree, the first reason that holds; and where it does, what a hook
    runner does to others' edits."""
    hook, no = place.hook, refusal(place, repository)
    mend: str | None = runner.setup if runner else "buildguard install"
    runnable = os.access(hook, os.X_OK)
    if runs_buildguard(repository, runner):
        if runner is not None and runner.hides and not calls_us(hook):
            what = f"{runner.name} hides {runner.hides} while hooks run, others' too: the hook cannot wait then"
            yield Finding("stash", what, "buildguard commit", NOTE)
        return
    if no is not None:
        # Where no setting can be changed, `buildguard commit` runs the check without any hook.
        what, mend = str(no), "buildguard commit" if place.scope == "command" else no.next_command
    elif not hook.parent.is_dir() and place.setting is not None:
        what = f"core.hooksPath is {place.setting}, and there is no folder {hook.parent}: git runs no hook"
    elif not hook.exists():
        what = f"no hook is installed: git looks for {hook}"
    elif not runnable:
        what, mend = f"{hook} is not executable: git ignores it", f"chmod +x {shlex.quote(str(hook))}"
    else:
        what, mend = f"{runner.file if runner else hook} does not call buildguard", "buildguard install"
    yield Finding("hook", what, mend)


def _other_hooks(repository: Repository, place: HooksPlace) -> Iterator[Finding]:
    """Hooks that do not run in other work trees, or in none."""
    if paths := uncommitted(place, repository):
        what = f"git runs no hook in the other work trees and clones until {paths[0]} is committed"
        yield Finding("uncommitted", what, command(["git", "add", *map(str, paths)]), NOTE)
    for stray in sorted(repository.common_dir.glob(f"worktrees/*/hooks/{HOOK}")):
        what = f"{stray} never runs: git takes all work trees' hooks from one folder"
        yield Finding("stray", what, "git rev-parse --git-path hooks", NOTE)


def _no_check(top: Path, place: HooksPlace, runner: Runner | None) -> Finding:
    """The settings name no check; a hook that is not our shim may give one itself."""
    theirs = calls_us(place.hook) and not is_ours(place.hook)
    if theirs or (runner is not None and runner.calls_us):
        what = "the settings name no check: the hook has one to run only if its own line names it"
        return Finding("check", what, set_check(top), NOTE)
    return Finding("check", "no check is set: the hook has nothing to run", set_check(top))


def _program(session: Session, repository: Repository) -> Iterator[Finding]:
    """We, or the check's first word, where that names a program that is not there."""
    check = session.settings.check
    if shutil.which("buildguard", path=session.environment.get("PATH")) is None:
        ours = shlex.quote(str(Path(sys.executable).with_name("buildguard")))
        what = "buildguard is not on PATH, and each next: line begins with it"
        yield Finding("path", what, f'mkdir -p "$HOME/.local/bin" && ln -sf {ours} "$HOME/.local/bin/buildguard"')
    with suppress(ValueError):
        words = shlex.split(check.text) if check else []
        # Of a word of the shell's own nothing is known here.
        if words and re.fullmatch(r"[\w./+-]+", words[0]) and not re.fullmatch(_OF_THE_SHELL, words[0]):
            found = Path(repository.top or "", words[0]) if "/" in words[0] else None
            there = found.exists() if found else shutil.which(words[0], path=session.environment.get("PATH"))
            if not there:
                yield Finding(
                    "program", f"{words[0]}, which the check runs, is not there (PATH)", "buildguard config"
                )


def _coordination(guard: Guard, repository: Repository, engine: str) -> Iterator[Finding]:
    def write(snapshot: Snapshot) -> Step:
        # Where nothing is kept yet, only something to be kept shows whether it can be.
        states = () if snapshot.states else (snapshot.state(guard.checkout),)
        return Step(Outcome.STATUS, guard.checkout, states)

    for name, work in (
        ("database", lambda: guard.store.update(guard.build, write)),
        ("identity", lambda: guard.me),
    ):
        try:
            work()
        except (Unavailable, Unidentified) as error:
            yield Finding(name, f"{error}{_sandbox(error, repository)}", unavailable(error).next)
    began = time.monotonic()
    if why := probed(guard.store):
        yield Finding("engine", why, to_look_at(engine))
    elif reach := reach_of(guard.store, guard.build):
        took = span(time.monotonic() - began)
        yield Finding(
            "engine", f"{reach.where} answers; two writes took {took}: agents elsewhere see you", None, NOTE
        )
    guard.store.close()


def _sandbox(error: Exception, repository: Repository) -> str:
    """The setting of Codex that lets a command write to `.git`, if its sandbox is what forbids that."""
    git_dir = str(repository.common_dir)
    if coding_agent(repository.environment) != "Codex" or not str(error).startswith(git_dir):
        return ""
    return f"; Codex lets you write there with: sandbox_workspace_write.writable_roots = [{json.dumps(git_dir)}]"


def _wait(session: Session) -> Iterator[Finding]:
    limit = shell_limit(session.environment)
    if limit is None or session.settings.wait <= limit.seconds:
        return
    wait, most = span(session.settings.wait), span(limit.seconds)
    what = f"a wait may last {wait}, but {limit.agent} stops a command after {most}: waits are cut short to fit"
    yield Finding("wait", what, f"export BUILDGUARD_WAIT={max(0, int(limit.seconds - _SPARE))}", NOTE)
