"""What a command answers about a breakage: what happened, who, since when, and the command to run next. Pure."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from buildguard.checks.runner import Command
from buildguard.claims.guard import Answer, Identity, Moment
from buildguard.claims.model import Content, Event, Outcome, State, Status, View
from buildguard.errors import Exit
from buildguard.git.safety import pathspec
from buildguard.text import ago, clock, command, quoted, shortened, some
from buildguard.ui import phrases
from buildguard.ui.keys import Head, facts, head_facts, waiter_facts
from buildguard.ui.reports import Report

if TYPE_CHECKING:
    from buildguard.agents.processes import Process

WON = (Outcome.CLAIMED, Outcome.RENEWED, Outcome.TAKEN_OVER)
"""The outcomes after which the caller is the fixer."""


class Answers(NamedTuple):
    """What composes the answers of one command: where it runs, and the options that its `next:` lines repeat."""

    checkout: str
    build: str
    aim: tuple[str, ...] = ()
    check: Command | None = None
    inside: bool = False
    """Whether it runs in a folder below the top of the work tree."""
    program: tuple[str, ...] = ("buildguard",)

    @property
    def options(self) -> str:
        """The options to repeat, as the end of a command line."""
        return "".join(f" {quoted(word)}" for word in self.aim)

    def next(self, *words: str) -> str:
        """One of our commands, with the options to repeat."""
        return " ".join(map(quoted, (*self.program, *words))) + self.options

    @property
    def give_up(self) -> str:
        """The command by which a fixer gives up."""
        return self.next("release", "--gave-up", "--reason", "...")

    def run_of(self, check: str, mine: bool = True) -> str:
        """The command that runs just this check, whatever the settings name by now. Words that came from another
        agent (`mine` is false) are never offered to be run."""
        if not check or not mine or (self.check is not None and self.check.text == check):
            return self.next("run")
        return f"BUILDGUARD_CHECK={quoted(check)} {self.next('run')}"

    def where(self, state: State) -> str:
        """The build and the scope, in words."""
        return f"build {self.build}, {phrases.place_of(state, self.checkout)}"

    def claimed(self, answer: Answer) -> Report:
        """`buildguard claim`."""
        lines = self.election(answer)
        if answer.outcome is Outcome.BUSY:
            return _about(answer, Exit.BUSY, lines, self.next("wait"))
        return _about(answer, Exit.OK, (*lines, f"fix it and commit; or give up with: {self.give_up}"))

    def released(self, answer: Answer, events: Sequence[Event], number: int | None = None) -> Report:
        """`buildguard release`. `number` is the claim that was to be released, if one was named."""
        state = answer.view.state
        lost = phrases.superseded(events, answer.agent)
        if answer.outcome is Outcome.NOT_YOURS:
            if self._mine(answer):
                what = f"claim {number} is over, you now hold claim {state.number} on {self.where(state)}"
                again = self.next("release", "--claim", str(state.number))
                return _about(answer, Exit.NOT_YOURS, [f"not your claim: {what}"], again)
            lines = [f"not your claim: {phrases.holder(answer.view, answer.snapshot.now)}", *_you(answer), *lost]
            return _about(answer, Exit.NOT_YOURS, lines, self.next("status"))
        if answer.outcome is Outcome.NOTHING_HELD:
            lines = [f"nothing to release: you hold no claim on {self.where(state)}", *lost]
            return _about(answer, Exit.OK, lines)
        if answer.outcome is Outcome.GAVE_UP:
            line = f"gave up claim {state.number}: {self.where(state)} is broken, anybody may claim it now"
        else:
            line = f"released claim {state.number}: {self.where(state)} counts as fixed by your word"
        return _about(answer, Exit.OK, [line])

    def reset(self, answer: Answer) -> Report:
        """`buildguard reset`."""
        state = answer.view.state
        line = f"reset: {self.where(state)} is {state.status.value}"
        if answer.outcome is Outcome.NOTHING_HELD:
            line = f"nothing to end: nobody holds a claim on {self.where(state)}"
        if answer.outcome is Outcome.EVICTED:
            line = f"evicted: {self.where(state)} is broken, anybody may claim it now"
        if answer.event is not None and answer.event.other:
            line += f"; the claim of {answer.event.other} is superseded"
        return _about(answer, Exit.OK, [line])

    def waited(self, moment: Moment, agent: Identity) -> Report:
        """`buildguard wait`, when it is over."""
        view, now = moment.concerning, moment.snapshot.now
        if moment.holder is None:
            mine = view.held_by(agent.id)
            free = "free: you are the fixer" if mine else "free: nobody else holds a claim here"
            lines = (free, *phrases.status(view, now, self.checkout, self.build))
            return Report("free", Exit.OK, lines, None, view, now, agent)
        breakage = view.state.breakage
        lines = (
            f"the wait ran out: {phrases.holder(view, now)}; you are {phrases.who(agent)}",
            *phrases.failing(breakage.failures if breakage else ()),
        )
        return Report("timeout", Exit.BUSY, lines, self.next("wait"), view, now, agent)

    def held_above(self, answer: Answer, said: str, ancestor: "Process", again: str | None) -> Report:
        """A claim of a process above us: it waits for us, and we would wait for ourselves."""
        from buildguard.agents.ancestry import is_typed_into

        claim = answer.view.state.claim
        holder = claim.agent if claim else ""
        lines = [
            *filter(None, [said]),
            f"busy: held by {holder}, a process above you, which may be waiting for this call",
            *_you(answer),
        ]
        following = self.next("wait")
        # Then the caller may well be the same person, under another id.
        if is_typed_into(ancestor) and "--agent" not in self.aim:
            following = self.with_option(again, "--agent", holder) or following
        return _about(answer, Exit.BUSY, lines, following, outcome="held_above")

    def status(
        self, answer: Answer, head: Head, notes: Sequence[str], following: str | None, everything: bool, gate: bool
    ) -> Report:
        """`buildguard status`. `notes` are further lines, `following` what they ask for; `everything` shows all
        scopes; as a `gate` it fails unless HEAD is known to pass and no breakage is open here."""
        snapshot, view = answer.snapshot, answer.view
        others = [one for one in snapshot.views() if one.state.scope != view.state.scope]
        shown = [view, *(one for one in others if everything or self.matters(one))]
        lines = [
            line
            for one in shown
            for line in (
                *phrases.status(one, snapshot.now, self.checkout, self.build, head.known),
                *phrases.waited_for(one, snapshot.waiters, answer.agent),
            )
        ]
        lines += [head_line(head, snapshot.now), *notes]
        if answer.agent is not None:
            lines.append(f"you are {phrases.who(answer.agent)}")
        is_open = any(self.matters(one) for one in snapshot.views())
        code = Exit.OK
        if gate and (is_open or head.passed is False):
            code = Exit.FAILED
        elif gate and head.passed is None:
            code = Exit.INCONCLUSIVE
            following = following or self.next("run")
        scopes = [facts(one, snapshot.now, answer.agent, self.build) for one in shown]
        waiters = waiter_facts(snapshot.waiters)
        extra = {"scopes": scopes, "head": head_facts(head), "waiters": waiters}
        return _about(answer, code, lines, following or self._after_status(answer), extra)

    def passed(self, answer: Answer | None, check: str, how: str, brief: bool = False) -> Report:
        """A green check, and what it came to. `how` tells how long it took, or whose pass it was. Without an answer
        coordination was unavailable. `brief`: a command above will say what is left to be done."""
        lines = [f"passed: {check} ({how})"]
        if answer is None:
            return Report("passed", Exit.OK, tuple(lines))
        lines += phrases.ended(answer, self.checkout)
        more, following = ([], None) if brief else self.still_open(answer)
        lines += more
        fixed = answer.outcome is Outcome.FIXED
        return _about(answer, Exit.OK, lines, following, {"fixed": fixed}, "passed")

    def still_open(self, answer: Answer) -> tuple[list[str], str | None]:
        """What a pass has not ended, and the command that does: the fixer's, or of whoever has the breakage
        here."""
        state, run = answer.view.state, answer.run
        if answer.outcome is Outcome.LEFT:
            return ["this checkout has left the commit that fails: nothing is fixed there by that"], None
        if answer.outcome not in (Outcome.PENDING, Outcome.LANDED) or state.breakage is None or run is None:
            return self._held(answer), None
        seen = state.breakage.seen.get(run.checkout)
        landing = next((one for one in run.landings if seen and one.failed == seen.files), None)
        held = f"; claim {state.number} is still yours" if self._mine(answer) else ""
        if landing is not None and landing.left is not None:
            landing = landing._replace(loose=landing.left)
            if not landing.loose:
                return ["this commit has what makes it pass"], None
        if landing is None:
            lines = [f"passes here, and nothing of it is committed yet{held}"]
            if self._mine(answer):
                lines.append(f"commit what makes it pass; if that is nothing: {self.next('release')}")
            # Never `release` as the next command: who obeys would give his word for what he has not seen.
            return lines, self.git("status")
        loose = some(landing.loose)
        what = "the rest of what" if answer.outcome is Outcome.LANDED else "what"
        line = f"passes here, but {what} changed since it failed is not committed: {loose}{held}"
        return [line], self.commit_of(landing.loose, landing.changed)

    def git(self, *words: str) -> str:
        """A git command for a `next:` line, with the options of the git that called us."""
        return command([*(self.program[:-1] or ("git",)), *words]) or "git status"

    def commit_of(self, loose: Sequence[str], changed: Sequence[Content]) -> str | None:
        """A commit of just these paths. `git add` first: `git commit` takes no path that git does not know."""
        gone = {one.path for one in changed if not one.blob}
        paths = [pathspec(path, self.inside) for path in loose]
        new = [pathspec(path, self.inside) for path in loose if path not in gone]
        git = self.program[:-1] or ("git",)
        commit = command([*self.program, "commit", *self.aim, "-m", "Fix the build", "--", *paths])
        added = command([*git, "add", "--", *new]) if new else ""
        if commit is None or added is None:
            return self.git("status", "--short")
        return f"{added} && {commit}" if added else commit

    def committed(self, answer: Answer | None, unchecked: str) -> tuple[list[str], str | None]:
        """What a commit came to for an open breakage, when git has returned. `unchecked` is a HEAD that nobody has
        checked."""
        breakage = answer.view.state.breakage if answer else None
        if unchecked:
            return [f"{unchecked[:7]} was not checked"], self.run_of(breakage.check if breakage else "")
        if answer is None:
            return [], None
        more, following = self.still_open(answer)
        return [*phrases.ended(answer, self.checkout), *more], following

    def failed(self, answer: Answer | None, ended: str, again: str | None) -> Report:
        """A red check that nobody else is fixing now. `ended` tells of the check, `again` is how to repeat it."""
        if answer is None:
            return Report("failed", Exit.FAILED, (ended,), again)
        failures = answer.run.failures if answer.run else ()
        lines = [ended, *phrases.failing(failures), *self.election(answer)]
        if answer.outcome is Outcome.ANOTHER_CHECK:
            return _about(
                answer, Exit.FAILED, lines, self._elsewhere(again), {"election": "another_check"}, "failed"
            )
        if answer.outcome in WON:
            lines.append(f"fix it, then run the next line; give up with: {self.give_up}")
        return _about(answer, Exit.FAILED, lines, again, {"election": answer.outcome.value}, "failed")

    def busy(self, answer: Answer, ended: str, why: Iterable[str], again: str | None) -> Report:
        """A red check that somebody else is fixing. `ended` is empty where that has been said before a wait."""
        lines = [*filter(None, [ended]), *self.election(answer), *why]
        return _about(answer, Exit.BUSY, lines, again)

    def while_busy(self, answer: Answer, ended: str) -> list[str]:
        """What is said before a wait."""
        return [ended, *filter(None, [answer.why])]

    def gave_up_fixing(self, answer: Answer | None, reason: str, code: int, again: str | None) -> Report:
        """The fix command did not help."""
        line = f"gave up: {reason}; anybody may claim it now"
        if answer is None:
            return Report("gave_up", code, (line,), again)
        return _about(answer, code, (line,), again, outcome="gave_up")

    def election(self, answer: Answer) -> tuple[str, ...]:
        """What a claim came to: won, renewed, taken over, or busy."""
        view, now, event = answer.view, answer.snapshot.now, answer.event
        state, claim, agent = view.state, view.state.claim, answer.agent
        lines: list[str] = []
        if answer.outcome is Outcome.BUSY:
            landed = state.breakage.landed if state.breakage else None
            lines += [f"busy: {phrases.holder(view, now)}", *_you(answer)]
            if claim is not None and agent is not None and claim.agent == agent.id:
                where = phrases.place(claim.checkout)
                lines.append(f"that is another agent of your name, in {where}: use --agent with a name of your own")
            lines += [phrases.in_part(landed)] if landed else []
            return (*lines, *filter(None, [answer.why]), *phrases.told_apart(answer))
        if answer.outcome is Outcome.ANOTHER_CHECK:
            check = shortened(state.breakage.check if state.breakage else "")
            return (f"another check than the one that build {self.build} is about ({check}): nothing is claimed",)
        if answer.outcome is Outcome.REPORTED:
            return (f"broken: {self.where(state)}; nobody is fixing it", *filter(None, [answer.why]))
        if claim is None or agent is None:
            return ()
        you = f"you are the fixer of {self.where(state)}, claim {state.number}, as {phrases.who(agent)}"
        if answer.outcome is Outcome.TAKEN_OVER and event is not None:
            lines.append(f"taken over from {event.other} ({phrases.stale_words(event.reason, None)}): {you}")
        elif answer.outcome is Outcome.RENEWED:
            since = clock(claim.claimed_at, now)
            lines.append(f"renewed: yours since {since}, claim {state.number}, attempt {claim.attempts}")
        else:
            lines.append(f"claimed: {you}")
        if event is not None and event.fixed_at is not None:
            lines.append(phrases.broken_again(event, now))
        if state.breakage is not None and state.breakage.reason:
            lines.append(f"given up before: {shortened(state.breakage.reason)}")
        lines += phrases.waited_for(view, answer.snapshot.waiters, agent)
        return (*lines, *filter(None, [answer.why]))

    def history_line(self, event: Event, now: float) -> str:
        """One event as a line."""
        return phrases.history_line(event, now, self.checkout)

    def _held(self, answer: Answer) -> list[str]:
        """What a caller has to know whose pass did not end its claim."""
        me = answer.agent.id if answer.agent else None
        held = [view.state for view in answer.snapshot.views() if view.held_by(me)]
        return [f"you still hold claim {state.number} on {self.where(state)}" for state in held]

    def matters(self, view: View) -> bool:
        """Whether the breakage is open for whoever stands here."""
        state = view.state
        return state.breakage is not None and not view.over and (state.shared or state.had_in(self.checkout))

    def _mine(self, answer: Answer) -> bool:
        return answer.agent is not None and answer.view.held_by(answer.agent.id)

    def _after_status(self, answer: Answer) -> str | None:
        state = answer.view.state
        if state.breakage is None or answer.view.over:
            return None
        if state.status is Status.BROKEN or (answer.view.stale is not None and not self._mine(answer)):
            return self.next("claim")
        if not self._mine(answer):
            return self.next("wait")
        me = answer.agent.id if answer.agent else ""
        own = any((one.check, one.agent) == (state.breakage.check, me) for one in answer.snapshot.proofs)
        return self.run_of(state.breakage.check, own)

    def _elsewhere(self, again: str | None) -> str | None:
        """The same command about another build."""
        name = "other" if self.build == "default" else f"{self.build}-other"
        for given in (f"--build {quoted(self.build)}", f"--build={quoted(self.build)}"):
            if again is not None and given in again and "--build" in self.aim:
                return again.replace(given, f"--build {quoted(name)}", 1)
        return self.with_option(again, "--build", name) or again

    def with_option(self, line: str | None, *option: str) -> str | None:
        """One of our commands with one more option, right after its verb; None if it is none of ours."""
        start = " ".join(map(quoted, self.program))
        if line is None or not line.startswith(f"{start} "):
            return None
        verb, _, rest = line.removeprefix(f"{start} ").partition(" ")
        return " ".join([start, verb, *map(quoted, option), rest]).rstrip()


def head_line(head: Head, now: float) -> str:
    """What is known of HEAD."""
    if not head.commit:
        return "HEAD: no commit yet"
    if head.passed is None:
        return f"HEAD {head.commit[:7]}: not checked"
    what = "passed" if head.passed else "failed"
    return f"HEAD {head.commit[:7]}: {what} {ago(head.at, now)}{f', checked by {head.agent}' if head.agent else ''}"


def _you(answer: Answer) -> list[str]:
    return [f"you are {phrases.who(answer.agent)}"] if answer.agent else []


def _about(
    answer: Answer,
    code: int,
    lines: Sequence[str],
    next_command: str | None = None,
    extra: dict[str, Any] | None = None,
    outcome: str | None = None,
) -> Report:
    said = outcome or answer.outcome.value
    view, now = answer.view, answer.snapshot.now
    return Report(said, code, tuple(lines), next_command, view, now, answer.agent, extra or {})
