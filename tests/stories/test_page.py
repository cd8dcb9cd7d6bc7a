"""`log --html`: the page as the command writes it, and as a browser shows it."""

import time
from itertools import combinations
from pathlib import Path

import pytest
from testing.browser import CHROMIUM, measured
from testing.support import Checkout

from buildguard.claims.model import Event, Kind, Proof
from buildguard.ui.webpage import page

browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: nobody has looked at the page")


def test_the_page_tells_of_a_fix_and_of_who_waited(checkout: Checkout, tmp_path: Path) -> None:
    checkout.write("app.txt", "BROKEN\n")
    checkout.buildguard("run", agent="ann")
    checkout.buildguard("wait", "--timeout", "0.1s", agent="bob")
    checkout.write("app.txt", "fine\n")
    checkout.buildguard("run", agent="ann")
    file = tmp_path / "a page.html"
    done = checkout.buildguard("log", "--html", str(file), agent="ann")
    assert (done.status, done.out) == (0, f"buildguard: written: {file}, 3 events\n")
    text = file.read_text(encoding="utf-8")
    for words in ("ann fixes checkout", "bob waited 0 s for ann", "ann fixed it after", "time to green, median"):
        assert words in text


def test_a_run_whose_verdict_was_taken_again_is_counted_as_avoided(checkout: Checkout, tmp_path: Path) -> None:
    checkout.buildguard("run", agent="ann")
    assert "these very files" in checkout.git("commit", "--allow-empty", "-qm", "x", agent="bob").both
    checkout.buildguard("log", "--html", str(tmp_path / "page"))
    assert "<dt>runs avoided</dt><dd>1</dd>" in (tmp_path / "page").read_text()


def test_a_page_that_cannot_be_written_is_an_error_and_no_bug(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    done = checkout.buildguard("log", "--html", "not/there.html")
    assert (done.status, "--html: not/there.html cannot be written" in done.both) == (2, True)


def fleet(now: float, pause: float, many: int) -> str:
    """A page with all that a page can have, with names that are too long for a lane. `pause` are the seconds from
    one breakage to the next."""
    events: list[Event] = []
    for number in range(many):
        at, ann = now - (many - number) * pause, f"agent-{number % 4}-{'long' * 20}"
        scope = ("repo", f"checkout:{'feature' * 10}", "checkout:main")[number % 3]
        ids = tuple(f"tests/{'deep/' * 20}test_app.py::test_{n}" for n in range(5))
        events += [
            Event(Kind.CLAIMED, scope, number, ann, failures=ids, at=at),
            Event(Kind.WAITED, scope, number, "bob", ann, "60 s", at=at + 100),
            Event(Kind.TAKEN_OVER, scope, number, "cat", ann, "silent", at=at + 150),
            Event(Kind.SENT, scope, number, "dan", "cat", at=at + 200),
            Event(Kind.FIXED, scope, number, "cat", lasted=250.0, failures=ids, at=at + 250),
        ]
    return page(events, [Proof("pytest", True, "", "", "eve", at=now - 100)], now, "default")


@browser
@pytest.mark.parametrize(
    ("width", "pause", "many"), [(1280, 300.0, 12), (400, 300.0, 12), (400, 1700.0, 12), (400, 4e5, 250)]
)
def test_on_a_wide_and_on_a_narrow_screen_no_text_is_cut_or_covers_another(
    width: int, pause: float, many: int, tmp_path: Path
) -> None:
    seen = measured(fleet(time.time(), pause, many), width, tmp_path)
    assert seen["width"] <= seen["room"] == width, "nothing is to be scrolled sideways"
    assert (seen["scripts"], seen["images"]) == (0, 0)
    for chart in seen["charts"]:
        left, top, right, bottom = chart["box"]
        assert len(chart["texts"]) > 5
        for word, *box in chart["texts"]:
            inside = left - 1 <= box[0] < box[2] <= right + 1 and top <= box[1] < box[3] <= bottom
            assert inside, f"cut: {word}"
        for one, other in combinations(chart["texts"], 2):
            apart = one[3] <= other[1] + 1 or other[3] <= one[1] + 1
            above = one[4] <= other[2] + 2 or other[4] <= one[2] + 2
            assert apart or above, f"{one[0]!r} covers {other[0]!r}"
