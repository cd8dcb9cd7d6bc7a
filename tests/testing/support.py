"""What the tests share: real repositories, real agents as processes, and waiting for conditions, never for time."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

SCRIPTS = Path(sys.executable).parent
BUILDGUARD = str(SCRIPTS / "buildguard")
PROJECT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0
"""Seconds after which a condition that should have come true is a failure: only a hung test ever waits so long."""

_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV", "PIP_", "SSL_", "REQUESTS_", "NODE_", "npm_")


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment with nothing of the machine's coding agents, CI or git configuration in it."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(_KEPT)}
    path = f"{SCRIPTS}{os.pathsep}{kept.get('PATH', os.defpath)}"
    mine = {
        "PATH": path,
        "HOME": str(home),
        "USER": "tester",
        "TERM": "dumb",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
    }
    return {**kept, **mine, **more}


def eventually(condition: Callable[[], bool], what: str, within: float = PATIENCE) -> None:
    """Return once the condition holds; fail the test if it does not within `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        time.sleep(0.01)


@dataclass
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def both(self) -> str:
        """All that it said."""
        return self.out + self.err

    @property
    def last(self) -> str:
        """The last line that it said, on stderr if it said anything there."""
        return (self.err or self.out).rstrip("\n").rpartition("\n")[2]


@dataclass
class Checkout:
    """One work tree of a real repository. Every command runs as a process; `agent` sets BUILDGUARD_AGENT."""

    path: Path
    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    def env(self, agent: str | None = None, **more: str) -> dict[str, str]:
        """The environment of one agent here."""
        named = {"BUILDGUARD_AGENT": agent} if agent else {}
        return environment(self.home, **{**self.variables, **named, **more})

    def start(self, *argv: str, agent: str | None = None, **more: str) -> "subprocess.Popen[str]":
        """Start a command and do not wait for it."""
        return subprocess.Popen(
            argv,
            cwd=self.path,
            env=self.env(agent, **more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *argv: str, agent: str | None = None, **more: str) -> Done:
        """Run a command to its end, whatever its status."""
        return ended(self.start(*argv, agent=agent, **more))

    def git(self, *arguments: str, agent: str | None = None, **more: str) -> Done:
        """Run git, whatever its status."""
        return self.run("git", *arguments, agent=agent, **more)

    def ok(self, *arguments: str, agent: str | None = None, **more: str) -> str:
        """Run git, which must succeed; what it printed, without the last newline."""
        done = self.git(*arguments, agent=agent, **more)
        assert done.status == 0, f"git {arguments}: {done}"
        return done.out.rstrip("\n")

    def buildguard(self, *arguments: str, agent: str | None = None, **more: str) -> Done:
        """Run buildguard, whatever its status."""
        return self.run(BUILDGUARD, *arguments, agent=agent, **more)

    def write(self, name: str, text: str) -> Path:
        """Write a file in the work tree."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def work_tree(self, name: str, *arguments: str) -> "Checkout":
        """A linked work tree of this repository, on a branch of its own, beside this one."""
        path = self.path.parent / name
        self.ok("worktree", "add", "-q", "-b", name, str(path), *arguments)
        return Checkout(path, self.home, self.variables)


def ended(process: "subprocess.Popen[str]", within: float = PATIENCE * 2) -> Done:
    """Wait for a started command."""
    try:
        out, err = process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"still running after {within} s: {process.args!r}\n{out}\n{err}") from None
    return Done(process.returncode, out, err)


def new_repository(folder: Path, home: Path, check: str = "! grep -q BROKEN app.txt", **variables: str) -> Checkout:
    """A repository with one commit, buildguard's hook, and a check that fails while app.txt says BROKEN."""
    home.mkdir(parents=True, exist_ok=True)
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Tester\n\temail = tester@example.org\n[init]\n\tdefaultBranch = main\n"
    )
    folder.mkdir(parents=True)
    checkout = Checkout(folder, home, dict(variables))
    checkout.ok("init", "-q")
    checkout.write("app.txt", "fine\n")
    plain = "'" not in check and "\\" not in check
    checkout.write(".buildguard.toml", f"check = {check!r}\n" if plain else f"check = {json.dumps(check)}\n")
    checkout.ok("add", "-A")
    checkout.ok("commit", "-q", "-m", "first")
    hook = folder / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_bytes((PROJECT / "hooks" / "pre-commit").read_bytes())
    hook.chmod(0o755)
    return checkout


def lives(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def with_variables(checkout: Checkout, variables: Mapping[str, str]) -> Checkout:
    """The same checkout, called with more in the environment."""
    return Checkout(checkout.path, checkout.home, {**checkout.variables, **variables})


class Following:
    """A started command whose words can be waited for while it runs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self._heard: dict[str, list[str]] = {"out": [], "err": []}
        self._readers = [
            threading.Thread(target=self._listen, args=(stream, name), daemon=True)
            for stream, name in ((process.stdout, "out"), (process.stderr, "err"))
        ]
        for reader in self._readers:
            reader.start()

    def _listen(self, stream: IO[str] | None, name: str) -> None:
        for line in stream or ():
            self._heard[name].append(line)

    @property
    def text(self) -> str:
        """All that it has said so far: its stdout, then its stderr."""
        return "".join((*self._heard["out"], *self._heard["err"]))

    def says(self, words: str) -> None:
        """Return once it has said that; fail the test if it ends or is silent for too long before."""
        eventually(lambda: words in self.text or not any(one.is_alive() for one in self._readers), repr(words))
        assert words in self.text, f"ended with {self.process.wait()} without {words!r}: {self.text}"

    def ends(self, within: float = PATIENCE * 2) -> Done:
        """Wait for its end."""
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"still running after {within} s: {self.process.args!r}\n{self.text}") from None
        for reader in self._readers:
            reader.join(within)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return Done(self.process.returncode, "".join(self._heard["out"]), "".join(self._heard["err"]))


_WORKER = """
import json, subprocess, sys
for line in sys.stdin:
    done = subprocess.run(json.loads(line), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    print(json.dumps([done.returncode, done.stdout, done.stderr]), flush=True)
"""


class Worker:
    """An agent with nothing configured: a process that lives on while the commands that it starts come and go."""

    def __init__(self, checkout: Checkout, **more: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _WORKER],
            cwd=checkout.path,
            env=checkout.env(None, **more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, *argv: str) -> None:
        """Let it run a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(argv) + "\n")
        self.process.stdin.flush()

    def run(self, *argv: str) -> Done:
        """Let it run a command, and wait for that."""
        self.start(*argv)
        assert self.process.stdout is not None
        return Done(*json.loads(self.process.stdout.readline()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
