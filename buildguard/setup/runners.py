"""The hook runners that a repository may be set up for, and what to write into their files to be called."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from buildguard.git.repository import Repository
from buildguard.settings import suggested_check
from buildguard.setup.hookfile import calls_us
from buildguard.setup.hookspath import hooks_place

_SUFFIXES = ("yml", "yaml", "toml", "json", "jsonc")
_LEFTHOOK = [f"{before}lefthook.{suffix}" for before in ("", ".", ".config/") for suffix in _SUFFIXES]
_KNOWN = (
    ("prek", ["prek.toml"], "at its end", "all unstaged edits of tracked files"),
    ("pre-commit", [".pre-commit-config.yaml"], "under `repos:`", "all unstaged edits of tracked files"),
    ("lefthook", _LEFTHOOK, "at the top level", "the unstaged hunks of partly staged files"),
    ("hk", ["hk.pkl", ".config/hk.pkl"], "in `hooks`", 'unstaged edits of tracked files (unless `stash = "none"`)'),
)


class Runner(NamedTuple):
    """A hook runner that the repository is set up for. `file` is where its hooks stand, `entry` names what to add
    to it, `under` where; `setup` makes git call the runner; `hides` tells which edits it hides while hooks run."""

    name: str
    file: Path
    entry: str
    under: str
    setup: str
    hides: str = ""

    @property
    def block(self) -> str:
        """What to add to its file, as docs/frameworks.md shows it."""
        return (Path(__file__).parent / "entries" / self.entry).read_text(encoding="utf-8")

    @property
    def calls_us(self) -> bool:
        """Whether its file names buildguard."""
        return "buildguard" in _text(self.file)


def found(top: Path | None) -> Runner | None:
    """The runner that the work tree is set up for; of several one that calls buildguard, if any does."""
    runners = [] if top is None else [*_by_file(top), *_husky(top)]
    return next((runner for runner in runners if runner.calls_us), runners[0] if runners else None)


def runs_buildguard(repository: Repository, runner: Runner | None) -> bool:
    """Whether git runs a hook here whose file, or whose runner's file, calls buildguard. Raises `GitFault`."""
    hook = hooks_place(repository).hook
    called = calls_us(hook) or (runner is not None and runner.calls_us)
    return called and os.access(hook, os.X_OK)


def _by_file(top: Path) -> Iterator[Runner]:
    kinds = {".yml": ".yaml", ".jsonc": ".json"}
    for name, files, under, hides in _KNOWN:
        # Without it hk gives git its hooks as configuration, and no file tells what git runs.
        setup = "hk install --legacy" if name == "hk" else f"{name} install"
        for file in (top / one for one in files if (top / one).is_file()):
            yield Runner(name, file, name + kinds.get(file.suffix, file.suffix), under, setup, hides)


def _husky(top: Path) -> list[Runner]:
    prepared = re.search(r'"prepare"\s*:\s*"[^"]*\bhusky\b', _text(top / "package.json"))
    if not (prepared or (top / ".husky").is_dir()):
        return []
    # Without its program in this work tree `npx` would fetch some other version.
    setup = "npx husky" if (top / "node_modules" / ".bin" / "husky").exists() else "npm install"
    return [Runner("husky", top / ".husky" / "pre-commit", "husky", "as its last line", setup)]


def set_check(top: Path) -> str:
    """The command that sets the check that the project most likely has, or that tells how to set one."""
    check = suggested_check(top)
    return f"buildguard install --check {shlex.quote(check)}" if check else "buildguard install --help"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    except OSError:
        return ""
