"""Patches in which a hook runner that was killed left unsaved edits of this work tree.

A runner takes unstaged edits out of the work tree while hooks run and keeps them in a patch. Killed, it never
brings them back. Its patches of all repositories lie in one folder, and stay there when all went well: which of
them matters is told by their content and by when their files were last written.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from buildguard.agents import hookrunner as frameworks
from buildguard.agents import processes
from buildguard.git.repository import GitFault, Repository
from buildguard.setup import bystanders
from buildguard.setup.findings import Finding, Weight
from buildguard.ui import phrases as words

_LOOKED_AT = 100
"""How many patches of each runner are looked at, the newest first."""
_RESET_WITHIN = 5.0
"""Seconds between a patch and the moment at which its runner has put the files back to what is staged."""
_RECENT = 24 * 3600.0
"""Seconds for which a patch counts that would apply, but was perhaps never taken from this work tree."""
_BLOBS = re.compile(rb"^index ([0-9a-f]{7,64})\.\.([0-9a-f]{7,64})", re.MULTILINE)
_MOST_BLOBS = 20


@dataclass(frozen=True, slots=True)
class _Patch:
    framework: str
    path: Path
    options: tuple[str, ...]
    made: float
    blobs: Sequence[tuple[str, str]]


def findings(repository: Repository, environment: Mapping[str, str]) -> Iterator[Finding]:
    """The patches of dead runners whose edits are nowhere in this work tree."""
    if repository.top is None:
        return
    for patch in _orphaned(repository, repository.top, environment):
        finding = _examined(repository, repository.top, patch)
        if finding is not None:
            yield finding


def _orphaned(repository: Repository, top: Path, environment: Mapping[str, str]) -> Iterator[_Patch]:
    for framework, folder in frameworks.folders(environment):
        dated = [(_modified(path), path, pid) for path, pid in frameworks.patches(folder)]
        for made, path, pid in sorted(dated, reverse=True)[:_LOOKED_AT]:
            if made is not None and not _lives(pid, made):
                yield _Patch(framework, path, (), made, _blobs(path))
    left = [(path, _modified(path)) for path in frameworks.lefthook_patches(repository.git_dir)]
    for path, made in left:
        # lefthook's patch bears no pid. Asked only where there is one: it costs a look at every process.
        if made is not None and not bystanders.running("lefthook", [top.resolve()]):
            yield _Patch("lefthook", path, ("--unidiff-zero",), made, _blobs(path))


def _examined(repository: Repository, top: Path, patch: _Patch) -> Finding | None:
    ours = _put_back(repository, top, patch)
    applies = _applies(repository, patch)
    if not patch.blobs or not (ours or applies) or not _is_of(repository, patch):
        return None
    if _saved(repository, patch) or (not applies and _applies(repository, patch, "--reverse")):
        return None
    command = words.command(["git", "-C", str(top), "apply", *patch.options, str(patch.path)])
    at = words.clock(patch.made, time.time())
    what = f"{patch.framework} was killed at {at} and left unsaved edits in {patch.path}"
    if ours and applies:
        return Finding("lost edits", what, command)
    if ours:
        show = words.command(["git", "-C", str(top), "apply", "--stat", str(patch.path)])
        return Finding(
            "lost edits", f"{what}; they do not apply as they are (git apply --check)", show, Weight.NOTE
        )
    if time.time() - patch.made > _RECENT:
        return None
    what = f"{patch.path}, which {patch.framework} made at {at}, holds edits that are not here and would apply"
    return Finding("lost edits", what, command, Weight.NOTE)


def _lives(pid: int, made: float) -> bool:
    """Whether the runner that made the patch still runs; a later process may have its number."""
    token = processes.token_of(pid)
    # A zombie has a token, but brings nothing back any more.
    return token is not None and not processes.known_dead(token) and processes.began_before(pid, made)


def _put_back(repository: Repository, top: Path, patch: _Patch) -> bool:
    """Whether a file of the patch was last written when the patch was made: put back, and never touched since."""
    try:
        listed = repository.git("apply", "--numstat", "-z", str(patch.path))
    except GitFault:
        return False
    names = [entry.split("\t", 2)[2] for entry in listed.split("\0") if entry.count("\t") >= 2]
    dates = [_modified(top / name) for name in names]
    return any(date is not None and -1.0 <= date - patch.made <= _RESET_WITHIN for date in dates)


def _applies(repository: Repository, patch: _Patch, *options: str) -> bool:
    try:
        repository.git("apply", "--check", *patch.options, *options, str(patch.path))
    except GitFault:
        return False
    return True


def _is_of(repository: Repository, patch: _Patch) -> bool:
    """Whether this repository knows the files as they were before the edits."""
    return all(_knows(repository, before) for before, _ in patch.blobs)


def _saved(repository: Repository, patch: _Patch) -> bool:
    """Whether the edited files have been added or committed since. lefthook makes a stash of them, too: there that
    they are known proves nothing."""
    return patch.framework != "lefthook" and all(_knows(repository, after) for _, after in patch.blobs)


def _knows(repository: Repository, blob: str) -> bool:
    if not blob.strip("0"):
        return True
    try:
        repository.git("cat-file", "-e", blob)
    except GitFault:
        return False
    return True


def _blobs(path: Path) -> list[tuple[str, str]]:
    try:
        found = _BLOBS.findall(path.read_bytes())
    except OSError:
        return []
    return [(before.decode(), after.decode()) for before, after in found[:_MOST_BLOBS]]


def _modified(path: Path) -> float | None:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return None
