"""`--fix`: the fixer's work as a command. It runs as the fixer, then the check says whether it helped."""

import os
from collections.abc import Callable
from pathlib import Path

from buildguard.checks.runner import Command, Result, Verdict
from buildguard.claims.guard import Answer
from buildguard.commands import attempt as trial
from buildguard.commands.attempt import Trial
from buildguard.errors import Exit
from buildguard.git import index as gitindex
from buildguard.session import Call
from buildguard.ui import phrases as words
from buildguard.ui.reports import Report


def fix(
    call: Call, failed: Trial, won: Answer, again: str | None, lives: Callable[[], bool] = trial.always
) -> Report:
    """Start the fix command after a won claim, and check again. Passed: fixed. Anything else: given up. Both end
    when the caller no longer `lives`."""
    if won.agent is None or call.settings.fix is None:
        raise ValueError("a fix needs a won claim and a command")
    for line in words.election(won, call.checkout, call.voice.build):
        call.voice.say(line)
    call.voice.say(f"fixing with: {call.settings.fix.text}")
    ended = _run(call, call.settings.fix, failed.result.output, won.agent.id, lives)
    if ended.verdict in (Verdict.INTERRUPTED, Verdict.INCONCLUSIVE):
        code = Exit.INTERRUPTED if ended.verdict is Verdict.INTERRUPTED else Exit.FAILED
        return _give_up(call, f"the fix command could not run ({ended.why})", code, again)
    second = trial.attempt(
        call, failed.command, gitindex.current(call.repository) if call.repository else None, lives
    )
    report = trial.settled(call, second, again)
    if report is not None and report.exit == Exit.OK:
        return report
    if report is not None:
        return _give_up(call, f"the check could not run after the fix ({second.result.why})", report.exit, again)
    return _give_up(call, f"{failed.command.text} still fails after the fix command", Exit.FAILED, again)


def _run(call: Call, command: Command, output: bytes, agent: str, lives: Callable[[], bool]) -> Result:
    """Run the fix command as the fixer itself; the failing output is in the file that BUILDGUARD_LOG names."""
    import tempfile

    descriptor, name = tempfile.mkstemp(prefix="buildguard-", suffix=".log")
    try:
        with os.fdopen(descriptor, "wb") as log:
            log.write(output)
        variables = {"BUILDGUARD_AGENT": agent, "BUILDGUARD_LOG": name}
        return trial.start(call, command, variables, lives, None)
    finally:
        Path(name).unlink(missing_ok=True)


def _give_up(call: Call, reason: str, code: int, again: str | None) -> Report:
    answer = call.coordinate(lambda guard: guard.release(None, True, reason))
    line = f"gave up: {reason}; anybody may claim it now"
    if answer is None:
        return Report("gave_up", code, (line,), again)
    silence = answer.snapshot.silences.get(answer.view.state.scope)
    return Report("gave_up", code, (line,), again, answer.view, silence, answer.agent)
