"""No edit is ever lost by us, whoever calls the hook and however the commit is made, with the real tools.

A and B work at once. B's check stands at a gate until A has edited, staged and committed.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from testing import matrix, matrix_table
from testing.cells import CELLS, HIDING, NOTHING, SAME, WRITTEN, Cell
from testing.matrix import Scene
from testing.support import Checkout
from testing.tools import INSTALLS, Tool, named

pytestmark = INSTALLS
Templates = Callable[[Tool], Checkout]


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """A guarded, broken repository for each tool, made once, to be copied."""
    made: dict[str, Checkout] = {}

    def template(tool: Tool) -> Checkout:
        if tool.name not in made:
            made[tool.name] = matrix.template(tmp_path_factory.mktemp("template"), tool)
        return made[tool.name]

    return template


def need(tool: Tool, cell: tuple[str, ...]) -> None:
    """Skip the cell where its tool cannot be had, and say so in the table."""
    if reason := tool.missing():
        matrix_table.not_run(cell, reason)
        pytest.skip(f"{tool.name}: {reason}")


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_nothing_is_lost_while_two_agents_commit(cell: Cell, templates: Templates, tmp_path: Path) -> None:
    tool = named(cell.tool)
    names = (cell.tool, cell.kind, cell.place)
    need(tool, names)
    seen = Scene(cell, tool, templates(tool), tmp_path).play()
    assert seen.lost == NOTHING
    matrix_table.check(names, seen.columns(), seen.refusal)


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("name", HIDING)
def test_what_a_runner_loses_of_the_edits_that_it_hides_is_known(
    name: str, written: str, templates: Templates, tmp_path: Path
) -> None:
    tool = named(name)
    need(tool, (name, written))
    cell = Cell(name, "commit", SAME)
    seen, refusal = matrix.Hidden(cell, tool, templates(tool), tmp_path).write(written)
    matrix_table.check((name, written), seen, refusal)


def test_the_table_has_a_row_for_every_cell_and_nothing_lost_in_any() -> None:
    rows = {cell: matrix_table.written((cell.tool, cell.kind, cell.place)) for cell in CELLS}
    assert [cell for cell, row in rows.items() if not row] == []
    assert {row.split(" | ")[-1] for row in rows.values() if "not run here" not in row} == {f"{NOTHING} |"}
