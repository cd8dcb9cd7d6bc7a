"""How many checks run at once on this machine, if its user has set a bound: each check holds one file of a folder
locked. The system frees the file of a dead holder at once."""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

from buildguard.agents.identity import COMMIT_VARIABLE
from buildguard.checks.runner import ACTIVE_VARIABLE
from buildguard.session import Session
from buildguard.ui.voice import SIGN_OF_LIFE

UNBOUND: Final = -1
"""Instead of a slot's descriptor, where none is needed, or none can be had."""
LOOK_EVERY_SECONDS: Final = 0.1


def free(session: Session) -> int | None:
    """A free slot, held as long as its descriptor is open; `UNBOUND` where there is no bound; None where all are
    taken."""
    environment, most = session.environment, session.settings.slots
    # What a run of ours has started is part of that one, and a hook of its commit.
    if not most or any(environment.get(name) for name in (ACTIVE_VARIABLE, COMMIT_VARIABLE)):
        return UNBOUND
    with suppress(OSError):
        folder = _folder(environment)
        for number in range(most):
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            slot = os.open(f"{folder}/slot-{number}", flags, 0o600)
            try:
                fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(slot)
            else:
                return slot
        return None
    return UNBOUND


@contextmanager
def held(session: Session, lives: Callable[[], bool], patient: bool = True) -> Iterator[None]:
    """Hold a slot. If all are taken, wait for one; without being `patient` go on, over the bound."""
    slot, queue = free(session), Queue(session)
    while slot is None and patient and lives():
        queue.wait()
        slot = free(session)
    try:
        yield
    finally:
        if slot is not None and slot != UNBOUND:
            os.close(slot)


class Queue:
    """Waits for a slot, and says so: at once, and every 30 seconds."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._said = -SIGN_OF_LIFE
        self._began = time.monotonic()

    def wait(self) -> None:
        """Until the next look."""
        waited = time.monotonic() - self._began
        if waited - self._said >= SIGN_OF_LIFE:
            self._said = waited
            self._session.voice.say(
                f"waiting for a slot: {self._session.settings.slots} checks run on this machine"
            )
        time.sleep(LOOK_EVERY_SECONDS)


def _folder(environment: Mapping[str, str]) -> str:
    """The user's own folder for what runs. Raises `OSError`, also if it is somebody else's."""
    runtime, user = environment.get("XDG_RUNTIME_DIR", ""), os.getuid()
    own = os.path.isabs(runtime) and os.path.isdir(runtime)  # noqa: PTH112, PTH117
    path = f"{runtime}/buildguard" if own else f"{environment.get('TMPDIR') or '/tmp'}/buildguard-{user}"  # noqa: S108
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)  # noqa: PTH102
    mode = os.lstat(path)
    if not stat.S_ISDIR(mode.st_mode) or mode.st_uid != user or mode.st_mode & 0o022:
        raise PermissionError(errno.EPERM, "not a folder of our own", path)
    return path
