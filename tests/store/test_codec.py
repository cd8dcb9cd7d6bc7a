"""Values come back as they were; nothing else than what buildguard writes is ever read."""

import json
import subprocess
import sys
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from store.values import BREAKAGE, CLAIM, CLAIMED, EVENTS, FIXING, HEAD, PROOF, PROOFS, STATES

from buildguard.claims.model import Claim, Content, Event, Kind, Landed, Proof, Seen, State
from buildguard.store import codec
from buildguard.store.codec import GREATEST, LARGEST, LONGEST_NAME, LONGEST_TEXT, MOST_ENTRIES, Garbage

OFTEN = settings(max_examples=150, deadline=None, database=None)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FULL = FIXING._replace(breakage=BREAKAGE._replace(landed=Landed(1.0, "x", ("a",))))
MANY = 100 * "x"


def told(cls: type, text: object) -> str:
    """What is said of garbage."""
    with pytest.raises(Garbage) as caught:
        codec.decode(cls, text)
    return str(caught.value)


def changed(value: Any, **fields: object) -> str:
    """The value as it is written, with other JSON in some fields."""
    return json.dumps({**json.loads(codec.encode(value)), **fields})


# What goes in comes out


@OFTEN
@given(STATES | EVENTS | PROOFS)
@example(FULL)
def test_what_is_written_is_read_as_it_was(value: State | Event | Proof) -> None:
    text = codec.encode(value)
    assert text.isascii()
    assert text.isprintable(), "so a register is promised"
    again = codec.decode(type(value), text)
    assert again == value
    assert type(again) is type(value)


@pytest.mark.parametrize(("strategy", "cls"), [(STATES, State), (EVENTS, Event), (PROOFS, Proof)])
def test_the_strategies_cover_every_field(strategy: object, cls: Any) -> None:
    """A field that is added to a value and not to these tests would go untested, and lost, unseen."""
    assert [name for name in cls._fields if f"{name}=" not in repr(strategy)] in ([], ["heads"])


def test_what_is_read_has_the_types_of_the_model() -> None:
    again = codec.decode(State, codec.encode(FULL))
    assert again.breakage is not None
    assert type(again.breakage.failures) is tuple
    assert type(again.breakage.claim) is Claim
    assert type(again.breakage.landed) is Landed
    assert type(codec.decode(Event, codec.encode(CLAIMED)).kind) is Kind


def test_fields_with_their_defaults_are_left_out() -> None:
    assert json.loads(codec.encode(State("repo"))) == {"scope": "repo"}
    assert json.loads(codec.encode(PROOF)) == {
        "check": "pytest",
        "passed": True,
        "files": PROOF.files,
        "checkout": PROOF.checkout,
        "agent": "ann",
    }


def test_keys_of_a_newer_writer_are_passed_over() -> None:
    assert codec.decode(State, changed(State("repo"), later={"a": [float("nan")]})) == State("repo")


def test_a_whole_number_of_seconds_is_read_as_seconds() -> None:
    at = codec.decode(Proof, changed(PROOF, at=7)).at
    assert (at, type(at)) == (7.0, float)


def test_the_greatest_values_are_read() -> None:
    state = State("x" * LONGEST_NAME, int(GREATEST), last_check=GREATEST)
    event = CLAIMED._replace(reason="x" * LONGEST_TEXT, failures=("x",) * MOST_ENTRIES, lasted=-GREATEST)
    assert codec.decode(State, codec.encode(state)) == state
    assert codec.decode(Event, codec.encode(event)) == event


# What is not read


@OFTEN
@given(JSON, st.sampled_from(State._fields))
def test_any_json_in_a_field_is_a_value_or_garbage(found: object, field: str) -> None:
    said = "nothing"
    try:
        state = codec.decode(State, changed(FULL, **{field: found}))
    except Garbage as error:
        said = str(error)
    else:
        assert codec.decode(State, codec.encode(state)) == state
    assert said.isprintable()
    assert len(said) < 80


@OFTEN
@given(st.text() | JSON.map(json.dumps) | st.binary() | st.integers() | st.none())
def test_any_text_is_garbage_and_told_in_one_short_line(text: object) -> None:
    said = told(Event, text)
    assert said.isprintable()
    assert len(said) < 80


@pytest.mark.parametrize(
    ("value", "fields", "words"),
    [
        (PROOF, {"passed": 1}, "passed is 1"),
        (PROOF, {"passed": None}, "passed is None"),
        (PROOF, {"seen": True}, "seen is True"),
        (PROOF, {"seen": 2.0}, "seen is 2.0"),
        (PROOF, {"seen": "2"}, "seen is '2'"),
        (PROOF, {"seen": int(GREATEST) + 1}, "seen is 250000000001"),
        (PROOF, {"seen": -int(GREATEST) - 1}, "seen is -250000000001"),
        (PROOF, {"at": float("nan")}, "at is nan"),
        (PROOF, {"at": float("-inf")}, "at is -inf"),
        (PROOF, {"at": 2.6e11}, "at is 260000000000.0"),
        (PROOF, {"at": False}, "at is False"),
        (PROOF, {"at": None}, "at is None"),
        (PROOF, {"check": 7}, "check is 7"),
        (PROOF, {"check": {}}, "check is a dict of 0"),
        (PROOF, {"check": None}, "check is None"),
        (PROOF, {"branch": "on \nfire" + MANY}, r"branch is 'on \nfire" + 29 * "x" + "…"),
        (PROOF, {"failures": "ab"}, "failures is 'ab'"),
        (PROOF, {"failures": {"a": 1}}, "failures is a dict of 1"),
        (PROOF, {"failures": ["a", 1]}, "failures is 1"),
        (PROOF, {"failures": ["a"] * (MOST_ENTRIES + 1)}, f"failures is a list of {MOST_ENTRIES + 1}"),
        (PROOF, {"changed": [["a", "", ""]]}, "changed is a list of 3"),
        (PROOF, {"changed": [{"path": "a", "mode": ""}]}, "blob is missing"),
        (CLAIMED, {"kind": "explosion"}, "kind is 'explosion'"),
        (CLAIMED, {"kind": ["fixed"]}, "kind is a list of 1"),
        (CLAIMED, {"kind": {}}, "kind is a dict of 0"),
        (CLAIMED, {"kind": None}, "kind is None"),
        (CLAIMED, {"after": 1}, "after is 1"),
        (FIXING, {"breakage": []}, "breakage is a list of 0"),
        (FIXING, {"breakage": "x"}, "breakage is 'x'"),
        (FIXING, {"breakage": {}}, "check is missing"),
        (FIXING, {"scope": None}, "scope is None"),
        (BREAKAGE, {"seen": {"x": None}}, "seen is None"),
        (BREAKAGE, {"seen": []}, "seen is a list of 0"),
        (BREAKAGE, {"seen": {"a\tb": {"head": "", "branch": "", "files": ""}}}, r"seen is 'a\tb'"),
        (BREAKAGE, {"seen": {str(n): None for n in range(MOST_ENTRIES + 1)}}, "seen is a dict of 10001"),
        (CLAIM, {"stale_after": None}, "stale_after is None"),
    ],
)
def test_a_wrong_field_is_named(value: Any, fields: dict[str, object], words: str) -> None:
    assert told(type(value), changed(value, **fields)) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{}", "State is b'{}'"),
        (None, "State is None"),
        ("[]", "State is a list of 0"),
        ("{}", "scope is missing"),
        ("", "State is ''"),
        ('{"scope": ', "State is '{\"scope\": '"),
        ("9" * 5000, "State is '" + 38 * "9" + "…"),
        ('{"scope": ' + "[" * 100_000, 'State is \'{"scope": ' + 28 * "[" + "…"),
        (f'{{"later": "{LARGEST * "x"}"}}', 'State is \'{"later": "' + 27 * "x" + "…"),
    ],
)
def test_what_is_no_value_at_all_is_shown(text: object, words: str) -> None:
    assert told(State, text) == words


def test_what_could_not_be_read_is_not_written() -> None:
    for bad in (
        CLAIMED._replace(reason="x" * (LONGEST_TEXT + 1)),
        CLAIMED._replace(head="HEAD"),
        CLAIMED._replace(at=float("nan")),
        PROOF._replace(failures=("x" * LONGEST_TEXT,) * (LARGEST // LONGEST_TEXT + 1)),
    ):
        with pytest.raises(Garbage):
            codec.encode(bad)


def test_one_part_can_be_read_alone() -> None:
    assert codec.read("highest", int, 3) == 3
    with pytest.raises(Garbage, match=r"^highest is '3'$"):
        codec.read("highest", int, "3")


# What becomes a word for git or for a terminal

OBJECT_ID = ("", HEAD, "0123456789abcdef" * 4)
NO_OBJECT_ID = ("--output=/x", "HEAD", "c0" * 19, "c0" * 20 + "\n", "C0" * 20, "c0" * 21, "c0" * 33, "X" * 40, " ")
NAME = ("", "ann@host:1234", "checkout:vm:/a b/.git", "caf\udce9", "é" * LONGEST_NAME)
NO_NAME = ("a\nb", "a\x1b[2J", "a\x7f", "a\x9b31m", "\0", "x" * (LONGEST_NAME + 1))
PATH = ("a", "a b/c\nd", "-x", "a/..b/...", "caf\udce9")
NO_PATH = ("", "/etc/passwd", "..", "../a", "a/../b", "a/..", "a\0b")
KINDS: list[tuple[Any, str, tuple[str, ...], tuple[str, ...]]] = [
    *((PROOF, field, OBJECT_ID, NO_OBJECT_ID) for field in ("head", "files", "tree", "failed")),
    (Seen("", "", ""), "head", OBJECT_ID, NO_OBJECT_ID),
    (Content("a", "", ""), "blob", OBJECT_ID, NO_OBJECT_ID),
    (Content("a", "", ""), "mode", ("", "100644"), ("100648", "10064", "0o100644", "XXXXXX")),
    (Content("a", "", ""), "path", PATH, NO_PATH),
    (FIXING, "scope", NAME, NO_NAME),
    *((CLAIM, field, NAME, NO_NAME) for field in ("agent", "checkout")),
    (CLAIMED, "other", NAME, NO_NAME),
]


@pytest.mark.parametrize(
    ("value", "field", "good", "bad"), KINDS, ids=lambda part: part if type(part) is str else ""
)
def test_each_kind_of_word_is_checked(value: Any, field: str, good: tuple[str, ...], bad: tuple[str, ...]) -> None:
    for word in good:
        assert getattr(codec.decode(type(value), changed(value, **{field: word})), field) == word
    for word in bad:
        assert told(type(value), changed(value, **{field: word})).startswith(f"{field} is '")


@pytest.mark.parametrize(
    ("value", "field", "good", "bad"),
    [
        (CLAIMED, "commits", OBJECT_ID, NO_OBJECT_ID),
        (PROOF, "written", PATH, NO_PATH),
        (Landed(1.0, "x", ()), "loose", PATH, NO_PATH),
    ],
)
def test_each_of_several_words_is_checked(
    value: Any, field: str, good: tuple[str, ...], bad: tuple[str, ...]
) -> None:
    assert getattr(codec.decode(type(value), changed(value, **{field: good})), field) == good
    for word in bad:
        assert told(type(value), changed(value, **{field: [*good, word]})).startswith(f"{field} is '")


def test_heads_are_object_ids_wherever_they_stand() -> None:
    class Later(NamedTuple):
        heads: tuple[str, ...]

    assert codec.decode(Later, json.dumps({"heads": [HEAD]})) == Later((HEAD,))
    assert told(Later, '{"heads": ["--all"]}') == "heads is '--all'"


BRANCHES = [
    *("refs/heads/main", "refs/heads/a/b.c", "refs/heads/-x", "refs/heads/a@b", "refs/heads/caf\xe9", "refs/x./y"),
    *("refs/heads/a b", "refs/heads/a~1", "refs/heads/a^", "refs/heads/a:b", "refs/heads/a?", "refs/heads/a*"),
    *("refs/heads/a[b", "refs/heads/a\\b", "refs/heads/a..b", "refs/heads/a@{1}", "refs/heads//a", "refs/heads/a/"),
    *("refs/heads/.a", "refs/heads/a.", "refs/heads/a.lock", "refs/heads/a.lock/b", "refs/heads/a\x7fb"),
    *("refs/heads/a\x01", "refs/heads/a\nb", "refs/", "refs"),
]


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_branch_is_what_git_takes_for_a_ref(branch: str) -> None:
    legal = subprocess.run(["git", "check-ref-format", branch], check=False).returncode == 0
    try:
        codec.decode(Proof, changed(PROOF, branch=branch))
    except Garbage:
        assert not legal
    else:
        assert legal


def test_a_branch_is_no_word_that_only_git_takes_for_a_ref() -> None:
    assert codec.decode(Proof, changed(PROOF, branch="")).branch == ""
    for branch in ("main", "heads/main", "--all/x", "xrefs/heads/a", "refs/heads/a\x9bb"):
        assert told(Proof, changed(PROOF, branch=branch)).startswith("branch is '")


def test_the_store_loads_no_module_that_a_passing_hook_does_not_need() -> None:
    script = "import sys, buildguard.store; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    dear = {
        "click",
        "dataclasses",
        "inspect",
        "psutil",
        "random",
        "rich",
        "shlex",
        "subprocess",
        "tomllib",
    }
    assert "sqlite3" in done.stdout.split()
    assert not dear.intersection(done.stdout.split())
