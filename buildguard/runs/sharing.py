"""A check is asked for: look on a run that is just that one, take its verdict, or begin a run."""

import time
from contextlib import suppress
from typing import Final, NamedTuple

from buildguard.agents.identity import identify_cheaply
from buildguard.checks.runner import ACTIVE_VARIABLE, RUN_VARIABLE, Order, Result, Verdict
from buildguard.claims.model import Snapshot
from buildguard.errors import GitFault
from buildguard.git import files
from buildguard.git.files import Files, Watched
from buildguard.git.repository import Repository
from buildguard.runs.ending import Ending
from buildguard.runs.looking_on import Audience
from buildguard.runs.output_log import Beginning
from buildguard.runs.room import Room
from buildguard.runs.sameness import digest, key_of
from buildguard.session import FRESH_VARIABLE, Session
from buildguard.text import span

_TRIES: Final = 3
"""After so many runs that came to nothing, or were on other files, nothing is shared."""


class Shared(NamedTuple):
    """A run that others may have begun, or had: how it ended, when it began (seconds since the epoch), the last
    event before it, the files that it is about, and what was done to them. `reused` says whose pass it was, in
    words."""

    result: Result
    began: float
    seen: int
    files: Files
    watched: Watched
    reused: str = ""


class Request:
    """Somebody asks for a check. `check` names it as at the top; `reuse` allows for a pass of before."""

    def __init__(
        self,
        session: Session,
        repository: Repository,
        order: Order,
        check: str,
        snapshot: Snapshot,
        audience: Audience,
        reuse: bool,
    ) -> None:
        self.session = session
        self.repository = repository
        self.order = order
        self.check = check
        self.snapshot = snapshot
        self.audience = audience
        self.reuse = reuse

    def share(self, seen: Files) -> Shared | None:
        """The verdict on these files, from whichever run; None where the check is to run for this caller alone."""
        environment = self.session.environment
        # What a run of ours has started would wait for itself.
        if not seen.tree or environment.get(ACTIVE_VARIABLE) or environment.get(RUN_VARIABLE):
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
        """As `share`; None where that came to nothing, or to a verdict on other files. Raises `OSError`."""
        session, joined = self.session, None
        key = key_of(session, self.order, tree)
        with room.alone():
            fresh = bool(session.environment.get(FRESH_VARIABLE))
            if self.reuse and not fresh and (passed := room.passed(key, self._oldest())):
                return self._reused(*passed, seen)
            joined = None if fresh else room.joined(key)
            if joined is None:
                head = Beginning(0, time.time(), self.snapshot.last_event, self._name())
                onlooker = room.begun(key, self.order, head, lambda: files.watched(self.repository, seen))
            else:
                onlooker, head = joined
        if joined is not None:
            by = f", by {head.agent}" if head.agent else ""
            session.voice.say(f"joined: this check runs here on these files, for {_since(head.began)}{by}")
        ending = onlooker.look_on(self.audience)
        if ending is None:
            return None
        # Somebody may have edited before we looked at the files, and gone back.
        if joined is not None and not ending.watched.steady and ending.result.verdict is not Verdict.INTERRUPTED:
            return None
        return Shared(ending.result, head.began, min(head.seen, self.snapshot.last_event), seen, ending.watched)

    def _reused(self, ending: Ending, head: Beginning, seen: Files) -> Shared:
        by = f", by {head.agent}" if head.agent else ""
        how = "--fresh" if "BUILDGUARD_VERDICT_FILE" in self.session.environment else f"{FRESH_VARIABLE}=1"
        reused = f"these very files, {_since(ending.ended)} ago{by}; {how} runs it"
        return Shared(ending.result, head.began, head.seen, seen, ending.watched, reused)

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


def _since(at: float) -> str:
    return span(max(0.0, time.time() - at))
