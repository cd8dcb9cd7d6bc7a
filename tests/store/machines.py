"""Registers as on machines of their own."""

import os
import subprocess
from pathlib import Path

from buildguard.store.gitref import GitRef


def git(folder: Path, *words: str) -> str:
    """What git says there; it must succeed."""
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.rstrip("\n")


def git_register(folder: Path, remote: str) -> GitRef:
    """A repository of its own with that remote, made on first use."""
    if not folder.exists():
        folder.mkdir(parents=True)
        git(folder, "init", "-q")
        git(folder, "remote", "add", "origin", remote)
    return GitRef("origin", folder / ".git", dict(os.environ))


def new_hub(folder: Path) -> Path:
    """A bare repository to which everybody may push."""
    git(folder, "init", "-q", "--bare", "hub.git")
    git(folder / "hub.git", "config", "http.receivepack", "true")
    return folder / "hub.git"
