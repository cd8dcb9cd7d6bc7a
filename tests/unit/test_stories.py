"""Random stories over the store in memory: the heart and the plain rules agree on each of them."""

from hypothesis import settings
from testing.memory import MemoryStore
from testing.stories import Stories


class InMemory(Stories):
    opened = MemoryStore


TestStories = InMemory.TestCase
TestStories.settings = settings(max_examples=200, stateful_step_count=30, deadline=None, database=None)
