"""One hook file: put in place before the hook that was there, known again, and taken away without a trace."""

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from buildguard.text import command

PLAIN = (Path(__file__).parent / "entries" / "hook").read_bytes()
"""The same as `hooks/pre-commit`: the shim to be copied by hand."""
_CALL = b"command -v buildguard >/dev/null 2>&1 && exec buildguard hook\n"
_MARK = b"# Put here by `buildguard install`; `buildguard uninstall` restores what was here before. Sum: "
_KEPT = ".before-buildguard"
# Not after its own name: another tool may have renamed it since.
_CHAIN = f"""\
kept="${{0%/*}}"; kept="${{kept%/}}{_KEPT}/pre-commit"
[ ! -x "$kept" ] || "$kept" "$@" || exit $?
""".encode()


class HookChange(NamedTuple):
    """What became of one thing, as a line. `left_alone` is the command that shows what was not touched."""

    line: str
    new: bool = False
    left_alone: str | None = None


class Refusal(Exception):
    """Nothing was changed, and why. `next_command` is what to do."""

    def __init__(self, message: str, next_command: str | None) -> None:
        super().__init__(message)
        self.next_command = next_command


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
    """Where the hook that was there before is kept: under its own name, for it may tell by that which hook it is,
    and as deep, for it may look for files near it."""
    return Path(f"{hook.parent}{_KEPT}", hook.name)


def content(hook: Path) -> bytes:
    """What the file says; nothing where it cannot be read."""
    try:
        return hook.read_bytes()
    except OSError:
        return b""


def calls_us(hook: Path) -> bool:
    """Whether the file has a command of buildguard's in it, in whichever language; a comment is none."""
    called = rb"""^[^#\n]*\bbuildguard["'),\s]+(?:hook|run)\b"""
    return re.search(called, content(hook), re.MULTILINE) is not None


def is_ours(hook: Path) -> bool:
    """Whether this is the shim, installed or copied, and nobody changed it."""
    return _is_installed(content(hook)) or content(hook) == PLAIN


def put(hook: Path, python: str | None) -> HookChange:
    """Install the hook. A hook that is there is kept and run first. Raises `Refusal` and OSError, and then nothing
    has changed."""
    there, wanted, before = _own(hook), installed(python), kept(hook)
    ours = _is_installed(there)
    if there == wanted and os.access(hook, os.X_OK):
        return HookChange(f"the hook is installed already: {hook}")
    if not ours and os.access(hook, os.X_OK) and calls_us(hook):
        # Chained to it, ours would run the check a second time.
        return HookChange(f"the hook that is there calls buildguard already: {hook}")
    if not ours and (os.path.lexists(before) or (hook.parent / ".git").exists()):
        raise Refusal(f"{hook} cannot be kept as {before}", command(["ls", "-ld", str(before), str(hook)]))
    try:
        if not ours and os.path.lexists(hook):
            _keep(hook, before)
        with draft(hook, wanted, 0o777) as new:
            # As open as the folder, whatever the umask: others of a group have to run it, too.
            new.chmod(0o700 | hook.parent.stat().st_mode & 0o055)
            new.replace(hook)
    except OSError:
        if not ours:
            before.unlink(missing_ok=True)
            _drop_links(hook)
        raise
    first = f"; the one that was there runs first, from {before}" if os.path.lexists(before) else ""
    return HookChange(f"installed the hook: {hook}{first}", new=True)


def restore(hook: Path) -> HookChange | None:
    """Take our hook away and put back what it replaced. None where there is nothing of ours. Raises OSError."""
    there, before = _own(hook), kept(hook)
    if there == PLAIN:
        remove = command(["rm", str(hook)])
        return HookChange(f"left alone: {hook} was not installed but copied by hand", left_alone=remove)
    if _MARK in there and not _is_installed(there):
        show = command(["cat", str(hook)])
        return HookChange(f"left alone: {hook} was edited after buildguard installed it", left_alone=show)
    if _MARK not in there:
        listed = command(["ls", "-l", str(before)])
        line = f"left alone: {before} was kept for a hook of ours that is gone"
        return HookChange(line, left_alone=listed) if os.path.lexists(before) else None
    if not os.path.lexists(before):
        hook.unlink()
        return HookChange(f"removed the hook: {hook}", new=True)
    before.replace(hook)
    _drop_links(hook)
    return HookChange(f"restored the hook that was there before: {hook}", new=True)


@contextmanager
def draft(path: Path, body: bytes, mode: int) -> Iterator[Path]:
    """A file beside `path` that is to be renamed to it: nobody must ever read half of it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(body)
        yield new
    finally:
        new.unlink(missing_ok=True)


def _keep(hook: Path, before: Path) -> None:
    """Copy the hook that is there to where it is kept, among links to its neighbours. A copy: if it was moved,
    commits would pass unchecked until ours is there."""
    before.parent.mkdir(exist_ok=True)
    # Others of the group may have to take it out again.
    before.parent.chmod(hook.parent.stat().st_mode & 0o7777)
    for path in hook.parent.iterdir():
        if path != hook and not os.path.lexists(before.with_name(path.name)):
            before.with_name(path.name).symlink_to(f"../{hook.parent.name}/{path.name}")
    shutil.copy2(hook, before, follow_symlinks=False)


def _drop_links(hook: Path) -> None:
    """Remove our links beside the kept hook, and the folder, unless somebody has put something else into it."""
    folder = kept(hook).parent
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_symlink() and str(path.readlink()) == f"../{hook.parent.name}/{path.name}":
            path.unlink()
    with suppress(OSError):
        folder.rmdir()


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
