"""A wait for the fixer, holding nothing: shown while it lasts, ended by an event, by a HEAD that moved, or by
time."""

import time
from collections.abc import Callable

from buildguard.agents.lineage import above_us
from buildguard.agents.processes import Process
from buildguard.claims.guard import Guard, Moment
from buildguard.claims.model import Event, Kind, View
from buildguard.commands.attempt import always
from buildguard.commands.landing import Watch
from buildguard.session import Session
from buildguard.ui.phrases import waiting, who
from buildguard.ui.voice import Countdown


def await_turn(
    session: Session, timeout: float, lives: Callable[[], bool] = always, scope: str | None = None
) -> Moment | None:
    """Wait at most `timeout` seconds until nobody else's claim holds us up. The last moment says how it ended; None
    if coordination became unavailable. Ends early if the caller does. `scope` is the one that was found busy."""
    return session.coordinate(lambda guard: watch(session, guard, timeout, lives, scope))


def watch(
    session: Session,
    guard: Guard,
    timeout: float,
    lives: Callable[[], bool] = always,
    scope: str | None = None,
) -> Moment:
    """As `await_turn`; raises what the guard raises."""
    began = time.monotonic()
    held_up: View | None = None
    heads = Watch(session)
    with Countdown(session.voice) as countdown:
        for moment in guard.waiting(timeout, scope):
            if moment.holder is None or not lives():
                break
            if held_up is None and ancestor_holding(moment.holder) is not None:
                break
            held_up = moment.holder
            # A landing that this look notes is the event that ends the wait at the next look.
            heads.look(moment.snapshot)
            if moment.left > 0:
                line = f"{waiting(moment.holder, moment.snapshot.now)}; you are {who(guard.me)}"
                countdown.show(line, moment.left, time.monotonic())
    if held_up is not None and held_up.state.claim is not None:
        state = held_up.state
        reason = f"{time.monotonic() - began:.0f} s"
        fixer = held_up.state.claim.agent
        note = Event(
            Kind.WAITED, state.scope, state.number, "", fixer, reason, before=state.status, after=state.status
        )
        guard.note(note)
    return moment


def ancestor_holding(view: View) -> Process | None:
    """The process above us that holds the claim, if one does: it waits for us, and we would wait for ourselves."""
    claim = view.state.claim
    return above_us(claim.agent, claim.process) if claim is not None else None
