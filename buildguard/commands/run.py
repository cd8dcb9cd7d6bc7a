"""A check anywhere but in a commit: run it, elect a fixer if it failed, wait if asked to."""

import time
from collections.abc import Callable

from buildguard.checks.runner import Command
from buildguard.claims import scope
from buildguard.claims.guard import Answer, Guard, Moment
from buildguard.claims.model import Outcome, View
from buildguard.commands import attempt as trial
from buildguard.commands import elsewhere as travel
from buildguard.commands.attempt import Trial
from buildguard.commands.elsewhere import Waiter
from buildguard.commands.fix import fix
from buildguard.git import index as gitindex
from buildguard.session import Call
from buildguard.ui import phrases as words
from buildguard.ui import reports
from buildguard.ui.reports import Report
from buildguard.ui.voice import Countdown, Voice


def run(call: Call, command: Command, again: str | None, wait: float = 0.0, claiming: bool = True) -> Report:
    """`buildguard run`: the verdict of the check, and on failure who fixes it. Waits only if `wait` (seconds) is
    more than 0. `again` is the command line that repeats this."""
    deadline = time.monotonic() + wait
    waiting = _waiting(again)
    waiter = Waiter(trial.always, lambda: max(travel.LANDING, deadline - time.monotonic()), waiting)
    reruns = 1
    while True:
        index = gitindex.current(call.repository) if call.repository else None
        tried = trial.attempt(call, command, index)
        report = trial.settled(call, tried, again)
        if report is not None:
            return report
        found = travel.elsewhere(call, tried.run, index, waiter)
        if isinstance(found, Report):
            return found
        answer = trial.elect(call, found, claiming)
        if answer is not None and answer.outcome is Outcome.OUTDATED and reruns:
            reruns -= 1
            call.voice.say("the build was fixed while this check ran: running it again")
            continue
        if answer is not None and answer.outcome in reports.WON and call.settings.fix is not None:
            return fix(call, tried, answer, again)
        if answer is None or answer.outcome is not Outcome.BUSY:
            return reports.failed(answer, tried.ended, call.checkout, call.voice.build, again)
        left = deadline - time.monotonic()
        moment = await_turn(call, left, scope=answer.view.state.scope) if left > 0 else None
        if moment is None or moment.holder is not None:
            return _busy(call, tried, as_of(moment, answer), wait, waiting)
        report = travel.after_waking(call, tried.run, answer.snapshot.last_event, moment.snapshot.now, waiter)
        if report is not None:
            return report
        call = call.up_to_date()


def as_of(moment: Moment | None, answer: Answer) -> Answer:
    """The answer `busy` as it stands at the end of a wait: spans in it are measured from then."""
    if moment is None or moment.holder is None:
        return answer
    return answer._replace(view=moment.holder, snapshot=moment.snapshot, placement=None)


def _busy(call: Call, tried: Trial, answer: Answer, wait: float, waiting: str | None) -> Report:
    why = [f"the wait of {words.span(wait)} ran out"] if wait > 0 else []
    me, snapshot = answer.agent.id if answer.agent else None, answer.snapshot
    first = scope.holding_up(snapshot, frozenset(), me, call.checkout, call.guard.asked if call.guard else None)
    # A bare wait knows no failure: it may wait for somebody else's than the one that this run shares.
    same = first is not None and first.state.scope == answer.view.state.scope
    following = "buildguard wait" if same else waiting
    return reports.busy(answer, tried.ended, call.checkout, call.voice.build, why, following)


def _waiting(again: str | None) -> str | None:
    """The command line that repeats this run and waits."""
    start = "buildguard run"
    if again is None or not again.startswith(start) or "--wait" in again.partition(" -- ")[0]:
        return again
    return f"{start} --wait 5m{again.removeprefix(start)}"


def await_turn(
    call: Call, timeout: float, lives: Callable[[], bool] = trial.always, scope: str | None = None
) -> Moment | None:
    """Wait, holding nothing, until nobody else's claim holds us up. The last moment says how it ended; None if
    coordination became unavailable."""
    return call.coordinate(lambda guard: watch(call.voice, guard, timeout, lives, scope))


def watch(
    voice: Voice,
    guard: Guard,
    timeout: float,
    lives: Callable[[], bool] = trial.always,
    scope: str | None = None,
) -> Moment:
    """Show a wait of at most `timeout` seconds while it lasts; its last moment. Ends early if the caller does.
    `scope` is the one that was found busy, if one was."""
    began = time.monotonic()
    held_up: View | None = None
    with Countdown(voice) as countdown:
        for moment in guard.waiting(timeout, guard.me.id, scope):
            held_up = moment.holder or held_up
            if moment.holder is None or not lives():
                break
            if moment.left > 0:
                countdown.show(words.waiting(moment.holder, moment.snapshot.now), moment.left, time.monotonic())
    if held_up is not None:
        guard.waited(guard.me.id, held_up, time.monotonic() - began)
    return moment
