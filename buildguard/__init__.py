"""buildguard: when a check breaks, exactly one agent fixes it and everybody else waits."""
