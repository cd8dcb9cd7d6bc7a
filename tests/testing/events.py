"""Events as coding agents send them to their hooks, written from their schemas, and answers as they read them."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from buildguard.agents.hookfiles import BY_NAME, HookFile, line
from testing.support import PATIENCE, PROJECT, Checkout, Done

EVENTS = PROJECT / "tests" / "events"
MOMENTS = [(path.stem, moment) for path in sorted(EVENTS.glob("*.json")) for moment in json.loads(path.read_text())]
ASKED = [name for name, moment in MOMENTS if moment == "tool"]


class Answer(NamedTuple):
    """What the agent reads: what it is refused, told, or held with; empty where it just goes on."""

    refused: str = ""
    told: str = ""
    held: str = ""
    shown: str = ""


def event(name: str, moment: str, folder: Path, command: str = "") -> dict[str, Any]:
    """One event of that agent, as it happens in a folder."""
    text = json.dumps(json.loads((EVENTS / f"{name}.json").read_text())[moment])
    text = text.replace("CWD", json.dumps(str(folder))[1:-1])
    found: dict[str, Any] = json.loads(text)
    if isinstance(arguments := found.get("toolArgs"), str):
        found["toolArgs"] = json.dumps({**json.loads(arguments), "command": command})
    for inner in (found, found.get("tool_input", {})):
        if inner.get("command") == "COMMAND":
            inner["command"] = command
    return found


def send(checkout: Checkout, name: str, moment: str, sent: Mapping[str, Any] | str, **more: str) -> Done:
    """Run the installed line with an event, as the agent does."""
    process = subprocess.Popen(
        ["sh", "-c", line(name, moment)],
        cwd=checkout.path,
        env=checkout.env(None, **more),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # It reads only so much of an event; `communicate` minds no pipe that is shut early.
    out, err = process.communicate(sent if isinstance(sent, str) else json.dumps(sent), timeout=PATIENCE)
    return Done(process.returncode, out, err)


def answer(row: HookFile, moment: str, done: Done) -> Answer:
    """The answer as that agent's own schema reads it. Fails the test if there is anything else in it."""
    assert (done.status, done.err) == (0, ""), done
    if not done.out:
        return Answer()
    said = json.loads(done.out)
    specific = said.get("hookSpecificOutput", {})
    event_name = row.moments.get(moment, "")
    shapes: dict[str, dict[str, dict[str, Any]]] = {
        "claude": {
            "tool": {"hookSpecificOutput": {"hookEventName": event_name, "permissionDecision": "deny"}},
            "start": {"hookSpecificOutput": {"hookEventName": event_name}},
            "sub": {"hookSpecificOutput": {"hookEventName": event_name}},
            "stop": {"decision": "block"},
        },
        "gemini": {
            "tool": {"decision": "deny"},
            "start": {"hookSpecificOutput": {"hookEventName": event_name}},
            "stop": {"decision": "block"},
        },
        "cursor": {"tool": {"permission": "deny"}, "start": {}, "stop": {}},
        "copilot": {"tool": {"permissionDecision": "deny"}, "start": {}, "stop": {"decision": "block"}},
    }
    texts = {
        ("claude", "tool"): specific.pop("permissionDecisionReason", ""),
        ("gemini", "tool"): said.get("reason", ""),
        ("cursor", "tool"): said.get("agent_message", ""),
        ("copilot", "tool"): said.get("permissionDecisionReason", ""),
        ("claude", "start"): specific.pop("additionalContext", ""),
        ("cursor", "start"): said.get("additional_context", ""),
        ("copilot", "start"): said.get("additionalContext", ""),
        ("claude", "stop"): said.get("reason", ""),
        ("cursor", "stop"): said.get("followup_message", ""),
    }
    kind = {"codex": "claude", "qwen": "claude", "crush": "gemini", "opencode": "gemini"}.get(row.name, row.name)
    if moment == "end":
        return Answer(shown=said["systemMessage"])
    fixed = shapes[kind][moment]
    assert fixed.items() <= said.items(), said
    key = "start" if moment == "sub" else moment
    text = texts.get((kind, key)) or texts.get(("claude", key)) or ""
    assert text, said
    field = {"tool": "refused", "start": "told", "stop": "held"}[key]
    return Answer(**{field: text})


def asked(checkout: Checkout, name: str, command: str, **more: str) -> str:
    """Why that agent may not run the command; empty where it may."""
    done = send(checkout, name, "tool", event(name, "tool", checkout.path, command), **more)
    return answer(BY_NAME[name], "tool", done).refused
