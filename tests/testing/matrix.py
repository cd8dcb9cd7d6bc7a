"""One cell of docs/matrix.md: who calls the hook, how the commit is made, and where the fixer works meanwhile."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from testing.cells import KINDS, LETTERS, LOCKING, MERGE, NOTHING, REWORD, SAME, STAGED, WRITTEN, Cell
from testing.gate import Gate
from testing.support import Checkout, Done, ended, eventually
from testing.tools import HEARD, Tool, repository

A, B = "agent-a", "agent-b"
LINES = [f"line {number}\n" for number in range(30)]


@dataclass
class Seen:
    """What happened in a cell: what A could do while B's check ran, what B's hook did then, how B ended, and
    what was lost. `refusal` is what the hook said where it did not wait."""

    meanwhile: str
    hook: str
    end: str
    lost: str
    refusal: str = ""

    def columns(self) -> tuple[str, ...]:
        """As they stand in the table."""
        return self.meanwhile, self.hook, self.end, self.lost


def template(folder: Path, tool: Tool) -> Checkout:
    """A repository that the tool guards, in which app.txt is broken."""
    checkout = repository(folder / "repository", folder / "home", tool)
    checkout.write("app.txt", "BROKEN\n")
    for name in ("b.txt", "other.txt", "wip.txt"):
        checkout.write(name, "".join(LINES))
    no_check = ("commit", "-q", "--no-verify", "-a", "-m")
    checkout.ok("add", "-A")
    checkout.ok(*no_check, "base")
    checkout.ok("switch", "-q", "-c", "side")
    checkout.write("b.txt", "".join(["side\n", *LINES[1:]]))
    checkout.ok(*no_check, "side")
    checkout.ok("switch", "-q", "main")
    checkout.write("b.txt", "".join(["main\n", *LINES[1:]]))
    checkout.ok(*no_check, "main")
    return checkout


class Scene:
    """Both agents in one cell, from B's commit to its end."""

    def __init__(self, cell: Cell, tool: Tool, original: Checkout, folder: Path) -> None:
        self.cell = cell
        shutil.copytree(original.path, folder / "repository", symlinks=True)
        self.a = Checkout(folder / "repository", original.home, original.variables)
        self.b = self.a if cell.place == SAME else self.a.work_tree("linked")
        if self.b is not self.a:
            tool.enter(self.b)
        self.written: dict[str, str] = {}
        self.landed: list[str] = []
        self.gate = Gate(folder / "gate")
        self.heard = folder / "heard"
        self.heard.touch()
        self._process: subprocess.Popen[str] | None = None

    def play(self) -> Seen:
        """Let it all happen."""
        try:
            return self._play()
        finally:
            self._clean_up()

    def _clean_up(self) -> None:
        """End what a failed test left."""
        self.gate.open()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            self._process.communicate()

    def _play(self) -> Seen:
        if self.cell.kind != REWORD:
            self._edit("wip.txt", "A's edit from before\n")
        self._claim()
        self._prepare_b()
        process = self._process = self._start_b()
        eventually(lambda: self.gate.reached() or process.poll() is not None, "B's check runs")
        if process.poll() is not None:
            return self._uncalled(ended(process))
        self._write("new.txt", "A's new file\n")
        meanwhile = self._step("A's first step", "other.txt")
        self.gate.open()
        eventually(lambda: "waiting: " in self.words or process.poll() is not None, "B's hook decides")
        if process.poll() is None:
            again = self._step("A's second step", "other.txt")
            assert "lock" not in again, (again, self.words)
            assert process.poll() is None, "B waited until then"
            hook = "waits in the hook"
        else:
            hook = f"does not wait ({LETTERS[self._reason()]})"
            if "lock" in meanwhile:
                again = self._step("A's second try", "other.txt")
                assert "lock" not in again, (again, self.words)
        self._fix()
        done = ended(process)
        return Seen(meanwhile, hook, self._end(done), self._lost(), self._refusal())

    def _uncalled(self, done: Done) -> Seen:
        assert "no matching staged files" in done.both, done
        return Seen("-", f"not called: {self.cell.tool} skips where nothing is staged", "unchecked", self._lost())

    def _reason(self) -> str:
        return next((words for words in LETTERS if words in self._refusal()), self.words)

    @property
    def words(self) -> str:
        """What buildguard has said in B's hook so far."""
        return self.heard.read_text()

    # B

    def _prepare_b(self) -> None:
        if self.cell.kind == MERGE:
            assert self.b.git("merge", "side").status == 1
        if self.cell.kind != REWORD:
            self.mine = "".join(["B's line\n", *LINES[1:-1], "B's last line\n"])
            self.b.write("b.txt", self.mine)
        else:
            self.mine = (self.b.path / "b.txt").read_text()
        if self.cell.kind in STAGED:
            self.b.ok("add", "b.txt")
        self.before = self.b.ok("rev-parse", "HEAD")

    def _start_b(self) -> "subprocess.Popen[str]":
        variables = {
            **self.gate.variables,
            HEARD: str(self.heard),
            "GIT_COMMITTER_NAME": B,
            "GIT_EDITOR": "true",
            "GIT_SEQUENCE_EDITOR": "sed -i.old s/^pick/reword/",
        }
        answers = self.heard.with_name("answers")
        answers.write_text("y\nq\n")
        with answers.open() as stdin:
            return subprocess.Popen(
                ["git", *KINDS[self.cell.kind]],
                cwd=self.b.path,
                env=self.b.env(B, **variables),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

    def _end(self, done: Done) -> str:
        ours = self.words.splitlines()
        if done.status == 0 and "passed: " in self.words:
            return "commits"
        assert done.status != 0, done
        assert ours, f"buildguard said nothing: {done}"
        assert ours[-1].startswith("next: "), self.words
        for words, end in _ENDS:
            if words in self.words:
                return end
        raise AssertionError(self.words)

    def _refusal(self) -> str:
        found = re.search(r"^buildguard: (not waiting in the hook: .*)$", self.words, re.MULTILINE)
        return found[1] if found else ""

    # A

    def _claim(self) -> None:
        # In the copy, not in the original: a claim belongs to one checkout, and nobody would hold it here.
        claimed = self.a.buildguard("run", agent=A)
        assert claimed.status == 1, claimed

    def _edit(self, name: str, line: str) -> None:
        self._write(name, (self.a.path / name).read_text() + line)

    def _write(self, name: str, text: str) -> None:
        self.a.write(name, text)
        self.written[name] = text

    def _step(self, line: str, name: str) -> str:
        """Edit, stage and commit one file; what came of it."""
        self._edit(name, f"{line}\n")
        added = self.a.git("add", name, agent=A)
        committed = self.a.git("commit", "-q", "--no-verify", "-m", line, "--", name, agent=A)
        if committed.status == 0 and added.status == 0:
            self.landed.append(line)
            return "edits, stages, commits"
        if "partial commit during a merge" in committed.err and added.status == 0:
            return "edits, stages (git: no partial commit during a merge)"
        assert self.cell.kind in LOCKING, (added, committed)
        assert (added.status, committed.status) == (128, 128), (added, committed)
        assert "index.lock" in added.err, added
        return "edits; stages and commits when B has ended (git's own lock)"

    def _fix(self) -> None:
        self._write("app.txt", "fine\n")
        # All that A has changed since it claimed: others wait for the rest of a fix.
        self.a.ok("add", "new.txt", agent=A)
        fixed = self.a.git("commit", "-q", "-m", "A's fix", "--", "app.txt", "new.txt", agent=A)
        if "partial commit during a merge" in fixed.err:
            # B's merge keeps A from committing, so A gives its word.
            fixed = self.a.buildguard("release", agent=A)
        else:
            self.landed.append("A's fix")
        assert fixed.status == 0, fixed

    # Afterwards

    def _lost(self) -> str:
        lost = [name for name, text in self.written.items() if (self.a.path / name).read_text() != text]
        lost += [] if (self.b.path / "b.txt").read_text() == self.mine else ["B's own edit"]
        subjects = self.a.ok("log", "--format=%s").splitlines()
        lost += [f"the commit {line!r}" for line in self.landed if line not in subjects]
        foreign = self._foreign()
        assert not foreign, f"B committed what it had not staged: {foreign}"
        for checkout in {id(one): one for one in (self.a, self.b)}.values():
            locks = list(Path(checkout.ok("rev-parse", "--absolute-git-dir")).glob("*.lock"))
            assert not locks, locks
        return ", ".join(lost) or NOTHING

    def _foreign(self) -> list[str]:
        """What B's commits changed beyond what B had staged when its check began."""
        by_b = self.b.ok("log", f"--committer={B}", "--format=%H", f"{self.before}..HEAD").split()
        allowed = {"b.txt", "wip.txt"} if self.cell.kind == "commit -a" else {"b.txt"}
        changed = [
            name
            for commit in by_b
            for name in self.b.ok("diff-tree", "-r", "--name-only", f"{commit}^", commit).split()
        ]
        return [name for name in changed if name not in allowed]


class Hidden(Scene):
    """A writes into files while the runner hides A's unstaged edits."""

    def write(self, where: str) -> tuple[tuple[str, ...], str]:
        """Let A write there while B's check runs; what B's hook did, what was lost, and by whom; its refusal."""
        try:
            return self._written(where), self._refusal()
        finally:
            self._clean_up()

    def _written(self, where: str) -> tuple[str, ...]:
        ends = [self.a.path / "wip.txt", self.a.path / "other.txt"]
        if self.cell.tool == "lefthook":
            ends[0].write_text("".join(["A's staged line\n", *LINES[1:]]))
            self.a.ok("add", "wip.txt", agent=A)
        ends[0].write_text(ends[0].read_text() + "A's edit from before\n")
        self._claim()
        self._prepare_b()
        process = self._process = self._start_b()
        self.gate.wait()
        assert "A's edit from before" not in ends[0].read_text(), f"{self.cell.tool} hides it"
        if where == WRITTEN[2]:
            ends[0].write_text(ends[0].read_text() + "A's edit meanwhile\n")
        elif where == WRITTEN[1]:
            ends[0].write_text(ends[0].read_text().replace(LINES[9], "A's edit meanwhile\n"))
        ends[1].write_text(ends[1].read_text() + "A's other edit meanwhile\n")
        self.gate.open()
        # Without anybody's fix: the hook does not wait.
        assert ended(process).status != 0
        left = "".join(path.read_text() for path in ends)
        edits = ["A's edit from before", "A's other edit meanwhile"]
        edits += [] if where == WRITTEN[0] else ["A's edit meanwhile"]
        lost = [edit for edit in edits if edit not in left]
        return (
            f"does not wait ({LETTERS[self._reason()]})",
            ", ".join(lost) or NOTHING,
            self.cell.tool if lost else "-",
        )


_ENDS = (
    ("would now rewrite another commit", "HEAD moved: told to look before it amends"),
    ("refused: HEAD moved", "HEAD moved: told to commit again"),
    ("refused: what was staged changed", "refused: A's staged file would slip in"),
    ("fixed elsewhere: ", "told which commit has the fix"),
    ("busy: ", "busy: told who fixes, and how to wait"),
)
