"""What coding agents and CI systems put into the environment of their commands: data, a source beside each row."""

from enum import Enum
from typing import Final, NamedTuple


class After(Enum):
    """What an agent's shell does with a command after a time."""

    KILLS = "kills it"
    YIELDS = "lets it go on, and the agent with it: a wait or a check need not be cut short"
    KILLS_SILENT = "kills it if it has said nothing for that long"


class Limit(NamedTuple):
    """What happens to a command after how many seconds. `milliseconds_variable` is how users set another limit."""

    then: After
    seconds: float
    milliseconds_variable: str = ""


class CodingAgent(NamedTuple):
    """What one coding agent puts into the environment of its commands."""

    name: str
    markers: tuple[str, ...]
    """`NAME` (set, and neither 0 nor false) or `NAME=value`; one of them is enough."""
    source: str
    """Where it was read; a package with its version is what it was verified in."""
    session: str = ""
    """The variable that holds the id of a session. A process id is none: another process may get it later."""
    limit: Limit | None = None
    """Of a command for which the agent gives no time of its own, where known."""


class CISystem(NamedTuple):
    """How a CI system names a job: the first variable must be set, the others sharpen it."""

    name: str
    variables: tuple[str, ...]
    prefix: str = ""
    """How the first one's value begins, where the name alone is too common to believe."""


CODING_AGENTS: Final = (
    # Beyond its limit it may also let a command go on; older ones kill it.
    CodingAgent(
        "Claude Code",
        ("CLAUDECODE", "CLAUDE_CODE_SESSION_ID"),
        "npm @anthropic-ai/claude-code-linux-x64 2.1.332",
        "CLAUDE_CODE_SESSION_ID",
        Limit(After.KILLS, 120, "BASH_DEFAULT_TIMEOUT_MS"),
    ),
    # CODEX_SESSION_ID is the root session, which its sub-agents share.
    CodingAgent(
        "Codex",
        ("CODEX_THREAD_ID", "CODEX_CI", "CODEX_SANDBOX"),
        "npm @openai/codex 0.171.0-linux-x64",
        "CODEX_THREAD_ID",
        Limit(After.YIELDS, 10),
    ),
    CodingAgent(
        "Copilot CLI",
        ("COPILOT_CLI", "COPILOT_AGENT_SESSION_ID"),
        "npm @github/copilot-linux-x64 1.0.102; after how long it goes on without a command was not seen",
        "COPILOT_AGENT_SESSION_ID",
    ),
    CodingAgent(
        "Cursor",
        ("CURSOR_AGENT", "CURSOR_CONVERSATION_ID"),
        "PyPI cursor-sdk 1.1.0; its editor is no package, so not verified",
        "CURSOR_CONVERSATION_ID",
        Limit(After.KILLS, 30),
    ),
    CodingAgent(
        "Amp",
        ("AGENT=amp", "AMP_CURRENT_THREAD_ID"),
        "what other public tools go by; not verified: npm @ampcode/cli does not show it",
        "AMP_CURRENT_THREAD_ID",
    ),
    CodingAgent("Gemini CLI", ("GEMINI_CLI",), "npm @google/gemini-cli 0.61.0", "", Limit(After.KILLS_SILENT, 300)),
    CodingAgent(
        "Qwen Code",
        ("QWEN_CODE",),
        "npm @qwen-code/qwen-code 0.24.4",
        "QWEN_CODE_SESSION_ID",
        Limit(After.KILLS, 120),
    ),
    # Before OpenCode, whose mark it sets, too.
    CodingAgent(
        "Kilo",
        ("KILO_PID",),
        "npm @kilocode/cli-linux-x64 7.7.9",
        limit=Limit(After.KILLS, 120, "KILO_EXPERIMENTAL_BASH_DEFAULT_TIMEOUT_MS"),
    ),
    CodingAgent(
        "OpenCode",
        ("OPENCODE",),
        "npm opencode-linux-x64 1.18.33",
        limit=Limit(After.KILLS, 120, "OPENCODE_EXPERIMENTAL_BASH_DEFAULT_TIMEOUT_MS"),
    ),
    CodingAgent(
        "Crush", ("CRUSH",), "github.com/charmbracelet/crush at 37f36e9; no package", "", Limit(After.YIELDS, 60)
    ),
    # Anybody may set a variable of the name of its id, so it is no mark.
    CodingAgent(
        "Goose", ("GOOSE_TERMINAL", "AGENT=goose"), "github.com/block/goose; no package", "AGENT_SESSION_ID"
    ),
    CodingAgent("Auggie", ("AUGMENT_AGENT",), "npm @augmentcode/auggie 0.36.0"),
    CodingAgent("pi", ("PI_CODING_AGENT",), "npm @earendil-works/pi-coding-agent 1.6.0", "PI_SESSION_ID"),
    CodingAgent("Antigravity", ("ANTIGRAVITY_AGENT",), "PyPI google-antigravity 0.1.22"),
    CodingAgent("Warp", ("OZ_RUN_ID",), "github.com/warpdotdev/warp, crates/warp_cli; no package", "OZ_RUN_ID"),
)

CI_SYSTEMS: Final = (
    # docs.github.com, "Variables reference". The jobs of a matrix share all but the runner.
    CISystem("github", ("GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB", "RUNNER_NAME")),
    # docs.gitlab.com, "Predefined CI/CD variables reference"
    CISystem("gitlab", ("CI_JOB_ID",)),
    # buildkite.com/docs, "Environment variables"
    CISystem("buildkite", ("BUILDKITE_JOB_ID",)),
    # circleci.com/docs, "Built-in environment variables". All nodes of a job with `parallelism` share its id.
    CISystem("circleci", ("CIRCLE_WORKFLOW_JOB_ID", "CIRCLE_NODE_INDEX")),
    # jenkins.io/doc, "Using environment variables". Parallel stages share the tag; people set BUILD_TAG, too.
    CISystem("jenkins", ("BUILD_TAG", "NODE_NAME", "EXECUTOR_NUMBER"), "jenkins-"),
)

CI_MARKERS: Final = ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "CIRCLECI", "JENKINS_URL", "TF_BUILD")
"""Variables that say only that some CI job runs. In the form of `CodingAgent.markers`."""
