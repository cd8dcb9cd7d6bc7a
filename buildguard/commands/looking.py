"""The commands that look at the store, wait, or hand a claim back: status, wait, release, log."""

import time
from contextlib import suppress

from buildguard.claims.guard import Guard
from buildguard.claims.model import Event, Snapshot
from buildguard.commands import elsewhere, landing
from buildguard.commands.elsewhere import Known
from buildguard.commands.waiting import watch
from buildguard.errors import Unavailable
from buildguard.session import FAULTS, Session
from buildguard.text import some
from buildguard.ui import phrases
from buildguard.ui.reports import Head, Report


def status(session: Session, everything: bool, gate: bool) -> Report:
    """`buildguard status`: how it stands here, and what is known of HEAD. Raises what keeps the guard away."""
    guard = session.required()
    snapshot = _settled(session, guard)
    events = guard.history()
    answer = guard.status(snapshot)
    notes = phrases.superseded(events, answer.agent)
    following = None
    good = _head(session, snapshot).passed
    fix = None if good else elsewhere.missing_here(session, Known(events, snapshot.now))
    if fix is not None and session.repository is not None:
        notes.append(f"fixed elsewhere: {elsewhere.fixed(fix, snapshot.now)}; it is not in this tree yet")
        following = elsewhere.bringing(session, session.repository, fix)
    passed = landing.not_committed(session, snapshot)
    if passed is not None:
        notes.append(f"passes here, but not committed: {some(passed.loose)}")
        following = session.answers.commit_of(passed.loose, passed.changed)
    unchecked = landing.unchecked_commit(session, snapshot)
    if unchecked:
        notes.append(f"{unchecked[:7]} was not checked")
    return session.answers.status(answer, _head(session, snapshot), notes, following, everything, gate)


def wait(session: Session, timeout: float) -> Report:
    """`buildguard wait`: until no other live agent holds a claim here, at most `timeout` seconds."""
    guard = session.required()
    with suppress(*FAULTS):  # a waiter may have no right to write
        guard.alive()
    _settled(session, guard)
    moment = watch(session, guard, timeout)
    return session.answers.waited(moment, guard.me)


def release(session: Session, number: int | None, gave_up: bool, reason: str) -> Report:
    """`buildguard release`. What was committed since the claim is told to those who wait for the fix."""
    guard, repository = session.required(), session.repository
    snapshot = _settled(session, guard)
    commits: tuple[str, ...] = ()
    if not gave_up and repository is not None:
        held = [state for state in snapshot.states.values() if state.claim and state.claim.agent == guard.me.id]
        seen = [one for state in held if state.breakage and (one := state.breakage.seen.get(session.checkout))]
        if seen and seen[0].head and seen[0].head != repository.head:
            commits = tuple(repository.commits_touching(seen[0].head, repository.head, ()))
    return session.answers.released(guard.release(number, gave_up, reason, commits), guard.history(), number)


def history(session: Session, limit: int) -> tuple[list[Event], float]:
    """The newest `limit` events, oldest first, and the time (seconds since the epoch)."""
    return session.required().history(limit), time.time()


def _settled(session: Session, guard: Guard) -> Snapshot:
    """What is read, after a commit that has landed here meanwhile was told to all."""
    snapshot = guard.read()
    with suppress(Unavailable):  # what cannot be written is still read
        if landing.ask(session, snapshot) is not None:
            return guard.read()
    return snapshot


def _head(session: Session, snapshot: Snapshot) -> Head:
    """What is known of HEAD: only a run on exactly its tree counts, of the check that is set where one is."""
    repository, check = session.repository, session.settings.check
    if repository is None or not repository.head:
        return Head("")
    of_head = [
        proof
        for proof in snapshot.proofs
        if proof.files == repository.tree and (check is None or proof.check == check.text)
    ]
    last = max(of_head, key=lambda proof: proof.at, default=None)
    if last is None:
        return Head(repository.head)
    return Head(repository.head, last.passed, last.agent, last.at)
