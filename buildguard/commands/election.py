"""What becomes of a failure: a fix is handed on, a fixer is elected, the others wait."""

from buildguard.claims.guard import Answer, Moment
from buildguard.claims.model import Kind, Outcome
from buildguard.commands import elsewhere, landing
from buildguard.commands.attempt import Attempt
from buildguard.commands.elsewhere import Known
from buildguard.commands.fix import try_fix
from buildguard.commands.turn import Turn
from buildguard.commands.waiting import ancestor_holding, await_turn
from buildguard.session import Session
from buildguard.text import span
from buildguard.ui.answers import WON
from buildguard.ui.phrases import CLAIMS, superseded
from buildguard.ui.reports import Report


def elected(session: Session, tried: Attempt, turn: Turn) -> Report | Answer | None:
    """What becomes of a failure: handed on, nobody's here, or put to the vote. None: coordination is
    unavailable."""
    if not turn.lives():
        return turn.gone()
    if tried.snapshot is None:
        return None
    snapshot = tried.snapshot
    if not tried.run.good:
        # Of what is known to fail only here nobody elsewhere has to know.
        session.coordinate(lambda guard: guard.read(fresh=True))
    landing.look_round(session, tried.known)
    history = session.coordinate(lambda guard: guard.history())
    known = Known(history or (), snapshot.now + tried.result.seconds)
    report = session.coordinate(lambda _: turn.not_ours(tried, known))
    if report is not None:
        return report
    found = session.coordinate(lambda _: elsewhere.handed_on(session, tried.run, known)) or tried.run
    if isinstance(found, Report):
        return _going_on(found, turn.repeat())
    # To look for a fix may have taken seconds.
    if not turn.lives():
        return turn.gone()
    answer = session.coordinate(lambda guard: guard.failed(found, turn.claiming, known.events))
    if answer is not None and answer.outcome in (Outcome.BUSY, Outcome.CLAIMED):
        # A new claim is news enough, unless an engine has lost the old one.
        ends = [
            one for one in known.events if answer.outcome is Outcome.BUSY or one.kind in (*CLAIMS, Kind.EVICTED)
        ]
        for line in superseded(ends, answer.agent):
            session.voice.say_once(line)
    return answer


def ours(session: Session, tried: Attempt, answer: Answer | None, turn: Turn) -> Report:
    """The failure is this caller's, or nobody can say whose it is."""
    if answer is not None and answer.outcome in WON and session.settings.fix is not None:
        leave = turn.leave(tried)
        if not leave.refusal:
            return turn.fixed(try_fix(session, tried, answer, turn.repeat(), turn.lives))
        session.voice.say(f"the fix command is not started: {leave.refusal}")
    return session.answers.failed(answer, tried.ended, turn.repeat())


def wait(session: Session, tried: Attempt, answer: Answer, turn: Turn) -> Report | None:
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
    return handed_on_after_waking(session, tried, moment, turn.repeat()) or turn.woken()


def handed_on_after_waking(session: Session, tried: Attempt, moment: Moment, again: str | None) -> Report | None:
    """Where the fix is if it is not in this tree: to check again would only show that. `again` is the command that
    goes on once it is."""
    history = session.coordinate(lambda guard: guard.history())
    for event in history or ():
        if tried.snapshot is not None and event.id > tried.snapshot.last_event:
            session.voice.say(session.answers.history_line(event, moment.snapshot.now))
    present = session.up_to_date()
    head = present.repository.head if present.repository else ""
    run = tried.run if head == tried.run.head else tried.run._replace(head=head, files="")
    known = Known(history or (), moment.snapshot.now)
    found = session.coordinate(lambda _: elsewhere.handed_on(present, run, known))
    return _going_on(found, again) if isinstance(found, Report) else None


def _going_on(report: Report, again: str | None) -> Report:
    """The same, whose next command goes on with what the caller wanted once the fix is in its tree."""
    return report._replace(next=f"{report.next} && {again}") if report.next and again else report


def _as_of(moment: Moment, answer: Answer) -> Answer:
    """The answer `busy` as it stands at the end of a wait: spans in it are measured from then."""
    if moment.holder is None:
        return answer
    return answer._replace(view=moment.holder, snapshot=moment.snapshot, why="")
