"""The phrases that all answers are made of: times, spans, scopes, who holds what since when. Pure."""

import shlex
import time
from collections.abc import Sequence

from buildguard.agents.identity import Agent
from buildguard.claims.guard import Answer
from buildguard.claims.model import REPO, Claim, Event, Outcome, Stale, State, View

SHOWN = 5
"""How many failure ids a message names."""
REASON_SHOWN = 200
"""How many characters of a reason a line shows; `--json` has all of it."""
NEXT_LONGEST = 4000
"""How long a command to be pasted may be: a commit message with a body fits, a file does not."""


def clock(at: float, now: float) -> str:
    """A time of day in the local zone; with the date if it is not today's."""
    shape = "%H:%M" if time.localtime(at)[:3] == time.localtime(now)[:3] else "%Y-%m-%d %H:%M"
    return time.strftime(shape, time.localtime(at))


def span(seconds: float) -> str:
    """A duration as a person says it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def ago(at: float, now: float) -> str:
    """A time of day and how long ago that was."""
    return f"{clock(at, now)} ({span(max(0.0, now - at))} ago)"


def place(scope: str, checkout: str = "") -> str:
    """A scope in words."""
    if scope == REPO:
        return "the whole repository"
    return "this checkout" if scope == checkout else scope.replace(":", " ", 1)


def who(agent: Agent) -> str:
    """The caller, and where its id came from."""
    return f"{agent.id} (from {agent.source})"


def command(words: Sequence[str], before: str = "") -> str | None:
    """A command line that can be pasted as it stands into any shell, or None where it would be too long."""
    line = before + " ".join(map(_quoted, words))
    return line if words and len(line) <= NEXT_LONGEST else None


def _quoted(word: str) -> str:
    """A word for the shell, in printable characters on one line: most commit messages have line breaks."""
    if word.isprintable():
        return shlex.quote(word)
    return f'"$(printf %b {shlex.quote("".join(map(_escaped, word)))})"'


def _escaped(char: str) -> str:
    """A character as `printf %b` reads it."""
    if char.isprintable():
        return "\\\\" if char == "\\" else char
    if char == "\n":
        return "\\n"
    return "".join(f"\\0{byte:03o}" for byte in char.encode("utf-8", "surrogateescape"))


def failing(failures: Sequence[str]) -> list[str]:
    """The first failure ids, a line."""
    if not failures:
        return []
    return [f"failing: {some(failures)}"]


def some(names: Sequence[str], shown: int = SHOWN) -> str:
    """The first few names of a list, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def holder(view: View, now: float) -> str:
    """Who fixes, since when, and when it was last heard of."""
    claim = view.state.claim
    if claim is None:
        return "nobody is fixing"
    text = f"{claim.agent} is fixing since {ago(claim.claimed_at, now)}, claim {view.state.number}"
    if claim.attempts > 1:
        text += f", attempt {claim.attempts}"
    text += f", last seen {span(max(0.0, now - claim.seen_at))} ago"
    return text + (f"; stale: {stale_words(view.stale, claim)}" if view.stale else "")


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


def stale_words(stale: Stale | str, claim: Claim | None) -> str:
    """Why a claim may be taken over; exactly, if its terms are at hand."""
    if stale == Stale.SILENT:
        return f"no sign of life for {span(claim.stale_after)}" if claim else "silent for too long"
    if stale == Stale.HELD_TOO_LONG:
        return f"held for longer than {span(claim.max_claim)}" if claim else "held for too long"
    return str(stale)


def headline(state: State, checkout: str, build: str) -> str:
    """The state of a scope in one line."""
    return f"{state.status.value}: build {build}, {place(state.scope, checkout)}"


def election(answer: Answer, checkout: str, build: str) -> tuple[str, ...]:
    """What a claim came to: won, renewed, taken over, or busy."""
    view, now, event = answer.view, answer.snapshot.now, answer.event
    claim, agent = view.state.claim, answer.agent
    where = f"build {build}, {place(view.state.scope, checkout)}"
    lines: list[str] = []
    if answer.outcome is Outcome.BUSY:
        lines += [f"busy: {holder(view, now)}", *superseded(view.state, agent)]
        return (*lines, *reason(answer), *told_apart(answer))
    if answer.outcome is Outcome.REPORTED:
        return (f"broken: {where}; nobody is fixing it", *reason(answer))
    if claim is None or agent is None:
        return ()
    if answer.outcome is Outcome.TAKEN_OVER and event is not None:
        lines.append(
            f"taken over from {event.other} ({stale_words(event.reason, None)}): you are the fixer of {where}, "
            f"claim {view.state.number}, as {who(agent)}"
        )
    elif answer.outcome is Outcome.RENEWED:
        lines.append(
            f"renewed: held since {clock(claim.claimed_at, now)} by {agent.id}, claim {view.state.number}, "
            f"attempt {claim.attempts}; not you? set BUILDGUARD_AGENT"
        )
    else:
        lines.append(f"claimed: you are the fixer of {where}, claim {view.state.number}, as {who(agent)}")
    if event is not None and event.fixed_at is not None:
        lines.append(broken_again(event, now))
    return (*lines, *reason(answer))


def told_apart(answer: Answer) -> list[str]:
    """What of a busy run's failures is being fixed by somebody else, and what is its own."""
    theirs = answer.view.state.failures
    own = [failure for failure in answer.failures if failure not in theirs]
    if not theirs or not own:
        return failing(theirs)
    lines = []
    for view in (answer.view, *_others_fixing(answer)):
        both = [failure for failure in answer.failures if failure in view.state.failures]
        if view.state.claim is not None and (both or view is answer.view):
            lines.append(f"being fixed by {view.state.claim.agent}: {some(both or theirs)}")
            own = [failure for failure in own if failure not in both]
    return [*lines, f"your own, nobody else fixes them: {some(own)}"] if own else lines


def _others_fixing(answer: Answer) -> list[View]:
    """The other scopes that somebody else than the caller is fixing."""
    me = answer.agent.id if answer.agent else None
    views = [
        answer.snapshot.view(name) for name in sorted(answer.snapshot.states) if name != answer.view.state.scope
    ]
    return [view for view in views if view.held_live_by_another(me)]


def still_held(answer: Answer, checkout: str) -> list[str]:
    """What a caller has to know whose pass did not end its claim: others go on waiting for it."""
    held = [state for state in answer.snapshot.states.values() if answer.agent and state.claim]
    mine = [state for state in held if state.claim and answer.agent and state.claim.agent == answer.agent.id]
    return [
        f"you still hold claim {state.number} on {place(state.scope, checkout)}: it ends when"
        f" {shortened(state.check) or 'its check'} passes where you claimed it, or with: buildguard release"
        for state in mine
    ]


def reason(answer: Answer) -> list[str]:
    """Why the failure was put into its scope."""
    placement = answer.placement
    if placement is None or not placement.why:
        return []
    at = clock(placement.at, answer.snapshot.now) if placement.at is not None else ""
    return [placement.why.replace("{at}", at)]


def superseded(state: State, agent: Agent | None) -> list[str]:
    """What a fixer that lost its claim has to know."""
    if agent is None or state.superseded_agent != agent.id:
        return []
    if state.claim is not None:
        return [f"your claim {state.superseded_number} was taken over: look at their fix before you push yours"]
    return [f"your claim {state.superseded_number} has ended: somebody else's run passed, or it was reset"]


def status(view: View, now: float, checkout: str, build: str) -> tuple[str, ...]:
    """The state of one scope, a fact a line."""
    state = view.state
    lines = [headline(state, checkout, build)]
    if state.broken_since is not None:
        lines.append(f"broken since {ago(state.broken_since, now)}")
    if state.claim is not None:
        lines.append(holder(view, now))
    if state.reason:
        lines.append(f"reason: {shortened(state.reason)}")
    lines += failing(state.failures)
    if state.last_check is not None:
        lines.append(f"last check {ago(state.last_check, now)}")
    return tuple(lines)


def history_line(event: Event, now: float) -> str:
    """One event as a line of `buildguard log`."""
    number = f"claim {event.number}: " if event.number else ""
    return f"{clock(event.at, now)} {event.scope} {number}{happened(event, now)}"


def happened(event: Event, now: float) -> str:
    """What an event was: who did what; at the end of a breakage how long it lasted."""
    agent = event.agent or "somebody"
    again = f" ({broken_again(event, now)})" if event.fixed_at is not None else ""
    ended = f" after {span(event.lasted)}" if event.lasted is not None else ""
    tries = f", attempt {event.attempts}" if event.attempts > 1 else ""
    because = f": {shortened(event.reason)}" if event.reason else ""
    what = {
        Outcome.CLAIMED: f"{agent} claimed it{again}",
        Outcome.TAKEN_OVER: f"{agent} took over from {event.other} ({stale_words(event.reason, None)})",
        Outcome.REPORTED: f"{agent} reported it broken{again}",
        Outcome.FIXED: f"{agent} fixed it{ended}{tries}",
        Outcome.RELEASED: f"{agent} released it as fixed{ended}{because}",
        Outcome.GAVE_UP: f"{agent} gave up{tries}{because}",
        Outcome.RESET: f"{agent} reset it{ended}",
        Outcome.SHARED: f"{agent} has the failure of {event.other} too: it is everybody's now",
        Outcome.WAITED: f"{agent} waited {event.reason} for {event.other}",
    }.get(event.kind, event.kind.value)
    tail = f" [{some(event.failures, 2)}]" if event.failures else ""
    return what + tail


def broken_again(event: Event, now: float) -> str:
    """The old history of a breakage that was fixed before."""
    fixed = f"fixed by {event.other or 'somebody'} at {clock(event.fixed_at or 0.0, now)}"
    return f"{fixed}, broken again at {clock(event.at or now, now)}"


def shortened(text: str, most: int = REASON_SHOWN) -> str:
    """A text from outside, cut to one line's length."""
    return text if len(text) <= most else text[: most - 1] + "…"


def iso(at: float | None) -> str | None:
    """A time as ISO 8601 in UTC, to the second."""
    return None if at is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
