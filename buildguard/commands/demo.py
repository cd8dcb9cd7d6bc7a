"""Two agents to watch: a temporary repository, a broken build, one claim, one wait, one fix, all commits.

Each agent does just what `AGENTS.md` tells: it commits, mends what is its to mend, and runs the `next:` line as it
stands in a fresh shell. The demo runs the play as it would run a check, so that nothing of it outlives the demo.
What it then reports is what the history, git's log and the check itself show.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from shlex import quote
from subprocess import PIPE, STDOUT, Popen
from threading import Event as Flag

import buildguard
from buildguard.checks.runner import Command, Order, Verdict, run
from buildguard.claims.model import Event, Kind, Status
from buildguard.errors import Exit, GitFault, Unavailable
from buildguard.git.process import answer
from buildguard.store import open_store
from buildguard.text import span
from buildguard.ui.reports import Report
from buildguard.ui.voice import Voice, clean

SECONDS = 14.0
"""After this the play is ended: the demo promises to take 15 seconds at most."""
FIXER, WAITER = "agent-a", "agent-b"
STORY = [(Kind.CLAIMED, FIXER), (Kind.FIXED, FIXER), (Kind.WAITED, WAITER)]
COMMITS = ["First", "Greet faster", f"Write {FIXER}.md", "Fix the build", f"Write {WAITER}.md"]

_CHECK, _AGAIN = "sh test.sh", "buildguard demo"
_TEST = """\
. ./greet.sh
said=$(greet world)
test "$said" = "Hello, world" || { echo "test.sh:3: error: greet said: $said"; exit 1; }
echo "1 test passed"
"""
_GOOD, _BAD = 'greet() { echo "Hello, $1"; }\n', 'greet() { echo "Helo, $1"; }\n'
# What a hook, a framework or the user's shell says of another repository, and to another buildguard.
_FOREIGN = ("GIT_", "BUILDGUARD", "SKIP", "PRE_COMMIT", "PREK_", "LEFTHOOK", "HUSKY")
_OF_ACTORS = {"demo": "\033[2m", FIXER: "\033[36m", WAITER: "\033[35m"}


def demo(seconds: float = SECONDS) -> int:
    """Play it, verify it and clear away; the exit status. 1 says what did not happen within `seconds`."""
    voice = Voice("default", False, os.environ)
    with _held_signals() as caught:
        try:
            with tempfile.TemporaryDirectory(prefix="buildguard-demo-") as folder:
                report = _watched(Path(folder).resolve(), voice, seconds, caught)
        except OSError as error:
            line = f"the demo's temporary folder cannot be made or removed: {error}"
            report = Report("failed", Exit.FAILED, (line,), "df -h")
        voice.answer(report)
    return report.exit


def unseen(events: Sequence[Event], commits: Sequence[str]) -> list[str]:
    """What did not happen, in words; empty if all of it did. `commits` are their subjects, oldest first."""
    seen = [(event.kind, event.agent) for event in events]
    story, others = (", ".join(f"{kind} by {agent}" for kind, agent in one) for one in (STORY, seen))
    missing = [] if seen == STORY else [f"{story} (but: {others or 'nothing'})"]
    return missing if commits == COMMITS else [*missing, f"{', '.join(COMMITS)} (but: {', '.join(commits)})"]


def _watched(folder: Path, voice: Voice, seconds: float, caught: Sequence[int]) -> Report:
    """Run the play in that folder and say what of it was seen."""
    began, colour = time.monotonic(), ("colour",) if voice.person and sys.stdout.isatty() else ()
    argv = (sys.executable, "-m", "buildguard.commands.demo", *colour)
    environment, repository = _environment(os.environ, folder), folder / "repository"
    repository.mkdir()
    sys.stdout.flush()
    try:
        order = Order(Command(argv, _AGAIN), environment, repository, seconds, stderr=1)
        result = run(order, caller_lives=lambda: not caught)
        if caught or result.verdict is Verdict.INTERRUPTED:
            line = "interrupted: the demo was cleared away"
            return Report("interrupted", Exit.INTERRUPTED, (line,), _AGAIN)
        missing = _missing(repository, environment)
    except (GitFault, Unavailable, OSError) as error:
        return Report("failed", Exit.FAILED, (f"the demo could not run: {error}",), _AGAIN)
    if result.verdict is not Verdict.PASSED:
        missing.append(f"both agents coming to their end ({result.why or 'one failed'})")
    if missing:
        return Report("failed", Exit.FAILED, tuple(f"not seen: {fact}" for fact in missing), _AGAIN)
    seen = f"one claim ({FIXER}), one wait ({WAITER}), one fix, the wake-up and both commits"
    lines = (f"seen: {seen}, in {span(time.monotonic() - began)}", "passing: the build is green")
    return Report("passed", Exit.OK, lines)


def _missing(repository: Path, environment: Mapping[str, str]) -> list[str]:
    """What the history, git's log and the check itself do not show."""
    with closing(open_store(None, repository / ".git")) as kept:
        events, states = kept.history("default", 100), kept.read("default").states.values()
    commits = answer(["log", "--reverse", "--format=%s"], environment, repository).splitlines()
    check = Command.from_shell(f"exec >/dev/null 2>&1; {_CHECK}")
    ended = run(Order(check, environment, repository, 5.0))
    green = ended.verdict is Verdict.PASSED and all(state.status is Status.PASSING for state in states)
    return [*unseen(events, commits), *([] if green else ["a green build at the end"])]


def _environment(outside: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment for the play in that folder: nothing of another repository, nor of the user's git
    configuration, whose core.hooksPath would keep our hook from running, nor of their `slots` and `on-change`."""
    kept = {name: value for name, value in outside.items() if not name.startswith(_FOREIGN)}
    ours = Path(buildguard.__file__).resolve().parent.parent
    if ours == Path.cwd():
        # Then `python -m` found us only because we stand here, and the play stands elsewhere.
        kept["PYTHONPATH"] = str(ours)
    kept |= {"TMPDIR": str(folder), "PATH": f"{folder / 'bin'}{os.pathsep}{outside.get('PATH', os.defpath)}"}
    roles = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
    kept |= {f"GIT_{role}": "demo@example.org" for role in roles}
    return {**kept, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "XDG_CONFIG_HOME": str(folder)}


@contextmanager
def _held_signals() -> Iterator[list[int]]:
    """Only note the signals that ask us to end, so that none comes between making the folder and removing it."""
    caught: list[int] = []
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heard = [number for number in ending if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, lambda number, _: caught.append(number)) for number in heard}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Play:
    """The play, in a process of its own: the repository, and two agents whose every command is a process."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour
        self._failed, self._waits = Flag(), Flag()

    def play(self) -> int:
        """Make the repository, break the build, and let both agents work until they are done."""
        _git("init", "--quiet", "--initial-branch=main", "--template=")
        settings = {".buildguard.toml": f'check = "{_CHECK}"\n', "greet.sh": _GOOD, "test.sh": _TEST}
        for name, words in {**settings, f"{FIXER}.md": "", f"{WAITER}.md": ""}.items():
            Path(name).write_text(words)
        _git("add", "--all")
        _git("commit", "--quiet", "--message", "First")
        for path, words in (("../bin/buildguard", '"$@"'), (".git/hooks/pre-commit", "hook")):
            # This very buildguard, whatever else is on PATH.
            Path(path).parent.mkdir()
            Path(path).write_text(f"#!/bin/sh\nexec {quote(sys.executable)} -m buildguard {words}\n")
            Path(path).chmod(0o755)
        self._say("demo", f"a new repository, two agents in it; its check: {_CHECK}")
        Path("greet.sh").write_text(_BAD)
        _git("commit", "--quiet", "--no-verify", "--all", "--message", "Greet faster")
        self._say("demo", "somebody commits with --no-verify: the build is broken")
        with ThreadPoolExecutor(2) as agents:
            return max(agents.map(self._agent, (FIXER, WAITER)))

    def _agent(self, name: str) -> int:
        """Change a file and commit it; if that makes us the fixer, fix the build as soon as the other waits."""
        own = f"{name}.md"
        if name == WAITER:
            self._failed.wait()
        Path(own).write_text(f"What {name} has to say.\n")
        status, line = self._show(name, f"buildguard commit --agent {name} -m 'Write {own}' -- {own}")
        # Set also where that did not happen: the other one would wait for ever.
        (self._failed if name == FIXER else self._waits).set()
        while line is not None:
            if status == Exit.FAILED:
                self._say(name, "# mine to fix; I take my time until the other one has come to wait")
                self._waits.wait()
                self._say(name, "# it waits; now I mend greet.sh and run the next line as it stands")
                Path("greet.sh").write_text(_GOOD)
            status, line = self._show(name, line)
        return status

    def _show(self, name: str, line: str) -> tuple[int, str | None]:
        """Run a command line in a fresh shell, as an agent would, and pass on what it says while it says it: its
        exit status, and the command that it named as the next one."""
        self._say(name, f"$ {line}")
        following = None
        with Popen(["/bin/sh", "-c", line], stdout=PIPE, stderr=STDOUT, errors="backslashreplace") as child:
            for said in child.stdout or ():
                self._say(name, said.rstrip("\n"))
                if name == WAITER and said.startswith(f"buildguard: waiting: {FIXER}"):
                    self._waits.set()
                if said.startswith("next: "):
                    following = said.removeprefix("next: ").rstrip("\n")
        return child.returncode, following

    def _say(self, name: str, line: str) -> None:
        """One line after the speaker's name, written at once: two agents speak into the same pipe."""
        said = f"{_OF_ACTORS[name]}{name:7} |\033[0m" if self._colour else f"{name:7} |"
        os.write(1, f"{said} {clean(line)[:400]}\n".encode(errors="backslashreplace"))


def _git(*arguments: str) -> str:
    return answer(arguments, os.environ, Path.cwd())


if __name__ == "__main__":
    try:
        sys.exit(_Play("colour" in sys.argv).play())
    except (GitFault, OSError) as error:
        sys.exit(f"demo    | {error}")
