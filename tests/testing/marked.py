"""Processes that a test can find again, whatever came of them, by a mark in their environment."""

import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress

import psutil

MARK = "BUILDGUARD_TEST_MARK"
NOTHING_SURVIVES = 10.0
"""Seconds after which no process of a check may live. A quiet machine needs 2; a survivor lives for long."""


class Marked:
    """All processes that bear one mark. `variables` is what their ancestor is started with."""

    def __init__(self) -> None:
        self._mark = uuid.uuid4().hex
        self.variables = {MARK: self._mark}

    def living(
        self, having: Callable[[Mapping[str, str]], bool] = lambda environment: True
    ) -> list[psutil.Process]:
        """The processes that bear the mark and live; only those whose environment is so, if asked."""
        found = []
        for process in psutil.process_iter():
            # It may end between any two looks at it.
            with suppress(psutil.Error):
                environment = process.environ()
                ours = environment.get(MARK) == self._mark and having(environment)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def kill(self) -> None:
        """End what a failed test left, and what that starts meanwhile."""
        while left := self.living():
            for process in left:
                with suppress(psutil.Error):
                    process.kill()
