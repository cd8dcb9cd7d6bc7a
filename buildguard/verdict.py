"""How the hook tells `buildguard commit` its verdict: through a file, because git flattens every status to 1."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "BUILDGUARD_VERDICT_FILE"
"""Names the file, in the environment of the git that `buildguard commit` starts."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The exit status that the hook ended with, and why in one word."""

    exit: int
    outcome: str


def asked_for(environment: Mapping[str, str]) -> bool:
    """Whether `buildguard commit` stands above: it waits outside git, so the hook need not."""
    return bool(environment.get(VARIABLE))


def write(environment: Mapping[str, str], verdict: Verdict) -> None:
    """Leave the verdict where it was asked for."""
    path = environment.get(VARIABLE)
    if path:
        # Only `buildguard commit` reads it, and without it falls back to git's own status.
        with suppress(OSError):
            Path(path).write_text(json.dumps({"exit": int(verdict.exit), "outcome": verdict.outcome}))


def read(path: Path) -> Verdict | None:
    """The verdict, or None if no hook left one."""
    try:
        told = json.loads(path.read_text())
        return Verdict(int(told["exit"]), str(told["outcome"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
