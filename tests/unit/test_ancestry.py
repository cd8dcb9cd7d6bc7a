"""Which process above a hook stands for an agent: the tables, in cases."""

import shlex
from pathlib import Path

import pytest

from buildguard.agents.ancestry import agent_among, is_typed_into, names
from buildguard.agents.processes import Process


def seen(pid: int, command: str) -> Process:
    """A process as the walk sees it; `tty` before the command gives it a terminal."""
    terminal, words = command.startswith("tty "), shlex.split(command.removeprefix("tty "))
    name = Path(words[0]).name.lstrip("-")[:15]
    return Process(pid, name, tuple(words), terminal, 0.0, f"{pid} 100 here")


def chosen(*commands: str) -> str | None:
    """The command among `commands` (parent first) that is taken for the agent."""
    found = [seen(pid, command) for pid, command in enumerate(commands, 100)]
    agent = agent_among(found)
    return commands[agent.pid - 100] if agent else None


@pytest.mark.parametrize(
    "shell",
    [
        "tty -zsh",
        "tty /usr/bin/bash",
        "tty bash -i",
        "tty bash --login -i",
        "tty zsh -il",
        "tty bash -o vi",
        "tty bash --init-file /code/shellIntegration-bash.sh",
        "tty fish --init-command 'source shellIntegration.fish'",
        "tty zsh-5.9",
        "tty /usr/bin/python3 /usr/bin/xonsh",
    ],
)
def test_a_shell_that_somebody_types_into_is_an_agent(shell: str) -> None:
    assert chosen("git commit", shell, "node agent.js") == shell


@pytest.mark.parametrize(
    "shell",
    [
        "bash",
        "-zsh",
        "bash -i",
        "tty bash -c 'git commit'",
        "tty bash -lc 'git commit'",
        "tty zsh -c -l 'git commit'",
        "tty bash -ic 'git commit'",
        "tty fish --command=git",
        "tty bash release.sh",
        "tty sh -e release.sh",
        "tty bash -o pipefail release.sh",
        "tty bash -- release.sh",
        "tty sh -s",
        "sh .git/hooks/pre-commit",
        "/usr/bin/python3 /usr/bin/xonsh release.xsh",
    ],
)
def test_a_shell_that_runs_something_is_no_agent(shell: str) -> None:
    assert chosen("git commit", shell, "claude") == "claude"


@pytest.mark.parametrize(
    "passed",
    [
        "git commit -m x",
        "/usr/lib/git-core/git commit",
        "git-buildguard status",
        "buildguard hook",
        "/venv/bin/python /venv/bin/buildguard hook",
        "/venv/bin/python3.12 -m buildguard hook",
        "python -Im buildguard.cli",
        "python /venv/bin/git-buildguard",
        "/usr/bin/python3 /usr/bin/pre-commit run",
        "python -u -W ignore -m pre_commit hook-impl",
        "python -Wignore -X dev -m pre_commit",
        "python -I /venv/bin/pre-commit run",
        "python .git/hooks/pre-push",
        "prek run",
        "node /repo/node_modules/.bin/lint-staged",
        "node /repo/node_modules/lint-staged/bin/lint-staged.js",
        "node /repo/node_modules/husky/bin.js",
        "node /repo/node_modules/lefthook/bin/index.js run pre-commit",
        "lefthook run pre-commit",
        "hk run pre-commit --from-hook",
        "ruby /usr/bin/overcommit",
        "node /usr/lib/node_modules/npm/bin/npm-cli.js run commit",
        "node --require ./trace.js /usr/bin/npx commit",
        "'npm run commit'",
        "node /repo/.yarn/releases/yarn-4.1.0.cjs commit",
        "node /home/ann/.cache/node/corepack/pnpm.cjs run commit",
        "bun run commit",
        "bun x husky",
        "deno task commit",
        "make commit",
        "gmake -j2",
        "timeout 60 git commit",
        "env A=1 git commit",
        "nice -n 5 git commit",
        "ionice git commit",
        "nohup git commit",
        "setsid git commit",
        "stdbuf -o0 git commit",
        "time git commit",
        "xargs git commit",
        "perl /usr/bin/parallel git commit",
        "perl /usr/bin/chronic git commit",
        "sudo git commit",
        "su ann -c git",
        "doas git commit",
        "uv run git commit",
        "uvx pre-commit",
        "python /venv/bin/poetry run git commit",
        "python -m tox",
        "python3 /venv/bin/nox",
        "just commit",
        "task commit",
        "ruby /usr/bin/rake commit",
        "mise exec -- git commit",
        "direnv exec . git commit",
        "strace -f git commit",
        "script -qec 'git commit' /dev/null",
        "flock lock git commit",
        "watch git commit",
        "entr git commit",
        "bwrap --ro-bind / / git commit",
        "/proc/self/codex-linux-sandbox git commit",
    ],
)
def test_what_ends_with_its_command_is_no_agent(passed: str) -> None:
    assert chosen("git commit", passed, "claude") == "claude"
    assert chosen(passed, "tty -zsh") == "tty -zsh"


@pytest.mark.parametrize(
    "agent",
    [
        "claude",
        "node /usr/lib/node_modules/@openai/codex/bin/codex.js",
        "node /home/ann/agent/main.js",
        "/opt/agents/aider --yes",
        "python agent.py",
        "python -m aider",
        "python -c 'import agent; agent.run()'",
        "python",
        "python3 task.py",
        "node watch.js",
        "python -m just",
        "ruby -e 'fix'",
        "node -e 'fix()'",
        "'/Applications/My Editor.app/Contents/MacOS/Editor'",
    ],
)
def test_a_program_that_works_on_its_own_is_an_agent(agent: str) -> None:
    assert chosen("git commit", "sh -c 'git commit'", agent, "tty -zsh") == agent


@pytest.mark.parametrize(
    "host",
    [
        "/sbin/init",
        "/usr/lib/systemd/systemd --user",
        "/sbin/launchd",
        "tini -- git commit",
        "dumb-init git commit",
        "/sbin/docker-init -- git commit",
        "/usr/bin/containerd-shim-runc-v2 -namespace moby",
        "catatonit git commit",
        "'sshd: ann@notty'",
        "sshd-session",
        "/usr/sbin/cron -f",
        "crond",
        "'tmux: server'",
        "SCREEN -S x",
        "python3 /usr/bin/supervisord",
    ],
)
def test_what_agents_share_is_no_agent(host: str) -> None:
    assert chosen("git commit", host) is None


@pytest.mark.parametrize("pid", [1, 2])
def test_the_first_processes_of_a_container_are_no_agents(pid: int) -> None:
    assert agent_among([seen(50, "git commit"), seen(pid, "claude")]) is None


def test_an_unreadable_command_line_is_judged_by_its_name() -> None:
    hidden = [
        Process(51, "make", (), False, 0.0, "51 1 here"),
        Process(50, "zsh", (), True, 0.0, "50 1 here"),
    ]
    assert agent_among(hidden) == hidden[1]


@pytest.mark.parametrize(
    ("command", "typed_into"),
    [
        ("tty -zsh", True),
        ("-zsh", False),
        ("tty bash -c 'git commit'", False),
        ("tty bash release.sh", False),
        ("tty claude", False),
        ("tty python", False),
    ],
)
def test_a_shell_is_typed_into_only_on_a_terminal_and_without_a_script(command: str, typed_into: bool) -> None:
    assert is_typed_into(seen(100, command)) == typed_into


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/repo/node_modules/lefthook-linux-x64/bin/lefthook run pre-commit", "lefthook"),
        ("node /repo/node_modules/.bin/lint-staged", "/repo/node_modules/.bin/lint-staged"),
        ("node --require ./x.js /repo/node_modules/lint-staged/bin/lint-staged.js --quiet", "lint-staged"),
        ("python -m pre_commit run", "pre_commit.py"),
    ],
)
def test_a_program_is_named_by_itself_its_script_and_the_package_of_that(command: str, name: str) -> None:
    assert name in names(seen(100, command))


def test_an_argument_does_not_name_a_program() -> None:
    assert "lint-staged" not in names(seen(100, "node server.js lint-staged"))
