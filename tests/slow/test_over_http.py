"""The contract of a store, over a ref on a remote that answers by smart HTTP."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from store.contract import Engine, StoreContract
from store.values import Clock
from testing.servers import HERE, GitHttpServer

from buildguard.store.gitref import GitRef
from buildguard.store.shared import SharedStore
from buildguard.store.sqlite import SqliteStore


class TestOverSmartHttp(StoreContract):
    """One clone's store over a ref."""

    @pytest.fixture
    def engine(self, tmp_path: Path, clock: Clock) -> Iterator[Engine]:
        subprocess.run(["git", "init", "-q", "--bare", "hub.git"], cwd=tmp_path, check=True)
        subprocess.run(["git", "init", "-q", "clone"], cwd=tmp_path, check=True)
        common = tmp_path / "clone/.git"
        with GitHttpServer(tmp_path) as server:
            subprocess.run(
                ["git", "remote", "add", "origin", f"http://{HERE}:{server.server_port}/hub.git"],
                cwd=common,
                check=True,
            )

            def opened() -> SharedStore:
                near = SqliteStore(common / "buildguard/state.db", clock=clock)
                return SharedStore(near, GitRef("origin", common, dict(os.environ)), common, clock=clock)

            yield Engine(opened, f"open_store(None, Path({str(common)!r}), '', 'git:origin', dict(os.environ))")
