"""Puts hooks into a JSON file with comments, and takes them out again, without touching any other byte.

We only look for places, and put text there: no library in Python writes such a file back as it was.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

HOOKS: Final = "hooks"
_CALL_OF_OURS: Final = "buildguard agent-hook"
"""What each of our entries has in it."""
_TOKEN: Final = re.compile(
    r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=(?:\s|//[^\n]*\n|/\*.*?\*/)*[}\]])', re.DOTALL
)
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
    whole = _member(text, _top(text), HOOKS)
    if whole is None:
        return _put(text, _top(text), HOOKS, dict(hooks))
    for event, entries in hooks.items():
        whole = _member(text, _top(text), HOOKS)
        assert whole is not None
        group = _member(text, _opened(text, whole, "{"), event)
        if group is None:
            text = _put(text, whole.value, event, entries)
        else:
            text = _put(text, _opened(text, group, "["), "", entries[0])
    return text


def without_hooks(text: str, hooks: Hooks) -> str:
    """The file without what `with_hooks` has put into it, byte for byte as it was. Raises ValueError."""
    top = _top(text)
    whole = _member(text, top, HOOKS)
    if whole is None:
        return text
    if _written(text, whole, dict(hooks)):
        return _cut(text, top, whole)
    for event, entries in hooks.items():
        whole = _member(text, top, HOOKS)
        group = _member(text, _opened(text, whole, "{"), event) if whole else None
        if whole and group and _written(text, group, entries):
            text = _cut(text, whole.value, group)
            continue
        ours = (
            [part for part in _parts(text, group.value) if _CALL_OF_OURS in text[part.value : part.end]]
            if group
            else []
        )
        for part in reversed(ours):
            text = _cut(text, group.value if group else 0, part)
    return text


def _plain(text: str) -> str:
    """The text as strict JSON of the same length: comments and last commas are blanks."""
    return _TOKEN.sub(lambda found: found[0] if found[0][0] == '"' else " " * len(found[0]), text)


def _top(text: str) -> int:
    """Where the object begins that the file is."""
    plain = _plain(text)
    if not isinstance(json.loads(plain.removeprefix("\ufeff")), dict):
        raise ValueError("it is no JSON object")
    return plain.index("{")


def _parts(text: str, at: int) -> Iterator[_Part]:
    plain = _plain(text)
    keyed = plain[at] == "{"
    at = _next(plain, at + 1)
    while plain[at] not in "}]":
        start, key = at, ""
        if keyed:
            key, at = _read(plain, at)
            at = _next(plain, _next(plain, at) + 1)
        end = _read(plain, at)[1]
        yield _Part(key, start, at, end)
        at = _next(plain, end)
        at = _next(plain, at + 1) if plain[at] == "," else at


def _next(plain: str, at: int) -> int:
    while plain[at] in " \t\r\n":
        at += 1
    return at


def _member(text: str, at: int, key: str) -> _Part | None:
    return next((part for part in _parts(text, at) if part.key == key), None)


def _opened(text: str, part: _Part, bracket: str) -> int:
    if text[part.value] != bracket:
        raise ValueError(f"{part.key} in it does not begin with {bracket}")
    return part.value


def _indent(text: str, at: int) -> str | None:
    """What the line begins with, up to there; None where something else stands before."""
    before = text[text.rfind("\n", 0, at) + 1 : at]
    return before if "\n" in text[:at] and not before.strip() else None


def _text(key: str, value: object, newline: str, indent: str | None) -> str:
    """A part as it is written: on one line, or as deep as `indent`."""
    shown = json.dumps(value, indent=None if indent is None else 2, ensure_ascii=False)
    shown = shown if indent is None else shown.replace("\n", newline + indent)
    return f'"{key}": {shown}' if key else shown


def _put(text: str, at: int, key: str, value: object) -> str:
    """Put a part first into the object or array that begins there."""
    first = next(_parts(text, at), None)
    indent = _indent(text, first.start) if first else None
    newline = "\r\n" if "\r\n" in text else "\n"
    lead = " " if indent is None else newline + indent
    return text[: at + 1] + lead + _text(key, value, newline, indent) + ("," if first else "") + text[at + 1 :]


def _written(text: str, part: _Part, value: object) -> bool:
    """Whether that part is just as `_put` has written it."""
    newline = "\r\n" if "\r\n" in text else "\n"
    shown = text[part.start : part.end]
    return shown in (_text(part.key, value, newline, indent) for indent in (None, _indent(text, part.start)))


def _cut(text: str, at: int, part: _Part) -> str:
    """Take a part out of the object or array that begins there, with what `_put` has put around it."""
    before = [other for other in _parts(text, at) if other.end <= part.start]
    if before:
        return text[: before[-1].end] + text[part.end :]
    end = part.end + (text[part.end : part.end + 1] == ",")
    return text[: at + 1] + text[end:]
