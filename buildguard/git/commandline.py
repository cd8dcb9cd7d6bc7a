"""The command line that repeats a commit: read off the git that called, fit to be pasted as it stands."""

import re
from collections.abc import Sequence

from buildguard.ui import phrases as words

_TAKES_A_VALUE = {"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env"}
_MESSAGE = ("-m", "-F", "-C", "-t", "--message", "--file", "--author", "--date", "--trailer", "--reuse-message")
_HARMLESS = {"-q", "--quiet", "-s", "--signoff", "--no-edit", "-v", "--no-gpg-sign", "--allow-empty", "--amend"}
_BUNDLED = re.compile("-[aeqsv]+[mFCt]?")
"""Short options of `git commit` in one word, of which only the last may take a value."""


def split(argv: Sequence[str]) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    """A git command line as its global options, its command and the command's arguments."""
    at = 1
    while at < len(argv) and argv[at].startswith("-"):
        at += 2 if argv[at] in _TAKES_A_VALUE else 1
    return tuple(argv[1:at]), argv[at] if at < len(argv) else "", tuple(argv[at + 1 :])


def is_amend(argv: Sequence[str]) -> bool:
    """Whether this commit rewrites the one that HEAD names."""
    _, command, arguments = split(argv)
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return command == "commit" and any(len(word) > 3 and "--amend".startswith(word) for word in options)


def only_paths(arguments: Sequence[str]) -> tuple[str, ...]:
    """The pathspecs after `--` of a commit that takes nothing else that is staged; none of one that does."""
    if "--" not in arguments:
        return ()
    at = arguments.index("--")
    takes_more = any(word == "--include" or re.match("-[aeqsvnp]*i", word) for word in arguments[:at])
    return () if takes_more else tuple(arguments[at + 1 :])


def reads_stdin(arguments: Sequence[str]) -> bool:
    """Whether this commit reads its message or its paths from stdin, which is gone when it is repeated."""
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            return False
        if word in ("--file=-", "--pathspec-from-file=-") or re.fullmatch("-[aeqsvnp]*F-", word):
            return True
        if word in ("--file", "--pathspec-from-file") or re.fullmatch("-[aeqsvnp]*F", word):
            if next(rest, "") == "-":
                return True
        elif word in _MESSAGE or re.fullmatch("-[aeqsvnp]*[mCct]", word):
            next(rest, None)
    return False


def by_commit(argv: Sequence[str]) -> str | None:
    """The same commit through `buildguard commit`, which waits outside git. What is no commit (a merge, a
    rebase that goes on) is repeated after a wait. None where nobody knows what it was."""
    options, command, arguments = split(argv)
    if command in ("merge", "pull"):
        return "buildguard commit --no-edit"
    if command == "commit" and reads_stdin(arguments):
        return "buildguard wait"
    if command != "commit":
        return words.command(["git", *argv[1:]], "buildguard wait && ") or "buildguard wait" if argv else None
    separator = ("--",) if arguments[:1] == ("--",) else ()
    start = ("git", *options, "buildguard", "commit") if options else ("buildguard", "commit")
    return words.command([*start, *separator, *arguments]) or "buildguard wait"


def only(argv: Sequence[str], paths: Sequence[str]) -> str:
    """A commit of just these paths, with the message of the commit that was refused where it has one. Without
    any, only a look at what is staged: git would commit all of it."""
    if not paths:
        return "git status --short"
    options, command, arguments = split(argv)
    kept = _message(arguments) if command == "commit" else ()
    return words.command(["git", *options, "commit", *kept, "--", *paths]) or "git status --short"


def _message(arguments: Sequence[str]) -> tuple[str, ...]:
    """The options that say how to commit; none of them where one is not known, for it may take a value."""
    kept: list[str] = []
    rest = iter(() if reads_stdin(arguments) else arguments)
    for word in rest:
        name = word.partition("=")[0]
        if word == "--":
            break
        if word in _HARMLESS or (name in _MESSAGE and name != word):
            kept.append(word)
        elif word in _MESSAGE:
            kept += [word, next(rest, "")]
        elif _BUNDLED.fullmatch(word):
            # `a` says what to commit: that is what the paths are for now.
            kept += [short] if (short := word.replace("a", "")) != "-" else []
            kept += [next(rest, "")] if word[-1] in "mFCt" else []
        elif word != "--all":
            return ()
    return tuple(kept)
