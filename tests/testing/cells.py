"""The cells of docs/matrix.md: which runners, kinds of commit and places are tried together."""

from dataclasses import dataclass

KINDS = {
    "commit": ("commit", "-m", "B's commit"),
    "commit -a": ("commit", "-a", "-m", "B's commit"),
    "commit -p": ("commit", "-p", "-m", "B's commit"),
    "commit -i path": ("commit", "-i", "b.txt", "-m", "B's commit"),
    "commit -- path": ("commit", "-m", "B's commit", "--", "b.txt"),
    "commit --amend": ("commit", "--amend", "-m", "B's amended commit"),
    "merge resolution": ("commit", "--no-edit"),
    "rebase reword": ("rebase", "-i", "HEAD~1"),
}
"""The kinds of commit, and what B calls git with."""
MERGE, REWORD = "merge resolution", "rebase reword"
STAGED = ("commit", "commit --amend", MERGE)
"""The kinds for which B stages its change before."""
LOCKING = ("commit -a", "commit -p", "commit -i path", "commit -- path")
"""The kinds during which git itself holds the index lock."""
SAME, LINKED = "same checkout", "linked work tree"
PLACES = (SAME, LINKED)
LETTERS = {"holds the index lock": "L", "hides unstaged edits": "S"}
"""What the hook's refusals to wait are called in the table."""
NOTHING = "nothing"
NATIVE = "native hook"
HIDING = ("pre-commit", "prek", "lefthook")
"""The runners that take unstaged edits out of the work tree."""
PAIRS = {
    "core.hooksPath": (("commit", "commit -a"), ("commit --amend", "commit -p", REWORD)),
    "husky": (("commit --amend", "commit -p"), (MERGE, "commit -a")),
    "lefthook": ((MERGE, "commit -i path", REWORD), ("commit", "commit -- path")),
    "pre-commit": (("commit", "commit --amend", MERGE, "commit -i path", REWORD), ("commit", "commit -- path")),
    "prek": (("commit", "commit --amend", MERGE, "commit -- path"), ("commit --amend", "commit -i path", REWORD)),
}
"""What is tried with the other runners, in the same checkout and in a linked work tree. The hook can tell them
apart by one thing: pre-commit and prek hide edits from what is staged in the same checkout, so these cells are all
here. Of the rest, each runner meets each place with a kind that locks the index and with one that does not."""
WRITTEN = ("another file", "the emptied file, elsewhere", "the emptied file, the same lines")


@dataclass(frozen=True)
class Cell:
    """One row of the table."""

    tool: str
    kind: str
    place: str

    def __str__(self) -> str:
        return f"{self.tool}, {self.kind}, {self.place}"


CELLS = [
    *(Cell(NATIVE, kind, place) for kind in KINDS for place in PLACES),
    *(
        Cell(tool, kind, place)
        for tool, tried in PAIRS.items()
        for place, kinds in zip(PLACES, tried, strict=True)
        for kind in kinds
    ),
]
