"""How one caller of the loop takes part: what it may do while others fix, and how it is repeated."""

import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from buildguard.commands.attempt import Attempt
from buildguard.ui.reports import Report

if TYPE_CHECKING:
    from buildguard.commands.elsewhere import Known


class Leave(NamedTuple):
    """How long (seconds) somebody may wait, or why not."""

    seconds: float
    refusal: str = ""


class Turn(Protocol):
    """How one caller takes part: what it may do while others fix, and how it is repeated."""

    claiming: bool
    """Whether a failure claims."""
    reuses: bool
    """Whether a pass of before on the very same files will do."""

    @property
    def patient(self) -> bool:
        """Whether it may wait for a slot."""

    def lives(self) -> bool:
        """Whether anybody still waits for our answer."""

    def gone(self) -> Report:
        """What is said when nobody does."""

    def committed(self) -> str:
        """The tree of the commit that follows a pass; empty if none does."""

    def leave(self, tried: Attempt) -> Leave:
        """How long it may wait now."""

    def repeat(self) -> str | None:
        """The command that does this again, for whoever has to fix something first."""

    def later(self) -> str | None:
        """The command that does this again, for whoever has to wait first."""

    def not_ours(self, tried: Attempt, known: "Known") -> Report | None:
        """Why this failure elects nobody, if it is not of this caller's making."""

    def fixed(self, report: Report) -> Report:
        """What is said when the fix command helped."""

    def woken(self) -> Report | None:
        """What keeps it from going on after a wait."""


class Deadline:
    """The end of the one wait that a caller may take, however often it is woken; it begins when it is first
    asked."""

    def __init__(self, wait: float) -> None:
        self._wait = wait
        self._ends: float | None = None

    @property
    def left(self) -> float:
        """Seconds that are left of it."""
        if self._ends is None:
            self._ends = time.monotonic() + self._wait
        return max(0.0, self._ends - time.monotonic())
