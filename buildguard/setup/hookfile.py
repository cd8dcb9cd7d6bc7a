"""One hook file: put in place before the hook that was there, known again, and taken away without a trace."""

import hashlib
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import NamedTuple

from buildguard.errors import GitFault
from buildguard.text import command

PLAIN = (Path(__file__).parent / "entries" / "hook").read_bytes()
"""The same as `hooks/pre-commit`: the shim to be copied by hand."""
_CALL = b"command -v buildguard >/dev/null 2>&1 && exec buildguard hook\n"
_MARK = b"# Put here by `buildguard install`; `buildguard uninstall` restores what was here before. Sum: "
_KEPT = ".before-buildguard"
_CHAIN = f'[ ! -x "$0{_KEPT}" ] || "$0{_KEPT}" "$@" || exit $?\n'.encode()


class HookChange(NamedTuple):
    """What became of one thing, as a line. `left_alone` is the command that shows what was not touched."""

    line: str
    new: bool = False
    left_alone: str | None = None


class Refusal(GitFault):
    """Nothing was changed, and why."""


def installed(python: str | None) -> bytes:
    """The shim as `install` writes it. It runs the hook that was there before first, with the same arguments and
    standard input, and ends where that one fails. `python` is the interpreter to fall back to where `buildguard`
    is not on PATH, as in a GUI client; None leaves that out."""
    fallback = b""
    if python:
        # Asked first whether it still has buildguard: an environment that was deleted or emptied must not look like
        # a failed check. -P: the repository that is committed to may itself hold a folder named buildguard.
        quoted = f"{shlex.quote(python)} -P".encode("utf-8", "surrogateescape")
        fallback = b"%b -c 'import buildguard' 2>/dev/null && exec %b -m buildguard hook\n" % (quoted, quoted)
    return _sealed(PLAIN.replace(_CALL, _CHAIN + _CALL + fallback))


def kept(hook: Path) -> Path:
    """Where the hook that was there before is kept: beside ours, for it may look for its neighbours."""
    return hook.with_name(f"{hook.name}{_KEPT}")


def content(hook: Path) -> bytes:
    """What the file says; nothing where it cannot be read."""
    try:
        return hook.read_bytes()
    except OSError:
        return b""


def calls_us(hook: Path) -> bool:
    """Whether the file has a command of buildguard's in it."""
    return re.search(rb"^[^#\n]*\bbuildguard\s+(?:hook|run)\b", content(hook), re.MULTILINE) is not None


def is_ours(hook: Path) -> bool:
    """Whether this is the shim, installed or copied, and nobody changed it."""
    return _is_installed(content(hook)) or content(hook) == PLAIN


def put(hook: Path, python: str | None) -> HookChange:
    """Install the hook. A hook that is there is kept and run first. Raises `Refusal` and OSError, and then nothing
    has changed."""
    there, wanted, before = _own(hook), installed(python), kept(hook)
    ours, runs = _is_installed(there), os.access(hook, os.X_OK)
    # Chained to another hook that calls us, ours would run the check a second time.
    if runs and (there == wanted or (not ours and calls_us(hook))):
        return HookChange(f"the hook that is there calls buildguard already: {hook}")
    if not ours and os.path.lexists(before):
        raise Refusal(f"{hook} cannot be kept as {before}", command(["ls", "-ld", str(before), str(hook)]))
    try:
        if not ours and os.path.lexists(hook):
            # A copy: if it was moved, commits would pass unchecked until ours is there.
            shutil.copy2(hook, before, follow_symlinks=False)
        write(hook, wanted, 0o777)
    except OSError:
        if not ours:
            before.unlink(missing_ok=True)
        raise
    first = f"; the one that was there runs first, from {before}" if os.path.lexists(before) else ""
    return HookChange(f"installed the hook: {hook}{first}", new=True)


def restore(hook: Path) -> HookChange | None:
    """Take our hook away and put back what it replaced. None where there is nothing of ours. Raises OSError."""
    there, before = _own(hook), kept(hook)
    if _MARK not in there:
        return None
    if not _is_installed(there):
        show = command(["cat", str(hook)])
        return HookChange(f"left alone: {hook} was edited after buildguard installed it", left_alone=show)
    if not os.path.lexists(before):
        hook.unlink()
        return HookChange(f"removed the hook: {hook}", new=True)
    before.replace(hook)
    return HookChange(f"restored the hook that was there before: {hook}", new=True)


def write(path: Path, body: bytes, mode: int) -> None:
    """Write the file at once: nobody must ever read half of it. Raises OSError, and then nothing has changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(body)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _own(hook: Path) -> bytes:
    """Its content; nothing of a link, which is somebody else's, whatever it leads to."""
    return b"" if hook.is_symlink() else content(hook)


def _sealed(body: bytes) -> bytes:
    """The body with a sum of itself, so that an edit shows."""
    first, _, rest = body.partition(b"\n")
    return b"\n".join((first, _MARK + hashlib.sha256(body).hexdigest()[:16].encode(), rest))


def _is_installed(body: bytes) -> bool:
    """Whether this is exactly what some version of `install` wrote, by whichever interpreter."""
    return body == _sealed(re.sub(re.escape(_MARK) + b".*\n", b"", body, count=1))
