"""Answers as JSON: the keys that `docs/reference.md` promises. Pure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from buildguard.claims.flakiness import Flake
from buildguard.claims.guard import Identity
from buildguard.claims.model import Event, View, Waiter, stale_in
from buildguard.claims.store import Reach
from buildguard.text import iso
from buildguard.ui.phrases import UNKNOWN_HEAD


class Head(NamedTuple):
    """What is known of HEAD: its commit, and whether the check passed there (None: not checked), by whom, when."""

    commit: str
    passed: bool | None = None
    agent: str = ""
    at: float = 0.0
    lacks_fix: bool = False
    """Whether a breakage was fixed elsewhere, and is not in this tree yet."""

    @property
    def known(self) -> str:
        """The word for a build without an open breakage: only of a HEAD that has passed it is `passing`."""
        return "passing" if self.passed else "fixed elsewhere, not here" if self.lacks_fix else UNKNOWN_HEAD


def event_facts(event: Event) -> dict[str, Any]:
    """An event as `log --json` shows it."""
    return {
        "id": event.id,
        "at": iso(event.at),
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
        "fixed_before_at": iso(event.fixed_at),
        "commits": list(event.commits),
    }


def flaky_facts(flakes: Sequence[Flake]) -> list[dict[str, Any]]:
    """What failed and passed on unchanged files."""
    return [one._asdict() | {"failure": one.failure or None} for one in flakes]


def facts(view: View | None, now: float, agent: Identity | None, build: str) -> dict[str, Any]:
    """The documented keys of the JSON object that tell of a scope."""
    state = view.state if view else None
    breakage = state.breakage if state else None
    claim = breakage.claim if breakage else None
    left = stale_in(claim, now) if claim else None
    if view is not None and view.stale is not None:
        left = 0.0
    return {
        "build": build,
        "scope": state.scope if state else None,
        "shared": state.shared if state else False,
        "status": state.status.value if state else None,
        "claim": state.number if state and claim else None,
        "fixer": claim.agent if claim else None,
        "mine": bool(view and agent and view.held_by(agent.id)),
        "broken_since": iso(breakage.since) if breakage else None,
        "claimed_at": iso(claim.claimed_at) if claim else None,
        "seen_at": iso(claim.seen_at) if claim else None,
        "last_check": iso(state.last_check) if state else None,
        "stale": bool(view and view.stale),
        "stale_in_s": round(left, 1) if left is not None else None,
        "reason": (breakage.reason or None) if breakage else None,
        "failures": list(breakage.failures) if breakage else [],
        "not_committed": list(breakage.landed.loose) if breakage and breakage.landed else [],
    }


def engine_facts(reach: Reach | None) -> dict[str, Any]:
    """The engine that all clones share, if there is one: whether it answers, and how old is what we know of it."""
    if reach is None:
        return {"engine": None, "reach": None, "copy_age_s": None}
    age = None if reach.age is None else round(reach.age, 1)
    return {"engine": reach.where, "reach": "away" if reach.away else "reached", "copy_age_s": age}


def waiter_facts(waiters: Sequence[Waiter]) -> list[dict[str, Any]]:
    """Who waits now."""
    rows = ((one.agent, one.scope, one.other, iso(one.since), iso(one.seen_at)) for one in waiters)
    return [dict(zip(("agent", "scope", "fixer", "since", "seen_at"), row, strict=True)) for row in rows]


def head_facts(head: Head) -> dict[str, Any]:
    """What is known of HEAD."""
    known = head.passed is not None
    return {
        "commit": head.commit or None,
        "passed": head.passed,
        "by": head.agent or None,
        "at": iso(head.at) if known else None,
    }
