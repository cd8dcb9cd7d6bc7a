"""What a check leaves in the work tree is told, with the line that ignores it: once a day."""

import re
import time
from contextlib import suppress

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
    # A pattern has no newline: half of a name would ignore other files.
    one_line = [path for path in proof.written if "\n" not in path][:_MOST_IGNORED]
    patterns = command(["printf", "%s\\n", *map(_pattern, one_line)])
    if one_line and patterns and repository.top:
        file = quoted(str(repository.top / ".gitignore"))
        session.voice.say(f"if the check writes them, ignore them: {patterns} >> {file}")


def _pattern(path: str) -> str:
    """The path as git's ignore files have it, whatever it is made of."""
    escaped = re.sub(r"([\\*?\[])", r"\\\1", path)
    return f"/{escaped[:-1]}\\ " if escaped.endswith(" ") else f"/{escaped}"
