"""Random stories over the near store: what it keeps is what the plain rules say, whichever process looks."""

import os
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis.stateful import rule
from testing.stories import Stories

from buildguard.claims.store import Store
from buildguard.store.sqlite import SqliteStore

IN_MEMORY = "/dev/shm"
"""A disk that syncs each of some ten thousand writes takes minutes, and no crash is under test here."""


class InAFile(Stories):
    """The heart over SQLite, in processes that come and go."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None)
        super().__init__()

    def opened(self) -> Store:
        return SqliteStore(Path(self.folder.name) / "state.db", clock=self.clock)

    @rule()
    def the_process_ends_and_another_begins(self) -> None:
        self.store.close()
        self.store = self.opened()

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestStories = InAFile.TestCase
TestStories.settings = settings(max_examples=40, stateful_step_count=30, deadline=None, database=None)
