"""Starts buildguard: every exception becomes one line and one status.

A passing hook costs mostly what it loads: here and below, functions load what only a failure needs.
"""

import atexit
import errno
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from buildguard.ui.reports import Report


def begin(heeds_sigint: bool) -> NoReturn:
    """Run the command line and exit; from then on a Ctrl-C is an exception again, for a caller that heeds it."""
    # Where a parent ignores it, the status of every git and every check would be lost, and taken for success.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _open_what_is_closed()
    given = sys.argv[1:]
    # What is loaded stays: to search it for garbage was a tenth of what a passing hook costs.
    gc.disable()
    work = _loaded(given)
    gc.freeze()
    gc.enable()
    if heeds_sigint:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    status = ended(work, given)
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
        atexit._run_exitfuncs()
        # To take the interpreter apart would be a twentieth of what a passing hook costs.
        os._exit(status)
    sys.exit(status)


def ended(work: Callable[[], int], given: Sequence[str]) -> int:
    """The exit status of `work`; where it breaks off, what is said of that. `given` is the command line."""
    try:
        return work()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  the last line of defence
        return _fail(given, _broken_off(error, given))


def _loaded(given: Sequence[str]) -> Callable[[], int]:
    """The work that a command line asks for. The plain hook needs no parser of command lines: that would be a third
    of what it costs."""
    if given == ["hook"] or given[:2] == ["hook", "--"]:
        from buildguard.commands.hook import commit_hook

        return lambda: commit_hook({}, given[2:])
    if given[:1] == ["agent-hook"] and len(given) == 3:
        from buildguard.commands.agent_hook import heard

        return lambda: heard(given[1:])
    from buildguard import cli

    return lambda: cli.parsed(given)


def _broken_off(error: BaseException, given: Sequence[str]) -> "Report":
    """What is said of what `work` raised."""
    from buildguard.errors import Exit, SettingsError, report_bug
    from buildguard.session import FAULTS
    from buildguard.text import command
    from buildguard.ui.reports import Report, unavailable

    if isinstance(error, SettingsError):
        return Report("usage", Exit.USAGE, (f"error: {error}",), error.next_command)
    if isinstance(error, FAULTS):
        return unavailable(error)
    if isinstance(error, KeyboardInterrupt):
        return Report("interrupted", Exit.INTERRUPTED, ("interrupted",), _repeated(given))
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        line = "error: there are too few file descriptors for buildguard (ulimit -n)"
        return Report("usage", Exit.USAGE, (line,), "ulimit -n")
    path = report_bug(error)
    line = f"error: a bug in buildguard: {type(error).__name__}: {error}; the report is in {path}"
    return Report("bug", Exit.BUG, (line,), command(["cat", str(path)]))


def _repeated(given: Sequence[str]) -> str | None:
    """The command line that was interrupted. A hook is no command to be run by hand: git runs it, in a commit."""
    from buildguard.commands.handoff import again
    from buildguard.session import aiming, repeated

    if given[:1] == ["hook"]:
        return again(os.environ) or repeated(["run"], aiming({}, os.environ))
    return repeated(given, aiming({}, os.environ))


def _fail(given: Sequence[str], report: "Report") -> int:
    """Say what went wrong where no session could be opened, or it broke off."""
    from buildguard.ui.voice import Voice

    asked = given[: given.index("--")] if "--" in given else given
    Voice("default", "--json" in asked, os.environ, hook=True).answer(report)
    return report.exit


def _open_what_is_closed() -> None:
    """Give us the three standard streams: a caller that closed one still gets the check's verdict."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest free descriptor is the closed one.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  for as long as we run
