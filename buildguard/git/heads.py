"""HEAD read as files, without a git process: for those who look several times a second."""

from pathlib import Path

from buildguard.git import private
from buildguard.git.process import utf8

_MOST_LINKS = 5
_MOST_PACKED_BYTES = 32 << 20


def head_and_branch(git_dir: Path, common_dir: Path) -> tuple[str, str]:
    """The commit and, unless HEAD is detached, the branch's full name; both empty where that cannot be told."""
    said, branch = _ref(git_dir, "HEAD"), ""
    for _ in range(_MOST_LINKS):
        if not said.startswith("ref:"):
            is_id = len(said) in (40, 64) and not said.strip("0123456789abcdef")
            return (said, branch) if is_id else ("", "")
        branch = said.removeprefix("ref:").strip(" \t")
        if not branch.startswith("refs/") or ".." in branch:
            break
        said = _ref(common_dir, branch)
    return "", ""


def _ref(folder: Path, name: str) -> str:
    """What git wrote for that ref, or an empty string."""
    try:
        return private.read(folder / utf8(name))[0].rstrip(" \t\n")
    except OSError:
        pass
    try:
        packed = private.read(folder / "packed-refs", _MOST_PACKED_BYTES)[0]
    except OSError:
        return ""
    end = packed.find(f" {name}\n")
    return packed[packed.rfind("\n", 0, end) + 1 : end] if end >= 0 else ""
