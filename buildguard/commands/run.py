"""A check anywhere but in a commit: run it, elect a fixer if it failed, wait if asked to."""

from typing import TYPE_CHECKING

from buildguard.checks.runner import Command, nested_in
from buildguard.commands.attempt import Attempt, always, start
from buildguard.commands.loop import checked
from buildguard.commands.printed import at_the_top
from buildguard.commands.turn import Deadline, Leave
from buildguard.errors import Exit
from buildguard.session import Session
from buildguard.ui.reports import Report, bare, interrupted

if TYPE_CHECKING:
    from buildguard.commands.elsewhere import Known


def run_check(
    session: Session,
    command: Command,
    again: str | None,
    wait: float = 0.0,
    claiming: bool = True,
    later: str | None = None,
    reuses: bool = False,
) -> Report:
    """`buildguard run`: the verdict of the check, and on failure who fixes it. Waits only if `wait` (seconds) is
    more than 0. `again` is the command line that repeats this, `later` (if another) the one that waits, too.
    `reuses`: a pass of before will do."""
    return checked(session, command, _ByHand(again, later or again, wait, claiming, reuses))[0]


def bare_run(session: Session, command: Command, again: str | None) -> Report:
    """The bare verdict, of which nobody is told: buildguard is switched off."""
    result = start(session, command, {}, always, session.settings.check_timeout)
    return bare(result, command.text, again)


def nested(session: Session, command: Command, again: str | None) -> Report | None:
    """The answer where a run of ours in this repository is above: that one coordinates. A commit that the check
    itself makes passes: to check it again would have no end. None if there is no such run."""
    common_dir = str(session.repository.common_dir) if session.repository else ""
    if not nested_in(session.environment, common_dir):
        return None
    if nested_in(session.environment, common_dir, at_the_top(session, command)):
        line = f"not checked: {command.text} is running above, and made this call itself"
        return Report("nested", Exit.OK, (line,))
    return bare_run(session, command, again)


class _ByHand:
    """Somebody asks for the check itself: the edits here are the caller's, and a wait harms nobody."""

    patient = True

    def __init__(self, again: str | None, later: str | None, wait: float, claiming: bool, reuses: bool) -> None:
        self.claiming = claiming
        self.reuses = reuses
        self._again, self._later = again, later
        self._asked = wait > 0
        self._deadline = Deadline(wait)

    def lives(self) -> bool:
        return True

    def gone(self) -> Report:
        return interrupted("the caller is gone", None)

    def committed(self) -> str:
        return ""

    def leave(self, tried: Attempt) -> Leave:
        left = self._deadline.left
        return Leave(left, "the wait ran out" if self._asked and left <= 0 else "")

    def repeat(self) -> str | None:
        return self._again

    def later(self) -> str | None:
        return self._later

    def not_ours(self, tried: Attempt, known: "Known") -> Report | None:
        return None

    def fixed(self, report: Report) -> Report:
        return report

    def woken(self) -> Report | None:
        return None
