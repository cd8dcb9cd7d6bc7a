"""An engine's document as rows of the near store, and rows as the document has them. Pure.

No clock is compared with another one. An engine without a clock tells what was written, not when: a sign of life is
as old as this clone has known it. Where an engine has a clock, `skew` is by how much it is ahead of ours (seconds).
"""

from collections.abc import Iterable

from buildguard.claims.model import Breakage, Claim, Event, Kind, Outcome, Snapshot, State, Status, Step
from buildguard.store.document import Document

LONGEST_SPAN = 1e9
"""Seconds of the longest span that is believed."""


def mirrored(old: Document, new: Document, near: Snapshot, skew: float | None, where: str) -> Step:
    """What has to be written near, now that the document is `new` and was `old` when we last saw it."""
    known = set(old.events)
    news = [event for event in new.events if event not in known]
    told = {event.scope for event in news}
    states, events = [], [event._replace(at=min(event.at - (skew or 0.0), near.now)) for event in news]
    for scope in sorted({*near.states, *new.states}):
        row = near.state(scope)
        after = _row(row, old.states.get(scope), new.states.get(scope), near, news, skew)
        states += [after] if after != row else []
        if scope not in told or row.near:
            events += _lost(row, after, where, near.now)
    return Step(Outcome.NOTED, "", tuple(states), tuple(events), mirrors=True)


def as_known(new: Document, history: Iterable[Event]) -> Document:
    """The document as a clone with that history knows it, which has no copy of an older one."""
    known = set(map(_told, history))
    return Document(events=tuple(event for event in new.events if _told(event) in known))


def _told(event: Event) -> Event:
    """What an event tells, near and far: not all of it travels, and each store gives its own id and time."""
    return event._replace(id=0, at=0.0, failures=(), contents=())


def sent(state: State, row: State, known: State | None, skew: float) -> State:
    """A row as the document has it. What did not change since `row` stays as the document has it (`known`): else
    whoever writes would renew the claims of all others."""
    breakage, was, there = state.breakage, row.breakage, known.breakage if known else None
    if breakage is None:
        return state
    claim, landed, since = breakage.claim, breakage.landed, breakage.since + skew
    if was and there and was.since == breakage.since:
        since = there.since
    if was and there and claim == was.claim:
        claim = there.claim
    elif claim is not None:
        claim = claim._replace(seen_at=claim.seen_at + skew, claimed_at=claim.claimed_at + skew)
    if was and there and landed == was.landed:
        landed = there.landed
    elif landed is not None:
        landed = landed._replace(at=landed.at + skew)
    return state._replace(near=False, breakage=breakage._replace(claim=claim, landed=landed, since=since))


def _row(
    row: State, before: State | None, far: State | None, near: Snapshot, news: Iterable[Event], skew: float | None
) -> State:
    """The row of one scope. `before` and `far` are the document's, as it was and as it is."""
    if far is None or far.breakage is None:
        # What this clone alone knows of is not ended by what others know.
        if row.breakage is None or row.near:
            return row._replace(near=row.breakage is not None and row.near)
        told = any(one.scope == row.scope for one in news)
        if before is None and not told:
            return row._replace(near=True)  # this engine was not asked before
        return row._replace(breakage=None, changed=near.last_event if told else row.changed)
    if row.near and row.number >= far.number:
        # It has ended here, and the engine could not be told; then somebody here may have claimed anew.
        unchanged = before is not None and _sign(before.claim) == _sign(far.claim) and row.number > far.number
        if row.breakage is None or unchanged:
            return row
    known = row.breakage if not row.near and before and before.breakage else None
    breakage = _here(far.breakage, known, before.breakage if before else None, near.now, skew)
    again = any(one.scope == far.scope and one.before is Status.PASSING is not one.after for one in news)
    opened = row.breakage is None or row.near or again
    changed = near.last_event if opened else row.changed
    return row._replace(number=far.number, near=False, breakage=breakage, changed=changed)


def _here(
    far: Breakage, known: Breakage | None, before: Breakage | None, now: float, skew: float | None
) -> Breakage:
    """The document's breakage by our own clock. `known` is how we had it, `before` how the document had it then."""

    def since_then(at: float) -> float:
        return now if skew is None else min(now, at - skew)

    claim, landed, since = far.claim, far.landed, min(now, far.since - (skew or 0.0))
    if claim is not None:
        last = since_then(claim.seen_at)
        since = last - _span(claim.seen_at - far.since)
        if known and known.claim and before and _sign(before.claim) == _sign(claim):
            claim = claim._replace(seen_at=known.claim.seen_at, claimed_at=known.claim.claimed_at)
        else:
            claim = claim._replace(seen_at=last, claimed_at=last - _span(claim.seen_at - claim.claimed_at))
    if landed is not None:
        same = known and known.landed and before and before.landed and before.landed.at == landed.at
        landed = landed._replace(at=known.landed.at if same and known and known.landed else since_then(landed.at))
    if known and before and before.since == far.since:
        since = known.since
    elif claim is not None:
        since = min(since, claim.claimed_at)
    if known and known.failures[: len(far.failures)] == far.failures:
        far = far._replace(began=known.began, failures=known.failures)  # not all of them travel
    # A checkout of this clone that joined when several had it is known here alone.
    seen = {**known.seen, **far.seen} if known else far.seen
    return far._replace(claim=claim, landed=landed, since=since, seen=seen)


def _span(seconds: float) -> float:
    """What may be the span between two times of one clock: no clock is to be believed without a bound."""
    return min(max(0.0, seconds), LONGEST_SPAN)


def _sign(claim: Claim | None) -> tuple[str, float, float] | None:
    """What tells a sign of life from the one before."""
    return (claim.agent, claim.claimed_at, claim.seen_at) if claim else None


def _lost(row: State, after: State, where: str, now: float) -> list[Event]:
    """The event that tells a holder of a claim which the document has lost, or which somebody else won there."""
    was, other = row.claim, after.claim
    if was is None or (row.near and row == after) or (other is not None and other.agent == was.agent):
        return []
    event = Event(Kind.EVICTED, row.scope, row.number, "", was.agent, before=row.status, after=after.status, at=now)
    has = f"{where} has {other.agent} as the fixer" if other else f"it is not in {where} any more"
    return [event._replace(reason=has if other or not row.near else f"{where} did not know it")]
