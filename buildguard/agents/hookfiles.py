"""The hook file that each coding agent reads in a project, and how we answer it: data, a source beside each row."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple


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
    dialect: Dialect
    moments: Mapping[str, str]
    matcher: str = ""
    """Which tool is the shell; empty where the event is about nothing else."""
    unit: int = 1
    """Its time limits are in seconds divided by this."""
    grouped: bool = True
    """Whether the commands of an event stand in groups, each with a matcher."""
    words: tuple[str, str] = ("command", "timeout")
    """What it calls the command line and the time limit."""
    frame: Mapping[str, Any] = MappingProxyType({})
    """What else a new file needs."""

    def entry(self, moment: str) -> dict[str, Any]:
        """What stands in the file for a moment. Codex warns of more than 3 s at the end of a session."""
        limit = (3 if moment == "end" else 10) * self.unit
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


def _moments(*events: str) -> Mapping[str, str]:
    """The moments `tool`, `start`, `stop`, `end` and `sub`, as far as the agent has an event for them."""
    return dict(zip(("tool", "start", "stop", "end", "sub"), events, strict=False))


_CLAUDE: Final = Dialect.CLAUDE, _moments("PreToolUse", "SessionStart", "Stop", "SessionEnd", "SubagentStart")
_SHELL: Final = "run_shell_command"
HOOK_FILES: Final = (
    # code.claude.com/docs/en/hooks; tried with @anthropic-ai/claude-code 2.1.197
    HookFile("claude", "Claude Code", ".claude/settings.json", (".claude", "CLAUDE.md"), *_CLAUDE, "Bash"),
    # developers.openai.com/codex/hooks, codex-rs/hooks/schema/generated; loaded by @openai/codex 0.171.0
    HookFile("codex", "Codex", ".codex/hooks.json", (".codex",), *_CLAUDE, "Bash"),
    # bundled/qc-helper/docs/features/hooks.md of @qwen-code/qwen-code 0.15.10, and tried with it; milliseconds
    HookFile("qwen", "Qwen Code", ".qwen/settings.json", (".qwen", "QWEN.md"), *_CLAUDE, _SHELL, 1000),
    # bundle/docs/hooks/reference.md of @google/gemini-cli 0.61.0, and tried with it; milliseconds
    HookFile(
        *("gemini", "Gemini CLI", ".gemini/settings.json", (".gemini", "GEMINI.md"), Dialect.PLAIN),
        *(_moments("BeforeTool", "SessionStart", "AfterAgent", "SessionEnd"), _SHELL, 1000),
    ),
    # cursor.com/docs/agent/hooks; closed source, not tried
    HookFile(
        *("cursor", "Cursor", ".cursor/hooks.json", (".cursor",), Dialect.CURSOR),
        _moments("beforeShellExecution", "sessionStart", "stop", "sessionEnd"),
        grouped=False,
        frame={"version": 1},
    ),
    # docs.github.com, "GitHub Copilot CLI hooks reference"; it reads each file of that folder; not tried
    HookFile(
        *("copilot", "Copilot CLI", ".github/hooks/buildguard.json"),
        *((".github/hooks", ".github/copilot-instructions.md"), Dialect.COPILOT),
        _moments("preToolUse", "sessionStart", "agentStop", "sessionEnd"),
        grouped=False,
        words=("bash", "timeoutSec"),
        frame={"version": 1},
    ),
    # github.com/charmbracelet/crush, docs/hooks/README.md; older ones refuse a file with another event; not tried
    HookFile(
        *("crush", "Crush", "crush.json", ("crush.json", ".crush"), Dialect.PLAIN),
        *(_moments("PreToolUse"), "^bash$", 1, False),
    ),
    # opencode.ai/docs/plugins; tried with opencode-ai 1.18.33. Its file is a program: setup/texts/opencode.js
    HookFile(
        *("opencode", "OpenCode", ".opencode/plugins/buildguard.js", (".opencode", "opencode.json")),
        *(Dialect.PLAIN, _moments()),
    ),
)
BY_NAME: Final = {row.name: row for row in HOOK_FILES}
