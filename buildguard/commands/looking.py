"""The commands that run no check: status, claim, wait, release, log."""

import time
from contextlib import suppress
from pathlib import Path

from buildguard.claims.flakiness import Flake, flakes
from buildguard.claims.guard import Answer, Guard
from buildguard.claims.model import Event, Kind, Outcome, Proof, Snapshot
from buildguard.commands import elsewhere, landing
from buildguard.commands.elsewhere import Known
from buildguard.commands.waiting import ancestor_holding, watch
from buildguard.errors import Exit, SettingsError
from buildguard.session import FAULTS, Session
from buildguard.store import reach_of
from buildguard.ui import phrases
from buildguard.ui.keys import Head, engine_facts, flaky_facts
from buildguard.ui.reports import Report


def status(session: Session, everything: bool, gate: bool) -> Report:
    """`buildguard status`: the breakages here, and what is known of HEAD. Raises what keeps the guard away."""
    guard = session.required()
    snapshot = _settled(session, guard)
    events = guard.history()
    answer = guard.status(snapshot)
    notes = phrases.superseded(events, answer.agent)
    following = None
    good = head_of(session, snapshot).passed
    fix = None if good else elsewhere.missing_here(session, Known(events, snapshot.now))
    if fix is not None and session.repository is not None:
        notes.append(f"fixed elsewhere: {elsewhere.fixed(fix, snapshot.now)}; it is not in this tree yet")
        following = elsewhere.bringing(session, session.repository, fix)
    told, unchecked = landing.ask(session, snapshot), landing.unchecked_commit(session, snapshot)
    mine = told is not None and answer.agent is not None and told.view.held_by(answer.agent.id)
    if unchecked or mine:
        more, following = session.answers.committed(told if mine else None, unchecked)
        notes += more
    notes += phrases.flaky(found := flakes(snapshot.proofs))
    if found and not session.settings.confirm:
        notes.append("with confirm = true in the settings a failed check runs once more before it elects")
    reach = reach_of(guard.store, guard.build)
    notes += [phrases.engine(reach)] if reach else []
    head = head_of(session, snapshot)._replace(lacks_fix=fix is not None)
    report = session.answers.status(answer, head, notes, following, everything, gate)
    last = next((one for one in reversed(events) if one.scope == answer.view.state.scope), None)
    if (
        last is not None
        and last.kind is Kind.GAVE_UP
        and answer.agent is not None
        and last.agent == answer.agent.id
    ):
        # Who gave up is not sent into the same claim again.
        report = report._replace(next=following)
    return report._replace(extra={**report.extra, "flaky": flaky_facts(found), **engine_facts(reach)})


def claim(session: Session, again: str | None) -> Report:
    """`buildguard claim`: become the fixer, if nobody is. `again` is the command line that repeats this."""
    guard = session.required()
    answer = guard.failed(None)
    if answer.outcome is not Outcome.BUSY:
        return session.answers.claimed(answer)
    lost = phrases.superseded(guard.history(), answer.agent)
    above = ancestor_holding(answer.view)
    report = session.answers.held_above(answer, "", above, again) if above else session.answers.claimed(answer)
    return report._replace(lines=(*report.lines, *lost))


def wait(session: Session, timeout: float, again: str | None) -> Report:
    """`buildguard wait`: until no other live agent holds a claim here, at most `timeout` seconds. `again` is the
    command line that repeats this."""
    guard = session.required()
    with suppress(*FAULTS):  # a waiter may have no right to write
        guard.alive()
    _settled(session, guard)
    lost = phrases.superseded(guard.history(), guard.me)
    moment = watch(session, guard, timeout)
    above = ancestor_holding(moment.holder) if moment.holder else None
    if above is None:
        report = session.answers.waited(moment, guard.me)
    else:
        answer = Answer(Outcome.BUSY, moment.concerning, moment.snapshot, guard.me)
        report = session.answers.held_above(answer, "", above, again)
        if report.next == session.answers.next("wait"):
            # It would end at once again.
            report = report._replace(next=session.answers.next("status"))
    return report._replace(lines=(*report.lines, *lost))


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


def history(session: Session, limit: int) -> tuple[list[Event], float, list[Flake]]:
    """The newest `limit` events, oldest first, the time (seconds since the epoch), and what is flaky."""
    guard = session.required()
    return guard.history(limit), time.time(), flakes(guard.read().proofs)


def drawn(session: Session, limit: int, file: Path) -> Report:
    """`buildguard log --html`: the newest `limit` events as a page. Raises `SettingsError` where it cannot be
    written."""
    from buildguard.ui.webpage import page

    events, now, _ = history(session, limit)
    text = page(events, session.required().read().proofs, now, session.settings.build)
    try:
        file.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise SettingsError(f"--html: {file} cannot be written ({error.strerror})") from error
    return Report("log", Exit.OK, (f"written: {file}, {len(events)} events",))


def _settled(session: Session, guard: Guard) -> Snapshot:
    """What is read, after a commit that has landed meanwhile was told to all."""
    snapshot = guard.read(fresh=True)
    return guard.read() if landing.Watch(session).look(snapshot) else snapshot


def head_of(session: Session, snapshot: Snapshot) -> Head:
    """What is known of HEAD: only a run on exactly its tree counts, of the check that is set where one is."""
    repository, check = session.repository, session.settings.check
    if repository is None or not repository.head:
        return Head("")
    of_head = [
        proof
        for proof in snapshot.proofs
        if proof.files == repository.tree and (check is None or proof.check == check.text)
    ]
    # Without a check that is set, each that ever ran on this very tree has to have passed last. They come in the
    # order in which they were written: a clock may have been set back since.
    last_of_each: dict[str, Proof] = {}
    for proof in reversed(of_head):
        last_of_each.setdefault(proof.check, proof)
    last = min(last_of_each.values(), key=lambda proof: proof.passed, default=None)
    if last is None:
        return Head(repository.head)
    return Head(repository.head, last.passed, last.agent, last.at)
