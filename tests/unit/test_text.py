"""Words as a person and a shell read them: spans, lists, and command lines that can be pasted as they stand."""

import shutil
import subprocess

import pytest

from buildguard.text import ago, clock, command, iso, shortened, some, span

SHELLS = [shell for shell in ("sh", "bash", "dash", "zsh", "ksh") if shutil.which(shell)]
WORDS = (
    "plain",
    "two words",
    "it's",
    '"quoted" $HOME `x` \\ * ! # ~',
    "two\n\nlines\nand 100 %d",
    "\\n is no line break, \\0101 no A",
    "tab\there",
    "\x1b[31mred",
    "zero\u200bwidth and \u202eturned",
    "-m",
    "",
    "caf\udce9",
)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_pasted_word_is_the_word(shell: str) -> None:
    for word in WORDS:
        line = command(["printf", "%s", word])
        assert line is not None
        assert line.isprintable()
        done = subprocess.run([shell, "-c", line], capture_output=True, check=True)
        assert done.stdout == word.encode("utf-8", "surrogateescape")


def test_what_is_too_long_to_be_pasted_is_no_command() -> None:
    assert command(["echo", "x" * 3000]) is not None
    assert command(["echo", "x" * 4000]) is None
    assert command([]) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (89, "89 s"),
        (90, "2 min"),
        (5399, "90 min"),
        (5400, "1.5 h"),
    ],
)
def test_a_span_as_a_person_says_it(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_a_time_of_another_day_has_its_date() -> None:
    noon = 1_700_000_000.0
    assert len(clock(noon, noon + 1)) == len("12:00")
    assert clock(noon, noon + 48 * 3600).endswith(" " + clock(noon, noon))
    assert len(clock(noon, noon + 48 * 3600)) == len("2023-11-14 12:00")


def test_what_lies_ahead_is_never_a_negative_time_ago() -> None:
    assert ago(1_700_000_060.0, 1_700_000_000.0).endswith("(0.0 s ago)")
    assert ago(1_700_000_000.0, 1_700_000_060.0).endswith("(60 s ago)")


def test_a_time_for_programs_is_in_utc_to_the_second() -> None:
    assert (iso(0.9), iso(None)) == ("1970-01-01T00:00:00Z", None)


def test_a_list_names_three_and_counts_the_rest() -> None:
    assert some(["a", "b", "c"]) == "a, b, c"
    assert some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_a_text_from_outside_is_cut_and_shows_it() -> None:
    assert shortened("x" * 200) == "x" * 200
    assert shortened("x" * 201) == "x" * 199 + "…"
