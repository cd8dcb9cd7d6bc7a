"""`buildguard cherry-pick`: bring a fix in, among agents that share this work tree.

As git's own it makes one commit and runs no check. But it waits for the index lock instead of failing on it,
commits nothing that others have staged, and what does not go in cleanly changes nothing.
"""

import tempfile
import time
from collections.abc import Sequence

from buildguard import git, gitlock, words
from buildguard.call import Call
from buildguard.exits import Exit
from buildguard.git import GitFault, Repository
from buildguard.reports import Report
from buildguard.settings import SettingsError

UNDER_WAY = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")
"""What stands in a git dir while git commits no single paths."""


def cherry_pick(call: Call, name: str, timeout: float) -> Report:
    """Make that commit's change a commit of this branch, waiting at most `timeout` seconds for other git commands
    of this work tree. Raises `SettingsError` for a name that is no commit."""
    repository = call.required_repository()
    commit = _resolved(repository, name)
    deadline = time.monotonic() + timeout
    while True:
        gitlock.await_free(call, repository, deadline)
        head = repository.where()[0]
        try:
            with gitlock.alone(repository):
                return _pick(repository._replace(head=head), commit)
        except GitFault as error:
            locked, moved = gitlock.is_about(error), head != repository.where()[0]
            lines = (f"not picked: {error}", "make its change by hand, and commit")
        if (locked or moved) and time.monotonic() < deadline:
            continue
        if locked:
            line = "not picked: another git command still holds this work tree's index lock"
            return Report("busy", Exit.BUSY, (line,), f"buildguard cherry-pick {commit[:12]}")
        return Report("failed", Exit.FAILED, lines, f"git show {commit[:12]}")


def _resolved(repository: Repository, name: str) -> str:
    try:
        return repository.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except GitFault:
        raise SettingsError(f"there is no commit {name!r} here", "git log --oneline --all -10") from None


def _pick(repository: Repository, commit: str) -> Report:
    """One try. Raises `GitFault` where git would not have it."""
    for name in UNDER_WAY:
        if (repository.git_dir / name).exists():
            raise GitFault(f"git is in the middle of something else here ({name}), which comes first")
    short = commit[:12]
    wanted = _with_it(repository, commit)
    paths = _changed(repository, wanted)
    if not paths:
        return Report("picked", Exit.OK, (f"already here: this branch has what {short} changes; commit again",))
    if not _holds(repository, wanted, paths):
        if not _holds(repository, repository.head, paths):
            raise GitFault(f"somebody is changing {words.some(paths)} here, which {short} changes too")
        change = repository.patch(repository.head, wanted)
        repository.git("apply", "--index", "--whitespace=nowarn", "-", stdin=change)
    _commit(repository, commit, paths)
    made = repository.where()[0][:12]
    return Report("picked", Exit.OK, (f"picked: {short} is {made} on this branch; commit again",))


def _with_it(repository: Repository, commit: str) -> str:
    """The tree of HEAD with the commit's change, merged where its lines have moved. Touches nothing."""
    change = repository.patch(f"{commit}^", commit)
    with repository.index_of(repository.head) as scratch:
        try:
            if change:
                repository.git("apply", "--cached", "--3way", "-", stdin=change, GIT_INDEX_FILE=scratch)
            return repository.git("write-tree", GIT_INDEX_FILE=scratch)
        except GitFault:
            raise GitFault(f"{commit[:12]} does not go in cleanly here; nothing was changed") from None


def _changed(repository: Repository, wanted: str) -> Sequence[str]:
    listed = repository.git("diff-tree", "-r", "-z", "--name-only", "--no-renames", repository.head, wanted)
    return [path for path in listed.split("\0") if path]


def _holds(repository: Repository, tree: str, paths: Sequence[str]) -> bool:
    """Whether index and work tree have just what that tree has under these paths."""
    staged = repository.git("--literal-pathspecs", "diff", "--cached", "--name-only", tree, "--", *paths)
    edited = repository.git("--literal-pathspecs", "diff", "--name-only", "--", *paths)
    return not staged and not edited


def _commit(repository: Repository, commit: str, paths: Sequence[str]) -> None:
    """Commit these paths and nothing else, with that commit's author and message."""
    with tempfile.NamedTemporaryFile(prefix="buildguard-") as named, tempfile.TemporaryFile() as said:
        named.write("\0".join(paths).encode(errors="surrogateescape"))
        named.flush()
        words = (
            "--quiet",
            "--no-verify",
            "-C",
            commit,
            f"--pathspec-from-file={named.name}",
            "--pathspec-file-nul",
        )
        environment = {**repository.environment, "GIT_LITERAL_PATHSPECS": "1", "LC_ALL": "C"}
        place = repository.top or repository.git_dir
        if git.commit(words, environment, place, said.fileno(), said.fileno()) != 0:
            said.seek(0)
            first = said.readline().decode(errors="replace").strip()
            raise GitFault(f"git commit: {first}; what {commit[:12]} changes is staged")
