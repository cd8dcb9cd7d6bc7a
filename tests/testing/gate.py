"""A gate at which a check stands until a test opens it, so that what the test does falls into the check."""

import os
import shlex
from contextlib import suppress
from pathlib import Path

from testing.support import eventually

GATE = "BUILDGUARD_TEST_GATE"
"""Names the gate that a check of ours stands at, if it is closed."""
STAND = f'[ -p "${GATE}" ] && read -r _ < "${GATE}"'
"""The line of shell with which a check stands at the gate that the environment names."""


class Gate:
    """A named pipe: closed as long as it is there, and whoever reads from it stands until `open`."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._held = -1

    @property
    def line(self) -> str:
        """The line of shell with which a check stands here."""
        path = shlex.quote(str(self.path))
        return f"[ -p {path} ] && read -r _ < {path}"

    @property
    def variables(self) -> dict[str, str]:
        """The environment in which `STAND` stands here."""
        return {GATE: str(self.path)}

    def reached(self) -> bool:
        """Whether a check stands here; from then on it stands until `open`."""
        if self._held < 0:
            # Without a reader a pipe cannot be opened so.
            with suppress(OSError):
                self._held = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        return self._held >= 0

    def wait(self) -> None:
        """Return when a check stands here."""
        eventually(self.reached, "a check stands at the gate")

    def open(self) -> None:
        """Let the check go on, and every later one pass."""
        # Who has just begun to stand here, unseen, would be left standing at a pipe that no name leads to.
        self.reached()
        self.path.unlink(missing_ok=True)
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def __enter__(self) -> "Gate":
        return self

    def __exit__(self, *_: object) -> None:
        self.open()
