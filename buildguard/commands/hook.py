"""The commit-time story: check, and let no other commit through than the one that was checked."""

from functools import cached_property
from typing import TYPE_CHECKING

from buildguard.checks.runner import Command
from buildguard.claims.guard import Guard
from buildguard.claims.model import Evidence
from buildguard.commands import attempt as trial
from buildguard.commands.attempt import Trial
from buildguard.errors import Exit
from buildguard.git import pending as situation
from buildguard.git import safety
from buildguard.git.pending import GIT_GONE, Situation
from buildguard.session import FAULTS, Call
from buildguard.ui import reports
from buildguard.ui.reports import Report

if TYPE_CHECKING:
    from buildguard.commands.refusal import Refusal

RETRY_GOOD_FOR = 600.0
"""Seconds for which a check that passed serves the repeated commit of the same tree."""


def hook(call: Call, command: Command) -> Report:
    """`buildguard hook`: the verdict on the commit in hand."""
    if call.repository is None:
        tried = trial.attempt(call, command, None)
        return trial.settled(call, tried, None) or reports.failed(None, tried.ended, "", call.voice.build, None)
    return _Story(call, command, situation.read(call.repository)).tell()


class _Story:
    """One hook from its beginning to its verdict."""

    def __init__(self, call: Call, command: Command, situation: Situation) -> None:
        self.call = call
        self.command = command
        self.situation = situation

    @cached_property
    def refusal(self) -> "Refusal":
        """What knows how to refuse; loaded only when something is to be refused."""
        from buildguard.commands.refusal import Refusal

        return Refusal(self.call, self.situation)

    def tell(self) -> Report:
        """Check, and as the rules have it again, until there is a verdict."""
        if self.situation.source is not None and self.situation.orphaned:
            return reports.interrupted(GIT_GONE, None)
        if self._passed_before():
            done = Report("passed", Exit.OK, (f"passed: {self.command.text} (just now, on this very tree)",))
            return self._unharmed(None) or done
        while True:
            tried = self._attempt()
            report = trial.settled(self.call, tried, None if tried.passed else self._repeat())
            if report is not None and report.exit == Exit.OK:
                return self._unharmed(tried) or report
            report = report or self.refusal.of_failure(tried)
            if report is not None:
                return report

    def _attempt(self) -> Trial:
        index = self.situation.source
        return trial.attempt(self.call, self.command, index, self.situation.lives, committing=index is not None)

    def _repeat(self) -> str | None:
        from buildguard.commands.refusal import repeat

        return repeat(self.call, self.situation)

    def _unharmed(self, tried: Trial | None) -> Report | None:
        """Refuse a commit that is no longer the one that was checked."""
        if self.situation.source is None:
            return None
        try:
            harm = safety.harm(self.situation.repository, self.situation.source)
        except FAULTS as error:
            self.call.voice.say(f"commit safety could not be checked: {error}")
            return None
        return None if harm is None else self.refusal.of_harm(harm, tried)

    def _passed_before(self) -> bool:
        """Whether this agent's check of this very tree has just passed and then the commit was refused."""
        index, guard = self.situation.source, self.call.guard
        if index is None or guard is None:
            return False

        def use(guard: Guard) -> bool:
            snapshot = guard.read()
            mine = [one for one in snapshot.evidence if one.agent and one.passed and one.check == self.command.text]
            if not mine:
                return False
            tree = index.tree(self.situation.repository)
            good = [kept for kept in mine if kept.agent == guard.me.id and kept.tree == tree]
            return bool(good) and _fresh(good[0], snapshot.now) and guard.use(good[0])

        return bool(self.call.coordinate(use))


def _fresh(kept: Evidence, now: float) -> bool:
    return now - kept.at <= RETRY_GOOD_FOR
