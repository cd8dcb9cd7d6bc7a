"""Where git looks for hooks in this work tree, who says so, and the hooks that stand in git's configuration."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from buildguard.git import repository as git
from buildguard.git.repository import GitFault, Repository

Version = tuple[int, ...]
OLDEST: Version = (2, 31)
"""The oldest git that buildguard understands: `rev-parse --path-format`."""
WITH_CONFIG_HOOKS: Version = (2, 54)
"""The first git that runs hooks from its configuration."""
STAGES = ("pre-commit", "pre-merge-commit", "pre-push")
"""The hooks that buildguard can be."""
_OWN_SCOPES = ("", "local", "worktree")


@dataclass(frozen=True, slots=True)
class HooksPlace:
    """The folder that git runs hook files from; None where it runs none, because `core.hooksPath` is set empty.
    `setting` is `core.hooksPath` (None: not set), `scope` where it is set, as git calls it."""

    folder: Path | None
    setting: str | None
    scope: str

    def hook(self, stage: str) -> Path | None:
        """The file that git runs for a stage, whether or not it is there."""
        return self.folder / stage if self.folder else None


def version(environment: Mapping[str, str], cwd: Path) -> tuple[str, Version]:
    """Git's version, as it says it and as numbers. Raises `GitFault`."""
    said = git.answer(["--version"], environment, cwd).removeprefix("git version ")
    numbers = re.match(r"[0-9]+(?:\.[0-9]+)*", said)
    return said, tuple(int(number) for number in numbers[0].split(".")) if numbers else ()


def hooks_place(repository: Repository) -> HooksPlace:
    """Ask git where it runs hook files from. Raises `GitFault`."""
    scope, setting = _hooks_path(repository)
    if setting == "":
        # `--git-path hooks` dies of an empty path, and git runs nothing.
        return HooksPlace(None, setting, scope)
    folder = repository.git("rev-parse", "--path-format=absolute", "--git-path", "hooks")
    return HooksPlace(Path(folder), setting, scope)


def is_elsewhere(place: HooksPlace, repository: Repository) -> bool:
    """Whether other repositories may run their hooks from there, too: it is set for the user or the machine, or
    lies outside this repository and all its work trees."""
    if place.folder is None or place.scope not in _OWN_SCOPES:
        return place.folder is not None
    real = place.folder.resolve()
    ours = [repository.common_dir, *work_trees(repository)]
    return not any(real.is_relative_to(folder.resolve()) for folder in ours)


def in_work_tree(place: HooksPlace, repository: Repository) -> bool:
    """Whether the folder's files may be committed: it lies in a work tree and not in a git dir."""
    if place.folder is None:
        return False
    real = place.folder.resolve()
    inside = any(real.is_relative_to(folder.resolve()) for folder in work_trees(repository))
    return inside and not real.is_relative_to(repository.common_dir.resolve())


def work_trees(repository: Repository) -> list[Path]:
    """All work trees of the repository; a bare one's own folder is not among them. Raises `GitFault`."""
    blocks = repository.git("worktree", "list", "--porcelain").split("\n\n")
    found = [block.splitlines() for block in blocks]
    return [Path(lines[0].removeprefix("worktree ")) for lines in found if lines and "bare" not in lines]


@dataclass(frozen=True, slots=True)
class ConfigHook:
    """A hook of git's configuration: its name, what it runs and for which events."""

    name: str
    command: str
    events: tuple[str, ...]
    enabled: bool
    keys: frozenset[str]


def config_hooks(repository: Repository, scope: str = "") -> list[ConfigHook]:
    """The hooks in git's configuration, of one scope (`--local`) or of all. Git before 2.54 runs none of them."""
    try:
        listed = repository.git("config", *([scope] if scope else []), "-z", "--get-regexp", r"^hook\..+\..+$")
    except GitFault:
        return []
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in listed.split("\0"):
        key, _, value = entry.partition("\n")
        name, _, kind = key.removeprefix("hook.").rpartition(".")
        if name:
            found.setdefault(name, []).append((kind, value))
    return [_config_hook(name, entries) for name, entries in found.items()]


def _config_hook(name: str, entries: list[tuple[str, str]]) -> ConfigHook:
    last = dict(entries)
    events: list[str] = []
    for kind, value in entries:
        if kind == "event":
            events = [*events, value] if value else []
    off = last.get("enabled", "true").lower() in ("false", "no", "off", "0", "")
    return ConfigHook(name, last.get("command", ""), tuple(events), not off, frozenset(last))


def _hooks_path(repository: Repository) -> tuple[str, str | None]:
    try:
        found = repository.git("config", "--show-scope", "-z", "--get", "core.hooksPath")
    except GitFault:
        return "", None
    scope, _, rest = found.partition("\0")
    return scope, rest.partition("\0")[0]
