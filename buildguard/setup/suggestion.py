"""Which check a project most likely has, read off its own files."""

import re
import shlex
from pathlib import Path

_SIGNS = (
    # What `npm init` writes is no test: it always fails.
    ("package.json", r'"scripts"\s*:\s*\{[^}]*"test"\s*:\s*"(?!echo \\"Error: no test specified)[^"]', "npm test"),
    ("Cargo.toml", "", "cargo test"),
    ("go.mod", "", "go test ./..."),
    ("Makefile", r"(?m)^test\s*:(?!=)", "make test"),
    ("pytest.ini", "", "pytest -q"),
    ("pyproject.toml", "pytest", "pytest -q"),
)
"""A file, the pattern that has to be in it, and the check that it speaks for; the first row that fits counts."""


def suggested_check(top: Path) -> str | None:
    """The command that most likely checks the project in that folder; None where nothing tells. Never raises."""
    there = ((text(top / file), sign, check) for file, sign, check in _SIGNS)
    return next((check for found, sign, check in there if found is not None and re.search(sign, found)), None)


def set_check(top: Path) -> str:
    """The command that sets the likely check, or that tells how to set one."""
    check = suggested_check(top)
    return f"buildguard install --check {shlex.quote(check)}" if check else "buildguard install --help"


def text(path: Path) -> str | None:
    """What a file says; None where it cannot be read, or is a pipe or device, which may never end."""
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    except OSError:
        return None
