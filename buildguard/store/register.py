"""What an engine for many machines offers: one small document a build, compared and swapped as a whole."""

from typing import NamedTuple, Protocol


class Kept(NamedTuple):
    """A document as the engine has it. `token` stands for this very version; it is empty where nothing is there.
    `now` is the engine's own clock when it answered, in seconds; None where the engine has none."""

    token: str = ""
    data: str = ""
    now: float | None = None


class Lost(Exception):
    """Another version stands there than the one that was expected. Nothing was written."""


class Denied(Exception):
    """The engine has answered, and refuses: a right or a setting is missing. The message is its own word."""


class Unreachable(Exception):
    """The engine has not answered in time. What was `sent` may have been written all the same."""

    def __init__(self, message: str, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent


class Register(Protocol):
    """Small documents under keys of 1 to 80 letters, digits, `_` and `-`; a document is one line of printable
    ASCII. Every call ends in time and raises nothing but the exceptions above, whose text holds no password."""

    @property
    def where(self) -> str:
        """The engine's name in messages."""

    poll: float
    """Seconds between two looks of a waiter, where the engine wakes nobody."""

    def load(self, key: str, known: Kept = Kept()) -> Kept:  # noqa: B008
        """The document as it is now; `known` if that still stands, with the engine's clock of now."""

    def swap(self, key: str, expected: Kept, data: str, about: str) -> Kept:
        """Put `data` in the place of the version that is `expected`. `about` is one line for people. Raises `Lost`
        where another stands there."""

    def changed(self, key: str, known: Kept, timeout: float) -> bool:
        """Wait `timeout` seconds at most, until another version than `known` stands there. False at once, and no
        exception, where the engine wakes nobody or does not answer: then look every `poll`."""

    def close(self) -> None:
        """Let go of the connection, if there is one. The next call opens another."""
