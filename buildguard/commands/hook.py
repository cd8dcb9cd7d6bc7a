"""The commit-time story: check, and let no other commit through than the one that was checked."""

import os
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from buildguard.agents.hookrunner import hiding
from buildguard.agents.identity import shell_limit, time_left
from buildguard.checks.runner import Command
from buildguard.claims import scope
from buildguard.claims.guard import SKEW
from buildguard.commands import handoff
from buildguard.commands.attempt import Attempt
from buildguard.commands.loop import checked
from buildguard.commands.run import nested, run_check
from buildguard.commands.turn import Deadline, Leave
from buildguard.errors import Exit, GitFault
from buildguard.git import files, pending, safety
from buildguard.git.files import Files
from buildguard.git.pending import GIT_GONE, Pending
from buildguard.git.repository import Repository
from buildguard.session import Session, aiming, here, open_session, the_check
from buildguard.settings import off
from buildguard.text import some, span
from buildguard.ui.reports import Report, interrupted
from buildguard.ui.voice import Voice

if TYPE_CHECKING:
    from buildguard.commands.elsewhere import Known

UNTOUCHED = 300.0
"""Seconds after which an uncommitted edit no longer counts as somebody's work in progress."""


def commit_hook(options: Mapping[str, Any], given: Sequence[str]) -> int:
    """What the git hook calls; the exit status."""
    reason = off(os.environ)
    if reason is not None:
        Voice("default", False, os.environ, hook=True).say(f"off ({reason}): the check was not run")
        return Exit.OK
    session = open_session(options, os.environ, here(), hook=True)
    check = the_check(session, given)
    report = nested(session, check, None) or _hook(session, check)
    if handoff.asked_for(session.environment):
        handoff.write(session.environment, _found(session, report))
    session.voice.answer(report)
    return report.exit


def _hook(session: Session, command: Command) -> Report:
    """The verdict on the commit in hand."""
    repository = session.repository
    if repository is None:
        return run_check(session, command, None)
    turn = _Commit(session, repository, pending.read(repository))
    if turn.pending.vanished:
        return turn.vanished()
    if turn.pending.index is not None and turn.pending.orphaned:
        return turn.gone()
    try:
        report, _ = checked(session, command, turn)
    except KeyboardInterrupt:
        return Report("interrupted", Exit.INTERRUPTED, ("interrupted",), turn.repeat())
    return turn.unharmed() or report if report.exit == Exit.OK else report


class _Commit:
    """A commit waits for our verdict: what it holds must not change, and a wait must harm nobody."""

    claiming = True
    reuses = True

    def __init__(self, session: Session, repository: Repository, commit: Pending) -> None:
        self.pending = commit
        self._session = session
        self._repository = repository
        self._deadline = Deadline(session.settings.wait)
        self._waited = False

    @property
    def patient(self) -> bool:
        """False while this commit keeps others from committing."""
        return not (self.pending.index is not None and self.pending.index.locked)

    def lives(self) -> bool:
        return self.pending.lives()

    def gone(self) -> Report:
        return interrupted(GIT_GONE, None)

    def committed(self) -> str:
        index = self.pending.index
        return index.tree(self._repository) if index else ""

    def repeat(self) -> str | None:
        """The command that commits again; the check itself where the commit cannot be repeated faithfully."""
        return self._again or "buildguard run" + self._aim()

    def later(self) -> str | None:
        """The same for a waiter; left to `buildguard commit` where that stands above, for it waits itself."""
        if handoff.asked_for(self._session.environment):
            return None
        return self._again or "buildguard wait" + self._aim()

    def leave(self, tried: Attempt) -> Leave:
        """How long the hook may wait: only where waiting harms nobody. `buildguard commit` waits outside git."""
        session, index = self._session, self.pending.index
        if handoff.asked_for(session.environment):
            return Leave(0.0)
        hides = hiding(session.environment, self._repository.git_dir)
        left = time_left(session.environment, time.monotonic() - self.pending.began + tried.result.seconds)
        if index is not None and index.locked:
            why = (
                "this commit holds the index lock: waiting here would keep others from committing in this checkout"
            )
        elif hides is not None:
            why = f"{hides} hides unstaged edits while hooks run: waiting here would hide the fixer's"
        elif session.settings.wait <= 0:
            why = "waiting in the hook is off"
        elif self._waited and self._deadline.left <= 0:
            why = f"the wait of {span(session.settings.wait)} ran out"
        elif left is not None and left <= 0:
            limit = shell_limit(session.environment)
            why = f"{limit.agent if limit else 'the shell'} soon stops this command: no time is left to wait"
        else:
            self._waited = True
            # Ctrl-C ends git before us, and nobody could read any more how it was called.
            self.repeat()
            why, left = "", self._deadline.left if left is None else min(left, self._deadline.left)
        return Leave(0.0, f"not waiting in the hook: {why}") if why else Leave(left or 0.0)

    def not_ours(self, tried: Attempt, known: "Known") -> Report | None:
        """Somebody's uncommitted edit fails a commit that has nothing to do with it: nobody is sent to mend it."""
        seen, snapshot = tried.files, tried.snapshot
        if self.pending.index is None or seen is None or snapshot is None or not tried.run.good:
            return None
        claimed = [view for view in snapshot.views() if view.state.had_in(self._session.checkout)]
        if any(view.state.claim is not None and view.stale is None for view in claimed):
            return None
        since = self._since_pass(tried)
        suspects = scope.in_progress(seen.staged, seen.loose, tried.run.failures, since)
        if not suspects:
            return None
        age = min(_age(self._repository, path, seen) for path in suspects)
        if age >= UNTOUCHED:
            self._session.voice.say(f"{some(suspects)} may be somebody's work in progress: ask, do not revert")
            return None
        edited = f"{some(suspects)} {'are' if len(suspects) > 1 else 'is'} being edited here ({span(age)} ago)"
        line = f"not your commit: {edited}, and HEAD passes"
        advice = "it may be somebody's work in progress: leave it alone, and commit again later"
        return Report("not_your_commit", Exit.BUSY, (tried.ended, line, advice), self.later())

    def fixed(self, report: Report) -> Report:
        """What the fix command changed was not staged by whoever commits: it never slips in unseen."""
        if report.exit != Exit.OK:
            return report
        lines = (*report.lines, "it passes here: stage what was changed, and commit again")
        return report._replace(exit=Exit.FAILED, lines=lines, next="git status --short")

    def woken(self) -> Report | None:
        """If the fixer's own commit moved HEAD, git would refuse this one anyway."""
        moved = self._session.coordinate(lambda _: safety.head_moved(self._repository))
        return self._moved(moved) if moved is not None else None

    def vanished(self) -> Report:
        """The index that git commits from was gone before we could look at it."""
        line = "refused: the index of this commit was deleted; git would commit a tree without files"
        return Report("refused", Exit.FAILED, (line,), self.repeat())

    def unharmed(self) -> Report | None:
        """Refuse a commit that is no longer the one that was checked."""
        if self.pending.index is None:
            return None
        try:
            harm = safety.harm(self._repository, self.pending.index)
        except GitFault as error:
            self._session.voice.say(f"commit safety could not be checked: {error}")
            return None
        if harm is None:
            return None
        if isinstance(harm, safety.Moved):
            return self._moved(harm)
        if isinstance(harm, safety.Changed):
            return self._changed(harm)
        return self.vanished()

    def _since_pass(self, tried: Attempt) -> tuple[str, ...]:
        """The paths that differ from the files of the last pass in this checkout; none if that is not known."""
        proofs = tried.snapshot.proofs if tried.snapshot else ()
        here = (tried.run.check, self._session.checkout)
        mine = [one for one in proofs if one.passed and (one.check, one.checkout) == here]
        if not mine or not tried.run.files:
            return ()
        changed = files.changed(self._repository, mine[-1].files, tried.run.files)
        return tuple(one.path for one in changed or ())

    @cached_property
    def _again(self) -> str | None:
        """How the commit is repeated. Options that stand in the hook itself are not repeated: other hooks of the
        same commit may be about another build."""
        session = self._session
        if handoff.asked_for(session.environment):
            return handoff.again(session.environment)
        from buildguard.git.commandline import by_commit

        aim = aiming({"agent": session.agent_option}, session.environment, session.settings.db)
        return by_commit(self.pending.argv, aim)

    def _aim(self) -> str:
        return self._session.answers.options

    def _moved(self, harm: safety.Moved) -> Report:
        line = f"refused: HEAD moved {harm.before} → {harm.after} while this commit was checked"
        from buildguard.git.commandline import is_amend

        if is_amend(self.pending.argv):
            lines = (line, "your amend would now rewrite another commit: look at it first")
            return Report("moved", Exit.BUSY, lines, "git log --oneline -3")
        return Report("moved", Exit.BUSY, (line, "commit again"), self.later())

    def _changed(self, harm: safety.Changed) -> Report:
        lines = (
            f"refused: what was staged changed while the check ran: {some(harm.foreign) or 'all of it'}",
            "commit just what you had staged",
        )
        from buildguard.git.commandline import only

        return Report("changed", Exit.FAILED, lines, only(self.pending.argv, harm.staged))


def _age(repository: Repository, path: str, seen: Files) -> float:
    """Seconds since that path was edited; `UNTOUCHED` where its time lies in the future, and so tells nothing. A
    deleted file leaves only the time of its folder."""
    touched = seen.marks[path][0] / 1e9 if path in seen.marks else 0.0
    if not touched and repository.top:
        touched = next(folder.stat().st_mtime for folder in (repository.top / path).parents if folder.exists())
    age = time.time() - touched
    return max(0.0, age) if age > -SKEW else UNTOUCHED


def _found(session: Session, report: Report) -> handoff.Found:
    """What `buildguard commit` above us has to know."""
    failed = report.run
    told = handoff.Found(report.exit, report.outcome, session.settings.build)
    told = told._replace(
        scope=session.guard.asked if session.guard else None,
        db=str(session.settings.db.absolute()) if session.settings.db else None,
        busy=report.view.state.scope if report.outcome == "busy" and report.view else None,
        answer=session.voice.facts(report),
    )
    if failed is None:
        return told
    return told._replace(check=failed.check, head=failed.head, good=failed.good, failures=failed.failures)
