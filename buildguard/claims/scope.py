"""Whose breakage is it: pure, and called inside the transition, so that choosing and claiming are one step.

Only a breakage that others share makes others wait; in doubt, nobody outside this checkout does.
"""

from collections.abc import Collection, Iterable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from buildguard.claims.model import REPO, Breakage, Caller, Event, Kind, Run, Snapshot, State, Status, Step, View

FIXES = (Kind.FIXED, Kind.RELEASED)
"""The events after which there may be commits that mend what fails."""
_PROSE = (".md", ".rst", ".adoc")
_PROSE_NAMES = (
    "readme",
    "changelog",
    "changes",
    "license",
    "licence",
    "copying",
    "authors",
    "notice",
    "contributing",
)


class Placement(NamedTuple):
    """The scope of a failure and why, in words."""

    scope: str
    why: str = ""


def place(snapshot: Snapshot, caller: Caller, run: Run | None, asked: str | None = None) -> Placement:
    """The first that fits: the scope that was asked for; a live claim of this checkout; a breakage elsewhere that
    this run demonstrably has too; this checkout's."""
    if asked is not None:
        return Placement(asked)
    for view in snapshot.views():
        if _claimed_here(view, caller):
            return Placement(view.state.scope)
    if run is None:
        return Placement(concerning(snapshot, caller.agent, caller.checkout))
    # A claim that lives comes first: what it is about must not be claimed once more elsewhere.
    for view in sorted(snapshot.views(), key=lambda view: not view.held_live_by_another(None)):
        why = "" if view.over or view.state.scope == caller.checkout else _shared(view.state, run)
        if why:
            return Placement(view.state.scope, why)
    return Placement(
        caller.checkout, f"HEAD {run.head[:7]} passed: this checkout's changes fail" if run.good else ""
    )


def concerning(snapshot: Snapshot, agent: str | None, checkout: str, asked: str | None = None) -> str:
    """The scope that a command without a failure acts on: the caller's own claim, else a claim that binds its
    checkout, else an open breakage that it has, else its checkout."""
    if asked is not None:
        return asked
    views = [view for view in snapshot.views() if not view.over]
    here = [view for view in views if view.state.had_in(checkout)]
    for wanted in (
        [view for view in here if view.held_by(agent)],
        [view for view in views if view.held_by(agent)],
        [view for view in here if view.state.claim is not None and view.stale is None],
        here,
    ):
        if wanted:
            return wanted[0].state.scope
    return checkout


def holding_up(
    snapshot: Snapshot, agent: str | None, checkout: str, asked: str | None = None, failed_since: bool = False
) -> View | None:
    """The live claim of somebody else that makes this caller wait, if there is one; only that of the scope that
    was asked for, if one was. Once some of a fix has landed in this checkout its files pass: nobody waits here for
    the rest, unless the check has failed since (`failed_since`)."""
    for view in snapshot.views():
        state = view.state
        binds = state.scope == asked if asked else state.had_in(checkout)
        passes_here = landed_in(state, checkout) and not failed_since
        if binds and view.held_live_by_another(agent) and not (passes_here or view.over):
            return view
    return None


def landed_in(state: State, checkout: str) -> bool:
    """Whether some of the fix has landed in that checkout."""
    landed = state.breakage.landed if state.breakage else None
    return landed is not None and landed.checkout == checkout


def fixed_elsewhere(events: Iterable[Event], run: Run) -> Iterator[Event]:
    """The fixes of what fails in this run, newest first, that were made in another checkout and have commits to
    hand on. None if HEAD passes: then only what is not committed here can have failed."""
    if run.good:
        return
    for event in reversed(tuple(events)):
        same = same_failure(event, run) and (bool(run.failures) or run.head in event.heads)
        if event.kind in FIXES and event.commits and event.checkout != run.checkout and same:
            yield event


def same_failure(breakage: Event | Breakage, run: Run) -> bool:
    """By failure ids or, where neither has any, as the whole check."""
    if run.failures or breakage.failures:
        return not set(run.failures).isdisjoint(breakage.failures)
    return breakage.check in ("", run.check)


def opened_again(step: Step, events: Iterable[Event], run: Run | None) -> Step:
    """The step with the old history attached, if it opens what had been fixed in this very tree: in this checkout,
    or by the fix that is known to have come here."""
    opens = [event for event in step.events if event.before is Status.PASSING and event.after is not Status.PASSING]
    if run is None:
        return step
    ends = (one for one in reversed(tuple(events)) if one.kind in (*FIXES, Kind.RECOVERED))
    here = (one for one in ends if one.checkout == run.checkout or one.id == run.fixed)
    fix = next((one for one in here if same_failure(one, run)), None)
    if fix is None:
        return step
    told = (one._replace(other=fix.agent, fixed_at=fix.at) if one in opens else one for one in step.events)
    return step._replace(events=tuple(told))


def in_progress(
    staged: Collection[str], loose: Collection[str], failures: Iterable[str], since_pass: Collection[str]
) -> tuple[str, ...]:
    """The loose paths that must be why a commit's check fails, on a HEAD that passes; none if a path of the commit
    (`staged`) can be. `since_pass` are the paths that differ from files that passed here; empty if not known."""
    innocent = set(since_pass).isdisjoint(staged) and not set(since_pass).isdisjoint(loose)
    ids = tuple(failures)
    ours = any(_lies_in(failure, path) for failure in ids for path in staged)
    theirs = any(_lies_in(failure, path) for failure in ids for path in loose)
    suspects = tuple(path for path in loose if path not in staged)
    return suspects if innocent or (not ours and (theirs or all(map(_is_prose, staged)))) else ()


def _lies_in(failure: str, path: str) -> bool:
    """Whether a failure id begins with that very path."""
    return failure.startswith(path) and failure[len(path) : len(path) + 1] in ("", ":", " ", "(")


def _is_prose(path: str) -> bool:
    """Whether no check can fail because of this file: it is read by people."""
    name = PurePosixPath(path).name.lower()
    stem, _, suffix = name.partition(".")
    return name.endswith(_PROSE) or (stem in _PROSE_NAMES and suffix in ("", "txt", "html", "old"))


def _claimed_here(view: View, caller: Caller) -> bool:
    """A claim of this checkout that lives, or is the caller's own."""
    claim = view.state.claim
    if claim is None or view.over or caller.checkout not in (view.state.scope, claim.checkout):
        return False
    return view.held_by(caller.agent) or view.held_live_by_another(caller.agent)


def _shared(state: State, run: Run) -> str:
    """What shows that a breakage elsewhere is this run's too, in words; empty if nothing does. What fails on a HEAD
    that passes is this checkout's own change."""
    breakage = state.breakage
    if breakage is None or run.good:
        return ""
    others = state.claim.agent if state.claim else "others"
    both = sorted(set(run.failures) & set(breakage.failures))
    if both:
        more = f" and {len(both) - 1} more" if len(both) > 1 else ""
        return f"{both[0]}{more} fails for {others} too"
    whole = not run.failures and not breakage.failures and breakage.check == run.check
    if whole and run.head and run.head in {seen.head for seen in breakage.seen.values()}:
        return f"{others} started from the same commit {run.head[:7]}"
    # A pull of something else gives this checkout another HEAD, and must not give the breakage a second fixer.
    here = breakage.seen.get(run.checkout)
    if whole and here is not None and run.still_at(here):
        return f"it failed here before, as for {others}"
    if state.scope == REPO and breakage.check in ("", run.check) and not breakage.failures:
        return f"{others} claimed it for the whole repository"
    return ""
