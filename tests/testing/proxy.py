"""A TCP proxy on loopback that damages the line between a client and a real server."""

import socket
import threading
import time
from contextlib import suppress
from typing import Literal, Self

from testing.servers import HERE

When = Literal["before", "during", "after", "silence"]


class Proxy:
    """Passes all on to a port of loopback, until it is told otherwise. `connections` counts those that came."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._listener = socket.create_server((HERE, 0), backlog=256)
        self.port = int(self._listener.getsockname()[1])
        self.connections = 0
        self.cuts = 0
        self.delay = 0.0
        self.silent = False
        self._trap: tuple[bytes, When, bool] | None = None
        self._refuses = False
        self._lines: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def refuse(self) -> None:
        """End all connections, and every new one at once."""
        self._refuses = True
        for line in self._lines:
            _cut(line)

    def heal(self) -> None:
        """Damage nothing any more."""
        self._refuses, self.silent, self._trap, self.delay = False, False, None, 0.0

    def cut_at(self, words: bytes, when: When, for_good: bool = False) -> None:
        """Cut the next connection on which the client says these words: `before` they reach the server, half of
        them past (`during`), or once the server has answered (`after`: the answer is lost); or pass them on and
        nothing else ever after, with every line open (`silence`). `for_good`: then refuse."""
        self._trap = (words, when, for_good)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                if self._refuses:
                    _cut(client)
                    continue
                server = socket.create_connection((HERE, self._upstream))
                self._lines += [client, server]
                doomed = threading.Event()
                for ends in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass_on, args=(*ends, doomed), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, asks: bool, doomed: threading.Event) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                time.sleep(self.delay)
                if self.silent:
                    continue
                if asks and self._trap and self._trap[0] in chunk:
                    _, when, for_good = self._trap
                    if when == "after":
                        doomed.set()
                    elif when == "silence":
                        self.silent = True
                    else:
                        sink.sendall(chunk[: len(chunk) // 2] if when == "during" else b"")
                        self._spring(source, sink, for_good)
                        return
                if not asks and doomed.is_set():
                    self._spring(source, sink, bool(self._trap and self._trap[2]))
                    return
                sink.sendall(chunk)
        # The end of one side is passed on; in silence nothing is.
        if not self.silent:
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

    def _spring(self, source: socket.socket, sink: socket.socket, for_good: bool) -> None:
        self._trap = None
        self.cuts += 1
        if for_good:
            self.refuse()
        _cut(source)
        _cut(sink)


def _cut(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()
