"""Random stories of three agents in three checkouts, told to the guard over a real store and to the plain rules."""

import itertools
from hashlib import sha1
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from buildguard.claims import scope
from buildguard.claims.guard import Answer, Guard, Terms
from buildguard.claims.model import REPO, Content, Kind, Landing, Outcome, Run, Status
from buildguard.claims.store import Store
from testing.plain import Had, Plain, Showed

BUILD = "default"
AGENTS = ("ann", "bob", "cat")
CODE, NOTE = Content("code", "100644", "1" * 40), Content("note", "100644", "2" * 40)

places = st.sampled_from((0, 1, 2))
agents = st.sampled_from(AGENTS)
callers = st.sampled_from([*zip(AGENTS, (0, 1, 2), strict=True)] * 2 + [*zip(AGENTS, (1, 2, 0), strict=True)])
"""An agent and the place of its checkout; now and then it works in another one."""
asked = st.sampled_from((None, None, None, None, REPO))
ids = st.sampled_from((("test_a",), ("test_a", "test_b"), (), ("test_a",), ("test_c",), ()))
ages = st.sampled_from((0, 0, 0, 0, 1, 3))
"""How many events ago a run began."""
checks = st.sampled_from(("pytest",) * 5 + ("ruff",))
seconds = st.sampled_from((60.0, 119.0, 120.0, 400.0, 899.0, 900.0, 3600.0))
rarely = st.sampled_from((False, False, False, False, True))


def oid(*words: object) -> str:
    """A git object id that is the same for the same words."""
    return sha1(" ".join(map(str, words)).encode(), usedforsecurity=False).hexdigest()


class Me(NamedTuple):
    """Who calls."""

    id: str
    process: str


class Checkout:
    """A work tree: on which branch it is, and the commits of each branch, oldest first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.branch = "refs/heads/main"
        self.commits = {"refs/heads/main": [oid("base")], "refs/heads/old": [oid("old", name)]}

    @property
    def head(self) -> str:
        return self.commits[self.branch][-1]

    @property
    def ancestors(self) -> frozenset[str]:
        return frozenset(self.commits[self.branch])


class Stories(RuleBasedStateMachine):
    """Every call is told to both; they have to agree on the answer, the rows and the history."""

    def __init__(self) -> None:
        super().__init__()
        self.count = itertools.count(1)
        self.plain = Plain()
        self.plain.now = 1_000_000.0
        self.store = self.opened()
        self.checkouts = [Checkout(f"checkout:{name}") for name in ("one", "two", "three")]
        self.lives = dict.fromkeys(AGENTS, 1)
        self.ended: set[str] = set()

    def opened(self) -> Store:
        """The store of this story, with the clock of its plain rules."""
        raise NotImplementedError

    def clock(self) -> float:
        return self.plain.now

    def teardown(self) -> None:
        self.store.close()

    # The world outside the store

    def guard(self, agent: str, checkout: Checkout, asked: str | None = None) -> Guard:
        story = self

        class World:
            def identify(self) -> Me:
                return Me(agent, f"{agent}'s process {story.lives[agent]}")

            def dead(self, agent: str, process: str) -> bool:
                return process in story.ended

            def elsewhere(self, checkout: str) -> bool:
                return False

            def gone(self, checkout: str) -> bool:
                return checkout in story.plain.gone

        terms = Terms(900.0, 3600.0, checkout.head, checkout.branch)
        guard = Guard(self.store, BUILD, checkout.name, World(), terms, asked)
        before = len(self.plain.events)
        guard.read()
        self.plain.reads()
        for event in self.store.history(BUILD, 10_000)[before:]:
            assert (event.kind, event.reason) == (Kind.FIXED, "not proved"), "nothing else ends by time"
        return guard

    def at(self, caller: tuple[str, int]) -> tuple[str, Checkout]:
        return caller[0], self.checkouts[caller[1]]

    def showed(self, agent: str, checkout: Checkout, age: int = 0, **more: object) -> Showed:
        began = max(0, len(self.plain.events) - age)
        return Showed(agent, checkout.name, checkout.head, checkout.branch, checkout.ancestors, began, **more)  # type: ignore[arg-type]

    def run_of(self, showed: Showed) -> Run:
        return Run(
            showed.check,
            showed.began,
            showed.checkout,
            showed.head,
            showed.branch,
            showed.files,
            tuple(sorted(showed.ids)),
            showed.clean,
            showed.good,
            showed.ancestors,
            tuple(landing(showed, had) for had in self.had_in(showed.checkout)) if showed.come else (),
        )

    def had_in(self, checkout: str) -> list[Had]:
        """The files that failed in this checkout and are known."""
        seen = [one.seen[checkout] for one in self.plain.open.values() if checkout in one.seen]
        return [had for had in seen if had.files]

    def agree(self, answer: Answer, told: tuple[str, str], *ends: Kind) -> None:
        """The answer is the plain rules' own, and what the call ended it may end."""
        assert (answer.outcome, answer.view.state.scope) == told
        for event in self.store.history(BUILD, 10_000)[self.plain.known :]:
            ended = event.before is not Status.PASSING and event.after is Status.PASSING
            assert not ended or event.kind in ends, "it ended without a commit, a word or a recovery"

    # What happens

    @rule(
        caller=callers,
        ids=ids,
        check=checks,
        age=ages,
        good=rarely,
        unknown=rarely,
        report=rarely,
        asked=asked,
    )
    def fails(
        self,
        caller: tuple[str, int],
        ids: tuple[str, ...],
        check: str,
        age: int,
        good: bool,
        unknown: bool,
        report: bool,
        asked: str | None,
    ) -> None:
        agent, checkout = self.at(caller)
        guard = self.guard(agent, checkout, asked)
        files = "" if unknown else oid("red", next(self.count))
        showed = self.showed(agent, checkout, age, ids=frozenset(ids), check=check, good=good, files=files)
        before = {name: self.plain.stale(one) for name, one in self.plain.open.items() if one.holder}
        answer = guard.failed(self.run_of(showed), not report)
        self.agree(answer, self.plain.fails(showed, not report, asked))
        if answer.outcome in (Outcome.CLAIMED, Outcome.TAKEN_OVER):
            assert before.get(answer.view.state.scope, True), "a live claim was taken"
        if answer.outcome is Outcome.BUSY:
            assert answer.view.state.had_in(checkout.name), "it waits for what it does not have"

    @rule(caller=callers, asked=asked)
    def claims_by_hand(self, caller: tuple[str, int], asked: str | None) -> None:
        agent, checkout = self.at(caller)
        guard = self.guard(agent, checkout, asked)
        self.agree(guard.failed(None), self.plain.claims_by_hand(self.showed(agent, checkout), asked))

    @rule(
        caller=callers,
        come=st.sampled_from(("all", "some", "nothing", "unchanged")),
        clean=st.booleans(),
        check=checks,
        age=ages,
    )
    def passes(self, caller: tuple[str, int], come: str, clean: bool, check: str, age: int) -> None:
        agent, checkout = self.at(caller)
        guard = self.guard(agent, checkout)
        showed = self.showed(agent, checkout, age, come=come, clean=clean, check=check, files=oid("green"))
        grounds = {
            Kind.FIXED: come == "all" or clean or self.claimed_by_hand_before(checkout),
            Kind.RECOVERED: come == "unchanged",
        }
        ends = [kind for kind, has_ground in grounds.items() if has_ground]
        self.agree(guard.passed(self.run_of(showed), agent), self.plain.passes(showed), *ends)

    def claimed_by_hand_before(self, checkout: Checkout) -> bool:
        """Whether there has been a commit since a claim by hand."""
        seen = [one.seen[checkout.name] for one in self.plain.open.values() if checkout.name in one.seen]
        return any(had.by_hand and had.head != checkout.head for had in seen)

    @rule(caller=callers)
    def fixes(self, caller: tuple[str, int]) -> None:
        """An agent that does all that it should: a commit that holds all of it, and a clean pass."""
        self.commits(caller[1])
        self.passes(caller, "all", True, "pytest", 0)

    @rule(caller=callers, come=st.sampled_from(("some", "nothing", "unchanged")))
    def goes_on(self, caller: tuple[str, int], come: str) -> None:
        """An agent in the midst of its fix."""
        self.passes(caller, come, False, "pytest", 0)

    @rule(caller=callers, gave_up=st.booleans())
    def releases(self, caller: tuple[str, int], gave_up: bool) -> None:
        (agent, checkout), reason = self.at(caller), f"reason {next(self.count)}"
        answer = self.guard(agent, checkout).release(None, gave_up, reason)
        self.agree(answer, self.plain.releases(agent, checkout.name, gave_up, reason), Kind.RELEASED)

    @rule(caller=callers, evict=st.booleans())
    def resets(self, caller: tuple[str, int], evict: bool) -> None:
        agent, checkout = self.at(caller)
        answer = self.guard(agent, checkout).reset(evict)
        self.agree(answer, self.plain.resets(agent, checkout.name, evict), Kind.RESET)

    @rule(caller=callers)
    def gives_a_sign_of_life(self, caller: tuple[str, int]) -> None:
        agent, checkout = self.at(caller)
        self.guard(agent, checkout).alive()
        self.plain.gives_sign_of_life(agent)

    @rule(place=places)
    def commits(self, place: int) -> None:
        checkout = self.checkouts[place]
        checkout.commits[checkout.branch].append(oid("commit", next(self.count)))

    @rule(place=places)
    def switches(self, place: int) -> None:
        checkout = self.checkouts[place]
        checkout.branch = next(name for name in checkout.commits if name != checkout.branch)

    @rule(seconds=seconds)
    def time_passes(self, seconds: float) -> None:
        self.plain.now += seconds

    @rule(agent=agents)
    def a_process_ends(self, agent: str) -> None:
        """The agent starts again: its old claim is dead, a new one is not."""
        self.ended.add(f"{agent}'s process {self.lives[agent]}")
        self.lives[agent] += 1
        for one in self.plain.open.values():
            one.dead = one.dead or one.holder == agent

    @rule(place=places)
    def a_checkout_goes(self, place: int) -> None:
        """Another one comes in its stead; its name is new."""
        self.plain.gone.add(self.checkouts[place].name)
        self.checkouts[place] = Checkout(f"checkout:new {next(self.count)}")

    # What always holds

    @invariant()
    def the_rows_are_those_of_the_plain_rules(self) -> None:
        snapshot = self.store.read(BUILD)
        assert {name for name, state in snapshot.states.items() if state.breakage} == self.plain.open.keys()
        for name, state in snapshot.states.items():
            assert state.number == self.plain.numbers.get(name, 0)
            if state.breakage is None:
                continue
            one, claim = self.plain.open[name], state.claim
            found = (claim.agent, claim.checkout, claim.claimed_at, claim.seen_at) if claim else ()
            assert found == ((one.holder, one.made_in, one.claimed_at, one.seen_at) if one.holder else ())
            assert {place: (seen.head, seen.files) for place, seen in state.breakage.seen.items()} == {
                place: (had.head, None if had.by_hand else had.files) for place, had in one.seen.items()
            }
            assert (state.breakage.check, frozenset(state.breakage.failures)) == (one.check, one.ids)
            assert state.breakage.reason == "; ".join(one.reasons)
            assert (state.breakage.landed.at if state.breakage.landed else None) == one.landed_at
            assert state.changed == self.plain.changed[name]

    @invariant()
    def the_history_is_what_happened(self) -> None:
        history = self.store.history(BUILD, 10_000)
        assert [(event.kind, event.scope, event.agent) for event in history] == self.plain.events

    @invariant()
    def numbers_only_grow_and_none_is_used_twice(self) -> None:
        history = self.store.history(BUILD, 10_000)
        given = [event.number for event in history if event.kind in (Kind.CLAIMED, Kind.TAKEN_OVER)]
        assert all(one < other for one, other in itertools.pairwise(given))
        held = [state.number for state in self.store.read(BUILD).states.values() if state.claim]
        assert len(held) == len(set(held))

    @invariant()
    def the_history_leads_to_the_rows(self) -> None:
        status: dict[str, Status] = {}
        for event in self.store.history(BUILD, 10_000):
            assert event.before is status.get(event.scope, Status.PASSING)
            status[event.scope] = event.after
        rows = self.store.read(BUILD).states
        assert {name: state.status for name, state in rows.items()} == {
            name: status.get(name, Status.PASSING) for name in rows
        }

    @invariant()
    def nobody_waits_for_what_his_checkout_does_not_have(self) -> None:
        snapshot = self.guard(AGENTS[0], self.checkouts[0]).read()
        for checkout in self.checkouts:
            for agent in AGENTS:
                holder = scope.holding_up(snapshot, agent, checkout.name)
                assert (holder.state.scope if holder else "") == self.plain.makes_wait(agent, checkout.name)
                if holder is not None:
                    assert holder.held_live_by_another(agent)
                    assert holder.state.scope == REPO or checkout.name in (
                        holder.state.scope,
                        holder.state.claim.checkout if holder.state.claim else "",
                        *(holder.state.breakage.seen if holder.state.breakage else ()),
                    )


def landing(showed: Showed, had: Had) -> Landing:
    """What has become of the files that failed, as the story has it."""
    if showed.come == "unchanged":
        return Landing(had.files)
    loose = {"all": (), "some": ("note",), "nothing": ("code", "note")}[showed.come]
    commits = (oid("fix"),) if showed.come != "nothing" else ()
    return Landing(had.files, (CODE, NOTE), loose, commits)
