"""The command line that repeats a commit: read off the git that called, fit to be pasted as it stands."""

import re
from collections.abc import Iterator, Sequence

from buildguard.text import command

_GIT_TAKES_A_VALUE = {"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env"}
_TAKES_A_VALUE = {
    *(
        "--message",
        "--file",
        "--author",
        "--date",
        "--trailer",
        "--reuse-message",
        "--reedit-message",
        "--template",
    ),
    *("--fixup", "--squash", "--cleanup", "--pathspec-from-file"),
}
_LETTERS_WITH_A_VALUE = "mFCct"
_LETTERS_WITH_MORE = "Su"
"""Short options whose value, if they have one, is the rest of the same word."""
_LETTERS = _LETTERS_WITH_A_VALUE + _LETTERS_WITH_MORE
_ONLY_SHOWS = ("--dry-run", "--short", "--porcelain", "--long", "--null")
_GOES_ON = ("cherry-pick", "revert", "rebase", "am")
_DROPPED = re.compile(r"--all|--include|--only|--patch|--interactive|--pathspec-.*")
"""Options that say what to commit: that is what the paths are for."""


def split(argv: Sequence[str]) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    """A git command line as its global options, its command and the command's arguments."""
    at = 1
    while at < len(argv) and argv[at].startswith("-"):
        at += 2 if argv[at] in _GIT_TAKES_A_VALUE else 1
    return tuple(argv[1:at]), argv[at] if at < len(argv) else "", tuple(argv[at + 1 :])


def is_amend(argv: Sequence[str]) -> bool:
    """Whether this commit rewrites the one that HEAD names."""
    _, name, arguments = split(argv)
    return name == "commit" and any(
        len(option) > 3 and "--amend".startswith(option) for option, _ in _options(arguments)
    )


def skips_hooks(arguments: Sequence[str]) -> bool:
    """Whether this commit runs no pre-commit hook."""
    return any(_is_no_verify(option) for option, _ in _options(arguments))


def with_hooks(arguments: Sequence[str]) -> list[str]:
    """The same commit, but such that it runs its hooks."""
    kept: list[str] = []
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            return [*kept, word, *rest]
        letters = word if word.startswith("-") and not word.startswith("--") else ""
        # A letter that takes a value has all that follows for it.
        at = next((at for at, letter in enumerate(letters) if letter in _LETTERS), len(letters))
        takes = word[at:] in tuple(_LETTERS_WITH_A_VALUE) or ("=" not in word and _takes_a_value(word))
        if not _is_no_verify(word):
            kept += [word[:at].replace("n", "") + word[at:], *([next(rest, "")] if takes else [])]
    return kept


def only_shows(arguments: Sequence[str]) -> bool:
    """Whether git would commit nothing and only show what it would."""
    given = [option for option, _ in _options(arguments)]
    return "-z" in given or any(len(one) > 4 and known.startswith(one) for one in given for known in _ONLY_SHOWS)


def only_paths(arguments: Sequence[str]) -> tuple[str, ...]:
    """The pathspecs after `--` of a commit that takes nothing else that is staged; none of one that does."""
    if "--" not in arguments:
        return ()
    takes_more = any(option in ("--include", "-i") for option, _ in _options(arguments))
    return () if takes_more else tuple(arguments[arguments.index("--") + 1 :])


def reads_stdin(arguments: Sequence[str]) -> bool:
    """Whether this commit reads its message or its paths from stdin, which is gone when it is repeated."""
    return any(
        option in ("-F", "--file", "--pathspec-from-file") and value == "-" for option, value in _options(arguments)
    )


def by_commit(argv: Sequence[str], aim: Sequence[str] = ()) -> str | None:
    """The same commit through `buildguard commit`, which waits outside git, with the options `aim`; what git was in
    the middle of goes on by git's own command. None where it cannot be repeated faithfully."""
    options, name, arguments = split(argv)
    if name in ("merge", "pull"):
        return command([*_program(options), "commit", *aim, "--no-edit"])
    if name in _GOES_ON and "--continue" in arguments:
        return command(["git", *options, name, "--continue"])
    if name != "commit" or reads_stdin(arguments):
        return None
    separator = ("--",) if arguments[:1] == ("--",) else ()
    return command([*_program(options), "commit", *aim, *separator, *arguments])


def only(argv: Sequence[str], paths: Sequence[str]) -> str:
    """A commit of just these paths, with all else as the commit that was refused had it. Without any, or where that
    cannot be told, only a look at what is staged: git would commit all of it."""
    options, name, arguments = split(argv)
    if not paths or name != "commit" or reads_stdin(arguments):
        return "git status --short"
    kept = [word for option, value in _options(arguments) for word in _kept(option, value)]
    return command(["git", *options, "commit", *kept, "--", *paths]) or "git status --short"


def through(argv: Sequence[str]) -> tuple[str, ...]:
    """Git's own options in the command line of a git that called us as its command (`git -C there buildguard`)."""
    options, name, _ = split(argv)
    return options if name == "buildguard" else ()


def _program(options: Sequence[str]) -> tuple[str, ...]:
    return ("git", *options, "buildguard") if options else ("buildguard",)


def _kept(option: str, value: str | None) -> tuple[str, ...]:
    """An option of a commit as it is repeated for other paths."""
    if _DROPPED.fullmatch(option) or option in ("-a", "-i", "-o", "-p"):
        return ()
    if value is None:
        return (option,)
    if option.startswith("--"):
        return (f"{option}={value}",)
    # An empty one would take the next word.
    return (f"{option}{value}",) if value else (option, "")


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """The options of `git commit` before `--`, each with its value, short ones apart."""
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            return
        name, equals, value = word.partition("=")
        if word.startswith("--"):
            yield name, value if equals else next(rest, "") if _takes_a_value(name) else None
        elif word.startswith("-") and word != "-":
            yield from _letters(word[1:], rest)


def _takes_a_value(name: str) -> bool:
    return any(known == name or (len(name) > 5 and known.startswith(name)) for known in _TAKES_A_VALUE)


def _is_no_verify(option: str) -> bool:
    return option == "-n" or (len(option) > 6 and "--no-verify".startswith(option))


def _letters(word: str, rest: Iterator[str]) -> Iterator[tuple[str, str | None]]:
    for at, letter in enumerate(word):
        if letter in _LETTERS_WITH_A_VALUE:
            yield f"-{letter}", word[at + 1 :] or next(rest, "")
            return
        if letter in _LETTERS_WITH_MORE:
            yield f"-{letter}", word[at + 1 :] or None
            return
        yield f"-{letter}", None
