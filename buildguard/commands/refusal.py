"""A commit that may not go through as it is: its check failed, or it is no longer the commit that was checked.

Loaded only then: a passing hook pays for none of it.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

from buildguard.agents import hookrunner as frameworks
from buildguard.agents import identity as agents
from buildguard.claims.guard import Answer, Moment
from buildguard.claims.model import Outcome
from buildguard.commands import attempt as trial
from buildguard.commands import elsewhere as travel
from buildguard.commands import handoff as verdict
from buildguard.commands.attempt import Trial
from buildguard.commands.elsewhere import Waiter
from buildguard.commands.fix import fix
from buildguard.commands.run import as_of, await_turn
from buildguard.errors import Exit
from buildguard.git import commandline as again
from buildguard.git import safety
from buildguard.git.pending import GIT_GONE, Situation
from buildguard.session import Call
from buildguard.ui import phrases as words
from buildguard.ui import reports
from buildguard.ui.reports import Report

SHELL_MARGIN = 10.0
"""Seconds that a coding agent's shell is left with after a wait."""


class Leave(NamedTuple):
    """How long (seconds) a hook may wait, or why it may not."""

    seconds: float
    refusal: str = ""


def may_wait(
    *,
    locked: bool,
    stash: str,
    lives: bool,
    wait: float,
    shell: agents.ShellLimit | None,
    spent: float,
    check: float,
) -> Leave:
    """Whether a hook may wait, and how long: only where waiting harms nobody. `stash` names the framework that
    hides unstaged edits just now; `spent` are the seconds since the hook began, `check` what the check takes."""
    if not lives:
        return Leave(0.0, GIT_GONE)
    if locked:
        return Leave(
            0.0, "this commit holds the index lock: waiting here would keep others from committing in this checkout"
        )
    if stash:
        return Leave(0.0, f"{stash} hides unstaged edits while hooks run: waiting here would hide the fixer's")
    if wait <= 0:
        return Leave(0.0, "waiting in the hook is off")
    if shell is None:
        return Leave(wait)
    left = shell.seconds - spent - check - SHELL_MARGIN
    if left <= 0:
        limit = words.span(shell.seconds)
        return Leave(0.0, f"{shell.agent} stops a command after {limit}: no time is left to wait")
    return Leave(min(wait, left))


def repeat(call: Call, situation: Situation) -> str | None:
    """The command that commits again; left to `buildguard commit` where that stands above."""
    return None if verdict.asked_for(call.environment) else again.by_commit(situation.argv)


class Refusal:
    """What becomes of one commit whose check failed, or that was changed under its check."""

    def __init__(self, call: Call, situation: Situation) -> None:
        self.call = call
        self.situation = situation
        self._reruns = 1
        self._woken = False
        self._wait_ends: float | None = None

    def of_failure(self, tried: Trial) -> Report | None:
        """Elect, fix or wait, as the rules have it. None: run the check again."""
        if not self.situation.lives():
            return reports.interrupted(GIT_GONE, None)
        found = travel.elsewhere(self.call, tried.run, self.situation.source, self._waiter(tried))
        if isinstance(found, Report):
            return found
        if not self.situation.lives():
            # Looking for a fix elsewhere may have taken seconds.
            return reports.interrupted(GIT_GONE, None)
        answer = trial.elect(self.call, found)
        if answer is not None and answer.outcome is Outcome.OUTDATED and self._reruns:
            self._reruns -= 1
            self.call.voice.say("the build was fixed while this check ran: running it again")
            return None
        if answer is None or answer.outcome is not Outcome.BUSY:
            return self._ours(tried, answer)
        return self._await_fix(tried, answer)

    def of_harm(self, harm: safety.Harm, tried: Trial | None) -> Report:
        """Why another commit would be made than the one that was checked. `tried` is the check that passed."""
        if isinstance(harm, safety.Moved):
            return self._moved(harm)
        if isinstance(harm, safety.Gone):
            line = f"refused: {harm.path} was deleted while the check ran; git would commit a tree without files"
            return Report("refused", Exit.FAILED, (line,), self._repeat())
        return self._changed(harm, tried)

    def _repeat(self) -> str | None:
        return repeat(self.call, self.situation)

    def _ours(self, tried: Trial, answer: Answer | None) -> Report:
        """The failure is this caller's, or nobody can say whose it is."""
        if answer is not None and answer.outcome in reports.WON and self.call.settings.fix is not None:
            leave = self._leave(1.0, tried)
            if not leave.refusal:
                return self._fix(tried, answer)
            self.call.voice.say(f"the fix command is not started: {leave.refusal}")
        return reports.failed(answer, tried.ended, self.call.checkout, self.call.voice.build, self._repeat())

    def _fix(self, tried: Trial, answer: Answer) -> Report:
        report = fix(self.call, tried, answer, self._repeat(), self.situation.lives)
        if report.exit != Exit.OK:
            return report
        # What the fix command changed was not staged by whoever commits: it never slips in unseen.
        lines = (*report.lines, "fixed: stage it and commit again")
        return report._replace(exit=Exit.FAILED, lines=lines, next="git status --short")

    def _leave(self, wait: float, tried: Trial) -> Leave:
        situation = self.situation
        stash = frameworks.stash(self.call.environment, situation.repository.git_dir)
        return may_wait(
            locked=situation.source is not None and situation.source.locked,
            stash=stash.framework if stash else "",
            lives=situation.lives(),
            wait=wait,
            shell=agents.shell_limit(self.call.environment),
            spent=time.monotonic() - situation.began,
            check=tried.result.seconds,
        )

    def _waiter(self, tried: Trial) -> Waiter:
        """This hook, as it may wait for a commit of another checkout. `buildguard commit` waits outside git."""

        def patience() -> float:
            outside = verdict.asked_for(self.call.environment)
            return 0.0 if outside else self._leave(self._wait_left(), tried).seconds

        return Waiter(self.situation.lives, patience, self._repeat())

    def _wait_left(self) -> float:
        """Seconds that are left of the one wait that a hook may take, however often it is woken."""
        if self._wait_ends is None:
            self._wait_ends = time.monotonic() + self.call.settings.wait
        return max(0.0, self._wait_ends - time.monotonic())

    def _await_fix(self, tried: Trial, answer: Answer) -> Report | None:
        """Wait for the fixer where that harms nobody. None: free, so check again."""
        if verdict.asked_for(self.call.environment):
            return self._busy(tried.ended, answer, ())._replace(run=tried.run)
        if self._woken and self._wait_left() <= 0:
            ran_out = f"the wait of {words.span(self.call.settings.wait)} ran out"
            return self._busy(tried.ended, answer, (ran_out,))
        leave = self._leave(self._wait_left(), tried)
        if leave.refusal:
            return self._busy(tried.ended, answer, (f"not waiting in the hook: {leave.refusal}",))
        for line in (tried.ended, *words.reason(answer), *words.superseded(answer.view.state, answer.agent)):
            self.call.voice.say(line)
        busy = answer.view.state.scope
        self._woken = True
        moment = await_turn(self.call, leave.seconds, self.situation.lives, busy)
        if not self.situation.lives():
            return reports.interrupted(GIT_GONE, None)
        if moment is None:
            return reports.failed(None, tried.ended, self.call.checkout, self.call.voice.build, self._repeat())
        if moment.holder is not None:
            return self._busy("", as_of(moment, answer), (f"the wait of {words.span(leave.seconds)} ran out",))
        return self._after_waking(tried, moment, answer)

    def _busy(self, ended: str, answer: Answer, why: Sequence[str]) -> Report:
        return reports.busy(answer, ended, self.call.checkout, self.call.voice.build, why, self._repeat())

    def _after_waking(self, tried: Trial, moment: Moment, answer: Answer) -> Report | None:
        """If the fixer's own commit moved HEAD, git would refuse this one anyway."""
        since, now = answer.snapshot.last_event, moment.snapshot.now
        report = travel.after_waking(self.call, tried.run, since, now, self._waiter(tried))
        moved = self.call.coordinate(lambda _: safety.head_moved(self.situation.repository))
        return report if moved is None or report is not None else self._moved(moved)

    def _moved(self, moved: safety.Moved) -> Report:
        line = f"refused: HEAD moved {moved.before} → {moved.after} while this commit was checked"
        if again.is_amend(self.situation.argv):
            lines = (line, "your amend would now rewrite another commit: look at it first")
            return Report("moved", Exit.BUSY, lines, "git log --oneline -3")
        return Report("moved", Exit.BUSY, (line, "commit again"), self._repeat())

    def _changed(self, harm: safety.Changed, tried: Trial | None) -> Report:
        # After a wait the check saw what others have staged since: it proves nothing of the tree of the start.
        if tried is not None and harm.tree and not self._woken:
            self.call.coordinate(lambda guard: guard.remember(tried.command.text, harm.tree, True))
        lines = (
            f"refused: what was staged changed while the check ran: {words.some(harm.foreign) or 'all of it'}",
            "commit just what you had staged; the check need not run again for that",
        )
        return Report("changed", Exit.FAILED, lines, again.only(self.situation.argv, harm.staged))
