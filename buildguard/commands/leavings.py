"""What a check leaves in the work tree is told, with the line that ignores it: once a day."""

import os
import re
import time
from contextlib import suppress
from pathlib import Path

from buildguard.claims.model import Proof
from buildguard.git import private
from buildguard.git.repository import Repository
from buildguard.session import Session
from buildguard.text import command, quoted, some

_TOLD = "told-of-leavings"
"""Its time says when that was told last."""
_DAY = 24 * 3600.0
_MOST_IGNORED = 10
"""How many paths the line ignores; of more than that, whole folders may be meant."""


def tell(session: Session, repository: Repository, proof: Proof) -> None:
    """Say which untracked files changed while the check ran. Raises nothing of the file system's."""
    path = repository.git_dir / "buildguard" / _TOLD
    with suppress(OSError):
        if 0 <= time.time() - path.lstat().st_mtime < _DAY:
            return
    try:
        private.folder(repository.git_dir)
        private.write(path, b"")
    except OSError:
        # What cannot be remembered would be said at every commit.
        return
    session.voice.say(f"untracked files changed during {proof.check}: {some(proof.written)}")
    # A pattern has no newline, and loses a CR at its end: half of a name would ignore other files.
    one_line = [path for path in proof.written if not {"\n", "\r"} & {*path}][:_MOST_IGNORED]
    file = (repository.top or repository.git_dir) / ".gitignore"
    patterns = command(["printf", "%s\\n", *_its_end(file), *dict.fromkeys(map(_pattern, one_line))])
    if one_line and patterns:
        session.voice.say(f"if the check writes them, ignore them: {patterns} >> {quoted(str(file))}")


def _its_end(file: Path) -> list[str]:
    """An empty line, where the last one of that file has no end."""
    try:
        # Without a writer a pipe would keep us from even opening it.
        with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as old:
            old.seek(-1, os.SEEK_END)
            return [] if old.read(1) == b"\n" else [""]
    except OSError:  # there is none, or nothing in it
        return []


def _pattern(path: str) -> str:
    """The path as git's ignore files have it, whatever it is made of."""
    if "__pycache__" in path.split("/"):
        return "__pycache__/"
    escaped = re.sub(r"([\\*?\[])", r"\\\1", path)
    return f"/{escaped[:-1]}\\ " if escaped.endswith(" ") else f"/{escaped}"
