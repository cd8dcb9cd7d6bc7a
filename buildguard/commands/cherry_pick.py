"""`buildguard cherry-pick`: bring fixes in, among agents that share this work tree.

As git's own it makes one commit of each. But it waits for the index lock instead of failing on it, commits nothing
that others have staged, and what does not go in cleanly changes nothing: the commit is made first, as an object
that no branch has, then index and work tree are changed, then the branch moves. No hooks of git commit run, as in
git's own: a fix was checked where it was made, and the next commit is checked here.

While a merge, cherry-pick, revert or rebase is under way, the change is only staged and becomes part of that; in a
rebase that stopped at an edit too, where git would let one commit: its commits are for who rebases to make.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

from buildguard.errors import Exit
from buildguard.git import changes
from buildguard.git import lock as gitlock
from buildguard.git import repository as git
from buildguard.git.changes import Change
from buildguard.git.repository import APPLY, GitFault, Repository
from buildguard.session import Call
from buildguard.settings import SettingsError
from buildguard.ui import phrases as words
from buildguard.ui.reports import Report

UNDER_WAY = {
    "rebase-merge": "rebase",
    "rebase-apply/applying": "git am",
    "rebase-apply": "rebase",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
}
"""What stands in a git dir while git is in the middle of something, and what that is. A rebase first: its own picks
leave the others' marks."""
TAKING_OUT = 10.0
"""Seconds to wait for another git's index lock with a change that could not be committed."""


class Done(NamedTuple):
    """What became of one commit: `picked`, `staged` or `here`, and the line that says so."""

    outcome: str
    line: str


class Original(NamedTuple):
    """Whose commit it is, with the date as git writes it (seconds and zone), and its message."""

    name: str
    mail: str
    date: str
    message: str

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.strip().partition("\n")[0]


def cherry_pick(call: Call, names: Sequence[str], timeout: float) -> Report:
    """Make the change of each of these commits a commit of this branch, in that order, up to the first that does
    not go in. Waits at most `timeout` seconds in all for other git commands of this work tree. Raises
    `SettingsError` for a name that is no commit, before anything is changed."""
    repository = call.required_repository()
    commits = [_resolved(repository, name) for name in names]
    deadline = time.monotonic() + timeout
    done: list[Done] = []
    for commit in commits:
        try:
            done.append(_patiently(call, repository, commit, deadline))
        except GitFault as error:
            return _stopped(error, done, commits)
    outcome = "staged" if any(one.outcome == "staged" for one in done) else "picked"
    lines = [one.line for one in done]
    if outcome == "picked":
        lines[-1] += "; commit again"
    return Report(outcome, Exit.OK, tuple(lines), extra=_sorted(commits, len(commits)))


def _resolved(repository: Repository, name: str) -> str:
    try:
        return repository.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except GitFault:
        raise SettingsError(f"there is no commit {name!r} here", "git log --oneline --all -10") from None


def _stopped(error: GitFault, done: Sequence[Done], commits: Sequence[str]) -> Report:
    """The report that the commit after those that are done did not go in."""
    first, *rest = (commit[:12] for commit in commits[len(done) :])
    lines = [one.line for one in done]
    extra = _sorted(commits, len(done))
    if gitlock.is_about(error):
        lines.append("not picked: another git command still holds this work tree's index lock")
        again = words.command(["buildguard", "cherry-pick", first, *rest])
        return Report("busy", Exit.BUSY, tuple(lines), again, extra=extra)
    lines.append(f"not picked: {error}")
    if rest:
        lines.append(f"not tried: {', '.join(rest)}")
    if error.next_command is None:
        lines.append("make its change by hand, and commit")
    return Report("failed", Exit.FAILED, tuple(lines), error.next_command or f"git show {first}", extra=extra)


def _sorted(commits: Sequence[str], done: int) -> dict[str, Sequence[str]]:
    return {"picked": commits[:done], "not_picked": commits[done:]}


def _patiently(call: Call, repository: Repository, commit: str, deadline: float) -> Done:
    """Try until it is done or cannot be; until `deadline` where another git only was in the way. Raises
    `GitFault`."""
    while True:
        gitlock.await_free(call, repository, deadline)
        head = repository.head
        try:
            with gitlock.alone(repository):
                head = repository.where()[0]
                return _try(call, repository._replace(head=head), commit)
        except GitFault as error:
            passing = gitlock.is_about(error) or head != repository.where()[0]
            if not passing or time.monotonic() >= deadline:
                raise


def _try(call: Call, repository: Repository, commit: str) -> Done:
    """One try. Raises `GitFault` where git would not have it."""
    short = commit[:12]
    doing = next((UNDER_WAY[name] for name in UNDER_WAY if (repository.git_dir / name).exists()), None)
    change = changes.of(repository, commit, staged=doing is not None)
    if not change.paths:
        return Done("here", f"already here: this branch has what {short} changes")
    if doing is not None:
        with git.unbroken():
            _bring(repository, short, change)
        return Done("staged", f"staged: {short} becomes part of the {doing} that is under way; finish it")
    original = _original(repository, commit)
    made = _commit(repository, original, change.wanted)
    log = git.utf8(f"buildguard cherry-pick: {original.subject}")
    with git.unbroken():
        brought = _bring(repository, short, change)
        try:
            repository.write("update-ref", "-m", log, "HEAD", made, repository.head)
        except GitFault:
            if brought:
                _take_out(call, repository, short, change)
            raise
    return Done("picked", f"picked: {short} is {made[:12]} on this branch")


def _original(repository: Repository, commit: str) -> Original:
    # The last field ends with a zero too: git adds a line to an empty message.
    shape = "--format=format:%an%x00%ae%x00%ad%x00%B%x00"
    words = ("show", "-s", "--no-show-signature", "--encoding=UTF-8", "--date=raw", shape, commit)
    name, mail, date, message = repository.verbatim(*words).split("\0")[:4]
    return Original(name, mail, date, message)


def _commit(repository: Repository, original: Original, tree: str) -> str:
    """A commit of that tree on HEAD, which no branch has yet. Raises `GitFault` where git has no name or no key
    for it."""
    parents = ("-p", repository.head) if repository.head else ()
    signed = repository.git("config", "--type=bool", "--default=false", "--get", "commit.gpgSign") == "true"
    author = {
        "GIT_AUTHOR_NAME": git.utf8(original.name),
        "GIT_AUTHOR_EMAIL": git.utf8(original.mail),
        "GIT_AUTHOR_DATE": f"@{original.date}",
    }
    words = ("-c", "i18n.commitEncoding=UTF-8", "commit-tree", *parents, *(("-S",) if signed else ()), tree)
    try:
        return repository.write(*words, stdin=original.message, **author)
    except GitFault as error:
        why = "git config --show-origin --get-regexp gpg" if signed else "git var GIT_COMMITTER_IDENT"
        raise GitFault(f"{error}; nothing was changed", why) from None


def _bring(repository: Repository, short: str, change: Change) -> bool:
    """Make index and work tree what is wanted; whether they were not so already. Raises `GitFault`, with nothing
    changed, where others are at the same files."""
    if _holds(repository, change.wanted, change.paths):
        return False
    if not _holds(repository, change.base, change.paths):
        raise GitFault(f"somebody is changing {words.some(change.paths)} here, which {short} changes too")
    repository.write(*APPLY, "--index", "-", stdin=repository.patch(change.base, change.wanted))
    return True


def _holds(repository: Repository, tree: str, paths: Sequence[str]) -> bool:
    """Whether index and work tree have just what that tree has under these paths. What is checked out in a
    submodule does not matter: no commit here changes it."""
    asked, named = ("--literal-pathspecs", "diff", "--name-only"), [git.utf8(path) for path in paths]
    staged = repository.git(*asked, "--cached", "--ignore-submodules=none", tree, "--", *named)
    edited = repository.git(*asked, "--ignore-submodules=all", "--", *named)
    return not staged and not edited


def _take_out(call: Call, repository: Repository, short: str, change: Change) -> None:
    """Make index and work tree again what they were, but for what another's commit has taken along: taken out, it
    would be staged to be undone. Raises `GitFault`."""
    left = set(repository.differing(repository.where()[0], change.wanted)).intersection(change.paths)
    if not left:
        return
    patch, deadline = repository.patch(change.base, change.wanted, *left), time.monotonic() + TAKING_OUT
    while True:
        gitlock.await_free(call, repository, deadline)
        try:
            repository.write(*APPLY, "--index", "--reverse", "-", stdin=patch)
            return
        except GitFault as error:
            if not gitlock.is_about(error) or time.monotonic() >= deadline:
                raise GitFault(f"the branch cannot be moved to it, and what {short} changes is staged") from error
