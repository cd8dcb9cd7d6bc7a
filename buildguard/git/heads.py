"""HEAD read as files, without a git process: for those who look several times a second."""

from pathlib import Path

from buildguard.git import private
from buildguard.git.process import utf8

_MOST_LINKS = 5
_MOST_PACKED_BYTES = 32 << 20
_OF_THE_WORK_TREE = ("refs/bisect/", "refs/worktree/", "refs/rewritten/")


def head_of(git_dir: Path, common_dir: Path) -> str:
    """The commit that HEAD of that work tree names; empty where that cannot be told: before the first commit, or
    where refs are not kept as files."""
    return head_and_branch(git_dir, common_dir)[0]


def head_and_branch(git_dir: Path, common_dir: Path) -> tuple[str, str]:
    """The commit and, unless HEAD is detached, the branch's full name; both empty where that cannot be told."""
    name, folder, branch = "HEAD", git_dir, ""
    for _ in range(_MOST_LINKS):
        said = _ref(folder, name)
        if not said.startswith("ref:"):
            return (said, branch) if _is_id(said) else ("", "")
        name = branch = said.removeprefix("ref:").strip(" \t")
        if not name.startswith("refs/") or ".." in name:
            break
        folder = git_dir if name.startswith(_OF_THE_WORK_TREE) else common_dir
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


def _is_id(text: str) -> bool:
    return len(text) in (40, 64) and all(char in "0123456789abcdef" for char in text)
