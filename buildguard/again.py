"""The command line that repeats a commit: read off the git that called, fit to be pasted as it stands."""

from collections.abc import Sequence

from buildguard import words

_TAKES_A_VALUE = {"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env"}
_MESSAGE = ("-m", "-F", "--message", "--file", "--author", "--date", "--trailer")
_HARMLESS = {"-q", "--quiet", "-s", "--signoff", "--no-edit", "-v", "--no-gpg-sign", "--allow-empty"}


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


def by_commit(argv: Sequence[str]) -> str | None:
    """The same commit through `buildguard commit`, which waits outside git. What is no commit (a merge, a
    rebase that goes on) is repeated after a wait. None where it cannot be written on one line."""
    options, command, arguments = split(argv)
    if command != "commit":
        return words.command(["git", *argv[1:]], "buildguard wait && ") if argv else None
    separator = ("--",) if arguments[:1] == ("--",) else ()
    start = ("git", *options, "buildguard", "commit") if options else ("buildguard", "commit")
    return words.command([*start, *separator, *arguments])


def only(argv: Sequence[str], paths: Sequence[str]) -> str | None:
    """A commit of just these paths, with the message of the commit that was refused where it has one."""
    options, command, arguments = split(argv)
    kept = _message_only(arguments) if command == "commit" else ()
    return words.command(["git", *options, "commit", *kept, "--", *paths])


def _message_only(arguments: Sequence[str]) -> tuple[str, ...]:
    """The arguments, if they say nothing of what to commit; else none of them."""
    at = 0
    while at < len(arguments):
        name = arguments[at].partition("=")[0]
        if arguments[at] in _MESSAGE:
            at += 2
        elif arguments[at] in _HARMLESS or (name in _MESSAGE and name != arguments[at]):
            at += 1
        else:
            return ()
    return tuple(arguments)
