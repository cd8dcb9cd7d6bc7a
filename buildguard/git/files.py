"""The files of a run: one tree id for all that git would commit if everything in the checkout were added.

It is the same for the same content, whatever is staged or committed. No lock is taken and no blob is stored.
"""

import os
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from buildguard.claims.model import Content
from buildguard.errors import GitFault
from buildguard.git import index, private
from buildguard.git.index import Index
from buildguard.git.process import utf8
from buildguard.git.repository import Repository

PATIENCE_SECONDS: Final = 1.0
"""How long git may take to list what is edited: the caller may hold the index lock."""
MOST_PATHS: Final = 10_000
MOST_BYTES: Final = 64 << 20
MOST_SUBMODULES: Final = 20
"""Beyond these the files count as not known: git would take too long to read them."""
KEPT_SECONDS: Final = 3600.0
"""How long a tree stays, for a run that began before and has not failed yet."""
_ARGUMENTS = 500
_OPTIONS = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.splitIndex=false"),
    *("-c", "core.safecrlf=false", "-c", "core.untrackedCache=false"),
)
_STATUS = (
    *(*_OPTIONS, "status", "--porcelain=v2", "-z", "--branch", "--no-ahead-behind"),
    *("--untracked-files=all", "--no-renames", "--ignore-submodules=none"),
)
_ADD = ("--add", "--remove", "--replace", "--info-only", "-z", "--stdin")

Mark = tuple[int, int, int]
_HELD = (0, stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR)


class Files(NamedTuple):
    """The files of a checkout at one moment. `tree` is empty where they are not known, and `why` says why not. In
    `staged` paths the commit's index differs from HEAD, in `loose` ones the work tree from that index (also if
    `untracked`, or unmerged). `marks` are time (ns), size and inode of each loose path, `listed` is HEAD and git's
    words about tracked files."""

    tree: str
    why: str = ""
    staged: tuple[str, ...] = ()
    loose: tuple[str, ...] = ()
    untracked: frozenset[str] = frozenset()
    marks: Mapping[str, Mark] = {}
    listed: str = ""


class Watched(NamedTuple):
    """Whether tracked files stayed as they were during a run, and the untracked paths that did not: the check's own
    writing."""

    steady: bool
    written: frozenset[str]


def look(repository: Repository, patience: float = PATIENCE_SECONDS) -> Files:
    """The files as they are now, by one git process if nothing is loose or staged, else up to three; not known if
    git lists nothing within `patience` seconds."""
    before = _mark(index.path(repository))[0]
    files = _listed(repository, patience)
    try:
        return files if files.why else files._replace(tree=_tree(repository, files, before))
    except (GitFault, OSError) as fault:
        return files._replace(why=str(fault))


def tree_without(repository: Repository, files: Files, written: frozenset[str]) -> str:
    """The tree of these files but for untracked paths that the check itself has written; empty if not known."""
    left_out = files.untracked & written
    if not left_out or not files.tree:
        return files.tree
    kept = files._replace(loose=tuple(path for path in files.loose if path not in left_out))
    try:
        return _tree(repository, kept, _mark(index.path(repository))[0])
    except (GitFault, OSError):
        return ""


def hidden(repository: Repository) -> bool:
    """Whether git was told to overlook edits here (assume-unchanged, or skip-worktree of a file that is there): so
    the files are not known, whatever it lists. True where git does not say."""
    top = repository.top or Path()
    try:
        rows = repository.verbatim("ls-files", "-v", "-z").split("\0")
    except GitFault:
        return True
    return any(row[0].islower() or (row[0] == "S" and os.path.lexists(top / utf8(row[2:]))) for row in rows if row)


def watched(repository: Repository, before: Files, patience: float = PATIENCE_SECONDS) -> Watched:
    """Compare the files at the end of a run with those of its beginning. One git process, but where a submodule has
    another commit than the index: git does not say which."""
    if not before.tree:
        return Watched(False, frozenset())
    moved = " SC" in before.listed
    now = look(repository, patience) if moved else _listed(repository, patience)
    if now.why:
        return Watched(False, frozenset())
    differing = {path for path, _ in now.marks.items() ^ before.marks.items()}
    written = frozenset(differing & (now.untracked | before.untracked))
    same = now.listed == before.listed and (not moved or now.tree == before.tree)
    return Watched(same and differing == written, written)


def changed(repository: Repository, failed: str, passed: str) -> tuple[Content, ...] | None:
    """What lies in the one tree and not so in the other, as it `passed`; None where a tree is not here any more."""
    asked = ("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", "--ignore-submodules=none")
    try:
        told = repository.git(*asked, "--end-of-options", failed, passed, **_ours(repository))
    except GitFault:
        return None
    parts = told.split("\0")
    # Each row is `:mode mode id id letter`, of what was and what is.
    rows = ((head.split(" "), path) for head, path in zip(parts[::2], parts[1::2], strict=False))
    return tuple(Content(path, row[1], row[3]) if row[4] != "D" else Content(path, "", "") for row, path in rows)


def has(repository: Repository, tree: str, patch: str, loose: bool) -> bool:
    """Whether the files of a run, or of a commit, have what a patch makes: it can be taken out again. What is
    `loose` lies in the work tree alone."""
    if loose and repository.applies(patch, "--reverse"):
        return True
    try:
        with index.holding(repository, tree, **_ours(repository)) as scratch:
            return repository.applies(patch, "--reverse", "--cached", GIT_INDEX_FILE=scratch)
    except GitFault:
        return False


def not_held(repository: Repository, tree: str, contents: Sequence[Content]) -> tuple[str, ...]:
    """The paths that a commit (or a tree) does not hold as they passed; all of them where git cannot tell."""
    held: set[Content] = set()
    asked = ("--literal-pathspecs", "ls-tree", "-z", "--full-tree", "--", tree)
    try:
        for at in range(0, len(contents), _ARGUMENTS):
            paths = [content.path for content in contents[at : at + _ARGUMENTS]]
            rows = repository.git(*asked, *map(utf8, paths), **_ours(repository)).split("\0")
            there = {path: head.split(" ") for head, _, path in (row.partition("\t") for row in rows)}
            for path in paths:
                mode, kind, blob = there.get(path, ("", "", ""))
                # A folder in the place of a file: that file is gone.
                held.add(Content(path, mode, blob) if kind != "tree" else Content(path, "", ""))
    except GitFault:
        held.clear()
    return tuple(content.path for content in contents if content not in held)


def sweep(repository: Repository, older: float = KEPT_SECONDS) -> None:
    """Delete the trees that are older, in seconds, and copies of an index that a killed process left. Called while
    no breakage is open."""
    before = time.time() - older
    with suppress(OSError):
        trees = private.folder(repository.common_dir, "objects").glob("??/*")
        for left in (*trees, *private.folder(repository.git_dir).glob(f"{index.COPY}*")):
            if not left.parent.is_symlink() and left.lstat().st_mtime <= before:
                left.unlink(missing_ok=True)


def _listed(repository: Repository, patience: float) -> Files:
    """All but the tree, and why that cannot be known if it cannot."""
    if repository.top is None:
        return Files("", "a bare repository has no work tree")
    if _submodules(repository.top) > MOST_SUBMODULES:
        return Files("", f"there are more than {MOST_SUBMODULES} submodules")
    try:
        entries = repository.verbatim(*_STATUS, within=patience).split("\0")
    except GitFault as fault:
        return Files("", str(fault))
    head = next((entry[13:] for entry in entries if entry.startswith("# branch.oid ")), "")
    # What ends in a slash is another repository.
    untracked = [entry[2:] for entry in entries if entry.startswith("? ") and not entry.endswith("/")]
    tracked = [entry for entry in entries if entry.startswith(("1 ", "u "))]
    # The second field says what differs ("XY"), the third which kind of submodule it is ("N..." for none).
    fields = [entry.split(" ", 8 if entry[0] == "1" else 10) for entry in tracked]
    staged = tuple(row[-1] for row in fields if row[0] == "1" and row[1][0] != ".")
    loose = (*(row[-1] for row in fields if row[1][1] != "."), *untracked)
    listed = "\0".join((head, *tracked))
    marks, why = _marks(repository.top, loose)
    edited = [row[-1] for row in fields if row[2][2:] != ".."]
    why = f"the submodule {edited[0]} has edits of its own" if edited else why
    return Files("", why, staged, loose, frozenset(untracked), marks, listed)


def _submodules(top: Path) -> int:
    """How many submodules are checked out: git starts a status in each of them."""
    try:
        lines = private.read(top / ".gitmodules", MOST_BYTES)[0].split("\n")
    except OSError:
        return 0
    pairs = (line.partition("=") for line in lines)
    return sum(_mark(f"{top}/{utf8(path.strip())}/.git")[1] != 0 for key, _, path in pairs if key.strip() == "path")


def _marks(top: Path, loose: Sequence[str]) -> tuple[dict[str, Mark], str]:
    """The marks of these paths; why their content cannot be known, if it cannot."""
    if len(loose) > MOST_PATHS:
        return {}, f"more than {MOST_PATHS} paths are edited or untracked"
    found = {path: _mark(f"{top}/{utf8(path)}") for path in loose}
    if odd := [path for path, (_, kind) in found.items() if kind not in _HELD]:
        why = f"{odd[0]} is no file, link or folder"
    elif sum(mark[1] for mark, kind in found.values() if kind == stat.S_IFREG) > MOST_BYTES:
        why = f"what is edited or untracked is larger than {MOST_BYTES >> 20} MiB"
    else:
        why = ""
    return {path: mark for path, (mark, _) in found.items()}, why


def _mark(path: str | Path) -> tuple[Mark, int]:
    """Time, size and inode of what lies there, and what it is; 0 where nothing does."""
    try:
        found = os.lstat(path)
    except OSError:
        return (0, 0, 0), 0
    return (found.st_mtime_ns, found.st_size, found.st_ino), stat.S_IFMT(found.st_mode)


def _tree(repository: Repository, files: Files, before: Mark) -> str:
    """The tree of these files; `before` is the mark of the index from before they were listed. Raises `GitFault`
    and `OSError`."""
    head = files.listed.partition("\0")[0]
    if not files.staged and not files.loose:
        if head == (repository.head or "(initial)") and repository.tree:
            return repository.tree
        return repository.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{head}^{{tree}}")
    source, place = index.current(repository), index.path(repository)
    if _mark(place)[0] != before:
        raise GitFault("somebody staged something at this very moment")
    if source is None and repository.environment.get("GIT_INDEX_FILE") and repository.has_files:
        raise GitFault("the index of this commit is gone")
    # Git writes trees into a folder of ours, and finds all others where they are.
    ours = private.folder(repository.common_dir, "objects")
    real = repository.environment.get("GIT_OBJECT_DIRECTORY") or repository.common_dir / "objects"
    objects = {"GIT_OBJECT_DIRECTORY": utf8(str(ours)), **private.alternates(repository.environment, str(real))}
    with (source or Index(place, b"")).copy(repository) as copy:
        if files.loose:
            # It stores nothing. Where a folder became a link git refuses to look beyond it: then nothing is known.
            paths = "".join(f"{path}\0" for path in files.loose)
            repository.git(*_OPTIONS, "update-index", *_ADD, stdin=paths, GIT_INDEX_FILE=copy)
        return repository.git("write-tree", "--missing-ok", GIT_INDEX_FILE=copy, **objects)


def _ours(repository: Repository) -> dict[str, str]:
    """What makes git find the trees in our folder, too."""
    return private.alternates(repository.environment, str(repository.common_dir / "buildguard" / "objects"))
