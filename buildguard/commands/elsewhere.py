"""A fix that was made in another checkout: whether it is in this tree yet, and which command brings it in."""

from collections.abc import Sequence
from typing import NamedTuple

from buildguard.claims import scope
from buildguard.claims.guard import Answer
from buildguard.claims.model import Event, Kind, Run
from buildguard.errors import Exit, GitFault
from buildguard.git import changes, files
from buildguard.git.checkouts import git_dir_of, gone
from buildguard.git.repository import Repository
from buildguard.session import Session
from buildguard.text import clock, quoted, some
from buildguard.ui.reports import Report

SENT_TIMES = 2
SENT_SECONDS = 600.0
"""How often and for how long an agent is sent for one fix: what it cannot have by then it may claim. For a commit
that is not in this clone, and may still be pushed, it is sent as often as it asks."""
AWAITED = "not in this clone yet"
FETCH_SECONDS = 30
"""After how long one fetches again."""


class Known(NamedTuple):
    """What the history tells of fixes, as of `now` (seconds since the epoch)."""

    events: Sequence[Event]
    now: float


def handed_on(session: Session, run: Run, known: Known) -> Report | Run:
    """The answer to a failing run whose failure is fixed in another checkout, but not in this tree: the command
    that brings it in. Else the run itself, which may claim, and which then knows the fix that its tree has."""
    repository, guard = session.repository, session.guard
    if repository is None or guard is None:
        return run
    for fix in scope.fixed_elsewhere(known.events, run):
        if _is_here(repository, fix, run):
            return run._replace(fixed=fix.id)
        sent = [one for one in known.events if (one.kind, one.about, one.agent) == (Kind.SENT, fix.id, guard.me.id)]
        if any(_brought_in(repository, one, fix, run) for one in sent):
            return run._replace(fixed=fix.id)
        here = repository.knows(fix.commits[-1])
        sent = [one for one in sent if not (here and one.reason)]
        if (here and len(sent) >= SENT_TIMES) or (sent and known.now - sent[0].at >= SENT_SECONDS):
            continue
        following = bringing(session, repository, fix)
        if sent and not here:
            # It was fetched, and did not come: to ask at once would only ask again.
            following = f"sleep {FETCH_SECONDS} && {following}"
        note = Event(Kind.SENT, fix.scope, fix.number, "", fix.agent, head=run.head, about=fix.id)
        note = note._replace(reason="" if here else AWAITED)
        guard.note(note)
        return _report(fix, run, known.now, following)
    return run


def missing_here(session: Session, known: Known) -> Event | None:
    """The newest fix, made in another checkout, of a breakage that this one had and that is not in HEAD; None if
    there is none."""
    repository = session.repository
    if repository is None:
        return None
    for event in reversed(known.events):
        if session.checkout not in event.seen or event.kind not in (*scope.FIXES, Kind.RECOVERED):
            continue
        elsewhere = event.checkout != session.checkout and bool(event.commits)
        run = Run(event.check, -1, session.checkout, repository.head)
        sent = [one for one in known.events if one.kind is Kind.SENT and one.about == event.id]
        brought = any(one.checkout == session.checkout and one.head != repository.head for one in sent)
        return event if elsewhere and not brought and not _is_here(repository, event, run) else None
    return None


def bringing(session: Session, repository: Repository, fix: Event) -> str:
    """The command that brings a fix into this tree."""
    last = fix.commits[-1]
    if repository.upstream_has(last) and _forwards(repository):
        return session.git("pull", "--ff-only")
    if repository.knows(last):
        return picking(session, fix.commits)
    return session.git("fetch", repository.remote())


def _forwards(repository: Repository) -> bool:
    """Whether git will fast-forward to the upstream here: not over edits, and else it would have to merge."""
    try:
        theirs = repository.differing("HEAD", "@{upstream}")
        edited = repository.git("diff", "--name-only", "-z", "--no-relative", "HEAD").split("\0")
    except GitFault:
        return False
    return repository.descends("@{upstream}", repository.head) and set(theirs).isdisjoint(edited)


def picking(session: Session, commits: Sequence[str]) -> str:
    """The command that picks these commits."""
    words = [*session.program, "cherry-pick", *session.aim, *(commit[:12] for commit in commits)]
    return " ".join(map(quoted, words))


def _brought_in(repository: Repository, sent: Event, fix: Event, run: Run) -> bool:
    """Whether an agent that was sent for a fix has brought in what it could: commits since then touch what the fix
    does. Others may commit in the same checkout, too."""
    paths = [one.path for one in fix.contents]
    return sent.head != run.head and bool(repository.commits_touching(sent.head, run.head, paths))


def to_be_pushed(session: Session, answer: Answer, report: Report) -> Report:
    """The report of a fix that has landed here, with what makes it reach those who wait for it in other clones."""
    repository, event = session.repository, answer.event
    if repository is None or event is None or event.kind not in (Kind.FIXED, Kind.LANDED) or not event.commits:
        return report
    names = [checkout.removeprefix("checkout:") for checkout in event.seen]
    here = all(git_dir_of(repository.common_dir, name) or gone(repository.common_dir, name) for name in names)
    if here or repository.upstream_has(event.commits[-1]):
        return report
    lines = (*report.lines, "push it: others wait for it in other clones")
    target = [] if repository.knows("@{upstream}") else ["--set-upstream", repository.remote(), "HEAD"]
    return report._replace(lines=lines, next=report.next or session.git("push", *target))


def _is_here(repository: Repository, fix: Event, run: Run) -> bool:
    """Whether the tree that was checked has the fix: HEAD descends from it, its contents lie at their paths, its
    patch can be taken out again, or nothing would come of picking it."""
    if run.head and repository.descends(run.head, fix.commits[-1]):
        return True
    tree = run.files or run.head
    if tree and fix.contents and not files.not_held(repository, tree, fix.contents):
        return True
    first, last = fix.commits[0], fix.commits[-1]
    try:
        # Squashed or picked elsewhere, the commits are others, but what they changed together is here.
        joint = repository.patch(f"{first}^", last, *(one.path for one in fix.contents))
        # Of files that changed while the check ran, what lies there now may have come too late.
        if joint and files.has(repository, tree, joint, bool(run.files)):
            return True
        return run.head == repository.head and not any(changes.of(repository, one).paths for one in fix.commits)
    except GitFault:
        return False


def _report(fix: Event, run: Run, now: float, following: str | None) -> Report:
    shorts = some([commit[:12] for commit in fix.commits])
    branch = f" on {fix.branch.removeprefix('refs/heads/')}" if fix.branch else ""
    own = [failure for failure in run.failures if failure not in fix.failures]
    lines = (
        f"fixed elsewhere: {fixed(fix, now)} in {shorts}{branch}; it is not in this tree yet",
        *([f"your own, nobody fixed them: {some(own)}"] if own else []),
        "nobody has to fix it again: bring the fix in, then commit again",
    )
    extra = {"fix": fix.commits[-1], "fixer_was": fix.agent}
    return Report("fixed_elsewhere", Exit.BUSY, lines, following, extra=extra)


def fixed(fix: Event, now: float) -> str:
    """Who fixed it, and when."""
    return f"{fix.agent or 'somebody'} fixed this at {clock(fix.at, now)}"
