"""How the hook tells `buildguard commit` what it found: through a file, because git flattens every status to 1.

The command writes first how it is to be repeated, so that the hook's `next:` line is the right one at once.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from buildguard.checks.runner import HANDOFF_VARIABLE
from buildguard.claims.model import Run
from buildguard.errors import Exit

MOST = 1 << 20
"""How many bytes of the file are believed."""


class Found(NamedTuple):
    """The exit status that the hook ended with, why in one word, and what it was about: the hook's own options are
    not those of the command above it. `busy` is the scope that somebody else is fixing; `failures`, `check` and
    `head` are those of the run that failed meanwhile. `answer` is the hook's own JSON object."""

    exit: int
    outcome: str
    build: str | None = None
    scope: str | None = None
    db: str | None = None
    busy: str | None = None
    check: str = ""
    head: str = ""
    good: bool = False
    failures: tuple[str, ...] = ()
    answer: Mapping[str, Any] = MappingProxyType({})

    @property
    def run(self) -> Run:
        """What is known of the run that failed."""
        return Run(self.check, -1, "", self.head, failures=self.failures, good=self.good)


def asked_for(environment: Mapping[str, str]) -> bool:
    """Whether `buildguard commit` stands above: it waits outside git, so the hook need not."""
    return bool(environment.get(HANDOFF_VARIABLE))


def begin(path: Path, again: str | None) -> None:
    """Say how the command that is about to start git is repeated."""
    import json

    path.write_text(json.dumps(again) + "\n")


def again(environment: Mapping[str, str]) -> str | None:
    """How the command above is repeated, or None if it cannot be."""
    import json

    try:
        with Path(environment[HANDOFF_VARIABLE]).open() as file:
            told = json.loads(file.readline(MOST))
    except (OSError, ValueError, KeyError):
        return None
    return told if isinstance(told, str) else None


def write(environment: Mapping[str, str], found: Found) -> None:
    """Leave it where it was asked for, after those of the hooks that ran before in the same commit."""
    path = environment.get(HANDOFF_VARIABLE)
    if path:
        import json

        # Only `buildguard commit` reads it, and without it falls back to git's own status.
        with suppress(OSError), Path(path).open("a") as file:
            file.write(json.dumps({**found._asdict(), "answer": dict(found.answer)}) + "\n")


def read(path: Path) -> Found | None:
    """What was found, or None if no hook left anything. Of several hooks the one that was not content counts: a
    hook runner goes on after it, and the next one's pass explains nothing."""
    import json

    try:
        with path.open() as file:
            lines = file.read(MOST).split("\n")[1:]
        told = [Found(**json.loads(line)) for line in lines if line]
    except (OSError, ValueError, TypeError):
        return None
    told = [one._replace(failures=tuple(one.failures)) for one in told]
    unhappy = [one for one in told if one.exit != Exit.OK]
    return next(reversed(unhappy or told), None)
