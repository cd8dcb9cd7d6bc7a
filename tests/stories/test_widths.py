"""What a person sees at terminals of several widths, and while a check runs."""

import re

import pytest
from testing.screen import Screen, without_escapes
from testing.support import BUILDGUARD, Checkout

from buildguard.text import cut
from buildguard.ui.voice import Checking, Voice

IDS = [f"tests/{'deep/' * 30}test_app.py::test_number_{number}" for number in range(5)]


@pytest.fixture
def failing(checkout: Checkout) -> Checkout:
    checkout.write("said", "".join(f"FAILED {one} - boom\n" for one in IDS))
    checkout.write(".buildguard.toml", 'check = "cat said; exit 1"\n')
    return checkout


def shown(checkout: Checkout, columns: int, *words: str) -> list[str]:
    with Screen(checkout, columns, BUILDGUARD, *words, agent="ann") as screen:
        screen.ends()
        return without_escapes(screen.raw).splitlines()


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_word_is_broken_and_long_ids_are_cut_in_their_middle(failing: Checkout, columns: int) -> None:
    whole = set(" ".join(shown(failing, 400, "run")).split())
    lines = [line for line in shown(failing, columns, "run") if not line.startswith("FAILED ")]
    ours = [line for line in lines if not line.startswith("next: ")]
    assert max(map(len, ours)) <= columns
    known = whole | {"renewed:", "yours"}
    for word in " ".join(ours).split():
        assert word in known or "…" in word or re.fullmatch(r"[\d.:]+,?|since|attempt|claim", word), word
    told = [word for word in " ".join(ours).split() if "…" in word and "test_number" in word]
    assert [re.sub(r"^.*_", "", word) for word in told] == ["0", "1", "2"], "three, and the rest is counted"
    assert any("failing: 2 more" in line for line in ours)


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("verb", ["status", "log"])
def test_the_status_and_the_history_fit(failing: Checkout, columns: int, verb: str) -> None:
    failing.buildguard("run", agent="ann")
    lines = [line for line in shown(failing, columns, verb) if not line.startswith("next: ")]
    assert max(map(len, lines)) <= columns
    assert any("…" in line and "umber_0" in line for line in lines)


def test_a_next_line_is_never_broken(checkout: Checkout) -> None:
    long = "x" * 100
    checkout.buildguard("claim", agent="bob")
    assert shown(checkout, 60, "claim", "--agent", long)[-1] == f"next: buildguard wait --agent {long}"


def test_a_text_is_cut_in_its_middle_to_the_width() -> None:
    assert [cut("abcdefghij", most) for most in (10, 9, 5, 3)] == [
        "abcdefghij",
        "abcd…ghij"[:4] + "…ghij",
        "ab…ij",
        "a…j",
    ]


def test_a_check_that_runs_is_seen_and_what_it_prints_swallows_no_line_of_ours(checkout: Checkout) -> None:
    hold = checkout.home / "go on"
    check = f"until test -e '{hold}'; do sleep 0.05; done; printf unfinished"
    with Screen(checkout, 60, BUILDGUARD, "run", "--", "sh", "-c", check, agent="ann") as screen:
        screen.says(r"buildguard: checking for [1-9]\d* s: sh -c ")
        hold.touch()
        assert screen.ends() == 0
        lines = without_escapes(screen.raw.rpartition("\x1b[2K")[2]).splitlines()
        assert lines[0] == "unfinished", "the line with the time is gone"
        assert lines[1].startswith("buildguard: passed: sh -c ")
        assert all(len(line) < 60 for line in re.findall(r". buildguard: checking for [^\r\x1b]*", screen.raw))


def test_where_nobody_looks_a_silent_check_has_a_line_every_30_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    sign = Checking(Voice("default", False, {}), "pytest -q")
    for second in range(1, 65):
        sign.silent(100.0 + second, float(second), line_open=second > 50)
    sign.silent(200.0, 0.5, line_open=False)
    sign.silent(229.0, 29.0, line_open=False)
    sign.speaks()
    assert capsys.readouterr().err == (
        "buildguard: still running: pytest -q (2 min)\n\nbuildguard: still running: pytest -q (3 min)\n"
    )
