"""`buildguard agent-hook`: what a coding agent's own hooks ask us, and what we say in its dialect.

It never fails: whatever goes wrong here, the agent goes on as if we were not there.
"""

import json
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from buildguard.agents.hookfiles import BY_NAME, Dialect, HookFile
from buildguard.agents.identity import identify_cheaply, legal
from buildguard.agents.known import CODING_AGENTS
from buildguard.agents.lineage import beside_us
from buildguard.commands import looking
from buildguard.errors import report_bug
from buildguard.session import FAULTS, Session, open_session
from buildguard.settings import off

_LONGEST_EVENT = 1 << 20
"""Bytes of an event that are read."""
_LATELY = 300.0
"""Seconds for which an agent that called counts as at work."""
_NAMED_BY_US = "opencode"
"""Its plugin gives each session its name, whatever else the environment says."""


def heard(given: Sequence[str]) -> int:
    """Read the event of one moment (`given`: the agent's name and the moment) from stdin, and answer on stdout.
    Always 0."""
    try:
        row, moment = BY_NAME[given[0]], given[1]
        event = json.loads(sys.stdin.buffer.read(_LONGEST_EVENT))
        if text := _Event(row, event).answer(moment):
            print(json.dumps(_shaped(row.dialect, moment, event.get("hook_event_name", ""), text)))
    except (*FAULTS, ValueError, LookupError, OSError, RecursionError, ImportError):
        pass  # no event, nothing to coordinate with, or no parser for this machine
    except Exception as error:  # noqa: BLE001  a bug of ours must not stop an agent
        report_bug(error)
    return 0


def _shaped(dialect: Dialect, moment: str, event: str, text: str) -> dict[str, Any]:
    """An answer as the agent reads it."""
    denied = {"permissionDecision": "deny", "permissionDecisionReason": text}
    match dialect, moment:
        case _, "end":
            return {"systemMessage": text}
        case Dialect.CURSOR, "tool":
            return {"permission": "deny", "user_message": text, "agent_message": text}
        case Dialect.CURSOR, _:
            return {"followup_message" if moment == "stop" else "additional_context": text}
        case Dialect.COPILOT, "start":
            return {"additionalContext": text}
        case Dialect.COPILOT, "tool":
            return denied
        case Dialect.CLAUDE, "tool":
            return {"hookSpecificOutput": {"hookEventName": event, **denied}}
        case _, "tool" | "stop":
            return {"decision": "deny" if moment == "tool" else "block", "reason": text}
    return {"hookSpecificOutput": {"hookEventName": event, "additionalContext": text}}


class _Event:
    """One event of an agent's session. Raises ValueError for what is none."""

    def __init__(self, row: HookFile, event: Mapping[str, Any]) -> None:
        if not isinstance(event, dict):
            raise ValueError("it is no JSON object")
        self._row = row
        self._event = event
        self._run = self._first("session_id", "sessionId", "conversation_id")
        roots = event.get("workspace_roots")
        self._cwd = Path(self._first("cwd") or (str(roots[0]) if isinstance(roots, list) and roots else Path.cwd()))

    def answer(self, moment: str) -> str:
        """What is said at that moment; empty where the agent just goes on."""
        line = self._command() if moment == "tool" else "git"
        if not re.search(r"git|index\.lock", line):
            return ""
        session = open_session({}, os.environ, self._cwd)
        if session.guard is None or off(session.environment):
            return ""
        name = self._name(session)
        match moment:
            case "tool":
                return self._refusal(session, line, name)
            case "stop":
                return self._hold(session, name)
            case "end":
                return self._give_up(session, name)
        return _told(session, name)

    def _first(self, *names: str) -> str:
        """The first of these that the event has as text."""
        return next((value for name in names if isinstance(value := self._event.get(name), str) and value), "")

    def _command(self) -> str:
        """The command line that the agent is about to run."""
        given = self._event.get("tool_input", self._event.get("toolArgs", self._event))
        given = json.loads(given) if isinstance(given, str) else given
        line = given.get("command") if isinstance(given, dict) else ""
        return line if isinstance(line, str) else ""

    def _name(self, session: Session) -> str:
        """The agent's name: the one that its commands have by themselves, where they have one, else one of ours; a
        sub-agent's is longer by its own id."""
        agent = None
        if self._row.name != _NAMED_BY_US:
            variables = [one.session for one in CODING_AGENTS if one.name == self._row.program and one.session]
            published = {**dict.fromkeys(variables, self._run), **session.environment}
            agent = identify_cheaply(None, published, session.checkout.removeprefix("checkout:"))
        if agent is None and not self._run:
            return session.required().me.id
        base = agent.id if agent else f"{self._row.name}-{_tail(self._run)}"
        sub = self._first("agent_id", "agentId")
        return legal(f"{base}/{_tail(sub)}" if sub else base)

    def _mine(self, agent: str, name: str) -> bool:
        """Whether that is this session, named or not, or one of its sub-agents."""
        return agent == name or (len(self._run) > 7 and self._run in agent) or agent.startswith(f"{name}/")

    def _refusal(self, session: Session, line: str, name: str) -> str:
        from buildguard.commands.refusing import Judge  # the parser that it loads is for this moment alone

        def neighbour() -> str:
            others = (agent for agent in _at_work(session) if not self._mine(agent, name))
            return next(filter(beside_us, others), "")

        judge = Judge(session.required_repository(), self._cwd, ("--agent", name), neighbour)
        no = judge.refusal(line)
        return f"buildguard: refused: {no.why}.\nnext: {no.line}" if no else ""

    def _held(self, session: Session, name: str) -> list[tuple[str, int]]:
        """The claims that this agent holds here: under which name, and their numbers."""
        guard = session.required()
        me = guard.me_if_known
        claims = [(one.claim.agent, one.number) for one in guard.read().states.values() if one.claim is not None]
        return [one for one in claims if self._mine(one[0], name) or (me is not None and one[0] == me.id)]

    def _hold(self, session: Session, name: str) -> str:
        """Hold the holder of a claim at the end of its turn, once for each claim: some agents do not say that they
        were held before."""
        if self._event.get("stop_hook_active") or self._event.get("loop_count"):
            return ""
        marker = session.required_repository().git_dir / "buildguard" / "held"
        for agent, number in self._held(session, name):
            if agent.startswith(f"{name}/") or (marker.exists() and marker.read_text() == str(number)):
                continue  # a sub-agent may work on
            holder = open_session({"agent": agent}, session.environment, session.cwd)
            report = looking.status(holder, False, False)
            if report.view is not None and report.view.held_by(agent):  # else its fix has landed meanwhile
                marker.write_text(str(number))
                then = f"fix it and commit, or give up with: {holder.answers.give_up}"
                return "\n".join(("buildguard: you hold the claim, and others wait for you", *report.lines, then))
        return ""

    def _give_up(self, session: Session, name: str) -> str:
        lines: list[str] = []
        for agent, number in self._held(session, name):
            holder = open_session({"agent": agent}, session.environment, session.cwd)
            lines += looking.release(holder, number, True, "the session of its holder ended").lines
        return "\n".join(lines)


def _tail(identifier: str) -> str:
    """Enough of an id to tell it from others: its end, for many begin with the time."""
    return re.sub(r"[^0-9A-Za-z]", "", identifier)[-8:]


def _told(session: Session, name: str) -> str:
    """What an agent is told when it starts."""
    if session.settings.check is None:
        return ""
    named = open_session({"agent": name}, session.environment, session.cwd)
    return "\n".join(
        (
            f"buildguard guards the build here: {session.settings.check.text}; your name is {name}",
            f"write --agent {name} into each buildguard command; "
            f'commit with: buildguard commit --agent {name} --timeout 9m -m "..." -- path/one',
            *looking.status(named, False, False).lines,
        )
    )


def _at_work(session: Session) -> list[str]:
    """Who holds a claim that binds here, and who called in this checkout lately, the holder first."""
    guard = session.required()
    snapshot, since = guard.read(), time.time() - _LATELY
    here = [view.state.claim for view in snapshot.views() if not view.stale and view.state.had_in(session.checkout)]
    called = [(one.agent, one.checkout, one.at) for one in snapshot.proofs]
    called += [(one.agent, one.checkout, one.at) for one in guard.history()]
    lately = [agent for agent, checkout, at in called if agent and checkout == session.checkout and at >= since]
    return list(dict.fromkeys((*(claim.agent for claim in here if claim), *lately)))
