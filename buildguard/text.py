"""Times, spans, lists and command lines as text. Pure."""

import time
from collections.abc import Sequence

SHOWN = 3
"""How many names a line names before it counts the rest."""
LONGEST_COMMAND = 4000
"""How many characters a command to be pasted may have: a commit message with a body fits, a file does not."""


def clock(at: float, now: float) -> str:
    """A time of day in the local zone; with the date if it is not today's."""
    shape = "%H:%M" if time.localtime(at)[:3] == time.localtime(now)[:3] else "%Y-%m-%d %H:%M"
    return time.strftime(shape, time.localtime(at))


def span(seconds: float) -> str:
    """A duration as a person says it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def ago(at: float, now: float) -> str:
    """A time of day and how long ago that was."""
    return f"{clock(at, now)} ({span(max(0.0, now - at))} ago)"


def iso(at: float | None) -> str | None:
    """A time as ISO 8601 in UTC, to the second."""
    return None if at is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def some(names: Sequence[str], shown: int = SHOWN) -> str:
    """The first few names of a list, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def shortened(text: str, most: int = 200) -> str:
    """A text from outside, cut to one line's length."""
    return text if len(text) <= most else text[: most - 1] + "…"


def cut(text: str, most: int) -> str:
    """The text, cut in its middle to `most` characters: ids differ at their ends."""
    if len(text) <= most:
        return text
    end = (most - 1) * 3 // 5
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def command(words: Sequence[str]) -> str | None:
    """A command line that can be pasted as it stands into any POSIX shell, or None where it would be too long."""
    line = " ".join(map(quoted, words))
    return line if words and len(line) <= LONGEST_COMMAND else None


def quoted(word: str) -> str:
    """A word for the shell, in printable characters on one line: most commit messages have line breaks."""
    import shlex  # a passing hook quotes nothing

    if word.isprintable():
        return shlex.quote(word)
    return f'"$(printf %b {shlex.quote("".join(map(_escaped, word)))})"'


def _escaped(char: str) -> str:
    """A character as `printf %b` reads it."""
    if char.isprintable():
        return "\\\\" if char == "\\" else char
    if char == "\n":
        return "\\n"
    return "".join(f"\\0{byte:03o}" for byte in char.encode("utf-8", "surrogateescape"))
