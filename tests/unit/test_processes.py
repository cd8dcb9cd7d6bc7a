"""The process table, asked about real processes."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildguard.agents import processes

ROOT = Path(__file__).parents[2]
ANSWER_DEADLINE = 60.0
"""Seconds that a process which we started may take to answer; far above what it needs, for busy machines."""

PROBE = """
import os, socket, sys
from buildguard.agents import processes
line = socket.socket(fileno=int(os.environ["PROBE_FD"]))
caller = processes.calling_git()
loaded = "psutil" in sys.modules
while line.recv(1):
    answer = (caller.pid, caller.lives(), caller.argv, loaded) if caller else None
    line.sendall(repr(answer).encode() + b"\\n")
"""

WRAPPER = """
import os, subprocess, sys
sys.exit(subprocess.call([sys.executable, os.environ["PROBE"]], close_fds=False))
"""


@pytest.fixture(params=["proc", "psutil"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to learn a start time: that of Linux, and that of the other systems."""
    way: str = request.param
    if way == "psutil":
        monkeypatch.setattr(processes, "ON_LINUX", False)
        monkeypatch.setattr(processes, "_stat", lambda pid: [])
    return way


@contextmanager
def running(*command: str, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own that ends when its input does."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={"PATH": os.environ["PATH"]} | (environment or {}),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def token_of(pid: int) -> str:
    token = processes.token_of(pid)
    assert token is not None
    return token


def changed(token: str, field: int, change: Callable[[str], str]) -> str:
    fields = token.split(" ")
    fields[field] = change(fields[field])
    return " ".join(fields)


@pytest.mark.usefixtures("source")
def test_a_live_process_is_not_dead() -> None:
    with running("cat") as process:
        assert not processes.known_dead(token_of(process.pid))
    assert not processes.known_dead(token_of(os.getpid()))


@pytest.mark.usefixtures("source")
def test_a_killed_process_is_dead() -> None:
    with running("cat") as process:
        token = token_of(process.pid)
        process.kill()
        process.wait()
        assert processes.known_dead(token)


@pytest.mark.usefixtures("source")
def test_a_zombie_is_dead() -> None:
    with running("cat") as process:
        token = token_of(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert processes.known_dead(token)


@pytest.mark.usefixtures("source")
def test_a_process_whose_number_another_has_now_is_dead() -> None:
    earlier = changed(token_of(os.getpid()), 1, lambda start: f"{int(start) - 5}")
    assert processes.known_dead(earlier)


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(
    ("field", "change"),
    [
        pytest.param(2, lambda here: f"1{here}", id="another boot"),
        pytest.param(2, lambda here: f"{here}1", id="another namespace"),
        pytest.param(2, lambda _: "", id="a boot that could not be told"),
        pytest.param(1, lambda _: "nan", id="no start"),
        pytest.param(1, lambda start: f"-{start}", id="a negative start"),
        pytest.param(0, lambda _: "0", id="our process group"),
        pytest.param(0, lambda pid: f"-{pid}", id="a process group"),
        pytest.param(0, lambda _: "9" * 30, id="a number beyond all pids"),
    ],
)
def test_in_doubt_nobody_is_dead(field: int, change: Callable[[str], str]) -> None:
    with running("cat") as process:
        token = token_of(process.pid)
        process.kill()
        process.wait()
        assert processes.known_dead(token)
        assert not processes.known_dead(changed(token, field, change))


@settings(deadline=None)
@given(st.text() | st.from_regex(r"\A[0-9]{1,5} [0-9.]{1,9} \S+ \S+\Z"))
def test_garbage_names_nobody(garbage: str) -> None:
    assert not processes.known_dead(garbage)


def test_there_is_no_token_of_nobody() -> None:
    with running("cat") as process:
        process.kill()
        process.wait()
        assert processes.token_of(process.pid) is None


def test_a_process_of_another_pid_namespace_is_not_dead() -> None:
    script = "import sys; from buildguard.agents import processes; print(processes.known_dead(sys.argv[1]))"
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("no pid namespaces to be had here")
    with running("cat") as process:
        token = token_of(process.pid)
        process.kill()
        process.wait()
        command = [sys.executable, "-c", script, token]
        inside, outside = (
            subprocess.run([*prefix, *command], cwd=ROOT, capture_output=True, text=True, check=True).stdout
            for prefix in (unshare, [])
        )
    assert (inside.strip(), outside.strip()) == ("False", "True")


@pytest.mark.usefixtures("source")
def test_ancestors_begin_with_the_parent_and_all_live() -> None:
    found = processes.ancestors()
    assert found[0].pid == os.getppid()
    assert len({process.pid for process in found}) == len(found)
    assert not any(processes.known_dead(process.token) for process in found)


def test_an_ancestor_began_before_what_it_made_and_not_before_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "before").touch()
    os.utime(tmp_path / "before", (time.time() - 5, time.time() - 5))
    script = (
        "import sys; from pathlib import Path; from buildguard.agents.processes import ancestors\n"
        "began = ancestors()[0].began; folder = Path(sys.argv[1])\n"
        "print(*(began <= (folder / name).stat().st_mtime for name in ('before', 'made')))"
    )
    line = f'touch "$1/made"; {shlex.quote(sys.executable)} -c {shlex.quote(script)} "$1"; true'
    command = ["sh", "-c", line, "sh", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"


def test_ancestors_show_what_stands_between() -> None:
    script = "from buildguard.agents import processes; print([(p.pid, p.argv) for p in processes.ancestors()[:2]])"
    shell = f'"{sys.executable}" -c "{script}"; true'
    done = subprocess.run(["sh", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=True)
    (_, shell_argv), (above, _) = eval(done.stdout)
    assert shell_argv == ("sh", "-c", shell)
    assert above == os.getpid()


def process(name: str, *argv: str) -> processes.Process:
    return processes.Process(42, name, argv, terminal=False, began=0.0, token="42 100 here")


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (process("git", "git", "commit", "-m", "a b"), ("git", "commit", "-m", "a b")),
        (process("npm run commit", "npm run commit", "", "", ""), ("npm", "run", "commit")),
        (process("sshd", "sshd: ann@pts/0"), ("sshd:", "ann@pts/0")),
        (process("x", "/opt/My Agent/bin/x"), ("/opt/My Agent/bin/x",)),
        (process("kworker"), ("kworker",)),
        (process("odd", "", ""), ("odd",)),
    ],
)
def test_words_read_a_title_as_a_command_line(seen: processes.Process, words: tuple[str, ...]) -> None:
    assert seen.words == words


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("/usr/bin/python3.11", "python"),
        ("/Library/Python.app/Contents/MacOS/Python", "python"),
        ("-zsh", "zsh"),
        ("zsh-5.9", "zsh"),
        ("/usr/lib/node_modules/npm/bin/npm-cli.js", "npm"),
        ("/repo/.yarn/releases/yarn-4.1.0.cjs", "yarn"),
        ("pre_commit", "pre-commit"),
        ("sshd:", "sshd"),
        ("(sd-pam)", "sd-pam"),
        ("containerd-shim-runc-v2", "containerd-shim-runc"),
        ("7", "7"),
        ("", ""),
    ],
)
def test_plain_names(word: str, name: str) -> None:
    assert processes.plain_name(word) == name


@pytest.mark.parametrize(
    ("seen", "is_git"),
    [
        (process("git", "/usr/lib/git-core/git", "commit"), True),
        (process("git"), True),
        (process("memfd", "git", "commit"), True),
        (process("git-buildguard", "/usr/bin/python3", "/usr/bin/git-buildguard"), False),
        (process("sh", "sh", "-c", "git commit"), False),
    ],
)
def test_only_git_is_git(seen: processes.Process, is_git: bool) -> None:
    assert processes.is_git(seen) == is_git


def test_members_of_a_session_are_found_and_we_are_none() -> None:
    script = "cat <&3 & echo $!; cat"
    with running("sh", "-c", f"exec 3<&0; {script}") as shell:
        assert shell.stdout is not None
        child = int(shell.stdout.readline())
        assert {shell.pid, child} <= set(processes.run_members(shell.pid))
    assert os.getpid() not in processes.run_members(os.getsid(0))


def test_a_daemon_that_left_the_session_is_no_member() -> None:
    script = "import os, sys; os.fork() or (os.setsid(), print(os.getpid(), flush=True)); sys.stdin.read()"
    with running(sys.executable, "-c", script) as parent:
        assert parent.stdout is not None
        daemon = int(parent.stdout.readline())
        assert processes.run_members(parent.pid) == [parent.pid]
        assert processes.run_members(daemon) == [daemon]


def test_a_zombie_is_no_member() -> None:
    with running("cat") as process:
        assert processes.run_members(process.pid) == [process.pid]
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert processes.run_members(process.pid) == []


def test_a_session_that_is_none_has_no_members() -> None:
    assert processes.run_members(0) == []


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with something staged; its hook is up to the test."""
    for command in (["init", "-q"], ["add", "file"]):
        (tmp_path / "file").write_text("one\n")
        subprocess.run(["git", *command], cwd=tmp_path, env=git_environment(), check=True)
    return tmp_path


def git_environment() -> dict[str, str]:
    name = {f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | name | alone


HOOKS = {
    "direct": "#!{python}\n" + PROBE,
    "shell": '#!/bin/sh\n"{python}" "$PROBE"\nexit $?\n',
    "python": "#!{python}\n" + WRAPPER,
}


@contextmanager
def committing(repository: Path, hook: str) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """A `git commit` whose hook answers questions, one for each byte that it is sent."""
    probe, script = repository / "probe.py", repository / ".git" / "hooks" / "pre-commit"
    probe.write_text(PROBE)
    script.parent.mkdir(exist_ok=True)
    script.write_text(HOOKS[hook].replace("{python}", sys.executable))
    script.chmod(0o755)
    ours, theirs = socket.socketpair()
    ours.settimeout(ANSWER_DEADLINE)
    with ours, theirs:
        environment = git_environment() | {"PROBE": str(probe), "PROBE_FD": str(theirs.fileno())}
        command = ["git", "commit", "-q", "-m", "a message"]
        with subprocess.Popen(command, cwd=repository, env=environment, pass_fds=[theirs.fileno()]) as git:
            theirs.close()
            try:
                yield git, ours
            finally:
                ours.close()


def asked(line: socket.socket) -> object:
    line.sendall(b"?")
    answer = b""
    while not answer.endswith(b"\n"):
        more = line.recv(1000)
        assert more, "the hook ended without an answer"
        answer += more
    return eval(answer)


@pytest.mark.parametrize("hook", HOOKS)
def test_the_calling_git_is_found_and_its_death_is_seen(repository: Path, hook: str) -> None:
    with committing(repository, hook) as (git, line):
        argv = ("git", "commit", "-q", "-m", "a message")
        fast = hook == "direct" and sys.platform == "linux"
        assert asked(line) == (git.pid, True, argv, not fast)
        git.send_signal(signal.SIGKILL)
        git.wait()
        assert asked(line) == (git.pid, False, (), not fast)


def test_the_calling_git_is_found_without_proc(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    monkeypatch.setitem(
        HOOKS,
        "no proc",
        HOOKS["direct"].replace("\nline", "\nprocesses._read = lambda path: ''\nprocesses.ON_LINUX = False\nline"),
    )
    with committing(repository, "no proc") as (git, line):
        assert asked(line) == (git.pid, True, ("git", "commit", "-q", "-m", "a message"), True)


def test_no_git_above_is_no_caller() -> None:
    if any(processes.is_git(process) for process in processes.ancestors()):
        pytest.skip("these tests run below a git")
    assert processes.calling_git() is None


def test_importing_the_modules_does_not_import_psutil() -> None:
    script = (
        "import sys, buildguard.agents.processes, buildguard.agents.identity; sys.exit('psutil' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
