"""Who is calling: one stable id for each agent, and what its environment tells about its shell. An id outlives the
command that asks for it."""

from __future__ import annotations

import os
from itertools import dropwhile
from typing import TYPE_CHECKING, Final, NamedTuple

from buildguard.agents.ancestry import agent_among, is_typed_into
from buildguard.agents.known import CI_MARKERS, CI_SYSTEMS, CODING_AGENTS
from buildguard.agents.processes import ancestors, is_git, known_dead, plain_name
from buildguard.errors import Unidentified

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buildguard.agents.known import CodingAgent
    from buildguard.agents.processes import Process

LONGEST_ID: Final = 200
"""Characters that an agent's id may have."""

SHELL_MARGIN: Final = 10.0
"""Seconds that a coding agent's shell is left with after a wait."""

_OPTION: Final = "--agent"
_VARIABLE: Final = "BUILDGUARD_AGENT"


class Agent(NamedTuple):
    """Who is calling. Two calls are by the same agent exactly when their ids are equal."""

    id: str
    source: str
    """In words: `--agent`, `CLAUDE_CODE_SESSION_ID`, `process zsh 4242`."""
    process: str | None
    """The `Process.token` that the id stands and falls with; None where no process does."""

    @property
    def given(self) -> bool:
        """True if the caller named itself. Each `next:` line then repeats the name: a fresh shell may run it."""
        return self.source in (_OPTION, _VARIABLE)


class Ancestor(NamedTuple):
    """An agent that is a process above us. If somebody types into it, the caller may well be the same person."""

    process: Process
    shell_with_terminal: bool


class ShellLimit(NamedTuple):
    """After how many seconds the shell of a coding agent stops waiting for a command."""

    agent: str
    seconds: float


def identify(option: str | None, environment: Mapping[str, str], checkout: str) -> Agent:
    """The agent that calls: by `--agent`, `BUILDGUARD_AGENT`, session (with the name of the checkout), CI job or
    process, first match. Raises ValueError for an illegal id, Unidentified where no process can stand for one."""
    return identify_cheaply(option, environment, checkout) or _by_process(environment)


def identify_cheaply(option: str | None, environment: Mapping[str, str], checkout: str) -> Agent | None:
    """What `identify` returns where that needs no look at the process tree, else None. Raises ValueError, too."""
    for source, text in ((_OPTION, option), (_VARIABLE, environment.get(_VARIABLE) or None)):
        if text is not None:
            return Agent(checked_id(text, source), source, None)
    return _by_session(environment, checkout) or _by_job(environment)


def parent_token(environment: Mapping[str, str]) -> str | None:
    """The token of the first process above us that can stand for an agent, whatever our id is; None without one.
    Two calls of one session with different tokens may come from two sub-agents that share it."""
    process = agent_among(_above(environment))
    return process.token if process else None


def dies_with(agent_id: str, token: str) -> bool:
    """True if the id names the very process that `token` does, and not only an agent that called through it."""
    words = token.split(" ")
    return len(words) == 3 and agent_id.endswith(f":{words[0]}-{words[1]}")


def claim_is_dead(agent_id: str, token: str | None) -> bool:
    """True if the claim of that agent, made by that process, has certainly lost its holder. False in any doubt."""
    return token is not None and dies_with(agent_id, token) and known_dead(token)


def above_us(agent_id: str, token: str | None) -> Ancestor | None:
    """The ancestor of this process that the agent is; None if it is none. `token` is the process of its claim.
    Nobody must wait for an ancestor: it may be waiting for us. Never raises."""
    for process in ancestors():
        # Without a token (the claim was made with `--agent` and a process's id) the id has to tell it all.
        same = process.token == token if token else _id_of(process) == agent_id
        if same and dies_with(agent_id, process.token):
            return Ancestor(process, is_typed_into(process))
    return None


def checked_id(text: str, where: str) -> str:
    """`text` as an agent's id, without blanks around it. Raises ValueError with one line that names `where`."""
    if len(text) > LONGEST_ID:
        raise ValueError(f"{where}: {len(text)} characters; at most {LONGEST_ID}")
    if not text.isprintable():
        raise ValueError(f"{where}: {text!a} has characters that cannot be printed")
    if not text.strip():
        raise ValueError(f"{where}: {'blank' if text else 'empty'}; it needs a name")
    return text.strip()


def coding_agent(environment: Mapping[str, str]) -> str | None:
    """The name of the coding agent whose shell this is, to be shown; of several the first in the table."""
    return next((row.name for row in _coding_agents(environment)), None)


def shell_limit(environment: Mapping[str, str]) -> ShellLimit | None:
    """The limit of the calling coding agent's shell, of several the smallest; None where none is known."""
    limits = [
        ShellLimit(row.name, seconds)
        for row in _coding_agents(environment)
        if (seconds := _configured(row, environment) or row.seconds) is not None
    ]
    return min(limits, key=lambda limit: limit.seconds, default=None)


def time_left(environment: Mapping[str, str], spent: float) -> float | None:
    """Seconds for which a command that has run for `spent` may still wait, less `SHELL_MARGIN`; at most zero where
    it is too late, None where no limit of the calling coding agent's shell is known."""
    limit = shell_limit(environment)
    return limit.seconds - spent - SHELL_MARGIN if limit else None


def in_ci(environment: Mapping[str, str]) -> bool:
    """True if a CI job calls, known by its job id or by a variable such as `CI`."""
    return _by_job(environment) is not None or any(_marked(environment, name) for name in CI_MARKERS)


def _by_session(environment: Mapping[str, str], checkout: str) -> Agent | None:
    sessions = {
        row.session: f"{row.name.lower().replace(' ', '-')}:{session}"
        for row in CODING_AGENTS
        if (session := environment.get(row.session, "").strip())
    }
    if not sessions:
        return None
    where = f"@{checkout}" if checkout else ""
    return Agent(_legal("+".join(sessions.values()) + where), " + ".join(sessions), None)


def _by_job(environment: Mapping[str, str]) -> Agent | None:
    for row in CI_SYSTEMS:
        first = environment.get(row.variables[0], "").strip()
        if first and first.startswith(row.prefix):
            values = (environment.get(variable, "").strip() for variable in row.variables)
            return Agent(_legal(f"{row.name}:{'/'.join(filter(None, values))}"), row.variables[0], None)
    return None


def _by_process(environment: Mapping[str, str]) -> Agent:
    above = _above(environment)
    process = agent_among(above)
    if process is None:
        passed = ", ".join(dict.fromkeys(plain_name(one.words[0]) for one in above[:9]))
        raise Unidentified(f"no process above this one can stand for an agent (passed over: {passed or 'none'})")
    return Agent(_id_of(process), f"process {plain_name(process.words[0])} {process.pid}", process.token)


def _above(environment: Mapping[str, str]) -> list[Process]:
    found = ancestors()
    # Whatever git runs in a hook ends with the hook, under whatever name: look above that git.
    if environment.get("GIT_INDEX_FILE"):
        return list(dropwhile(lambda process: not is_git(process), found)) or found
    return found


def _id_of(process: Process) -> str:
    import pwd

    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    host = os.uname().nodename.partition(".")[0]
    # No name in the id: a process may give itself another title, and must not become another agent by it.
    return f"{_legal(f'{user}@{host}')}:{process.pid}-{process.start}"


def _legal(text: str) -> str:
    """An id from outside as `checked_id` takes it, and its end, which tells two apart."""
    return "".join(filter(str.isprintable, text)).strip()[-LONGEST_ID:].strip()


def _coding_agents(environment: Mapping[str, str]) -> Iterator[CodingAgent]:
    return (row for row in CODING_AGENTS if any(_marked(environment, name) for name in (*row.markers, row.session)))


def _marked(environment: Mapping[str, str], marker: str) -> bool:
    name, _, value = marker.partition("=")
    found = environment.get(name, "")
    return found == value if value else found.lower() not in ("", "0", "false")


def _configured(row: CodingAgent, environment: Mapping[str, str]) -> float | None:
    value = environment.get(row.milliseconds_variable, "")
    return int(value) / 1000 if len(value) <= 10 and value.isascii() and value.isdigit() else None
