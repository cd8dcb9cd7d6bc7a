"""The runs that go on in a clone, for whoever only looks."""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from buildguard.runs.looking_on import LOG, held
from buildguard.runs.output_log import last_line, read_beginning

MOST_LOOKED_AT = 200
"""How many folders of runs are looked at."""


class Going(NamedTuple):
    """A run that goes on: who began it, when (seconds since the epoch), and the last line of its output."""

    agent: str
    began: float
    said: str


def in_progress(common_dir: Path) -> list[Going]:
    """The runs of this user in all work trees of the clone, the oldest first."""
    own = f"buildguard/runs/{os.getuid()}/*/{LOG}"
    found: list[Going] = []
    for path in [*common_dir.glob(own), *common_dir.glob(f"worktrees/*/{own}")][:MOST_LOOKED_AT]:
        with suppress(OSError, ValueError):
            log = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                # First: without a beginning it is not locked yet, and our look would keep its runner from that.
                beginning = read_beginning(log)
                if held(log):
                    found.append(Going(beginning.agent, beginning.began, last_line(log)))
            finally:
                os.close(log)
    return sorted(found, key=lambda one: one.began)
