"""A store over an engine for many machines: claims are elected there, all else stays near.

The near store keeps proofs, last checks and notes, and beside it lies a copy of the engine's document. A passing
hook reads the copy and asks nobody; what may elect or end a claim asks the engine. Where the engine does not
answer, the near store coordinates this clone alone, which is said.
"""

import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from buildguard.claims.model import Event, Kind, Outcome, Snapshot, State, Step
from buildguard.claims.store import Store, Transition
from buildguard.errors import Fault, Unavailable
from buildguard.git import private
from buildguard.store import codec, document
from buildguard.store.document import Document
from buildguard.store.register import Denied, Kept, Lost, Register, Unreachable

TRIES = 20
"""How often a transition is put to a document that has changed."""
AWAY_SECONDS = 30.0
"""For how long nobody in this clone asks an engine again that did not answer."""
COPY_POLL = 0.05
"""Seconds between two looks at the copy, while another waiter of this clone asks the engine."""
RENEWED_EVERY = 150.0
"""Seconds between two signs of life that travel; less where a claim goes stale soon."""
_NOTES = (Kind.WAITED, Kind.SENT)
_LARGEST = 8_000_000


class Copy(NamedTuple):
    """The engine's document as this clone last saw it, `at` by its own clock. `first` tells when each claim's last
    sign of life was first seen here: of another machine's clock nothing is believed."""

    token: str = ""
    at: float = 0.0
    first: Mapping[str, float] = {}
    data: str = ""


class SharedStore:
    """A `claims.store.Store`: `near`, and the engine's `register`, whose copy lies in git's folder `git_dir`."""

    def __init__(
        self, near: Store, register: Register, git_dir: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self.where = register.where
        self.away = ""
        self._near = near
        self._register = register
        self._git_dir = git_dir
        self._clock = clock

    def read(self, build: str, fresh: bool = False) -> Snapshot:
        """All scopes of the build as this clone last saw them, or `fresh` as the engine has them now."""
        found = self._looked(build) if fresh else self._copy(build)
        return self._near.read(build) if found is None else self._merged(build, found)[0]

    def update(self, build: str, transition: Transition) -> tuple[Step, Snapshot]:
        """Put the transition to the copy, and where it decides more than a pass does, to the engine's document."""
        before, _ = self._merged(build, self._copy(build) or Copy())
        step = transition(before)
        if step.writes and _stays_near(step, before):
            return self._keep(build, step), self.read(build)
        try:
            return self._elect(build, transition)
        except (Unreachable, Denied) as error:
            self._mark_away(error)
            return self._near.update(build, transition)

    def wait_for_change(self, build: str, since_event: int, timeout: float) -> bool:
        """Wait for another last event. One waiter of a clone asks the engine for all of them."""
        deadline = time.monotonic() + timeout
        while self.read(build).last_event == since_event:
            copy = self._copy(build) or Copy()
            if self._clock() - copy.at >= self._register.poll and self._looked(build) is None:
                return self._near.wait_for_change(build, since_event, max(0.0, deadline - time.monotonic()))
            left = deadline - time.monotonic()
            if left <= 0:
                return self.read(build).last_event != since_event
            time.sleep(min(COPY_POLL, left))
        return True

    def history(self, build: str, limit: int) -> list[Event]:
        """The newest events, of the engine as this clone last saw it and of this clone's own notes."""
        copy = self._copy(build)
        near = self._near.history(build, limit)
        if copy is None:
            return near
        notes = [event for event in near if event.kind in _NOTES]
        events = sorted([*self._document(copy).events, *notes], key=lambda event: event.at)
        return events[-limit:] if limit else []

    def close(self) -> None:
        """Let go of the near store's file."""
        self._near.close()

    # Near and far as one

    def _merged(self, build: str, copy: Copy) -> tuple[Snapshot, Snapshot]:
        """What near and copy say together, and the near one alone. A near breakage counts only while the engine is
        away. The revision counts the writes of both."""
        near, found = self._near.read(build), self._document(copy)
        states = {scope: _plain(state) for scope, state in near.states.items()}
        for scope, far in found.states.items():
            own = near.state(scope)
            last = max((at for at in (far.last_check, own.last_check) if at is not None), default=None)
            states[scope] = far._replace(revision=far.revision + own.revision, last_check=last)
        ahead = {
            state.claim and state.number: copy.first[sign] - state.claim.seen_at
            for state in found.states.values()
            if state.claim and (sign := _sign(state)) in copy.first
        }
        behind = {number: seconds for number, seconds in ahead.items() if number and abs(seconds) >= 1}
        highest = max(near.highest, found.highest)
        return near._replace(states=states, last_event=found.last_event, highest=highest, ahead=behind), near

    def _keep(self, build: str, step: Step) -> Step:
        """Write what stays near: last checks, notes and proofs."""

        def transition(near: Snapshot) -> Step:
            states = [near.state(state.scope)._replace(last_check=state.last_check) for state in step.states]
            return step._replace(states=tuple(states))

        return self._near.update(build, transition)[0]._replace(states=step.states)

    # The engine

    def _elect(self, build: str, transition: Transition) -> tuple[Step, Snapshot]:
        """Put the transition to the engine's document, until what it decides is written."""
        for _ in range(TRIES):
            copy = self._asked(build)
            before, near = self._merged(build, copy)
            step = transition(before)
            if not step.writes or _stays_near(step, before):
                return self._keep(build, step) if step.writes else step, self.read(build)
            if _only_renews(step, before):
                return step, before
            far = [
                state._replace(revision=state.revision - near.state(state.scope).revision) for state in step.states
            ]
            nonce = os.urandom(8).hex()
            written = self._written(copy, step._replace(states=tuple(far)), nonce)
            if written is None:
                continue
            after, done = written
            with suppress(Lost):
                self._swap(build, copy, after, nonce, done)
                self._end_near(build)
                self._keep(build, step._replace(states=(), events=())) if step.proofs else None
                return done._replace(states=step.states, proofs=step.proofs), self.read(build)
        raise Unavailable(Fault.LOCKED, self.where, f"could not be written in {TRIES} tries")

    def _written(self, copy: Copy, step: Step, nonce: str) -> tuple[Document, Step] | None:
        try:
            return document.applied(self._document(copy), step, self._clock(), nonce)
        except codec.Garbage as error:
            raise Unavailable(
                Fault.DAMAGED, self.where, f"would be given what nobody may write ({error})"
            ) from error

    def _swap(self, build: str, copy: Copy, after: Document, nonce: str, step: Step) -> None:
        """Write the document; a lost answer is settled before anything is said. Raises as a register does."""
        key, data = _key(build), codec.encode(after)
        about = step.events[-1].kind.value if step.events else step.outcome.value
        expected = Kept(copy.token, copy.data)
        try:
            kept = self._register.swap(key, expected, data, about)
        except Unreachable as error:
            if not error.sent:
                raise
            kept = self._register.load(key, expected)
            if nonce not in self._document(Copy(data=kept.data)).writes:
                raise
        self._remember(build, copy, kept)

    def _asked(self, build: str) -> Copy:
        """The document as the engine has it now. Raises `Unreachable`, also while it counts as away."""
        if self._is_away():
            raise Unreachable("it did not answer a moment ago")
        known = self._copy(build) or Copy()
        kept = self._register.load(_key(build), Kept(known.token, known.data))
        with suppress(FileNotFoundError):
            self._away_file.unlink()
        return self._remember(build, known, kept)

    def _looked(self, build: str) -> Copy | None:
        """The same; None where the engine cannot be asked."""
        try:
            return self._asked(build)
        except (Unreachable, Denied) as error:
            self._mark_away(error)
            return None

    def _end_near(self, build: str) -> None:
        """End what was coordinated near while the engine was away: it answers again, and counts."""
        if any(state.breakage for state in self._near.read(build).states.values()):
            self._near.update(
                build,
                lambda near: Step(
                    Outcome.NOTED,
                    "",
                    tuple(_plain(state) for state in near.states.values() if state.breakage is not None),
                ),
            )

    # The copy

    def _document(self, copy: Copy) -> Document:
        """Raises `Unavailable` for what no buildguard of this format wrote."""
        try:
            return document.decoded(copy.data)
        except document.Newer:
            raise Unavailable(Fault.NEWER, self.where, "was written by a newer buildguard") from None
        except codec.Garbage as error:
            raise Unavailable(
                Fault.DAMAGED, self.where, f"holds what buildguard did not write ({error})"
            ) from error

    def _remember(self, build: str, before: Copy, kept: Kept) -> Copy:
        """Put the copy beside the near store. A document that is gone, or was set back, forgets no number."""
        now, found, known = self._clock(), self._document(Copy(data=kept.data)), self._document(before)
        first = {}
        for state in found.states.values():
            if state.claim is not None:
                sign = _sign(state)
                first[sign] = before.first.get(sign, now)
        data = kept.data
        if found.highest < known.highest or found.last_event < known.last_event:
            lifted = found._replace(
                highest=max(found.highest, known.highest), last_event=max(found.last_event, known.last_event)
            )
            data = codec.encode(lifted)
        copy = Copy(kept.token, now, first, data)
        with suppress(OSError):
            private.folder(self._git_dir)
            private.write(self._copy_file(build), codec.encode(copy).encode())
        return copy

    def _copy(self, build: str) -> Copy | None:
        """The copy; None where there is none, or what lies there is none."""
        try:
            return codec.decode(Copy, private.read(self._copy_file(build), _LARGEST)[0])
        except (OSError, codec.Garbage):
            return None

    def _copy_file(self, build: str) -> Path:
        return self._git_dir / "buildguard" / f"far-{_key(build)}"

    # Away

    @property
    def _away_file(self) -> Path:
        return self._git_dir / "buildguard" / "far-away"

    def _is_away(self) -> bool:
        try:
            since = time.time() - self._away_file.lstat().st_mtime
        except OSError:
            return False
        if 0 <= since < AWAY_SECONDS:
            with suppress(OSError):
                self.away = self.away or private.read(self._away_file)[0]
            return True
        return False

    def _mark_away(self, error: Exception) -> None:
        """Note that it does not answer, or refuses, and why."""
        if self._is_away():
            return
        self.away = str(error)[:200]
        with suppress(OSError):
            private.folder(self._git_dir)
            private.write(self._away_file, self.away.encode(errors="replace"))


def _plain(state: State) -> State:
    """A near state without the breakage that only counted here."""
    return state._replace(breakage=None)


def _stays_near(step: Step, before: Snapshot) -> bool:
    """Whether nothing in it concerns anybody else: proofs, notes, and the time of a check that passed."""
    if any(event.kind not in _NOTES for event in step.events):
        return False
    return all(
        state.breakage is None and before.state(state.scope)._replace(last_check=state.last_check) == state
        for state in step.states
    )


def _only_renews(step: Step, before: Snapshot) -> bool:
    """Whether it is but a sign of life, and the last one that travelled is young."""
    if step.events or step.proofs:
        return False
    for state in step.states:
        was, claim = before.state(state.scope), state.claim
        if claim is None or was.claim is None or was.breakage is None:
            return False
        older = was._replace(breakage=was.breakage._replace(claim=claim))
        if older != state or was.claim._replace(seen_at=claim.seen_at) != claim:
            return False
        if claim.seen_at - was.claim.seen_at >= min(RENEWED_EVERY, claim.stale_after / 6):
            return False
    return True


def _sign(state: State) -> str:
    """A sign of life of a claim, by which it is known again."""
    return f"{state.number} {state.claim.seen_at if state.claim else 0.0}"


def _key(build: str) -> str:
    """The build's name as the key of a document; a name that has other characters becomes a hash."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,80}", build):
        return build
    import hashlib

    return f"h-{hashlib.sha256(build.encode(errors='surrogateescape')).hexdigest()[:32]}"
