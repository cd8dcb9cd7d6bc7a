"""`status --watch`: looks at the store until somebody types `q`, and shows what has changed."""

import signal
import sys

from buildguard.claims.model import Snapshot
from buildguard.commands.looking import head_of, status
from buildguard.git.heads import head_and_branch
from buildguard.runs.going_on import in_progress
from buildguard.session import Session
from buildguard.ui.keys import Head
from buildguard.ui.watch import LAST_EVENTS, Scene, Screen, gone

LOOK_SECONDS = 0.5
"""Between two looks, and so between two drawings."""


def follow(session: Session, everything: bool) -> None:
    """Show the build's state, and each change, until there is nobody to look. Raises what keeps the guard
    away."""
    try:
        if session.voice.screen:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
            screen = Screen()
            with screen.open():
                _look(session, everything, screen)
        else:
            _look(session, everything, None)
    except KeyboardInterrupt:
        return


def _look(session: Session, everything: bool, screen: Screen | None) -> None:
    guard, repository = session.required(), session.required_repository()
    place = known = None
    while True:
        # Git is asked only when HEAD has moved.
        if place != (place := head_and_branch(repository.git_dir, repository.common_dir)):
            session = session.up_to_date()
        answer = guard.status(guard.read())
        snapshot, head = answer.snapshot, head_of(session, answer.snapshot)
        runs = in_progress(repository.common_dir)
        if screen is not None:
            told = session.answers.status(answer, head, (), None, everything, False).lines
            screen.show(
                Scene(told, snapshot.views(), snapshot.now, runs, guard.history(LAST_EVENTS), session.checkout)
            )
        elif known != (known := _facts(snapshot, head)):
            session.voice.answer(status(session, everything, False))
        # The pause comes first: whatever happens, nobody is shown more than two pictures a second.
        if screen.quits(LOOK_SECONDS) if screen else gone(LOOK_SECONDS):
            return
        guard.store.wait_for_change(guard.build, snapshot.last_event, LOOK_SECONDS)


def _facts(snapshot: Snapshot, head: Head) -> object:
    """The part that can change: no time that passes, and no sign of life."""
    held = {
        (one.scope, one.number, one.status, one.claim and one.claim.attempts) for one in snapshot.states.values()
    }
    stale = {view.state.scope for view in snapshot.views() if view.stale}
    return head, held, stale, snapshot.last_event, {(one.agent, one.scope) for one in snapshot.waiters}
