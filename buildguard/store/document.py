"""The document that an engine keeps of one build: open breakages, the newest events, and the highest number ever.

Its times are of the engine's clock where it has one, else each is of the clock of the machine that wrote it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from buildguard.claims.model import Event, State
from buildguard.claims.scope import FIXES
from buildguard.settings import LONGEST
from buildguard.store import codec
from buildguard.store.codec import Garbage
from buildguard.store.register import Denied

FORMAT = 1
PROBE = "probe"
"""The key of what doctor writes, and of no build. It is never deleted: some servers let nobody delete."""
NEWEST_EVENTS, NEWEST_FIXES, NEWEST_WRITES, MOST_OPEN = 25, 25, 64, 200
"""How many of the newest events travel, how many fixes beside them, of how many writes the nonces, and how many
breakages: clones that are thrown away leave theirs behind."""
MOST_NAMED, MANY_OPEN, FEW_NAMED = 100, 20, 10
"""How many failures and paths an event has that travels, and a breakage; of more breakages than so many, each has
but a few: nobody could write a document that is too long."""
MOST_COUNTED = 10**9
"""No number that travels is greater: a store must have room for the next one."""
LATEST = 100e9
"""Seconds. No time that travels is later, or before 0: by another clock, too, it must be one that a store takes."""


class Document(NamedTuple):
    """What travels of a build. `writes` are the nonces of the newest writes: a writer that lost the answer to one
    finds it here. Proofs, last checks and notes of waiters do not travel."""

    format: int = FORMAT
    states: Mapping[str, State] = {}
    events: tuple[Event, ...] = ()
    last_event: int = 0
    highest: int = 0
    writes: tuple[str, ...] = ()


class Newer(Garbage):
    """A newer buildguard wrote it."""


def key_of(build: str) -> str:
    """The build's name as the key of a document; a name that has other characters, or is that of doctor's probe or
    of a hash, becomes a hash."""
    plain = build.isascii() and build.replace("-", "a").replace("_", "a").isalnum() and len(build) <= 80
    if plain and build != PROBE and not build.startswith("h-"):
        return build
    import hashlib

    return f"h-{hashlib.sha256(build.encode(errors='surrogateescape')).hexdigest()[:32]}"


def believed(data: str) -> Document:
    """The document. Raises `Denied` for what no buildguard of this format wrote."""
    try:
        return decoded(data)
    except Newer:
        raise Denied("what is there was written by a newer buildguard") from None
    except Garbage as error:
        raise Denied(f"what is there was not written by buildguard: {error}") from None


def decoded(data: str) -> Document:
    """The document; an empty one of nothing. Raises `Garbage`, of which `Newer` is a kind."""
    if not data:
        return Document()
    if not (data.isascii() and data.isprintable()):
        raise Garbage("it is not one line of printable ASCII")
    found = codec.decode(Document, data)
    if found.format > FORMAT:
        raise Newer("it is of a newer format")
    check(found)
    return found


def check(document: Document) -> None:
    """Raises `Garbage` for values that no buildguard would go on from; a writer must not write them, either."""
    if any(state.scope != name for name, state in document.states.items()):
        raise Garbage("a state stands under another scope")
    for name, value, most in _measures(document):
        if not 0 <= value <= most:
            raise Garbage(f"{name} is {value}")
    claims = [state.claim for state in document.states.values() if state.claim]
    if not all(claim.stale_after and claim.max_claim for claim in claims):
        raise Garbage("a claim is stale from the start")


def _measures(document: Document) -> Iterator[tuple[str, float, float]]:
    """What is between 0 and a bound: its name, value and bound."""
    yield "highest", document.highest, MOST_COUNTED
    yield "last_event", document.last_event, MOST_COUNTED
    yield "the number of states", len(document.states), MOST_OPEN
    yield "the number of events", len(document.events), NEWEST_EVENTS + NEWEST_FIXES
    yield "the number of writes", len(document.writes), NEWEST_WRITES
    for event in document.events:
        yield "the number of failures", len(event.failures), MOST_NAMED
        yield "the number of contents", len(event.contents), MOST_NAMED
        yield "at", event.at, LATEST
        yield "fixed_at", event.fixed_at or 0.0, LATEST
    for state in document.states.values():
        yield "number", state.number, MOST_COUNTED
        if state.breakage:
            yield "since", state.breakage.since, LATEST
            yield "at", state.breakage.landed.at if state.breakage.landed else 0.0, LATEST
        if state.claim:
            yield "attempts", state.claim.attempts, MOST_COUNTED
            yield "claimed_at", state.claim.claimed_at, LATEST
            yield "seen_at", state.claim.seen_at, LATEST
            yield "stale_after", state.claim.stale_after, LONGEST
            yield "max_claim", state.claim.max_claim, LONGEST


def applied(before: Document, states: Iterable[State], events: Iterable[Event], nonce: str) -> Document:
    """The document with these states, without those that are closed, and with these events under new ids."""
    known = {**before.states, **{state.scope: state for state in states}}
    highest = max((before.highest, *(state.number for state in known.values())))
    still_open = sorted((state for state in known.values() if state.breakage), key=lambda state: state.number)
    news = [_short(event)._replace(id=number) for number, event in enumerate(events, before.last_event + 1)]
    kept = _kept((*before.events, *news))
    writes = (*before.writes, nonce)[-NEWEST_WRITES:]
    named = MOST_NAMED if len(still_open) <= MANY_OPEN else FEW_NAMED
    travelling = {state.scope: _light(state, named) for state in still_open[-MOST_OPEN:]}
    return Document(FORMAT, travelling, kept, before.last_event + len(news), highest, writes)


def _light(state: State, named: int) -> State:
    """The state without what stays near, and with that many failures at most."""
    if breakage := state.breakage:
        breakage = breakage._replace(began=breakage.began[:named], failures=breakage.failures[:named])
    return state._replace(revision=0, changed=-1, last_check=None, breakage=breakage)


def _short(event: Event) -> Event:
    """The event without what would make the document long: a fix of many paths is found by its commits."""
    contents = event.contents if len(event.contents) <= MOST_NAMED else ()
    return event._replace(failures=event.failures[:MOST_NAMED], contents=contents)


def _kept(events: Sequence[Event]) -> tuple[Event, ...]:
    """The newest events, and the newest fixes, which others may not have brought in yet."""
    fixes = [event for event in events[:-NEWEST_EVENTS] if event.kind in FIXES]
    return (*fixes[-NEWEST_FIXES:], *events[-NEWEST_EVENTS:])
