"""(c) How soon a waiter notices that the fixer is done, and what waiting costs.

From the fixer's committed release to the moment at which the waiter's own process knows, without the start and
end of either's interpreter. Processor time is the waiter's, less its start. The countdown that a person sees on
a terminal is not in it.
"""

import random
import time
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.guards import guard
from benchmarks.table import Row, Table, median, percentile

from buildguard.store.sqlite import POLL_SECONDS

LONG = 60.0
"""Seconds that a waiter would wait; none ever does."""


def measure(folder: Path, smallest: bool) -> Table:
    """Wake-ups at random moments between two looks, then one undisturbed wait."""
    chance = random.Random(1)
    noticed = [_wake(folder / f"{number}.db", chance.uniform(0.05, 0.2)) for number in range(1 if smallest else 25)]
    late = [(woken - released) * 1000 for released, woken, _, _ in noticed]
    _, _, worked, lasted = _wake(folder / "idle.db", 0.3 if smallest else 6.0)
    share = 100 * worked / lasted
    look = POLL_SECONDS * 1000
    return Table(
        "(c) a waiter; ratio to the time between two looks, and to one per cent of a core",
        (
            Row("time between two looks", look, "ms", 1.0),
            Row("wake-up, median", median(late), "ms", median(late) / look, most=50.0),
            Row("wake-up, 99th percentile", percentile(late, 99), "ms", percentile(late, 99) / look),
            Row(f"processor time of a wait of {lasted:.1f} s", share, "% of a core", share, most=1.0),
        ),
    )


def _wake(path: Path, after: float) -> tuple[float, float, float, float]:
    """Release a claim `after` seconds of waiting. When it was released and when the waiter knew (the same
    monotonic clock), the waiter's processor time and how long it waited, all in seconds."""
    fixer = guard(path, "fixer")
    fixer.failed(None)
    fixer.store.close()
    mine, theirs = Pipe(duplex=False)
    process = get_context("fork").Process(target=_wait, args=(path, theirs))
    process.start()
    mine.recv()
    # Not to synchronise: the moment of the release, as seen from between two looks, has to be a random one.
    time.sleep(after)
    fixer.release(None, gave_up=False, reason="")
    released = time.monotonic()
    woken, worked, lasted = mine.recv()
    process.join()
    fixer.store.close()
    return released, max(released, woken), worked, lasted


def _wait(path: Path, answer: Connection) -> None:
    waiter, told = guard(path, "waiter"), False
    began, worked = time.monotonic(), time.process_time()
    for moment in waiter.waiting(LONG):
        if moment.holder is None:
            break
        if not told:
            told = True
            answer.send("waiting")
    woken = time.monotonic()
    answer.send((woken, time.process_time() - worked, woken - began))
