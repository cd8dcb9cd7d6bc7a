"""`buildguard cherry-pick`: bring fixes in, among agents that share this checkout.

As git's own it makes one commit of each. But it waits for the index lock instead of failing on it, commits nothing
that others have staged, leaves edits in the same files alone where the change goes in beside them, and what does
not go in cleanly changes nothing: the commit is made first, as an object that no branch has, then index and work
tree are changed, then the branch moves. No hooks of git commit run, as in git's own: a fix was checked where it was
made, and the next commit is checked here. In the middle of a merge or rebase it is git's own command that one
wants.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from buildguard.claims.guard import Guard
from buildguard.commands import landing
from buildguard.commands.elsewhere import picking
from buildguard.errors import Exit, GitFault, SettingsError
from buildguard.git import changes, lock
from buildguard.git.changes import Change
from buildguard.git.process import unbroken, utf8
from buildguard.git.repository import APPLY, Repository
from buildguard.session import Session
from buildguard.text import some
from buildguard.ui.reports import Report

UNDER_WAY = ("rebase-merge", "rebase-apply", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD")
"""What stands in a git dir while git is in the middle of something."""
TAKING_OUT = 10.0
"""Seconds to wait for another git's index lock with a change that could not be committed."""


class Edited(GitFault):
    """Somebody has edited the same lines here, or has a file there that git does not track."""

    def __init__(self, paths: Sequence[str], short: str, untracked: bool) -> None:
        super().__init__(f"{some(paths)} is edited here, where {short} changes it, too; nothing was changed")
        self.paths = paths
        self.untracked = untracked


class Pick(NamedTuple):
    """What became of one commit: `picked` or `here`, and the line that says so."""

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


def cherry_pick(session: Session, names: Sequence[str], timeout: float) -> Report:
    """Make the change of each of these commits a commit of this branch, in that order, up to the first that does
    not go in. Waits at most `timeout` seconds in all for other git commands of this checkout. Raises
    `SettingsError` for a name that is no commit, before anything is changed."""
    repository = session.required_repository()
    commits = [_resolved(repository, name) for name in names]
    if any((repository.git_dir / name).exists() for name in UNDER_WAY):
        return _under_way(session, repository, commits)
    deadline = time.monotonic() + timeout
    done: list[Pick] = []
    for commit in commits:
        try:
            done.append(_patiently(session, repository, commit, deadline))
        except GitFault as error:
            return _stopped(session, error, done, commits)
    present = session.up_to_date()
    snapshot = session.coordinate(Guard.read)
    told = session.coordinate(lambda _: landing.ask(present, snapshot)) if snapshot else None
    more, following = session.answers.committed(told, "")
    again = "; commit again" if done[-1].outcome == "picked" else ""
    lines = [*(one.line for one in done[:-1]), done[-1].line + again, *more]
    return Report("picked", Exit.OK, tuple(lines), following, extra=_sorted(commits, len(commits)))


def _under_way(session: Session, repository: Repository, commits: Sequence[str]) -> Report:
    """In the middle of something our commit would be in the way; but git can make the pick a part of it."""
    line, following = "finish it first", session.git("status")
    if not repository.git("ls-files", "--unmerged"):
        line = "git's own command makes the change a part of it"
        following = session.git("cherry-pick", "--no-commit", *(commit[:12] for commit in commits))
    lines = (f"not picked: git is in the middle of something here: {line}",)
    return Report("failed", Exit.FAILED, lines, following)


def _resolved(repository: Repository, name: str) -> str:
    try:
        return repository.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except GitFault:
        raise SettingsError(f"there is no commit {name!r} here", "git log --oneline --all -10") from None


def _stopped(session: Session, error: GitFault, done: Sequence[Pick], commits: Sequence[str]) -> Report:
    """The report that the commit after those that are done did not go in."""
    first, *rest = (commit[:12] for commit in commits[len(done) :])
    lines = [one.line for one in done]
    extra = _sorted(commits, len(done))
    again = picking(session, commits[len(done) :])
    if lock.is_about(error):
        held = str(error) if isinstance(error, lock.Held) else "another git command still holds the index lock here"
        lines.append(f"not picked: {held}")
        return Report("busy", Exit.BUSY, tuple(lines), again, extra=extra)
    lines.append(f"not picked: {error}")
    if rest:
        lines.append(f"not tried: {', '.join(rest)}")
    following = error.next_command
    if isinstance(error, Edited):
        lines.append("put the edits aside for a moment; git stash pop says if the same lines were edited")
        named = (f":(top,literal){path}" for path in error.paths)
        put_aside = session.git(
            "stash", "push", *(["--include-untracked"] if error.untracked else []), "--", *named
        )
        # Back in any case: where the pick fails, too, nobody's edits stay put aside.
        following = f"{put_aside} && {{ {again}; {session.git('stash', 'pop')}; }}"
    elif following is None:
        lines.append("make its change by hand, and commit")
    return Report("failed", Exit.FAILED, tuple(lines), following or session.git("show", first), extra=extra)


def _sorted(commits: Sequence[str], done: int) -> dict[str, Sequence[str]]:
    return {"picked": commits[:done], "not_picked": commits[done:]}


def _patiently(session: Session, repository: Repository, commit: str, deadline: float) -> Pick:
    """Try until it is done or cannot be; until `deadline` where another git only was in the way. Raises
    `GitFault`."""
    while True:
        lock.await_free(repository, deadline, session.voice.say_once)
        head = repository.head
        try:
            with lock.alone(repository, deadline):
                present = repository.up_to_date()
                head = present.head
                return _try(session, present, commit)
        except GitFault as error:
            passing = lock.is_about(error) or head != repository.where()[0]
            if not passing or time.monotonic() >= deadline:
                raise


def _try(session: Session, repository: Repository, commit: str) -> Pick:
    """One try. Raises `GitFault` where git would not have it."""
    short = commit[:12]
    change = changes.of(repository, commit)
    if not change.paths:
        return Pick("here", f"already here: this branch has what {short} changes")
    original = _original(repository, commit)
    made = _commit(repository, original, change.wanted)
    log = utf8(f"buildguard cherry-pick: {original.subject}")
    with unbroken():
        brought = _bring(repository, short, change)
        try:
            repository.write("update-ref", "-m", log, "HEAD", made, repository.head)
        except GitFault:
            _take_out(session, repository, short, change, brought)
            raise
    if repository.where()[0] != made:
        raise GitFault(f"the branch is not at {made[:12]}, whatever git said")
    return Pick("picked", f"picked: {short} is {made[:12]} on this branch")


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
        "GIT_AUTHOR_NAME": utf8(original.name),
        "GIT_AUTHOR_EMAIL": utf8(original.mail),
        "GIT_AUTHOR_DATE": f"@{original.date}",
    }
    words = ("-c", "i18n.commitEncoding=UTF-8", "commit-tree", *parents, *(("-S",) if signed else ()), tree)
    try:
        return repository.write(*words, stdin=original.message, **author)
    except GitFault as error:
        why = "git config --show-origin --get-regexp gpg" if signed else "git var GIT_COMMITTER_IDENT"
        raise GitFault(f"{error}; nothing was changed", why) from None


class Part(NamedTuple):
    """What a change does to some paths. The patch is made at once: what nobody has committed may be pruned."""

    paths: Sequence[str]
    patch: str


class Brought(NamedTuple):
    """What was applied to the index and to the work tree. `outside` are the paths that a sparse checkout leaves out
    of the work tree."""

    staged: Part
    written: Part
    outside: Sequence[str]

    def stage(self, repository: Repository, *options: str) -> None:
        """Apply (or `--reverse`) what is staged. Raises `GitFault`."""
        if not self.staged.paths:
            return
        repository.write(*APPLY, "--cached", *options, "-", stdin=self.staged.patch)
        kept = _in_index(repository, self.outside)
        if kept:
            # Without their mark, which `git apply` drops, they would count as deleted.
            stdin = "".join(f"{path}\0" for path in kept)
            repository.write("update-index", "--skip-worktree", "-z", "--stdin", stdin=stdin)

    def write(self, repository: Repository, *options: str) -> None:
        """Apply (or `--reverse`) what is written. Raises `GitFault`."""
        if self.written.paths:
            repository.write(*APPLY, *options, "-", stdin=self.written.patch)


def _bring(repository: Repository, short: str, change: Change) -> Brought:
    """Put the change into index and work tree, beside what else is edited there. Raises `Edited`, with nothing
    changed, where the same lines are edited."""
    there = _in_index(repository, change.paths)
    top = repository.top or Path()
    outside = [path for path, tag in there.items() if tag == "S" and not os.path.lexists(top / utf8(path))]
    inside = [path for path in change.paths if path not in outside]
    staged = _lacking(repository, short, change, change.paths, "--cached")
    written = _lacking(repository, short, change, inside)
    brought = Brought(_part(repository, change, staged), _part(repository, change, written), outside)
    brought.stage(repository)
    try:
        brought.write(repository)
    except GitFault:
        brought.stage(repository, "--reverse")
        raise
    return brought


def _in_index(repository: Repository, paths: Sequence[str]) -> dict[str, str]:
    """Those of the paths that are in the index, each with git's letter for it (`S`: not to be in the work tree)."""
    if not paths:
        return {}
    rows = repository.git("--literal-pathspecs", "ls-files", "-t", "-z", "--", *map(utf8, paths)).split("\0")
    return {row[2:]: row[0] for row in rows if row}


def _part(repository: Repository, change: Change, paths: Sequence[str]) -> Part:
    return Part(paths, repository.patch(change.base, change.wanted, *paths) if paths else "")


def _lacking(repository: Repository, short: str, change: Change, paths: Sequence[str], *where: str) -> list[str]:
    """Those of the paths that index or work tree lack of the change. Raises `Edited` for those where it does not go
    in."""
    lacking, edited = [], []
    for path in paths:
        patch = repository.patch(change.base, change.wanted, path)
        if repository.applies(patch, *where):
            lacking.append(path)
        elif not repository.applies(patch, "--reverse", *where):
            edited.append(path)
    if edited:
        raise Edited(edited, short, not _in_index(repository, edited).keys() >= set(edited))
    return lacking


def _take_out(session: Session, repository: Repository, short: str, change: Change, brought: Brought) -> None:
    """Make index and work tree again what they were, but for what somebody's commit has taken meanwhile. Raises
    `GitFault`."""
    deadline = time.monotonic() + TAKING_OUT
    with suppress(GitFault):  # pruned: so nobody has committed it
        loose = set(repository.differing(change.wanted, repository.where()[0] or change.base))
        staged, written = (
            _part(repository, change, [path for path in one.paths if path in loose])
            for one in (brought.staged, brought.written)
        )
        brought = Brought(staged, written, brought.outside)
    for take_out in (brought.write, brought.stage):
        while True:
            lock.await_free(repository, deadline, session.voice.say_once)
            try:
                take_out(repository, "--reverse")
                break
            except GitFault as error:
                if not lock.is_about(error) or time.monotonic() >= deadline:
                    what = f"the branch cannot be moved to it, and what {short} changes is left here"
                    raise GitFault(what) from error
