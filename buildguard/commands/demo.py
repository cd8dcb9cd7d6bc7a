"""Two agents to watch: a temporary repository, a broken build, one claim, one wait, one fix, all commits.

Each agent does just what `AGENTS.md` tells: it commits, mends what is its to mend, and runs the `next:` line as it
stands in a fresh shell.

Three kinds of process: the demo itself, which verifies and clears away; the play, which it runs as it would run
a check, so that nothing of it outlives the demo; and in the play each agent, with an id of its own.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import buildguard
from buildguard.checks.runner import RUN_VARIABLE, Command, Verdict, run
from buildguard.claims.model import Event, Kind, Status
from buildguard.claims.store import Store
from buildguard.errors import Exit, GitFault, Unavailable
from buildguard.git.process import answer
from buildguard.store import open_store
from buildguard.text import command, span
from buildguard.ui.reports import Report
from buildguard.ui.voice import Voice, clean

SECONDS = 14.0
"""After this the play is ended: the demo promises to take 15 seconds at most."""
FIXER, WAITER = "agent-a", "agent-b"
BUILD = "default"

_CHECK = "sh test.sh"
_TEST = """\
. ./greet.sh
said=$(greet world)
test "$said" = "Hello, world" || { echo "test.sh:3: error: greet said: $said"; exit 1; }
echo "1 test passed"
"""
_GOOD, _BAD = 'greet() { echo "Hello, $1"; }\n', 'greet() { echo "Helo, $1"; }\n'
_AGAIN = "buildguard demo"
# What a hook, a framework or the user's shell says of another repository, and to another buildguard.
_FOREIGN = ("GIT_", "BUILDGUARD", "SKIP", "PRE_COMMIT", "PREK_", "LEFTHOOK", "HUSKY")
_OF_ACTORS = {"demo": "\033[2m", FIXER: "\033[36m", WAITER: "\033[35m"}
_LOOK_EVERY = 0.02
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def demo(seconds: float = SECONDS) -> int:
    """Play it, verify it and clear away; the exit status. 1 says what did not happen within `seconds`."""
    voice = Voice(BUILD, False, os.environ)
    with _held_signals() as caught:
        report = _played(voice, seconds, caught)
        voice.answer(report)
    return report.exit


def unseen(events: Sequence[Event], authors: Sequence[str]) -> list[str]:
    """What did not happen, in words; empty if all of it did. `authors` are those of the commits, oldest first."""
    claims = [event for event in events if event.kind in (Kind.CLAIMED, Kind.TAKEN_OVER)]
    fixes = [event for event in events if event.kind is Kind.FIXED and event.agent == FIXER]
    waits = [event for event in events if event.kind is Kind.WAITED and event.agent == WAITER]
    agents = [author for author in authors if author in (FIXER, WAITER)]
    facts = {
        f"one claim, by {FIXER} (there were {len(claims)})": [event.agent for event in claims] == [FIXER],
        f"{WAITER} waiting for {FIXER}": [event.other for event in waits] == [FIXER],
        f"one fix, by {FIXER}, after its claim": len(fixes) == 1 and bool(claims) and fixes[0].id > claims[0].id,
        f"{WAITER} waking up after the fix": bool(waits and fixes) and waits[0].id > fixes[0].id,
        f"two commits of {FIXER}, its work and the fix, then one of {WAITER}": agents == [FIXER, FIXER, WAITER],
    }
    return [fact for fact, seen in facts.items() if not seen]


def main(arguments: Sequence[str]) -> int:
    """The other processes of the demo: the play, or one agent of it."""
    who, folder, colour = arguments[0], Path(arguments[1]), "colour" in arguments[2:]
    actor = _Actor(who, folder, colour)
    try:
        return actor.agent() if who in (FIXER, WAITER) else actor.play()
    except (GitFault, Unavailable, OSError, TimeoutError) as error:
        actor.say(str(error))
        return Exit.FAILED


def _played(voice: Voice, seconds: float, caught: Sequence[int]) -> Report:
    """What came of it, in a folder that is then removed."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="buildguard-demo-")).resolve()
    except OSError as error:
        return Report("failed", Exit.FAILED, (f"there is no room for a temporary folder: {error}",), "df -h")
    try:
        report = _watched(folder, voice, seconds, caught)
    except OSError as error:
        report = Report("failed", Exit.FAILED, (f"the demo could not run: {error}",), _AGAIN)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        line = f"left behind: {folder} cannot be removed"
        return Report("failed", Exit.FAILED, (*report.lines, line), command(["rm", "-rf", str(folder)]))
    return report


def _watched(folder: Path, voice: Voice, seconds: float, caught: Sequence[int]) -> Report:
    """Run the play and say what of it was seen."""
    began = time.monotonic()
    environment = {**_environment(os.environ), "TMPDIR": str(folder)}
    colour = ("colour",) if voice.person and sys.stdout.isatty() else ()
    argv = (sys.executable, "-m", "buildguard.commands.demo", "demo", str(folder), *colour)
    sys.stdout.flush()
    result = run(
        Command(argv, _AGAIN),
        environment=environment,
        cwd=folder,
        timeout=seconds,
        stderr=1,
        caller_lives=lambda: not caught,
    )
    if caught or result.verdict is Verdict.INTERRUPTED:
        return Report("interrupted", Exit.INTERRUPTED, ("interrupted: the demo was cleared away",), _AGAIN)
    missing = [f"not seen: {fact}" for fact in _missing(folder / "repository", environment)]
    if result.verdict is not Verdict.PASSED:
        missing.append(f"not seen: both agents coming to their end ({result.why or 'one failed'})")
    if missing:
        return Report("failed", Exit.FAILED, tuple(missing), _AGAIN)
    took = span(time.monotonic() - began)
    lines = (
        f"seen: one claim ({FIXER}), one wait ({WAITER}), one fix, the wake-up and both commits, in {took}",
        "passing: the build is green",
    )
    return Report("passed", Exit.OK, lines)


def _missing(repository: Path, environment: Mapping[str, str]) -> list[str]:
    """What the history, git's log and the check itself do not show."""
    try:
        kept = _store(repository)
        events, snapshot = kept.history(BUILD, 100), kept.read(BUILD)
        kept.close()
        log = answer(["log", "--reverse", "--format=%an"], environment, repository)
    except (GitFault, Unavailable) as error:
        return [f"a repository with a history ({error})"]
    missing = unseen(events, log.splitlines())
    green = _passes(repository, environment)
    if not green or any(state.status is not Status.PASSING for state in snapshot.states.values()):
        missing.append("a green build at the end")
    return missing


def _passes(repository: Path, environment: Mapping[str, str]) -> bool:
    """Whether the check itself says so now, whatever the history says."""
    with open(os.devnull, "wb") as sink:
        ended = run(
            Command.from_shell(_CHECK),
            environment=environment,
            cwd=repository,
            timeout=5.0,
            stdout=sink.fileno(),
            stderr=sink.fileno(),
        )
    return ended.verdict is Verdict.PASSED


def _store(repository: Path) -> Store:
    return open_store(None, repository / ".git", "")


def _environment(outside: Mapping[str, str]) -> dict[str, str]:
    """The environment for the play: nothing of another repository, nor of the user's git configuration: a global
    core.hooksPath would keep our hook from running."""
    kept = {name: value for name, value in outside.items() if not name.startswith(_FOREIGN)}
    if RUN_VARIABLE in outside:
        kept[RUN_VARIABLE] = outside[RUN_VARIABLE]
    root = Path(buildguard.__file__).resolve().parent.parent
    paths = [str(Path(path).absolute()) for path in outside.get("PYTHONPATH", "").split(os.pathsep) if path]
    if root == Path.cwd():
        # Then `python -m` found us only because we stand here, and the play stands elsewhere.
        paths.append(str(root))
    if paths:
        kept["PYTHONPATH"] = os.pathsep.join(paths)
    return {**kept, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


@contextmanager
def _held_signals() -> Iterator[list[int]]:
    """Only note the signals that ask us to end, so that none comes between making the folder and removing it."""
    caught: list[int] = []
    before = {}
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, lambda number, _: caught.append(number))
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Actor:
    """The play, or an agent in it: says what it does, a line at a time, after its name."""

    def __init__(self, name: str, folder: Path, colour: bool) -> None:
        self.name = name
        self.folder = folder
        self.repository = folder / "repository"
        self.waits = folder / "the-other-waits"
        self.colour = colour
        self.until = time.monotonic() + SECONDS

    def say(self, line: str) -> None:
        """One line, written at once: two agents speak into the same pipe."""
        words = f"{self.name:7} |"
        if self.colour:
            words = f"{_OF_ACTORS[self.name]}{words}\033[0m"
        os.write(1, f"{words} {clean(line)[:400]}\n".encode(errors="backslashreplace"))

    def play(self) -> int:
        """Make the repository, break the build, and let both agents work until they are done."""
        self._make_repository()
        self.say(f"a new repository, two agents in it; its check: {_CHECK}")
        (self.repository / "greet.sh").write_text(_BAD)
        self._git("commit", "--quiet", "--no-verify", "--all", "--message", "Greet faster")
        self.say("somebody commits with --no-verify: the build is broken")
        agents = [self._start(name) for name in (FIXER, WAITER)]
        statuses = [agent.wait() for agent in agents]
        return Exit.FAILED if any(statuses) else Exit.OK

    def agent(self) -> int:
        """Change a file and commit it; if that makes us the fixer, fix the build as soon as the other waits."""
        if self.name == WAITER:
            self._wait_for(self._fixer_at_work, "a fixer at work")
        own = f"{self.name}.md"
        (self.repository / own).write_text(f"What {self.name} has to say.\n")
        status, line = self._show(f"buildguard commit --agent {self.name} -m 'Write {own}' -- {own}")
        while line is not None:
            if status == Exit.FAILED:
                self.say("# mine to fix; I take my time until the other one has come to wait")
                self._wait_for(self.waits.exists, "the other agent waiting")
                self.say("# it waits; now I mend greet.sh and run the next line as it stands")
                (self.repository / "greet.sh").write_text(_GOOD)
            status, line = self._show(line)
        return status

    def _make_repository(self) -> None:
        self.repository.mkdir()
        self._git("init", "--quiet", "--initial-branch=main", "--template=")
        files = {
            ".buildguard.toml": f'check = "{_CHECK}"\n',
            "greet.sh": _GOOD,
            "test.sh": _TEST,
            f"{FIXER}.md": "",
            f"{WAITER}.md": "",
        }
        for name, words in files.items():
            (self.repository / name).write_text(words)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", "First")
        _script(self.folder / "bin" / "buildguard", '"$@"')
        _script(self.repository / ".git" / "hooks" / "pre-commit", "hook")

    def _git(self, *arguments: str) -> str:
        return answer(arguments, {**os.environ, **_identity("somebody")}, self.repository)

    def _start(self, name: str) -> "subprocess.Popen[bytes]":
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        environment = {**os.environ, **_identity(name), "PATH": path}
        argv = [sys.executable, "-m", "buildguard.commands.demo", name, str(self.folder), *["colour"] * self.colour]
        return subprocess.Popen(argv, env=environment, cwd=self.repository, stdin=subprocess.DEVNULL)

    def _show(self, line: str) -> tuple[int, str | None]:
        """Run a command line in a fresh shell, as an agent would, and pass on what it says while it says it: its
        exit status, and the command that it named as the next one."""
        self.say(f"$ {line}")
        following = None
        with subprocess.Popen(
            ["/bin/sh", "-c", line],
            cwd=self.repository,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="backslashreplace",
        ) as child:
            for said in child.stdout or ():
                self.say(said.rstrip("\n"))
                if said.startswith("buildguard: waiting") and FIXER in said:
                    self.waits.touch()
                if said.startswith("next: "):
                    following = said.removeprefix("next: ").rstrip("\n")
        return child.returncode, following

    def _fixer_at_work(self) -> bool:
        """Whether the build is claimed, and the commit that failed has let go of git's index."""
        kept = _store(self.repository)
        states = kept.read(BUILD).states.values()
        kept.close()
        lock = self.repository / ".git" / "index.lock"
        return any(state.status is Status.FIXING for state in states) and not lock.exists()

    def _wait_for(self, fact: Callable[[], bool], what: str) -> None:
        while not fact():
            if time.monotonic() > self.until:
                raise TimeoutError(f"there was no {what} within {span(SECONDS)}")
            time.sleep(_LOOK_EVERY)


def _script(path: Path, arguments: str) -> None:
    """A program that is this very buildguard, whatever else is on PATH."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -m buildguard {arguments}\n")
    path.chmod(0o755)


def _identity(name: str) -> dict[str, str]:
    """Who commits: no machine's git identity is needed."""
    address = f"{name}@example.org"
    roles = ("AUTHOR", "COMMITTER")
    return {f"GIT_{role}_{what}": value for role in roles for what, value in (("NAME", name), ("EMAIL", address))}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
