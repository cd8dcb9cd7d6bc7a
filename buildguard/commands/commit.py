"""`buildguard commit`: `git commit` that waits outside git, where nothing is held, and then commits again."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildguard.claims.guard import Guard
from buildguard.commands import attempt as trial
from buildguard.commands import elsewhere as travel
from buildguard.commands import handoff as verdict
from buildguard.commands.elsewhere import Waiter
from buildguard.commands.handoff import Verdict
from buildguard.commands.run import await_turn
from buildguard.errors import Exit
from buildguard.git import commandline as again
from buildguard.git import lock as gitlock
from buildguard.git import repository as git
from buildguard.git.repository import GitFault, Repository
from buildguard.session import Call, open_call
from buildguard.ui import phrases as words
from buildguard.ui.reports import Report

GIT_FATAL = 128


@dataclass(frozen=True, slots=True)
class Pin:
    """What must not have changed when the commit is tried again: HEAD, branch, and what it takes of that which is
    staged (git's raw diff against HEAD, with whole object names)."""

    head: str
    branch: str
    staged: str


def commit(call: Call, arguments: Sequence[str], timeout: float) -> Report:
    """Commit, and while somebody else is fixing, wait at most `timeout` seconds and commit again. The exit status
    is the hook's where there was one, else git's own."""
    repository = call.repository
    if repository is None:
        status = git.commit(arguments, call.environment, call.cwd)
        return _git_failed(status) if status else _committed(call, None)
    deadline = time.monotonic() + timeout
    repeat = again.by_commit(["git", "commit", *arguments])
    pin = _pin(call, repository, arguments)
    stdin = _kept_stdin(arguments)
    while True:
        head = repository.where()[0]
        if stdin is not None:
            os.lseek(stdin, 0, os.SEEK_SET)
        gitlock.await_free(call, repository, deadline)
        status, told = _try(call, arguments)
        if status == 0:
            return _committed(call, told)
        if told is None and status == GIT_FATAL and gitlock.held(repository) and time.monotonic() < deadline:
            continue
        if told is None or (told.exit == Exit.OK and head == repository.where()[0]):
            return _git_failed(status)
        # Content, and still no commit: another one came first, and git could not move the branch.
        if told.exit != Exit.OK and told.outcome not in ("busy", "moved") and told.run is None:
            return Report(told.outcome, told.exit, (), _after(call, told, repeat), extra=_but_next(told))
        report = _wait(_concerned(call, told), deadline, repeat, told) or _unpinned(
            call, repository, pin, arguments
        )
        if report is not None:
            return report
        call.voice.say("committing again")


def _kept_stdin(arguments: Sequence[str]) -> int | None:
    """Put what comes on stdin into a file, where git is told to read it: a second try needs it too (`-F -`).
    None where git reads no stdin."""
    if not again.reads_stdin(arguments):
        return None
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        os.dup2(file.fileno(), 0)
    return 0


def _try(call: Call, arguments: Sequence[str]) -> tuple[int, Verdict | None]:
    with tempfile.TemporaryDirectory(prefix="buildguard-") as folder:
        path = Path(folder) / "verdict"
        environment = {**call.environment, verdict.VARIABLE: str(path)}
        # With `--json` our stdout holds one object and nothing else.
        stdout = 2 if call.voice.json else None
        return git.commit(arguments, environment, call.cwd, stdout), verdict.read(path)


def _committed(call: Call, told: Verdict | None) -> Report:
    if told is None:
        call.voice.say("committed, but no buildguard hook ran: nothing was checked")
    return Report("committed", Exit.OK, (), extra={**(_but_next(told) if told else {}), "outcome": "committed"})


def _git_failed(status: int) -> Report:
    line = f"not committed: git commit ended with {status}, and says above why"
    return Report("git_failed", status, (line,), "git status")


def _after(call: Call, told: Verdict, repeat: str | None) -> str | None:
    """The next command: the hook's own, which only JSON has to repeat; else what it left to us."""
    own = told.answer.get("next")
    return repeat if own is None else str(own) if call.voice.json else None


def _but_next(told: Verdict) -> dict[str, Any]:
    """What the hook answered, for `--json`. What comes next is ours to say."""
    return {name: value for name, value in told.answer.items() if name != "next"}


def _concerned(call: Call, told: Verdict) -> Call:
    """The call with the build, scope and database of the hook that was busy: it may have options of its own."""
    chosen = {"build": told.build, "db": told.db, "agent": call.environment.get("BUILDGUARD_AGENT")}
    options = {name: value for name, value in chosen.items() if value is not None}
    return open_call(options, call.environment, call.cwd, call.voice.json, scope=told.scope)


def _wait(call: Call, deadline: float, repeat: str | None, told: Verdict) -> Report | None:
    """Wait for our turn, holding nothing. None: it has come, and the fix is not in another checkout."""
    began = call.coordinate(Guard.read)
    moment = await_turn(call, max(0.0, deadline - time.monotonic()), scope=told.busy)
    if moment is not None and moment.holder is None and time.monotonic() >= deadline:
        line = "busy: the time for this commit ran out, nothing was committed; nobody else holds a claim now"
        return Report("timeout", Exit.BUSY, (line,), repeat, moment.concerning)
    if moment is None or began is None:
        return Report("unavailable", Exit.BUSY, ("busy: somebody else is fixing; nothing was committed",), repeat)
    if moment.holder is not None:
        line = f"busy: the wait ran out, nothing was committed: {words.holder(moment.holder, moment.snapshot.now)}"
        silence = moment.snapshot.silences.get(moment.holder.state.scope)
        return Report("timeout", Exit.BUSY, (line,), repeat, moment.holder, silence)
    if told.run is None:
        return None
    waiter = Waiter(trial.always, lambda: max(0.0, deadline - time.monotonic()), repeat)
    return travel.after_waking(call, told.run, began.last_event, moment.snapshot.now, waiter)


def _pin(call: Call, repository: Repository, arguments: Sequence[str]) -> Pin:
    head, branch = repository.where()
    # In a shared checkout others stage and commit files of theirs: nothing to a commit that names its own.
    paths = again.only_paths(arguments)
    asked = ("diff", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev", "--no-relative", "--", *paths)
    try:
        staged = git.answer(asked, call.environment, call.cwd)
    except GitFault:
        staged = ""
    return Pin(head, branch, staged)


def _unpinned(call: Call, repository: Repository, pin: Pin, arguments: Sequence[str]) -> Report | None:
    """Why the same commit would now be another one; None if it would not."""
    now = _pin(call, repository, arguments)
    if now.branch != pin.branch:
        line = f"not committed: the branch changed from {_name(pin.branch)} to {_name(now.branch)} during the wait"
        return Report("moved", Exit.BUSY, (line,), "git status --short --branch")
    if now.head != pin.head and again.is_amend(["git", "commit", *arguments]):
        line = f"not committed: HEAD moved {pin.head[:7]} → {now.head[:7]}; your amend would rewrite another commit"
        return Report("moved", Exit.BUSY, (line,), "git log --oneline -3")
    if now.staged == pin.staged:
        return None
    taken = _taken_by(repository, pin) if not now.staged else ""
    if taken:
        return Report("taken", Exit.OK, (f"nothing to commit: your change is in {taken}",))
    line = "not committed: what is staged is no longer what you had staged"
    return Report("changed", Exit.BUSY, (line,), "git status --short")


def _taken_by(repository: Repository, pin: Pin) -> str:
    """The commit that took, with its own, everything that was staged here; empty if there is none."""
    wanted = _contents(pin.staged)
    try:
        listed = repository.git("ls-tree", "-r", "-z", "HEAD", "--", *wanted)
        there = {
            path: meta.split()[2] for meta, _, path in (row.partition("\t") for row in listed.split("\0") if row)
        }
        if any(there.get(path, "") != name for path, name in wanted.items()):
            return ""
        since = f"{pin.head}..HEAD" if pin.head else "HEAD"
        return repository.git("log", "-1", "--format=%h (%an: %s)", since, "--", *wanted)
    except GitFault:
        return ""


def _contents(raw: str) -> dict[str, str]:
    """Each path of a raw diff with the object it leads to; an empty name for a deletion."""
    fields = raw.split("\0")
    return {
        path: "" if meta.split()[4] == "D" else meta.split()[3]
        for meta, path in zip(fields[::2], fields[1::2], strict=False)
    }


def _name(branch: str) -> str:
    return branch.removeprefix("refs/heads/") or "a detached HEAD"
