"""An engine's document as rows of the near store, and rows as the document has them."""

from typing import Any

from store.values import CLAIM, CLAIMED, FIXED, FIXING, HERE, SEEN, THERE

from buildguard.claims.model import Event, Kind, Landed, Snapshot, State
from buildguard.store.document import NEWEST_EVENTS, NEWEST_FIXES, Document, applied
from buildguard.store.mirror import LONGEST_SPAN, mirrored, sent

NOW = 50_000.0
THEIRS = FIXING._replace(changed=-1, last_check=None)
SHOWN = Document(states={HERE: THEIRS}, events=(CLAIMED._replace(id=1, at=1000.0),), last_event=1, highest=1)


def near(*states: State, last: int = 7) -> Snapshot:
    return Snapshot({state.scope: state for state in states}, last_event=last, now=NOW)


def row(old: Document, new: Document, was: Snapshot, skew: float | None = None) -> State:
    (state,) = mirrored(old, new, was, skew, "the engine").states
    return state


def claim_of(state: State) -> tuple[float, float]:
    assert state.claim is not None
    return state.claim.claimed_at, state.claim.seen_at


def with_claim(state: State, **changes: Any) -> State:
    assert state.breakage is not None
    assert state.claim is not None
    return state._replace(breakage=state.breakage._replace(claim=state.claim._replace(**changes)))


def test_a_sign_of_life_is_as_old_as_it_is_known() -> None:
    seen = row(Document(), SHOWN, near())
    assert claim_of(seen) == (NOW, NOW)
    assert seen.breakage is not None
    assert (seen.breakage.since, seen.changed) == (NOW - 10, 7)
    later = near(seen)._replace(now=NOW + 100)
    assert mirrored(SHOWN, SHOWN, later, None, "").states == ()


def test_a_new_sign_of_life_is_known_from_now_on_and_the_claim_has_been_held_for_as_long_as_it_says() -> None:
    seen = row(Document(), SHOWN, near())
    newer = SHOWN._replace(states={HERE: with_claim(THEIRS, seen_at=1300.0)})
    assert claim_of(row(SHOWN, newer, near(seen)._replace(now=NOW + 500))) == (NOW + 200, NOW + 500)


def test_an_engine_s_own_clock_tells_silence_at_first_sight() -> None:
    seen = row(Document(), SHOWN, near(), skew=-49_500.0)
    assert claim_of(seen) == (NOW, NOW), "nothing lies in the future"
    seen = row(Document(), SHOWN, near(), skew=-48_500.0)
    assert claim_of(seen) == (49_500.0, 49_500.0)


def test_spans_are_believed_within_a_bound() -> None:
    wild = SHOWN._replace(states={HERE: with_claim(THEIRS, claimed_at=-200e9, seen_at=200e9)})
    assert claim_of(row(Document(), wild, near())) == (NOW - LONGEST_SPAN, NOW)


def test_what_did_not_change_is_sent_as_it_was() -> None:
    mine = with_claim(FIXING, claimed_at=NOW, seen_at=NOW)
    assert mine.breakage is not None
    joined = mine._replace(breakage=mine.breakage._replace(seen={HERE: SEEN, THERE: SEEN}))
    told = sent(joined, mine, THEIRS, 5.0)
    assert told.claim == CLAIM
    assert told.breakage is not None
    assert set(told.breakage.seen) == {HERE, THERE}
    renewed = sent(with_claim(joined, seen_at=NOW + 9), mine, THEIRS, 5.0)
    assert claim_of(renewed) == (NOW + 5, NOW + 14)


def test_what_landed_goes_by_the_same_clocks() -> None:
    landed = Landed(2000.0, THERE, ("a",))
    assert THEIRS.breakage is not None
    with_landed = THEIRS._replace(breakage=THEIRS.breakage._replace(landed=landed))
    shown = SHOWN._replace(states={HERE: with_landed})
    seen = row(SHOWN, shown, near(row(Document(), SHOWN, near())))
    assert seen.breakage is not None
    assert seen.breakage.landed == landed._replace(at=NOW)
    back = sent(seen, seen, with_landed, 0.0)
    assert back.breakage is not None
    assert back.breakage.landed == landed


def test_a_breakage_that_ended_is_closed_and_its_event_told() -> None:
    seen = row(Document(), SHOWN, near())
    fixed = FIXED._replace(id=2, at=1400.0)
    ended = Document(events=(*SHOWN.events, fixed), last_event=2, highest=1)
    step = mirrored(SHOWN, ended, near(seen, last=8), None, "the engine")
    assert step.events == (fixed,)
    assert step.states == (seen._replace(breakage=None, changed=8),)
    assert step.mirrors


def test_a_claim_that_is_gone_without_a_word_is_told_to_its_holder() -> None:
    seen = row(Document(), SHOWN, near())
    step = mirrored(SHOWN, Document(), near(seen, last=8), None, "the engine")
    (event,) = step.events
    assert (event.kind, event.other, event.number) == (Kind.EVICTED, "ann", 1)
    assert "not in the engine any more" in event.reason
    assert step.states == (seen._replace(breakage=None),), "no run is outdated by it"


def test_what_only_this_clone_knows_of_stays() -> None:
    mine = FIXING._replace(near=True, number=3)
    assert mirrored(Document(), Document(), near(mine), None, "").states == ()


def test_a_near_claim_loses_against_one_that_all_know_and_its_holder_is_told() -> None:
    mine = with_claim(FIXING._replace(near=True, number=3))
    assert mine.breakage is not None
    assert mine.claim is not None
    bobs = mine._replace(breakage=mine.breakage._replace(claim=mine.claim._replace(agent="bob")))
    step = mirrored(Document(), SHOWN, near(bobs), None, "the engine")
    assert step.states[0].claim is not None
    assert step.states[0].claim.agent == "ann"
    assert [(one.kind, one.agent, one.other) for one in step.events] == [
        (Kind.CLAIMED, "ann", None),
        (Kind.EVICTED, "", "bob"),
    ]


def test_a_document_keeps_the_newest_events_and_beside_them_the_newest_fixes() -> None:
    found = Document()
    for number in range(1, 101):
        event = Event(Kind.FIXED if number % 2 else Kind.CLAIMED, HERE, number, "ann")
        found = applied(found, [State(HERE, number)], [event], str(number))
    assert found.events[-1].id == found.last_event == found.highest == 100
    assert [event.id for event in found.events][-NEWEST_EVENTS:] == list(range(76, 101))
    fixes = [event.id for event in found.events][:-NEWEST_EVENTS]
    assert fixes == list(range(27, 76, 2))[-NEWEST_FIXES:]
    assert found.states == {}
