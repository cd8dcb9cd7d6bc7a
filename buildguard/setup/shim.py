"""The text of the hook that `buildguard install` writes: a POSIX shell shim, and how it is known again."""

import hashlib
import shlex

_HEAD = """\
#!/bin/sh
# buildguard's hook: works when copied into the hooks folder and as core.hooksPath.
# The check comes from BUILDGUARD_CHECK or the settings file; README.md tells how.
"""
_CALL = """\
command -v buildguard >/dev/null 2>&1 && exec buildguard hook
[ "$BUILDGUARD" = 0 ] && exit 0
"""
_COMPLAINT = """\
echo "buildguard: error: the command buildguard is not on PATH, so the check cannot run" >&2
echo "next: BUILDGUARD=0 git commit" >&2
exit 1
"""

PLAIN = _HEAD + _CALL + _COMPLAINT
"""`hooks/pre-commit`, the shim for whoever copies it by hand."""

KEPT_SUFFIX = ".before-buildguard"
"""What the name of a hook that was there before ends with while ours is in its place."""

_MARK = "# Put here by `buildguard install`; `buildguard uninstall` restores what was here before. Sum: "
_CHAIN = f"""\
kept="$0{KEPT_SUFFIX}"
[ ! -x "$kept" ] || "$kept" "$@" || exit $?
"""


def installed(python: str | None) -> bytes:
    """The shim as `install` writes it. It runs the hook that was there before first, with the same arguments and
    standard input, and ends where that one fails. `python` is the interpreter to fall back to where `buildguard`
    is not on PATH, as in a GUI client; None leaves that out."""
    text = _HEAD + _CHAIN + _CALL + (_fallback(python) if python else "") + _COMPLAINT
    content = text.encode("utf-8", "surrogateescape")
    first, rest = content.split(b"\n", 1)
    return b"\n".join((first, f"{_MARK}{_sum(content)}".encode(), rest))


def config_command(python: str | None) -> str:
    """What `hook.buildguard.command` says: the same, for git's own shell."""
    if not python:
        return "buildguard hook #"
    # git appends "$@" for events with arguments (pre-push): they are no check of ours, so a comment takes them.
    return f"command -v buildguard >/dev/null 2>&1 || {_by_python(python)}; exec buildguard hook #"


def is_config_command(command: str) -> bool:
    """Whether a configuration hook's command is one that `install` wrote, by whichever interpreter."""
    before, separator, rest = command.partition(" -P -m buildguard hook; ")
    begins = before.startswith("command -v buildguard >/dev/null 2>&1 || exec ")
    return command == config_command(None) or (bool(separator) and begins and rest == "exec buildguard hook #")


def is_installed(content: bytes) -> bool:
    """Whether this is exactly what some version of `install` wrote, by whichever interpreter."""
    mark = _mark_in(content)
    return mark is not None and mark == _MARK.encode() + _sum(content.replace(mark + b"\n", b"", 1)).encode()


def is_edited(content: bytes) -> bool:
    """Whether `install` wrote this and somebody edited it afterwards."""
    return _mark_in(content) is not None and not is_installed(content)


def _mark_in(content: bytes) -> bytes | None:
    return next((line for line in content.split(b"\n") if line.startswith(_MARK.encode())), None)


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _fallback(python: str) -> str:
    # Asked first whether it still has buildguard: an environment that was deleted or emptied must not look like a
    # failed check, without a word of what to do.
    quoted = shlex.quote(python)
    return f"{quoted} -P -c 'import buildguard' 2>/dev/null && {_by_python(python)}\n"


def _by_python(python: str) -> str:
    # -P: the repository that is committed to may itself hold a folder named buildguard.
    return f"exec {shlex.quote(python)} -P -m buildguard hook"
