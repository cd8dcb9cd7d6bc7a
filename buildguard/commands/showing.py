"""What a finished run shows: the files that it saw, and how much of a fix HEAD holds."""

from collections.abc import Callable

from buildguard.agents.identity import identify_cheaply
from buildguard.checks.runner import Result, Verdict
from buildguard.claims.model import Breakage, Content, Landing, Proof, Run, Seen, Snapshot
from buildguard.git import files
from buildguard.git.files import Files, Watched
from buildguard.git.repository import Repository
from buildguard.session import Session

MOST_OTHERS = 5
"""How many failed commits of neighbours are compared with a pass: each takes a call of git."""
MOST_CHANGED = 1000
"""How many paths a fix may change; of a larger one only a pass with nothing loose is believed."""


def good_head(snapshot: Snapshot, check: str, tree: str) -> bool:
    """Whether this check is known to pass on HEAD, whose tree that is: the last run on just that tree counts."""
    of_head = [proof for proof in snapshot.proofs if (proof.check, proof.files) == (check, tree)]
    return bool(of_head) and of_head[-1].passed


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
    watched: Watched | None = None,
) -> Run:
    """The run with the files that it saw and what follows from them; without them if they changed meanwhile, which
    is looked at here unless its runner has `watched` them."""
    watched = watched or files.watched(repository, before)
    passed = result.verdict is Verdict.PASSED
    here = breakages(snapshot, session.checkout)
    known = watched.steady and not ((here or not passed) and files.hidden(repository))
    showed = showed._replace(
        files=before.tree if known else "", good=good_head(snapshot, showed.check, repository.tree)
    )
    clean = bool(showed.files) and showed.files == repository.tree
    showed = showed._replace(clean=clean, good=showed.good and (passed or not clean))
    written = watched.written.union(*(proof.written for proof in snapshot.proofs if proof.check == showed.check))
    tree = committed() if committed and here and passed else ""
    left_out = frozenset(written)
    if here and passed:
        left_out |= _of_others(repository, showed, snapshot, _who(session, False, snapshot), here[0][0].since)
    if here:
        showed = showed._replace(
            follows=follows(repository, snapshot, session.checkout, showed.head),
            landings=_landings(repository, showed, here, left_out, watched.written, tree) if passed else (),
        )
    return showed._replace(proof=_proof(session, repository, showed, passed, snapshot, before, watched, tree))


def _proof(
    session: Session,
    repository: Repository,
    showed: Run,
    passed: bool,
    snapshot: Snapshot,
    before: Files,
    watched: Watched,
    tree: str,
) -> Proof | None:
    """What is to be kept of the run; nothing if its files are not known. `tree` is that of the commit in hand."""
    if not showed.files:
        return None
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
        written=tuple(sorted(watched.written))[:MOST_CHANGED],
        staged=before.staged[:MOST_CHANGED] if repository.environment.get("GIT_INDEX_FILE") else (),
    )
    first = showed.landings[0] if showed.landings else None
    return proof._replace(failed=first.failed, changed=first.changed) if first else proof


def _landings(
    repository: Repository,
    showed: Run,
    here: list[tuple[Breakage, Seen]],
    left_out: frozenset[str],
    written: frozenset[str],
    tree: str,
) -> tuple[Landing, ...]:
    """What became of the files that failed, but for the paths that are `left_out`. Where these are all that
    changed, only those count as no fix that this very run has `written`: a new file may have appeared during an
    earlier one."""
    found = []
    for _, seen in here:
        failed = seen.files or ""
        changed = files.changed(repository, failed, showed.files) if failed and showed.files else None
        if changed is not None and len(changed) <= MOST_CHANGED:
            kept = tuple(one for one in changed if one.path not in left_out)
            kept = kept or tuple(one for one in changed if one.path not in written)
            holds = held(repository, failed, kept, seen.head, showed.head)
            found.append(holds._replace(left=files.not_held(repository, tree, kept)) if tree else holds)
    return tuple(found)


def _of_others(repository: Repository, showed: Run, snapshot: Snapshot, me: str, since: float) -> frozenset[str]:
    """The paths that other agents were about to commit here, as they still are, when this check failed for them,
    too: they are no part of what made it pass, and theirs to commit."""
    failed = [
        one
        for one in snapshot.proofs
        if not one.passed and (one.check, one.checkout) == (showed.check, showed.checkout) and one.at >= since
    ]
    found: set[str] = set()
    for one in [one for one in failed if one.staged and one.agent not in ("", me)][-MOST_OTHERS:]:
        differing = files.changed(repository, one.files, showed.files)
        if differing is not None:
            found |= set(one.staged) - {changed.path for changed in differing}
    return frozenset(found)


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
