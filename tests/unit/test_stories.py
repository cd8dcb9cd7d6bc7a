"""Random stories over the store in memory: the heart and the plain rules agree on each of them."""

from hypothesis import settings
from testing.memory import MemoryStore
from testing.stories import Stories

from buildguard.claims.store import Store


class InMemory(Stories):
    """The heart alone."""

    def opened(self) -> Store:
        return MemoryStore(self.clock)


TestStories = InMemory.TestCase
TestStories.settings = settings(max_examples=150, stateful_step_count=30, deadline=None, database=None)
