"""Who is calling where only the processes above us can tell, and which of them may be waiting for us."""

import os
import re
from collections.abc import Mapping
from itertools import dropwhile

from buildguard.agents.ancestry import agent_among, is_typed_into
from buildguard.agents.identity import Agent, identify_cheaply, legal
from buildguard.agents.processes import Process, ancestors, is_git, known_dead, plain_name, running
from buildguard.errors import Unidentified


def identify(option: str | None, environment: Mapping[str, str], checkout: str) -> Agent:
    """The agent that calls: by `--agent`, `BUILDGUARD_AGENT`, session, CI job or process, first match.

    `checkout` is the checkout's name: one session that works in two of them is two agents. Raises ValueError
    for an illegal id that was given, Unidentified where no process can stand for an agent.
    """
    return identify_cheaply(option, environment, checkout) or _by_process(environment)


def parent_token(environment: Mapping[str, str]) -> str | None:
    """The token of the first process above us that can stand for an agent, whatever our id is; None without one.

    Two calls of one session with different tokens may come from two sub-agents that share it.
    """
    process = agent_among(_above(environment))
    return process.token if process else None


def dies_with(agent_id: str, token: str) -> bool:
    """True if the id names the very process that `token` does, and not only an agent that called through it."""
    match token.split(" "):
        case [pid, start, _]:
            return agent_id.endswith(f":{pid}-{start}")
    return False


def claim_is_dead(agent_id: str, token: str | None) -> bool:
    """True if the claim of that agent, made by that process, has certainly lost its holder. False in any doubt."""
    return token is not None and dies_with(agent_id, token) and known_dead(token)


def above_us(agent_id: str, token: str | None) -> Process | None:
    """The ancestor of this process that the agent is; None if it is none. `token` is the process of its claim.

    Nobody must wait for an ancestor: it may be waiting for us. Walks up the process tree. Never raises.
    """
    for process in ancestors():
        # Without a token (the claim was made with `--agent` and a process's id) the id has to tell it all.
        same = process.token == token if token else _id_of(process) == agent_id
        if same and dies_with(agent_id, process.token):
            return process
    return None


def beside_us(agent_id: str) -> bool:
    """True if that id may be another agent at work on this machine: no process above us, none that has ended, no
    shell that a person types into. Of an id that names no process only its calls tell."""
    named = re.fullmatch(r".*:([1-9][0-9]{0,8})-([0-9.]+)", agent_id)
    if named is None:
        return True
    process = running(int(named[1]))
    if process is None or process.start != named[2] or is_typed_into(process):
        return False
    return all(one.token != process.token for one in ancestors())


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
    return f"{legal(f'{user}@{host}')}:{process.pid}-{process.start}"
