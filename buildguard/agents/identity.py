"""Who is calling: one stable id for each agent, and what its environment tells about its shell.

An id outlives the command that asks for it: the caller gave it, or a coding agent or a CI job publishes it, or
it names the first process above us that can stand for an agent.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from buildguard.agents.known import CI_MARKERS, CI_SYSTEMS, CODING_AGENTS, After, CodingAgent, Limit

LONGEST_ID: Final = 200
"""Characters that an agent's id may have."""

SHELL_MARGIN: Final = 10.0
"""Seconds that a coding agent's shell is left with after a wait."""

_OPTION: Final = "--agent"
_VARIABLE: Final = "BUILDGUARD_AGENT"
COMMIT_VARIABLE: Final = "BUILDGUARD_COMMIT"
"""Tells the hook when the `buildguard commit` above it began (monotonic seconds)."""


class Agent(NamedTuple):
    """Who is calling. Two calls are by the same agent exactly when their ids are equal."""

    id: str
    source: str
    """Where the id comes from, in words: `--agent`, `CLAUDE_CODE_SESSION_ID`, `process zsh 4242`."""
    process: str | None
    """The `Process.token` that the id stands and falls with; None where no process does."""

    @property
    def given(self) -> bool:
        """True if the caller named itself. Each `next:` line then repeats the name: a fresh shell may run it."""
        return self.source in (_OPTION, _VARIABLE)


class ShellLimit(NamedTuple):
    """After how many seconds the shell of a coding agent kills a command."""

    agent: str
    seconds: float


def identify_cheaply(option: str | None, environment: Mapping[str, str], checkout: str) -> Agent | None:
    """What `identify` returns where that needs no look at the process tree, else None. Raises ValueError, too."""
    for source, text in ((_OPTION, option), (_VARIABLE, environment.get(_VARIABLE) or None)):
        if text is not None:
            return Agent(checked_id(text, source), source, None)
    return _by_session(environment, checkout) or _by_job(environment)


def checked_id(text: str, where: str) -> str:
    """`text` as an agent's id, without blanks around it. Raises ValueError with one line that names `where`."""
    if len(text) > LONGEST_ID:
        raise ValueError(f"{where}: {len(text)} characters; at most {LONGEST_ID}")
    for place, character in enumerate(text, 1):
        if not character.isprintable():
            raise ValueError(f"{where}: character {place} is U+{ord(character):04X}, which cannot be printed")
    if not text.strip():
        raise ValueError(f"{where}: {'blank' if text else 'empty'}; it needs a name")
    return text.strip()


def coding_agent(environment: Mapping[str, str]) -> str | None:
    """The name of the coding agent whose shell this is, to be shown; of several the first in the table."""
    return next((row.name for row in _coding_agents(environment)), None)


def shell_limit(environment: Mapping[str, str]) -> ShellLimit | None:
    """The limit of the calling coding agent's shell, of several the smallest; None where none is known."""
    return min(_limits(environment, After.KILLS), key=lambda limit: limit.seconds, default=None)


def must_speak(environment: Mapping[str, str]) -> bool:
    """True if a coding agent's shell kills a command that is silent for long: a line every 30 s keeps it going."""
    return bool(_limits(environment, After.KILLS_SILENT))


def time_left(environment: Mapping[str, str], spent: float) -> float | None:
    """Seconds that a command which has run for `spent` may still wait, so that the calling coding agent's shell
    keeps `SHELL_MARGIN`; zero or less where it is too late, None where no limit is known."""
    limit = shell_limit(environment)
    return limit.seconds - spent - SHELL_MARGIN if limit else None


def outlives_after(environment: Mapping[str, str], began: float) -> float | None:
    """Until when (monotonic seconds) a command that `began` then can wait for a check, so that the shell of the
    calling coding agent gets its answer in time; None where no limit is known, and in CI."""
    limit = shell_limit(environment)
    if limit is None or in_ci(environment):
        return None
    with suppress(ValueError):
        began = min(began, float(environment.get(COMMIT_VARIABLE, "")))
    return began + limit.seconds - min(SHELL_MARGIN, limit.seconds / 5)


def in_ci(environment: Mapping[str, str]) -> bool:
    """True if a CI job calls, known by its job id or by a variable such as `CI`."""
    return _by_job(environment) is not None or any(_marked(environment, name) for name in CI_MARKERS)


def _by_session(environment: Mapping[str, str], checkout: str) -> Agent | None:
    sessions = {
        row.session: f"{row.name.lower().replace(' ', '-')}:{session}"
        for row in _coding_agents(environment)
        if (session := environment.get(row.session, "").strip())
    }
    if not sessions:
        return None
    where = f"@{checkout}" if checkout else ""
    return Agent(legal("+".join(sessions.values()) + where), " + ".join(sessions), None)


def _by_job(environment: Mapping[str, str]) -> Agent | None:
    for row in CI_SYSTEMS:
        first = environment.get(row.variables[0], "").strip()
        if first and first.startswith(row.prefix):
            values = (environment.get(variable, "").strip() for variable in row.variables)
            return Agent(legal(f"{row.name}:{'/'.join(filter(None, values))}"), row.variables[0], None)
    return None


def legal(text: str) -> str:
    """An id from outside as `checked_id` takes it: as it is, or else its digest, which is as distinct."""
    try:
        return checked_id(text, "")
    except ValueError:
        import hashlib

        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def _coding_agents(environment: Mapping[str, str]) -> Iterator[CodingAgent]:
    return (row for row in CODING_AGENTS if any(_marked(environment, name) for name in row.markers))


def _marked(environment: Mapping[str, str], marker: str) -> bool:
    name, _, value = marker.partition("=")
    found = environment.get(name, "")
    return found == value if value else found.lower() not in ("", "0", "false")


def _limits(environment: Mapping[str, str], then: After) -> list[ShellLimit]:
    rows = [(row.name, row.limit) for row in _coding_agents(environment) if row.limit and row.limit.then is then]
    return [ShellLimit(name, _configured(limit, environment) or limit.seconds) for name, limit in rows]


def _configured(limit: Limit, environment: Mapping[str, str]) -> float | None:
    value = environment.get(limit.milliseconds_variable, "")
    return int(value) / 1000 if len(value) <= 10 and value.isascii() and value.isdigit() else None
