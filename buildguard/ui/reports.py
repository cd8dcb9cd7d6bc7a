"""Whole answers: what happened, who, since when, and on the unhappy path one command to run next. Pure."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from buildguard.agents.identity import Agent
from buildguard.checks.runner import Result, Verdict
from buildguard.claims.guard import Answer, Moment
from buildguard.claims.model import REPO, Event, Outcome, Run, Silence, Status, View, stale_in
from buildguard.errors import Exit
from buildguard.ui import phrases as words

_NOTHING: Mapping[str, Any] = MappingProxyType({})
WON = (Outcome.CLAIMED, Outcome.RENEWED, Outcome.TAKEN_OVER)
"""The outcomes after which the caller is the fixer."""
GIVE_UP = "buildguard release --gave-up"
_AIMABLE = {f"buildguard {verb}" for verb in ("claim", "release", "reset --yes", "run", "status", "wait")}


class Report(NamedTuple):
    """One answer, ready to be shown as lines or as JSON. `extra` are further keys of the JSON object; `run` is the
    one that found somebody else fixing."""

    outcome: str
    exit: int
    lines: tuple[str, ...]
    next: str | None = None
    view: View | None = None
    silence: Silence | None = None
    agent: Agent | None = None
    extra: Mapping[str, Any] = _NOTHING
    run: Run | None = None

    def aimed(self, options: str) -> "Report":
        """The same, with its commands about what this call was about: `options` as they were given to it."""
        if not options:
            return self
        ours = self.next in _AIMABLE or (self.next or "").startswith("buildguard release ")
        following = f"{self.next}{options}" if ours else self.next
        lines = tuple(line.replace(GIVE_UP, GIVE_UP + options) for line in self.lines)
        return self._replace(next=following, lines=lines)


def claimed(answer: Answer, checkout: str, build: str) -> Report:
    """`buildguard claim`."""
    lines = words.election(answer, checkout, build)
    if answer.outcome is Outcome.BUSY:
        return _about(answer, Exit.BUSY, lines, "buildguard wait")
    return _about(answer, Exit.OK, (*lines, f"fix it and commit; or give up with: {GIVE_UP}"))


def released(answer: Answer, checkout: str, build: str, number: int | None = None) -> Report:
    """`buildguard release`. `number` is the claim that was to be released, if one was named."""
    state = answer.view.state
    where = f"build {build}, {words.place(state.scope, checkout)}"
    lost = words.superseded(state, answer.agent)
    if answer.outcome is Outcome.NOT_YOURS:
        you = [f"you are {words.who(answer.agent)}"] if answer.agent else []
        if _mine(answer):
            lines = [f"not your claim: claim {number} is over, you now hold claim {state.number} on {where}"]
            return _about(answer, Exit.NOT_YOURS, lines, f"buildguard release --claim {state.number}")
        lines = [f"not your claim: {words.holder(answer.view, answer.snapshot.now)}", *you, *lost]
        return _about(answer, Exit.NOT_YOURS, lines, "buildguard status")
    if answer.outcome is Outcome.NOTHING_HELD:
        return _about(answer, Exit.OK, [f"nothing to release: you hold no claim on {where}", *lost])
    if answer.outcome is Outcome.GAVE_UP:
        line = f"gave up claim {state.number}: {where} is broken, anybody may claim it now"
    else:
        line = f"released claim {state.number}: {where} is passing"
    return _about(answer, Exit.OK, [line])


def reset(answer: Answer, checkout: str, build: str) -> Report:
    """`buildguard reset`."""
    line = f"reset: build {build}, {words.place(answer.view.state.scope, checkout)} is passing"
    if answer.event is not None and answer.event.other:
        line += f"; the claim of {answer.event.other} is superseded"
    return _about(answer, Exit.OK, [line])


def waited(moment: Moment, agent: Agent | None, checkout: str, build: str) -> Report:
    """`buildguard wait`, when it is over."""
    view, now = moment.concerning, moment.snapshot.now
    silence = moment.snapshot.silences.get(view.state.scope)
    if moment.holder is None:
        mine = agent is not None and view.held_by(agent.id)
        free = "free: you are the fixer" if mine else "free: nobody else holds a claim here"
        lines = (free, *words.status(view, now, checkout, build))
        return Report("free", Exit.OK, lines, None, view, silence, agent)
    lines = (f"the wait ran out: {words.holder(view, now)}", *words.failing(view.state.failures))
    return Report("timeout", Exit.BUSY, lines, "buildguard wait", view, silence, agent)


def status(answer: Answer, checkout: str, build: str, everything: bool, gate: bool, check: str) -> Report:
    """`buildguard status`. `everything` shows all scopes; as a `gate` it exits 1 unless passing. `check` is the
    configured check, or empty."""
    snapshot, view = answer.snapshot, answer.view
    others = (snapshot.view(name) for name in sorted(snapshot.states) if name != view.state.scope)
    shown = [view, *(other for other in others if everything or _matters(other, checkout))]
    lines = [line for one in shown for line in words.status(one, snapshot.now, checkout, build)]
    if answer.agent is not None:
        lines += [f"you are {words.who(answer.agent)}", *words.superseded(view.state, answer.agent)]
    open_here = any(one.state.status is not Status.PASSING for one in shown)
    scopes = [facts(one, snapshot.silences.get(one.state.scope), answer.agent, build) for one in shown]
    code = Exit.FAILED if gate and open_here else Exit.OK
    return _about(answer, code, lines, _after_status(answer, check), {"scopes": scopes})


def passed(answer: Answer | None, check: str, took: float, checkout: str, loose: bool = False) -> Report:
    """A green check; more if it ended a breakage. Without an answer coordination was unavailable. `loose`: it
    passed with what is not committed."""
    lines = [f"passed: {check} ({words.span(took)})"]
    if answer is None:
        return Report("passed", Exit.OK, tuple(lines))
    fixed = answer.outcome is Outcome.FIXED
    if fixed and answer.event is not None:
        state = answer.view.state
        lines.append(
            f"fixed: {words.place(state.scope, checkout)} is passing again, claim {answer.event.number} is over"
        )
        if state.scope == REPO and loose and not answer.event.committing:
            lines.append("others wait for the commit of this fix: commit it now")
    lines += words.superseded(answer.view.state, answer.agent)
    lines += words.still_held(answer, checkout)
    return _about(answer, Exit.OK, lines, extra={"fixed": fixed}, outcome="passed")


def failed(answer: Answer | None, ended: str, checkout: str, build: str, again: str | None) -> Report:
    """A red check that nobody else is fixing now. `ended` tells of the check, `again` is how to repeat it."""
    if answer is None:
        return Report("failed", Exit.FAILED, (ended,), again)
    lines = [ended, *words.failing(answer.failures), *words.election(answer, checkout, build)]
    if answer.outcome in WON:
        lines.append(f"it is yours to fix, then run the next line; others wait for you; give up with: {GIVE_UP}")
    return _about(answer, Exit.FAILED, lines, again, {"election": answer.outcome.value}, "failed")


def busy(answer: Answer, ended: str, checkout: str, build: str, why: Sequence[str], again: str | None) -> Report:
    """A red check that somebody else is fixing. `ended` is empty where that has been said before a wait."""
    lines = [*filter(None, [ended]), *words.election(answer, checkout, build), *why]
    return _about(answer, Exit.BUSY, lines, again)


def inconclusive(check: str, why: str, again: str | None) -> Report:
    """A check that could not run: it claims nothing and resolves nothing."""
    line = f"inconclusive: the check could not run ({why}), so nobody is elected: {check}"
    return Report("inconclusive", Exit.INCONCLUSIVE, (line,), again)


def interrupted(why: str, again: str | None) -> Report:
    """A check that was ended from outside."""
    return Report("interrupted", Exit.INTERRUPTED, (f"interrupted: {why}; nothing was claimed",), again)


def bare(result: Result, check: str, again: str | None) -> Report:
    """The verdict of a check that nobody is told of."""
    if result.verdict is Verdict.PASSED:
        return Report("passed", Exit.OK, ())
    if result.verdict is Verdict.FAILED:
        return Report("failed", Exit.FAILED, (f"failed: {check} (exit status {result.status})",), again)
    if result.verdict is Verdict.INTERRUPTED:
        return interrupted(result.why, again)
    return inconclusive(check, result.why, again)


def event_facts(event: Event) -> dict[str, Any]:
    """An event as `log --json` shows it."""
    return {
        "id": event.id,
        "at": words.iso(event.at),
        "kind": event.kind.value,
        "scope": event.scope,
        "before": event.before.value,
        "after": event.after.value,
        "claim": event.number,
        "agent": event.agent or None,
        "other": event.other,
        "reason": event.reason or None,
        "check": event.check or None,
        "failures": list(event.failures),
        "attempts": event.attempts,
        "lasted_s": None if event.lasted is None else round(event.lasted, 1),
        "fixed_before_at": words.iso(event.fixed_at),
    }


def facts(view: View | None, silence: Silence | None, agent: Agent | None, build: str) -> dict[str, Any]:
    """The documented keys of the JSON object that tell of a scope."""
    state = view.state if view else None
    claim = state.claim if state else None
    left = stale_in(claim, silence) if claim and silence else None
    if view is not None and view.stale is not None:
        left = 0.0
    return {
        "build": build,
        "scope": state.scope if state else None,
        "status": state.status.value if state else None,
        "claim": state.number if state and claim else None,
        "fixer": claim.agent if claim else None,
        "mine": bool(claim and agent and claim.agent == agent.id),
        "broken_since": words.iso(state.broken_since) if state else None,
        "claimed_at": words.iso(claim.claimed_at) if claim else None,
        "seen_at": words.iso(claim.seen_at) if claim else None,
        "last_check": words.iso(state.last_check) if state else None,
        "stale": bool(view and view.stale),
        "stale_in_s": round(left, 1) if left is not None else None,
        "reason": (state.reason or None) if state else None,
        "failures": list(state.failures) if state else [],
    }


def _matters(view: View, checkout: str) -> bool:
    state = view.state
    here = state.scope in (checkout, REPO) or (state.claim is not None and state.claim.checkout == checkout)
    return here and state.status is not Status.PASSING


def _after_status(answer: Answer, check: str) -> str | None:
    state = answer.view.state
    if state.status is Status.PASSING:
        return None
    if state.status is Status.BROKEN or (answer.view.stale is not None and not _mine(answer)):
        return "buildguard claim"
    if not _mine(answer):
        return "buildguard wait"
    # A pass of the check that failed releases the claim by itself, and proves what a bare release only says.
    return "buildguard run" if check and state.check in ("", check) else "buildguard release"


def _mine(answer: Answer) -> bool:
    return answer.agent is not None and answer.view.held_by(answer.agent.id)


def _about(
    answer: Answer,
    code: int,
    lines: Sequence[str],
    next_command: str | None = None,
    extra: dict[str, Any] | None = None,
    outcome: str | None = None,
) -> Report:
    silence = answer.snapshot.silences.get(answer.view.state.scope)
    said = outcome or answer.outcome.value
    return Report(said, code, tuple(lines), next_command, answer.view, silence, answer.agent, extra or {})
