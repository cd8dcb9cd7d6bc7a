"""What of a step concerns others, in other clones, and what stays near. Pure.

A row that is marked `near` is known to this clone alone: its breakage is known to be private, or the engine could
not be asked.
"""

from buildguard.claims.model import Event, Kind, Outcome, Snapshot, State, Step
from buildguard.claims.store import Transition
from buildguard.store.document import Document

RENEWED_EVERY = 150.0
"""Seconds between two signs of life that travel; less where a claim goes stale soon."""
NOTES = (Kind.WAITED, Kind.SENT)
"""The events that stay near."""


def unmarked(snapshot: Snapshot) -> Snapshot:
    """The snapshot in which a breakage that ended near leaves no mark: the next one there may be everybody's."""
    rows = snapshot.states.items()
    states = {scope: row._replace(near=row.near and row.breakage is not None) for scope, row in rows}
    return snapshot._replace(states=states)


def nearby(step: Step, before: Snapshot) -> Step:
    """The step as the near store alone keeps it: what it opens, closes or claims is marked."""

    def held(state: State) -> tuple[bool, int, bool]:
        return state.breakage is None, state.number, state.claim is None

    rows = ((state, before.state(state.scope)) for state in step.states)
    states = (state._replace(near=row.near or held(state) != held(row)) for state, row in rows)
    return step._replace(states=tuple(states))


def for_others(step: Step, before: Snapshot, known: Document) -> tuple[list[State], list[Event]]:
    """The states and events that others have to know of. `known` is what they know."""
    after = {**before.states, **{state.scope: state for state in step.states}}
    alone = {scope for scope, row in before.states.items() if row.near and after[scope].near}
    states = [
        state
        for state in step.states
        if state.scope not in alone and not _unsaid(state, before.state(state.scope), known.states.get(state.scope))
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
    ended = () if step.outcome is Outcome.BUSY or again.scope == row.scope else (closed,)
    return again._replace(states=(*again.states, *ended))


def _unsaid(state: State, row: State, known: State | None) -> bool:
    """Whether the row says nothing new but the time of a check, and a sign of life while the last one that others
    know of is young."""
    claim, was = state.claim, row.claim
    if claim is not None and was is not None and row.breakage is not None:
        row = row._replace(breakage=row.breakage._replace(claim=was._replace(seen_at=claim.seen_at)))
    if row._replace(last_check=state.last_check) != state:
        return False
    there = known.claim if known else None
    if claim is None or there is None or state.near:
        return True
    return abs(claim.seen_at - there.seen_at) < min(RENEWED_EVERY, claim.stale_after / 6)
