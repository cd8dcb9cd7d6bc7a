"""The history as a picture: what lasted, what happened when, and what is made of text from outside."""

import time
from html.parser import HTMLParser

from buildguard.claims.model import Event, Kind, Proof
from buildguard.ui.timeline import CARRIED, IDLE, MOST_PICTURES, figures, pictures
from buildguard.ui.webpage import page

AT = 1_800_000_000.0
TAGS = """html head meta title style body h1 h2 p dl div dt dd ul li span
svg defs g circle path rect text line use"""


def event(kind: Kind, after: float, agent: str = "ann", other: str | None = None, **more: object) -> Event:
    return Event(kind, "repo", 1, agent, other, at=AT + after, **more)  # type: ignore[arg-type]


def bars(*events: Event, now: float = AT + 100) -> list[tuple[str, str, float, float]]:
    found = [bar for picture in pictures(events, (), now) for bar in picture.bars]
    return sorted((bar.kind, bar.lane, bar.since - AT, bar.until - AT) for bar in found)


def test_a_claim_and_its_fix_are_a_breakage_and_a_fixer() -> None:
    assert bars(event(Kind.CLAIMED, 0), event(Kind.FIXED, 60, lasted=60.0)) == [
        ("broken", "the repository", 0, 60),
        ("fixing", "ann", 0, 60),
    ]


def test_a_takeover_ends_one_fixers_bar_and_not_the_breakage() -> None:
    assert bars(event(Kind.CLAIMED, 0), event(Kind.TAKEN_OVER, 30, "bob", "ann"), event(Kind.FIXED, 60, "bob")) == [
        ("broken", "the repository", 0, 60),
        ("fixing", "ann", 0, 30),
        ("fixing", "bob", 30, 60),
    ]


def test_who_gave_up_fixes_no_more_and_the_breakage_goes_on_until_now() -> None:
    assert bars(event(Kind.CLAIMED, 0), event(Kind.GAVE_UP, 30)) == [
        ("broken", "the repository", 0, 100),
        ("fixing", "ann", 0, 30),
    ]


def test_a_wait_is_as_long_as_its_note_says() -> None:
    waited = event(Kind.WAITED, 60, "bob", "ann", reason="45 s")
    assert bars(event(Kind.CLAIMED, 0), waited)[-1] == ("waiting", "bob", 15, 60)


def test_a_note_that_says_no_number_is_a_wait_of_nothing() -> None:
    assert bars(event(Kind.WAITED, 60, "bob", "ann", reason="NaN s"))[-1] == ("waiting", "bob", 60, 60)


def test_of_a_breakage_that_began_before_the_history_its_length_is_known_all_the_same() -> None:
    assert bars(event(Kind.FIXED, 60, lasted=500.0)) == [("broken", "the repository", -440, 60)]


def test_a_long_pause_begins_a_new_picture_in_which_what_goes_on_is_seen() -> None:
    events = (event(Kind.CLAIMED, 0), event(Kind.SENT, IDLE + 1, "bob", "ann"))
    first, second = pictures(events, (), AT + IDLE + 2)
    assert second.since > first.since + IDLE
    assert [bar.lane for bar in second.bars] == ["ann", "the repository"]


def test_a_long_history_has_a_bounded_number_of_pictures_and_of_bars_in_each() -> None:
    events = [Event(Kind.CLAIMED, f"checkout:{n}", n, "ann", at=AT + n * 2 * IDLE) for n in range(2000)]
    found = pictures(events, (), events[-1].at)
    assert len(found) <= MOST_PICTURES
    assert sum(len(picture.bars) for picture in found) <= 2 * len(events) + MOST_PICTURES * CARRIED


def test_a_takeover_and_a_hand_over_come_out_of_the_other_agents_lane() -> None:
    (picture,) = pictures([event(Kind.TAKEN_OVER, 0, "bob", "ann"), event(Kind.SENT, 1, "cat", "bob")], (), AT + 2)
    assert [(mark.out_of, mark.lane) for mark in picture.marks] == [("ann", "bob"), ("bob", "cat")]


def test_the_time_to_green_is_told_by_median_and_worst_and_counts_no_word_of_mouth() -> None:
    lasted = [event(Kind.FIXED, n, lasted=float(n)) for n in (20, 30, 40)]
    told = dict(figures([*lasted, event(Kind.RELEASED, 50, lasted=5000.0)], ()))
    assert (told["time to green, median"], told["time to green, worst"]) == ("30 s", "40 s")


def test_the_runs_that_were_avoided_are_summed_up() -> None:
    proofs = [Proof("pytest", True, "", "", avoided=number) for number in (1, 2)]
    assert dict(figures([], proofs))["runs avoided"] == "3"


class Seen(HTMLParser):
    """What a browser makes of the page: its tags and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_text_from_outside_is_never_markup() -> None:
    bad = "</title><script>alert(1)</script><img src=x onerror='alert(2)'>\"' onload=\"x\x1b[2J\u202e"
    hostile = event(Kind.CLAIMED, 0, bad, bad, reason=bad, failures=(bad,), check=bad)
    events = [
        hostile._replace(scope=bad),
        hostile._replace(kind=Kind.TAKEN_OVER),
        hostile._replace(kind=Kind.FIXED),
    ]
    made = page(events, [Proof(bad, True, "", bad, bad, at=AT)], AT + 1, bad)
    seen = Seen(made)
    assert seen.tags <= set(TAGS.split())
    assert not any(name.startswith("on") or name == "src" for name in seen.attributes)
    assert not {"\x1b", "\u202e"} & set(made)
    assert "&lt;script&gt;" in made


def test_an_empty_history_is_a_page_too() -> None:
    assert "0 events" in page([], (), AT, "default")


def test_times_that_no_clock_tells_are_drawn_all_the_same() -> None:
    events = [Event(Kind.CLAIMED, f"checkout:{at}", 1, "ann", at=at) for at in (-250e9, 0.0, 250e9)]
    assert "3 events" in page(events, (), AT, "default")
    many = [Event(Kind.CLAIMED, f"checkout:{at}", 1, "ann", at=at * 4e9) for at in range(-50, 62)]
    assert page(many, (), AT, "default").count('<text class="x"') < 1000


def test_ten_thousand_events_take_two_seconds_and_five_megabytes_at_most() -> None:
    for pause in (1.0, 300.0, 3000.0):
        events = []
        for n in range(2500):
            at, ids = n * 4 * pause, (f"tests/test_app.py::test_number_{n}",) * 3
            ann = f"agent-{n % 9}"
            events += [
                event(Kind.CLAIMED, at, ann, failures=ids),
                event(Kind.SENT, at + pause, "bob", ann),
                event(Kind.FIXED, at + 2 * pause, ann, lasted=2 * pause, failures=ids, commits=("a" * 40,)),
                event(Kind.WAITED, at + 3 * pause, "cat", ann, reason=f"{pause:.0f} s"),
            ]
        began = time.process_time()
        made = page(events, (), AT + 10_000 * pause, "default")
        assert time.process_time() - began < 2
        assert len(made.encode()) < 5_000_000
