"""What GitHub Actions shows of a failing check: an error at each place in the code, and a summary of the job."""

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from buildguard.commands.attempt import Attempt
from buildguard.commands.printed import failing_rows
from buildguard.session import Session
from buildguard.ui.reports import Report
from buildguard.ui.voice import clean

_MOST_ERRORS: Final = 10  # docs.github.com, "Usage limits": of a step no more are shown
_MOST_LISTED: Final = 50
_ROOM: Final = 1 << 20  # bytes of a step's summary; GitHub drops a larger one as a whole


def tell(session: Session, report: Report, tried: Attempt) -> None:
    """Name the files and lines of what failed, as the runner reads it, and add to the summary. Never raises."""
    top = (session.repository.top if session.repository else None) or session.cwd
    ids, at = tried.run.failures, failing_rows(session, tried.command, tried.result)
    for one, file in [(one, file) for one in ids if (file := _file(one, top))][:_MOST_ERRORS]:
        where = _escaped(file, ":,") + (f",line={at[one]}" if one in at else "")
        session.voice.command(f"::error file={where}::{_escaped(one)}")
    more = [f"and {len(ids) - _MOST_LISTED} more"] if len(ids) > _MOST_LISTED else []
    # As code: Markdown reads nothing else into a line that begins so.
    lines = [f"    {clean(line)}\n" for line in (*report.lines, "", *ids[:_MOST_LISTED], *more)]
    with suppress(OSError):
        _append(
            session.environment.get("GITHUB_STEP_SUMMARY", ""), f"### buildguard\n\n{''.join(lines)}\n".encode()
        )


def _file(failure: str, top: Path) -> str:
    """The file in the work tree that an id begins with; empty if it begins with none."""
    starts = (failure[: cut.start()] for cut in re.finditer(r"::|: | |$", failure))
    return next((path for path in starts if os.path.isfile(top / path)), "")  # noqa: PTH113  a path may be too long


def _escaped(text: str, also: str = "") -> str:
    """`text` as the runner decodes it (actions/toolkit, packages/core/src/command.ts)."""
    return "".join(f"%{ord(char):02X}" if char in f"%\r\n{also}" else char for char in text)


def _append(path: str, text: bytes) -> None:
    """Add the text to a plain file that is there and has room for it. Raises `OSError`."""
    with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK), "ab") as file:
        found = os.fstat(file.fileno())
        if stat.S_ISREG(found.st_mode) and found.st_size + len(text) <= _ROOM:
            file.write(text)
