"""Whether what passed has been committed by now: after a commit, merge, pull or rebase, with hooks or without.

Git runs no hook for most of these, so it is asked by `buildguard commit` when git has returned, by every next call
in that checkout, and by every waiter on this machine.
"""

from contextlib import suppress
from itertools import takewhile
from typing import NamedTuple

from buildguard.claims.guard import Answer
from buildguard.claims.model import Landing, Outcome, Proof, Run, Seen, Snapshot, State
from buildguard.commands.showing import follows, held
from buildguard.errors import GitFault, Unavailable
from buildguard.git.checkouts import git_dir_of
from buildguard.git.heads import head_and_branch
from buildguard.git.repository import Repository
from buildguard.session import Session
from buildguard.ui.phrases import superseded

LOOKED_AT = 5
"""How many of the last passes are looked at again: each takes a few calls of git."""


class Place(NamedTuple):
    """A checkout of this clone with the HEAD that it has now."""

    checkout: str
    head: str
    branch: str = ""


def ask(session: Session, snapshot: Snapshot, place: Place | None = None) -> Answer | None:
    """Look again at what passed in a checkout (this one, unless another `place` is named): how much of it HEAD
    holds by now. What is new is written. None if nothing has passed there, or HEAD has left the breakage."""
    repository, guard = session.repository, session.guard
    if repository is None or guard is None:
        return None
    here = place or Place(session.checkout, repository.head, repository.branch)
    told: list[Answer] = []
    for view in snapshot.views():
        state = view.state
        seen = state.breakage.seen.get(here.checkout) if state.breakage else None
        passes = _passes(snapshot, state, here.checkout)
        if seen is None or not passes:
            continue
        found = [(_looked_at_again(repository, snapshot, seen, proof, here), proof.agent) for proof in passes]
        run, agent = next((one for one in found if _has_landed(one[0])), found[0])
        if run.still_at(seen) and _is_new(state, run):
            with suppress(Unavailable):  # who may only read leaves it to others
                told.insert(0, guard.passed(run, agent))
        elif run.still_at(seen):
            outcome = Outcome.LANDED if state.breakage and state.breakage.landed else Outcome.PENDING
            told.append(Answer(outcome, view, snapshot, run=run))
    return told[0]._replace(agent=guard.me_if_known) if told else None


def look_round(session: Session, known: Snapshot | None) -> None:
    """After a failure, look whether a fix has landed meanwhile that nobody has told: here, or where somebody else
    is fixing."""
    if known is not None:
        session.coordinate(lambda _: Watch(session).look(known))


def lost(session: Session, answer: Answer | None) -> list[str]:
    """What the holder of a claim has to know that ended while it was at work."""
    if answer is None or answer.outcome is not Outcome.PASSED:
        return []
    return superseded(session.coordinate(lambda guard: guard.history()) or (), answer.agent)


def unchecked_commit(session: Session, snapshot: Snapshot) -> str:
    """The HEAD of a fixer that no run has seen: another tool changed the commit after its check, or no hook ran.
    Empty if there is none such."""
    repository, guard = session.repository, session.guard
    if repository is None or guard is None or guard.me_if_known is None:
        return ""
    for state in snapshot.states.values():
        breakage = state.breakage
        if breakage is None or state.claim is None or state.claim.agent != guard.me_if_known.id:
            continue
        seen = breakage.seen.get(session.checkout)
        about = [proof for proof in snapshot.proofs if breakage.check in ("", proof.check)]
        # What was to be committed, and was, is what the hook let through: some of what passed.
        known = any(repository.tree in (proof.files, proof.tree) for proof in about)
        if seen is not None and seen.head != repository.head and not known:
            return repository.head
    return ""


class Watch:
    """The HEADs that somebody keeps an eye on, read as files: those of this checkout and of every claim's."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seen: dict[str, Place] = {}

    def look(self, snapshot: Snapshot) -> bool:
        """Ask about each HEAD that has moved since the last look, at the first look about all. Whether anything
        came of it."""
        claims = (state.claim for state in snapshot.states.values())
        news = False
        for checkout in {self._session.checkout, *(claim.checkout for claim in claims if claim)}:
            place = self._place(checkout)
            if place is not None and self._seen.get(checkout) != place:
                self._seen[checkout] = place
                told = ask(self._session, snapshot, place)
                news = news or (told is not None and told.event is not None)
        return news

    def _place(self, checkout: str) -> Place | None:
        repository = self._session.repository
        if repository is None:
            return None
        own = checkout == self._session.checkout
        name = checkout.removeprefix("checkout:")
        git_dir = repository.git_dir if own else git_dir_of(repository.common_dir, name)
        head, branch = head_and_branch(git_dir, repository.common_dir) if git_dir else ("", "")
        if own and not head:
            head, branch = repository.head, repository.branch
        return Place(checkout, head, branch) if head else None


def _passes(snapshot: Snapshot, state: State, checkout: str) -> list[Proof]:
    """The last passes of a breakage's check in a checkout, newest first, back to the last failure; those of its
    fixer if there are any: a neighbour's may have seen more."""
    if state.breakage is None:
        return []
    since, check = state.breakage.since, state.breakage.check
    about = [one for one in snapshot.proofs if one.checkout == checkout and check in ("", one.check)]
    after = [one for one in reversed(about) if one.at >= since]
    fixers = [one for one in after if state.claim is not None and one.agent == state.claim.agent]
    newest_first = fixers if fixers and fixers[0].passed else after
    return list(takewhile(lambda one: one.passed, newest_first))[:LOOKED_AT]


def _has_landed(run: Run) -> bool:
    """Whether HEAD holds all that made it pass."""
    return run.clean or any(one.changed and not one.loose for one in run.landings)


def _is_new(state: State, run: Run) -> bool:
    """Whether more of it has landed than is known."""
    known = state.breakage.landed if state.breakage else None
    found = next(iter(run.landings), None)
    if run.clean or found is None:
        return run.clean
    return len(found.loose) < len(found.changed) and (known is None or known.loose != found.loose)


def _looked_at_again(repository: Repository, snapshot: Snapshot, seen: Seen, proof: Proof, here: Place) -> Run:
    clean = _tree_of(repository, here.head) == proof.files
    landings: tuple[Landing, ...] = ()
    if proof.failed and proof.failed == seen.files:
        found = held(repository, proof.failed, proof.changed, seen.head, here.head)
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
