"""Clones of one remote, whose engine is a ref there."""

import shlex
import socket
import threading
from pathlib import Path
from typing import Self

from testing.breakage import CHECK
from testing.support import Checkout, new_repository

ENGINE = "git:origin"
REF = "refs/buildguard/1/default"
WHERE = "refs/buildguard/1 on origin"


def remote_with(folder: Path, *names: str, broken: bool = True) -> list[Checkout]:
    """Clones of those names of a bare remote `hub.git`, with the hook; its main is broken unless told otherwise."""
    first = new_repository(folder / "seed", folder / "home", check="sh check.sh")
    first.write("check.sh", CHECK)
    with (first.path / ".buildguard.toml").open("a") as settings:
        settings.write(f'engine = "{ENGINE}"\n')
    first.write("app.txt", "BROKEN\n" if broken else "fine\n")
    first.ok("add", "-A")
    first.ok("commit", "-q", "--no-verify", "-m", "the engine")
    first.ok("clone", "-q", "--bare", ".", str(folder / "hub.git"))
    return [clone(folder, name, first) for name in names]


def clone(folder: Path, name: str, like: Checkout) -> Checkout:
    """One more clone of the remote."""
    like.ok("clone", "-q", str(folder / "hub.git"), str(folder / name))
    made = Checkout(folder / name, like.home)
    assert made.buildguard("install").status == 0
    return made


def followed(checkout: Checkout, said: str, agent: str) -> tuple[int, str]:
    """Run the last `next:` line as it stands, in a fresh shell; its exit status and all that it said."""
    lines = [line for line in said.splitlines() if line.startswith("next: ")]
    done = checkout.run("sh", "-c", lines[-1].removeprefix("next: "), agent=agent)
    return done.status, done.both


class Silence:
    """A server that takes connections, counts them, and never says anything."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/hub.git"
        self.asked = 0
        self._kept: list[socket.socket] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def _listen(self) -> None:
        while True:
            try:
                self._kept.append(self._socket.accept()[0])
            except OSError:
                return
            self.asked += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for connection in self._kept:
            connection.close()


def words_of(said: str) -> list[str]:
    """The words of the last `next:` line."""
    return shlex.split([line for line in said.splitlines() if line.startswith("next: ")][-1].removeprefix("next: "))
