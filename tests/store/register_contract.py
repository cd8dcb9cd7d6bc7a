"""What every register promises, whichever engine keeps it. The tests of an engine subclass the suite and give it
their `engine`; a new one has to pass all of it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest
from testing.support import PATIENCE, PROJECT

from buildguard.store.register import Denied, Kept, Lost, Register

RACE_PATIENCE = PATIENCE * 4
"""Seconds after which a race has hung."""
LARGE = "".join(map(chr, range(32, 127))) * 10_000
"""All that a document may hold, nearly a megabyte."""
_RACE = """
import json, os, sys, traceback
import psycopg
from pathlib import Path
from store.machines import git_register
from buildguard.store.postgres import Postgres
from buildguard.store.register import Kept, Lost
racers, stands = int(sys.argv[1]), json.loads(sys.argv[2])
start, starter = os.pipe()
ready, reporter = os.pipe()
for racer in range(racers):
    if os.fork() == 0:
        try:
            os.close(starter)
            register = REGISTER
            register.load("warm")
            os.close(reporter)
            os.read(start, 1)
            for key, token in stands.items():
                try:
                    register.swap(key, Kept(token), f"racer-{racer}", "race")
                    os.write(1, f"{key} racer-{racer}\\n".encode())
                except Lost:
                    pass
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(99)
os.close(reporter)
while os.read(ready, 1):
    pass
os.close(starter)
print("end", *(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(racers)))
"""
"""Forks the racers from one interpreter; each opens its own register, then all go."""


class RegisterEngine(NamedTuple):
    """An engine and its administrator."""

    open: Callable[[], Register]
    """A register as on another machine."""
    expression: str
    """The same in Python, for the process `racer`."""
    put: Callable[[str, Kept], object]
    """Put back what stood under a key before."""
    drop: Callable[[str], object]
    """Remove all that stands under a key."""
    forbid: Callable[[], object]
    """Let nobody write any more."""
    refusal: str
    """The engine's own word for that."""


def race(engine: RegisterEngine, racers: int, rounds: int) -> None:
    """Let processes swap the same keys, half of which exist already; each must have exactly one winner."""
    ours = engine.open()
    keys = [f"round-{number}" for number in range(rounds)]
    stands = {key: ours.swap(key, Kept(), "before", "race").token if at % 2 else "" for at, key in enumerate(keys)}
    done = subprocess.run(
        [sys.executable, "-c", _RACE.replace("REGISTER", engine.expression), str(racers), json.dumps(stands)],
        env={**os.environ, "PYTHONPATH": str(PROJECT / "tests")},
        capture_output=True,
        text=True,
        timeout=RACE_PATIENCE,
    )
    *wins, end = done.stdout.splitlines()
    assert (end, done.stderr) == (f"end{' 0' * racers}", "")
    found = [(key, ours.load(key).data) for key in keys]
    assert sorted(tuple(win.split()) for win in wins) == sorted(found)
    ours.close()


class RegisterContract:
    """The suite."""

    @pytest.fixture
    def ann(self, engine: RegisterEngine) -> Register:
        return engine.open()

    @pytest.fixture
    def bob(self, engine: RegisterEngine) -> Register:
        return engine.open()

    def test_nothing_has_an_empty_token(self, ann: Register) -> None:
        assert ann.load("build")[:2] == ("", "")

    def test_what_one_machine_writes_another_one_reads(self, ann: Register, bob: Register) -> None:
        written = ann.swap("build", Kept(), "one", "claimed")
        assert written.token
        assert bob.load("build")[:2] == written[:2] == (written.token, "one")

    def test_only_one_creates(self, ann: Register, bob: Register) -> None:
        assert bob.load("build").token == ""
        ann.swap("build", Kept(), "ann's", "claimed")
        with pytest.raises(Lost):
            bob.swap("build", Kept(), "bob's", "claimed")
        assert bob.load("build").data == "ann's"

    def test_who_expects_an_older_version_loses_and_changes_nothing(self, ann: Register, bob: Register) -> None:
        first = ann.swap("build", Kept(), "one", "claimed")
        second = ann.swap("build", first, "two", "released")
        with pytest.raises(Lost):
            bob.swap("build", first, "three", "claimed")
        assert bob.load("build")[:2] == second[:2]
        assert ann.swap("build", second, "four", "claimed").data == "four"

    def test_the_same_text_twice_is_two_versions(self, ann: Register, bob: Register) -> None:
        first = ann.swap("build", Kept(), "one", "claimed")
        second = ann.swap("build", first, "one", "claimed")
        assert second.token != first.token
        with pytest.raises(Lost):
            bob.swap("build", first, "one", "claimed")

    def test_a_known_version_comes_back_until_there_is_another(self, ann: Register, bob: Register) -> None:
        first = ann.swap("build", Kept(), "one", "claimed")
        assert bob.load("build", first)[:2] == first[:2]
        second = ann.swap("build", first, "two", "released")
        assert bob.load("build", first)[:2] == second[:2]

    def test_a_large_document_comes_back_whole(self, ann: Register, bob: Register) -> None:
        written = ann.swap("build", Kept(), LARGE, "claimed")
        assert bob.load("build")[:2] == (written.token, LARGE)

    @pytest.mark.parametrize("data", [" ", " a\\n%s {} $1 ' \"\\", "-- x; DROP TABLE buildguard_1", "x" * 80 + " "])
    def test_a_document_comes_back_to_the_last_blank(self, ann: Register, bob: Register, data: str) -> None:
        ann.swap("build", Kept(), data, "claimed")
        assert bob.load("build").data == data

    @pytest.mark.parametrize("other", ["build-", "Build", "uild", "build_1", "b" * 80])
    def test_two_keys_never_meet(self, ann: Register, bob: Register, other: str) -> None:
        one = ann.swap("build", Kept(), "one", "claimed")
        assert bob.load(other)[:2] == ("", "")
        two = bob.swap(other, Kept(), "two", "claimed")
        assert (ann.load("build")[:2], ann.load(other)[:2]) == (one[:2], two[:2])

    def test_a_document_that_was_removed_is_missed(self, engine: RegisterEngine, ann: Register) -> None:
        first = ann.swap("build", Kept(), "one", "claimed")
        engine.drop("build")
        assert ann.load("build", first)[:2] == ("", "")
        with pytest.raises(Lost):
            ann.swap("build", first, "two", "claimed")
        assert ann.swap("build", Kept(), "two", "claimed").data == "two"

    def test_an_engine_that_was_set_back_is_noticed(self, engine: RegisterEngine, ann: Register) -> None:
        first = ann.swap("build", Kept(), "one", "claimed")
        second = ann.swap("build", first, "two", "released")
        engine.put("build", first)
        with pytest.raises(Lost):
            ann.swap("build", second, "three", "claimed")
        assert ann.load("build", second)[:2] == first[:2]

    def test_who_may_not_write_is_told_so_in_the_engines_words(self, engine: RegisterEngine, ann: Register) -> None:
        first = ann.swap("build", Kept(), "one", "claimed")
        engine.forbid()
        late = engine.open()
        for expected in (first, Kept()):
            with pytest.raises(Denied, match=engine.refusal):
                late.swap("build" if expected.token else "other", expected, "two", "claimed")
        assert late.load("build")[:2] == first[:2]

    def test_a_wait_for_a_change_that_does_not_come_ends_in_time(self, ann: Register) -> None:
        known = ann.swap("build", Kept(), "one", "claimed")
        ann.swap("other", Kept(), "two", "claimed")
        assert not ann.changed("build", known, 0.2)

    def test_it_can_be_used_after_it_was_closed(self, ann: Register) -> None:
        first = ann.swap("build", Kept(), "one", "claimed")
        ann.close()
        ann.close()
        assert ann.load("build")[:2] == first[:2]
        ann.close()
        assert ann.swap("build", first, "two", "claimed").data == "two"

    def test_of_many_who_swap_at_once_one_wins(self, engine: RegisterEngine) -> None:
        race(engine, racers=6, rounds=4)

    def test_a_count_of_many_loses_nothing(self, engine: RegisterEngine) -> None:
        def count(register: Register) -> None:
            for _ in range(4):
                while True:
                    known = register.load("count")
                    try:
                        register.swap("count", known, str(int(known.data or "0") + 1), "counted")
                        break
                    except Lost:
                        continue

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(count, [engine.open() for _ in range(4)]))
        assert engine.open().load("count").data == "16"
