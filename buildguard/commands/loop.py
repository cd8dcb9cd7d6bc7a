"""The one loop of `hook`, `run` and `commit`: check, hand a fix on, elect, wait, and check again."""

import time
from typing import NamedTuple, Protocol

from buildguard.checks.runner import Command, Verdict
from buildguard.claims.guard import Answer, Moment
from buildguard.claims.model import Outcome
from buildguard.commands import elsewhere, landing
from buildguard.commands.attempt import Attempt, attempt, settled
from buildguard.commands.elsewhere import Known
from buildguard.commands.fix import fix
from buildguard.commands.waiting import ancestor_holding, await_turn
from buildguard.session import Session
from buildguard.text import span
from buildguard.ui.reports import WON, Report


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

    def not_ours(self, tried: Attempt, known: Known) -> Report | None:
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
        # To read how a commit is repeated costs a look at git's process: nothing for a pass.
        ended = settled(session, tried, None if tried.result.verdict is Verdict.PASSED else turn.repeat())
        if ended is not None:
            return ended[0], tried
        answer = _elected(session, tried, turn)
        if isinstance(answer, Report):
            return answer, tried
        if answer is not None and answer.outcome is Outcome.OUTDATED and reruns:
            reruns -= 1
            session.voice.say("the build was fixed while this check ran: running it again")
        elif answer is None or answer.outcome is not Outcome.BUSY:
            return _ours(session, tried, answer, turn), tried
        else:
            report = _wait(session, tried, answer, turn)
            if report is not None:
                return report, tried
        session = session.up_to_date()


def _elected(session: Session, tried: Attempt, turn: Turn) -> Report | Answer | None:
    """What becomes of a failure: handed on, nobody's here, or put to the vote. None: coordination is
    unavailable."""
    if not turn.lives():
        return turn.gone()
    if tried.snapshot is None:
        return None
    landing.look_round(session, tried)
    history = session.coordinate(lambda guard: guard.history())
    known = Known(history or (), tried.snapshot.now + tried.result.seconds)
    report = turn.not_ours(tried, known)
    if report is not None:
        return report
    found = session.coordinate(lambda _: elsewhere.handed_on(session, tried.run, known)) or tried.run
    if isinstance(found, Report):
        return found
    # To look for a fix may have taken seconds.
    if not turn.lives():
        return turn.gone()
    return session.coordinate(lambda guard: guard.failed(found, turn.claiming, known.events))


def _ours(session: Session, tried: Attempt, answer: Answer | None, turn: Turn) -> Report:
    """The failure is this caller's, or nobody can say whose it is."""
    if answer is not None and answer.outcome in WON and session.settings.fix is not None:
        leave = turn.leave(tried)
        if not leave.refusal:
            return turn.fixed(fix(session, tried, answer, turn.repeat(), turn.lives))
        session.voice.say(f"the fix command is not started: {leave.refusal}")
    return session.answers.failed(answer, tried.ended, turn.repeat())


def _wait(session: Session, tried: Attempt, answer: Answer, turn: Turn) -> Report | None:
    """Wait for the fixer where that harms nobody. None: free, so check again."""
    ancestor = ancestor_holding(answer.view)
    if ancestor is not None:
        return session.answers.held_above(answer, tried.ended, ancestor, turn.repeat())
    leave = turn.leave(tried)
    if leave.refusal or leave.seconds <= 0:
        report = session.answers.busy(answer, tried.ended, filter(None, [leave.refusal]), turn.later())
        return report._replace(run=tried.run)
    for line in session.answers.while_busy(answer, tried.ended):
        session.voice.say(line)
    moment = await_turn(session, leave.seconds, turn.lives, answer.view.state.scope)
    if not turn.lives():
        return turn.gone()
    if moment is None:
        return session.answers.failed(None, tried.ended, turn.repeat())
    if moment.holder is not None:
        ran_out = f"the wait of {span(leave.seconds)} ran out"
        return session.answers.busy(_as_of(moment, answer), "", [ran_out], turn.later())
    return handed_on_after_waking(session, tried, moment) or turn.woken()


def handed_on_after_waking(session: Session, tried: Attempt, moment: Moment) -> Report | None:
    """Where the fix is if it is not in this tree: to check again would only show that."""
    history = session.coordinate(lambda guard: guard.history())
    for event in history or ():
        if tried.snapshot is not None and event.id > tried.snapshot.last_event:
            session.voice.say(session.answers.history_line(event, moment.snapshot.now))
    present = session.up_to_date()
    head = present.repository.head if present.repository else ""
    run = tried.run if head == tried.run.head else tried.run._replace(head=head, files="")
    known = Known(history or (), moment.snapshot.now)
    found = session.coordinate(lambda _: elsewhere.handed_on(present, run, known))
    return found if isinstance(found, Report) else None


def _as_of(moment: Moment, answer: Answer) -> Answer:
    """The answer `busy` as it stands at the end of a wait: spans in it are measured from then."""
    if moment.holder is None:
        return answer
    return answer._replace(view=moment.holder, snapshot=moment.snapshot, why="")


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
