"""One attempt at the check: started as its author expects, with signs of life, and what it then shows."""

import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from buildguard.agents.hookrunner import private_prefix
from buildguard.agents.identity import must_speak, outlives_after
from buildguard.checks.runner import ACTIVE_VARIABLE, Command, Order, Result, Verdict, active, run, scrubbed
from buildguard.claims.guard import Answer, Guard
from buildguard.claims.model import Outcome, Run, Snapshot
from buildguard.commands.handoff import asked_for
from buildguard.commands.printed import at_the_top, failing_ids, keep_output, place
from buildguard.commands.showing import breakages, proved
from buildguard.git import files
from buildguard.git.files import Files
from buildguard.git.repository import Repository
from buildguard.runs.looking_on import Audience
from buildguard.runs.sharing import Request, Shared
from buildguard.session import BEGAN, Session
from buildguard.text import span
from buildguard.ui.reports import Report, inconclusive, interrupted, still_running
from buildguard.ui.voice import SIGN_OF_LIFE, Checking

_VERDICTS = (Verdict.PASSED, Verdict.FAILED)


def always() -> bool:
    """The answer of a caller whose end is of no consequence."""
    return True


class Attempt(NamedTuple):
    """One finished run of a check. `snapshot` is what was read before it began, `files` are those that it began
    with (None: not looked at), `run` is what the rules need of it."""

    command: Command
    result: Result
    run: Run
    snapshot: Snapshot | None = None
    files: Files | None = None
    reused: str = ""
    """Whose pass it was, and when, if the check did not run now."""

    @property
    def ended(self) -> str:
        """How it ended, in words."""
        return f"failed: {self.command.text} (exit status {self.result.status}, {span(self.result.seconds)})"

    @property
    def known(self) -> Snapshot | None:
        """What was read, and with it what this run showed: who failed after a pass has not mended it."""
        proof, snapshot = self.run.proof, self.snapshot
        if proof is None or proof.passed or snapshot is None:
            return snapshot
        return snapshot._replace(proofs=(*snapshot.proofs, proof._replace(at=snapshot.now)))


def attempt(
    session: Session,
    command: Command,
    lives: Callable[[], bool] = always,
    committed: Callable[[], str] | None = None,
    reuse: bool = False,
    patient: bool = True,
) -> Attempt:
    """Run the check once, or look on where it runs. `committed` tells the tree that a commit is to hold, where one
    follows a pass; `reuse` allows for a pass of before; without being `patient` nobody waits for a slot."""
    snapshot = session.coordinate(Guard.read)
    repository = session.repository
    top = repository if repository and repository.top and snapshot else None
    seen = session.coordinate(lambda _: files.look(top)) if top else None
    shared = None
    if top is not None and snapshot is not None and seen is not None:
        until = outlives_after(session.environment, BEGAN) if committed else None
        shared = _shared(session, command, top, snapshot, seen, lives, until, reuse, patient)
    if shared is None:
        shared = _alone(session, command, lives, patient, snapshot, seen)
    result, seen = shared.result, shared.files
    showed = _run_of(session, command, shared, snapshot)
    if top is not None and seen is not None and snapshot is not None and result.verdict in _VERDICTS:
        before = seen
        told = session.coordinate(
            lambda _: proved(session, top, showed, result, snapshot, before, committed, shared.watched)
        )
        showed = _counting(session, top, told or showed, shared.others or bool(shared.reused))
    return Attempt(command, result, showed, snapshot, seen, shared.reused)


def _shared(
    session: Session,
    command: Command,
    top: Repository,
    snapshot: Snapshot,
    seen: Files,
    lives: Callable[[], bool],
    until: float | None,
    reuse: bool,
    patient: bool,
) -> Shared | None:
    """A run that others may look on, or have had; None where that cannot be."""
    order = _order(session, command, {}, session.settings.check_timeout)
    alive = partial(_sign_of_life, session, command.text)
    seen_by = Checking(session.voice, command.text)
    sinks = order.stdout, order.stderr
    audience = Audience(sinks, lives, alive, _ticks(session), until, speaks=seen_by.speaks)
    # Where it must speak anyway, each tick does.
    audience = audience if must_speak(session.environment) else audience._replace(silent=seen_by.silent)
    request = Request(session, top, order, at_the_top(session, command), snapshot, audience, reuse, patient)
    return session.coordinate(lambda _: request.share(seen))


def _alone(
    session: Session,
    command: Command,
    lives: Callable[[], bool],
    patient: bool,
    snapshot: Snapshot | None,
    seen: Files | None,
) -> Shared:
    """A run for this caller alone."""
    from buildguard.runs.slots import held

    with held(session, lives, patient):
        began = time.time()
        result = start(session, command, {}, lives, session.settings.check_timeout)
    return Shared(result, began, snapshot.last_event if snapshot else -1, seen, None)


def _run_of(session: Session, command: Command, shared: Shared, snapshot: Snapshot | None) -> Run:
    """What the rules need of the run, but for its files."""
    repository, result, check = session.repository, shared.result, at_the_top(session, command)
    showed = Run(check, shared.seen, session.checkout)
    if repository is not None:
        showed = showed._replace(head=repository.head, branch=repository.branch)
    if result.verdict is Verdict.FAILED and snapshot is not None:
        ids = session.coordinate(lambda _: failing_ids(session, command, result, shared.began))
        showed = showed._replace(failures=ids or ())
    if result.verdict is Verdict.PASSED and result.output and repository and not shared.reused:
        keep_output(repository, check, result.output)
    return showed


def _counting(session: Session, repository: Repository, showed: Run, others: bool) -> Run:
    """The run as it counts: one that `others` began or had counts once, however many take its verdict. What the
    check leaves behind is told."""
    proof = showed.proof
    if proof is not None and proof.written:
        from buildguard.commands.leavings import tell

        tell(session, repository, proof)
    return showed._replace(proof=proof._replace(runs=0, avoided=1)) if proof is not None and others else showed


def settled(
    session: Session, tried: Attempt, again: Callable[[], str | None]
) -> tuple[Report, Answer | None] | None:
    """The report of an attempt that did not fail, after it was told to the others; None for a failure. `again` is
    asked only if needed: a passing hook has no time to read how git was called."""
    result, command = tried.result, tried.command
    if result.verdict is Verdict.INTERRUPTED:
        return interrupted(result.why, again()), None
    if result.verdict is Verdict.RUNNING:
        return still_running(command.text, result.seconds, again()), None
    if result.verdict is Verdict.INCONCLUSIVE:
        return inconclusive(command.text, result.why, again()), None
    if result.verdict is Verdict.FAILED:
        return None
    claimed = tried.snapshot is not None and any(state.claim for state in tried.snapshot.states.values())
    landed = _landed(session, tried)
    answer = session.coordinate(lambda guard: guard.passed(tried.run, guard.me.id if claimed else None))
    if answer is not None and answer.outcome is Outcome.PASSED and landed is not None and landed.event is not None:
        answer = landed
    brief = asked_for(session.environment)
    report = session.answers.passed(answer, command.text, tried.reused or span(result.seconds), brief)
    if claimed:
        from buildguard.commands.landing import lost

        report = report._replace(lines=(*report.lines, *lost(session, answer)))
    if answer is not None and answer.event is not None:
        from buildguard.commands.elsewhere import to_be_pushed

        report = to_be_pushed(session, answer, report)
        if session.repository is not None and not any(one.breakage for one in answer.snapshot.states.values()):
            files.sweep(session.repository)
    return report, answer


def _landed(session: Session, tried: Attempt) -> Answer | None:
    """What has become of an earlier pass: it may have been committed meanwhile, whatever else is edited now."""
    snapshot = tried.snapshot
    if snapshot is None or not breakages(snapshot, session.checkout):
        return None
    from buildguard.commands.landing import ask

    return session.coordinate(lambda _: ask(session, snapshot))


def start(
    session: Session,
    command: Command,
    variables: Mapping[str, str],
    lives: Callable[[], bool],
    timeout: float | None,
) -> Result:
    """Start a check or a fix without what git and hook runners set for the hook alone."""
    order, alive = _order(session, command, variables, timeout), partial(_sign_of_life, session, command.text)
    return run(order, tick=alive, tick_every=_ticks(session), caller_lives=lives)


def _order(session: Session, command: Command, variables: Mapping[str, str], timeout: float | None) -> Order:
    repository, settings = session.repository, session.settings
    names = repository.local_variables if repository else ()
    environment = scrubbed(session.environment, names, private_prefix(sys.prefix))
    common_dir = str(repository.common_dir) if repository else ""
    environment[ACTIVE_VARIABLE] = active(session.environment, common_dir, at_the_top(session, command))
    sys.stdout.flush()
    sys.stderr.flush()
    where, out = place(session, command), 2 if session.voice.json else 1
    return Order(command, {**environment, **variables}, where, timeout, settings.inconclusive_exit_codes, out)


def _ticks(session: Session) -> float:
    return min(SIGN_OF_LIFE, session.settings.stale_after / 3)


def _sign_of_life(session: Session, check: str) -> None:
    if must_speak(session.environment):
        session.voice.say(f"still running: {check}")
    if session.guard is not None:
        session.coordinate(Guard.alive)
