"""The document that an engine keeps of one build: open states, the newest events, and the highest number ever."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from buildguard.claims.model import Event, Snapshot, State, Step
from buildguard.claims.scope import FIXES
from buildguard.store import codec
from buildguard.store.codec import Garbage

FORMAT = 1
EVENTS_KEPT, FIXES_KEPT, WRITES_KEPT = 25, 25, 64
"""How many of the newest events travel, how many fixes beside them, and of how many writes the nonces."""


class Document(NamedTuple):
    """What travels of a build. `writes` are the nonces of the newest writes: who lost the answer to one finds it
    here. Proofs, last checks and notes of waiters do not travel."""

    format: int = FORMAT
    states: Mapping[str, State] = {}
    events: tuple[Event, ...] = ()
    last_event: int = 0
    highest: int = 0
    writes: tuple[str, ...] = ()


class Newer(Exception):
    """A newer buildguard wrote it."""


def decoded(data: str) -> Document:
    """The document; an empty one of nothing. Raises `Garbage` and `Newer`."""
    if not data:
        return Document()
    found = codec.decode(Document, data)
    if found.format > FORMAT:
        raise Newer
    if any(state.scope != scope or state.revision < 1 for scope, state in found.states.items()):
        raise Garbage("a state stands under another scope")
    return found


def applied(before: Document, step: Step, now: float, nonce: str) -> tuple[Document, Step] | None:
    """The document after that step, and the step with the ids and times of its events; None where a state is not at
    the revision that the step saw. Raises `Garbage` for what may not be kept."""
    states = dict(before.states)
    for state in step.states:
        there = states.get(state.scope)
        if state.revision != (there.revision if there else 0):
            return None
        states[state.scope] = state._replace(revision=state.revision + 1)
    first = before.last_event + 1
    events = tuple(event._replace(id=number, at=now) for number, event in enumerate(step.events, first))
    highest = max((before.highest, *(state.number for state in states.values())))
    writes = (*before.writes, nonce)[-WRITES_KEPT:]
    kept = _kept((*before.events, *events))
    after = Document(FORMAT, states, kept, before.last_event + len(events), highest, writes)
    codec.encode(after)
    return after, step._replace(events=events)


def snapshot(document: Document, now: float) -> Snapshot:
    """What it says, as a store reads it."""
    return Snapshot(dict(document.states), (), document.last_event, now, document.highest)


def _kept(events: Sequence[Event]) -> tuple[Event, ...]:
    """The newest events, and the newest fixes, which others may not have brought in yet."""
    fixes = [event for event in events[:-EVENTS_KEPT] if event.kind in FIXES]
    return (*fixes[-FIXES_KEPT:], *events[-EVENTS_KEPT:])
