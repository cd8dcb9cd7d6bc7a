"""Puts hooks into a JSON file with comments, and takes them out again, without touching any other byte.

It only looks for places, and puts text there: no library for Python that edits such a file keeps its bytes without
another language's runtime beside it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

HOOKS: Final = "hooks"
_CALL_OF_OURS: Final = re.compile(
    r"(?:sh -c '(?:e=[^;]*; case [^;]* \| )?)?buildguard agent-hook(?: \w+)+(?:(?:;; esac)? 2>/dev/null; exit 0')?"
)
"""Our command line in a hook, of any version; one that somebody has changed is theirs."""
_TOKEN: Final = re.compile(
    r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=(?>\s|//[^\n]*\n|/\*.*?\*/)*+[}\]])', re.DOTALL
)
"""A string, a comment, or a comma before the end."""
_read: Final = json.JSONDecoder().raw_decode

Hooks = Mapping[str, list[Any]]
"""What is to stand in the file, by the name of the event: each time one entry."""


class _Part(NamedTuple):
    """A member of an object, or an element of an array: where it and its value begin, and where it ends."""

    key: str
    start: int
    value: int
    end: int


def with_hooks(text: str, hooks: Hooks) -> str:
    """The file with these hooks in it, once. Raises ValueError for what is no JSON object with room for them."""
    text = without_hooks(text, hooks)
    if _member(text, _top(text), HOOKS) is None:
        return _put(text, _top(text), HOOKS, dict(hooks))
    for event, entries in hooks.items():
        at = _inside(text)
        group = _member(text, at, event)
        text = _put(text, _opened(text, group, "["), "", entries[0]) if group else _put(text, at, event, entries)
    return text


def without_hooks(text: str, hooks: Hooks) -> str:
    """The file without what `with_hooks` has put into it, byte for byte as it was. Raises ValueError."""
    whole = _member(text, _top(text), HOOKS)
    if whole is None or _written(text, whole, dict(hooks)):
        return _cut(text, _top(text), whole) if whole else text
    for event, entries in hooks.items():
        group = _member(text, _inside(text), event)
        if group and _written(text, group, entries):
            text = _cut(text, _inside(text), group)
        elif group:
            for part in reversed(list(_parts(text, group.value))):
                text = _without_ours(text, group.value, part)
    return text


def _without_ours(text: str, at: int, entry: _Part) -> str:
    """The file without our hooks in an entry of the array that begins there, and without the entry if it has no
    other hook."""
    group = _member(text, entry.value, HOOKS) if text[entry.value] == "{" else None
    if group is None or text[group.value] != "[":
        return _cut(text, at, entry) if _is_ours(text, entry) else text
    hooks = list(_parts(text, group.value))
    ours = [hook for hook in hooks if _is_ours(text, hook)]
    if ours and ours == hooks:
        return _cut(text, at, entry)
    for hook in reversed(ours):
        text = _cut(text, group.value, hook)
    return text


def _is_ours(text: str, hook: _Part) -> bool:
    value = _read(plain(text), hook.value)[0]
    lines = value.values() if isinstance(value, dict) else ()
    return any(isinstance(line, str) and _CALL_OF_OURS.fullmatch(line) for line in lines)


def plain(text: str) -> str:
    """The text as strict JSON of the same length: comments and last commas are blanks."""
    return _TOKEN.sub(lambda found: found[0] if found[0][0] == '"' else " " * len(found[0]), text)


def _top(text: str) -> int:
    """Where the object begins that the file is."""
    strict = plain(text)
    if not isinstance(json.loads(strict.removeprefix("\ufeff")), dict):
        raise ValueError("it is no JSON object")
    return strict.index("{")


def _inside(text: str) -> int:
    """Where the object of the hooks begins."""
    whole = _member(text, _top(text), HOOKS)
    return _opened(text, whole, "{") if whole else 0


def _opened(text: str, part: _Part, bracket: str) -> int:
    if text[part.value] != bracket:
        raise ValueError(f"{part.key} in it does not begin with {bracket}")
    return part.value


def _parts(text: str, at: int) -> Iterator[_Part]:
    """The parts of the object or array that begins there."""
    strict = plain(text)
    keyed, at = strict[at] == "{", _next(strict, at + 1)
    while strict[at] not in "}]":
        start, key = at, ""
        if keyed:
            key, at = _read(strict, at)
            at = _next(strict, _next(strict, at) + 1)
        end = _read(strict, at)[1]
        yield _Part(key, start, at, end)
        at = _next(strict, end)
        at = _next(strict, at + 1) if strict[at] == "," else at


def _next(strict: str, at: int) -> int:
    return at + len(strict[at:]) - len(strict[at:].lstrip())


def _member(text: str, at: int, key: str) -> _Part | None:
    return next((part for part in _parts(text, at) if part.key == key), None)


def _as_written(text: str, at: int, key: str, value: object) -> tuple[str, str]:
    """A part as it is written at the place of another one, and what goes before it: on a line of its own where the
    other has one, else on one line."""
    before = text[text.rfind("\n", 0, at) + 1 : at]
    alone = "\n" in text[:at] and not before.strip()
    shown = json.dumps(value, indent=2 if alone else None, ensure_ascii=False)
    lead = ("\r\n" if "\r\n" in text else "\n") + before if alone else " "
    return f'"{key}": ' * bool(key) + shown.replace("\n", lead), lead


def _put(text: str, at: int, key: str, value: object) -> str:
    """Put a part first into the object or array that begins there."""
    first = next(_parts(text, at), None)
    shown, lead = _as_written(text, first.start if first else 0, key, value)
    return text[: at + 1] + lead + shown + "," * bool(first) + text[at + 1 :]


def _written(text: str, part: _Part, value: object) -> bool:
    """Whether that part is just as `_put` has written it."""
    shown = text[part.start : part.end]
    return shown in (_as_written(text, place, part.key, value)[0] for place in (0, part.start))


def _cut(text: str, at: int, part: _Part) -> str:
    """Take a part out of the object or array that begins there, with what `_put` has put around it."""
    before = [other.end for other in _parts(text, at) if other.end <= part.start]
    start, strict = before[-1] if before else at + 1, plain(text)
    end = part.end + (not before and text[part.end : part.end + 1] == ",")
    # A comment that somebody has put between stays; the comma goes.
    between = text[start : part.start]
    comma = strict.find(",", start, part.start) - start
    kept = between if comma < 0 else between[:comma] + between[comma + 1 :]
    return text[:start] + (kept if between != strict[start : part.start] else "") + text[end:]
