"""`buildguard install --config`: the hook in git's configuration, which git 2.54 and newer runs."""

import os
import shlex
import shutil
from pathlib import Path

import pytest
from test_install import guarded, refused, state
from testing.support import Checkout, new_repository


@pytest.fixture
def bare_of_hooks(tmp_path: Path) -> Checkout:
    """A repository with a check and without any hook."""
    checkout = new_repository(tmp_path / "repository", tmp_path / "home")
    (tmp_path / "repository/.git/hooks/pre-commit").unlink()
    return checkout


def with_git(checkout: Checkout, version: str) -> Checkout:
    """The same checkout with a git that calls itself another version, and is the real one in all else."""
    folder = checkout.home / "bin"
    folder.mkdir(exist_ok=True)
    real = shlex.quote(str(shutil.which("git")))
    script = f'#!/bin/sh\n[ "$1" = --version ] && echo "git version {version}" && exit 0\nexec {real} "$@"\n'
    (folder / "git").write_text(script)
    (folder / "git").chmod(0o755)
    return Checkout(checkout.path, checkout.home, {"PATH": f"{folder}{os.pathsep}{checkout.env()['PATH']}"})


def test_an_older_git_is_told_that_it_has_no_configuration_hooks(bare_of_hooks: Checkout) -> None:
    before = state(bare_of_hooks.path)
    done = with_git(bare_of_hooks, "2.53.9").buildguard("install", "--config")
    assert refused(done)
    assert "since 2.54, and this is git 2.53.9" in done.out
    assert state(bare_of_hooks.path) == before


def test_the_configuration_hook_comes_and_goes_without_a_trace(bare_of_hooks: Checkout) -> None:
    newer = with_git(bare_of_hooks, "2.54.0")
    before = state(newer.path)
    assert newer.buildguard("install", "--config", "--stage", "pre-commit", "--stage", "pre-push").status == 0
    assert newer.ok("config", "--get-all", "hook.buildguard.event").split() == ["pre-commit", "pre-push"]
    command = newer.ok("config", "--get", "hook.buildguard.command")
    # As git runs it: with the arguments of a pre-push appended, which must not be taken for a check.
    done = newer.run("sh", "-c", f'{command} "$@"', "hook", "origin", "url")
    assert (done.status, "buildguard: passed: ! grep" in done.err) == (0, True)
    shutil.rmtree(newer.path / ".git/buildguard", ignore_errors=True)
    assert "already" in newer.buildguard("install", "--config").out
    assert "already" in newer.buildguard("install").out
    assert newer.buildguard("uninstall").status == 0
    assert state(newer.path) == before


def test_a_configuration_hook_that_somebody_changed_is_left_alone(bare_of_hooks: Checkout) -> None:
    newer = with_git(bare_of_hooks, "2.54.0")
    newer.buildguard("install", "--config")
    newer.ok("config", "hook.buildguard.enabled", "false")
    before = state(newer.path)
    assert (newer.buildguard("uninstall").status, refused(newer.buildguard("install", "--config"))) == (1, True)
    assert state(newer.path) == before


def test_file_and_configuration_are_not_both_installed(bare_of_hooks: Checkout) -> None:
    newer = with_git(bare_of_hooks, "2.54.0")
    newer.buildguard("install")
    done = newer.buildguard("install", "--config")
    assert (refused(done), done.out.splitlines()[-1]) == (
        True,
        "next: buildguard uninstall && buildguard install --config",
    )


def test_git_itself_runs_the_configuration_hook(bare_of_hooks: Checkout) -> None:
    if bare_of_hooks.buildguard("install", "--config").status != 0:
        pytest.skip(f"{bare_of_hooks.ok('--version')} has no hooks in its configuration (2.54 has)")
    bare_of_hooks.ok("config", "core.hooksPath", "")
    assert guarded(bare_of_hooks)
