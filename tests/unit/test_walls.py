"""The walls between the rooms of the package, read off its source."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import buildguard

ORDER = (
    {"__main__"},
    {"main"},
    {"cli"},
    {"commands", "setup"},
    {"runs"},
    {"session"},
    {"ui", "store", "settings"},
    {"claims", "checks", "git", "agents"},
    {"errors", "text"},
)
"""The rooms, from the entrance to the ground: a room imports from its own floor and from those below."""
OWNERS = {
    "click": {"cli"},
    "rich": {"ui"},
    "sqlite3": {"store"},
    "psycopg": {"store.postgres"},
    "psutil": {"agents.processes"},
    "tree_sitter": {"agents.shell"},
    "tree_sitter_bash": {"agents.shell"},
    "subprocess": {"checks", "git", "runs", "commands.demo"},
}
"""Which rooms, or modules, may import what is dear or dangerous. The demo starts agents of its own."""
STARTS = re.compile(r"fork|forkpty|posix_spawnp?|spawn[lv]p?e?|exec[lv]p?e?|system|popen")
"""What of `os` starts a process, or becomes another one."""
DEAR = {"click", "rich", "psutil"}
PURE = ("claims.model", "claims.rules", "claims.scope")
HARMLESS = {"__future__", "collections", "enum", "functools", "itertools", "pathlib", "types", "typing"}
"""What a pure module may import; of paths, only those that look at no file."""
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Module(NamedTuple):
    """A module of the package; `name` is dotted and without the package's own."""

    name: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """The folder at the top that it lies in, or its own name."""
        return self.name.partition(".")[0]

    @property
    def stem(self) -> str:
        """Its file's name."""
        return self.name.rpartition(".")[2]


def _modules() -> dict[str, Module]:
    top = Path(str(buildguard.__file__)).parent
    found = {}
    for path in sorted(top.rglob("*.py")):
        parts = path.relative_to(top).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, ast.parse(path.read_text(encoding="utf-8")))
    return found


MODULES = _modules()


def nodes(module: Module, at_import: bool = False) -> Iterator[ast.AST]:
    """All of its syntax; only what runs when it is imported, if asked so."""
    waiting: list[ast.AST] = [module.tree]
    while waiting:
        node = waiting.pop()
        yield node
        if at_import and isinstance(node, Function):
            continue
        if at_import and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)


@cache
def imports(module: Module, at_import: bool = False) -> set[str]:
    """What it imports, dotted: a module where one of ours is named in any way, else what was written."""
    found: set[str] = set()
    for node in nodes(module, at_import):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.name} imports by dots"
            found |= {_source(node.module or "", alias.name) for alias in node.names}
    return found


def _source(module: str, name: str) -> str:
    inner = f"{module}.{name}".removeprefix("buildguard.")
    return f"buildguard.{inner}" if module.startswith("buildguard") and inner in MODULES else module


def ours(module: Module, at_import: bool = False) -> set[Module]:
    """The modules of the package that it imports."""
    names = {
        name.removeprefix("buildguard.") for name in imports(module, at_import) if name.startswith("buildguard.")
    }
    return {MODULES[name] for name in names}


def libraries(module: Module, at_import: bool = False) -> set[str]:
    """The packages of others that it imports."""
    return {name.partition(".")[0] for name in imports(module, at_import)} - {"buildguard"}


def floor(room: str) -> int:
    """How far from the entrance a room lies."""
    return next((place for place, rooms in enumerate(ORDER) if room in rooms), len(ORDER))


def starts_processes(module: Module) -> set[str]:
    """What it uses of `os` that starts a process."""
    found = set()
    for node in nodes(module):
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            found |= {alias.name for alias in node.names if STARTS.fullmatch(alias.name)}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            found |= {node.attr} if STARTS.fullmatch(node.attr) else set()
    return found


@cache
def bound(module: Module) -> set[str]:
    """The names that it gives to functions, parameters and variables; not what is used only behind a dot."""
    attributes = {
        part
        for node in nodes(module)
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        for part in (statement, *_targets(statement))
    }
    found = set()
    for node in set(nodes(module)) - attributes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.ImportFrom):
            names = {alias.asname or alias.name: _source(node.module or "", alias.name) for alias in node.names}
            found |= {name for name, source in names.items() if source == node.module}
    return found


def _targets(statement: ast.stmt) -> list[ast.expr]:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return [statement.target] if isinstance(statement, ast.AnnAssign) else targets


def classes(module: Module) -> list[str]:
    return [node.name for node in nodes(module) if isinstance(node, ast.ClassDef)]


def constants(module: Module) -> list[str]:
    """The names in capitals that it defines for all of its functions. One letter is a type's variable."""
    targets = [target for statement in module.tree.body for target in _targets(statement)]
    names = [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
    return [name for name in names if re.fullmatch(r"_?[A-Z][A-Z0-9_]+", name)]


def twice(names: Iterable[str]) -> list[str]:
    return sorted(name for name, times in Counter(names).items() if times > 1)


def test_the_modules_and_their_imports_are_found() -> None:
    assert {"main", "claims", "claims.rules", "store.sqlite"} <= MODULES.keys()
    assert MODULES["claims.model"] in ours(MODULES["claims.rules"])
    assert "sqlite3" in libraries(MODULES["store.sqlite"])


def test_the_top_of_the_package_has_fifteen_rooms_at_most_and_each_has_its_place() -> None:
    top = Path(str(buildguard.__file__)).parent
    rooms = {path.stem for path in top.iterdir() if path.suffix in (".py", "")} - {"__init__", "__pycache__"}
    assert rooms <= set().union(*ORDER)
    assert len(rooms - {"__main__"}) <= 15


def test_imports_point_from_the_entrance_to_the_ground() -> None:
    upward = [
        f"{module.name} imports {other.name}"
        for module in MODULES.values()
        for other in ours(module)
        if floor(other.room) < floor(module.room)
    ]
    assert sorted(upward) == []


def test_no_two_rooms_import_each_other() -> None:
    graph: dict[str, set[str]] = {}
    for module in MODULES.values():
        graph.setdefault(module.room, set()).update({other.room for other in ours(module)} - {module.room})
    assert len(list(TopologicalSorter(graph).static_order())) == len(graph)


def test_no_two_modules_import_each_other() -> None:
    graph = {module.name: {other.name for other in ours(module)} for module in MODULES.values()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(graph)


def test_the_heart_knows_nothing_of_checks_git_and_processes() -> None:
    rooms = {other.room for module in MODULES.values() if module.room == "claims" for other in ours(module)}
    assert rooms <= {"claims", "errors", "text"}


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_imports_nothing_that_does_anything(name: str) -> None:
    assert libraries(MODULES[name]) <= HARMLESS
    paths = [node for node in nodes(MODULES[name]) if isinstance(node, ast.ImportFrom) and node.module == "pathlib"]
    assert {alias.name for node in paths for alias in node.names} <= {"PurePath", "PurePosixPath"}
    assert {other.name for other in ours(MODULES[name])} <= set(PURE)


@pytest.mark.parametrize("library", OWNERS)
def test_only_its_owners_import_a_library(library: str) -> None:
    users = {module.name for module in MODULES.values() if library in libraries(module)}
    assert {name for name in users if {name, name.partition(".")[0]}.isdisjoint(OWNERS[library])} == set()


def test_only_rooms_that_may_start_processes_do_so() -> None:
    found = {module.name: starts_processes(module) for module in MODULES.values()}
    owners = OWNERS["subprocess"]
    others = {name: how for name, how in found.items() if how and {name, name.partition(".")[0]}.isdisjoint(owners)}
    assert others == {}


def test_what_starts_a_hook_imports_nothing_dear() -> None:
    seen, waiting = set(), [MODULES["main"], MODULES["commands.hook"]]
    while waiting:
        module = waiting.pop()
        if module.name not in seen:
            seen.add(module.name)
            assert libraries(module, at_import=True) & DEAR == set(), module.name
            waiting += ours(module, at_import=True)
    assert "cli" not in seen


def test_no_name_of_a_module_is_that_of_a_variable_or_function_beside_it() -> None:
    doubles = {
        f"{module.name}: {other.stem}"
        for module in MODULES.values()
        for other in ours(module)
        # A module about one value is no other thing than that value: `repository: Repository`.
        if other.stem in bound(module) and other.stem not in map(str.lower, classes(other))
    }
    assert sorted(doubles) == []


def test_no_class_is_defined_twice() -> None:
    assert twice(name for module in MODULES.values() for name in classes(module)) == []


def test_no_constant_is_defined_twice() -> None:
    assert twice(name for module in MODULES.values() for name in constants(module)) == []
