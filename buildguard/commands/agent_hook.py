"""`buildguard agent-hook`: what a coding agent's own hooks ask us, and what we say in its dialect.

It never fails: whatever goes wrong here, the agent goes on as if we were not there.
"""

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from buildguard.agents.hookfiles import BY_NAME, Dialect, HookFile
from buildguard.agents.identity import identify_cheaply, legal
from buildguard.agents.known import CODING_AGENTS
from buildguard.agents.lineage import beside_us
from buildguard.commands import looking
from buildguard.errors import report_bug
from buildguard.git import private
from buildguard.session import FAULTS, Session, open_session
from buildguard.settings import off
from buildguard.text import quoted, span

_LONGEST_EVENT = 1 << 20
"""Bytes of an event that are read."""
_LATELY = 300.0
"""Seconds for which an agent that called counts as at work."""
_HELD_CLAIM = "held"
"""In our folder: the builds and numbers of the claims whose holders were held, a line each."""
_MOST_HELD = 20
_OF_INTEREST = r"commit|hooks|index\.lock|buildguard|husky|lefthook|skip"
"""What a command line has in it that may be refused: most, as `git status`, need not ask git where they are."""
_NAMED_BY_US = "opencode"
"""Its plugin gives each session its name, whatever else the environment says."""


def heard(given: Sequence[str]) -> int:
    """Read the event of one moment (`given`: the agent's name and the moment) from stdin, and answer on stdout.
    Always 0."""
    try:
        row, moment = BY_NAME[given[0]], given[1]
        event = json.loads(sys.stdin.buffer.read(_LONGEST_EVENT))
        if said := _Event(row, event).answer(moment):
            print(json.dumps(_shaped(row.dialect, moment, event.get("hook_event_name", ""), said)))
    except (*FAULTS, ValueError, LookupError, OSError, RecursionError, ImportError):
        pass  # no event, nothing to coordinate with, or no parser for this machine
    except Exception as error:  # noqa: BLE001  a bug of ours must not stop an agent
        report_bug(error)
    return 0


def _shaped(dialect: Dialect, moment: str, event: str, said: str) -> dict[str, Any]:
    """An answer as the agent reads it."""
    denied = {"permissionDecision": "deny", "permissionDecisionReason": said}
    match dialect, moment:
        case _, "end":
            return {"systemMessage": said}
        case Dialect.CURSOR, "tool":
            return {"permission": "deny", "user_message": said, "agent_message": said}
        case Dialect.CURSOR, _:
            return {"followup_message" if moment == "stop" else "additional_context": said}
        case Dialect.COPILOT, "start":
            return {"additionalContext": said}
        case Dialect.COPILOT, "tool":
            return denied
        case Dialect.CLAUDE, "tool":
            return {"hookSpecificOutput": {"hookEventName": event, **denied}}
        case _, "tool" | "stop":
            return {"decision": "deny" if moment == "tool" else "block", "reason": said}
    return {"hookSpecificOutput": {"hookEventName": event, "additionalContext": said}}


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
        line = self._command() if moment == "tool" else ""
        if moment == "tool" and not re.search(_OF_INTEREST, line, re.IGNORECASE):
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
            # Not all that its commands find in their environment is in that of its hooks.
            rows = [one for one in CODING_AGENTS if one.name == self._row.program and one.session]
            published = {one.markers[0].partition("=")[0]: "1" for one in rows}
            published |= {**{one.session: self._run for one in rows}, **session.environment}
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
            others = (
                f"{agent} {does}"
                for agent, does in _at_work(session)
                if not self._mine(agent, name) and beside_us(agent)
            )
            return next(others, "")

        judge = Judge(session.required_repository(), self._cwd, ("--agent", name), neighbour)
        no = judge.refusal(line)
        # Codex writes the refused command behind our last word, where it would be run, too.
        end = " #" if self._row.name == "codex" else ""
        return f"buildguard: refused: {no.why}." + f"\nnext: {no.line}{end}" * bool(no.line) if no else ""

    def _hold(self, session: Session, name: str) -> str:
        """Hold the holder of a claim at the end of its turn, once for each claim: some agents do not say that they
        were held before."""
        if self._event.get("stop_hook_active") or self._event.get("loop_count"):
            return ""
        marker = private.folder(session.required_repository().git_dir) / _HELD_CLAIM
        told = private.read(marker)[0].splitlines() if marker.exists() else []
        me = session.required().me_if_known
        for agent, number in _claims(session):
            # A sub-agent may work on, and need not be held.
            mine = self._mine(agent, name) and not agent.startswith(f"{name}/")
            claim = f"{session.required().build} {number}"
            if not (mine or (me and agent == me.id)) or claim in told:
                continue
            holder = open_session({"agent": agent}, session.environment, session.cwd)
            report = looking.status(holder, False, False)
            if report.view is not None and report.view.held_by(agent):  # else its fix has landed meanwhile
                private.write(marker, "\n".join((*told, claim)[-_MOST_HELD:]).encode())
                then = f"fix it and commit, or give up with: {holder.answers.give_up}"
                return "\n".join(("buildguard: you hold the claim", *report.lines, then))
        return ""

    def _give_up(self, session: Session, name: str) -> str:
        """Give up what the session holds. A claim of a process ends with that, and other sessions may share it."""
        lines: list[str] = []
        for agent, number in _claims(session):
            if self._mine(agent, name):
                holder = open_session({"agent": agent}, session.environment, session.cwd)
                lines += looking.release(holder, number, True, "the session of its holder ended").lines
        return "\n".join(lines)


def _tail(identifier: str) -> str:
    """Enough of an id to tell it from others: its end, for many begin with the time."""
    return re.sub(r"[^0-9A-Za-z]", "", identifier)[-8:]


def _claims(session: Session) -> list[tuple[str, int]]:
    """Who holds the claims of this build, and their numbers."""
    states = session.required().read().states.values()
    return [(state.claim.agent, state.number) for state in states if state.claim is not None]


def _told(session: Session, name: str) -> str:
    """What an agent is told when it starts."""
    if session.settings.check is None:
        return ""
    named, option = open_session({"agent": name}, session.environment, session.cwd), f"--agent {quoted(name)}"
    lines = (
        f"buildguard guards the build here: {session.settings.check.text}; your name is {name}",
        f"write {option} into each buildguard command; "
        f'commit with: buildguard commit {option} --timeout 9m -m "..." -- path/one',
    )
    return "\n".join((*lines, *looking.status(named, False, False).lines))


def _at_work(session: Session) -> Iterator[tuple[str, str]]:
    """Who holds a claim that binds here, and who called in this checkout lately, and when, the last one first."""
    guard = session.required()
    snapshot = guard.read()
    for view in snapshot.views():
        if view.state.claim and not view.stale and view.state.had_in(session.checkout):
            yield view.state.claim.agent, "holds a claim in this checkout"
    called = [(one.at, one.agent, one.checkout) for one in snapshot.proofs]
    called += [(one.at, one.agent or "", one.checkout) for one in guard.history()]
    for at, agent, checkout in sorted(called, reverse=True):
        if agent and checkout == session.checkout and at >= snapshot.now - _LATELY:
            yield agent, f"called in this checkout {span(max(0.0, snapshot.now - at))} ago"
