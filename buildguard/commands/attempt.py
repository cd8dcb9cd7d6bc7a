"""One attempt at the check: started as its author expects, with signs of life, and what it then shows."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from buildguard.agents.hookrunner import private_prefix
from buildguard.agents.identity import outlives_after
from buildguard.checks.runner import ACTIVE_VARIABLE, Command, Order, Result, Verdict, active, run, scrubbed
from buildguard.claims.guard import Answer, Guard
from buildguard.claims.model import Outcome, Run, Snapshot
from buildguard.commands.handoff import asked_for
from buildguard.commands.showing import breakages, proved
from buildguard.git import files, private
from buildguard.git.files import Files
from buildguard.git.repository import Repository
from buildguard.runs.looking_on import Audience
from buildguard.runs.sharing import Request
from buildguard.session import BEGAN, Session
from buildguard.text import quoted, span
from buildguard.ui.reports import Report, inconclusive, interrupted, still_running
from buildguard.ui.voice import SIGN_OF_LIFE

_OUTPUT = "last-pass"
"""Holds the output of the last pass: an id in it is no failure when the check fails."""
_KEPT_OUTPUT = 1 << 18


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
    began, last = time.time(), snapshot.last_event if snapshot else -1
    check = at_the_top(session, command)
    shared = None
    if top is not None and snapshot is not None and seen is not None:
        until = outlives_after(session.environment, BEGAN) if committed else None
        order = _order(session, command, {}, session.settings.check_timeout)
        sinks, alive = (order.stdout, order.stderr), partial(_sign_of_life, session)
        audience = Audience(sinks, lives, alive, _ticks(session), until)
        request, before = Request(session, top, order, check, snapshot, audience, reuse, patient), seen
        shared = session.coordinate(lambda _: request.share(before))
    if shared is not None:
        result, began, last, seen = shared.result, shared.began, shared.seen, shared.files
    else:
        from buildguard.runs.slots import held

        with held(session, lives, patient):
            began = time.time()
            result = start(session, command, {}, lives, session.settings.check_timeout)
    showed = Run(check, last, session.checkout)
    if repository is not None:
        showed = showed._replace(head=repository.head, branch=repository.branch)
    if result.verdict is Verdict.FAILED:
        ids = session.coordinate(lambda _: _failures(session, command, result, began)) if snapshot else None
        showed = showed._replace(failures=ids or ())
    reused = shared.reused if shared else ""
    if result.verdict is Verdict.PASSED and result.output and repository and not reused:
        _keep_output(repository, check, result.output)
    if top is None or seen is None or snapshot is None:
        return Attempt(command, result, showed, snapshot, seen)
    if result.verdict in (Verdict.PASSED, Verdict.FAILED):
        watched = shared.watched if shared else None
        told = session.coordinate(
            lambda _: proved(session, top, showed, result, snapshot, seen, committed, watched)
        )
        showed = told or showed
        if showed.proof is not None and shared and shared.others:
            # One run counts once, however many look on.
            showed = showed._replace(proof=showed.proof._replace(runs=0))
        if showed.proof is not None and showed.proof.written:
            from buildguard.commands.leavings import tell

            tell(session, top, showed.proof)
    return Attempt(command, result, showed, snapshot, seen, reused)


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
    order, alive = _order(session, command, variables, timeout), partial(_sign_of_life, session)
    return run(**order._asdict(), tick=alive, tick_every=_ticks(session), caller_lives=lives)


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


def place(session: Session, command: Command) -> Path:
    """Where a command runs: the configured check where the git hook runs it, whoever calls from wherever."""
    top = session.repository.top if session.repository else None
    return top if top is not None and command == session.settings.check else session.cwd


def _failures(session: Session, command: Command, result: Result, began: float) -> tuple[str, ...]:
    """The ids of what failed, less those that a passing run prints, too: they fail nothing."""
    from buildguard.checks.failures import failure_ids

    root = place(session, command)
    found = failure_ids(result.output, session.settings.junit, began, root)
    if found and session.repository is not None:
        harmless = failure_ids(_kept_output(session.repository, at_the_top(session, command)), None, None, root)
        found = tuple(one for one in found if one not in harmless)
    folder = _folder(session, command)
    return tuple(f"{folder}{failure}" for failure in found)


def _folder(session: Session, command: Command) -> str:
    """The folder that a command runs in, as the start of a path from the top; empty at the top."""
    top = session.repository.top if session.repository else None
    if top is None:
        return ""
    path = os.path.relpath(place(session, command), top)
    return "" if path == "." or path.startswith("..") else f"{path}/"


def at_the_top(session: Session, command: Command) -> str:
    """The check as a person would type it at the top: in another folder the same words check something else."""
    folder = _folder(session, command)
    return f"cd {quoted(folder)} && {command.text}" if folder else command.text


def _sign_of_life(session: Session) -> None:
    if session.guard is not None:
        session.coordinate(Guard.alive)


def _output_file(repository: Repository, check: str) -> Path:
    # Not from `hashlib`: a passing hook would load OpenSSL for the name of a file.
    from zlib import adler32, crc32

    named = check.encode(errors="replace")
    return repository.git_dir / "buildguard" / f"{_OUTPUT}-{crc32(named):08x}{adler32(named):08x}"


def _keep_output(repository: Repository, check: str, output: bytes) -> None:
    """Keep what a pass printed. Where that cannot be written, a failure only has more ids."""
    try:
        private.folder(repository.git_dir)
        private.write(_output_file(repository, check), output[-_KEPT_OUTPUT:])
    except OSError:
        return


def _kept_output(repository: Repository, check: str) -> bytes:
    try:
        return private.read(_output_file(repository, check), _KEPT_OUTPUT)[0].encode(errors="surrogateescape")
    except OSError:
        return b""
