"""(b) How long a claim takes when many processes claim at once.

Measured inside the claiming processes, around the verb alone: open the store, claim, close. The interpreter's
start is not in it, nor is what any first use in a process costs: each has claimed once in a database of its own.
The common database exists already; that making it amid the race elects one fixer too is for the tests to show.
"""

import os
import time
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.guards import guard
from benchmarks.table import Row, Table, median, percentile

from buildguard.claims.model import Outcome

ROUNDS = {1: 20, 8: 20, 32: 20, 64: 8}
TARGETS = {32: (10.0, 100.0)}
"""Milliseconds: median, 99th percentile."""


def measure(folder: Path, smallest: bool) -> Table:
    """Rounds of processes that claim at once; each round must have exactly one winner."""
    rounds = {1: 1, 8: 1} if smallest else ROUNDS
    took = {
        many: [one for number in range(times) for one in _race(folder / f"{many}-{number}" / "state.db", many)]
        for many, times in rounds.items()
    }
    alone = median(took[1])
    rows: list[Row] = []
    for many, values in took.items():
        most, most_99 = TARGETS.get(many, (None, None))
        middle, slow = median(values), percentile(values, 99)
        rows.append(Row(f"{many} at once, median", middle, "ms", middle / alone, most))
        rows.append(Row(f"{many} at once, 99th percentile", slow, "ms", slow / alone, most_99))
    return Table("(b) `claim`, inside the claiming processes; ratio to one alone", tuple(rows))


def _race(path: Path, many: int) -> list[float]:
    """Milliseconds of each of `many` processes that claim at one moment."""
    _claimed(path, "somebody before", release=True)
    start, opened = os.pipe()
    processes = []
    for number in range(many):
        mine, theirs = Pipe(duplex=False)
        process = get_context("fork").Process(target=_claim, args=(path, f"agent {number}", start, opened, theirs))
        process.start()
        theirs.close()
        mine.recv()  # it has come to the starting line
        processes.append((process, mine))
    # The end of file is the starting signal, which reaches all of them at once.
    os.close(opened)
    answers = []
    for process, mine in processes:
        answers.append(mine.recv())
        process.join()
    os.close(start)
    winners = [outcome for outcome, _ in answers if outcome is Outcome.CLAIMED]
    losers = [outcome for outcome, _ in answers if outcome is Outcome.BUSY]
    assert (len(winners), len(losers)) == (1, many - 1), answers
    return [took for _, took in answers]


def _claim(path: Path, name: str, start: int, opened: int, answer: Connection) -> None:
    os.close(opened)
    _claimed(path.with_name(f"{name}.db"), name)
    answer.send("ready")
    os.read(start, 1)
    began = time.perf_counter()
    outcome = _claimed(path, name)
    answer.send((outcome, (time.perf_counter() - began) * 1000))


def _claimed(path: Path, name: str, release: bool = False) -> Outcome:
    ours = guard(path, name)
    outcome = ours.failed(None).outcome
    if release:
        ours.release(None, gave_up=False, reason="")
    ours.store.close()
    return outcome
