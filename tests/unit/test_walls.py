"""The walls between the rooms (`docs/design.md`, section 10), read off the imports."""

import ast
import json
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from testing.support import Checkout

import buildguard

ROOMS = {path.stem: path for path in sorted(Path(str(buildguard.__file__)).parent.glob("*.py"))}

ALLOWED = {
    "click": {"cli", "options"},
    "rich": {"ui"},
    "sqlite3": {"store", "faults"},
    "subprocess": {"check", "git"},
    "psutil": {"processes", "bystanders"},
}
"""Which rooms may import what is dear or dangerous. `demo` starts agents of its own."""
LATE = ("rich", "psutil")
"""What may be imported only inside a function: a passing hook pays for neither."""


def imports(room: str, at_import: bool = False) -> set[str]:
    """The modules that a room imports; only those that importing it imports, if asked so."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(ROOMS[room].read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
            continue
        if at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = node.module == "buildguard"
            found |= {f"buildguard.{alias.name}" for alias in node.names} if whole else {node.module}
        waiting += ast.iter_child_nodes(node)
    return found


def ours(room: str, at_import: bool = False) -> set[str]:
    """The rooms that a room imports."""
    return {name.split(".")[1] for name in imports(room, at_import) if name.startswith("buildguard.")}


def top(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def test_the_rooms_are_found() -> None:
    assert {"cli", "hook", "guard", "store", "rules"} <= ROOMS.keys()
    assert ours("guard") >= {"store", "rules", "scope"}


@pytest.mark.parametrize("library", ALLOWED)
def test_only_its_own_rooms_import_a_library(library: str) -> None:
    found = {room for room in ROOMS if library in top(imports(room))} - {"demo"}
    assert found == ALLOWED[library]


@pytest.mark.parametrize("library", LATE)
def test_what_is_dear_is_imported_only_inside_functions(library: str) -> None:
    assert [room for room in ROOMS if library in top(imports(room, at_import=True))] == []


def test_imports_point_one_way() -> None:
    graph = {room: ours(room) & ROOMS.keys() for room in ROOMS}
    assert len(list(TopologicalSorter(graph).static_order())) == len(ROOMS)


def test_the_chain_of_rooms_is_never_walked_backwards() -> None:
    chain = ("rules", "store", "guard", "hook", "cli")
    for place, room in enumerate(chain):
        assert ours(room).isdisjoint(chain[place:]), room


def test_the_rules_import_nothing_of_ours_but_their_words() -> None:
    assert ours("states") == set()
    assert ours("rules") == {"states"}
    assert ours("scope") == {"states"}


@pytest.mark.parametrize("room", ["rules", "scope"])
def test_a_pure_room_imports_nothing_that_does_anything(room: str) -> None:
    harmless = {"buildguard", "collections", "dataclasses", "enum", "typing", "itertools", "__future__"}
    assert top(imports(room)) <= harmless


def test_nobody_but_the_command_line_knows_click_or_exits() -> None:
    assert {room for room in ROOMS if "cli" in ours(room)} <= {"entry"}


def test_a_passing_hook_pays_for_no_library_that_it_does_not_need(checkout: Checkout) -> None:
    script = (
        "import sys, json\n"
        "from buildguard import entry\n"
        "sys.argv = ['buildguard', 'hook', '--', 'true']\n"
        "try:\n    entry.main()\n"
        "except SystemExit as end:\n    print(json.dumps([end.code, sorted(sys.modules)]))\n"
    )
    hook = checkout.path / ".git" / "hooks" / "pre-commit"
    hook.write_text(f"#!{sys.executable}\n{script}")
    done = checkout.git("commit", "--allow-empty", "-qm", "x", agent="ann", TERM="xterm")
    assert done.status == 0, done
    code, modules = json.loads(done.err.splitlines()[-1])
    assert (code, "sqlite3" in modules) == (0, True)
    assert {"rich", "psutil", "click", "dataclasses", "importlib.metadata", "asyncio"} & set(modules) == set()
