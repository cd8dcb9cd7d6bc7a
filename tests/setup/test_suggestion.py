"""Which check a project's own files speak for."""

import os
from pathlib import Path

import pytest

from buildguard.settings import suggested_check
from buildguard.setup.runners import set_check


@pytest.mark.parametrize(
    ("files", "check"),
    [
        ({"package.json": '{"scripts": {"build": "tsc", "test": "vitest run"}}'}, "npm test"),
        ({"package.json": '{"name": "x",\n "scripts" : {\n  "test" : "node --test"}}'}, "npm test"),
        ({"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'}, None),
        ({"package.json": '{"scripts": {"test": ""}}'}, None),
        ({"package.json": '{"scripts": {"build": "tsc"}, "jest": {"test": "x"}}'}, None),
        ({"package.json": "not JSON"}, None),
        ({"Cargo.toml": ""}, "cargo test"),
        ({"go.mod": "module x"}, "go test ./..."),
        ({"Makefile": ".PHONY: test\n\ntest:\n\ttrue\n"}, "make test"),
        ({"Makefile": "test-all:\nretest:\n"}, None),
        ({"Makefile": "test := x\n"}, None),
        ({"pytest.ini": ""}, "pytest -q"),
        ({"pyproject.toml": '[project]\ndependencies = ["pytest"]\n'}, "pytest -q"),
        ({"pyproject.toml": "[project]\n"}, None),
        ({"package.json": "{}", "pyproject.toml": "[tool.pytest]\n"}, "pytest -q"),
        ({}, None),
    ],
)
def test_the_check_is_the_one_that_the_files_speak_for(
    tmp_path: Path, files: dict[str, str], check: str | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert suggested_check(tmp_path) == check
    assert set_check(tmp_path).startswith("buildguard install --check " if check else "buildguard install --help")


def test_what_never_ends_or_cannot_be_read_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "package.json")
    (tmp_path / "Makefile").symlink_to("/dev/zero")
    (tmp_path / "pyproject.toml").mkdir()
    assert suggested_check(tmp_path) is None
