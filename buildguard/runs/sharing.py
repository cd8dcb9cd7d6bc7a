"""A check is asked for: look on a run that is just that one, take its verdict, or begin a run."""

import time
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final, NamedTuple

from buildguard.agents.identity import identify_cheaply
from buildguard.checks.runner import ACTIVE_VARIABLE, HANDOFF_VARIABLE, Order, Result, Verdict
from buildguard.claims.model import Snapshot
from buildguard.errors import GitFault
from buildguard.git import files
from buildguard.git.files import Files, Watched
from buildguard.git.pending import GIT_GONE
from buildguard.git.repository import Repository
from buildguard.runs.ending import Ending
from buildguard.runs.looking_on import Audience, Onlooker
from buildguard.runs.output_log import Beginning
from buildguard.runs.room import Room
from buildguard.runs.sameness import digest, key_of
from buildguard.session import FRESH_VARIABLE, Session
from buildguard.text import span

if TYPE_CHECKING:
    from buildguard.runs.slots import Queue

_TRIES: Final = 3
"""After so many runs that came to nothing, or were on other files, nothing is shared."""


class Shared(NamedTuple):
    """A run that others may have begun, or had: how it ended, when it began (seconds since the epoch), the last
    event before it, the files that it is about, and what was done to them (None: not looked at). `reused` says
    whose pass it was, in words; `others` says that somebody else began it."""

    result: Result
    began: float
    seen: int
    files: Files | None
    watched: Watched | None
    reused: str = ""
    others: bool = False


class Looking(NamedTuple):
    """An onlooker of a run, and how that began; `joined` if somebody else began it."""

    onlooker: Onlooker
    beginning: Beginning
    joined: bool


class Request:
    """Somebody asks for a check. `check` names it as at the top; `reuse` allows for a pass of before; without being
    `patient` nobody waits for a slot."""

    def __init__(
        self,
        session: Session,
        repository: Repository,
        order: Order,
        check: str,
        snapshot: Snapshot,
        audience: Audience,
        reuse: bool,
        patient: bool = True,
    ) -> None:
        self.session = session
        self.repository = repository
        self.order = order
        self.check = check
        self.snapshot = snapshot
        self.audience = audience
        self.reuse = reuse
        self.patient = patient

    def share(self, seen: Files) -> Shared | None:
        """The verdict on these files, from whichever run; None where the check is to run for this caller alone."""
        # What a run of ours has started would wait for itself.
        if not seen.tree or self.session.environment.get(ACTIVE_VARIABLE):
            return None
        with suppress(OSError, GitFault):
            room = Room(self.repository.git_dir, digest((self.check,))[:8])
            for number in range(_TRIES):
                seen = files.look(self.repository) if number else seen
                tree = files.tree_without(self.repository, seen, self._written)
                found = self._once(room, tree, seen) if tree else None
                if found is not None or not tree:
                    return found
        return None

    def _once(self, room: Room, tree: str, seen: Files) -> Shared | None:
        """As `share`; None where that came to nothing, or to a verdict on other files. Raises `OSError` if one more
        try would not help."""
        found = self._found(room, key_of(self.session, self.order, tree), seen)
        if not isinstance(found, Looking):
            return found
        ending = found.onlooker.look_on(self.audience)
        if ending is None and not found.joined:
            # Killed, or without room for the output: another one might end like it.
            raise ProcessLookupError("the runner that we began is gone")
        if ending is None:
            return None
        # Somebody may have edited before we looked at the files, and gone back.
        told = ending.watched.steady or ending.result.verdict in (Verdict.INTERRUPTED, Verdict.RUNNING)
        if found.joined and not told:
            return None
        last = min(found.beginning.seen, self.snapshot.last_event)
        return Shared(ending.result, found.beginning.began, last, seen, ending.watched, others=found.joined)

    def _found(self, room: Room, key: str, seen: Files) -> "Looking | Shared":
        """A pass of before, a run that goes on, or, once there is a slot, one that we begin. Raises `OSError`."""
        session = self.session
        fresh = bool(session.environment.get(FRESH_VARIABLE))
        while True:
            with room.alone():
                passed = room.passed(key, self._oldest()) if self.reuse and not fresh else None
                # Of edits that git overlooks nobody knows whether they are those of before.
                if passed is not None and not files.hidden(self.repository):
                    return self._reused(*passed, seen)
                joined = None if fresh else room.joined(key)
                slot = self._slot() if joined is None else -1
                if joined is None and (slot is not None or not self.patient):
                    beginning = Beginning(0, time.time(), self.snapshot.last_event, self._name())
                    look = partial(_watched, self.repository, seen)
                    begun = room.begun(key, self.order, beginning, look, -1 if slot is None else slot)
                    return Looking(begun, beginning, False)
            if joined is not None:
                by = f", by {joined[1].agent}" if joined[1].agent else ""
                session.voice.say(f"joined: this check runs here on these files, for {_since(joined[1].began)}{by}")
                return Looking(*joined, True)
            if not self.audience.lives():
                cut = Result(Verdict.INTERRUPTED, None, GIT_GONE, 0.0, b"")
                return Shared(cut, time.time(), -1, seen, Watched(False, frozenset()))
            self._queue.wait()

    @cached_property
    def _queue(self) -> "Queue":
        from buildguard.runs.slots import Queue

        return Queue(self.session)

    def _slot(self) -> int | None:
        """As `free` says; a passing hook without a bound does not load it."""
        if not self.session.settings.slots:
            return -1
        from buildguard.runs.slots import free

        return free(self.session)

    def _reused(self, ending: Ending, head: Beginning, seen: Files) -> Shared:
        by = f", by {head.agent}" if head.agent else ""
        how = "--fresh" if HANDOFF_VARIABLE in self.session.environment else f"{FRESH_VARIABLE}=1"
        reused = f"these very files, {_since(ending.ended)} ago{by}; {how} runs it"
        return Shared(ending.result, head.began, head.seen, seen, ending.watched, reused, True)

    @property
    def _written(self) -> frozenset[str]:
        """What this check is known to write."""
        mine = (one.written for one in self.snapshot.proofs if one.check == self.check)
        return frozenset[str]().union(*mine)

    def _oldest(self) -> float:
        """No pass that ended before is reused: not one from before this check failed here."""
        failed = (
            one.at
            for one in self.snapshot.proofs
            if not one.passed and (one.check, one.checkout) == (self.check, self.session.checkout)
        )
        return max(time.time() - self.session.settings.reuse, *failed, 0.0)

    def _name(self) -> str:
        session = self.session
        name = session.checkout.removeprefix("checkout:")
        agent = identify_cheaply(session.agent_option, session.environment, name)
        return agent.id if agent else ""


def _watched(repository: Repository, before: Files) -> Watched:
    """What was done to the files; where their commit has ended and taken its index away, their content decides."""
    found = files.watched(repository, before)
    named = repository.environment.get("GIT_INDEX_FILE")
    if found.steady or not named or repository.top is None or (repository.top / named).exists():
        return found
    variables = {name: value for name, value in repository.environment.items() if name != "GIT_INDEX_FILE"}
    repository = repository._replace(environment=variables)
    now = files.look(repository)
    written = now.untracked - before.untracked
    return Watched(bool(now.tree) and files.tree_without(repository, now, written) == before.tree, written)


def _since(at: float) -> str:
    return span(max(0.0, time.time() - at))
