"""Starts buildguard: every exception becomes one line and one status.

The plain hook needs no parser of command lines: that would be a third of what it costs.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from buildguard.commands.handoff import again
from buildguard.commands.hook import commit_hook
from buildguard.errors import Exit, SettingsError, report_bug
from buildguard.session import FAULTS, aiming, repeated
from buildguard.text import command
from buildguard.ui.reports import Report, unavailable
from buildguard.ui.voice import Voice


def start() -> NoReturn:
    """Run the command line and exit."""
    # Where a parent ignores it, the status of every git and every check would be lost, and taken for success.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _open_what_is_closed()
    given = sys.argv[1:]
    if given == ["hook"] or given[:2] == ["hook", "--"]:
        sys.exit(ended(lambda: commit_hook({}, given[2:]), given))
    from buildguard import cli

    sys.exit(ended(lambda: cli.parsed(given), given))


def ended(work: Callable[[], int], given: Sequence[str]) -> int:
    """The exit status of `work`; where it breaks off, what is said of that. `given` is the command line."""
    try:
        return work()
    except SettingsError as error:
        return _fail(given, Report("usage", Exit.USAGE, (f"error: {error}",), error.next_command))
    except FAULTS as error:
        return _fail(given, unavailable(error))
    except KeyboardInterrupt:
        return _fail(given, Report("interrupted", Exit.INTERRUPTED, ("interrupted",), _repeated(given)))
    except Exception as error:  # noqa: BLE001  the last line of defence: the traceback goes to a file
        path = report_bug(error)
        line = f"error: a bug in buildguard: {type(error).__name__}: {error}; the report is in {path}"
        return _fail(given, Report("bug", Exit.BUG, (line,), command(["cat", str(path)])))


def _repeated(given: Sequence[str]) -> str | None:
    """The command line that was interrupted. A hook is no command to be run by hand: git runs it, in a commit."""
    if given[:1] == ["hook"]:
        return again(os.environ) or repeated(["run"], aiming({}, os.environ))
    return repeated(given, aiming({}, os.environ))


def _fail(given: Sequence[str], report: Report) -> int:
    """Say what went wrong where no session could be opened, or it broke off."""
    asked = given[: given.index("--")] if "--" in given else given
    Voice("default", "--json" in asked, os.environ, hook=True).answer(report)
    return report.exit


def _open_what_is_closed() -> None:
    """Give us the three standard streams: a caller that closed one still gets the check's verdict."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest free descriptor is the closed one.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  for as long as we run
