"""Who is calling: options and variables in cases, the process tree with real shells and real wrappers."""

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

from buildguard.agents.identity import (
    SHELL_MARGIN,
    checked_id,
    coding_agent,
    identify_cheaply,
    in_ci,
    shell_limit,
    time_left,
)
from buildguard.agents.lineage import claim_is_dead, dies_with, identify
from buildguard.agents.processes import known_dead, token_of

ROOT = Path(__file__).parents[2]
ANSWER_DEADLINE = 60.0
"""Seconds that a process which we started may take to answer; far above what it needs, for busy machines."""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty"),
        ("  ", "blank"),
        ("x" * 10_000, "10000 characters; at most 200"),
        ("a\nb", "cannot be printed"),
        ("a\x1b[31m", "cannot be printed"),
        ("agent\u202etxt", "cannot be printed"),
        ("a\u200b", "cannot be printed"),
        ("a\u2028", "cannot be printed"),
        ("\udc80", "cannot be printed"),
    ],
)
def test_an_illegal_id_is_refused_in_one_line(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=r"\A--agent: [^\n]*\Z") as refused:
        checked_id(text, "--agent")
    assert fault in str(refused.value)


@pytest.mark.parametrize("text", ["ann", "[bold]x[/]", "Änn Ørsted", "エージェント", "x" * 200, "🤖"])
def test_a_legal_id_is_kept_as_it_is(text: str) -> None:
    assert checked_id(text, "--agent") == text


def test_blanks_around_an_id_are_no_part_of_it() -> None:
    assert checked_id(" ann ", "--agent") == "ann"


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
        (None, {"GOOSE_TERMINAL": "1", "AGENT_SESSION_ID": "s"}, ("goose:s@tree", "AGENT_SESSION_ID")),
        (None, {"CODEX_SESSION_ID": "r", "CODEX_THREAD_ID": "t"}, ("codex:t@tree", "CODEX_THREAD_ID")),
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
    agent = identify(option, environment, "tree")
    assert (agent.id, agent.source, agent.process) == (*expected, None)
    assert identify_cheaply(option, environment, "tree") == agent


@pytest.mark.parametrize(
    "environment",
    [{}, {"OPENCODE": "1", "OPENCODE_PID": "5"}, {"GEMINI_CLI": "1"}, {"AGENT": "amp"}, {"AGENT_SESSION_ID": "s"}],
)
def test_what_names_no_session_leaves_it_to_the_process(environment: dict[str, str]) -> None:
    assert identify_cheaply(None, environment, "tree") is None
    agent = identify(None, environment, "tree")
    assert agent.source.startswith("process ")
    assert agent.process is not None
    assert not known_dead(agent.process)


@pytest.mark.parametrize(
    ("option", "environment", "given"),
    [
        ("ann", {}, True),
        (None, {"BUILDGUARD_AGENT": "ann"}, True),
        (None, CLAUDE, False),
        (None, GITHUB, False),
        (None, {}, False),
    ],
)
def test_only_a_name_from_an_option_or_a_variable_is_given(
    option: str | None, environment: dict[str, str], given: bool
) -> None:
    assert identify(option, environment, "tree").given == given


def test_who_calls_is_told_without_psutil_where_the_process_tree_need_not_be_asked() -> None:
    script = (
        "import sys\nfrom buildguard.agents.identity import identify_cheaply\n"
        "found = [identify_cheaply(None, variables, 'tree') for variables in ({'CI_JOB_ID': '5'}, {})]\n"
        "print(found[0].id, found[1], 'psutil' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "gitlab:5 None False\n"


def test_an_empty_option_is_an_error() -> None:
    with pytest.raises(ValueError, match="--agent: empty"):
        identify("", {}, "tree")


def test_an_illegal_variable_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match=r"BUILDGUARD_AGENT: .* cannot be printed"):
        identify(None, {"BUILDGUARD_AGENT": "a\tb"}, "tree")


def test_one_session_in_two_work_trees_is_two_agents() -> None:
    assert identify(None, CLAUDE, "one").id != identify(None, CLAUDE, "two").id


@settings(deadline=None)
@given(st.text(min_size=1).filter(str.strip), st.text())
def test_a_published_id_is_always_legal(session: str, checkout: str) -> None:
    published = identify(None, {"CODEX_THREAD_ID": session}, checkout).id
    assert checked_id(published, "BUILDGUARD_AGENT") == published


@pytest.mark.parametrize("odd", ["x" * 5000, "a\x1b[31m", "a\u202e"])
def test_sessions_with_odd_ids_stay_distinct(odd: str) -> None:
    ids = {
        identify(None, {"CODEX_THREAD_ID": odd + end}, checkout).id for end in "ab" for checkout in ("one", "two")
    }
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("environment", "name", "limit"),
    [
        ({}, None, None),
        ({"CLAUDECODE": "1"}, "Claude Code", ("Claude Code", 120)),
        ({"CLAUDECODE": "0"}, None, None),
        ({"CLAUDECODE": "1", "BASH_DEFAULT_TIMEOUT_MS": "300500"}, "Claude Code", ("Claude Code", 300.5)),
        ({"CLAUDECODE": "1", "BASH_DEFAULT_TIMEOUT_MS": "soon"}, "Claude Code", ("Claude Code", 120)),
        ({"BASH_DEFAULT_TIMEOUT_MS": "300000"}, None, None),
        ({"CODEX_THREAD_ID": "x"}, "Codex", None),
        ({"CODEX_CI": "1"}, "Codex", None),
        ({"CODEX_SESSION_ID": "root"}, None, None),
        ({"COPILOT_CLI": "1"}, "Copilot CLI", None),
        ({"CURSOR_AGENT": "1"}, "Cursor", ("Cursor", 30)),
        ({"AGENT": "amp"}, "Amp", None),
        ({"AGENT": "goose"}, "Goose", None),
        ({"AGENT_SESSION_ID": "s"}, None, None),
        ({"QWEN_CODE": "1"}, "Qwen Code", ("Qwen Code", 120)),
        ({"CRUSH": "1", "AGENT": "crush"}, "Crush", None),
        ({"PI_CODING_AGENT": "true"}, "pi", None),
        ({"GEMINI_CLI": "1"}, "Gemini CLI", None),
        ({"OPENCODE": "1"}, "OpenCode", ("OpenCode", 120)),
        (
            {"OPENCODE": "1", "OPENCODE_EXPERIMENTAL_BASH_DEFAULT_TIMEOUT_MS": "60000"},
            "OpenCode",
            ("OpenCode", 60),
        ),
        ({"KILO_PID": "5", "OPENCODE": "1"}, "Kilo", ("Kilo", 120)),
        ({"CLAUDECODE": "1", "CODEX_THREAD_ID": "x"}, "Claude Code", ("Claude Code", 120)),
        ({"CLAUDECODE": "1", "CURSOR_AGENT": "1"}, "Claude Code", ("Cursor", 30)),
    ],
)
def test_the_shell_of_a_coding_agent_is_known(
    environment: dict[str, str], name: str | None, limit: tuple[str, float] | None
) -> None:
    found = shell_limit(environment)
    assert coding_agent(environment) == name
    assert (found and (found.agent, found.seconds)) == limit


def test_the_time_left_to_wait_leaves_the_shell_its_margin() -> None:
    assert time_left({"CLAUDECODE": "1"}, 30) == 120 - 30 - SHELL_MARGIN
    assert time_left({"CURSOR_AGENT": "1"}, 25) == 30 - 25 - SHELL_MARGIN
    assert time_left({"CODEX_THREAD_ID": "x"}, 10_000) is None
    assert time_left({}, 10_000) is None


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
    assert in_ci(environment) == expected


# The program that a real agent runs, at whatever depth: it writes its caller's id into a named pipe.
WHO = """
import os, sys
from buildguard.agents import ancestry, lineage
from buildguard.errors import Unidentified
kept = {name: os.environ[name] for name in ("GIT_INDEX_FILE", "CLAUDE_CODE_SESSION_ID") if name in os.environ}
match sys.argv[1:]:
    case ["above", agent, token]:
        found = lineage.above_us(agent, token or None)
        answer = f"{found.pid} {ancestry.is_typed_into(found)}" if found else "nobody"
    case ["parent"]:
        answer = lineage.parent_token(kept)
    case _:
        answer = lineage.identify(None, kept, "tree").id
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

    @property
    def token(self) -> str:
        token = token_of(self.pid)
        assert token is not None
        return token


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with `who.py`, and with what runs it: a Makefile, a git alias, a hook, a package."""
    (tmp_path / "who.py").write_text(WHO)
    (tmp_path / "who").write_text('exec "$PYTHON" who.py "$@"\n')
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
        # Without a path, because a blank in it would make two words of it.
        "WHO": "sh who",
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
    agent = identify(None, {}, "tree")
    assert agent.process is not None
    assert agent.process == token_of(int(agent.source.split()[-1]))
    assert dies_with(agent.id, agent.process)


@pytest.mark.parametrize(
    ("agent", "token", "dies"),
    [
        ("ann@vm:42-100", "42 100 here", True),
        ("ann@vm:42-100", "42 101 here", False),
        ("ann@vm:42-100", "2 100 here", False),
        ("ann", "42 100 here", False),
        ("claude-code:c1@tree", "42 100 here", False),
        ("ann@vm:42-100", "", False),
        ("ann@vm:", "", False),
        ("ann@vm:42-100", "42 100", False),
    ],
)
def test_an_agent_dies_with_the_process_that_its_id_names(agent: str, token: str, dies: bool) -> None:
    assert dies_with(agent, token) == dies


def test_a_dead_process_evicts_only_the_claim_of_the_agent_that_it_was(folder: Path) -> None:
    with program(folder) as agent:
        named, token = agent.told("$WHO"), agent.token
        elsewhere = token.replace(" ", " 1", 1)
        assert not claim_is_dead(named, token)
    assert known_dead(token)
    assert claim_is_dead(named, token)
    assert not claim_is_dead("ann", token)
    assert not claim_is_dead(named, None)
    assert not claim_is_dead(named, elsewhere)
    assert not claim_is_dead(named, f"{token}-of-another-boot")


@pytest.mark.parametrize(("outer", "shell"), [(interactive_shell, True), (program, False)])
@pytest.mark.parametrize("known_by", ["id and token", "id alone"])
def test_an_agent_above_us_is_found(
    folder: Path, outer: Callable[[Path], AbstractContextManager[OuterAgent]], shell: bool, known_by: str
) -> None:
    with outer(folder) as agent:
        token = agent.token if known_by == "id and token" else ""
        asked = shlex.join(["above", agent.told("$WHO"), token])
        assert agent.told(f"sh -c {shlex.quote(f'$WHO {asked}; true')}") == f"{agent.pid} {shell}"


def test_the_shell_above_an_agent_program_is_found_though_the_program_calls(folder: Path) -> None:
    (folder / "program.py").write_text("import subprocess, sys; subprocess.run(sys.argv[1], shell=True)")
    with interactive_shell(folder) as shell:
        claimed = shlex.join(["above", shell.told("$WHO"), shell.token])
        through = shlex.join([sys.executable, str(folder / "program.py")])
        assert shell.told(f"{through} '$WHO; true'") != shell.told("$WHO")
        assert shell.told(f"{through} {shlex.quote(f'$WHO {claimed}; true')}") == f"{shell.pid} True"


def test_nobody_above_us_is_a_neighbour_or_goes_by_another_name_or_is_of_another_boot(folder: Path) -> None:
    with program(folder) as one, program(folder) as other:
        own, neighbour = one.told("$WHO"), other.told("$WHO")
        for agent, token in (
            (neighbour, other.token),
            (neighbour, ""),
            ("ann", one.token),
            ("ann", ""),
            (own, f"{one.token}-of-another-boot"),
        ):
            assert one.told(f"$WHO {shlex.join(['above', agent, token])}") == "nobody", (agent, token)


def test_two_attempts_of_one_session_have_one_parent_and_two_programs_that_share_it_have_two(folder: Path) -> None:
    ask = "CLAUDE_CODE_SESSION_ID=c1 $WHO"
    with program(folder) as one, program(folder) as other:
        assert one.told(ask) == other.told(ask) == "claude-code:c1@tree"
        parents = [agent.told(f"{ask} parent") for agent in (one, one, other)]
        assert parents == [one.token, one.token, other.token]


def test_a_call_from_a_hook_has_the_parent_that_the_commit_has(folder: Path) -> None:
    (folder / "hook.py").write_text(HOOK_IN_PYTHON.replace("os.environ['WHO']", "os.environ['WHO'] + ' parent'"))
    with program(folder) as agent:
        assert agent.told("git commit -qm x") == agent.token


def test_alone_in_a_container_nobody_is_identified() -> None:
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("no pid namespaces to be had here")
    script = (
        "from buildguard.agents.lineage import identify, parent_token\n"
        "from buildguard.errors import Unidentified\n"
        "print(parent_token({}))\n"
        "try:\n    identify(None, {}, 'tree')\n"
        "except Unidentified as why:\n    print(why)\n"
    )
    shell = f"{shlex.quote(sys.executable)} -c {shlex.quote(script)}; true"
    done = subprocess.run([*unshare, "sh", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "None\nno process above this one can stand for an agent (passed over: sh)\n"
