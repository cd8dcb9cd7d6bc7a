"""The commit-time story: check, elect, wait only where that harms nobody, and let no other commit through than
the one that was checked."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from buildguard import again, agents, frameworks, git, processes, reports, safety, travel, trial, verdict, words
from buildguard.call import FAULTS, Call
from buildguard.check import Command
from buildguard.exits import Exit
from buildguard.fix import fix
from buildguard.git import Index, Repository
from buildguard.guard import Answer, Guard, Moment
from buildguard.reports import Report
from buildguard.run import as_of, await_turn
from buildguard.states import Evidence, Outcome
from buildguard.travel import let_land
from buildguard.trial import Trial

RETRY_GOOD_FOR = 600.0
"""Seconds for which a check that passed serves the repeated commit of the same tree."""
SHELL_MARGIN = 10.0
"""Seconds that a coding agent's shell is left with after a wait."""
GIT_GONE = "the git that called this hook is gone"


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known of the commit that this hook runs for. Without an index it is not a commit (pre-push, a
    framework run by hand). `began` is a monotonic time."""

    repository: Repository
    index: Index | None
    caller: processes.Caller | None
    began: float

    @property
    def orphaned(self) -> bool:
        """Whether git was gone before we could look. Without a git above us somebody else may have called."""
        return self.caller is None and os.getppid() == 1

    def lives(self) -> bool:
        """Whether anybody still waits for our verdict: git does not stop its hooks when it is killed."""
        return self.caller is None or self.caller.lives()

    @property
    def argv(self) -> Sequence[str]:
        """The command line of the git that called."""
        return self.caller.argv if self.caller else ()


@dataclass(frozen=True, slots=True)
class Leave:
    """How long (seconds) a hook may wait, or why it may not."""

    seconds: float
    refusal: str = ""


def may_wait(
    *,
    locked: bool,
    stash: str,
    lives: bool,
    wait: float,
    shell: agents.ShellLimit | None,
    spent: float,
    check: float,
) -> Leave:
    """Whether a hook may wait, and how long: only where waiting harms nobody. `stash` names the framework that
    hides unstaged edits just now; `spent` are the seconds since the hook began, `check` what the check takes."""
    if not lives:
        return Leave(0.0, GIT_GONE)
    if locked:
        return Leave(0.0, "this commit holds the index lock: waiting here would keep the fixer from committing")
    if stash:
        return Leave(0.0, f"{stash} hides unstaged edits while hooks run: waiting here would hide the fixer's")
    if wait <= 0:
        return Leave(0.0, "waiting in the hook is off")
    if shell is None:
        return Leave(wait)
    left = shell.seconds - spent - check - SHELL_MARGIN
    if left <= 0:
        limit = words.span(shell.seconds)
        return Leave(0.0, f"{shell.agent} stops a command after {limit}: no time is left to wait")
    return Leave(min(wait, left))


def hook(call: Call, command: Command) -> Report:
    """`buildguard hook`: the verdict on the commit in hand."""
    if call.repository is None:
        tried = trial.attempt(call, command, None)
        return trial.settled(call, tried, None) or reports.failed(None, tried.ended, "", call.voice.build, None)
    return _Story(call, command, _situation(call.repository)).tell()


def _situation(repository: Repository) -> Situation:
    committing = bool(repository.environment.get("GIT_INDEX_FILE"))
    index = git.index(repository) if committing else None
    return Situation(repository, index, processes.calling_git(), time.monotonic())


class _Story:
    """One hook from its beginning to its verdict."""

    def __init__(self, call: Call, command: Command, situation: Situation) -> None:
        self.call = call
        self.command = command
        self.situation = situation

    def tell(self) -> Report:
        """Check, and as the rules have it again, until there is a verdict."""
        if self.situation.index is not None and self.situation.orphaned:
            return reports.interrupted(GIT_GONE, None)
        if self._passed_before():
            done = Report("passed", Exit.OK, (f"passed: {self.command.text} (just now, on this very tree)",))
            return self._unharmed(None) or done
        reruns = 1
        while True:
            tried = self._attempt()
            # To know the calling command line costs psutil, which a passing hook does not pay for.
            report = trial.settled(self.call, tried, None if tried.passed else self._repeat())
            if report is not None:
                return (self._unharmed(tried) or report) if report.exit == Exit.OK else report
            if not self.situation.lives():
                return reports.interrupted(GIT_GONE, None)
            report = travel.elsewhere(self.call, tried.run, self.situation.index, self.situation.lives)
            if report is not None:
                return report
            answer = trial.elect(self.call, tried)
            if answer is not None and answer.outcome is Outcome.OUTDATED and reruns:
                reruns -= 1
                self.call.voice.say("the build was fixed while this check ran: running it again")
                continue
            if answer is None or answer.outcome is not Outcome.BUSY:
                return self._ours(tried, answer)
            report = self._await_fix(tried, answer)
            if report is not None:
                return report

    def _attempt(self) -> Trial:
        repository, index = self.situation.repository, self.situation.index
        tried = trial.attempt(self.call, self.command, index, self.situation.lives)
        if index is None or not tried.breakage_open:
            return tried
        # Only whoever waits for a fix needs to know the tree of its commit: a plain pass does without.
        return replace(tried, run=replace(tried.run, tree=index.tree(repository), committing=True))

    def _repeat(self) -> str | None:
        return None if verdict.asked_for(self.call.environment) else again.by_commit(self.situation.argv)

    def _ours(self, tried: Trial, answer: Answer | None) -> Report:
        """The failure is this caller's, or nobody can say whose it is."""
        if answer is not None and answer.outcome in reports.WON and self.call.settings.fix is not None:
            leave = self._leave(1.0, tried)
            if not leave.refusal:
                return self._fix(tried, answer)
            self.call.voice.say(f"the fix command is not started: {leave.refusal}")
        return reports.failed(answer, tried.ended, self.call.checkout, self.call.voice.build, self._repeat())

    def _fix(self, tried: Trial, answer: Answer) -> Report:
        report = fix(self.call, tried, answer, self._repeat())
        if report.exit != Exit.OK:
            return report
        # What the fix command changed was not staged by whoever commits: it never slips in unseen.
        lines = (*report.lines, "fixed: stage it and commit again")
        return replace(report, exit=Exit.FAILED, lines=lines, next="git status --short")

    def _leave(self, wait: float, tried: Trial) -> Leave:
        situation = self.situation
        stash = frameworks.stash(self.call.environment, situation.repository.git_dir)
        return may_wait(
            locked=situation.index is not None and situation.index.locked,
            stash=stash.framework if stash else "",
            lives=situation.lives(),
            wait=wait,
            shell=agents.shell_limit(self.call.environment),
            spent=time.monotonic() - situation.began,
            check=tried.result.seconds,
        )

    def _await_fix(self, tried: Trial, answer: Answer) -> Report | None:
        """Wait for the fixer where that harms nobody. None: free, so check again."""
        if verdict.asked_for(self.call.environment):
            return self._busy(tried.ended, answer, ())
        leave = self._leave(self.call.settings.wait, tried)
        if leave.refusal:
            return self._busy(tried.ended, answer, (f"not waiting in the hook: {leave.refusal}",))
        for line in (tried.ended, *words.reason(answer), *words.superseded(answer.view.state, answer.agent)):
            self.call.voice.say(line)
        busy = answer.view.state.scope
        moment = await_turn(self.call, leave.seconds, self.situation.lives, busy)
        if not self.situation.lives():
            return reports.interrupted(GIT_GONE, None)
        if moment is None:
            return reports.failed(None, tried.ended, self.call.checkout, self.call.voice.build, self._repeat())
        if moment.holder is not None:
            return self._busy("", as_of(moment, answer), (f"the wait of {words.span(leave.seconds)} ran out",))
        return self._after_waking(tried, moment, answer)

    def _busy(self, ended: str, answer: Answer, why: Sequence[str]) -> Report:
        return reports.busy(answer, ended, self.call.checkout, self.call.voice.build, why, self._repeat())

    def _after_waking(self, tried: Trial, moment: Moment, answer: Answer) -> Report | None:
        """Give the fixer's own commit time to land; if it moved HEAD, git would refuse this commit anyway."""
        fix_event = next((event for event in moment.snapshot.fixes if event.id > answer.snapshot.last_event), None)
        if fix_event is not None:
            self.call.voice.say(words.history_line(fix_event, moment.snapshot.now))
            let_land(self.situation.repository, fix_event, self.call.checkout, self.situation.lives)
        moved = safety.head_moved(self.situation.repository)
        if moved is not None:
            return self._moved(moved)
        return travel.elsewhere(self.call, tried.run, self.situation.index, self.situation.lives)

    def _unharmed(self, tried: Trial | None) -> Report | None:
        """Refuse a commit that is no longer the one that was checked."""
        if self.situation.index is None:
            return None
        try:
            harm = safety.harm(self.situation.repository, self.situation.index)
        except FAULTS as error:
            self.call.voice.say(f"commit safety could not be checked: {error}")
            return None
        if isinstance(harm, safety.Moved):
            return self._moved(harm)
        if isinstance(harm, safety.Gone):
            path = self.situation.index.path
            line = f"refused: {path} was deleted while the check ran; git would commit a tree without files"
            return Report("refused", Exit.FAILED, (line,), self._repeat())
        return self._changed(harm, tried) if harm else None

    def _moved(self, moved: safety.Moved) -> Report:
        line = f"refused: HEAD moved {moved.before} → {moved.after} while this commit was checked"
        if again.is_amend(self.situation.argv):
            lines = (line, "your amend would now rewrite another commit: look at it first")
            return Report("moved", Exit.BUSY, lines, "git log --oneline -3")
        return Report("moved", Exit.BUSY, (line, "commit again"), self._repeat())

    def _changed(self, harm: safety.Changed, tried: Trial | None) -> Report:
        if tried is not None and harm.tree:
            self.call.coordinate(lambda guard: guard.remember(tried.command.text, harm.tree, True))
        lines = (
            f"refused: what was staged changed while the check ran: {words.some(harm.foreign) or 'all of it'}",
            "commit just what you had staged; the check need not run again for that",
        )
        return Report("changed", Exit.FAILED, lines, again.only(self.situation.argv, harm.staged))

    def _passed_before(self) -> bool:
        """Whether this agent's check of this very tree has just passed and then the commit was refused."""
        index, guard = self.situation.index, self.call.guard
        if index is None or guard is None:
            return False

        def use(guard: Guard) -> bool:
            snapshot = guard.read()
            mine = [kept for kept in snapshot.evidence if kept.agent and kept.check == self.command.text]
            if not mine:
                return False
            tree = index.tree(self.situation.repository)
            good = [kept for kept in mine if kept.agent == guard.me.id and kept.tree == tree]
            return bool(good) and _fresh(good[0], snapshot.now) and guard.use(good[0])

        return bool(self.call.coordinate(use))


def _fresh(kept: Evidence, now: float) -> bool:
    return now - kept.at <= RETRY_GOOD_FOR
