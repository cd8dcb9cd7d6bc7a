"""Which parts of a step concern other clones, and which stay near. Pure.

A row that is marked `near` is known to this clone alone: its breakage is known to be private, or the engine could
not be asked when it began or ended.
"""

from collections.abc import Sequence

from buildguard.claims.model import Event, Kind, Outcome, Snapshot, State, Status, Step
from buildguard.claims.store import Transition
from buildguard.store.document import Document

RENEWED_EVERY = 150.0
"""Seconds between two signs of life that travel; less where a claim goes stale soon."""
NOTES = (Kind.WAITED, Kind.SENT)
"""The events that stay near."""


def unmarked(snapshot: Snapshot) -> Snapshot:
    """The snapshot without the marks of what has ended: the next breakage there may be everybody's."""
    rows = snapshot.states.items()
    states = {scope: row._replace(near=row.near and row.breakage is not None) for scope, row in rows}
    return snapshot._replace(states=states)


def untold(near: Snapshot, known: Document, history: Sequence[Event]) -> tuple[list[State], list[Event]]:
    """The breakages that others still know of, and whose end the engine could not be told: the rows as they ended,
    and the events that tell how. Another breakage may be open there since."""
    last = {event.scope: event for event in history if event.after is Status.PASSING and event.kind not in NOTES}
    rows = [
        state._replace(breakage=None)
        for scope, state in known.states.items()
        if (row := near.state(scope)).near
        and (row.breakage is None or (scope in last and last[scope].number >= state.number))
    ]
    return rows, [last[row.scope] for row in rows if row.scope in last]


def nearby(step: Step, before: Snapshot) -> Step:
    """The step as the near store alone keeps it: marked is what it opens or claims, and the end of what others know
    of."""

    def marked(state: State, row: State) -> bool:
        if state.breakage is None:
            return row.near is (row.breakage is None)
        return row.near or (state.number, state.claim is None) != (row.number, row.claim is None)

    rows = ((state, before.state(state.scope)) for state in step.states)
    return step._replace(states=tuple(state._replace(near=marked(state, row)) for state, row in rows))


def for_others(step: Step, before: Snapshot, known: Document, skew: float) -> tuple[list[State], list[Event]]:
    """The states and events that others have to know of. `known` is what they know, whose clock is `skew` seconds
    ahead of ours."""
    after = {**before.states, **{state.scope: state for state in step.states}}
    alone = {
        scope
        for scope, row in before.states.items()
        if row.near and (after[scope].near or (after[scope].breakage is None and scope not in known.states))
    }
    states = [
        state
        for state in step.states
        if state.scope not in alone
        and not _unsaid(state, before.state(state.scope), known.states.get(state.scope), skew)
    ]
    return states, [event for event in step.events if event.kind not in NOTES and event.scope not in alone]


def put_to_engine(transition: Transition, before: Snapshot) -> Step:
    """What the transition decides. A claim that only this clone knows of is put to the engine as if it were new, by
    its holder; another agent of this clone is bound by it, unless somebody elsewhere fixes that, too."""
    step = transition(before)
    row = before.state(step.scope)
    failed = step.outcome in (Outcome.RENEWED, Outcome.BUSY, Outcome.TAKEN_OVER, Outcome.CLAIMED)
    if not (row.near and row.breakage and failed):
        return step
    closed = row._replace(breakage=None, near=False)
    again = transition(before._replace(states={**before.states, row.scope: closed}))
    if step.outcome is Outcome.BUSY is not again.outcome:
        return step
    if step.outcome is Outcome.BUSY or again.scope == row.scope:
        return again
    reason = f"what fails is that of {again.scope}"
    end = Event(Kind.EVICTED, row.scope, row.number, "", row.claim.agent if row.claim else None, reason)
    ended = (end._replace(before=row.status),) if row.claim else ()
    return again._replace(states=(*again.states, closed), events=(*ended, *again.events))


def _unsaid(state: State, row: State, known: State | None, skew: float) -> bool:
    """Whether the row says nothing new but the time of a check, one more checkout that has the breakage where
    several do, and a sign of life while the last one that others know of is young."""
    claim, was, breakage = state.claim, row.claim, row.breakage
    if breakage is not None and state.breakage is not None:
        seen, now = breakage.seen, state.breakage.seen
        joined = known is not None and known.shared and seen.items() <= now.items()
        breakage = breakage._replace(seen=now if joined else seen)
        if claim is not None and was is not None:
            breakage = breakage._replace(claim=was._replace(seen_at=claim.seen_at))
    if row._replace(last_check=state.last_check, breakage=breakage) != state:
        return False
    there = known.claim if known else None
    if claim is None or there is None or state.near:
        return True
    return abs(claim.seen_at + skew - there.seen_at) < min(RENEWED_EVERY, claim.stale_after / 6)
