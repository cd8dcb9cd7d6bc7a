"""How every command begins and ends: the parts are opened, and whatever goes wrong is one line and a status."""

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from buildguard import session as calls
from buildguard import settings
from buildguard.checks.runner import Command
from buildguard.commands import attempt as trial
from buildguard.commands import handoff as verdict
from buildguard.errors import Exit
from buildguard.session import Call
from buildguard.settings import SettingsError
from buildguard.ui import phrases as words
from buildguard.ui import reports
from buildguard.ui.reports import Report
from buildguard.ui.voice import Voice


def opened(options: Mapping[str, Any], hook: bool = False) -> Call:
    """The parts of a call with these command line options. Raises `SettingsError`."""
    chosen = {name: value for name, value in options.items() if value is not None}
    call = calls.open_call(chosen, os.environ, calls.here(), bool(options.get("json")), hook, options.get("scope"))
    return call._replace(keep_git_environment=bool(options.get("keep_git_env")))


def the_check(call: Call, given: Sequence[str]) -> Command:
    """The check: after `--`, else from the settings. Raises `SettingsError` where there is none."""
    check = Command.from_words(given) if given else call.settings.check
    if check is None:
        where = call.repository.top if call.repository and call.repository.top else call.cwd
        raise SettingsError(
            f'no check: give it after --, in BUILDGUARD_CHECK, or as check = "…" in {where / ".buildguard.toml"}',
            f"printf 'check = \"pytest -q\"\\n' > {shlex.quote(str(where / '.buildguard.toml'))}",
        )
    return check


def only_the_check(call: Call, command: Command, again: str | None) -> Report:
    """The bare verdict: switched off, or a buildguard above coordinates."""
    result = trial.start(call, command, {}, trial.always, call.settings.check_timeout)
    return reports.bare(result, command.text, again)


def commit_hook(options: Mapping[str, Any], given: Sequence[str], aim: str = "") -> int:
    """What the git hook calls. `aim` are the options that its `next` has to repeat; the exit status."""
    from buildguard.commands import hook

    reason = settings.off(os.environ)
    if reason is not None:
        Voice("default", False, os.environ, hook=True).say(f"off ({reason}): the check was not run")
        return Exit.OK
    call = opened(options, hook=True)
    command = the_check(call, given)
    if trial.nested(call):
        report = only_the_check(call, command, words.command(["buildguard", *sys.argv[1:]]))
    else:
        report = hook.hook(call, command)
        if verdict.asked_for(call.environment):
            verdict.write(call.environment, _verdict(call, options, report, aim))
    call.voice.answer(report.aimed(aim))
    return report.exit


def _verdict(call: Call, options: Mapping[str, Any], report: Report, aim: str) -> verdict.Verdict:
    """What `buildguard commit` above us has to know."""
    db = str(call.settings.db.absolute()) if call.settings.db else None
    busy = report.view.state.scope if report.outcome == "busy" and report.view else None
    answer = call.voice.facts(report.aimed(aim))
    scope, build = options.get("scope"), call.settings.build
    return verdict.Verdict(report.exit, report.outcome, build, scope, db, busy, report.run, answer)


def ended(work: Callable[[], int], given: Sequence[str]) -> int:
    """The exit status of `work`; where it breaks off, what is said of that. `given` is the command line."""
    try:
        return work()
    except SettingsError as error:
        return _fail(given, Report("usage", Exit.USAGE, (f"error: {error}",), error.next_command))
    except calls.FAULTS as error:
        return _fail(given, calls.unavailable(error))
    except KeyboardInterrupt:
        again = words.command(["buildguard", *given])
        return _fail(given, Report("interrupted", Exit.INTERRUPTED, ("interrupted",), again))
    except Exception as error:  # noqa: BLE001  the last line of defence: the traceback goes to a file
        from buildguard import bug

        path = bug.write(error)
        line = f"error: a bug in buildguard: {type(error).__name__}: {error}; the report is in {path}"
        return _fail(given, Report("bug", Exit.BUG, (line,), f"cat {path}"))


def _fail(given: Sequence[str], report: Report) -> int:
    """Say what went wrong where no call could be opened, or it broke off."""
    asked = given[: given.index("--")] if "--" in given else given
    Voice("default", "--json" in asked, os.environ, hook=True).answer(report)
    return report.exit
