"""Who is calling: the tables in cases, the walk up the process tree with real shells and real wrappers."""

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildguard.agents import ancestry, processes
from buildguard.agents import identity as agents
from buildguard.agents.processes import Process

ROOT = Path(__file__).parents[2]
ANSWER_DEADLINE = 20.0
"""Seconds that a process which we started may take to answer; far above what it needs, for busy machines."""


def seen(pid: int, command: str) -> Process:
    """A process as the walk sees it; `tty` before the command gives it a terminal."""
    terminal, words = command.startswith("tty "), shlex.split(command.removeprefix("tty "))
    name = Path(words[0]).name.lstrip("-")[:15]
    return Process(pid, name, tuple(words), terminal, f"{pid} 100 boot namespace")


def chosen(*commands: str) -> str | None:
    """The command among `commands` (parent first) that is taken for the agent."""
    found = [seen(pid, command) for pid, command in enumerate(commands, 100)]
    agent = ancestry.agent_among(found)
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
        "bun agent.ts",
        "bun run agent.ts",
        "deno run -A agent.ts",
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
    assert ancestry.agent_among([seen(50, "git commit"), seen(pid, "claude")]) is None


def test_an_unreadable_command_line_is_judged_by_its_name() -> None:
    hidden = [
        Process(51, "make", (), False, "51 1 b n"),
        Process(50, "zsh", (), True, "50 1 b n"),
    ]
    assert ancestry.agent_among(hidden) == hidden[1]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty"),
        ("  ", "blank"),
        ("x" * 10_000, "10000 characters; at most 200"),
        ("a\nb", "character 2 is U+000A, which is a control character"),
        ("a\x1b[31m", "character 2 is U+001B, which is a control character"),
        ("agent\u202etxt", "character 6 is U+202E, which is invisible"),
        ("a\u200b", "character 2 is U+200B, which is invisible"),
        ("a\u2028", "character 2 is U+2028, which is invisible"),
        ("\u3164", "character 1 is U+3164, which is invisible"),
        ("\udc80", "character 1 is U+DC80, which is not valid text"),
    ],
)
def test_an_illegal_id_is_refused_in_one_line(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=r"\A--agent: [^\n]*\Z") as refused:
        agents.checked_id(text, "--agent")
    assert fault in str(refused.value)


@pytest.mark.parametrize("text", ["ann", "[bold]x[/]", "Änn Ørsted", "エージェント", "x" * 200, "🤖"])
def test_a_legal_id_is_kept_as_it_is(text: str) -> None:
    assert agents.checked_id(text, "--agent") == text


def test_blanks_around_an_id_are_no_part_of_it() -> None:
    assert agents.checked_id(" ann ", "--agent") == "ann"


GITHUB = {"GITHUB_RUN_ID": "77", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_JOB": "test"}
CLAUDE = {"CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": "c1"}


@pytest.mark.parametrize(
    ("option", "environment", "expected"),
    [
        ("ann", {"BUILDGUARD_AGENT": "bob"} | CLAUDE, ("ann", "--agent")),
        (None, {"BUILDGUARD_AGENT": "bob"} | CLAUDE, ("bob", "BUILDGUARD_AGENT")),
        (None, {"BUILDGUARD_AGENT": ""} | CLAUDE, ("claude-code:c1@tree", "CLAUDE_CODE_SESSION_ID")),
        (None, CLAUDE | GITHUB, ("claude-code:c1@tree", "CLAUDE_CODE_SESSION_ID")),
        (
            None,
            CLAUDE | {"CODEX_THREAD_ID": "x2"},
            ("claude-code:c1+codex:x2@tree", "CLAUDE_CODE_SESSION_ID + CODEX_THREAD_ID"),
        ),
        (None, {"COPILOT_AGENT_SESSION_ID": "s"}, ("copilot-cli:s@tree", "COPILOT_AGENT_SESSION_ID")),
        (None, {"CURSOR_CONVERSATION_ID": "s"}, ("cursor:s@tree", "CURSOR_CONVERSATION_ID")),
        (None, {"AGENT": "amp", "AMP_CURRENT_THREAD_ID": "T-1"}, ("amp:T-1@tree", "AMP_CURRENT_THREAD_ID")),
        (None, GITHUB, ("github:77/2/test", "GITHUB_RUN_ID")),
        (None, GITHUB | {"RUNNER_NAME": "r 1"}, ("github:77/2/test/r 1", "GITHUB_RUN_ID")),
        (None, {"CI_JOB_ID": "5"}, ("gitlab:5", "CI_JOB_ID")),
        (None, {"BUILDKITE_JOB_ID": "5"}, ("buildkite:5", "BUILDKITE_JOB_ID")),
        (
            None,
            {"CIRCLE_WORKFLOW_JOB_ID": "5", "CIRCLE_NODE_INDEX": "0"},
            ("circleci:5/0", "CIRCLE_WORKFLOW_JOB_ID"),
        ),
        (None, {"BUILD_TAG": "jenkins-x-1", "NODE_NAME": "n"}, ("jenkins:jenkins-x-1/n", "BUILD_TAG")),
    ],
)
def test_the_first_that_tells_who_calls_is_believed(
    option: str | None, environment: dict[str, str], expected: tuple[str, str]
) -> None:
    agent = agents.identify(option, environment, "tree")
    assert (agent.id, agent.source, agent.process) == (*expected, None)


@pytest.mark.parametrize(
    "environment",
    [{}, {"OPENCODE": "1", "OPENCODE_PID": "5"}, {"GEMINI_CLI": "1"}, {"AGENT": "amp"}, {"BUILD_TAG": "v1.2"}],
)
def test_what_names_no_session_leaves_it_to_the_process(environment: dict[str, str]) -> None:
    agent = agents.identify(None, environment, "tree")
    assert agent.source.startswith("process ")
    assert agent.process is not None
    assert not processes.known_dead(agent.process)


def test_an_empty_option_is_an_error() -> None:
    with pytest.raises(ValueError, match="--agent: empty"):
        agents.identify("", {}, "tree")


def test_an_illegal_variable_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="BUILDGUARD_AGENT: character 2"):
        agents.identify(None, {"BUILDGUARD_AGENT": "a\tb"}, "tree")


def test_one_session_in_two_work_trees_is_two_agents() -> None:
    assert agents.identify(None, CLAUDE, "one").id != agents.identify(None, CLAUDE, "two").id


@settings(deadline=None)
@given(st.text(min_size=1).filter(str.strip), st.text())
def test_a_published_id_is_always_legal(session: str, work_tree: str) -> None:
    published = agents.identify(None, {"CODEX_THREAD_ID": session}, work_tree).id
    assert agents.checked_id(published, "BUILDGUARD_AGENT") == published


def test_long_session_ids_stay_distinct() -> None:
    ids = {agents.identify(None, {"CODEX_THREAD_ID": "x" * 5000 + end}, "tree").id for end in "ab"}
    assert [len(published) for published in ids] == [200, 200]


@pytest.mark.parametrize(
    ("environment", "name", "limit"),
    [
        ({}, None, None),
        ({"CLAUDECODE": "1"}, "Claude Code", ("Claude Code", 120)),
        ({"CLAUDECODE": "0"}, None, None),
        ({"CLAUDECODE": "1", "BASH_DEFAULT_TIMEOUT_MS": "300500"}, "Claude Code", ("Claude Code", 300.5)),
        ({"CLAUDECODE": "1", "BASH_DEFAULT_TIMEOUT_MS": "soon"}, "Claude Code", ("Claude Code", 120)),
        ({"BASH_DEFAULT_TIMEOUT_MS": "300000"}, None, None),
        ({"CODEX_THREAD_ID": "x"}, "Codex", ("Codex", 10)),
        ({"COPILOT_CLI": "1"}, "Copilot CLI", None),
        ({"CURSOR_AGENT": "1"}, "Cursor", ("Cursor", 30)),
        ({"AGENT": "amp"}, "Amp", None),
        ({"AGENT": "goose"}, None, None),
        ({"GEMINI_CLI": "1"}, "Gemini CLI", ("Gemini CLI", 300)),
        ({"OPENCODE": "1"}, "OpenCode", ("OpenCode", 120)),
        ({"CLAUDECODE": "1", "CODEX_THREAD_ID": "x"}, "Claude Code", ("Codex", 10)),
    ],
)
def test_the_shell_of_a_coding_agent_is_known(
    environment: dict[str, str], name: str | None, limit: tuple[str, float] | None
) -> None:
    found = agents.shell_limit(environment)
    assert agents.coding_agent(environment) == name
    assert (found and (found.agent, found.seconds)) == limit


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"CI": "true"}, True),
        ({"CI": "false"}, False),
        ({"CI": ""}, False),
        (GITHUB, True),
        ({"CI_JOB_ID": "5"}, True),
        ({"BUILD_TAG": "jenkins-x-1"}, True),
        ({"BUILD_TAG": "v1.2"}, False),
        ({"JENKINS_URL": "https://ci"}, True),
    ],
)
def test_ci_is_recognised(environment: dict[str, str], expected: bool) -> None:
    assert agents.in_ci(environment) == expected


# The program that a real agent runs, at whatever depth: it writes its caller's id into a named pipe.
WHO = """
import os
from buildguard.agents import identity as agents
kept = {name: os.environ[name] for name in ("GIT_INDEX_FILE",) if name in os.environ}
try:
    answer = agents.identify(None, kept, "tree").id
except agents.Unidentified as why:
    answer = f"Unidentified: {why}"
with open(os.environ["ANSWERS"], "w") as answers:
    print(answer, file=answers)
"""

# Opened by the leader of a new session, a terminal becomes its controlling terminal.
ON_TERMINAL = """
import fcntl, os, sys, termios
terminal = os.open(sys.argv[1], os.O_RDWR)
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
os.dup2(terminal, 0)
os.execvp(sys.argv[2], sys.argv[2:])
"""

# A program such as a coding agent: without a terminal, it runs each line that it is sent in a shell.
PROGRAM = """
import subprocess, sys
for line in sys.stdin:
    subprocess.run(["sh", "-c", line], stdin=subprocess.DEVNULL)
"""

HOOK_IN_PYTHON = "import os, subprocess, sys; sys.exit(subprocess.call(os.environ['WHO'], shell=True))"

PRE_COMMIT_CONFIG = """
repos:
- {repo: local, hooks: [{id: who, name: who, language: system, entry: sh release.sh, always_run: true}]}
"""


class OuterAgent:
    """A real process that stands for an agent, and takes commands on its standard input."""

    def __init__(self, pid: int, commands: int, answers: int) -> None:
        self.pid = pid
        self._commands = commands
        self._answers = answers

    def told(self, command: str) -> str:
        """What the `who` that `command` runs says of its caller."""
        os.write(self._commands, command.encode() + b"\n")
        ready, _, _ = select.select([self._answers], [], [], ANSWER_DEADLINE)
        assert ready, f"no answer through: {command}"
        return os.read(self._answers, 1000).decode().strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with `who.py`, and with what runs it: a Makefile, a git alias, a hook, a package."""
    (tmp_path / "who.py").write_text(WHO)
    (tmp_path / "hook.py").write_text(HOOK_IN_PYTHON)
    (tmp_path / "Makefile").write_text("commit:\n\t@$$WHO; true\nhook:\n\t@git commit -qm x; true\n")
    (tmp_path / "release.sh").write_text("$WHO\ntrue\n")
    (tmp_path / "package.json").write_text('{"scripts": {"commit": "$WHO; true"}}')
    (tmp_path / ".pre-commit-config.yaml").write_text(PRE_COMMIT_CONFIG)
    for command in (["init", "-q"], ["config", "alias.who", "!$WHO; true"], ["add", "."]):
        subprocess.run(["git", *command], cwd=tmp_path, env=environment_in(tmp_path), check=True)
    hook = tmp_path / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\n"$PYTHON" hook.py\nexit $?\n')
    hook.chmod(0o755)
    return tmp_path


def environment_in(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        "WHO": f"{shlex.quote(sys.executable)} {shlex.quote(str(folder / 'who.py'))}",
        "HOME": str(folder / "home"),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }


@contextmanager
def started(command: list[str], folder: Path, stdin: int, commands: int) -> Iterator[OuterAgent]:
    with tempfile.TemporaryDirectory(dir=folder) as own:
        pipe = Path(own) / "answers"
        os.mkfifo(pipe)
        # For writing, too: the pipe must not be at its end between one answer and the next.
        answers = os.open(pipe, os.O_RDWR)
        with subprocess.Popen(
            command,
            cwd=folder,
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment_in(folder) | {"ANSWERS": str(pipe)},
            start_new_session=True,
        ) as process:
            try:
                yield OuterAgent(process.pid, commands, answers)
            finally:
                process.kill()
                os.close(answers)


@contextmanager
def interactive_shell(folder: Path) -> Iterator[OuterAgent]:
    """A bash on a terminal of its own."""
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    master, slave = pty.openpty()
    try:
        bash = ["bash", "--norc", "--noprofile", "--noediting", "-i"]
        command = [sys.executable, "-c", ON_TERMINAL, os.ttyname(slave), *bash]
        with started(command, folder, subprocess.DEVNULL, master) as agent:
            yield agent
    finally:
        os.close(master)
        os.close(slave)


@contextmanager
def program(folder: Path) -> Iterator[OuterAgent]:
    """A Python program without a terminal."""
    reading, writing = os.pipe()
    try:
        with started([sys.executable, "-uc", PROGRAM], folder, reading, writing) as agent:
            yield agent
    finally:
        os.close(reading)
        os.close(writing)


def test_two_shells_are_two_agents_and_each_is_one(folder: Path) -> None:
    with interactive_shell(folder) as one, interactive_shell(folder) as other:
        told = [agent.told("$WHO") for agent in (one, other) for _ in range(5)]
    assert len(set(told[:5])) == len(set(told[5:])) == 1
    assert told[0] != told[5]
    assert f":{one.pid}-" in told[0]
    assert f":{other.pid}-" in told[5]


WAYS = {
    "sh -c": "sh -c '$WHO; true'",
    "a script": "sh release.sh",
    "a script on its own": "bash -i -c '$WHO; true'",
    "env": "env A=1 $WHO",
    "timeout": "timeout 60 $WHO",
    "nice": "nice $WHO",
    "xargs": "echo | xargs $WHO",
    "make": "make -s commit",
    "git alias": "git who",
    "git hook": "git commit -qm x",
    "everything": "timeout 60 sh -c 'make -s hook; true'",
    "npm": "npm run commit",
    "script": "script -qec '$WHO' /dev/null",
    "setsid": "setsid -w $WHO",
    "pre-commit": "$PYTHON -m pre_commit run",
    "prek": "${PYTHON%/*}/prek run",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("outer", [interactive_shell, program])
def test_the_agent_is_the_one_outside_of(
    folder: Path, way: str, outer: Callable[[Path], AbstractContextManager[OuterAgent]]
) -> None:
    first = WAYS[way].split()[0]
    if not first.startswith("$") and shutil.which(first) is None:
        pytest.skip(f"no {first} here")
    if way == "script" and sys.platform != "linux":
        pytest.skip("another script, with other options")
    with outer(folder) as agent:
        assert f":{agent.pid}-" in agent.told(WAYS[way])


def test_two_programs_without_a_terminal_are_two_agents(folder: Path) -> None:
    with program(folder) as one, program(folder) as other:
        assert one.told("$WHO") != other.told("$WHO")


def test_the_id_and_the_token_stand_for_the_same_process() -> None:
    agent = agents.identify(None, {}, "tree")
    assert agent.process == processes.token_of(int(agent.source.split()[-1]))
    assert f":{agent.source.split()[-1]}-" in agent.id


def test_alone_in_a_container_nobody_is_identified() -> None:
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("no pid namespaces to be had here")
    script = (
        "from buildguard import agents\n"
        "try:\n    agents.identify(None, {}, 'tree')\n"
        "except agents.Unidentified as why:\n    print(why)\n"
    )
    shell = f"{shlex.quote(sys.executable)} -c {shlex.quote(script)}; true"
    done = subprocess.run([*unshare, "sh", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "no process above this one can stand for an agent (passed over: sh)\n"
