"""Two agents in one repository that do nothing but what they are told: the `next:` line, as it stands, in a fresh
shell."""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from testing.support import BUILDGUARD, Checkout, Done, Following, new_repository

CHECK = 'test -e code && ! grep -n "bad" code'
SAME, LINKED, CLONES = "one checkout", "two work trees", "two clones"
LAYOUTS = (SAME, LINKED, CLONES)
ROUNDS = 8
"""Lines that are followed in a row; whoever is told more goes round in circles."""


@dataclass
class Agent:
    """One agent. It says who it is in the first command of its own; after that the `next:` lines have to know."""

    name: str
    at: Checkout
    started: list[Following] = field(default_factory=list)

    def types(self, *words: str, **more: str) -> Done:
        """A buildguard command of its own, with its name exported."""
        return self.at.buildguard(*words, agent=self.name, **more)

    def starts(self, *words: str) -> Following:
        """The same; it goes on while the test does."""
        self.started.append(Following(self.at.start(BUILDGUARD, *words, agent=self.name)))
        return self.started[-1]

    def starts_git(self, *words: str) -> Following:
        """The same of a git command, in a process group of its own."""
        self.started.append(Following(self.at.start("setsid", "git", *words, agent=self.name)))
        return self.started[-1]

    def ends(self) -> None:
        """End what a failed test left."""
        for following in self.started:
            with suppress(ProcessLookupError):
                following.process.kill()
            following.ends()

    def runs(self, line: str) -> Done:
        """A line as it stands, in a fresh shell: nothing that was exported before is there."""
        bare = Checkout(self.at.path, self.at.home)
        return bare.run("sh", "-c", line)

    def follows(self, told: Done) -> Done:
        """The command that it was told to run next."""
        line = next_line(told)
        assert line is not None, f"{self.name} is not told what to do next: {told}"
        return self.runs(line)

    def goes_on(self, told: Done) -> list[Done]:
        """Follow the lines until there is none, or something is its own to fix; all that was said, oldest first."""
        said = [told]
        while next_line(said[-1]) is not None and said[-1].status != 1:
            assert len(said) <= ROUNDS, f"{self.name} goes round in circles: {said}"
            said.append(self.follows(said[-1]))
        return said

    def status(self) -> dict[str, object]:
        """What `status --json` says to it."""
        found: dict[str, object] = json.loads(self.types("status", "--json").out)
        return found

    def log(self) -> list[dict[str, object]]:
        """The whole history, oldest first."""
        events: list[dict[str, object]] = json.loads(self.types("log", "--json", "-n", "100").out)["events"]
        return events

    @property
    def gate(self) -> int:
        """What `status --exit-code` says."""
        return self.types("status", "--exit-code").status

    def writes(self, name: str, text: str) -> None:
        self.at.write(name, text)

    def head(self, name: str) -> str:
        """The content of a file in the last commit here."""
        return self.at.ok("show", f"HEAD:{name}")


def next_line(told: Done) -> str | None:
    """The command of the last `next:` line."""
    lines = [line for line in told.both.splitlines() if line.startswith("next: ")]
    return lines[-1].removeprefix("next: ") if lines else None


def pair(folder: Path, layout: str, check: str = CHECK) -> tuple[Agent, Agent]:
    """ann and bob on a base that passes: `code` is good, and each has a file of its own."""
    first = new_repository(folder / "repository", folder / "home", check)
    for name, text in {"code": "good\n", "README": "read me\n", "ann.txt": "", "bob.txt": ""}.items():
        first.write(name, text)
    first.ok("add", "-A")
    first.ok("commit", "-q", "--no-verify", "-m", "base")
    if layout == SAME:
        return Agent("ann", first), Agent("bob", first)
    if layout == LINKED:
        return Agent("ann", first), Agent("bob", first.work_tree("linked"))
    first.ok("clone", "-q", "--bare", ".", "../origin.git")
    shared = {"BUILDGUARD_DB": str(folder / "state.db")}
    hook = Path(".git", "hooks", "pre-commit")
    places = []
    for name in ("one", "two"):
        first.ok("clone", "-q", "../origin.git", f"../{name}")
        place = Checkout(folder / name, first.home, shared)
        (place.path / hook).write_bytes((first.path / hook).read_bytes())
        (place.path / hook).chmod(0o755)
        places.append(place)
    return Agent("ann", places[0]), Agent("bob", places[1])


def broken(layout: str, ann: Agent, bob: Agent) -> None:
    """A commit that breaks the build arrives, in both places."""
    ann.writes("code", "bad\n")
    ann.at.ok("commit", "-q", "--no-verify", "-am", "faster")
    if layout == LINKED:
        bob.at.ok("merge", "-q", "--ff-only", "main")
    if layout == CLONES:
        ann.at.ok("push", "-q")
        bob.at.ok("pull", "-q")
