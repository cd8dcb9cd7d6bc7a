"""Whether what passed has been committed by now: after a commit, merge, pull or rebase, with hooks or without.

Git runs no hook for most of these, so it is asked by `buildguard commit` when git has returned, by every next call
in that checkout, and by whoever waits for it on this machine.
"""

from typing import NamedTuple

from buildguard.claims.guard import Answer
from buildguard.claims.model import Breakage, Landing, Proof, Run, Snapshot
from buildguard.commands.attempt import breakages, follows, landing
from buildguard.errors import GitFault
from buildguard.git.checkouts import git_dir_of
from buildguard.git.heads import head_of
from buildguard.git.repository import Repository
from buildguard.session import Session


class Place(NamedTuple):
    """A checkout of this clone with the HEAD that it has now."""

    checkout: str
    head: str
    branch: str = ""


def ask(session: Session, snapshot: Snapshot, place: Place | None = None) -> Answer | None:
    """Look again at what passed in a checkout (this one, unless another `place` is named) if its HEAD has moved
    since: what came of it, or None if there is nothing new."""
    repository = session.repository
    if repository is None or session.guard is None:
        return None
    here = place or Place(session.checkout, repository.head, repository.branch)
    told: Answer | None = None
    for breakage, _ in breakages(snapshot, here.checkout):
        proof = _newest(snapshot, breakage, here.checkout)
        if proof is not None and proof.head != here.head:
            told = _told(session, _looked_at_again(repository, snapshot, proof, here), proof.agent) or told
    return told


def unchecked_commit(session: Session, snapshot: Snapshot) -> str:
    """The HEAD of a fixer that no run has seen: another tool changed the commit after its check, or no hook ran.
    Empty if there is none such."""
    repository, guard = session.repository, session.guard
    if repository is None or guard is None or guard.me_if_known is None:
        return ""
    held = [
        state for state in snapshot.states.values() if state.claim and state.claim.agent == guard.me_if_known.id
    ]
    for state in held:
        seen = state.breakage.seen.get(session.checkout) if state.breakage else None
        check = state.breakage.check if state.breakage else ""
        known = any(proof.files == repository.tree and check in ("", proof.check) for proof in snapshot.proofs)
        if seen is not None and seen.head != repository.head and not known:
            return repository.head
    return ""


def not_committed(session: Session, snapshot: Snapshot) -> Landing | None:
    """What this caller's claim waits for: what passed here and is not committed yet. None if nothing is known
    to."""
    repository, guard = session.repository, session.guard
    me = guard.me_if_known if guard else None
    for state in snapshot.states.values():
        if state.breakage is None or state.claim is None or me is None or state.claim.agent != me.id:
            continue
        proof = _newest(snapshot, state.breakage, session.checkout)
        seen = state.breakage.seen.get(session.checkout)
        if repository is not None and proof is not None and seen is not None and proof.failed == seen.files:
            found = landing(repository, proof.failed, proof.changed, seen.head, repository.head)
            return found if found.loose else None
    return None


class Watch:
    """The HEADs that a waiter keeps an eye on, read as files: those of its own checkout and of the claim's."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._heads: dict[str, str] = {}

    def look(self, snapshot: Snapshot, claimed_in: str) -> Answer | None:
        """Ask about each HEAD that has moved since the last look. The first look only remembers them, and asks
        about the claim's checkout: its commit may have landed before."""
        told: Answer | None = None
        for checkout in {self._session.checkout, claimed_in}:
            head = self._head(checkout)
            if head and self._heads.get(checkout) != head:
                self._heads[checkout] = head
                told = ask(self._session, snapshot, Place(checkout, head)) or told
        return told

    def _head(self, checkout: str) -> str:
        repository = self._session.repository
        if repository is None:
            return ""
        name = checkout.removeprefix("checkout:")
        own = checkout == self._session.checkout
        git_dir = repository.git_dir if own else git_dir_of(repository.common_dir, name)
        return head_of(git_dir, repository.common_dir) if git_dir else ""


def _told(session: Session, run: Run, agent: str) -> Answer | None:
    return session.coordinate(lambda guard: guard.passed(run, agent)._replace(agent=guard.me_if_known))


def _newest(snapshot: Snapshot, breakage: Breakage, checkout: str) -> Proof | None:
    """The newest pass of a breakage's check in a checkout that has it."""
    passes = [
        proof
        for proof in snapshot.proofs
        if proof.passed and proof.checkout == checkout and breakage.check in ("", proof.check)
    ]
    after = [proof for proof in passes if proof.at >= breakage.since]
    return max(after, key=lambda proof: proof.at, default=None)


def _looked_at_again(repository: Repository, snapshot: Snapshot, proof: Proof, here: Place) -> Run:
    clean = _tree_of(repository, here.head) == proof.files
    landings: tuple[Landing, ...] = ()
    if proof.failed:
        seen = next((one for _, one in breakages(snapshot, here.checkout) if one.files == proof.failed), None)
        found = landing(repository, proof.failed, proof.changed, seen.head if seen else proof.head, here.head)
        landings = (found._replace(loose=()) if clean else found,)
    # A pass before the commit says nothing of what a claim by hand had in mind, unless the commit is just that.
    head = here.head if clean or proof.failed else proof.head
    return Run(
        proof.check,
        proof.seen,
        here.checkout,
        head,
        here.branch,
        proof.files,
        clean=clean,
        follows=follows(repository, snapshot, here.checkout, here.head),
        landings=landings,
    )


def _tree_of(repository: Repository, commit: str) -> str:
    try:
        return repository.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{tree}}")
    except GitFault:
        return ""
