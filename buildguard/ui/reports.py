"""One answer, and those that are about no breakage. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from buildguard.checks.runner import Result, Verdict
from buildguard.claims.guard import Identity
from buildguard.claims.model import Run, View
from buildguard.errors import Exit, GitFault, Unavailable, Unidentified
from buildguard.text import span

_NOTHING: Mapping[str, Any] = MappingProxyType({})
NAME_YOURSELF = 'buildguard status --agent "$(hostname)-$$"'
"""What gives a shell an identity of its own."""


class Report(NamedTuple):
    """One answer, ready to be shown as lines or as JSON. `extra` are further keys of the JSON object; `run` is the
    one that found somebody else fixing."""

    outcome: str
    exit: int
    lines: tuple[str, ...]
    next: str | None = None
    view: View | None = None
    now: float = 0.0
    agent: Identity | None = None
    extra: Mapping[str, Any] = _NOTHING
    run: Run | None = None


def unavailable(error: Exception) -> Report:
    """What is said where coordination is unavailable, and what mends it."""
    mend = error.next_command if isinstance(error, GitFault | Unavailable) else None
    if isinstance(error, Unidentified):
        mend = NAME_YOURSELF
    return Report("unavailable", Exit.UNAVAILABLE, (f"coordination is unavailable: {error}",), mend)


def inconclusive(check: str, why: str, again: str | None) -> Report:
    """A check that could not run: it claims nothing and resolves nothing."""
    line = f"inconclusive: the check could not run ({why}), so nobody is elected: {check}"
    return Report("inconclusive", Exit.INCONCLUSIVE, (line,), again)


def still_running(check: str, seconds: float, again: str | None) -> Report:
    """A check that takes longer than the shell of the calling coding agent waits: it goes on."""
    line = f"still running after {span(seconds)}: {check}; your shell soon stops this command, the check goes on"
    return Report("running", Exit.BUSY, (line, "the next call on these files takes its verdict"), again)


def interrupted(why: str, again: str | None) -> Report:
    """A check that was ended from outside."""
    return Report("interrupted", Exit.INTERRUPTED, (f"interrupted: {why}; nothing was claimed",), again)


def bare(result: Result, check: str, again: str | None) -> Report:
    """The verdict of a check that nobody is told of."""
    if result.verdict is Verdict.PASSED:
        return Report("passed", Exit.OK, ())
    if result.verdict is Verdict.FAILED:
        return Report("failed", Exit.FAILED, (f"failed: {check} (exit status {result.status})",), again)
    if result.verdict is Verdict.INTERRUPTED:
        return interrupted(result.why, again)
    return inconclusive(check, result.why, again)
