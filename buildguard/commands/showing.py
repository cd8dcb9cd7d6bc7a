"""What a finished run shows: the files that it saw, and how much of a fix HEAD holds."""

from collections.abc import Callable

from buildguard.agents.identity import identify_cheaply
from buildguard.checks.runner import Result, Verdict
from buildguard.claims.model import Breakage, Content, Landing, Proof, Run, Seen, Snapshot
from buildguard.git import files
from buildguard.git.files import Files
from buildguard.git.repository import Repository
from buildguard.session import Session

MOST_CHANGED = 1000
"""How many paths a fix may change; of a larger one only a pass with nothing loose is believed."""


def good_head(snapshot: Snapshot, check: str, tree: str) -> bool:
    """Whether this check is known to pass on HEAD, whose tree that is."""
    return any(proof.passed and (proof.check, proof.files) == (check, tree) for proof in snapshot.proofs)


def held(repository: Repository, failed: str, changed: tuple[Content, ...], since: str, head: str) -> Landing:
    """How much of what changed since the failure on `since` the commit `head` holds."""
    loose = files.not_held(repository, head, changed) if head else tuple(one.path for one in changed)
    commits: tuple[str, ...] = ()
    if len(loose) < len(changed) and since != head:
        commits = tuple(repository.commits_touching(since, head, [one.path for one in changed]))
    return Landing(failed, changed, loose, commits)


def follows(repository: Repository, snapshot: Snapshot, checkout: str, head: str) -> frozenset[str]:
    """Those of the HEADs that failed in that checkout that `head` is or descends from."""
    heads = {seen.head for _, seen in breakages(snapshot, checkout)}
    return frozenset(one for one in heads if one == head or (one and repository.descends(head, one)))


def breakages(snapshot: Snapshot, checkout: str) -> list[tuple[Breakage, Seen]]:
    """The open breakages that a checkout has."""
    found = [state.breakage for state in snapshot.states.values() if state.breakage]
    return [(one, one.seen[checkout]) for one in found if checkout in one.seen]


def proved(
    session: Session,
    repository: Repository,
    showed: Run,
    result: Result,
    snapshot: Snapshot,
    before: Files,
    committed: Callable[[], str] | None,
) -> Run:
    """The run with the files that it saw and what follows from them; without them if they changed meanwhile."""
    watched = files.watched(repository, before)
    passed = result.verdict is Verdict.PASSED
    showed = showed._replace(
        files=before.tree if watched.steady else "", good=good_head(snapshot, showed.check, repository.tree)
    )
    showed = showed._replace(clean=bool(showed.files) and showed.files == repository.tree)
    here = breakages(snapshot, session.checkout)
    written = watched.written.union(*(proof.written for proof in snapshot.proofs if proof.check == showed.check))
    tree = committed() if committed and here and passed else ""
    others = (
        _of_others(snapshot, session.checkout, _who(session, False, snapshot)) if here and passed else frozenset()
    )
    if here:
        showed = showed._replace(
            follows=follows(repository, snapshot, session.checkout, showed.head),
            landings=_landings(repository, showed, here, written, tree, others) if passed else (),
        )
    proof = Proof(
        showed.check,
        passed,
        showed.files,
        session.checkout,
        _who(session, passed, snapshot),
        showed.head,
        showed.branch,
        tree,
        showed.seen,
        showed.failures,
        written=tuple(sorted(watched.written)),
        staged=before.staged[:MOST_CHANGED] if repository.environment.get("GIT_INDEX_FILE") else (),
    )
    if showed.landings:
        proof = proof._replace(failed=showed.landings[0].failed, changed=showed.landings[0].changed)
    return showed._replace(proof=proof if showed.files else None)


def _landings(
    repository: Repository,
    showed: Run,
    here: list[tuple[Breakage, Seen]],
    written: frozenset[str],
    tree: str,
    others: frozenset[str],
) -> tuple[Landing, ...]:
    """What became of the files that failed. What `others` were about to commit when it failed for them, too, is no
    part of a fix: it is theirs to commit."""
    found = []
    for _, seen in here:
        failed = seen.files or ""
        changed = files.changed(repository, failed, showed.files) if failed and showed.files else None
        if changed is not None and len(changed) <= MOST_CHANGED:
            kept = tuple(one for one in changed if one.path not in written)
            kept = tuple(one for one in kept if one.path not in others) or kept
            holds = held(repository, failed, kept, seen.head, showed.head)
            found.append(holds._replace(left=files.not_held(repository, tree, kept)) if tree else holds)
    return tuple(found)


def _of_others(snapshot: Snapshot, checkout: str, me: str) -> frozenset[str]:
    """The paths of commits in this checkout that failed for other agents than the caller."""
    theirs = (
        one for one in snapshot.proofs if not one.passed and one.checkout == checkout and one.agent not in ("", me)
    )
    return frozenset(path for one in theirs for path in one.staged)


def _who(session: Session, passed: bool, snapshot: Snapshot) -> str:
    """The caller. After a pass without a claim that may be its own nobody needs to know, if that took a walk up the
    process tree."""
    guard = session.guard
    if guard is None:
        return ""
    if not passed or any(state.claim for state in snapshot.states.values()):
        return guard.me_if_known.id if guard.me_if_known else ""
    name = session.checkout.removeprefix("checkout:")
    agent = guard.__dict__.get("me") or identify_cheaply(session.agent_option, session.environment, name)
    return agent.id if agent else ""
