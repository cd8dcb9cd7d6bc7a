"""`buildguard commit`: `git commit` that waits outside git, where nothing is held, and then commits again."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from buildguard.agents.identity import COMMIT_VARIABLE
from buildguard.checks.runner import HANDOFF_VARIABLE, Result, Verdict
from buildguard.claims.guard import Answer, Guard, Moment
from buildguard.claims.model import Kind, Outcome
from buildguard.commands import handoff, landing
from buildguard.commands.attempt import Attempt
from buildguard.commands.election import handed_on_after_waking
from buildguard.commands.elsewhere import to_be_pushed
from buildguard.commands.handoff import Found
from buildguard.commands.pinning import branch_name, pinned, taken_by
from buildguard.commands.run import run_check
from buildguard.commands.waiting import await_turn
from buildguard.errors import Exit, GitFault, SettingsError
from buildguard.git import commandline, lock
from buildguard.git.process import run_commit
from buildguard.git.repository import Repository
from buildguard.runs import slots
from buildguard.session import BEGAN, Session, open_session, the_check
from buildguard.settings import off
from buildguard.setup.runners import found as runner_of
from buildguard.setup.runners import runs_buildguard
from buildguard.text import command
from buildguard.ui import phrases
from buildguard.ui.reports import Report

GIT_FATAL = 128


def commit(session: Session, arguments: Sequence[str], timeout: float, own: Sequence[str]) -> Report:
    """Commit, and while somebody else is fixing, wait at most `timeout` seconds and commit again. The exit status
    is the hook's where there was one, else git's own. `own` are the options of this command that a `next:` line has
    to repeat. Raises `SettingsError` for `--no-verify`."""
    repository = session.repository
    if repository is None and "not a git repository" not in str(session.fault):
        session.voice.say(f"nothing is checked before this commit: {session.fault}")
    if repository is None or commandline.only_shows(arguments):
        status = run_commit(arguments, session.environment, session.cwd, _stdout(session))
        return Report("git", status, (), None if status == 0 else session.git("status"))
    if commandline.skips_hooks(arguments):
        raise SettingsError(
            "buildguard commit runs the check: --no-verify is not for it; past the check only git commit goes",
            _again(session, commandline.with_hooks(arguments), own) or session.git("status"),
        )
    story = _Story(session, repository, arguments, own, time.monotonic() + timeout)
    try:
        return story.unguarded() or story.tell()
    except KeyboardInterrupt:
        return Report("interrupted", Exit.INTERRUPTED, ("interrupted",), story.again)


class _Story:
    """One commit, from the first try to the last."""

    def __init__(
        self,
        session: Session,
        repository: Repository,
        arguments: Sequence[str],
        own: Sequence[str],
        deadline: float,
    ) -> None:
        self.session = session
        self.repository = repository
        self.arguments = arguments
        self.deadline = deadline
        self.again = _again(session, arguments, own)
        self.pin = pinned(session, repository, arguments)
        self.began = session.coordinate(Guard.read)

    def unguarded(self) -> Report | None:
        """Where git would run no hook of ours: run the check here, and refuse on red."""
        session = self.session
        if off(session.environment) or self._guarded():
            return None
        session.voice.say(
            "git runs no buildguard hook here: checking before the commit; buildguard doctor says why"
        )
        left = max(0.0, self.deadline - time.monotonic())
        report = run_check(session, the_check(session, ()), self.again, left, reuses=True)
        if report.exit != Exit.OK:
            return report
        session.voice.say(report.lines[0])
        return self._unpinned()

    def tell(self) -> Report:
        """Commit until it is done, refused, or the time is over."""
        stdin = _kept_stdin(self.arguments)
        while True:
            head = self.repository.where()[0]
            if stdin is not None:
                os.lseek(stdin, 0, os.SEEK_SET)
            lock.await_free(self.repository, self.deadline, self.session.voice.say_once)
            status, found = self._try()
            moved = self._has_moved(head)
            # An amend in the second of its commit makes the very same commit.
            if status == 0 and (moved or commandline.is_amend(["git", "commit", *self.arguments])):
                return self._committed(found)
            if found is None and status == GIT_FATAL and lock.held(self.repository) and self._left > 0:
                continue
            if found is None or found.exit == Exit.OK:
                return self._git_failed(status)
            if found.exit != Exit.OK and found.outcome not in ("busy", "moved"):
                return Report(found.outcome, found.exit, (), self._after(found), extra=_but_next(found))
            report = self._wait(found) or self._unpinned()
            if report is not None:
                return report
            self.session.voice.say("committing again")

    def _has_moved(self, head: str) -> bool:
        """Whether HEAD is another one. Where git does not answer any more, its own status has to be believed."""
        try:
            return self.repository.where()[0] != head
        except GitFault:
            return True

    def _guarded(self) -> bool:
        """Whether git runs our hook here. Where that cannot be told, the hook itself will tell."""
        try:
            return runs_buildguard(self.repository, runner_of(self.repository.top))
        except GitFault:
            return True

    @property
    def _left(self) -> float:
        return max(0.0, self.deadline - time.monotonic())

    def _try(self) -> tuple[int, Found | None]:
        with tempfile.TemporaryDirectory(prefix="buildguard-") as folder:
            path = Path(folder) / "found"
            handoff.begin(path, self.again)
            environment = {**self.session.environment, HANDOFF_VARIABLE: str(path), COMMIT_VARIABLE: repr(BEGAN)}
            # Before git has the index lock, which would keep others from committing.
            with slots.held(self.session, lambda: self._left > 0):
                status = run_commit(self.arguments, environment, self.session.cwd, _stdout(self.session))
            return status, handoff.read(path)

    def _committed(self, found: Found | None) -> Report:
        """Git has returned, and has committed: what that means for an open breakage here."""
        session = (self._concerned(found) if found else self.session).up_to_date()
        lines: list[str] = []
        if found is None and self._guarded():
            lines.append("committed, but no buildguard hook ran: nothing was checked")
        told, unchecked = session.coordinate(lambda guard: self._landed(session, guard)) or (None, "")
        more, following = session.answers.committed(told, unchecked)
        more += landing.lost(session, told)
        extra = {**(_but_next(found) if found else {}), "outcome": "committed"}
        if told is not None:
            fixed = told.outcome is Outcome.FIXED
            extra |= {"status": told.view.state.status.value, "landed": told.outcome.value, "fixed": fixed}
        report = Report("committed", Exit.OK, (*lines, *more), following, extra=extra)
        return to_be_pushed(session, told, report) if told else report

    def _landed(self, session: Session, guard: Guard) -> tuple[Answer | None, str]:
        """What has come of this commit, and the commit itself if nobody has checked it."""
        snapshot = guard.read()
        told = landing.ask(session, snapshot)
        if self.began is not None and (told is None or told.outcome is Outcome.PASSED):
            # Somebody who waits for it has seen it first, and may have committed on top of it already.
            head, me = session.repository.head if session.repository else "", guard.me_if_known
            ends = [one for one in guard.history() if one.id > self.began.last_event and one.kind is Kind.FIXED]
            ours = [one for one in ends if one.checkout == session.checkout]
            mine = [one for one in ours if one.head == head or (me is not None and one.agent == me.id)]
            told = Answer(Outcome.FIXED, snapshot.view(mine[-1].scope), snapshot, event=mine[-1]) if mine else told
        over = told is not None and told.outcome in (Outcome.FIXED, Outcome.RECOVERED)
        return told, "" if over else landing.unchecked_commit(session, snapshot)

    def _after(self, found: Found) -> str | None:
        """The next command: the hook's own, which only JSON has to repeat; else what it left to us."""
        own = found.answer.get("next")
        return self.again if own is None else str(own) if self.session.voice.json else None

    def _wait(self, found: Found) -> Report | None:
        """Wait for our turn, holding nothing. None: it has come, and the fix is not in another checkout."""
        session = self._concerned(found)
        moment = await_turn(session, self._left, scope=found.busy)
        if moment is None or self.began is None:
            line = "coordination is unavailable; nothing was committed"
            return Report("unavailable", Exit.BUSY, (line,), self._later)
        if moment.holder is not None or self._left <= 0:
            return self._ran_out(session, moment)
        if found.outcome != "busy":
            return None
        result = Result(Verdict.FAILED, 1, "", 0.0, b"")
        tried = Attempt(the_check(session, ("true",)), result, found.run._replace(checkout=session.checkout))
        return handed_on_after_waking(session, tried._replace(snapshot=self.began), moment, self.again)

    def _ran_out(self, session: Session, moment: Moment) -> Report:
        view, now = moment.holder or moment.concerning, moment.snapshot.now
        if moment.holder is None:
            line = "busy: the time for this commit ran out, nothing was committed; nobody else holds a claim now"
        else:
            line = f"busy: the wait ran out, nothing was committed: {phrases.holder(view, now)}"
        me = session.guard.me if session.guard else None
        lines = (line, f"you are {phrases.who(me)}") if me else (line,)
        return Report("timeout", Exit.BUSY, lines, self._later, view, now, me)

    @property
    def _later(self) -> str:
        """What a waiter does next, whose commit may be beyond repeating: its message came on stdin."""
        return self.again or self.session.answers.next("wait")

    def _concerned(self, found: Found) -> Session:
        """The session with the build, scope and database of the hook that was busy: it may have options of its
        own."""
        own = self.session.settings
        theirs = {"build": (found.build, own.build), "db": (found.db, str(own.db.absolute()) if own.db else None)}
        options = {name: value for name, (value, ours) in theirs.items() if value and value != ours}
        opened = open_session(
            {**options, "json": self.session.voice.json}, self.session.environment, self.session.cwd
        )
        if opened.guard is not None:
            opened.guard.asked = found.scope
        return opened._replace(through=self.session.through)

    def _unpinned(self) -> Report | None:
        """Why the same commit would now be another one; None if it would not."""
        now, pin = pinned(self.session, self.repository, self.arguments), self.pin
        if now.branch != pin.branch:
            what = f"the branch changed from {branch_name(pin.branch)} to {branch_name(now.branch)} during the wait"
            return self._not_committed("moved", what, "status", "--short", "--branch")
        if now.head != pin.head and commandline.is_amend(["git", "commit", *self.arguments]):
            what = f"HEAD moved {pin.head[:7]} → {now.head[:7]}; your amend would rewrite another commit"
            return self._not_committed("moved", what, "log", "--oneline", "-3")
        if now.staged == pin.staged:
            return None
        taken = taken_by(self.repository, pin) if not now.staged else ""
        if taken:
            return Report("taken", Exit.OK, (f"nothing to commit: your change is in {taken}",))
        return self._not_committed(
            "changed", "what is staged is no longer what you had staged", "status", "--short"
        )

    def _not_committed(self, outcome: str, why: str, *look: str) -> Report:
        return Report(outcome, Exit.BUSY, (f"not committed: {why}",), self.session.git(*look))

    def _git_failed(self, status: int) -> Report:
        line = f"not committed: git commit ended with {status}, and says above why"
        return Report("git_failed", status or Exit.FAILED, (line,), self.session.git("status"))


def _again(session: Session, arguments: Sequence[str], own: Sequence[str]) -> str | None:
    """The command line that repeats this commit; None where it cannot be repeated faithfully."""
    if commandline.reads_stdin(arguments):
        return None
    separator = ("--",) if arguments[:1] == ("--",) else ()
    return command([*session.program, "commit", *session.aim, *own, *separator, *arguments])


def _stdout(session: Session) -> int | None:
    """Where git's words go: with `--json` our stdout holds one object and nothing else."""
    return 2 if session.voice.json else None


def _kept_stdin(arguments: Sequence[str]) -> int | None:
    """Put what comes on stdin into a file, where git is told to read it: a second try needs it too (`-F -`).
    None where git reads no stdin."""
    if not commandline.reads_stdin(arguments):
        return None
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        os.dup2(file.fileno(), 0)
    return 0


def _but_next(found: Found) -> dict[str, Any]:
    """What the hook answered, for `--json`. What comes next is ours to say."""
    return {name: value for name, value in found.answer.items() if name != "next"}
