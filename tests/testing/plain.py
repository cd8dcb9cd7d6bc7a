"""The rules of docs/rules.md once more, as plain as can be: one mutable object, no views, no revisions, no store.

What the heart answers and writes is compared with this, so nothing here is taken from `buildguard.claims.rules` or
`scope`. A time is in seconds; an event is known by its number.
"""

from dataclasses import dataclass, field

REPO = "repo"
TOLD = ("not_committed", "landed", "fixed", "recovered", "left", "passed")


@dataclass
class Showed:
    """A run as the story has it. `come` says how much of the fix is committed: all, some, nothing; or `unchanged`:
    it saw the files that failed."""

    agent: str | None
    checkout: str
    head: str
    branch: str
    ancestors: frozenset[str]
    began: int = 0
    check: str = "pytest"
    ids: frozenset[str] = frozenset()
    files: str = ""
    good: bool = False
    clean: bool = False
    come: str = ""


@dataclass
class Had:
    """How one checkout had the breakage first. `by_hand`: no run has failed there."""

    head: str
    branch: str
    files: str
    by_hand: bool = False


@dataclass
class Open:
    """An open breakage."""

    check: str
    began: frozenset[str]
    ids: frozenset[str]
    seen: dict[str, Had] = field(default_factory=dict)
    holder: str = ""
    made_in: str = ""
    claimed_at: float = 0.0
    seen_at: float = 0.0
    dead: bool = False
    reasons: list[str] = field(default_factory=list)
    landed_at: float | None = None
    landed_in: str = ""


class Plain:
    """One build: which breakages are open, which numbers and events there have been."""

    def __init__(self) -> None:
        self.now = 0.0
        self.open: dict[str, Open] = {}
        self.numbers: dict[str, int] = {}
        self.changed: dict[str, int] = {}
        self.events: list[tuple[str, str, str]] = []
        self.known = 0
        self.gone: set[str] = set()

    def happens(self, kind: str, scope: str, agent: str | None) -> None:
        self.events.append((kind, scope, agent or ""))

    def stale(self, one: Open) -> bool:
        by_time = self.now - one.seen_at >= 900.0 or self.now - one.claimed_at >= 3600.0
        return by_time or one.dead or one.made_in in self.gone

    def live_by_another(self, one: Open, agent: str | None) -> bool:
        return bool(one.holder) and one.holder != agent and not self.stale(one)

    def has(self, scope: str, checkout: str) -> bool:
        one = self.open.get(scope)
        if one is None:
            return False
        return scope in (checkout, REPO) or checkout in one.seen or (bool(one.holder) and one.made_in == checkout)

    def reads(self) -> None:
        """A call begins: what landed two minutes ago is over. All that the call writes, it writes at once."""
        for scope in sorted(self.open):
            one = self.open[scope]
            if one.landed_at is not None and self.now - one.landed_at >= 120.0:
                self.happens("fixed", scope, one.holder)
                del self.open[scope]
        self.known = len(self.events)

    # Whose it is

    def place(self, run: Showed, asked: str | None) -> str:
        return asked or self.claimed_here(run) or self.shared(run) or run.checkout

    def place_by_hand(self, run: Showed, asked: str | None) -> str:
        return asked or self.claimed_here(run) or self.nearest(run.agent, run.checkout)

    def claimed_here(self, run: Showed) -> str:
        for scope, one in sorted(self.open.items()):
            made_here = bool(one.holder) and run.checkout in (scope, one.made_in)
            if made_here and (one.holder == run.agent or not self.stale(one)):
                return scope
        return ""

    def shared(self, run: Showed) -> str:
        if run.good:
            return ""
        found = [scope for scope in sorted(self.open) if scope != run.checkout and self.shares(scope, run)]
        live = [scope for scope in found if self.live_by_another(self.open[scope], None)]
        return (live or found or [""])[0]

    def shares(self, scope: str, run: Showed) -> bool:
        one = self.open[scope]
        if run.ids & one.ids:
            return True
        if not run.ids and not one.ids and one.check == run.check:
            here = one.seen.get(run.checkout)
            if run.head in [had.head for had in one.seen.values()] or (here and still_at(here, run)):
                return True
        return scope == REPO and not one.ids and one.check in ("", run.check)

    def nearest(self, agent: str | None, checkout: str) -> str:
        here = [scope for scope in sorted(self.open) if self.has(scope, checkout)]
        mine = [scope for scope in sorted(self.open) if agent and self.open[scope].holder == agent]
        live = [scope for scope in here if self.live_by_another(self.open[scope], None)]
        for wanted in ([scope for scope in mine if scope in here], mine, live, here):
            if wanted:
                return wanted[0]
        return checkout

    def makes_wait(self, agent: str, checkout: str) -> str:
        for scope, one in sorted(self.open.items()):
            landed_here = one.landed_at is not None and one.landed_in == checkout
            if self.has(scope, checkout) and self.live_by_another(one, agent) and not landed_here:
                return scope
        return ""

    # What happens

    def fails(self, run: Showed, claiming: bool, asked: str | None) -> tuple[str, str]:
        scope = self.place(run, asked)
        one = self.open.get(scope)
        if one is None and 0 <= run.began <= self.changed.get(scope, -1):
            return "outdated", scope
        if one is not None and one.check not in ("", run.check) and not run.ids & one.ids:
            return "another_check", scope
        if one is not None and one.holder == run.agent:
            one.seen_at = self.now
            one.dead, one.landed_at = False, None
            self.learns(one, run)
            return "renewed", scope
        if one is not None and self.live_by_another(one, run.agent):
            self.joins(scope, one, run)
            return "busy", scope
        if not claiming and one is not None:
            self.joins(scope, one, run)
            return "broken", scope
        if one is None:
            one = self.opens(scope, run.check, run.ids)
        if not claiming:
            self.happens("broken", scope, run.agent)
            self.learns(one, run)
            return "broken", scope
        outcome = self.elects(scope, one, run)
        self.learns(one, run)
        return outcome, scope

    def claims_by_hand(self, run: Showed, asked: str | None) -> tuple[str, str]:
        scope = self.place_by_hand(run, asked)
        one = self.open.get(scope)
        if one is not None and one.holder == run.agent:
            one.seen_at = self.now
            return "renewed", scope
        if one is not None and self.live_by_another(one, run.agent):
            return "busy", scope
        one = one or self.opens(scope, "", frozenset())
        outcome = self.elects(scope, one, run)
        self.leave_gone(one, run.checkout)
        one.seen.setdefault(run.checkout, Had(run.head, run.branch, "", by_hand=True))
        return outcome, scope

    def opens(self, scope: str, check: str, ids: frozenset[str]) -> Open:
        self.changed[scope] = len(self.events)
        self.open[scope] = Open(check, ids, ids)
        return self.open[scope]

    def elects(self, scope: str, one: Open, run: Showed) -> str:
        outcome = "taken_over" if one.holder else "claimed"
        self.happens(outcome, scope, run.agent)
        self.numbers[scope] = self.next_number()
        one.holder, one.made_in = run.agent or "", run.checkout
        one.claimed_at = one.seen_at = self.now
        one.dead, one.landed_at = False, None
        return outcome

    def next_number(self) -> int:
        return 1 + max(self.numbers.values(), default=0)

    def learns(self, one: Open, run: Showed) -> None:
        if not one.check:
            one.check, one.began = run.check, run.ids
        one.ids = one.began | run.ids
        self.leave_gone(one, run.checkout)
        self.is_seen(one, run)

    def is_seen(self, one: Open, run: Showed) -> bool:
        """Whether that is news: only what failed first counts, unless the checkout has switched away since."""
        had = one.seen.get(run.checkout)
        if had is not None and not had.by_hand and still_at(had, run):
            return False
        one.seen[run.checkout] = Had(run.head, run.branch, run.files)
        return True

    def leave_gone(self, one: Open, checkout: str) -> None:
        one.seen = {name: had for name, had in one.seen.items() if name == checkout or name not in self.gone}

    def joins(self, scope: str, one: Open, run: Showed) -> None:
        before = len(one.seen)
        self.leave_gone(one, run.checkout)
        self.is_seen(one, run)
        if scope != REPO and before < 2 <= len(one.seen):
            self.happens("shared", scope, run.agent)

    def passes(self, run: Showed) -> tuple[str, str]:
        scopes = [run.checkout, *(s for s in sorted(self.open) if s != run.checkout and self.has(s, run.checkout))]
        outcomes = [(self.passes_in(scope, run), scope) for scope in scopes]
        return min(outcomes, key=lambda one: TOLD.index(one[0]))

    def passes_in(self, scope: str, run: Showed) -> str:
        one = self.open.get(scope)
        if one is None or one.check not in ("", run.check):
            return "passed"
        if one.holder and one.holder == run.agent:
            one.seen_at = self.now
        had = one.seen.get(run.checkout)
        if had is None or run.began <= self.changed[scope]:
            return "passed"
        if not still_at(had, run):
            if len(one.seen) > 1 and not (one.holder and one.made_in == run.checkout):
                del one.seen[run.checkout]
            return "left"
        come = come_to(had, run)
        if self.live_by_another(one, run.agent) and not (come == "fixed" and run.clean):
            return "passed"
        if come == "landed":
            if one.landed_at is None:
                one.landed_at = self.now
                self.happens("landed", scope, run.agent)
            one.landed_in = run.checkout
        elif come in ("fixed", "recovered"):
            self.ends(come, scope, run.agent)
        return come

    def ends(self, kind: str, scope: str, agent: str | None) -> None:
        self.changed[scope] = self.known
        self.happens(kind, scope, agent)
        del self.open[scope]

    def releases(self, agent: str, checkout: str, gave_up: bool, reason: str) -> tuple[str, str]:
        scope = self.nearest(agent, checkout)
        one = self.open.get(scope)
        if one is None or not one.holder:
            return "nothing_held", scope
        if one.holder != agent:
            return "not_yours", scope
        if not gave_up:
            self.ends("released", scope, agent)
            return "released", scope
        self.happens("gave_up", scope, agent)
        one.reasons.append(reason)
        one.holder, one.landed_at = "", None
        return "gave_up", scope

    def resets(self, agent: str, checkout: str, evict: bool) -> tuple[str, str]:
        scope = self.nearest(agent, checkout)
        one = self.open.get(scope)
        if evict and (one is None or not one.holder):
            return "nothing_held", scope
        if one is None:
            return "reset", scope
        if one.holder and one.holder != agent:
            self.numbers[scope] = self.next_number()
        if evict:
            self.happens("evicted", scope, agent)
            one.holder = ""
            return "evicted", scope
        self.ends("reset", scope, agent)
        return "reset", scope

    def gives_sign_of_life(self, agent: str) -> None:
        for one in self.open.values():
            if one.holder == agent:
                one.seen_at = self.now


def still_at(had: Had, run: Showed) -> bool:
    """The same HEAD, a later one, or the same branch."""
    return had.head == run.head or had.head in run.ancestors or had.branch == run.branch


def come_to(had: Had, run: Showed) -> str:
    """How far a fix has come."""
    if had.by_hand:
        return "fixed" if run.clean or run.head != had.head else "not_committed"
    if not had.files:
        return "fixed" if run.clean else "not_committed"
    return {"all": "fixed", "some": "landed", "nothing": "not_committed", "unchanged": "recovered"}[run.come]
