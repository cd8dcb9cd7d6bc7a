"""`--fix`: the fixer's work as a command. It runs as the fixer, then the check says whether it helped."""

import os
from collections.abc import Callable
from pathlib import Path

from buildguard.checks.runner import Command, Result, Verdict
from buildguard.claims.guard import Answer
from buildguard.commands.attempt import Attempt, always, attempt, settled, start
from buildguard.errors import Exit
from buildguard.session import Session
from buildguard.ui.reports import Report


def try_fix(
    session: Session, failed: Attempt, won: Answer, again: str | None, lives: Callable[[], bool] = always
) -> Report:
    """Start the fix command after a won claim, and check again. What passes then is the fix, once it is committed.
    Anything else: given up. Both end when the caller no longer `lives`."""
    if won.agent is None or session.settings.fix is None:
        raise ValueError("a fix needs a won claim and a command")
    for line in session.answers.election(won):
        session.voice.say(line)
    session.voice.say(f"fixing with: {session.settings.fix.text}")
    ended = _run(session, session.settings.fix, failed.result.output, won.agent.id, lives)
    if ended.verdict in (Verdict.INTERRUPTED, Verdict.INCONCLUSIVE):
        code = Exit.INTERRUPTED if ended.verdict is Verdict.INTERRUPTED else Exit.FAILED
        return _give_up(session, f"the fix command could not run ({ended.why})", code, again)
    second = attempt(session, failed.command, lives)
    told = settled(session, second, lambda: again)
    if told is None:
        return _give_up(session, f"{failed.command.text} still fails after the fix command", Exit.FAILED, again)
    report, _ = told
    if report.exit != Exit.OK:
        why = f"the check could not run after the fix ({second.result.why})"
        return _give_up(session, why, report.exit, again)
    return report


def _run(session: Session, command: Command, output: bytes, agent: str, lives: Callable[[], bool]) -> Result:
    """Run the fix command as the fixer itself; the failing output is in the file that BUILDGUARD_LOG names."""
    import tempfile

    descriptor, name = tempfile.mkstemp(prefix="buildguard-", suffix=".log")
    try:
        with os.fdopen(descriptor, "wb") as log:
            log.write(output)
        variables = {"BUILDGUARD_AGENT": agent, "BUILDGUARD_LOG": name}
        return start(session, command, variables, lives, None)
    finally:
        Path(name).unlink(missing_ok=True)


def _give_up(session: Session, reason: str, code: int, again: str | None) -> Report:
    answer = session.coordinate(lambda guard: guard.release(None, True, reason))
    return session.answers.gave_up_fixing(answer, reason, code, again)
