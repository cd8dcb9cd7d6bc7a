"""The engine that `docs/engines.md` shows, as it stands there, passes the contract of a store."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from store.contract import Engine, StoreContract
from store.values import Clock
from testing.documents import blocks
from testing.support import PROJECT

from buildguard.store.shared import SharedStore
from buildguard.store.sqlite import SqliteStore

OPENED = """

def opened(folder):
    from buildguard.store.shared import SharedStore
    from buildguard.store.sqlite import SqliteStore

    return SharedStore(SqliteStore(folder / "state.db"), Folder(folder / "shared"), folder)
"""


def shown(folder: Path) -> tuple[ModuleType, str]:
    """The module that the document shows, and an expression that loads it in another process."""
    (block,) = [one for one in blocks(PROJECT / "docs" / "engines.md") if one.language == "python"]
    path = folder / "third.py"
    path.write_text(block.text + OPENED)
    spec = importlib.util.spec_from_file_location("third", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, f"__import__('runpy').run_path({str(path)!r})"


class TestTheThird(StoreContract):
    """A register of 40 lines."""

    @pytest.fixture
    def engine(self, tmp_path: Path, clock: Clock) -> Engine:
        module, loading = shown(tmp_path)
        (tmp_path / "shared").mkdir()

        def opened() -> SharedStore:
            near = SqliteStore(tmp_path / "state.db", clock=clock)
            return SharedStore(near, module.Folder(tmp_path / "shared"), tmp_path, clock=clock)

        return Engine(opened, f"{loading}['opened'](Path({str(tmp_path)!r}))")
