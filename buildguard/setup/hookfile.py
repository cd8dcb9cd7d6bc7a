"""One hook file: put there beside the hook that it follows, known again, and taken away without a trace."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from buildguard.setup import shim
from buildguard.ui import phrases as words

_CALLS_US = re.compile(rb"^[^#\n]*\bbuildguard\s+(?:hook|run)\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one thing, as a line. `left_alone` is the command that shows what was not touched."""

    line: str
    new: bool = False
    left_alone: str | None = None


class Refusal(Exception):
    """Nothing was changed, and why. `more` are further lines, `next_command` what to do."""

    def __init__(self, message: str, next_command: str | None, more: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.next_command = next_command
        self.more = tuple(more)


def kept(hook: Path) -> Path:
    """Where the hook that was there before is kept. Beside ours: it may look for its own files there."""
    return hook.with_name(hook.name + shim.KEPT_SUFFIX)


def calls_us(hook: Path) -> bool:
    """Whether the file has a command of buildguard's in it."""
    return _CALLS_US.search(_read(hook)) is not None


def is_ours(hook: Path) -> bool:
    """Whether `install` wrote this file, and nobody changed it."""
    content = _content(hook)
    return content is not None and shim.is_installed(content)


def put(hook: Path, python: str | None) -> Change:
    """Install the hook. A hook that is there is kept beside it and run first. Raises `Refusal` and OSError."""
    content, wanted = _content(hook), shim.installed(python)
    if content is not None and shim.is_installed(content):
        if content == wanted and os.access(hook, os.X_OK):
            return Change(f"the hook is installed already: {hook}")
        _write(hook, wanted)
        return Change(f"installed the hook anew: {hook}", new=True)
    if content is not None and shim.is_edited(content):
        line = f"{hook} was installed by buildguard and edited since"
        raise Refusal(line, words.command(["cat", str(hook)]), ("to have it written anew, move it away first",))
    if os.access(hook, os.X_OK) and calls_us(hook):
        # Chained to it, ours would run the check a second time.
        return Change(f"the hook that is there calls buildguard already: {hook}")
    _keep(hook)
    try:
        _write(hook, wanted)
    except OSError:
        _undo_keep(hook)
        raise
    if os.path.lexists(kept(hook)):
        line = f"installed the hook: {hook}; the one that was there is kept as {kept(hook).name} and runs first"
        return Change(line, new=True)
    return Change(f"installed the hook: {hook}", new=True)


def restore(hook: Path) -> Change | None:
    """Take our hook away and put back what it replaced. None where there is nothing of ours. Raises OSError."""
    content, before = _content(hook), kept(hook)
    show = words.command(["cat", str(hook)])
    if content is not None and shim.is_edited(content):
        return Change(f"left alone: {hook} was edited after buildguard installed it", left_alone=show)
    if content == shim.PLAIN.encode():
        remove = words.command(["rm", str(hook)])
        return Change(f"left alone: {hook} was not installed but copied by hand", left_alone=remove)
    if content is None or not shim.is_installed(content):
        if not os.path.lexists(before):
            return None
        listed = words.command(["ls", "-l", str(hook), str(before)])
        return Change(f"left alone: {before} was kept for a hook of ours that is gone", left_alone=listed)
    if os.path.lexists(before):
        before.replace(hook)
        return Change(f"restored the hook that was there before: {hook}", new=True)
    hook.unlink()
    return Change(f"removed the hook: {hook}", new=True)


def _keep(hook: Path) -> None:
    """Keep the hook that is there, if one is, under its other name."""
    before = kept(hook)
    if os.path.lexists(before):
        show = words.command(["ls", "-l", str(hook), str(before)])
        raise Refusal(f"{before} is there already, from an earlier installation", show)
    if hook.is_dir():
        raise Refusal(f"{hook} is a folder", words.command(["ls", "-la", str(hook)]))
    if not os.path.lexists(hook):
        return
    try:
        # A second name, not a move: between a move and the new hook a commit would pass unchecked.
        os.link(hook, before, follow_symlinks=False)
    except (OSError, NotImplementedError):
        hook.rename(before)


def _undo_keep(hook: Path) -> None:
    if os.path.lexists(hook):
        kept(hook).unlink(missing_ok=True)
    elif os.path.lexists(kept(hook)):
        kept(hook).rename(hook)


def _write(hook: Path, content: bytes) -> None:
    """Put the file there as a whole: git must never run half a hook."""
    hook.parent.mkdir(parents=True, exist_ok=True)
    draft = hook.with_name(f"{hook.name}.{os.getpid()}.new")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o777), "wb") as file:
            file.write(content)
        draft.replace(hook)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()


def _content(hook: Path) -> bytes | None:
    """What the file says; None where there is none. A link is somebody else's, whatever it leads to."""
    return _read(hook) if hook.is_file() and not hook.is_symlink() else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
