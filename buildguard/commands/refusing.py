"""What a coding agent is not let run: what goes past the check, or harms another agent. Only what is certain."""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from buildguard.agents.shell import UNKNOWN, Call, Word, calls
from buildguard.commands.cherry_pick import UNDER_WAY
from buildguard.errors import GitFault
from buildguard.git.commandline import only_shows, skips_hooks, split, with_hooks
from buildguard.git.repository import Repository, find_repository
from buildguard.settings import off
from buildguard.setup.locks import MEND, holder
from buildguard.setup.runners import found
from buildguard.text import LONGEST_COMMAND, command, quoted

_RUN_HOOKS = ("commit", "merge", "pull", "push", "rebase", "cherry-pick", "revert", "am")
_HOOKS_PATH = "core.hookspath"
_OF_GIT = r'"?\$\(git rev-parse (?:--absolute-git-dir|--git-dir|--git-common-dir)\)"?/index\.lock"?'
_ELSEWHERE = {"--git-dir", "--work-tree", "GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR"}


class Instead(NamedTuple):
    """Why a command is not run, and the command to run instead; empty where there is none."""

    why: str
    line: str


class Judge(NamedTuple):
    """Judges the command lines of one agent in one folder. `aim` are the options of `buildguard commit` that name
    the agent; `neighbour` tells what another agent does in this checkout, and is asked only if it matters."""

    repository: Repository
    cwd: Path
    aim: Sequence[str]
    neighbour: Callable[[], str]

    def refusal(self, line: str) -> Instead | None:
        """Why that command line may not run; None where it may, or where that is not certain."""
        for call in calls(line):
            if no := self._lock(call):
                return no
            if why := self._why(call):
                return self._without(line, call, why)
        return None

    def _lock(self, call: Call) -> Instead | None:
        """Whether it deletes the index lock of a work tree of this repository."""
        if call.words[0].value not in ("rm", "unlink", "mv"):
            return None
        # The name of git's folder, where git itself is asked for it.
        of_git = str(self.repository.git_dir / "index.lock")
        paths = [of_git if re.fullmatch(_OF_GIT, word.source) else word.value for word in call.words[1:]]
        doomed = [path for path in paths if path.endswith("index.lock") and self._is_ours(call.folder, path)]
        if not doomed:
            return None
        who, line = "a git may hold it", ""
        # It may be gone; and another work tree's is not ours to remove.
        with suppress(FileNotFoundError):
            if all(self.cwd.joinpath(call.folder, lock).resolve() == Path(of_git).resolve() for lock in doomed):
                who, line = holder(Path(of_git), self.repository)
        if line == MEND:
            return Instead("buildguard makes sure that no git holds an index.lock before it removes that", MEND)
        return Instead(
            f"an index.lock belongs to a git that works: try again; if it stays, ask a person ({who})", ""
        )

    def _is_ours(self, folder: str, lock: str) -> bool:
        if UNKNOWN in folder + lock:
            return False
        place, common = (self.cwd / folder / lock).parent.resolve(), self.repository.common_dir.resolve()
        return place in (self.repository.git_dir.resolve(), common) or place.parent == common / "worktrees"

    def _why(self, call: Call) -> str:
        """Why that command of git may not run; empty where it may."""
        options, name, arguments = split(call.argv)
        if call.words[0].value != "git" or name not in _RUN_HOOKS or not self._is_here(call, options):
            return ""
        if any((self.repository.git_dir / one).exists() for one in UNDER_WAY):
            return ""
        past = self._switch(call) or ("core.hooksPath" if any(map(_sets_hooks, options)) else "")
        commits = name == "commit" and not only_shows(arguments)
        if not past and commits and skips_hooks(arguments):
            past = "--no-verify (for commit also -n)"
        if past:
            return f"{past} goes past the check that guards this build"
        other = self.neighbour() if commits else ""
        return f"{other}: a plain git commit can take its edits, and cannot wait" if other else ""

    def _switch(self, call: Call) -> str:
        """The variable that keeps the hooks from running; empty where none does for certain."""
        for name, value in call.variables.items():
            if name.startswith("GIT_CONFIG_") and _HOOKS_PATH in value.lower():
                return name
        runner = found(self.repository.top)
        if runner is not None and call.variables.get(runner.name.upper()) == "0":
            return f"{runner.name.upper()}=0"
        return off(call.variables) or ""

    def _is_here(self, call: Call, options: Sequence[str]) -> bool:
        """Whether it certainly works in this repository."""
        folders = [call.folder, *_values_of("-C", options)]
        if UNKNOWN in "".join(folders) or _ELSEWHERE & {
            *call.variables,
            *(one.partition("=")[0] for one in options),
        }:
            return False
        try:
            there = (
                find_repository(self.cwd.joinpath(*folders), self.repository.environment) if any(folders) else None
            )
        except (GitFault, OSError):
            return False
        return there is None or there.common_dir == self.repository.common_dir

    def _without(self, line: str, call: Call, why: str) -> Instead:
        """The same line with just that command replaced; where that cannot be done faithfully, how to do it."""
        whole, words = line.encode("utf-8", "surrogatepass"), call.words
        between = [whole[one.end : other.start] for one, other in pairwise(words)]
        plain = all(word.start >= 0 for word in words) and all(re.fullmatch(rb"(\s|\\\n)+", one) for one in between)
        if plain and not self._switch(call):
            said = self._instead(call).encode("utf-8", "surrogatepass")
            new = (whole[: words[0].start] + said + whole[words[-1].end :]).decode("utf-8", "replace")
            refused = any(self._lock(one) or self._why(one) for one in calls(new))
            if new.isprintable() and len(new) <= LONGEST_COMMAND and not refused:
                return Instead(why, new)
        through = f", and with `{command(['buildguard', 'commit', *self.aim])}` for `git commit`"
        return Instead(f"{why}; run the same line without that{through * ('commit' in call.argv)}", "")

    def _instead(self, call: Call) -> str:
        """That command past no check, and a commit through us, in the words as they were written."""
        options, name, _ = split(call.argv)
        kept: list[str] = []
        for word in call.words[1 : 1 + len(options)]:
            if not _sets_hooks(word.value):
                kept.append(word.source)
            elif kept[-1:] in (["-c"], ["--config-env"]):
                kept.pop()
        written = [_on_one_line(word) for word in call.words[2 + len(options) :]]
        if name != "commit":
            return " ".join(("git", *kept, name, *written))
        through = ("git", *kept) if kept else ()
        return " ".join((*through, "buildguard commit", *map(quoted, self.aim), *with_hooks(written)))


def _sets_hooks(option: str) -> bool:
    return _HOOKS_PATH + "=" in option.lower()


def _on_one_line(word: Word) -> str:
    """A word as it was written; without quotes that would hide an option, or a line break."""
    if re.fullmatch(r"-[\w-]+", word.value):
        return word.value
    return quoted(word.value) if "\n" in word.source and UNKNOWN not in word.value else word.source


def _values_of(option: str, options: Iterable[str]) -> list[str]:
    return [value for one, value in pairwise(options) if one == option]
