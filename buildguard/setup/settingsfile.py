"""Writes one setting into the settings file and leaves every other byte of it as it was.

The edit is made on the text, line by line, and believed only when a TOML parser reads exactly the old settings
and the new value from the result. What that cannot do is refused.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_OWN = ".buildguard.toml"
_PROJECT = "pyproject.toml"
_TABLE = ("tool", "buildguard")
_HEADER = re.compile(r"\s*\[\s*tool\s*\.\s*buildguard\s*\]\s*(?:#.*)?\s*$")
_ANY_HEADER = re.compile(r"\s*\[")


class CannotEdit(Exception):
    """The file cannot be edited without the risk of harming it. The message is one clear line."""

    def __init__(self, path: Path, detail: str) -> None:
        super().__init__(f"{path}: {detail}")
        self.path = path


@dataclass(frozen=True, slots=True)
class Edit:
    """What the settings file will say."""

    path: Path
    before: bytes | None
    after: bytes

    @property
    def changes(self) -> bool:
        """Whether there is anything to write."""
        return self.before != self.after

    def write(self) -> None:
        """Put it there as a whole: a reader sees the old file or the new one. Raises OSError, or `CannotEdit`
        when the file has changed meanwhile."""
        target = self.path.resolve()
        if _read(target) != self.before:
            raise CannotEdit(self.path, "somebody else has just changed it")
        draft = target.with_name(f"{target.name}.{os.getpid()}.new")
        try:
            draft.write_bytes(self.after)
            if self.before is not None:
                draft.chmod(target.stat().st_mode & 0o7777)
            draft.replace(target)
        finally:
            with suppress(FileNotFoundError):
                draft.unlink()


def planned(root: Path, key: str, value: str) -> Edit:
    """The edit that sets `key` to a string, in `.buildguard.toml`, or in `pyproject.toml` where that has the
    table already. Raises `CannotEdit`."""
    own, project = root / _OWN, root / _PROJECT
    if not value.isprintable() and any(0xD800 <= ord(character) < 0xE000 for character in value):
        raise CannotEdit(own, "the value is not valid text")
    line = f"{key} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")
    for path, table in ((own, ()), (project, _TABLE)):
        before = _read(path)
        if before is None:
            continue
        text, settings = _parsed(path, before)
        if table and _at(settings, table) is None:
            continue
        return Edit(path, before, _edited(path, text, settings, table, key, value, line).encode())
    return Edit(own, None, f"{line}\n".encode())


def _edited(
    path: Path, text: str, settings: dict[str, Any], table: tuple[str, ...], key: str, value: str, line: str
) -> str:
    old = _at(settings, table) or {}
    if old.get(key) == value:
        return text
    wanted = _with(settings, table, key, value)
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    ending = "\r\n" if "\r\n" in text else "\n"
    drafts = _replaced(lines, key, line) if key in old else _inserted(lines, bool(table), line + ending, ending)
    for draft in drafts:
        if _means(draft, wanted):
            return draft
    raise CannotEdit(path, f"{key} cannot be set without risk to the rest of the file; set it by hand: {line}")


def _replaced(lines: list[str], key: str, new: str) -> Iterator[str]:
    """The text with each line that seems to set the key replaced in its turn, its comment kept."""
    begins = re.compile(rf"(\s*){re.escape(key)}\s*=(.*)", re.DOTALL)
    for number, line in enumerate(lines):
        match = begins.fullmatch(line)
        rest = _after_value(match[2]) if match else None
        if match and rest is not None:
            yield "".join((*lines[:number], match[1] + new + rest, *lines[number + 1 :]))


def _after_value(text: str) -> str | None:
    """What follows a value on its line: blanks, a comment, the line's end. None: the value goes on beyond it."""
    body = text.rstrip("\r\n")
    ends = [place for place, character in enumerate(body) if character == "#"] + [len(body)]
    for end in ends:
        with suppress(tomllib.TOMLDecodeError):
            tomllib.loads("x =" + body[:end])
            return text[len(body[:end].rstrip()) :]
    return None


def _inserted(lines: list[str], in_table: bool, new: str, ending: str) -> Iterator[str]:
    """The text with the line added wherever it may belong, the likeliest place first."""
    if in_table:
        places = [number + 1 for number, line in enumerate(lines) if _HEADER.match(line)]
    else:
        places = [len(lines), *(number for number, line in enumerate(lines) if _ANY_HEADER.match(line)), 0]
    for place in places:
        before = "".join(lines[:place])
        gap = ending if before and not before.endswith("\n") else ""
        yield before + gap + new + "".join(lines[place:])


def _with(settings: dict[str, Any], table: tuple[str, ...], key: str, value: str) -> dict[str, Any]:
    if not table:
        return {**settings, key: value}
    return {**settings, table[0]: _with(settings[table[0]], table[1:], key, value)}


def _at(settings: dict[str, Any], table: tuple[str, ...]) -> dict[str, Any] | None:
    found: Any = settings
    for name in table:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _means(draft: str, wanted: dict[str, Any]) -> bool:
    try:
        return tomllib.loads(draft) == wanted
    except tomllib.TOMLDecodeError:
        return False


def _parsed(path: Path, content: bytes) -> tuple[str, dict[str, Any]]:
    try:
        text = content.decode()
        return text, tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise CannotEdit(path, f"is not UTF-8 (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise CannotEdit(path, f"is not TOML: {error}") from error


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CannotEdit(path, f"cannot be read ({error.strerror})") from error
