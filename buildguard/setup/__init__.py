"""Puts the hook where git runs it, and says what stands in the way."""
