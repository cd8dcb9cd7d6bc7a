"""Where git runs hook files from in this work tree, who says so, and why `install` may not put one there."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from buildguard.errors import GitFault
from buildguard.git.process import answer
from buildguard.git.repository import Repository
from buildguard.setup.hookfile import Refusal, kept
from buildguard.text import command

HOOK = "pre-commit"
NOWHERE = Path(os.devnull)
_OLDEST = (2, 31)
"""The first git that has `rev-parse --path-format`."""
UNSET = {"local": "git config --unset core.hooksPath", "worktree": "git config --worktree --unset core.hooksPath"}


class HooksPlace(NamedTuple):
    """The folder that git runs hook files from; `NOWHERE` if `core.hooksPath` is empty or no folder. `setting` is
    `core.hooksPath` (None: not set), `scope` where it is set, as git calls it. `shared`: other repositories may run
    their hooks from there, too. `in_work_tree`: its files may be committed."""

    folder: Path
    setting: str | None
    scope: str
    shared: bool = False
    in_work_tree: bool = False

    @property
    def hook(self) -> Path:
        """The file that git runs before a commit, whether or not it is there."""
        return self.folder / HOOK


def require_git(environment: Mapping[str, str], cwd: Path) -> None:
    """Raise `GitFault` where git is missing, or too old for us."""
    said = answer(["--version"], environment, cwd).removeprefix("git version ")
    numbers = re.match(r"([0-9]+)\.([0-9]+)", said)
    if numbers and (int(numbers[1]), int(numbers[2])) < _OLDEST:
        raise GitFault(f"git {said} is too old; buildguard needs git 2.31 or newer", "git --version")


def hooks_place(repository: Repository) -> HooksPlace:
    """Ask git where it runs hook files from. Raises `GitFault`."""
    scope, setting = "", None
    with suppress(GitFault):  # not set
        scope, setting, *_ = repository.git("config", "--show-scope", "-z", "--get", "core.hooksPath").split("\0")
    try:
        folder = Path(repository.git("rev-parse", "--path-format=absolute", "--git-path", "hooks"))
    except GitFault:
        # It dies of an empty path, and of one below a file.
        if setting is None:
            raise
        folder = NOWHERE
    if setting is not None and not folder.is_dir() and folder.exists():
        return HooksPlace(NOWHERE, setting, scope)
    real, trees = folder.resolve(), _work_trees(repository)
    in_git_dir = real.is_relative_to(repository.common_dir.resolve())
    in_tree = any(real.is_relative_to(tree.resolve()) for tree in trees)
    shared = not (in_git_dir or in_tree) or scope not in ("", "local", "worktree")
    return HooksPlace(folder, setting, scope, shared, in_tree and not in_git_dir)


def refusal(place: HooksPlace, repository: Repository, again: str = "buildguard install") -> Refusal | None:
    """Why no hook can or may be put there, and what to do before `again`; None where it may."""
    if place.folder == NOWHERE:
        own = command(["git", "config", "core.hooksPath", str(repository.common_dir / "hooks")])
        mend = f"{UNSET.get(place.scope, own)} && {again}"
        if place.scope == "command":
            # It comes from the environment or the command line, where no file can be edited.
            mend = f"env -u GIT_CONFIG_COUNT -u GIT_CONFIG_PARAMETERS {again}"
        what = f"{place.setting}, which is no folder" if place.setting else "set empty"
        return Refusal(f"core.hooksPath is {what} ({place.scope} configuration): git runs no hook file here", mend)
    if not place.shared:
        return None
    where = f"set in the {place.scope} configuration" if place.scope else "a link out of this repository"
    others = "a hook there runs in other repositories, too; `buildguard commit` runs the check without one"
    return Refusal(
        f"git runs hooks from {place.folder} here ({where}): {others}", command(["ls", "-la", str(place.folder)])
    )


def uncommitted(place: HooksPlace, repository: Repository) -> list[Path]:
    """The hook's files, if they are to be committed and are not: of a relative `core.hooksPath` each work tree and
    each clone has its own, and git silently runs no hook where it is missing. Raises `GitFault`."""
    relative = place.setting is not None and not place.setting.startswith(("/", "~"))
    if not (relative and place.in_work_tree):
        return []
    paths = [path for path in (place.hook, kept(place.hook).parent) if path.exists()]
    status = ("status", "--porcelain", "--untracked-files=all", "--")
    return paths if paths and repository.git(*status, *map(str, paths)) else []


def _work_trees(repository: Repository) -> list[Path]:
    """All of the repository; a bare one's own folder is not among them."""
    try:
        told = repository.verbatim("worktree", "list", "--porcelain", "-z")
    except GitFault:  # git before 2.36, which has no other way
        told = repository.verbatim("worktree", "list", "--porcelain").replace("\n", "\0")
    blocks = [block.split("\0") for block in told.split("\0\0")]
    listed = [Path(one[0].removeprefix("worktree ")) for one in blocks if one[0] and "bare" not in one]
    # For a submodule git lists the git dir in place of the work tree.
    return [*listed, repository.top] if repository.top else listed
