"""What a clone remembers of an engine, in a folder of its own in git's: what it last saw there, since when it does
not answer, and whose turn it is to ask."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from buildguard.git import private
from buildguard.store import codec, document
from buildguard.store.register import Unreachable

_ENGINE = "engine"
AWAY_SECONDS = 30.0
"""For how long nobody in this clone asks an engine again that did not answer, or writes to one that refused."""
LISTENER_SECONDS = 2.0
"""After which a process that listened to the engine, and has not been heard of, is replaced."""
TURN_SECONDS = 25.0
"""How long others of this clone may ask before us."""


class TurnTaken(Unreachable):
    """Others of this clone ask the engine. That says nothing of the engine."""


class Sighting(NamedTuple):
    """The engine's document as this clone last saw it, `at` by the system's clock. `skew`: by how much the engine's
    own clock was ahead of ours, if it has one. `where`: which engine it was."""

    token: str = ""
    data: str = ""
    at: float = 0.0
    skew: float | None = None
    where: str = ""


class Clone:
    """The clone whose git folder that is, and the engine of that name: of another one nothing is taken over. Where
    nothing can be written, nothing is remembered."""

    def __init__(self, git_dir: Path, where: str) -> None:
        self._git_dir = git_dir
        self._where = where
        self._own = os.urandom(8).hex()
        self._folder = git_dir / "buildguard" / _ENGINE

    def copy(self, key: str) -> Sighting:
        """The copy of the document; an empty one where there is none, or what lies there is none."""
        try:
            head, _, data = private.read(self._folder / f"copy-{key}", 2 * codec.LARGEST)[0].partition("\n")
            document.decoded(data)
            found = codec.decode(Sighting, head)._replace(data=data)
            return found if found.where == self._where else Sighting()
        except (OSError, codec.Garbage):
            return Sighting()

    def keep(self, key: str, copy: Sighting) -> None:
        """Keep that copy. The engine has answered."""
        head = codec.encode(copy._replace(data="", where=self._where))
        self._write(f"copy-{key}", f"{head}\n{copy.data}".encode())
        with suppress(OSError):
            (self._folder / "away").unlink(missing_ok=True)

    @property
    def away(self) -> str:
        """Why the engine counts as away; empty while it does not."""
        return self._lately("away")

    @property
    def denied(self) -> str:
        """Why the engine was not to be written lately; empty if that is not known."""
        return self._lately("denied")

    def mark_away(self, why: str) -> None:
        """Ask no more for a while."""
        self._mark("away", why)

    def mark_denied(self, why: str) -> None:
        """Write no more for a while."""
        self._mark("denied", why)

    def _lately(self, name: str) -> str:
        try:
            since = time.time() - (self._folder / name).lstat().st_mtime
            where, _, why = private.read(self._folder / name)[0].partition("\n")
            return why if where == self._where and 0 <= since < AWAY_SECONDS else ""
        except OSError:
            return ""

    def _mark(self, name: str, why: str) -> None:
        if not self._lately(name):
            self._write(name, f"{self._where}\n{why[:200] or 'no answer'}".encode(errors="replace"))

    def due(self, key: str, every: float) -> bool:
        """Whether nobody of this clone has asked for that many seconds. Then it is the caller who asks."""
        path = self._folder / f"copy-{key}"
        try:
            if abs(time.time() - path.stat().st_mtime) < every:
                return False
            os.utime(path)
        except OSError:
            return not path.exists()
        return True

    def listens(self) -> bool:
        """Whether it is this process that listens to the engine: another one does so as long as it still waits."""
        path = self._folder / "listener"
        with suppress(OSError):
            if private.read(path)[0] == self._own:
                os.utime(path)
                return True
            if abs(time.time() - path.stat().st_mtime) < LISTENER_SECONDS:
                return False
        self._write("listener", self._own.encode())
        return True

    @contextmanager
    def turn(self, waits: bool = True) -> Iterator[None]:
        """Let one process of a clone ask at a time: so what it is told is never older than the copy. Raises
        `TurnTaken` where others take too long, or at once where nobody `waits`."""
        try:
            folder = os.open(private.folder(self._git_dir, _ENGINE), os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            yield  # nothing can be kept here, so nothing can be mixed up
            return
        try:
            with suppress(OSError):  # a file system without locks
                if not private.locked(folder, time.monotonic() + (TURN_SECONDS if waits else 0.0)):
                    raise TurnTaken("another process of this clone has been asking for too long")
            yield
        finally:
            os.close(folder)

    def _write(self, name: str, content: bytes) -> None:
        with suppress(OSError):
            private.folder(self._git_dir, _ENGINE)
            private.write(self._folder / name, content)
