"""How the hook tells `buildguard commit` its verdict: through a file, because git flattens every status to 1."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from buildguard.claims.model import Run
from buildguard.errors import Exit

VARIABLE = "BUILDGUARD_VERDICT_FILE"
"""Names the file, in the environment of the git that `buildguard commit` starts."""


class Verdict(NamedTuple):
    """The exit status that the hook ended with, why in one word, and what it was about: the hook's own options
    are not those of the command above it. `busy` is the scope that somebody else is fixing, `run` the run of the
    check that failed meanwhile; `answer` is the hook's own JSON object."""

    exit: int
    outcome: str
    build: str | None = None
    scope: str | None = None
    db: str | None = None
    busy: str | None = None
    run: Run | None = None
    answer: Mapping[str, Any] = MappingProxyType({})


def asked_for(environment: Mapping[str, str]) -> bool:
    """Whether `buildguard commit` stands above: it waits outside git, so the hook need not."""
    return bool(environment.get(VARIABLE))


def write(environment: Mapping[str, str], verdict: Verdict) -> None:
    """Leave the verdict where it was asked for, after those of the hooks that ran before in the same commit."""
    path = environment.get(VARIABLE)
    if path:
        import json

        # Only `buildguard commit` reads it, and without it falls back to git's own status.
        with suppress(OSError), Path(path).open("a") as file:
            run = verdict.run._asdict() if verdict.run else None
            facts = {**verdict._asdict(), "run": run, "answer": dict(verdict.answer)}
            file.write(json.dumps(facts) + "\n")


def read(path: Path) -> Verdict | None:
    """The verdict, or None if no hook left one. Of several hooks the one that was not content counts: a hook
    framework goes on after it, and the next one's pass explains nothing."""
    import json

    try:
        told = [_verdict(json.loads(line)) for line in path.read_text().splitlines()]
    except (OSError, ValueError, TypeError):
        return None
    unhappy = [verdict for verdict in told if verdict.exit != Exit.OK]
    return next(reversed(unhappy or told), None)


def _verdict(facts: dict[str, Any]) -> Verdict:
    told = Verdict(**facts)
    if facts.get("run") is None:
        return told
    # The evidence was the hook's to record.
    run = Run(**{**facts["run"], "evidence": ()})
    return told._replace(run=run._replace(failures=tuple(run.failures)))
