"""The real hook runners, installed into a repository as docs/frameworks.md says."""

import fcntl
import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from testing.gate import STAND
from testing.support import BUILDGUARD, PROJECT, SCRIPTS, Checkout, environment, new_repository

DOCUMENTED = PROJECT / "docs" / "frameworks.md"
HEARD = "BUILDGUARD_TEST_HEARD"
"""Names the file that buildguard's words go to: most runners keep them back until the hook has ended."""
INSTALLS = pytest.mark.timeout(900)
"""For tests that install something, which a slow package index makes last."""
GATED = f"""{STAND}
grep -q BROKEN app.txt || exit 0
echo "FAILED tests/test_app.py::test_app - broken"
exit 1
"""
"""A check that fails while app.txt says BROKEN, always with the same failure id."""


@dataclass(frozen=True)
class Tool:
    """A way to have git run buildguard. `missing` says why it cannot be had here, or is empty; `enter` is what
    a linked work tree needs before its hooks run."""

    name: str
    install: Callable[[Checkout], None]
    missing: Callable[[], str] = lambda: ""
    enter: Callable[[Checkout], None] = lambda checkout: None


def documented(marker: str) -> str:
    """The block of code that follows `<!-- marker -->` in docs/frameworks.md."""
    found = re.search(rf"<!-- {re.escape(marker)} -->\n```\w*\n(.*?)```", DOCUMENTED.read_text(), re.DOTALL)
    assert found, f"docs/frameworks.md has no block {marker!r}"
    return found[1]


def repository(folder: Path, home: Path, tool: Tool, check: str = "sh check.sh", **variables: str) -> Checkout:
    """A repository whose commits the tool guards. The check waits at the gate, then judges app.txt."""
    shims = _shims(folder.parent / "shims")
    path = f"{shims}{os.pathsep}{environment(home)['PATH']}"
    checkout = new_repository(folder, home, check, PATH=path, **variables)
    (folder / ".git" / "hooks" / "pre-commit").unlink()
    checkout.write("check.sh", GATED)
    tool.install(checkout)
    checkout.ok("add", "-A")
    checkout.ok("commit", "-q", "--no-verify", "-m", "the check and its hook")
    return checkout


def need(tool: Tool) -> None:
    """Skip the test, aloud, where the tool cannot be had."""
    if reason := tool.missing():
        pytest.skip(f"{tool.name}: {reason}")


def _shims(folder: Path) -> Path:
    """A folder for PATH whose buildguard writes what it says into the file that HEARD names, if one is named."""
    if not folder.exists():
        folder.mkdir()
        script = folder / "buildguard"
        real = shlex.quote(BUILDGUARD)
        script.write_text(f'#!/bin/sh\n[ -n "${HEARD}" ] && exec 2>>"${HEARD}"\nexec {real} "$@"\n')
        script.chmod(0o755)
    return folder


def _native(checkout: Checkout) -> None:
    _executable(checkout.path / ".git" / "hooks" / "pre-commit")


def _hooks_path(checkout: Checkout) -> None:
    _executable(checkout.path / ".githooks" / "pre-commit")
    checkout.ok("config", "core.hooksPath", ".githooks")


def _executable(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes((PROJECT / "hooks" / "pre-commit").read_bytes())
    path.chmod(0o755)


def _pre_commit(name: str) -> Callable[[Checkout], None]:
    def install(checkout: Checkout) -> None:
        checkout.write(".pre-commit-config.yaml", documented("entry: pre-commit"))
        _must(checkout, str(SCRIPTS / name), "install")

    return install


def _lefthook(checkout: Checkout) -> None:
    checkout.write("lefthook.yml", documented("entry: lefthook"))
    binaries = node_modules().glob("lefthook-*/bin/lefthook")
    _must(checkout, str(next(binaries)), "install")


def _husky(checkout: Checkout) -> None:
    checkout.write("package.json", '{"private": true, "scripts": {"prepare": "husky"}}\n')
    checkout.write(".husky/pre-commit", documented("entry: husky"))
    _enter_husky(checkout)


def _enter_husky(checkout: Checkout) -> None:
    _must(checkout, "node", str(node_modules() / "husky" / "bin.js"))


def _must(checkout: Checkout, *argv: str) -> None:
    done = checkout.run(*argv)
    assert done.status == 0, done


def _no_script(name: str) -> str:
    return "" if (SCRIPTS / name).exists() else f"{name} is not installed beside pytest"


def node_modules() -> Path:
    """Where lefthook and husky are installed for the tests, by npm."""
    return PROJECT / ".pytest_cache" / "d" / "node" / "node_modules"


def _no_node_tool(package: str) -> Callable[[], str]:
    @functools.cache
    def missing() -> str:
        if not (shutil.which("npm") and shutil.which("node")):
            return "npm is not installed"
        folder = node_modules().parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = open(folder / "lock", "w")  # noqa: SIM115
        except OSError as error:
            return f"nothing can be installed in {folder.name}: {error.strerror}"
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "done").exists():
                words = [
                    "npm",
                    "install",
                    "--no-audit",
                    "--no-fund",
                    "--no-save",
                    "--ignore-scripts",
                    "lefthook@2",
                    "husky@9",
                ]
                done = subprocess.run(words, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
                (folder / "done").write_text("" if done.returncode == 0 else f"npm install failed: {done.stderr}")
            failed = (folder / "done").read_text()
            if failed:
                # Another session may have a network.
                (folder / "done").unlink()
                return failed.strip().splitlines()[0]
        return "" if (folder / "node_modules" / package).exists() else f"npm installed no {package}"

    return missing


TOOLS = (
    Tool("native hook", _native),
    Tool("core.hooksPath", _hooks_path),
    Tool("pre-commit", _pre_commit("pre-commit"), lambda: _no_script("pre-commit")),
    Tool("prek", _pre_commit("prek"), lambda: _no_script("prek")),
    Tool("lefthook", _lefthook, _no_node_tool("lefthook")),
    Tool("husky", _husky, _no_node_tool("husky"), _enter_husky),
)


def named(name: str) -> Tool:
    """The tool of that name."""
    return next(tool for tool in TOOLS if tool.name == name)


def copied(folder: Path) -> None:
    """This project, as it stands now, without what its tools have left in it."""
    left = (".git", ".venv", "build", "dist", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info")
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns(*left))


def published(folder: Path, home: Path) -> Checkout:
    """This project, as it stands now, as a repository that a hook framework can install from."""
    home.mkdir(parents=True, exist_ok=True)
    copied(folder)
    checkout = Checkout(folder, home, {"GIT_CONFIG_GLOBAL": os.devnull})
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org")
    checkout.ok("init", "-q")
    checkout.ok("add", "-A")
    checkout.ok(*identity, "commit", "-q", "-m", "as it stands")
    return checkout


@functools.cache
def no_index() -> str:
    """Why nothing can be installed from the package index here, or an empty string."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", folder, "hatchling>=1.24"]
        done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["pip failed"])[-1]
