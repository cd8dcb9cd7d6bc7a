"""One attempt at the check: started as its author expects, with signs of life, and what it then shows."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from buildguard.agents.hookrunner import private_prefix
from buildguard.agents.identity import identify_cheaply
from buildguard.checks.runner import ACTIVE_VARIABLE, Command, Result, Verdict, active, run, scrubbed
from buildguard.claims.guard import Answer, Guard
from buildguard.claims.model import Breakage, Content, Landing, Proof, Run, Seen, Snapshot
from buildguard.commands.handoff import asked_for
from buildguard.git import files
from buildguard.git.files import Files
from buildguard.git.repository import Repository
from buildguard.session import Session
from buildguard.text import quoted, span
from buildguard.ui.reports import Report, inconclusive, interrupted
from buildguard.ui.voice import SIGN_OF_LIFE

MOST_CHANGED = 1000
"""How many paths a fix may change; of a larger one only a pass with nothing loose is believed."""
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

    @property
    def ended(self) -> str:
        """How it ended, in words."""
        return f"failed: {self.command.text} (exit status {self.result.status}, {span(self.result.seconds)})"


def attempt(
    session: Session,
    command: Command,
    lives: Callable[[], bool] = always,
    committed: Callable[[], str] | None = None,
) -> Attempt:
    """Run the check once. `committed` tells the tree that a commit is to hold, where one follows a pass."""
    snapshot = session.coordinate(Guard.read)
    repository = session.repository
    seen = files.look(repository) if repository and repository.top and snapshot else None
    began = time.time()
    result = start(session, command, {}, lives, session.settings.check_timeout)
    check = at_the_top(session, command)
    showed = Run(check, snapshot.last_event if snapshot else -1, session.checkout)
    if repository is not None:
        showed = showed._replace(head=repository.head, branch=repository.branch)
    if result.verdict is Verdict.FAILED:
        showed = showed._replace(failures=_failures(session, command, result, began))
    if result.verdict is Verdict.PASSED and result.output and repository:
        _keep_output(repository, check, result.output)
    if repository is None or seen is None or snapshot is None:
        return Attempt(command, result, showed, snapshot, seen)
    if result.verdict in (Verdict.PASSED, Verdict.FAILED):
        showed = _proved(session, repository, showed, result, snapshot, seen, committed)
    return Attempt(command, result, showed, snapshot, seen)


def settled(session: Session, tried: Attempt, again: str | None) -> tuple[Report, Answer | None] | None:
    """The report of an attempt that did not fail, after it was told to the others; None for a failure."""
    result, command = tried.result, tried.command
    if result.verdict is Verdict.INTERRUPTED:
        return interrupted(result.why, again), None
    if result.verdict is Verdict.INCONCLUSIVE:
        return inconclusive(command.text, result.why, again), None
    if result.verdict is Verdict.FAILED:
        return None
    claimed = tried.snapshot is not None and any(state.claim for state in tried.snapshot.states.values())
    answer = session.coordinate(lambda guard: guard.passed(tried.run, guard.me.id if claimed else None))
    brief = asked_for(session.environment)
    return session.answers.passed(answer, command.text, result.seconds, brief), answer


def start(
    session: Session,
    command: Command,
    variables: Mapping[str, str],
    lives: Callable[[], bool],
    timeout: float | None,
) -> Result:
    """Start a check or a fix without what git and hook runners set for the hook alone."""
    repository = session.repository
    names = repository.local_variables if repository else ()
    environment = scrubbed(session.environment, names, private_prefix(sys.prefix))
    if repository is not None:
        environment[ACTIVE_VARIABLE] = active(
            session.environment, str(repository.common_dir), at_the_top(session, command)
        )
    sys.stdout.flush()
    sys.stderr.flush()
    return run(
        command,
        environment={**environment, **variables},
        cwd=place(session, command),
        timeout=timeout,
        inconclusive=session.settings.inconclusive_exit_codes,
        stdout=2 if session.voice.json else 1,
        tick=lambda: _sign_of_life(session),
        tick_every=min(SIGN_OF_LIFE, session.settings.stale_after / 3),
        caller_lives=lives,
    )


def place(session: Session, command: Command) -> Path:
    """Where a command runs: the configured check where the git hook runs it, whoever calls from wherever."""
    top = session.repository.top if session.repository else None
    return top if top is not None and command == session.settings.check else session.cwd


def good_head(snapshot: Snapshot, check: str, tree: str) -> bool:
    """Whether this check is known to pass on HEAD, whose tree that is."""
    return any(proof.passed and (proof.check, proof.files) == (check, tree) for proof in snapshot.proofs)


def landing(repository: Repository, failed: str, changed: tuple[Content, ...], since: str, head: str) -> Landing:
    """How much of what changed since the failure on `since` the commit `head` holds."""
    loose = files.not_held(repository, head, changed) if head else tuple(one.path for one in changed)
    commits: tuple[str, ...] = ()
    if len(loose) < len(changed) and since != head:
        commits = tuple(repository.commits_touching(since, head, [one.path for one in changed]))
    return Landing(failed, changed, loose, commits)


def follows(repository: Repository, snapshot: Snapshot, checkout: str, head: str) -> frozenset[str]:
    """Those of the HEADs that failed in that checkout that `head` is or descends from."""
    heads = {seen.head for _, seen in breakages(snapshot, checkout)}
    return frozenset(one for one in heads if one == head or (one and repository.descends(head, one)))


def breakages(snapshot: Snapshot, checkout: str) -> list[tuple[Breakage, Seen]]:
    """The open breakages that a checkout has."""
    found = [state.breakage for state in snapshot.states.values() if state.breakage]
    return [(one, one.seen[checkout]) for one in found if checkout in one.seen]


def _proved(
    session: Session,
    repository: Repository,
    showed: Run,
    result: Result,
    snapshot: Snapshot,
    before: Files,
    committed: Callable[[], str] | None,
) -> Run:
    """The run with the files that it saw and what follows from them; without them if they changed meanwhile."""
    watched = files.watched(repository, before)
    passed = result.verdict is Verdict.PASSED
    showed = showed._replace(
        files=before.tree if watched.steady else "", good=good_head(snapshot, showed.check, repository.tree)
    )
    showed = showed._replace(clean=bool(showed.files) and showed.files == repository.tree)
    here = breakages(snapshot, session.checkout)
    written = watched.written.union(*(proof.written for proof in snapshot.proofs if proof.check == showed.check))
    tree = committed() if committed and here and passed else ""
    others = _of_others(snapshot, session.checkout, _who(session, False)) if here and passed else frozenset()
    if here:
        showed = showed._replace(
            follows=follows(repository, snapshot, session.checkout, showed.head),
            landings=_landings(repository, showed, here, written, tree, others) if passed else (),
        )
    proof = Proof(
        showed.check,
        passed,
        showed.files,
        session.checkout,
        _who(session, passed),
        showed.head,
        showed.branch,
        tree,
        showed.seen,
        showed.failures,
        written=tuple(sorted(watched.written)),
        staged=before.staged[:MOST_CHANGED] if repository.environment.get("GIT_INDEX_FILE") else (),
    )
    if showed.landings:
        proof = proof._replace(failed=showed.landings[0].failed, changed=showed.landings[0].changed)
    return showed._replace(proof=proof if showed.files else None)


def _landings(
    repository: Repository,
    showed: Run,
    here: list[tuple[Breakage, Seen]],
    written: frozenset[str],
    tree: str,
    others: frozenset[str],
) -> tuple[Landing, ...]:
    """What became of the files that failed. What `others` were about to commit when it failed for them, too, is no
    part of a fix: it is theirs to commit."""
    found = []
    for _, seen in here:
        failed = seen.files or ""
        changed = files.changed(repository, failed, showed.files) if failed and showed.files else None
        if changed is not None and len(changed) <= MOST_CHANGED:
            kept = tuple(one for one in changed if one.path not in written)
            kept = tuple(one for one in kept if one.path not in others) or kept
            held = landing(repository, failed, kept, seen.head, showed.head)
            found.append(held._replace(left=files.not_held(repository, tree, kept)) if tree else held)
    return tuple(found)


def _of_others(snapshot: Snapshot, checkout: str, me: str) -> frozenset[str]:
    """The paths of commits in this checkout that failed for other agents than the caller."""
    theirs = (
        one for one in snapshot.proofs if not one.passed and one.checkout == checkout and one.agent not in ("", me)
    )
    return frozenset(path for one in theirs for path in one.staged)


def _who(session: Session, passed: bool) -> str:
    """The caller; of a pass only if that can be told without a walk up the process tree."""
    if session.guard is None:
        return ""
    if not passed:
        return session.guard.me_if_known.id if session.guard.me_if_known else ""
    name = session.checkout.removeprefix("checkout:")
    agent = session.guard.__dict__.get("me") or identify_cheaply(session.agent_option, session.environment, name)
    return agent.id if agent else ""


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
    path = _output_file(repository, check)
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(output[-_KEPT_OUTPUT:])
    except OSError:
        return


def _kept_output(repository: Repository, check: str) -> bytes:
    try:
        with _output_file(repository, check).open("rb") as file:
            return file.read(_KEPT_OUTPUT)
    except OSError:
        return b""
