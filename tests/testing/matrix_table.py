"""docs/matrix.md: written by the tests if they are asked to, compared with what they see ever after."""

import fcntl
import os
from collections.abc import Sequence

from testing.cells import CELLS, HIDING, LETTERS, WRITTEN
from testing.support import PROJECT

TABLE = PROJECT / "docs" / "matrix.md"
WRITING = os.environ.get("BUILDGUARD_WRITE_MATRIX") == "1"
"""Whether the tests write what they see into docs/matrix.md instead of comparing it."""

_ABOUT = """# What happens while two agents commit at once

Written by the tests (`BUILDGUARD_WRITE_MATRIX=1 pytest -m slow tests/slow/test_matrix.py`), which ever after
compare it with what they see.

Agent A holds the claim. Agent B commits; while B's check runs, A edits a file, makes a new one, stages and
commits. B's check fails. Then A fixes the build and commits the fix through the same hook. *Same checkout*: both
work in one. *Linked work tree*: B commits in a linked work tree, A goes on in the main one. In the same checkout A
has unstaged edits from before (not for the reword, which git refuses then).

*Lost* is what was missing afterwards of each byte that A and B wrote and each commit that A made. No commit of B's
held what B had not staged.

Each kind of commit is tried in both places with git's own hook. With the other runners, fewer are tried: the hook
can tell them apart only by the edits that they hide. Each meets both places, with and without git's index lock.
"""
_COLUMNS = ("runner", "commit", "place", "A, while B's check runs", "B's hook, after the check", "B's end", "lost")
_REFUSALS = """
## Where the hook does not wait, word for word

"""
_HIDDEN = """
## Edits in the files that a runner has emptied

Same checkout, plain commit. A has unstaged edits in a file (lefthook: in a partly staged file); the runner takes
them out of the work tree while B's check runs. A, who sees the file without them, writes into it and into another
one. It is the runner that loses edits here, and B's check that lasts that long; buildguard adds nothing to it,
because it does not wait then.

"""
_HIDDEN_COLUMNS = ("runner", "A writes into", "B's hook, after the check", "lost", "by")


def line(cells: Sequence[str]) -> str:
    """A line of a table."""
    return "| " + " | ".join(cells) + " |"


def written(cell: Sequence[str]) -> str:
    """The row of a cell as it stands in docs/matrix.md, or an empty string."""
    text = TABLE.read_text().splitlines() if TABLE.exists() else []
    return next((row for row in text if row.startswith(line(cell)[:-1])), "")


def check(cell: Sequence[str], columns: Sequence[str], refusal: str = "") -> None:
    """Compare a row with docs/matrix.md, or write it there if that was asked for. `cell` names the row."""
    row = line((*cell, *columns))
    note = _note(refusal) if refusal else ""
    if WRITING:
        _write(row, note)
        return
    assert row == written(cell), "docs/matrix.md has another row"
    assert note in ("", *TABLE.read_text().splitlines())


def not_run(cell: Sequence[str], reason: str) -> None:
    """Note why a cell could not be run, if the table is being written."""
    if WRITING:
        _write(line((*cell, f"not run here: {reason}", *[""] * (len(_COLUMNS) - len(cell) - 1))), "")


def _note(refusal: str) -> str:
    letter = next(letter for words, letter in LETTERS.items() if words in refusal)
    return f"- {letter}: `{refusal}`"


def _write(row: str, note: str) -> None:
    TABLE.parent.mkdir(exist_ok=True)
    with open(TABLE, "a+") as file:
        # Several test processes write one table.
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        known = [*file.read().splitlines(), row, note]
        notes = sorted({text for text in known if text.startswith("- ")})
        table = _table(_COLUMNS, [(cell.tool, cell.kind, cell.place) for cell in CELLS], known)
        hidden = _table(_HIDDEN_COLUMNS, [(tool, written) for tool in HIDING for written in WRITTEN], known)
        file.truncate(0)
        file.write("\n".join([_ABOUT, *table, _REFUSALS.rstrip(), "", *notes, _HIDDEN.rstrip(), "", *hidden, ""]))


def _table(head: Sequence[str], cells: Sequence[Sequence[str]], known: Sequence[str]) -> list[str]:
    """The rows that are known of these cells, the newest of each, in their order."""
    found = [[text for text in known if text.startswith(line(cell)[:-1])][-1:] for cell in cells]
    return [line(head), line(["---"] * len(head)), *[row for rows in found for row in rows]]
