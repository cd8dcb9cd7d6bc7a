"""The hook file that each coding agent reads in a project, and how we answer it: data, a source beside each row."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

_LIMITS: Final = {"end": 3}
"""What a hook may take, 10 where nothing is said; Codex warns of more than 3 at the end of a session."""
_NO_FRAME: Mapping[str, Any] = MappingProxyType({})
_CLAUDE: Final = {
    **{"tool": "PreToolUse", "start": "SessionStart", "sub": "SubagentStart"},
    **{"stop": "Stop", "end": "SessionEnd"},
}


class Dialect(StrEnum):
    """How an agent wants to be answered."""

    CLAUDE = "claude"
    PLAIN = "plain"
    CURSOR = "cursor"
    COPILOT = "copilot"


class HookFile(NamedTuple):
    """One agent's. `moments` names its event for each moment: before a tool runs (`tool`), when a session or a
    sub-agent starts (`start`, `sub`), when a turn ends (`stop`), when a session ends (`end`)."""

    name: str
    program: str
    """As the table of coding agents has it."""
    file: str
    signs: tuple[str, ...]
    """The paths by which a project shows that the agent is used there."""
    moments: Mapping[str, str]
    dialect: Dialect
    matcher: str = ""
    """Which tool is the shell; empty where the event is about nothing else."""
    unit: int = 1
    """The unit of its time limits is this part of a second."""
    grouped: bool = True
    """Whether the commands of an event stand in groups, each with a matcher."""
    words: tuple[str, str] = ("command", "timeout")
    """What it calls the command line and the time limit."""
    frame: Mapping[str, Any] = _NO_FRAME
    """What else a new file needs."""

    def entry(self, moment: str) -> dict[str, Any]:
        """What stands in the file for a moment."""
        limit = _LIMITS.get(moment, 10) * self.unit
        hook = {"type": "command", self.words[0]: line(self.name, moment), self.words[1]: limit}
        match = {"matcher": self.matcher} if moment == "tool" and self.matcher else {}
        return {**match, "hooks": [hook]} if self.grouped else {**match, **hook}


def line(name: str, moment: str) -> str:
    """The command line of a hook: for `sh`, whatever shell starts it. Python starts only where the command speaks
    of git or of its lock. It always ends with 0: many agents take 2 for a refusal."""
    call = f"buildguard agent-hook {name} {moment}"
    if moment != "tool":
        return f"sh -c '{call} 2>/dev/null; exit 0'"
    # What stands before the command, as folders, would have git in it too often.
    test = "e=$(head -c 300000); case ${e#*command} in *git*|*index.lock*)"
    return f"sh -c '{test} printf %s \"$e\" | {call};; esac 2>/dev/null; exit 0'"


_SAME: Final = _CLAUDE, Dialect.CLAUDE
HOOK_FILES: Final = (
    # code.claude.com/docs/en/hooks; @anthropic-ai/claude-code 2.1.197
    HookFile("claude", "Claude Code", ".claude/settings.json", (".claude", "CLAUDE.md"), *_SAME, "Bash"),
    # developers.openai.com/codex/hooks; codex-rs/hooks/schema/generated; @openai/codex 0.171.0
    HookFile("codex", "Codex", ".codex/hooks.json", (".codex",), *_SAME, "Bash"),
    # bundled/qc-helper/docs/features/hooks.md and cli.js of @qwen-code/qwen-code 0.15.10; milliseconds
    HookFile("qwen", "Qwen Code", ".qwen/settings.json", (".qwen", "QWEN.md"), *_SAME, "run_shell_command", 1000),
    # bundle/docs/hooks/reference.md of @google/gemini-cli 0.61.0; milliseconds
    HookFile(
        *("gemini", "Gemini CLI", ".gemini/settings.json", (".gemini", "GEMINI.md")),
        {"tool": "BeforeTool", "start": "SessionStart", "stop": "AfterAgent", "end": "SessionEnd"},
        Dialect.PLAIN,
        *("run_shell_command", 1000),
    ),
    # cursor.com/docs/agent/hooks; closed source, so not verified against a program
    HookFile(
        *("cursor", "Cursor", ".cursor/hooks.json", (".cursor",)),
        {"tool": "beforeShellExecution", "start": "sessionStart", "stop": "stop", "end": "sessionEnd"},
        dialect=Dialect.CURSOR,
        grouped=False,
        frame={"version": 1},
    ),
    # docs.github.com, "GitHub Copilot CLI hooks reference"; it reads each file of that folder
    HookFile(
        *("copilot", "Copilot CLI", ".github/hooks/buildguard.json"),
        (".github/hooks", ".github/copilot-instructions.md"),
        {"tool": "preToolUse", "start": "sessionStart", "stop": "agentStop", "end": "sessionEnd"},
        dialect=Dialect.COPILOT,
        grouped=False,
        words=("bash", "timeoutSec"),
        frame={"version": 1},
    ),
    # github.com/charmbracelet/crush, docs/hooks/README.md; older ones refuse a file with another event
    HookFile(
        *("crush", "Crush", "crush.json", ("crush.json", ".crush"), {"tool": "PreToolUse"}),
        dialect=Dialect.PLAIN,
        matcher="^bash$",
        grouped=False,
    ),
    # opencode.ai/docs/plugins; opencode-ai 1.18.33. Its file is a program: setup/entries/opencode.js
    HookFile(
        *("opencode", "OpenCode", ".opencode/plugins/buildguard.js", (".opencode", "opencode.json")),
        *({}, Dialect.PLAIN),
    ),
)
BY_NAME: Final = {row.name: row for row in HOOK_FILES}
