"""Where a demo runs, and what it leaves there."""

import os
import re
import shlex
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from testing.support import BUILDGUARD, Done, ended, environment


@dataclass
class Place:
    """`work` is where the demo is called, `temporary` where it may put what it needs."""

    work: Path
    temporary: Path
    home: Path
    bytecode: Path

    def env(self, **more: str) -> dict[str, str]:
        # A demo is a dozen interpreters: to compile everything in each would take most of its 15 seconds.
        return environment(self.home, TMPDIR=str(self.temporary), PYTHONPYCACHEPREFIX=str(self.bytecode), **more)

    def start(self, *argv: str, **more: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            argv or (BUILDGUARD, "demo"),
            cwd=self.work,
            env=self.env(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *argv: str, **more: str) -> Done:
        return ended(self.start(*argv, **more))

    @property
    def processes(self) -> list[psutil.Process]:
        """What the demo has started and still runs."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("TMPDIR", "").startswith(str(self.temporary)):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    @property
    def left(self) -> list[object]:
        """Whatever of it is left: processes and files."""
        return [*self.processes, *self.temporary.rglob("*")]

    def clear(self) -> None:
        """End what a failed test left."""
        for process in self.processes:
            with suppress(psutil.Error):
                process.kill()


def place_in(folder: Path, bytecode: Path) -> Place:
    """A folder that is no repository, a home without a git identity, and an empty folder for what is temporary."""
    work, temporary, home = folders = [folder / name for name in ("work", "temporary", "home")]
    for one in folders:
        one.mkdir(parents=True)
    return Place(work, temporary, home, bytecode)


def said_by(done: Done, who: str) -> str:
    """The lines of one speaker."""
    return "\n".join(line for line in done.out.splitlines() if re.match(rf"{who} +\|", line))


def wrapped_git(place: Place, script: str) -> str:
    """A PATH on which git is this script; $GIT is the real one."""
    folder = place.work / "programs"
    folder.mkdir()
    git = folder / "git"
    git.write_text(f"#!/bin/sh\nGIT={shlex.quote(shutil.which('git') or '')}\n{script}\n")
    git.chmod(0o755)
    return f"{folder}{os.pathsep}{place.env()['PATH']}"
