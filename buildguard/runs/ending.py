"""The end of a run, as its runner leaves it in the run's folder."""

import os
from contextlib import suppress
from typing import Final, NamedTuple

from buildguard.checks.output import TAIL_BYTES
from buildguard.checks.runner import Result, Verdict
from buildguard.git.files import Watched

RESULT: Final = "result"
_MOST: Final = TAIL_BYTES + (4 << 20)


class Ending(NamedTuple):
    """How a run ended, what it did to the files meanwhile, and when (seconds since the epoch)."""

    result: Result
    watched: Watched
    ended: float


def leave(folder: str, ending: Ending) -> None:
    """Put it there at once, or not at all. Raises `OSError`."""
    result, watched = ending.result, ending.watched
    status = "" if result.status is None else str(result.status)
    facts = (result.verdict.value, status, result.why, repr(result.seconds), repr(ending.ended))
    told = "\0".join((*facts, str(int(watched.steady)), *sorted(watched.written)))
    text = told.encode(errors="surrogateescape")
    aside = f"{folder}/.{RESULT}"
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb", 0) as file:
        content = b"%d\n%b%b" % (len(text), text, result.output)
        if file.write(content) != len(content):
            raise OSError("the result was not written as a whole")
    os.rename(aside, f"{folder}/{RESULT}")  # noqa: PTH104


def found(folder: str) -> Ending | None:
    """How the run ended; None where it has not, or where that cannot be read."""
    with suppress(OSError, ValueError):
        with open(os.open(f"{folder}/{RESULT}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            content = file.read(_MOST)
        length, _, rest = content.partition(b"\n")
        text, output = rest[: int(length)], rest[int(length) :]
        facts = text.decode(errors="surrogateescape").split("\0")
        verdict, status, why, seconds, ended, steady, *written = facts
        result = Result(Verdict(verdict), int(status) if status else None, why, float(seconds), output)
        return Ending(result, Watched(steady == "1", frozenset(written)), float(ended))
    return None
