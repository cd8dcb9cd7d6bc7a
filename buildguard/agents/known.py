"""What coding agents and CI systems put into the environment of their commands: data, a source beside each row."""

from typing import Final, NamedTuple


class CodingAgent(NamedTuple):
    """What one coding agent puts into the environment of its commands."""

    name: str
    markers: tuple[str, ...]
    """`NAME` (set, and neither 0 nor false) or `NAME=value`; one of them is enough."""
    session: str = ""
    """The variable that holds the id of a session. A process id is none: another process may get it later."""
    seconds: float | None = None
    """After how many seconds its shell stops waiting for a command, where known."""
    milliseconds_variable: str = ""
    """The variable by which its users set another limit."""


class CISystem(NamedTuple):
    """How a CI system names a job: the first variable must be set, the others sharpen it."""

    name: str
    variables: tuple[str, ...]
    prefix: str = ""
    """How the first one's value begins, where the name alone is too common to believe."""


CODING_AGENTS: Final = (
    # code.claude.com/docs/en/env-vars
    CodingAgent("Claude Code", ("CLAUDECODE",), "CLAUDE_CODE_SESSION_ID", 120, "BASH_DEFAULT_TIMEOUT_MS"),
    # github.com/openai/codex, codex-rs: protocol/src/shell_environment.rs, core/src: spawn.rs, exec.rs
    CodingAgent("Codex", ("CODEX_THREAD_ID", "CODEX_SANDBOX"), "CODEX_THREAD_ID", 10),
    # Closed source, so not verified, these three: what other public tools go by.
    CodingAgent("Copilot CLI", ("COPILOT_CLI",), "COPILOT_AGENT_SESSION_ID"),
    CodingAgent("Cursor", ("CURSOR_AGENT",), "CURSOR_CONVERSATION_ID", 30),
    CodingAgent("Amp", ("AGENT=amp",), "AMP_CURRENT_THREAD_ID"),
    # github.com/google-gemini/gemini-cli, packages/core/src/services/shellExecutionService.ts
    CodingAgent("Gemini CLI", ("GEMINI_CLI",), "", 300),
    # github.com/sst/opencode, packages/opencode/src: index.ts, tool/bash.ts
    CodingAgent("OpenCode", ("OPENCODE",), "", 120),
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
