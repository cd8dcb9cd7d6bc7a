"""Which hook runner stands between git and us, and whether it hides unstaged edits while we run."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from buildguard.agents import processes

_PATCH = r"patch[0-9]+-([0-9]+)|[0-9]+-([0-9]+)\.patch"
_PRIVATE_MARKS = (".install_state_v2", ".install_state_v1", ".prek-hook.json")
"""What pre-commit and prek leave in an environment that they made; the names of the folders prove nothing."""


class Stash(NamedTuple):
    """A hook framework's patch with the unstaged edits that it took out of the work tree."""

    framework: str
    patch: Path


def stash(environment: Mapping[str, str], git_dir: Path) -> Stash | None:
    """The stash in effect right now: a patch that a process above us made, and not older than that process.
    None without a framework; costs a walk up the process tree, so only a failing hook asks. Never raises."""
    above = processes.ancestors()
    pids = {process.pid for process in above}
    for framework, folder in folders(environment):
        for patch, pid in patches(folder):
            if pid in pids and _made_by(pid, patch):
                return Stash(framework, patch)
    # lefthook's patch bears no pid, and stays when lefthook is killed: without lefthook above it hides nothing.
    runners = [process.pid for process in above if _is_lefthook(process)]
    for patch in lefthook_patches(git_dir) if runners else ():
        if any(_made_by(pid, patch) for pid in runners):
            return Stash("lefthook", patch)
    return None


def patches(folder: Path) -> list[tuple[Path, int]]:
    """The frameworks' patches in a folder, each with the pid of the process that made it."""
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []
    matched = ((path, re.fullmatch(_PATCH, path.name, re.ASCII)) for path in found)
    return [(path, int(match[1] or match[2])) for path, match in matched if match]


def lefthook_patches(git_dir: Path) -> list[Path]:
    """Where lefthook keeps what it hides of the work tree with that git dir: beside what all work trees share,
    under the name of the linked one."""
    info = _common_dir(git_dir) / "info"
    linked = [info / f"lefthook-unstaged.{git_dir.name}.patch"] if info.parent != git_dir else []
    return [*linked, info / "lefthook-unstaged.patch"]


def runner(environment: Mapping[str, str], above: Sequence[processes.Process]) -> str:
    """The name of the hook runner above us, or an empty string."""
    if "PREK_HOOK_STAGE" in environment:
        return "prek"
    if environment.get("PRE_COMMIT") == "1":
        return "pre-commit"
    if any(_is_lefthook(process) for process in above):
        return "lefthook"
    husky = (word for process in above for word in process.argv if ".husky/" in word)
    return "husky" if any(husky) else ""


def private_prefix(prefix: str) -> str | None:
    """The virtual environment that a hook framework made for us alone, if that is where we run: what the check
    needs is in the user's, not in this."""
    folder = Path(prefix)
    return prefix if any((folder / mark).exists() for mark in _PRIVATE_MARKS) else None


def folders(environment: Mapping[str, str]) -> list[tuple[str, Path]]:
    """Where the frameworks keep their patches, by the rules of each."""
    cache = Path(environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME") or os.sep) / ".cache")
    return [
        ("pre-commit", Path(environment.get("PRE_COMMIT_HOME") or cache / "pre-commit")),
        ("prek", Path(environment.get("PREK_HOME") or cache / "prek") / "patches"),
    ]


def _made_by(pid: int, patch: Path) -> bool:
    """Whether the patch is not older than the process: pids come again, and patches stay."""
    try:
        return processes.began_before(pid, patch.stat().st_mtime)
    except OSError:
        return False


def _is_lefthook(process: processes.Process) -> bool:
    return process.name.startswith("lefthook")


def _common_dir(git_dir: Path) -> Path:
    """What all work trees share; a linked one's git dir says in a file of its own where that is."""
    try:
        named = (git_dir / "commondir").read_text().strip()
    except OSError:
        return git_dir
    return Path(os.path.normpath(git_dir / named))
