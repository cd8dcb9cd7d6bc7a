"""A failure is run once more before it elects, where the settings ask for that: what passes then is flaky."""

from collections.abc import Callable

from buildguard.checks.runner import Verdict
from buildguard.commands.attempt import Attempt
from buildguard.session import Session


def confirmed(session: Session, first: Attempt, again: Callable[[], Attempt]) -> Attempt:
    """What a failure and one more run show together: the second's verdict, unless that is none. Where somebody
    already fixes what this checkout has, nothing runs: that one is waited for, whatever a second run would show."""
    views = first.snapshot.views() if first.snapshot else []
    if any(view.state.claim and view.stale is None and view.state.had_in(session.checkout) for view in views):
        return first
    session.voice.say(f"{first.ended}; confirm is set: running it once more")
    second = again()
    if second.result.verdict is Verdict.INCONCLUSIVE:
        session.voice.say(f"the second run showed nothing: {second.result.why}")
        return first
    if second.result.verdict is Verdict.PASSED:
        same = first.run.files and first.run.files == second.run.files
        session.voice.say(f"flaky: it failed, and passed {'on the very same files' if same else 'a moment later'}")
    return second._replace(run=second.run._replace(earlier=first.run.proof))
