"""Who is calling: one stable id for each agent, and what its environment tells of its shell.

An id outlives the hook that asks for it: it is given, or published by a coding agent or a CI job, or it is
the first process above us that can stand for an agent. Coding agents and CI systems stand in tables.
"""

from __future__ import annotations

import os
import re
import unicodedata
from itertools import dropwhile
from typing import TYPE_CHECKING, Final, NamedTuple

from buildguard.agents import processes
from buildguard.agents.processes import plain_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LONGEST_ID: Final = 200
"""Characters that an agent's id may have."""


class Agent(NamedTuple):
    """Who is calling. Two calls are by the same agent exactly when their ids are equal."""

    id: str
    source: str
    """Where the id comes from, in words: `--agent`, `CLAUDE_CODE_SESSION_ID`, `process zsh 4242`."""
    process: str | None
    """The `Process.token` that the id stands and falls with; None where no process does."""


class Unidentified(Exception):
    """Nothing tells who is calling. The message is one sentence; what to do about it is the caller's."""


class ShellLimit(NamedTuple):
    """After how many seconds the shell of a coding agent stops waiting for a command."""

    agent: str
    seconds: float


class CodingAgent(NamedTuple):
    """What a coding agent puts into the environment of its commands."""

    name: str
    markers: tuple[str, ...]
    """`NAME` (set, and neither 0 nor false) or `NAME=value`; one of them is enough."""
    session: str = ""
    """The variable that holds the id of a session. A process id is none: another may get it later."""
    seconds: float | None = None
    """Its shell's limit where known."""
    milliseconds_variable: str = ""
    """The variable by which its users set another limit."""


CODING_AGENTS: Final = (
    CodingAgent("Claude Code", ("CLAUDECODE",), "CLAUDE_CODE_SESSION_ID", 120, "BASH_DEFAULT_TIMEOUT_MS"),
    CodingAgent("Codex", ("CODEX_THREAD_ID", "CODEX_SANDBOX"), "CODEX_THREAD_ID", 10),
    CodingAgent("Copilot CLI", ("COPILOT_CLI",), "COPILOT_AGENT_SESSION_ID"),
    CodingAgent("Cursor", ("CURSOR_AGENT",), "CURSOR_CONVERSATION_ID", 30),
    CodingAgent("Amp", ("AGENT=amp",), "AMP_CURRENT_THREAD_ID"),
    CodingAgent("Gemini CLI", ("GEMINI_CLI",), "", 300),
    CodingAgent("OpenCode", ("OPENCODE",), "", 120),
)


class CISystem(NamedTuple):
    """How a CI system names a job: the first variable must be set, the others sharpen it."""

    name: str
    variables: tuple[str, ...]
    prefix: str = ""
    """How the first one's value begins, where the name alone is too common to believe."""


CI_SYSTEMS: Final = (
    # The jobs of a matrix share all but the runner, and a job never changes its runner.
    CISystem("github", ("GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB", "RUNNER_NAME")),
    CISystem("gitlab", ("CI_JOB_ID",)),
    CISystem("buildkite", ("BUILDKITE_JOB_ID",)),
    # A job with `parallelism` has one id for all its nodes.
    CISystem("circleci", ("CIRCLE_WORKFLOW_JOB_ID", "CIRCLE_NODE_INDEX")),
    # Parallel stages share the tag; people set BUILD_TAG for their images, too.
    CISystem("jenkins", ("BUILD_TAG", "NODE_NAME", "EXECUTOR_NUMBER"), "jenkins-"),
)

_CI_MARKERS: Final = ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "CIRCLECI", "JENKINS_URL", "TF_BUILD")


def identify(option: str | None, environment: Mapping[str, str], work_tree: str) -> Agent:
    """The agent that calls: by `--agent`, `BUILDGUARD_AGENT`, session, CI job or process, first match.

    `work_tree` is the work tree's name: one session that works in two of them is two agents. Raises
    ValueError for an id that was given and is not legal, Unidentified where no process can stand for one.
    """
    if option is not None:
        return Agent(checked_id(option, "--agent"), "--agent", None)
    if given := environment.get("BUILDGUARD_AGENT"):
        return Agent(checked_id(given, "BUILDGUARD_AGENT"), "BUILDGUARD_AGENT", None)
    return _by_session(environment, work_tree) or _by_job(environment) or _by_process(environment)


def checked_id(text: str, where: str) -> str:
    """`text` as an agent's id, without blanks around it. Raises ValueError with one line that names `where`."""
    if len(text) > LONGEST_ID:
        raise ValueError(f"{where}: {len(text)} characters; at most {LONGEST_ID}")
    for place, character in enumerate(text, 1):
        if fault := _fault(character):
            raise ValueError(f"{where}: character {place} is U+{ord(character):04X}, which is {fault}")
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


def in_ci(environment: Mapping[str, str]) -> bool:
    """Whether a CI job calls, known by its job id or by a variable such as `CI`."""
    return _by_job(environment) is not None or any(_marked(environment, name) for name in _CI_MARKERS)


_FAULTS: Final = {"Cc": "a control character", "Cs": "not valid text"} | dict.fromkeys(
    ("Cf", "Zl", "Zp"), "invisible"
)
_BLANK_LETTERS: Final = "\u115f\u1160\u2800\u3164\uffa0"


def _by_session(environment: Mapping[str, str], work_tree: str) -> Agent | None:
    sessions = {
        row.session: f"{row.name.lower().replace(' ', '-')}:{session}"
        for row in CODING_AGENTS
        if (session := environment.get(row.session, "").strip())
    }
    where = f"@{work_tree}" if work_tree else ""
    return Agent(_legal("+".join(sessions.values()) + where), " + ".join(sessions), None) if sessions else None


def _by_job(environment: Mapping[str, str]) -> Agent | None:
    for row in CI_SYSTEMS:
        first = environment.get(row.variables[0], "").strip()
        if first and first.startswith(row.prefix):
            values = (environment.get(variable, "").strip() for variable in row.variables)
            return Agent(_legal(f"{row.name}:{'/'.join(filter(None, values))}"), row.variables[0], None)
    return None


def _by_process(environment: Mapping[str, str]) -> Agent:
    from buildguard.agents.ancestry import agent_among

    found = processes.ancestors()
    # Whatever git runs in a hook ends with the hook, under whatever name: look above that git.
    if environment.get("GIT_INDEX_FILE"):
        found = list(dropwhile(lambda process: not processes.is_git(process), found)) or found
    process = agent_among(found)
    if process is None:
        passed = ", ".join(dict.fromkeys(_legal(plain_name(process.words[0])) for process in found[:9]))
        raise Unidentified(f"no process above this one can stand for an agent (passed over: {passed or 'none'})")
    # No name in the id: a process may give itself another title, and must not become another agent by it.
    identity = f"{_user()}@{os.uname().nodename.partition('.')[0]}:{process.pid}-{process.start}"
    return Agent(_legal(identity), f"process {_legal(plain_name(process.words[0]))} {process.pid}", process.token)


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _coding_agents(environment: Mapping[str, str]) -> Iterable[CodingAgent]:
    return (row for row in CODING_AGENTS if any(_marked(environment, name) for name in (*row.markers, row.session)))


def _marked(environment: Mapping[str, str], marker: str) -> bool:
    name, _, value = marker.partition("=")
    found = environment.get(name, "")
    return found == value if value else found.lower() not in ("", "0", "false")


def _configured(row: CodingAgent, environment: Mapping[str, str]) -> float | None:
    value = environment.get(row.milliseconds_variable, "")
    return int(value) / 1000 if re.fullmatch("[1-9][0-9]{0,9}", value) else None


def _fault(character: str) -> str | None:
    if character in _BLANK_LETTERS:
        return "invisible"
    return _FAULTS.get(unicodedata.category(character))


def _legal(text: str) -> str:
    """Text from outside as `checked_id` takes it: escaped, and if too long cut but still distinct."""
    legal = "".join(ascii(character)[1:-1] if _fault(character) else character for character in text).strip()
    if len(legal) <= LONGEST_ID:
        return legal
    import hashlib

    digest = hashlib.sha256(legal.encode()).hexdigest()[:12]
    return f"{legal[: LONGEST_ID - 1 - len(digest)]}~{digest}"
