"""The command line that repeats a commit: read off the git that called, fit to be pasted as it stands."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from buildguard.text import command

_GIT_TAKES_A_VALUE = {"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env"}
_TAKES_A_VALUE = (
    *("--message", "--file", "--author", "--date", "--trailer", "--reuse-message", "--reedit-message"),
    *("--template", "--fixup", "--squash", "--cleanup", "--pathspec-from-file"),
)
_LETTERS_WITH_A_VALUE = "mFCct"
_LETTERS_WITH_MORE = "Su"
"""Short options whose value, if they have one, is the rest of the same word."""
_ONLY_SHOWS = ("--dry-run", "--short", "--porcelain", "--long", "--null")
_GOES_ON = ("cherry-pick", "revert", "rebase", "am")
_SAYS_WHAT = re.compile(r"|--|-[aiop]|--all|--include|--only|--patch|--interactive|--pathspec-.*")
"""The options of the words that name what to commit (a path has an empty one), which other paths replace."""


class _Word(NamedTuple):
    """An option with its value, or another word (`option` is empty); `repeated` are the words that say the same."""

    option: str
    value: str | None
    repeated: tuple[str, ...]


def split(argv: Sequence[str]) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    """A git command line as its global options, its command and the command's arguments."""
    at = 1
    while at < len(argv) and argv[at].startswith("-"):
        at += 2 if argv[at] in _GIT_TAKES_A_VALUE else 1
    return tuple(argv[1:at]), argv[at] if at < len(argv) else "", tuple(argv[at + 1 :])


def is_amend(argv: Sequence[str]) -> bool:
    """Whether this commit rewrites the one that HEAD names."""
    _, name, arguments = split(argv)
    return name == "commit" and any(_shortens(option, "--amend", 4) for option, _ in _options(arguments))


def skips_hooks(arguments: Sequence[str]) -> bool:
    """Whether this commit runs no pre-commit hook. Git takes the last word."""
    said = [one for one, _ in _options(arguments) if _is_no_verify(one) or _shortens(one, "--verify", 6)]
    return bool(said) and _is_no_verify(said[-1])


def with_hooks(arguments: Sequence[str]) -> list[str]:
    """The same commit, but such that it runs its hooks."""
    return [part for word in _words(arguments) if not _is_no_verify(word.option) for part in word.repeated]


def only_shows(arguments: Sequence[str]) -> bool:
    """Whether git would commit nothing and only show what it would, or its help."""
    given = [option for option, _ in _options(arguments)]
    return not {"-z", "-h", "--help"}.isdisjoint(given) or any(
        _shortens(one, known, 4) for one in given for known in _ONLY_SHOWS
    )


def only_paths(arguments: Sequence[str]) -> tuple[str, ...]:
    """The pathspecs after `--` of a commit that takes nothing else that is staged; none of one that does."""
    words = {word.option: word.repeated for word in _words(arguments)}
    return () if words.keys() & {"--include", "-i"} else words.get("--", ())[1:]


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
    kept = [part for word in _words(arguments) if not _SAYS_WHAT.fullmatch(word.option) for part in word.repeated]
    return command(["git", *options, "commit", *kept, "--", *paths]) or "git status --short"


def through(argv: Sequence[str]) -> tuple[str, ...]:
    """Git's own options in the command line of a git that called us as its command (`git -C there buildguard`)."""
    options, name, _ = split(argv)
    return options if name == "buildguard" else ()


def _program(options: Sequence[str]) -> tuple[str, ...]:
    return ("git", *options, "buildguard") if options else ("buildguard",)


def _options(arguments: Sequence[str]) -> list[tuple[str, str | None]]:
    return [(word.option, word.value) for word in _words(arguments) if word.option]


def _words(arguments: Sequence[str]) -> Iterator[_Word]:
    """The words of `git commit`, each option with its value, short ones apart; `--` with all that follows it."""
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            yield _Word(word, None, (word, *rest))
            return
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            if not equals and any(_shortens(name, known, 6) for known in _TAKES_A_VALUE):
                value = next(rest, "")
                yield _Word(name, value, (name, value))
            else:
                yield _Word(name, value if equals else None, (word,))
        elif word.startswith("-") and word != "-":
            yield from _letters(word[1:], rest)
        else:
            yield _Word("", None, (word,))


def _letters(letters: str, rest: Iterator[str]) -> Iterator[_Word]:
    for at, letter in enumerate(letters):
        option, value = f"-{letter}", letters[at + 1 :]
        if letter in _LETTERS_WITH_A_VALUE:
            value = value or next(rest, "")
            yield _Word(option, value, (option, value))
            return
        if letter in _LETTERS_WITH_MORE:
            yield _Word(option, value or None, (f"{option}{value}",))
            return
        yield _Word(option, None, (option,))


def _shortens(option: str, known: str, least: int) -> bool:
    """Whether git takes it for that long option, of which `least` characters tell it apart."""
    return option == known or (len(option) >= least and known.startswith(option))


def _is_no_verify(option: str) -> bool:
    return option == "-n" or _shortens(option, "--no-verify", 7)
