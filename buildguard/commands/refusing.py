"""What a coding agent is not let run: what goes past the check, or harms another agent. Only what is certain."""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from buildguard.agents.shell import UNKNOWN, Call, calls
from buildguard.commands.cherry_pick import UNDER_WAY
from buildguard.errors import GitFault
from buildguard.git.commandline import only_shows, reads_stdin, skips_hooks, split, with_hooks
from buildguard.git.repository import Repository, find_repository
from buildguard.settings import off
from buildguard.setup.locks import MEND, holder
from buildguard.setup.runners import found
from buildguard.text import command

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
    the agent; `neighbour` tells which other agent is at work in this checkout, and is asked only if it matters."""

    repository: Repository
    cwd: Path
    aim: Sequence[str]
    neighbour: Callable[[], str]

    def refusal(self, line: str) -> Instead | None:
        """Why that command line may not run; None where it may, or where that is not certain."""
        return next((no for call in calls(line) if (no := self._lock(call) or self._git(call))), None)

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

    def _git(self, call: Call) -> Instead | None:
        options, name, arguments = split(call.argv)
        if call.words[0].value != "git" or name not in _RUN_HOOKS or not self._is_here(call, options):
            return None
        if any((self.repository.git_dir / one).exists() for one in UNDER_WAY):
            return None
        commits = name == "commit" and not only_shows(arguments)
        if reason := self._past_the_check(call, options):
            why = f"{reason} goes past the check that guards this build"
        elif commits and skips_hooks(arguments):
            why = "--no-verify (for commit also -n) goes past the check that guards this build"
        elif commits and (other := self.neighbour()):
            why = f"{other} works in this checkout, too: a plain git commit can take its edits, and cannot wait"
        else:
            return None
        return Instead(why, self._instead(call, options, name, arguments))

    def _past_the_check(self, call: Call, options: Sequence[str]) -> str:
        """What keeps the hooks from running, besides `--no-verify`; empty where nothing does for certain."""
        if any(_HOOKS_PATH + "=" in option.lower() for option in options):
            return "core.hooksPath"
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

    def _instead(self, call: Call, options: Sequence[str], name: str, arguments: Sequence[str]) -> str:
        """The same command past no check, a commit through us, as far as it can be repeated faithfully."""
        there = [word for folder in _values_of("-C", options) for word in ("-C", folder)]
        program, kept = ["git", *there, name], list(arguments)
        if name == "commit":
            program = [*(("git", *there) if there else ()), "buildguard", "commit", *self.aim]
            kept = with_hooks(arguments)
        # In another shell a variable has another value, and standard input is gone.
        faithful = UNKNOWN not in "".join(arguments) and not (name == "commit" and reads_stdin(arguments))
        told = command([*program, *kept]) if faithful else f"{command(program)} ..."
        return f"{command(['cd', call.folder])} && {told}" if call.folder else f"{told}"


def _values_of(option: str, options: Iterable[str]) -> list[str]:
    return [value for one, value in pairwise(options) if one == option]
