"""What a coding agent is not let run: what goes past the check, or harms another agent. Only what is certain."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from buildguard.agents.shell import UNKNOWN, Call, Word, calls
from buildguard.commands.cherry_pick import UNDER_WAY
from buildguard.errors import GitFault
from buildguard.git.commandline import only_shows, skips_hooks, split, with_hooks
from buildguard.git.repository import Repository, find_repository
from buildguard.settings import off
from buildguard.setup.runners import found
from buildguard.text import command

_RUN_HOOKS = ("commit", "merge", "pull", "push", "rebase", "cherry-pick", "revert", "am")
_HOOKS_PATH = "core.hookspath"
_REMOVERS = ("rm", "unlink", "mv")
_OF_GIT = r'"?\$\(git rev-parse (?:--absolute-git-dir|--git-dir|--git-common-dir)\)"?/index\.lock"?'
_ELSEWHERE = ("--git-dir", "--work-tree", "GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR")


class Instead(NamedTuple):
    """Why a command is not run, and the command to run instead."""

    why: str
    instead: str


def refusal(
    line: str, repository: Repository, cwd: Path, aim: Sequence[str], neighbour: Callable[[], str]
) -> Instead | None:
    """Why that command line may not run in the folder `cwd`; None where it may, or where that is not certain. `aim`
    are the options of `buildguard commit` to name the caller by; `neighbour` tells which other agent is at work in
    this checkout, and is asked only where that matters. Raises `GitFault`."""
    for call in calls(line):
        no = _lock(call, repository, cwd) or _git(call, repository, cwd, aim, neighbour)
        if no is not None:
            return no
    return None


def _lock(call: Call, repository: Repository, cwd: Path) -> Instead | None:
    """Whether it deletes the index lock of a work tree of this repository."""
    if call.words[0].value not in _REMOVERS:
        return None
    # The name of git's folder, where git itself is asked for it.
    of_git = str(repository.git_dir / "index.lock")
    paths = [of_git if re.fullmatch(_OF_GIT, word.source) else word.value for word in call.words[1:]]
    if not any(path.endswith("index.lock") and _is_ours(call, path, repository, cwd) for path in paths):
        return None
    why = "an index.lock belongs to a git that works, and a commit without its lock loses files: try again instead"
    return Instead(f"{why}; if no git works here, the next line removes the lock", "buildguard doctor --mend")


def _is_ours(call: Call, path: str, repository: Repository, cwd: Path) -> bool:
    if UNKNOWN in call.folder + path:
        return False
    folder = (cwd / call.folder / path).parent.resolve()
    common = repository.common_dir.resolve()
    return folder in (repository.git_dir.resolve(), common) or folder.parent == common / "worktrees"


def _git(
    call: Call, repository: Repository, cwd: Path, aim: Sequence[str], neighbour: Callable[[], str]
) -> Instead | None:
    options, name, arguments = split(call.argv)
    if call.words[0].value != "git" or name not in _RUN_HOOKS or not _is_here(call, options, repository, cwd):
        return None
    if any((repository.git_dir / one).exists() for one in UNDER_WAY):
        return None
    commits = name == "commit" and not only_shows(arguments)
    if reason := _past_the_check(call, options, repository):
        why = f"{reason} goes past the check that guards this build"
    elif commits and skips_hooks(arguments):
        why = "--no-verify (for commit also -n) goes past the check that guards this build"
    elif commits and (other := neighbour()):
        why = f"{other} works in this checkout, too: a plain git commit can take its edits, and cannot wait"
    else:
        return None
    if name != "commit":
        return Instead(why, _written(["git", name], call.words[-len(arguments) :] if arguments else ()))
    return Instead(why, _instead(call, options, arguments, aim))


def _past_the_check(call: Call, options: Sequence[str], repository: Repository) -> str:
    """What keeps the hooks from running, besides `--no-verify`; empty where nothing does for certain."""
    if any(_HOOKS_PATH + "=" in option.lower() for option in options):
        return "core.hooksPath"
    for name, value in call.variables.items():
        if name.startswith("GIT_CONFIG_") and _HOOKS_PATH in value.lower():
            return name
    runner = found(repository.top)
    if runner is not None and call.variables.get(runner.name.upper()) == "0":
        return f"{runner.name.upper()}=0"
    return off(call.variables) or ""


def _is_here(call: Call, options: Sequence[str], repository: Repository, cwd: Path) -> bool:
    """Whether it certainly works in this repository."""
    chosen = [option.partition("=")[0] for option in options]
    if any(one in _ELSEWHERE for one in (*chosen, *call.variables)) or UNKNOWN in call.folder:
        return False
    folders = [b for a, b in pairwise(options) if a == "-C"]
    if not folders and not call.folder:
        return True
    if any(UNKNOWN in folder for folder in folders):
        return False
    try:
        there = find_repository(cwd.joinpath(call.folder, *folders), repository.environment)
    except (GitFault, OSError):
        return False
    return there.common_dir == repository.common_dir


def _instead(call: Call, options: Sequence[str], arguments: Sequence[str], aim: Sequence[str]) -> str:
    """The same commit through us, in the same folder, as far as it can be repeated faithfully."""
    there = [word for a, b in pairwise(options) if a == "-C" for word in (a, b)]
    program = ["git", *there, "buildguard"] if there else ["buildguard"]
    words = call.words[len(call.words) - len(arguments) :] if arguments else ()
    known = not any(UNKNOWN in word.value for word in words)
    told = command([*program, "commit", *aim, *with_hooks(arguments)]) if known else None
    if told is None:
        told = _written([*program, "commit", *aim], [word for word in words if not skips_hooks([word.value])])
    moved = command(["cd", call.folder]) if call.folder else ""
    return f"{moved} && {told}" if moved else told


def _written(program: Sequence[str], words: Sequence[Word]) -> str:
    """A command with words as they were written; without those that fill lines, which nobody could paste."""
    kept = [word.source for word in words]
    lines = any("\n" in word for word in kept)
    return f"{command(program)} …" if lines else " ".join([command(program) or "", *kept])
