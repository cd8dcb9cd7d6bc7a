"""The one loop of `hook`, `run` and `commit`: check, hand a fix on, elect, wait, and check again."""

import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from buildguard.checks.runner import Command
from buildguard.claims.model import Outcome
from buildguard.commands.attempt import Attempt, attempt, settled
from buildguard.session import Session
from buildguard.ui.reports import Report

if TYPE_CHECKING:
    from buildguard.commands.elsewhere import Known


class Leave(NamedTuple):
    """How long (seconds) somebody may wait, or why not."""

    seconds: float
    refusal: str = ""


class Turn(Protocol):
    """How one caller takes part: what it may do while others fix, and how it is repeated."""

    claiming: bool
    """Whether a failure claims."""

    def lives(self) -> bool:
        """Whether anybody still waits for our answer."""

    def gone(self) -> Report:
        """What is said when nobody does."""

    def committed(self) -> str:
        """The tree of the commit that follows a pass; empty if none does."""

    def leave(self, tried: Attempt) -> Leave:
        """How long it may wait now."""

    def repeat(self) -> str | None:
        """The command that does this again, for whoever has to fix something first."""

    def later(self) -> str | None:
        """The command that does this again, for whoever has to wait first."""

    def not_ours(self, tried: Attempt, known: "Known") -> Report | None:
        """Why this failure elects nobody, if it is not of this caller's making."""

    def fixed(self, report: Report) -> Report:
        """What is said when the fix command helped."""

    def woken(self) -> Report | None:
        """What keeps it from going on after a wait."""


def checked(session: Session, command: Command, turn: Turn) -> tuple[Report, Attempt]:
    """Run the check, and as the rules have it again, until there is an answer. Also the attempt that it is
    about."""
    reruns = 1
    while True:
        tried = attempt(session, command, turn.lives, turn.committed)
        ended = settled(session, tried, turn.repeat())
        if ended is not None:
            return ended[0], tried
        # Loaded only here: a passing hook pays for none of it.
        from buildguard.commands.election import elected, ours, wait

        answer = elected(session, tried, turn)
        if isinstance(answer, Report):
            return answer, tried
        if answer is not None and answer.outcome is Outcome.OUTDATED and reruns:
            reruns -= 1
            session.voice.say("the build was fixed while this check ran: running it again")
        elif answer is None or answer.outcome is not Outcome.BUSY:
            return ours(session, tried, answer, turn), tried
        else:
            report = wait(session, tried, answer, turn)
            if report is not None:
                return report, tried
        session = session.up_to_date()


class Deadline:
    """The end of the one wait that a caller may take, however often it is woken; it begins when it is first
    asked."""

    def __init__(self, wait: float) -> None:
        self._wait = wait
        self._ends: float | None = None

    @property
    def left(self) -> float:
        """Seconds that are left of it."""
        if self._ends is None:
            self._ends = time.monotonic() + self._wait
        return max(0.0, self._ends - time.monotonic())
