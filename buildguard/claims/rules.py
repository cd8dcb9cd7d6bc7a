"""The state machine: who may fix, who must wait, and what ends a breakage.

Pure functions over frozen values: no I/O, no clock, no process. `docs/design.md`, section 3, has the same
rules as one table; `tests/unit/test_rules.py` tests every cell of it.
"""

from buildguard.claims.model import Caller, Claim, Event, Outcome, Run, State, Status, Step, View

MOST_FAILURES = 400
"""How many failure ids are kept of one breakage; a run tells 200 at the most."""


def failed(view: View, caller: Caller, run: Run | None, claiming: bool = True) -> Step:
    """A check failed, or (`run` is None) somebody claims by hand."""
    state = view.state
    if run is not None and state.passed_after >= 0 and run.seen <= state.passed_after:
        return Step(Outcome.OUTDATED, state.scope)
    if view.held_by(caller.agent):
        return _renewed(view, caller, run)
    if view.held_live_by_another(caller.agent):
        return Step(Outcome.BUSY, state.scope)
    if claiming:
        return _claimed(view, caller, run)
    if state.status is Status.PASSING:
        return _reported(view, caller, run)
    return Step(Outcome.REPORTED if state.claim is None else Outcome.BUSY, state.scope)


def passed(view: View, caller: Caller | None, run: Run) -> Step:
    """A check passed. It resolves the breakage only if it began after it, ran the same check, and ran where the
    claim was made: in its checkout or, if the fixer moved, on the HEAD that it began on. What passed only with
    edits that are not committed ends no other live fixer's claim: they may be its fix, half done."""
    state = view.state
    mine = caller is not None and view.held_by(caller.agent)
    seen = state._replace(last_check=view.now, updated_at=view.now)
    if mine and seen.claim is not None:
        seen = seen._replace(claim=seen.claim._replace(seen_at=view.now))
    if state.status is Status.PASSING or not _resolves(view, mine, run):
        return Step(Outcome.PASSED, state.scope, (seen,))
    event = _event(view, Outcome.FIXED, Status.PASSING, caller, run)
    after = _passing(view, caller.agent if caller else None)._replace(last_check=view.now)
    return Step(Outcome.FIXED, state.scope, (after,), (event,))


def release(
    view: View, caller: Caller, number: int | None, gave_up: bool, reason: str, run: Run | None = None
) -> Step:
    """The fixer hands the role back: fixed by its word, or given up (broken, the reason kept, claimable at
    once). `number`, if given, must be the claim's own."""
    state = view.state
    if number is not None and state.number != number and state.claim is not None:
        return Step(Outcome.NOT_YOURS, state.scope)
    if state.claim is None:
        return Step(Outcome.NOTHING_HELD, state.scope)
    if not view.held_by(caller.agent):
        return Step(Outcome.NOT_YOURS, state.scope)
    if gave_up:
        after = state._replace(status=Status.BROKEN, claim=None, reason=reason, updated_at=view.now)
        event = _event(view, Outcome.GAVE_UP, Status.BROKEN, caller, run, reason)
        return Step(Outcome.GAVE_UP, state.scope, (after,), (event,))
    event = _event(view, Outcome.RELEASED, Status.PASSING, caller, run, reason)
    return Step(Outcome.RELEASED, state.scope, (_passing(view, caller.agent),), (event,))


def reset(view: View, agent: str) -> Step:
    """Somebody declares the scope passing. A claim that this ends is superseded: its number is used up."""
    state = view.state
    if state.status is Status.PASSING:
        return Step(Outcome.RESET, state.scope)
    after = _passing(view, agent)
    if state.claim is not None:
        after = after._replace(number=view.next_number)
    event = _event(view, Outcome.RESET, Status.PASSING, None, None)._replace(
        agent=agent,
        number=after.number,
        other=state.claim.agent if state.claim else None,
    )
    return Step(Outcome.RESET, state.scope, (after,), (event,))


def alive(view: View, agent: str) -> State | None:
    """The row with a fresh sign of life, if that agent is its fixer. Renewals write the row, not an event."""
    claim = view.state.claim
    if claim is None or claim.agent != agent:
        return None
    return view.state._replace(claim=claim._replace(seen_at=view.now), updated_at=view.now)


def _resolves(view: View, mine: bool, run: Run) -> bool:
    state = view.state
    if run.seen <= state.opened_after or state.check not in ("", run.check):
        return False
    if state.claim is None:
        return True
    if state.claim.checkout == run.checkout:
        return mine or view.stale is not None or not run.loose
    # The fixer's other branches may never have been broken.
    return mine and bool(run.head) and run.head == state.head


def _renewed(view: View, caller: Caller, run: Run | None) -> Step:
    state = view.state
    if state.claim is None:
        raise ValueError("only a held claim can be renewed")
    claim = state.claim._replace(seen_at=view.now, process=caller.process)
    after = state._replace(claim=claim, updated_at=view.now)
    if run is not None:
        claim = claim._replace(attempts=claim.attempts + 1)
        after = after._replace(claim=claim, last_check=view.now, staged=run.staged or state.staged)
        if not state.check:
            after = after._replace(check=run.check, began=run.failures)
        if after.check == run.check:
            after = after._replace(failures=_known(after.began, run.failures))
    return Step(Outcome.RENEWED, state.scope, (after,))


def _claimed(view: View, caller: Caller, run: Run | None) -> Step:
    state = view.state
    opened = _opened(view, run)
    claim = Claim(
        caller.agent,
        caller.checkout,
        view.now,
        view.now,
        caller.stale_after,
        caller.max_claim,
        caller.process,
    )
    head = run.head if run else caller.head
    staged = run.staged if run else ""
    after = opened._replace(status=Status.FIXING, number=view.next_number, claim=claim, head=head, staged=staged)
    outcome = Outcome.CLAIMED
    if state.claim is not None:
        outcome = Outcome.TAKEN_OVER
        after = after._replace(superseded_agent=state.claim.agent, superseded_number=state.number)
    elif state.superseded_agent == caller.agent:
        after = after._replace(superseded_agent=None, superseded_number=None)
    event = _event(view, outcome, Status.FIXING, caller, run)._replace(number=after.number)
    if state.claim is not None:
        event = event._replace(other=state.claim.agent, reason=str(view.stale))
    return Step(outcome, state.scope, (after,), (event,))


def _reported(view: View, caller: Caller, run: Run | None) -> Step:
    after = _opened(view, run)._replace(status=Status.BROKEN)
    event = _event(view, Outcome.REPORTED, Status.BROKEN, caller, run)
    return Step(Outcome.REPORTED, view.state.scope, (after,), (event,))


def _opened(view: View, run: Run | None) -> State:
    """The row of an open breakage; one that was open already keeps its beginning."""
    state = view.state._replace(updated_at=view.now)
    if run is not None:
        known = _known(state.began, run.failures)
        state = state._replace(last_check=view.now, began=known, failures=known)
    if view.state.status is not Status.PASSING and (run is None or run.check == state.check):
        return state
    if run is not None:
        state = state._replace(began=run.failures, failures=run.failures)
    if run is not None and view.state.status is not Status.PASSING:
        # Another check than the one that broke: its own pass has to end what its failure claims.
        return state._replace(check=run.check, head=run.head, opened_after=view.last_event)
    return state._replace(
        broken_since=view.now,
        opened_after=view.last_event,
        check=run.check if run else "",
        head=run.head if run else "",
        reason="",
    )


def _known(began: tuple[str, ...], last: tuple[str, ...]) -> tuple[str, ...]:
    """The failures of an open breakage: those that it began with, for whoever shares them must find it when the
    fixer has come further and fails elsewhere; and the last run's. What the fixer broke and mended in between is
    nobody else's."""
    return tuple(dict.fromkeys((*began, *last)))[:MOST_FAILURES]


def _passing(view: View, agent: str | None) -> State:
    """The row after the breakage ended; a fixer that did not end it itself is remembered as superseded."""
    state = view.state._replace(
        status=Status.PASSING,
        claim=None,
        check="",
        broken_since=None,
        reason="",
        failures=(),
        began=(),
        staged="",
        passed_after=view.last_event,
        updated_at=view.now,
    )
    fixer = view.state.claim
    if fixer is not None and fixer.agent != agent:
        state = state._replace(superseded_agent=fixer.agent, superseded_number=view.state.number)
    return state


def _event(
    view: View, kind: Outcome, after: Status, caller: Caller | None, run: Run | None, reason: str = ""
) -> Event:
    state = view.state
    agent = caller.agent if caller else ""
    event = Event(
        kind,
        state.scope,
        state.status,
        after,
        state.number,
        agent,
        reason=reason,
        failures=state.began or state.failures or (run.failures if run else ()),
        check=state.check or (run.check if run else ""),
    )
    if after is Status.PASSING and state.broken_since is not None:
        event = event._replace(lasted=view.now - state.broken_since)
    if state.claim is not None:
        event = event._replace(attempts=state.claim.attempts)
        if event.agent != state.claim.agent:
            event = event._replace(other=state.claim.agent)
    if caller is not None:
        event = event._replace(checkout=caller.checkout)
    return event if run is None else _made_of(event, state, run)


def _made_of(event: Event, state: State, run: Run) -> Event:
    """The event with where it was made and, of a fix, of what."""
    event = event._replace(
        checkout=run.checkout, head=run.head, tree=run.tree, branch=run.branch, committing=run.committing
    )
    claim = state.claim
    anothers = claim is not None and claim.agent != event.agent
    if run.loose and (anothers or (run.staged and run.staged == state.staged)):
        # The fixer's edits, or this very commit failed before: what mended it is not in this commit.
        return event._replace(tree=run.loose, committing=False)
    here = claim is not None and claim.checkout == run.checkout
    if event.after is Status.PASSING and here and not (run.committing or run.loose):
        # Nothing is left to be committed: the fix is what was committed since the claim.
        return event._replace(head=state.head or run.head)
    return event
