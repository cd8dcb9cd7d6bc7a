"""Hooks go into any JSON with comments and out again, byte for byte: random files."""

import json
import random

import pytest

from buildguard.agents.hookfiles import HOOK_FILES, HookFile
from buildguard.setup.jsonedit import plain, with_hooks, without_hooks

FILES = 150
BLANKS = ("", "", " ", "\t", "\n", "\r\n", '/* { " , */', '// x, } " \n')
PLAIN = (
    '"a"',
    '"\\""',
    '"// no"',
    '"/* */"',
    '"ü\\u0041"',
    '"}"',
    '"hooks"',
    '",]"',
    "1",
    "-2.5e3",
    "true",
    "null",
)
EDITED = [row for row in HOOK_FILES if row.moments]


class Writer:
    """Writes random files."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.keys = 0

    def blank(self) -> str:
        return "".join(self.chance.choices(BLANKS, k=self.chance.randint(0, 3)))

    def end(self) -> str:
        return self.chance.choice(("", ",", "," + self.blank()))

    def value(self, depth: int) -> str:
        kind = self.chance.randint(0, 4 if depth < 3 else 1)
        if kind < 2:
            return self.chance.choice(PLAIN)
        if kind == 2:
            return self.chance.choice(("{%s}", "[%s]")) % self.blank()
        if kind == 3:
            items = [self.blank() + self.value(depth + 1) + self.blank() for _ in range(self.chance.randint(1, 3))]
            return f"[{','.join(items)}{self.end()}]"
        return self.members(depth + 1, [])

    def members(self, depth: int, more: list[tuple[str, str]]) -> str:
        for _ in range(self.chance.randint(0, 3)):
            self.keys += 1
            more.append((f'"k{self.keys}{self.chance.choice(("", "//", "{"))}"', self.value(depth)))
        self.chance.shuffle(more)
        written = [f"{self.blank()}{key}{self.blank()}:{self.blank()}{value}{self.blank()}" for key, value in more]
        return f"{{{','.join(written)}{self.end() if written else self.blank()}}}"

    def file(self, events: list[str]) -> str:
        groups = [f"[{there}{self.blank()}]" for there in ("", '{"x": 1}', '{"command": "other"},')]
        there = [(f'"{event}"', self.chance.choice(groups)) for event in events if self.chance.random() < 0.4]
        hooks = [('"hooks"', self.members(1, there))] if self.chance.random() < 0.7 else []
        return self.chance.choice(("", "\ufeff", " \n")) + self.members(0, hooks) + self.blank()


@pytest.mark.parametrize("row", EDITED, ids=lambda row: row.name)
def test_every_byte_comes_back(row: HookFile) -> None:
    writer = Writer(len(row.name))
    hooks = {event: [row.entry(moment)] for moment, event in row.moments.items()}
    for _ in range(FILES):
        before = writer.file(list(hooks))
        after = with_hooks(before, hooks)
        held = json.loads(plain(after).removeprefix("\ufeff"))["hooks"]
        assert {event: held[event][:1] for event in hooks} == hooks, before
        assert with_hooks(after, hooks) == after, before
        assert without_hooks(after, hooks) == before


def spread(chance: random.Random, text: str) -> str:
    """The text with more blanks and comments around its commas and brackets, as by another hand."""
    strict, found = plain(text), ""
    inside = False
    for at, char in enumerate(text):
        inside ^= strict[at] == '"' and strict[at - 1] != "\\"
        more = not inside and char == strict[at] and char in ",{}[]" and chance.random() < 0.3
        found += chance.choice(BLANKS) + char + chance.choice(BLANKS) if more else char
    return found


def settings_of(text: str) -> object:
    """What the file says, without what is empty in its hooks."""
    found = json.loads(plain(text).removeprefix("\ufeff"))
    found["hooks"] = {event: entries for event, entries in found.get("hooks", {}).items() if entries}
    return found


@pytest.mark.parametrize("row", EDITED, ids=lambda row: row.name)
def test_what_is_not_ours_stays_though_another_hand_has_been_there(row: HookFile) -> None:
    writer = Writer(len(row.name) + 100)
    hooks = {event: [row.entry(moment)] for moment, event in row.moments.items()}
    for _ in range(FILES):
        before = writer.file(list(hooks))
        after = spread(writer.chance, with_hooks(before, hooks))
        assert settings_of(without_hooks(after, hooks)) == settings_of(before), after
