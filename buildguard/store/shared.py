"""A store over an engine for many machines: claims are elected there, all else stays near.

The near store has the whole picture as this clone last saw it: whenever the engine is asked, its document is
written there as rows and events. So what only reads, as a passing hook does, asks nobody. Where the engine does not
answer, or refuses, the near store coordinates this clone alone, which is said.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from buildguard.claims.guard import SEARCHED
from buildguard.claims.model import Event, Outcome, Snapshot, State, Step
from buildguard.claims.store import Reach, Store, Transition
from buildguard.errors import Fault, Unavailable
from buildguard.store import codec, document
from buildguard.store.clone import Clone, Sighting, TurnTaken
from buildguard.store.concern import for_others, nearby, put_to_engine, unmarked, untold
from buildguard.store.document import Document, believed, key_of
from buildguard.store.mirror import as_known, mirrored, sent
from buildguard.store.register import Denied, Kept, Lost, Register, Unreachable

ATTEMPTS, ELECT_SECONDS = 20, 20.0
"""How often, and for how long, a transition is put to a document that has changed: others of this clone wait."""
JUST_NOW = 1.0
"""Seconds for which one command takes what it saw for what stands there; a write finds out."""
SLOWER = ((20.0, 1.0), (60.0, 2.5), (float("inf"), 7.5))
"""Until how many seconds a waiter looks how many times less often than the engine's `poll`: a forge counts."""
LOOKS_EVERY = 0.25
"""Seconds between two looks of a waiter at whose turn it is to ask."""
_BY_CONTENT = (
    *(Outcome.PASSED, Outcome.PENDING, Outcome.LANDED, Outcome.FIXED, Outcome.RECOVERED, Outcome.LEFT),
    *(Outcome.NOTED, Outcome.STATUS),
)
"""What stays near unless it changes something for others. Every other outcome is for the engine to decide."""


class _Far(Exception):
    """What is decided concerns others, too. The argument is the step's outcome."""


class SharedStore:
    """A `claims.store.Store`: `near`, and the engine's `register`, of which a copy lies in git's folder `git_dir`.
    `tell` is told in one line when only this clone is coordinated."""

    def __init__(
        self,
        near: Store,
        register: Register,
        git_dir: Path,
        tell: Callable[[str], object] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.where = register.where
        self.register = register
        self._near = near
        # Who waits, and what has happened, a clone knows by itself.
        self.history, self.waiters = near.history, near.waiters
        self.keep_waiter, self.drop_waiter = near.keep_waiter, near.drop_waiter
        self._asks = True
        self._clone = Clone(git_dir, self.where)
        self._tell = tell
        self._clock = clock
        self._looked_at: dict[str, float] = {}
        self._waits_since = 0.0
        self._pace = 1.1 + os.urandom(1)[0] / 1020

    def read(self, build: str, fresh: bool = False) -> Snapshot:
        """All scopes of the build as this clone last saw them, or `fresh` as the engine has them now."""
        if fresh and self._asks:
            self._look(build)
        return self._near.read(build)

    def update(self, build: str, transition: Transition) -> tuple[Step, Snapshot]:
        """Put the transition to what this clone knows, and where it decides for others, too, to the engine."""
        try:
            return self._keep(build, transition, asked=False)
        except _Far as far:
            # A sign of life, in the loop that runs a check, comes again soon.
            waits = far.args[0] is not Outcome.NOTED
        try:
            if self._asks:
                self._expect_answer()
                with self._clone.turn(waits):
                    return self._elect(build, transition)
        except (Unreachable, Denied) as error:
            if waits or not isinstance(error, TurnTaken):
                self._say(error)
        return self._near.update(build, lambda now: nearby(transition(unmarked(now)), now))

    def wait_for_change(self, build: str, since_event: int, timeout: float) -> bool:
        """Wait for another last event. One waiter of a clone asks the engine for all of them."""
        began = time.monotonic()
        self._waits_since = self._waits_since or began
        slower = next(times for until, times in SLOWER if began - self._waits_since < until)
        every = self.register.poll * slower * self._pace
        while not self._near.wait_for_change(build, since_event, 0.0):
            left = began + timeout - time.monotonic()
            if left <= 0:
                return False
            due = began - self._looked_at.get(build, 0.0) >= every and not self._clone.away
            if (due and self._clone.due(key_of(build), every)) or self._told(build, min(left, LOOKS_EVERY)):
                self._look(build)
            else:
                left = max(0.0, began + timeout - time.monotonic())
                self._near.wait_for_change(build, since_event, min(left, LOOKS_EVERY))
        return True

    def _told(self, build: str, seconds: float) -> bool:
        """Whether the engine says within that time that there is news. One process of a clone listens for all."""
        if self._clone.away or not self._clone.listens():
            self.register.close()  # a server takes only so many
            return False
        copy = self._clone.copy(key_of(build))
        news = self.register.changed(key_of(build), Kept(copy.token, copy.data), seconds)
        if news:
            self._looked_at.pop(build, None)
        return news

    def ask_nobody(self) -> None:
        """Coordinate this clone alone from here on: the caller has no time to wait for the engine."""
        self._asks = False

    def reach(self, build: str) -> Reach:
        """Whether the engine answered when it was asked last, and how old is what it said."""
        at = self._clone.copy(key_of(build)).at
        return Reach(self.where, self._clone.away, max(0.0, time.time() - at) if at else None)

    def probed(self) -> str:
        """What keeps the engine from electing, in one line; empty if nothing does."""
        from buildguard.store.probing import probe

        try:
            with self._clone.turn():
                return probe(self.register)
        except Unreachable as error:
            return f"{self.where}: {error}"

    def close(self) -> None:
        """Let go of the near store's file, and of the engine."""
        self._near.close()
        self.register.close()

    def _keep(self, build: str, transition: Transition, asked: bool) -> tuple[Step, Snapshot]:
        """Decide and write near. Raises `_Far` where others have to know and, before the engine was `asked`, where
        it may know better."""

        def near_only(now: Snapshot) -> Step:
            before = unmarked(now)
            step = transition(before)
            row = before.state(step.scope)
            if not (step.private and (row.near or row.breakage is None)):
                # A pass without a breakage need not pay for the document.
                about = any(state.breakage for state in step.states)
                copy = self._clone.copy(key_of(build)) if about else Sighting()
                news = for_others(step, before, believed(copy.data), copy.skew or 0.0)
                if any(news) or (not asked and step.outcome not in _BY_CONTENT):
                    raise _Far(step.outcome)
            return nearby(step, now)

        return self._near.update(build, near_only)

    def _elect(self, build: str, transition: Transition) -> tuple[Step, Snapshot]:
        """Put the transition to the engine's document, until what it decides is written."""
        lost, until = False, time.monotonic() + ELECT_SECONDS
        for attempt in range(ATTEMPTS):
            if attempt and time.monotonic() > until:
                break
            copy = self._asked(build)
            known = believed(copy.data)
            near = self._near.read(build)
            before = unmarked(near)._replace(highest=max(near.highest, known.highest))
            step = put_to_engine(transition, before)
            if any(state.revision != before.state(state.scope).revision for state in step.states):
                continue
            news = for_others(step, before, known, copy.skew or 0.0)
            ended, endings = self._untold(build, near, known)
            if any(news) or ended:
                with suppress(Lost):
                    return self._tell_all(build, copy, before, step, *news, ended, endings)
                lost = True
                self._looked_at.clear()
            else:
                with suppress(_Far):
                    return self._keep(build, partial(put_to_engine, transition), asked=True)
        if lost:
            raise Denied("could not be written in time: others write all the while")
        raise Unavailable(Fault.LOCKED, self.where, "could not be written in time: others write all the while")

    def _untold(self, build: str, near: Snapshot, known: Document) -> tuple[list[State], list[Event]]:
        marked = any(row.near for row in near.states.values())
        return untold(near, known, self.history(build, SEARCHED) if marked else ())

    def _tell_all(
        self,
        build: str,
        copy: Sighting,
        before: Snapshot,
        step: Step,
        states: Sequence[State],
        events: Sequence[Event],
        ended: Sequence[State],
        endings: Sequence[Event],
    ) -> tuple[Step, Snapshot]:
        """Write these states and events of the step to the document, before them what has `ended` near and its
        events; and then all of the step near. Raises as a register does."""
        known, skew = believed(copy.data), copy.skew or 0.0
        over = {row.scope for row in ended}
        there = {scope: state for scope, state in known.states.items() if scope not in over}
        far = [sent(state, before.state(state.scope), there.get(state.scope), skew) for state in states]
        dated = [event._replace(at=self._clock() + skew) for event in events]
        nonce = os.urandom(8).hex()
        after = document.applied(known, [*ended, *far], [*endings, *dated], nonce)
        kept, mine = self._swapped(build, copy, self._encoded(after, step), nonce, step)
        # How something ended here stands in the history already.
        news = [event for event in after.events if event not in known.events][: len(endings)]
        told = {state.scope for state in states}
        rows = [
            row._replace(near=row.near and row.breakage is not None and row.scope not in told)
            for row in (*map(before.state, over), *step.states)
        ]
        own = step._replace(
            states=tuple(rows) if mine else (), events=tuple(one for one in step.events if one not in events)
        )
        try:
            done, snapshot = self._remember(build, known._replace(events=(*known.events, *news)), kept, own)
        except Unavailable as error:
            # It stands: to answer otherwise would leave a claim behind of which its holder does not know.
            self._tell(f"{self.where} has it, but it could not be written here: {error}")
            return step, before._replace(states={**before.states, **{row.scope: row for row in step.states}})
        return step._replace(events=done.events[len(done.events) - len(step.events) :]), snapshot

    def _swapped(self, build: str, copy: Sighting, data: str, nonce: str, step: Step) -> tuple[Kept, bool]:
        """Write the document; a lost answer is settled before anything is said. Also whether it is still the one
        that stands there. Raises as a register does."""
        about = step.events[-1].kind.value if step.events else step.outcome.value
        expected = Kept(copy.token, copy.data)
        if denied := self._clone.denied:
            raise Denied(denied)
        try:
            return self.register.swap(key_of(build), expected, data, about), True
        except Denied as error:
            self._clone.mark_denied(str(error))
            raise
        except Unreachable as error:
            if error.sent:
                kept = self.register.load(key_of(build), expected)
                if nonce in believed(kept.data).writes:
                    return kept, kept.data == data
            raise

    def _asked(self, build: str) -> Sighting:
        """The document as the engine has it now, written near. Raises `Unreachable`, also while it counts as away,
        and `Denied`."""
        self._expect_answer()
        copy = self._clone.copy(key_of(build))
        if time.monotonic() - self._looked_at.get(build, -JUST_NOW) < JUST_NOW:
            return copy
        kept = self.register.load(key_of(build), Kept(copy.token, copy.data))
        old = believed(copy.data) if copy.at else as_known(believed(kept.data), self.history(build, SEARCHED))
        self._remember(build, old, kept, Step(Outcome.NOTED, ""))
        self._looked_at[build] = time.monotonic()
        return Sighting(kept.token, kept.data, skew=None if kept.now is None else kept.now - self._clock())

    def _expect_answer(self) -> None:
        """Raises `Unreachable` while the engine counts as away. Nobody waits for a turn to be told that."""
        if away := self._clone.away:
            raise Unreachable(away)

    def _look(self, build: str) -> None:
        """The same, where the engine can be asked; and tell it what has ended here."""
        try:
            self._expect_answer()
            with self._clone.turn():
                known = believed(self._asked(build).data)
                if not self._clone.denied and self._untold(build, self._near.read(build), known)[0]:
                    self._elect(build, lambda _: Step(Outcome.NOTED, ""))
        except (Unreachable, Denied) as error:
            self._looked_at[build] = time.monotonic() - JUST_NOW
            self._say(error)

    def _remember(self, build: str, old: Document, kept: Kept, own: Step) -> tuple[Step, Snapshot]:
        """Write near what is new in the document since it was `old`, with all of `own`; and then a new copy."""
        skew = None if kept.now is None else kept.now - self._clock()
        new = believed(kept.data)

        def transition(near: Snapshot) -> Step:
            step = mirrored(old, new, near, skew, self.where)
            rows = {state.scope: state for state in (*step.states, *own.states)}
            states = (row._replace(revision=near.state(row.scope).revision) for row in rows.values())
            notes = (event._replace(at=near.now) for event in own.events)
            return step._replace(states=tuple(states), events=(*step.events, *notes), proofs=own.proofs)

        done, after = self._near.update(build, transition)
        self._clone.keep(key_of(build), Sighting(kept.token, kept.data, time.time(), skew))
        return done, after

    def _encoded(self, after: Document, step: Step) -> str:
        """The document as text. Raises `Unavailable` for what may not be kept, near or far, and `Denied` for what
        others would not take."""
        try:
            for value in (*step.states, *step.events, *step.proofs):
                codec.encode(value)
            text = codec.encode(after)
        except codec.Garbage as error:
            what = f"would be given what nobody may write ({error})"
            raise Unavailable(Fault.DAMAGED, self.where, what) from error
        try:
            document.check(after)
        except codec.Garbage as error:
            raise Denied(f"others would not take what this clone would write ({error})") from None
        return text

    def _say(self, error: Unreachable | Denied) -> None:
        """Say that only this clone is coordinated, and remember what does not answer."""
        if isinstance(error, Denied):
            self._tell(f"{self.where}: {error}; nobody elsewhere sees what is claimed here")
        else:
            self._tell(f"{self.where} cannot be asked ({error}): only this clone is coordinated")
            if not isinstance(error, TurnTaken):
                self._clone.mark_away(str(error))
