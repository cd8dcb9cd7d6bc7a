"""One trial of the check: started as its author expects, with signs of life, and what it then proves."""

import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from buildguard.agents import hookrunner as frameworks
from buildguard.checks import runner as check
from buildguard.checks.runner import Command, Result, Verdict
from buildguard.claims.guard import Answer, Guard
from buildguard.claims.model import REPO, Evidence, Run, Snapshot, Status
from buildguard.git import index as gitindex
from buildguard.git import repository as git
from buildguard.git.index import Index
from buildguard.git.repository import Cleanness, Repository
from buildguard.session import FAULTS, Call
from buildguard.ui import phrases as words
from buildguard.ui import reports
from buildguard.ui.reports import Report

SIGN_OF_LIFE = 30.0
"""Seconds between two signs of life while a check or a fix runs."""
ACTIVE = "BUILDGUARD_ACTIVE"
"""Names the repository whose buildguard runs a check: a buildguard nested in it runs only its own check."""


def always() -> bool:
    """The answer of a caller whose end is of no consequence."""
    return True


class Trial(NamedTuple):
    """One finished run of a check. `began` is the time in seconds since the epoch, `run` what the rules need of
    it."""

    command: Command
    result: Result
    began: float
    run: Run

    @property
    def passed(self) -> bool:
        """Whether the check passed."""
        return self.result.verdict is Verdict.PASSED

    @property
    def ended(self) -> str:
        """How it ended, in words."""
        return f"failed: {self.command.text} (exit status {self.result.status}, {words.span(self.result.seconds)})"


def attempt(
    call: Call,
    command: Command,
    index: Index | None,
    lives: Callable[[], bool] = always,
    committing: bool = False,
) -> Trial:
    """Run the check once. In a commit's hook (`committing`) the index holds what is to be checked, elsewhere the
    work tree."""
    repository = call.repository
    snapshot = call.coordinate(Guard.read)
    clean = Cleanness(repository) if repository and index and snapshot else None
    began = time.time()
    result = start(call, command, {}, lives, call.settings.check_timeout)
    check = _at_the_top(call, command)
    run = Run(check, snapshot.last_event if snapshot else -1, call.checkout, committing=committing)
    if repository is not None:
        run = run._replace(head=repository.head, branch=repository.branch)
    if repository is not None and result.verdict is Verdict.FAILED:
        from buildguard.checks.failures import failure_ids

        failures = failure_ids(result.output, call.settings.junit, began, place(call, command))
        failures = tuple(f"{_folder(call, command)}{failure}" for failure in failures)
        staged = index.staged(repository) if index and committing else ""
        run = run._replace(failures=failures, head_tree=repository.tree_of_head(), staged=staged)
    if repository and index and result.verdict is Verdict.PASSED and _may_resolve(snapshot, call.checkout):
        # Only whoever waits for a fix needs to know its tree: a plain pass does without.
        run = _with_trees(run, repository, index, _heads(snapshot))
    if repository and index and clean and _proves(result, clean, repository):
        proof = Evidence(check, index.tree(repository), result.verdict is Verdict.PASSED, began)
        run = run._replace(evidence=(proof._replace(failures=run.failures),))
    return Trial(command, result, began, run)


def _heads(snapshot: Snapshot | None) -> set[str]:
    """The HEADs on which open breakages were claimed."""
    states = snapshot.states.values() if snapshot else ()
    return {state.head for state in states if state.status is not Status.PASSING}


def _with_trees(run: Run, repository: Repository, index: Index, heads: set[str]) -> Run:
    """The run with the trees of what passed: of what is committed of it, and of what is not. `heads` are those on
    which breakages began."""
    if not run.committing:
        committed, edited = repository.tree_of_head(), index.edited_tree(repository)
        if edited == committed and run.head in heads:
            # Nothing was committed since, and no tracked file is edited: the fix is a new file.
            edited = index.edited_tree(repository, new=True)
        return run._replace(tree=edited, loose=edited if edited != committed else "")
    # New files, too: those that others have staged are none of this commit's. Where it cannot be told what is not
    # committed, something is.
    tree, edited = index.tree(repository), index.edited_tree(repository, new=True)
    loose = gitindex.with_change(repository, tree, edited) or edited or tree if edited != tree else ""
    return run._replace(tree=tree, loose=loose, staged=index.staged(repository) if loose else "")


def place(call: Call, command: Command) -> Path:
    """Where a command runs: the configured check where the git hook runs it, whoever calls from wherever."""
    top = call.repository.top if call.repository else None
    return top if top is not None and command == call.settings.check else call.cwd


def _folder(call: Call, command: Command) -> str:
    """The folder that a command runs in, as the start of a path from the top; empty at the top."""
    top = call.repository.top if call.repository else None
    if top is None:
        return ""
    path = os.path.relpath(place(call, command), top)
    return "" if path == "." or path.startswith("..") else f"{path}/"


def _at_the_top(call: Call, command: Command) -> str:
    """The check as a person would type it at the top: in another folder the same words check something else."""
    folder = _folder(call, command)
    return f"cd {shlex.quote(folder)} && {command.text}" if folder else command.text


def _may_resolve(snapshot: Snapshot | None, checkout: str) -> bool:
    """Whether there was anything that a pass in this checkout could resolve."""
    states = snapshot.states.values() if snapshot else ()
    return any(state.status is not Status.PASSING and state.scope in (checkout, REPO) for state in states)


def _proves(result: Result, clean: Cleanness, repository: Repository) -> bool:
    """Whether a run tells something of a tree: its work tree held just that. `clean` was asked when it began."""
    if result.verdict is Verdict.FAILED:
        # Nobody waits for a failure's milliseconds, and an edit made meanwhile may be what failed.
        return clean.answer(git.PATIENCE_SECONDS) and Cleanness(repository).answer(git.PATIENCE_SECONDS)
    # Not asked again here, which every passing hook would pay for. A tree that passes by mistake makes nobody wait.
    return result.verdict is Verdict.PASSED and clean.answer()


def left_behind(call: Call) -> Run:
    """What an agent leaves here that says by its own word that it has fixed the build."""
    run = Run("", -1, call.checkout)
    if call.repository is None:
        return run
    run = run._replace(head=call.repository.head, branch=call.repository.branch)
    index, snapshot = gitindex.current(call.repository), None
    with suppress(*FAULTS):  # the release itself says so
        snapshot = call.required().read()
    return _with_trees(run, call.repository, index, _heads(snapshot)) if index else run


def start(
    call: Call, command: Command, variables: Mapping[str, str], lives: Callable[[], bool], timeout: float | None
) -> Result:
    """Start a check or a fix without what git and hook frameworks set for the hook alone."""
    environment = dict(call.environment)
    repository = call.repository
    if not call.keep_git_environment:
        names = repository.local_variables if repository else ()
        environment = check.scrubbed(environment, names, frameworks.private_prefix(sys.prefix))
    if repository is not None:
        environment[ACTIVE] = str(repository.common_dir)
    sys.stdout.flush()
    sys.stderr.flush()
    return check.run(
        command,
        environment={**environment, **variables},
        cwd=place(call, command),
        timeout=timeout,
        inconclusive=call.settings.inconclusive_exit_codes,
        stdout=2 if call.voice.json else 1,
        tick=lambda: _sign_of_life(call),
        tick_every=min(SIGN_OF_LIFE, call.settings.stale_after / 3),
        caller_lives=lives,
    )


def settled(call: Call, trial: Trial, again: str | None) -> Report | None:
    """The report of a trial that did not fail, after it was told to the others; None for a failure."""
    result, command = trial.result, trial.command
    if result.verdict is Verdict.INTERRUPTED:
        return reports.interrupted(result.why, again)
    if result.verdict is Verdict.INCONCLUSIVE:
        return reports.inconclusive(command.text, result.why, again)
    if result.verdict is Verdict.FAILED:
        return None
    answer = call.coordinate(lambda guard: guard.passed(trial.run))
    return reports.passed(answer, command.text, result.seconds, call.checkout, bool(trial.run.loose))


def elect(call: Call, run: Run, claiming: bool = True) -> Answer | None:
    """Put a failure to the vote; None where coordination is unavailable."""
    return call.coordinate(lambda guard: guard.failed(run, claiming))


def nested(call: Call) -> bool:
    """Whether a buildguard of this repository runs above this one: then the outer one coordinates."""
    repository = call.repository
    return repository is not None and os.environ.get(ACTIVE) == str(repository.common_dir)


def _sign_of_life(call: Call) -> None:
    if call.guard is not None:
        call.coordinate(Guard.alive)
