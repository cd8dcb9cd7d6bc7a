"""Whose breakage is it: pure, and called inside the transition, so that choosing and claiming are one step.

Only a breakage that others share makes others wait; in doubt, nobody outside this checkout does.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from buildguard.claims.model import REPO, Caller, Event, Evidence, Outcome, Run, Snapshot, State, Status, Step, View

Dead = frozenset[tuple[str, int]]
"""(scope, number) of the claims whose process is known to have ended."""


class Placement(NamedTuple):
    """The scope of a failure and why, in words. `at` is the time (seconds since the epoch) that `{at}` in the
    words stands for. `moved_from` is the checkout whose claim becomes the repository's by this."""

    scope: str
    why: str = ""
    at: float | None = None
    moved_from: str | None = None


def place(snapshot: Snapshot, dead: Dead, caller: Caller, run: Run | None, asked: str | None = None) -> Placement:
    """The first that fits: the scope that was asked for; a claim in this checkout; a breakage elsewhere that
    this run demonstrably has too; this checkout's."""
    if asked is not None:
        return Placement(asked)
    for view in _views(snapshot, dead):
        if _claimed_here(view, caller):
            return Placement(view.state.scope)
    if run is not None:
        for view in _views(snapshot, dead):
            shared = _shared(view, run, _proof(snapshot, run))
            if shared and view.state.scope != caller.checkout:
                return _elsewhere(snapshot, dead, view, shared)
    if run is None and snapshot.view(REPO, dead).held_live_by_another(caller.agent):
        return Placement(REPO, "what everybody builds on is being fixed already")
    why, at = _private(_proof(snapshot, run), run) if run else ("", None)
    return Placement(caller.checkout, why, at)


def move(snapshot: Snapshot, placement: Placement, agent: str) -> tuple[Snapshot, Step | None]:
    """Make the checkout's claim the repository's, if the placement says so: the snapshot as it then stands, and
    what has to be written for it."""
    if placement.moved_from is None:
        return snapshot, None
    old, new = snapshot.state(placement.moved_from), snapshot.state(REPO)
    highest = max(state.number for state in snapshot.states.values())
    number = old.number if old.number > new.number else highest + 1
    opened = old.broken_since if new.broken_since is None else new.broken_since
    moved = old._replace(
        scope=REPO, number=number, revision=new.revision, passed_after=new.passed_after, broken_since=opened
    )
    if new.claim is not None:
        moved = moved._replace(superseded_agent=new.claim.agent, superseded_number=new.number)
    left = old._replace(
        status=Status.PASSING,
        claim=None,
        broken_since=None,
        failures=(),
        began=(),
        staged="",
        check="",
        reason="",
        opened_after=-1,
    )
    event = Event(
        Outcome.SHARED,
        REPO,
        new.status,
        Status.FIXING,
        number,
        agent,
        other=old.claim.agent if old.claim else None,
        failures=old.failures,
        checkout=placement.moved_from,
        check=old.check,
    )
    states = {**snapshot.states, REPO: moved, left.scope: left}
    silences = {**snapshot.silences, REPO: snapshot.silences[old.scope]}
    return snapshot._replace(states=states, silences=silences), Step(Outcome.SHARED, REPO, (left, moved), (event,))


def fixed_elsewhere(snapshot: Snapshot, fixes: Iterable[Event], checkout: str, run: Run) -> Iterator[Event]:
    """Those of the `fixes`, in their order, that were made in another checkout, of what now fails in this run: of
    a breakage that was shared, or of one that is known to be in the HEAD that both began on."""
    in_head = _in_head(_proof(snapshot, run), run)
    for fix in fixes:
        same_head = bool(run.head) and fix.head == run.head
        # What passed on some branch while nobody was fixing may never have been broken there.
        fixed = fix.before is Status.FIXING or same_head
        same = same_failure(fix, run) and (bool(run.failures) or same_head)
        if fix.checkout != checkout and (fix.scope == REPO or (in_head and same_head)) and fixed and same:
            yield fix


def own_change(snapshot: Snapshot, run: Run, fix: Event) -> bool:
    """Whether only what is not committed here can have failed, and not what that fix is of: HEAD is known to pass,
    or to fail otherwise. A shared breakage that was fixed since, on the same HEAD, says that this holds no more."""
    proof = _proof(snapshot, run)
    since = proof is not None and fix.scope == REPO and fix.head == run.head and fix.at > proof.at
    return proof is not None and not since and not _in_head(proof, run)


def _in_head(proof: Evidence | None, run: Run) -> bool:
    """Whether HEAD is known to have what fails in this run: one of its failures or, where neither has any, all."""
    if proof is None or proof.passed:
        return False
    return not set(run.failures).isdisjoint(proof.failures) if run.failures or proof.failures else True


def same_failure(breakage: Event | State, run: Run) -> bool:
    """By failure ids or, where neither has any, as the whole check."""
    if run.failures or breakage.failures:
        return not set(run.failures).isdisjoint(breakage.failures)
    return breakage.check in ("", run.check)


def opened_again(step: Step, fixes: Iterable[Event], run: Run | None) -> Step:
    """The step with the old history attached, if it opens what one of the `fixes` (newest first) had fixed in this
    very tree: one made in this checkout, or the one that is known to have come here."""
    opens = [event for event in step.events if event.before is Status.PASSING and event.after is not Status.PASSING]
    if run is None or not opens:
        return step
    here = (one for one in fixes if one.checkout == run.checkout or one.id == run.has_fix)
    fix = next((one for one in here if same_failure(one, run)), None)
    if fix is None:
        return step
    events = (one._replace(other=fix.agent, fixed_at=fix.at) if one in opens else one for one in step.events)
    return step._replace(events=tuple(events))


def concerning(snapshot: Snapshot, dead: Dead, agent: str | None, checkout: str, asked: str | None = None) -> str:
    """The scope that a command without a failure acts on: the caller's own claim, else a claim that binds its
    checkout, else an open breakage of its checkout or the repository, else its checkout."""
    if asked is not None:
        return asked
    views = list(_views(snapshot, dead))
    here = [view for view in views if view.state.scope in (checkout, REPO) or _made_in(view, checkout)]
    for wanted in (
        [view for view in views if agent is not None and view.held_by(agent) and view in here],
        [view for view in views if agent is not None and view.held_by(agent)],
        [view for view in here if view.state.claim is not None and view.stale is None],
        [view for view in here if view.state.status is not Status.PASSING],
    ):
        if wanted:
            return wanted[0].state.scope
    return checkout


def holding_up(snapshot: Snapshot, dead: Dead, agent: str | None, checkout: str, asked: str | None) -> View | None:
    """The live claim of somebody else that makes this caller wait, if there is one; only that of the scope that
    was asked for, if one was."""
    for view in _views(snapshot, dead):
        binds = view.state.scope in (checkout, REPO) or _made_in(view, checkout)
        if (view.state.scope == asked if asked else binds) and view.held_live_by_another(agent):
            return view
    return None


def _views(snapshot: Snapshot, dead: Dead) -> Iterator[View]:
    for name in sorted(snapshot.states):
        yield snapshot.view(name, dead)


def _made_in(view: View, checkout: str) -> bool:
    return view.state.claim is not None and view.state.claim.checkout == checkout


def _claimed_here(view: View, caller: Caller) -> bool:
    """A claim on or from this checkout that lives, or is the caller's own."""
    if not (view.state.scope == caller.checkout or _made_in(view, caller.checkout)):
        return False
    return view.held_by(caller.agent) or view.held_live_by_another(caller.agent)


def _shared(view: View, run: Run, proof: Evidence | None) -> str:
    """What shows that a breakage elsewhere is this run's too, in words; empty if nothing does."""
    state = view.state
    live = state.claim is not None and view.stale is None
    if state.status is Status.PASSING or not (live or state.scope == REPO):
        return ""
    both = sorted(set(run.failures) & set(state.failures))
    if both:
        more = f" and {len(both) - 1} more" if len(both) > 1 else ""
        return f"{both[0]}{more} fails for {state.claim.agent if state.claim else 'others'} too"
    whole = not run.failures and not state.failures and state.check == run.check
    if whole and run.head and run.head == state.head and not (proof is not None and proof.passed):
        return f"{state.claim.agent if state.claim else 'others'} started from the same commit {run.head[:7]}"
    return ""


def _elsewhere(snapshot: Snapshot, dead: Dead, view: View, why: str) -> Placement:
    """A shared breakage becomes the repository's, unless another claim stands there."""
    if view.state.scope == REPO:
        return Placement(REPO, why)
    repo = snapshot.view(REPO, dead)
    if repo.state.claim is not None and repo.stale is None:
        return Placement(view.state.scope, why)
    return Placement(REPO, why, moved_from=view.state.scope)


def _proof(snapshot: Snapshot, run: Run) -> Evidence | None:
    """What is known of HEAD for this check: from a run by anybody, in a clean work tree."""
    wanted = (run.check, run.head_tree, "")
    known = [found for found in snapshot.evidence if (found.check, found.tree, found.agent) == wanted]
    return known[0] if known and run.head_tree else None


def _private(proof: Evidence | None, run: Run) -> tuple[str, float | None]:
    if proof is None or not run.head:
        return "", None
    if _in_head(proof, run):
        return f"HEAD {run.head[:7]} failed this check at {{at}} too: the breakage was there before", proof.at
    known = "passed this check at {at}" if proof.passed else "failed this check at {at}, but not so"
    return f"HEAD {run.head[:7]} {known}: the breakage is in this checkout's changes", proof.at
