"""What the documents say, in a form that tests can run or compare with the program."""

import re
from pathlib import Path
from typing import NamedTuple

from testing.support import PROJECT

README = PROJECT / "README.md"
REFERENCE = PROJECT / "docs" / "reference.md"
CONTRIBUTING = PROJECT / "CONTRIBUTING.md"
DOCUMENTS = (*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").rglob("*.md")))


class Block(NamedTuple):
    """A fenced block: its language, its text, and the scene that the comment above it names, if one does."""

    language: str
    text: str
    scene: str

    @property
    def name(self) -> str:
        """Its first line, for the name of a test."""
        return self.text.partition("\n")[0][:50]


def blocks(document: Path) -> list[Block]:
    """All of a document's fenced blocks."""
    shape = r"(?:<!-- \w+: (\w[\w-]*) -->\n)?^```(\w*)\n(.*?)^```$"
    found = re.findall(shape, document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [Block(language, text, scene) for scene, language, text in found]


def commands(scene: str, *documents: Path) -> list[Block]:
    """The blocks of commands that are run in one scene."""
    found = [block for document in documents or (README, REFERENCE) for block in blocks(document)]
    return [block for block in found if block.language == "sh" and block.scene == scene]


def section(document: Path, heading: str) -> str:
    """What stands under a heading, with the smaller headings within."""
    text = document.read_text(encoding="utf-8")
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found, f"{document.name} has no heading {heading!r}"
    return re.split(rf"^#{{1,{len(found[1])}}} ", text[found.end() :], flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of each table in there, without the heads."""
    tables = re.findall(r"^\|.*\n\|[ :|-]+\n((?:\|.*\n)*)", text, re.MULTILINE)
    lines = [line for table in tables for line in table.splitlines()]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def code(text: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", text)
