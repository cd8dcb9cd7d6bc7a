"""Which hook runner stands between git and us, and whether it hides unstaged edits while we run."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from buildguard import processes

_PATCH = re.compile(r"patch[0-9]+-([0-9]+)|[0-9]+-([0-9]+)\.patch", re.ASCII)
_PRIVATE = re.compile(r"py_env-|python-", re.ASCII)


@dataclass(frozen=True, slots=True)
class Stash:
    """A hook framework's patch with the unstaged edits that it took out of the work tree."""

    framework: str
    patch: Path


def stash(environment: Mapping[str, str], git_dir: Path) -> Stash | None:
    """The stash in effect right now: a patch that bears the pid of a process above us and is not older than it.
    None without a framework; costs a walk up the process tree, so only a failing hook asks."""
    above = {process.pid for process in processes.ancestors()}
    for framework, folder in _folders(environment):
        for patch, pid in patches(folder):
            if pid in above and processes.began_before(pid, patch.stat().st_mtime):
                return Stash(framework, patch)
    left = git_dir / "info" / "lefthook-unstaged.patch"
    if left.exists():
        return Stash("lefthook", left)
    return None


def patches(folder: Path) -> list[tuple[Path, int]]:
    """The frameworks' patches in a folder, each with the pid of the process that made it."""
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []
    matched = ((path, _PATCH.fullmatch(path.name)) for path in found)
    return [(path, int(match[1] or match[2])) for path, match in matched if match]


def runner(environment: Mapping[str, str], above: Sequence[processes.Process]) -> str:
    """The name of the hook runner above us, or an empty string."""
    if "PREK_HOOK_STAGE" in environment:
        return "prek"
    if environment.get("PRE_COMMIT") == "1":
        return "pre-commit"
    return "lefthook" if any("lefthook" in process.name for process in above) else ""


def private_prefix(prefix: str) -> str | None:
    """The virtual environment that a hook framework made for us alone, if that is where we run: what the check
    needs is in the user's, not in this."""
    folder = Path(prefix)
    made = _PRIVATE.match(folder.name) is not None and (folder.parent / ".pre-commit-hooks.yaml").exists()
    return prefix if made or folder.name.startswith("py_env-") else None


def _folders(environment: Mapping[str, str]) -> list[tuple[str, Path]]:
    cache = Path(environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME") or os.sep) / ".cache")
    return [
        ("pre-commit", Path(environment.get("PRE_COMMIT_HOME") or cache / "pre-commit")),
        ("prek", Path(environment.get("PREK_HOME") or cache / "prek") / "patches"),
    ]
