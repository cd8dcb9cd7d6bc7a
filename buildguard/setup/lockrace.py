"""Whether a file system grants a database's lock to one process only: two real ones race for it.

Some shared folders of container desktops grant the same lock twice. No call tells that: only a race does.
"""

import os
import select
import signal
import tempfile
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import NoReturn

from buildguard.claims.model import Outcome, Snapshot, Step
from buildguard.store.faults import Unavailable
from buildguard.store.sqlite import Store

_LOSES_AFTER = 0.05
"""Seconds for which the one that does not get the lock goes on trying."""
_RACE_ENDS = 10.0
"""Seconds after which a racer that said nothing is given up: the file system hangs."""
_WON, _LOST = b"w", b"l"


class Race(Enum):
    """How many of two processes got the lock at the same time."""

    ONE_WON = "one"
    BOTH_WON = "both"
    NONE_WON = "none"


def race(folder: Path) -> Race:
    """Race two processes for the lock of a scratch database in that folder, with the store's own locking; leaves
    nothing behind. Raises OSError and `Unavailable` where the folder cannot be written."""
    with tempfile.TemporaryDirectory(prefix="buildguard-race-", dir=folder) as scratch:
        path = Path(scratch) / "race.db"
        # Made beforehand: the race is for the lock of a transaction, not for making the file.
        first = Store(path)
        first.update("race", lambda _: _STEP)
        first.close()
        told = _told_by_two(path)
    if told == [_WON, _WON]:
        return Race.BOTH_WON
    return Race.ONE_WON if _WON in told else Race.NONE_WON


def _told_by_two(path: Path) -> list[bytes]:
    told, tell = os.pipe()
    over, end = os.pipe()
    racers = []
    try:
        for _ in range(2):
            racer = os.fork()
            if racer == 0:
                os.close(end)
                _run(path, tell, over)
            racers.append(racer)
        return _listen(told)
    finally:
        os.close(end)
        for racer in racers:
            # On a file system that hangs they would not end by themselves.
            os.kill(racer, signal.SIGKILL)
            os.waitpid(racer, 0)
        for descriptor in (told, tell, over):
            os.close(descriptor)


def _run(path: Path, tell: int, over: int) -> NoReturn:
    """One racer, in a process of its own. The winner holds the lock until the race is over."""

    def hold(_: Snapshot) -> Step:
        os.write(tell, _WON)
        # Ends when our parent says so, or dies.
        os.read(over, 1)
        return _STEP

    # Whatever happens, the parent's code must not go on in this process.
    try:
        _enter(path, hold)
    except Unavailable:
        os.write(tell, _LOST)
    finally:
        os._exit(0)


def _enter(path: Path, hold: Callable[[Snapshot], Step]) -> None:
    Store(path, lock_bound=_LOSES_AFTER).update("race", hold)


def _listen(told: int) -> list[bytes]:
    heard: list[bytes] = []
    deadline = time.monotonic() + _RACE_ENDS
    while len(heard) < 2:
        ready, _, _ = select.select([told], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return heard
        heard.append(os.read(told, 1))
    return heard


_STEP = Step(Outcome.STATUS, "race")
"""Changes nothing, but takes the lock as any step does."""
