"""The one loop of `hook`, `run` and `commit`: check, hand a fix on, elect, wait, and check again."""

from functools import partial

from buildguard.checks.runner import Command, Verdict
from buildguard.claims.model import Outcome
from buildguard.commands.attempt import Attempt, attempt, settled
from buildguard.commands.turn import Turn
from buildguard.session import Session
from buildguard.ui.reports import Report


def checked(session: Session, command: Command, turn: Turn) -> tuple[Report, Attempt]:
    """Run the check, and as the rules have it again, until there is an answer. Also the attempt that it is
    about."""
    report, tried = _answered(session, command, turn)
    if tried.result.verdict is Verdict.FAILED and session.environment.get("GITHUB_ACTIONS") == "true":
        from buildguard.commands.on_github import tell

        tell(session, report, tried)
    return report, tried


def _answered(session: Session, command: Command, turn: Turn) -> tuple[Report, Attempt]:
    reruns = 1
    while True:
        tried = _tried(session, command, turn)
        ended = settled(session, tried, turn.repeat)
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


def _tried(session: Session, command: Command, turn: Turn) -> Attempt:
    """One attempt, and where a failure is to be confirmed another one."""
    tried = attempt(session, command, turn.lives, turn.committed, turn.reuses, turn.patient)
    if tried.result.verdict is not Verdict.FAILED or not session.settings.confirm:
        return tried
    from buildguard.commands.confirming import confirmed

    again = partial(attempt, session, command, turn.lives, turn.committed, False, turn.patient)
    return confirmed(session, tried, again)
