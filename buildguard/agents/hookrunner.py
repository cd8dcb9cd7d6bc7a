"""Which hook runner stands between git and us, and whether it hides unstaged edits while we run."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from buildguard.agents.processes import Process, ancestors, plain_name

_PRIVATE_MARKS = (".install_state_v2", ".install_state_v1", ".prek-hook.json")
"""What pre-commit and prek leave in an environment that they made; the names of the folders prove nothing."""


def hiding(environment: Mapping[str, str], git_dir: Path) -> str | None:
    """The hook runner that hides unstaged edits right now: a process above us whose patch is not older than itself.
    None without one; costs a walk up the process tree, so only a failing hook asks. Never raises."""
    for process in ancestors():
        for runner, folder, pattern in _kept(process, environment, git_dir):
            with suppress(OSError):
                # Pids come again, and patches stay: an older one was made by another process.
                if any(process.began <= patch.stat().st_mtime for patch in folder.glob(pattern)):
                    return runner
    return None


def private_prefix(prefix: str) -> str | None:
    """The virtual environment that a hook framework made for us alone, if that is where we run: what the check
    needs is in the user's, not in this."""
    folder = Path(prefix)
    return prefix if any((folder / mark).exists() for mark in _PRIVATE_MARKS) else None


def _kept(process: Process, environment: Mapping[str, str], git_dir: Path) -> Iterator[tuple[str, Path, str]]:
    """Where that process keeps what it hides, if it is a runner: its name, the folder, a pattern for the patch."""
    cache = Path(environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME") or os.sep) / ".cache")
    yield (
        "pre-commit",
        Path(environment.get("PRE_COMMIT_HOME") or cache / "pre-commit"),
        f"patch[0-9]*-{process.pid}",
    )
    yield "prek", Path(environment.get("PREK_HOME") or cache / "prek") / "patches", f"[0-9]*-{process.pid}.patch"
    # Not above: a passing hook only asks for `private_prefix`.
    from buildguard.agents.ancestry import names

    # The others' patches bear no pid, and stay when their maker is killed: without it above us they hide nothing.
    called = [plain_name(word) for word in names(process)]
    common = git_dir.parents[1] if (git_dir / "commondir").exists() else git_dir
    if any(name.startswith("lefthook") for name in called):
        yield "lefthook", common / "info", f"lefthook-unstaged.{git_dir.name}.patch"
        yield "lefthook", common / "info", "lefthook-unstaged.patch"
    if "hk" in called:
        yield "hk", common / "refs" / "hk" / "stash", "*"
        yield "hk", common / "refs", "stash"  # before version 2.8.1
    if "lint-staged" in called:
        yield "lint-staged", git_dir, "lint-staged_unstaged.patch"
        yield "lint-staged", git_dir, "lint-staged/*/unstaged.patch"  # since version 17
