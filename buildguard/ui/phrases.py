"""The phrases that all answers are made of: scopes, who holds what since when, what happened. Pure."""

from collections.abc import Sequence

from buildguard.claims.flakiness import Flake
from buildguard.claims.guard import Answer, Identity
from buildguard.claims.model import (
    REPO,
    Claim,
    Event,
    Kind,
    Landed,
    Outcome,
    Stale,
    State,
    Status,
    View,
    Waiter,
    stale_in,
)
from buildguard.claims.store import Reach
from buildguard.text import ago, clock, shortened, some, span

CLAIMS = (Kind.CLAIMED, Kind.TAKEN_OVER)
UNKNOWN_HEAD = "no breakage known"
"""Of a HEAD that nobody has checked nobody knows that it passes."""
SHOWN_IDS = 3
"""How many failure ids a message names, one a line."""


def place(scope: str, checkout: str = "") -> str:
    """A scope in words."""
    if scope == REPO:
        return "the repository"
    return "this checkout" if scope == checkout else scope.replace(":", " ", 1)


def place_of(state: State, checkout: str = "") -> str:
    """Whose breakage a state's is, in words: what two checkouts have is the repository's."""
    return place(REPO if state.shared else state.scope, checkout)


def who(agent: Identity) -> str:
    """The caller, and where its id came from if it has not named itself."""
    source = "" if getattr(agent, "given", True) else getattr(agent, "source", "")
    return f"{agent.id} (from {source})" if source else agent.id


def failing(failures: Sequence[str], what: str = "failing") -> list[str]:
    """The first failure ids, one a line, and how many more there are."""
    lines = [f"{what}: {failure}" for failure in failures[:SHOWN_IDS]]
    more = len(failures) - SHOWN_IDS
    return [*lines, f"{what}: {more} more"] if more > 0 else lines


def holder(view: View, now: float) -> str:
    """Who fixes, since when, when it was last heard of, and when it may be taken over if it stays silent."""
    claim = view.state.claim
    if claim is None:
        return "nobody is fixing"
    said = f"{claim.agent} is fixing since {ago(claim.claimed_at, now)}, claim {view.state.number}"
    if claim.attempts > 1:
        said += f", attempt {claim.attempts}"
    said += f", last seen {span(max(0.0, now - claim.seen_at))} ago"
    if view.stale:
        return f"{said}; stale: {stale_words(view.stale, claim)}"
    return f"{said}, may be taken over from {clock(now + stale_in(claim, now), now)} on"


def waited_for(view: View, waiters: Sequence[Waiter], me: Identity | None) -> list[str]:
    """Who waits for the fixer, if anybody does."""
    claim = view.state.claim
    since = {one.agent: one.since for one in reversed(waiters) if one.scope == view.state.scope}
    names = [f"{agent} since {clock(at, view.now)}" for agent, at in reversed(since.items())]
    if claim is None or not names:
        return []
    whom = "you" if me is not None and me.id == claim.agent else claim.agent
    verb = "waits for" if len(names) == 1 else "wait for"
    return [f"{len(names)} {verb} {whom}: {some(names)}"]


def at_stake(view: View, now: float, checkout: str, build: str) -> str:
    """What a reset would end, in one line."""
    claimed = f"; {holder(view, now)}" if view.state.claim is not None else ""
    return headline(view.state, checkout, build) + claimed


def waiting(view: View, now: float) -> str:
    """Who is waited for; the same words as long as nothing changes."""
    claim = view.state.claim
    if claim is None:
        return "nobody is fixing"
    attempt = f", attempt {claim.attempts}" if claim.attempts > 1 else ""
    return f"{claim.agent} is fixing since {clock(claim.claimed_at, now)}, claim {view.state.number}{attempt}"


def in_part(landed: Landed) -> str:
    """What is committed of a fix, and what is not."""
    where = f" in {landed.commits[-1][:12]}" if landed.commits else ""
    return f"fixed in part{where}, not committed yet: {some(landed.loose)}"


def stale_words(stale: Stale | str, claim: Claim | None) -> str:
    """Why a claim may be taken over; exactly, if its terms are at hand."""
    if stale == Stale.SILENT:
        return f"no sign of life for {span(claim.stale_after)}" if claim else "silent for too long"
    if stale == Stale.HELD_TOO_LONG:
        return f"held for longer than {span(claim.max_claim)}" if claim else "held for too long"
    return str(stale)


def headline(state: State, checkout: str, build: str, known: str = Status.PASSING.value) -> str:
    """The state of a scope in one line; `known` is the word where no breakage is open."""
    word = known if state.status is Status.PASSING else state.status.value
    return f"{word}: build {build}, {place_of(state, checkout)}"


def told_apart(answer: Answer) -> list[str]:
    """Split the failures of a busy run: already being fixed, and the caller's own."""
    breakage, run = answer.view.state.breakage, answer.run
    theirs = breakage.failures if breakage else ()
    mine = run.failures if run else ()
    own = [failure for failure in mine if failure not in theirs]
    if not theirs or not own:
        return failing(theirs)
    lines = []
    for view in (answer.view, *_others_fixing(answer)):
        known = view.state.breakage.failures if view.state.breakage else ()
        both = [failure for failure in mine if failure in known]
        if view.state.claim is not None and (both or view is answer.view):
            lines.append(f"being fixed by {view.state.claim.agent}: {some(both or theirs)}")
            own = [failure for failure in own if failure not in both]
    return [*lines, f"your own, nobody else fixes them: {some(own)}"] if own else lines


def _others_fixing(answer: Answer) -> list[View]:
    """The other scopes that somebody else than the caller is fixing."""
    me = answer.agent.id if answer.agent else None
    views = [view for view in answer.snapshot.views() if view.state.scope != answer.view.state.scope]
    return [view for view in views if view.held_live_by_another(me)]


def flaky(found: Sequence[Flake]) -> list[str]:
    """What failed and passed on the same files, the first few, and how many more there are."""
    lines = [
        f"flaky: {shortened(one.failure or one.check)} failed {one.failed} of {one.runs} times on unchanged files"
        for one in found[:SHOWN_IDS]
    ]
    more = len(found) - SHOWN_IDS
    return [*lines, f"flaky: {more} more"] if more > 0 else lines


def superseded(events: Sequence[Event], agent: Identity | None) -> list[str]:
    """What a fixer that lost its claim has to know, by the history: until it claims again."""
    if agent is None:
        return []
    for event in reversed(events):
        if event.agent == agent.id and event.kind in CLAIMS:
            return []
        if event.other != agent.id:
            continue
        if event.kind is Kind.TAKEN_OVER:
            return [f"your claim was taken over by {event.agent}: look at their fix before you push yours"]
        if event.kind in (Kind.RESET, Kind.EVICTED, Kind.FIXED, Kind.RECOVERED):
            return [f"your claim has ended: {happened(event, event.at)}"]
    return []


def status(view: View, now: float, checkout: str, build: str, known: str = UNKNOWN_HEAD) -> tuple[str, ...]:
    """The state of one scope, a fact a line; `known` is the word where no breakage is open."""
    state, breakage = view.state, view.state.breakage
    lines = [headline(state, checkout, build, known)]
    if breakage is not None:
        lines.append(f"broken since {ago(breakage.since, now)}")
        if state.claim is not None:
            lines.append(holder(view, now))
        if breakage.landed is not None:
            lines.append(in_part(breakage.landed))
        if breakage.reason:
            lines.append(f"given up before: {shortened(breakage.reason)}")
        lines += failing(breakage.failures)
    if state.last_check is not None:
        lines.append(f"last check {ago(state.last_check, now)}")
    return tuple(lines)


def engine(reach: Reach) -> str:
    """Whether the engine that all clones share answers, and how old is what is known of it."""
    known = f"seen {span(reach.age)} ago" if reach.age is not None else "never seen"
    return f"engine {reach.where}: {f'away ({reach.away}), ' if reach.away else ''}{known}"


def history_line(event: Event, now: float, checkout: str = "") -> str:
    """One event as a line of `buildguard log`."""
    number = f"claim {event.number}: " if event.number else ""
    return f"{clock(event.at, now)} {place(event.scope, checkout)} {number}{happened(event, now)}"


def happened(event: Event, now: float) -> str:
    """What an event was: who did what; at the end of a breakage how long it lasted."""
    agent = event.agent or "somebody"
    again = f" ({broken_again(event, now)})" if event.fixed_at is not None else ""
    ended = f" after {span(event.lasted)}" if event.lasted is not None else ""
    tries = f", attempt {event.attempts}" if event.attempts > 1 else ""
    because = f": {shortened(event.reason)}" if event.reason else ""
    what = {
        Kind.CLAIMED: f"{agent} claimed it{again}",
        Kind.TAKEN_OVER: f"{agent} took over from {event.other} ({stale_words(event.reason, None)})",
        Kind.REPORTED: f"{agent} reported it broken{again}",
        Kind.SHARED: f"{agent} fails the same way as {event.other or 'others'}: shared from now on",
        Kind.LANDED: f"a part of {agent}'s fix is in HEAD",
        Kind.FIXED: f"{agent} fixed it{ended}{tries}{f' ({event.reason})' if event.reason else ''}",
        Kind.RECOVERED: f"it passes again on unchanged files{ended}",
        Kind.RELEASED: f"{agent} released it as fixed{ended}, by word{because}",
        Kind.GAVE_UP: f"{agent} gave up{tries}{because}",
        Kind.RESET: f"{agent} reset it{ended}",
        Kind.EVICTED: f"{agent} ended the claim of {event.other}{because}",
        Kind.SENT: f"{agent} was told to bring in the fix of {event.other}",
        Kind.WAITED: f"{agent} waited {event.reason} for {event.other}",
    }[event.kind]
    opens = event.kind in (Kind.CLAIMED, Kind.REPORTED)
    return what + (f" [{some(event.failures, SHOWN_IDS)}]" if opens and event.failures else "")


def broken_again(event: Event, now: float) -> str:
    """The old history of a breakage that was fixed before."""
    fixed = f"fixed by {event.other or 'somebody'} at {clock(event.fixed_at or 0.0, now)}"
    return f"{fixed}, broken again at {clock(event.at or now, now)}"


def ended(answer: Answer, checkout: str) -> list[str]:
    """What a pass came to for the breakages of this checkout."""
    event, view = answer.event, answer.view
    where = place(REPO if event and len(event.seen) > 1 else view.state.scope, checkout)
    number = f"claim {event.number} is over" if event and event.number else "nobody had claimed it"
    if answer.outcome is Outcome.FIXED and event is not None:
        return [f"fixed: {where}, {number}{f' ({event.reason})' if event.reason else ''}"]
    if answer.outcome is Outcome.RECOVERED:
        return [f"recovered: {where} passes again on the very files that failed, {number}"]
    return []
