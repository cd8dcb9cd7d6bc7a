"""A real terminal of a size, at which a person types while a command runs."""

import fcntl
import os
import re
import struct
import subprocess
import termios
import threading
from typing import Self

from testing.support import Checkout, eventually

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def without_escapes(text: str) -> str:
    return _ESCAPE.sub("", text).replace("\r\n", "\n")


class Screen:
    """A command at a terminal. All that it writes is heard while it runs."""

    def __init__(self, checkout: Checkout, columns: int, *argv: str, agent: str = "me", **more: str) -> None:
        self._leader, follower = os.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self.process = subprocess.Popen(
            argv,
            cwd=checkout.path,
            env=checkout.env(agent, TERM="xterm-256color", **more),
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
        )
        os.close(follower)
        self._heard: list[bytes] = []
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        while True:
            try:
                piece = os.read(self._leader, 1 << 16)
            except OSError:
                return
            if not piece:
                return
            self._heard.append(piece)

    @property
    def raw(self) -> str:
        """All that was written, with its escape sequences."""
        return b"".join(self._heard).decode(errors="replace")

    @property
    def frame(self) -> list[str]:
        """The lines that a live screen shows now, without those at its end that are empty."""
        # A frame that is being written is not there yet.
        frames = self.raw.split("\x1b[H")
        lines = without_escapes(frames[-1]).replace("\r", "").rstrip().split("\n")
        return [line.rstrip() for line in lines]

    def shows(self, words: str) -> None:
        """Return once the live screen shows that."""
        eventually(lambda: any(words in line for line in self.frame), f"{words!r} on the screen")

    def says(self, pattern: str) -> None:
        """Return once it has written what fits that pattern."""
        eventually(lambda: re.search(pattern, self.raw) is not None, pattern)

    def types(self, keys: str) -> None:
        os.write(self._leader, keys.encode())

    def ends(self) -> int:
        """Its exit status."""
        status = self.process.wait(60)
        self._reader.join(60)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.ends()
        os.close(self._leader)
