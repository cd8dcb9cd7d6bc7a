"""Passes on what a check prints, and keeps the end of it."""

import os
import select
from collections.abc import Callable, Iterable
from contextlib import suppress
from subprocess import Popen
from typing import Final

TAIL_BYTES: Final = 1 << 20
"""How much of the output a result keeps. An unprivileged pipe holds no more either."""
LOOK_EVERY: Final = 0.15
"""Seconds between two looks at the clock and at the calling git."""


def ready(descriptors: Iterable[int], seconds: float, event: int = select.POLLIN) -> list[int]:
    """Those that can be read (or written: `POLLOUT`) within so many seconds, or whose other end is closed."""
    # `select` takes no number beyond 1023, and a coding agent may hand on more descriptors than that.
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, event)
    return [descriptor for descriptor, _ in poll.poll(seconds * 1000)]


def passed_on(piece: bytes, sink: int, over: Callable[[], bool]) -> bool:
    """Write it all, unless it is `over` meanwhile; False if nobody reads there any more."""
    while piece:
        # In portions that cannot block: a reader that stands still must not keep us from ending.
        if ready([sink], LOOK_EVERY, select.POLLOUT):
            try:
                piece = piece[os.write(sink, piece[: select.PIPE_BUF]) :]
            except BlockingIOError:
                continue
            except OSError:  # its reader is gone, which is no fault of the check
                return False
        elif over():
            break
    return True


class Output:
    """What the check prints, on its way to the descriptors for its stdout and its stderr. `over` says that nobody
    waits for it any more; what can be read from `wake` tells to look. `write`, if given, takes the place of writing
    to a descriptor."""

    def __init__(
        self,
        check: Popen[bytes],
        sinks: tuple[int, int],
        wake: int,
        over: Callable[[], bool],
        write: Callable[[int, bytes], None] | None = None,
    ) -> None:
        self.tail = bytearray()
        self._wake, self._over, self._write = wake, over, write
        sources = [file.fileno() for file in (check.stdout, check.stderr) if file]
        self._sinks, self._our_sink = dict(zip(sources, sinks, strict=False)), sinks[1]
        for source in sources:
            os.set_blocking(source, False)

    def turn(self) -> None:
        """Pass on what comes within `LOOK_EVERY` seconds, or until a signal comes or a child ends."""
        for source in ready([self._wake, *self._sinks], LOOK_EVERY):
            if source == self._wake:
                os.read(source, 1 << 9)
            else:
                self._pass_on(source)

    def finish(self) -> None:
        """Pass on what is there, and not what a process left behind may print yet. End the last line."""
        for source in list(self._sinks):
            room = TAIL_BYTES
            while room > 0 and (length := self._pass_on(source)):
                room -= length
        # Else our own next line may begin in the middle of the check's last one.
        unended = self._write is None and self.tail and not self.tail.endswith(b"\n")
        if unended and ready([self._our_sink], 0, select.POLLOUT):
            with suppress(OSError):
                os.write(self._our_sink, b"\n")

    def _pass_on(self, source: int) -> int:
        """Pass on one piece; its length, 0 when there is none."""
        try:
            piece = os.read(source, 1 << 16)
        except BlockingIOError:
            return 0
        self.tail += piece
        del self.tail[: -2 * TAIL_BYTES]
        sink = self._sinks[source] if piece else self._sinks.pop(source)
        if piece and self._write is not None:
            self._write(sink, piece)
        elif piece and sink >= 0 and not passed_on(piece, sink, self._over):
            self._sinks[source] = -1
        return len(piece)
