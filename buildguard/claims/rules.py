"""The state machine: who may fix, who must wait, and what ends a breakage.

Pure functions over frozen values: no I/O, no clock, no process. `docs/rules.md` has the same rules as one table;
`tests/unit/test_rules.py` tests every cell of it.
"""

from collections.abc import Callable

from buildguard.claims.model import (
    LANDING,
    Breakage,
    Caller,
    Claim,
    Event,
    Kind,
    Landed,
    Landing,
    Outcome,
    Run,
    Seen,
    State,
    Status,
    Step,
    View,
)

MOST_FAILURES = 400
"""How many failure ids are kept of one breakage; a run tells 200 at the most."""
LONGEST_REASON = 2000
"""How many characters are kept of what those who gave up had to say, the last of them."""


def failed(view: View, caller: Caller, run: Run | None, claiming: bool = True) -> Step:
    """A check failed, or (`run` is None) somebody claims by hand. Without `claiming` it is only reported."""
    return _as_of_now(view, lambda now: _failed(now, caller, run, claiming))


def passed(view: View, agent: str | None, run: Run) -> Step:
    """A check passed, or one that had passed is looked at again because HEAD moved. It ends the breakage only if it
    began after it, ran the same check in a checkout that has it and has not left it, and HEAD holds what made it
    pass."""
    return _as_of_now(view, lambda now: _passed(now, agent, run))


def release(
    view: View, caller: Caller, number: int | None, gave_up: bool, reason: str, commits: tuple[str, ...] = ()
) -> Step:
    """The fixer hands the role back: fixed by its word, or given up (broken, the reason kept, claimable at once).
    `number`, if given, must be the claim's own; `commits` are those made since the claim."""
    return _as_of_now(view, lambda now: _released(now, caller, number, gave_up, reason, commits))


def reset(view: View, agent: str, evict: bool = False) -> Step:
    """Somebody declares the scope passing or, to `evict`, ends only the claim. The number of a claim that this ends
    is used up: its holder is superseded."""
    return _as_of_now(view, lambda now: _reset(now, agent, evict))


def alive(view: View, agent: str) -> State | None:
    """The row with a fresh sign of life, if that agent is its fixer. Renewals write the row, not an event."""
    return _renewed(view) if view.held_by(agent) and not view.over else None


def settled(view: View) -> tuple[State, Event] | None:
    """The end of a breakage that has ended by itself: some of the fix landed, and the time for the rest is over. It
    is said to be not proved. `changed` stays, for a run that is under way has seen as much as any other."""
    state, breakage = view.state, view.state.breakage
    if not view.over or breakage is None or breakage.landed is None:
        return None
    landed, after = breakage.landed, state._replace(breakage=None)
    # It ended when its time was over, not when somebody came by.
    then = view._replace(now=landed.at + LANDING)
    event = _event(then, Kind.FIXED, after, state.claim.agent if state.claim else "")
    event = event._replace(checkout=landed.checkout, head=landed.head, branch=landed.branch, reason="not proved")
    return after, event._replace(commits=landed.commits, contents=landed.contents)


def not_from_the_future(state: State, now: float) -> State | None:
    """The row with each time that lies in the future put to `now`, or None if there is none. A clock that ran ahead
    would else keep its claim alive for as long as it was wrong."""
    breakage = state.breakage
    if breakage is None:
        return None
    claim, landed = breakage.claim, breakage.landed
    if claim is not None:
        claim = claim._replace(seen_at=min(claim.seen_at, now), claimed_at=min(claim.claimed_at, now))
    if landed is not None:
        landed = landed._replace(at=min(landed.at, now))
    after = breakage._replace(claim=claim, landed=landed, since=min(breakage.since, now))
    return state._replace(breakage=after) if after != breakage else None


def _failed(view: View, caller: Caller, run: Run | None, claiming: bool) -> Step:
    state, breakage = view.state, view.state.breakage
    if run is not None and breakage is None and 0 <= run.seen <= state.changed:
        return Step(Outcome.OUTDATED, state.scope)
    if run is not None and breakage is not None and _of_another_check(breakage, run):
        return Step(Outcome.ANOTHER_CHECK, state.scope)
    if view.held_by(caller.agent):
        return Step(Outcome.RENEWED, state.scope, (_tried_again(view, caller, run),), why=_elsewhere(view, caller))
    if view.held_live_by_another(caller.agent):
        return _joined(view, caller, run, Outcome.BUSY)
    if claiming:
        return _claimed(view, caller, run)
    if breakage is not None:
        # A stale claim holds nobody up: to answer busy would make a waiter check again without a pause.
        return _joined(view, caller, run, Outcome.REPORTED)
    after = state._replace(breakage=_opened(view, caller, run), changed=view.last_event, last_check=view.now)
    return Step(Outcome.REPORTED, state.scope, (after,), (_made(view, Kind.REPORTED, after, caller, run),))


def _passed(view: View, agent: str | None, run: Run) -> Step:
    state, breakage = view.state, view.state.breakage
    checked = state._replace(last_check=view.now)
    if breakage is None:
        return Step(Outcome.PASSED, state.scope, (checked,))
    if breakage.check not in ("", run.check):
        return Step(Outcome.PASSED, state.scope)
    if view.held_by(agent):
        checked = _renewed(view)._replace(last_check=view.now)
    seen = breakage.seen.get(run.checkout)
    if seen is None or run.seen <= state.changed:
        return Step(Outcome.PASSED, state.scope, (checked,))
    if not run.still_at(seen):
        return Step(Outcome.LEFT, state.scope, (_without(checked, run.checkout),))
    outcome, landing = _come_to(seen, run)
    if view.held_live_by_another(agent) and not (outcome is Outcome.FIXED and run.clean):
        return Step(Outcome.PASSED, state.scope, (checked,))
    if outcome is Outcome.LANDED:
        return _landed(view, checked, agent, run, landing)
    if outcome is Outcome.PENDING:
        return Step(outcome, state.scope, (checked,))
    after = _closed(view)._replace(last_check=view.now)
    kind = Kind.FIXED if outcome is Outcome.FIXED else Kind.RECOVERED
    return Step(outcome, state.scope, (after,), (_of_fix(_event(view, kind, after, agent), run, landing),))


def _released(
    view: View, caller: Caller, number: int | None, gave_up: bool, reason: str, commits: tuple[str, ...]
) -> Step:
    state = view.state
    if state.breakage is None or state.claim is None:
        return Step(Outcome.NOTHING_HELD, state.scope)
    if not view.held_by(caller.agent) or number not in (None, state.number):
        return Step(Outcome.NOT_YOURS, state.scope)
    if gave_up:
        kept = "; ".join(filter(None, (state.breakage.reason, reason)))[-LONGEST_REASON:]
        # What landed so far must not end by time what its own maker calls unfixed.
        after = state._replace(breakage=state.breakage._replace(claim=None, reason=kept, landed=None))
        event = _event(view, Kind.GAVE_UP, after, caller.agent)
        return Step(Outcome.GAVE_UP, state.scope, (after,), (event._replace(reason=reason),))
    after = _closed(view)
    event = _made(view, Kind.RELEASED, after, caller, None)._replace(reason=reason, commits=commits)
    return Step(Outcome.RELEASED, state.scope, (after,), (event,))


def _reset(view: View, agent: str, evict: bool) -> Step:
    state = view.state
    if evict and state.claim is None:
        return Step(Outcome.NOTHING_HELD, state.scope)
    if state.breakage is None:
        return Step(Outcome.RESET, state.scope)
    after = state._replace(breakage=state.breakage._replace(claim=None)) if evict else _closed(view)
    if state.claim is not None and not view.held_by(agent):
        after = after._replace(number=view.next_number)
    kind, outcome = (Kind.EVICTED, Outcome.EVICTED) if evict else (Kind.RESET, Outcome.RESET)
    return Step(outcome, state.scope, (after,), (_event(view, kind, after, agent),))


def _of_another_check(breakage: Breakage, run: Run) -> bool:
    """Whether this run is of another check, and shows nothing of what this breakage is."""
    other = breakage.check not in ("", run.check)
    return other and set(breakage.failures).isdisjoint(run.failures)


def _come_to(seen: Seen, run: Run) -> tuple[Outcome, Landing]:
    """How far a fix has come, by what HEAD holds of what made the check pass."""
    landing = next((one for one in run.landings if one.failed == seen.files), None)
    if landing is None:
        # Of unknown files only a clean pass shows that all is in. Claimed by hand, any commit since may be the fix.
        fixed = run.clean or (seen.files is None and run.head != seen.head)
        return (Outcome.FIXED if fixed else Outcome.PENDING), Landing("")
    if not landing.changed:
        return Outcome.RECOVERED, landing
    if not landing.loose:
        return Outcome.FIXED, landing
    some = len(landing.loose) < len(landing.changed)
    return (Outcome.LANDED if some else Outcome.PENDING), landing


def _landed(view: View, checked: State, agent: str | None, run: Run, landing: Landing) -> Step:
    """Some of the fix is committed: keep what is not, and since when."""
    if checked.breakage is None:
        raise ValueError("only a fix of a breakage can land")
    before = checked.breakage.landed
    since = before.at if before else view.now
    landed = Landed(since, run.checkout, landing.loose, run.head, run.branch, landing.commits, landing.changed)
    after = checked._replace(breakage=checked.breakage._replace(landed=landed))
    event = _of_fix(_event(view, Kind.LANDED, after, agent), run, landing)
    news = before is None or before.loose != landed.loose
    return Step(Outcome.LANDED, view.state.scope, (after,), (event,) if news else ())


def _claimed(view: View, caller: Caller, run: Run | None) -> Step:
    state = view.state
    claim = Claim(
        caller.agent,
        caller.checkout,
        view.now,
        view.now,
        caller.stale_after,
        caller.max_claim,
        caller.process,
    )
    after = state._replace(
        number=view.next_number,
        changed=view.last_event if state.breakage is None else state.changed,
        last_check=view.now if run else state.last_check,
        breakage=_opened(view, caller, run)._replace(claim=claim, landed=None),
    )
    if state.claim is None:
        event = _made(view, Kind.CLAIMED, after, caller, run)
        return Step(Outcome.CLAIMED, state.scope, (after,), (event,))
    event = _made(view, Kind.TAKEN_OVER, after, caller, run)._replace(reason=str(view.stale))
    return Step(Outcome.TAKEN_OVER, state.scope, (after,), (event,))


def _elsewhere(view: View, caller: Caller) -> str:
    """What to say of a claim that another process of the same session made: it may be another sub-agent's."""
    claim = view.state.claim
    if claim is None or None in (claim.process, caller.process) or claim.process == caller.process:
        return ""
    ago = f"{max(0.0, view.now - claim.seen_at):.0f} s"
    return f"renewed by this session {ago} ago; if that was another sub-agent, use --agent"


def _tried_again(view: View, caller: Caller, run: Run | None) -> State:
    """The row after the fixer's own failure: another attempt, and the last run's failures."""
    after = _renewed(view)
    if run is None or after.breakage is None or after.breakage.claim is None:
        return after
    claim = after.breakage.claim
    claim = claim._replace(attempts=claim.attempts + 1, process=caller.process)
    breakage = _opened(view, caller, run)._replace(claim=claim, landed=None)
    return after._replace(breakage=breakage, last_check=view.now)


def _joined(view: View, caller: Caller, run: Run | None, outcome: Outcome) -> Step:
    """This checkout has the breakage, too: its first failing run here is kept. Two make it everybody's."""
    state, breakage = view.state, view.state.breakage
    if breakage is None or run is None:
        return Step(outcome, state.scope)
    seen = _seen(view, breakage, caller, run)
    if seen == breakage.seen:
        return Step(outcome, state.scope)
    after = state._replace(breakage=breakage._replace(seen=seen))
    event = _made(view, Kind.SHARED, after, caller, run)
    return Step(outcome, state.scope, (after,), (event,) if after.shared and not state.shared else ())


def _opened(view: View, caller: Caller, run: Run | None) -> Breakage:
    """The breakage as it stands after this failure; one that was open already keeps its beginning."""
    breakage = view.state.breakage
    if breakage is None:
        breakage = Breakage(run.check if run else "", view.now, run.failures if run else ())
    elif run is not None and not breakage.check:
        # Claimed by hand: only now is it known what fails.
        breakage = breakage._replace(check=run.check, began=run.failures)
    if run is not None:
        known = dict.fromkeys((*breakage.began, *run.failures))
        breakage = breakage._replace(failures=tuple(known)[:MOST_FAILURES])
    return breakage._replace(seen=_seen(view, breakage, caller, run))


def _seen(view: View, breakage: Breakage, caller: Caller, run: Run | None) -> dict[str, Seen]:
    """The checkouts that have it, this one too. Later failures never change the files: the fix of every attempt but
    the last would be forgotten. But a checkout that has switched away and fails there begins anew, or no pass there
    would ever count. Checkouts that are gone leave."""
    here = Seen(run.head, run.branch, run.files) if run else Seen(caller.head, caller.branch, None)
    known = breakage.seen.get(caller.checkout)
    if known is not None and (run is None or (known.files is not None and run.still_at(known))):
        here = known
    others = {name: one for name, one in breakage.seen.items() if name not in view.gone}
    return {**others, caller.checkout: here}


def _renewed(view: View) -> State:
    state = view.state
    if state.breakage is None or state.breakage.claim is None:
        raise ValueError("only a held claim can be renewed")
    claim = state.breakage.claim._replace(seen_at=view.now)
    return state._replace(breakage=state.breakage._replace(claim=claim))


def _without(state: State, checkout: str) -> State:
    """The row after a checkout has left the breakage. The claim's own checkout and the last one stay: no later run
    could end the breakage when they come back."""
    breakage = state.breakage
    held_here = state.claim is not None and state.claim.checkout == checkout
    if breakage is None or held_here or len(breakage.seen) == 1:
        return state
    seen = {name: one for name, one in breakage.seen.items() if name != checkout}
    return state._replace(breakage=breakage._replace(seen=seen))


def _closed(view: View) -> State:
    return view.state._replace(breakage=None, changed=view.last_event)


def _as_of_now(view: View, transition: Callable[[View], Step]) -> Step:
    """The step from where the scope stands now: a breakage that is over by time ends first, in the same write."""
    end = settled(view)
    if end is None:
        return transition(view)
    after, event = end
    step = transition(view._replace(state=after, stale=None))
    return step._replace(states=step.states or (after,), events=(event, *step.events))


def _event(view: View, kind: Kind, after: State, agent: str | None) -> Event:
    """What happened to this breakage; its fixer is named where somebody else did it."""
    state, breakage = view.state, after.breakage or view.state.breakage
    if breakage is None:
        raise ValueError("nothing happens without a breakage")
    event = Event(
        kind,
        state.scope,
        after.number,
        agent or "",
        check=breakage.check,
        failures=breakage.began or breakage.failures,
        before=state.status,
        after=after.status,
        seen=tuple(sorted(breakage.seen)),
        heads=tuple(sorted({seen.head for seen in breakage.seen.values() if seen.head})),
    )
    if after.status is Status.PASSING:
        event = event._replace(lasted=max(0.0, view.now - breakage.since))
    if state.claim is not None:
        other = None if view.held_by(agent) else state.claim.agent
        event = event._replace(attempts=state.claim.attempts, other=other)
    return event


def _made(view: View, kind: Kind, after: State, caller: Caller, run: Run | None) -> Event:
    """An event of a failure, with where it was seen."""
    event = _event(view, kind, after, caller.agent)
    head, branch = (run.head, run.branch) if run else (caller.head, caller.branch)
    return event._replace(checkout=caller.checkout, head=head, branch=branch)


def _of_fix(event: Event, run: Run, landing: Landing) -> Event:
    """The event with what others need to find the fix. A fix without commits went back to what was there before:
    there is nothing to hand on."""
    back = event.kind is Kind.FIXED and bool(landing.changed) and not landing.commits
    return event._replace(
        checkout=run.checkout,
        head=run.head,
        branch=run.branch,
        commits=landing.commits,
        contents=landing.changed,
        reason=f"by going back to {run.head[:7]}" if back and run.head else event.reason,
    )
