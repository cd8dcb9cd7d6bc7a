"""Values as JSON, for every store. All that is read is checked: what buildguard did not write is never believed.

A NamedTuple travels as an object without the fields that have their defaults, a tuple as an array, an enum as its
value. Keys that this version does not know are passed over: a newer one may have written them.
"""

import json
from collections.abc import Callable, Mapping
from enum import EnumType
from typing import Any, TypeVar

T = TypeVar("T")

GREATEST = 250e9
"""No number that buildguard writes is greater; as seconds it is the year 9892."""
LARGEST, LONGEST_TEXT, LONGEST_NAME = 8_000_000, 100_000, 300
"""Characters of a whole value, of a text in it, and of a name."""
MOST_ENTRIES = 10_000
_SCALARS = (str, int, float, bool)


class Garbage(ValueError):
    """What buildguard does not write; the message is one short line that names the field."""


def encode(value: object) -> str:
    """The value as ASCII. Raises `Garbage` where `decode` would: such a value would make its build unreadable."""
    text = json.dumps(_plain(value), separators=(",", ":"))
    decode(type(value), text)
    return text


def decode(cls: type[T], text: object) -> T:
    """The value of that class, a NamedTuple, that the text stands for. Raises `Garbage`."""
    if type(text) is not str or len(text) > LARGEST:
        raise _garbage(cls.__name__, text)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise _garbage(cls.__name__, text) from None
    value: T = read(cls.__name__, cls, found)
    return value


def read(name: str, hint: Any, found: Any) -> Any:
    """What was read, as the value of the field of that name and type. Raises `Garbage`."""
    if hint not in _SCALARS and type(None) in getattr(hint, "__args__", ()):
        return None if found is None else read(name, hint.__args__[0], found)
    if not _fits(name, hint, found):
        raise _garbage(name, found)
    if isinstance(found, list):
        return tuple([read(name, hint.__args__[0], part) for part in found])
    if not isinstance(found, dict):
        return hint(found)
    if not hasattr(hint, "_fields"):
        return {read(name, str, key): read(name, hint.__args__[1], part) for key, part in found.items()}
    for field in hint._fields:
        if field not in found and field not in hint._field_defaults:
            raise Garbage(f"{field} is missing")
    hints = hint.__annotations__.items()
    return hint(**{field: read(field, kind, found[field]) for field, kind in hints if field in found})


def _fits(name: str, hint: Any, found: Any) -> bool:
    if hint is str:
        fits = _KINDS.get(name)
        return type(found) is str and len(found) <= LONGEST_TEXT and (fits is None or fits(found))
    if hint in _SCALARS:
        # A bool is an int, too; and no comparison is true of NaN, which `json` reads.
        return (type(found) is hint or (hint is float and type(found) is int)) and abs(found) <= GREATEST
    if isinstance(hint, EnumType):
        return type(found) is str and found in list(hint)
    kind = list if getattr(hint, "__origin__", None) is tuple else dict
    return type(found) is kind and len(found) <= MOST_ENTRIES


def _plain(value: Any) -> object:
    if hasattr(value, "_fields"):
        named, defaults = value._asdict().items(), value._field_defaults
        return {name: _plain(part) for name, part in named if name not in defaults or part != defaults[name]}
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def _garbage(name: str, found: object) -> Garbage:
    # Never the whole of it: it may be long, and `repr` of what is nested deeply fails.
    many = isinstance(found, list | dict) and f"a {type(found).__name__} of {len(found)}"
    shown = many or repr(found[:40] if isinstance(found, str | bytes) else found)
    return Garbage(f"{name} is {shown if len(shown) <= 40 else shown[:39] + '…'}")


_CONTROLS = frozenset(map(chr, (*range(32), *range(127, 160))))


def _is_branch(text: str) -> bool:
    """No branch, or what `git check-ref-format` accepts."""
    parts = text.split("/")
    whole = all(part and part[0] != "." and not part.endswith(".lock") for part in parts) and text[-1] != "."
    legal = _CONTROLS.union(" ~^:?*[\\").isdisjoint(text) and ".." not in text and "@{" not in text
    return not text or (text.startswith("refs/") and whole and legal)


_KINDS: Mapping[str, Callable[[str], bool]] = {
    **dict.fromkeys(
        ("head", "heads", "files", "tree", "blob", "failed", "commits"),
        lambda text: len(text) in (0, 40, 64) and not text.strip("0123456789abcdef"),
    ),
    **dict.fromkeys(
        ("agent", "other", "scope", "checkout", "seen"),
        lambda text: len(text) <= LONGEST_NAME and _CONTROLS.isdisjoint(text),
    ),
    **dict.fromkeys(
        ("path", "loose", "written", "staged"),
        lambda text: text[:1] not in ("", "/") and "\0" not in text and ".." not in text.split("/"),
    ),
    "branch": _is_branch,
    "mode": lambda text: len(text) in (0, 6) and not text.strip("01234567"),
}
"""What a text in the field of that name has to be, because it becomes a word for git or for a terminal."""
