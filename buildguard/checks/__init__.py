"""Runs a check, ends it, and reads what failed."""
