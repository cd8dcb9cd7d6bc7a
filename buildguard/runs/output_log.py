"""The log of a run: its runner writes, any number of onlookers read. The first and the last 8 MiB are kept."""

import os
from collections.abc import Callable
from typing import Final, NamedTuple

from buildguard.checks.output import passed_on

KEPT: Final = 8 << 20
"""Bytes that are kept from the start of what was printed, and as many from its end."""
_PIECE: Final = 1 << 16
_BEFORE_IT: Final = 1024
"""Bytes in front of the output: its length, and how the run began."""


class Beginning(NamedTuple):
    """What is known of a run from its beginning: the process that runs it (only to be recognised above us), when it
    began (seconds since the epoch), the last event before it, and who began it."""

    process: int
    began: float
    seen: int
    agent: str


def create(path: str) -> int:
    """A new log, as a descriptor. Raises `OSError`."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def write_beginning(log: int, head: Beginning) -> None:
    """Say how the run began. Raises `OSError`."""
    text = "\0".join((str(head.process), repr(head.began), str(head.seen), head.agent, ""))
    # A name that is too long ends early: what comes behind is the output.
    os.pwrite(log, text.encode(errors="replace")[: _BEFORE_IT - 8], 8)


def read_beginning(log: int) -> Beginning:
    """How the run began. Raises `OSError` and `ValueError`."""
    process, began, seen, agent = os.pread(log, _BEFORE_IT - 8, 8).decode(errors="replace").split("\0")[:4]
    return Beginning(int(process), float(began), int(seen), agent)


class Writer:
    """Writes a log, after whose first part the last one goes round and round."""

    def __init__(self, log: int) -> None:
        self._log = log
        self._length = 0

    def write(self, piece: bytes) -> None:
        """Add to it. Raises `OSError`."""
        while piece:
            at, room = _place(self._length)
            written = os.pwrite(self._log, piece[:room], at)
            self._length += written
            piece = piece[written:]
        # Last, so that nobody reads what is not there yet.
        os.pwrite(self._log, self._length.to_bytes(8, "little"), 0)


class Reader:
    """Reads a log from its start, while it is written."""

    def __init__(self, log: int) -> None:
        self._log = log
        self._at = 0

    def read(self) -> bytes:
        """The next piece; empty where there is none yet. What was overwritten before we came to it is counted."""
        while self._at < (length := self._length()):
            oldest = max(KEPT, length - KEPT)
            if KEPT <= self._at < oldest:
                # With a distance, or the writer would overtake us again at once.
                ahead = min(length, oldest + (KEPT >> 2))
                left_out, self._at = ahead - self._at, ahead
                return f"\nbuildguard: {left_out} bytes of the output are left out here\n".encode()
            at, room = _place(self._at)
            piece = os.pread(self._log, min(_PIECE, room, length - self._at), at)
            if self._at < KEPT or self._length() - self._at <= KEPT:
                self._at += len(piece)
                return piece
        return b""

    def _length(self) -> int:
        return int.from_bytes(os.pread(self._log, 8, 0), "little")


def last_line(log: int) -> str:
    """The last line that was printed, at most 1 KiB of it. Raises `OSError`."""
    length = int.from_bytes(os.pread(log, 8, 0), "little")
    at, end = max(0, length - 1024), b""
    while at < length:
        place, room = _place(at)
        piece = os.pread(log, min(room, length - at), place)
        if not piece:
            break
        end, at = end + piece, at + len(piece)
    return end.strip().rpartition(b"\n")[2].decode(errors="replace").rpartition("\r")[2]


class Copy:
    """Passes on what the logs say; before it does, it calls `speaks`."""

    def __init__(
        self, logs: list[int], sinks: tuple[int, int], over: Callable[[], bool], speaks: Callable[[], None]
    ) -> None:
        self._sources = [(Reader(log), number) for number, log in enumerate(logs)]
        self._sinks = list(sinks)
        self._over = over
        self._speaks = speaks
        self._last = b"\n"
        self.behind = False

    def turn(self) -> bool:
        """Pass on a piece of each; whether there was any."""
        self.behind = False
        for reader, number in self._sources:
            if piece := reader.read():
                self._speaks()
                self.behind, self._last = True, piece[-1:]
                sink = self._sinks[number]
                if sink >= 0 and not passed_on(piece, sink, self._over):
                    self._sinks[number] = -1
        return self.behind

    @property
    def line_open(self) -> bool:
        """Whether the last line has not ended yet."""
        return self._last != b"\n"

    def end(self) -> None:
        """End the last line: else our own next one may begin in its middle."""
        if self.line_open and self._sinks[1] >= 0:
            passed_on(b"\n", self._sinks[1], lambda: True)


def _place(length: int) -> tuple[int, int]:
    """Where the byte lies that so many stand before, and how many may follow it there."""
    within = length if length < KEPT else KEPT + (length - KEPT) % KEPT
    return _BEFORE_IT + within, KEPT - within % KEPT
