"""What the hook runners do around us, with the real ones: stashes, private environments, stages, ways out."""

import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from testing import cells
from testing.support import SCRIPTS, Checkout
from testing.tools import INSTALLS, TOOLS, Tool, named, need, no_index, published, repository

from buildguard.agents.hookrunner import private_prefix

pytestmark = INSTALLS

HIDING = [tool for tool in TOOLS if tool.name in cells.HIDING]
REPORT = "BUILDGUARD_TEST_REPORT"
PROBE = f"""
import json, os, subprocess, sys
from pathlib import Path
from buildguard.agents.hookrunner import hiding
git_dir = subprocess.run(["git", "rev-parse", "--absolute-git-dir"], capture_output=True, text=True).stdout.strip()
found = hiding(os.environ, Path(git_dir))
Path(os.environ["{REPORT}"]).write_text(json.dumps(found))
sys.exit(1)
"""
Repositories = Callable[[Tool], Checkout]


@pytest.fixture
def guarded(tmp_path: Path) -> Repositories:
    """A repository that the tool guards, with app.txt of two lines."""

    def make(tool: Tool) -> Checkout:
        need(tool)
        checkout = repository(tmp_path / "guarded", tmp_path / "home", tool)
        checkout.write("app.txt", "fine\n" + "line\n" * 20)
        checkout.ok("commit", "-q", "--no-verify", "-a", "-m", "longer")
        return checkout

    return make


def ids(tool: Tool) -> str:
    return tool.name


def seen_by_hook(checkout: Checkout, folder: Path) -> object:
    """Which runner's stash a hook in buildguard's place sees, in a plain commit."""
    shim = folder / "shims" / "buildguard"
    shim.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(PROBE)}\n")
    report = folder / "report"
    done = checkout.git("commit", "-m", "x", **{REPORT: str(report)})
    assert report.exists(), done
    return json.loads(report.read_text())


def partly_stage(checkout: Checkout) -> None:
    checkout.write("app.txt", "staged\n" + "line\n" * 20)
    checkout.ok("add", "app.txt")
    checkout.write("app.txt", "staged\n" + "line\n" * 19 + "unstaged\n")


# Stashes


@pytest.mark.parametrize("place", ["same checkout", "linked work tree"])
@pytest.mark.parametrize("tool", TOOLS, ids=ids)
def test_the_stash_of_a_runner_that_hides_unstaged_edits_is_found(
    tool: Tool, place: str, guarded: Repositories, tmp_path: Path
) -> None:
    checkout = guarded(tool)
    if place == "linked work tree":
        checkout = checkout.work_tree("linked")
        tool.enter(checkout)
    partly_stage(checkout)
    assert seen_by_hook(checkout, tmp_path) == (tool.name if tool in HIDING else None)


@pytest.mark.parametrize("tool", HIDING, ids=ids)
def test_without_unstaged_edits_no_stash_is_in_effect(tool: Tool, guarded: Repositories, tmp_path: Path) -> None:
    checkout = guarded(tool)
    checkout.write("app.txt", "staged\n")
    checkout.ok("add", "app.txt")
    assert seen_by_hook(checkout, tmp_path) is None


# Private environments


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("py_env-python3.11", ".install_state_v1"),
        ("py_env-python3", ".install_state_v2"),
        ("python-zDLj3px5A9Z4", ".prek-hook.json"),
    ],
)
def test_an_environment_that_a_framework_made_is_private(tmp_path: Path, name: str, mark: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / mark).touch()
    assert private_prefix(str(folder)) == str(folder)


@pytest.mark.parametrize("name", ["py_env-mine", "python-3.11", ".venv"])
def test_a_users_own_environment_is_not_private_whatever_its_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "pyvenv.cfg").touch()
    (tmp_path / ".pre-commit-hooks.yaml").touch()
    assert private_prefix(str(folder)) is None


@pytest.mark.parametrize("name", ["pre-commit", "prek"])
def test_try_repo_runs_the_check_in_the_users_environment(name: str, tmp_path: Path) -> None:
    need(named(name))
    if reason := no_index():
        pytest.skip(f"nothing can be installed from the package index: {reason}")
    source = published(tmp_path / "source", tmp_path / "home")
    own = tmp_path / "own"
    (own / "bin").mkdir(parents=True)
    (own / "bin" / "python").write_text("#!/bin/sh\necho the python of the user\n")
    (own / "bin" / "python").chmod(0o755)
    user = Checkout(tmp_path / "user", tmp_path / "home")
    user.path.mkdir()
    user.ok("init", "-q")
    check = "python; echo VIRTUAL_ENV is ${VIRTUAL_ENV-unset}; echo PATH is $PATH"
    user.write(".buildguard.toml", f"check = '{check}'\n")
    user.ok("add", "-A")
    path = f"{own / 'bin'}{os.pathsep}{user.env()['PATH']}"
    done = user.run(
        str(SCRIPTS / name), "try-repo", str(source.path), "buildguard", "--verbose", "--all-files", PATH=path
    )
    assert done.status == 0, done
    assert "passed: python; echo" in done.both
    assert "the python of the user" in done.both
    assert "VIRTUAL_ENV is unset" in done.both
    shown = next(line for line in done.both.splitlines() if "PATH is " in line and "echo" not in line)
    folders = shown.partition("PATH is ")[2].split(os.pathsep)
    assert [folder for folder in folders if "py_env-" in folder or "/hooks/python-" in folder] == []
    assert str(own / "bin") in folders


# Ways out


@pytest.mark.parametrize(
    "variable", [{"SKIP": "buildguard"}, {"BUILDGUARD": "0"}], ids=lambda variable: next(iter(variable))
)
@pytest.mark.parametrize("tool", TOOLS, ids=ids)
def test_what_switches_it_off_is_honoured_and_said(
    tool: Tool, variable: dict[str, str], guarded: Repositories
) -> None:
    checkout = guarded(tool)
    checkout.write("app.txt", "BROKEN\n")
    checkout.ok("add", "app.txt")
    refused = checkout.git("commit", "-m", "x", agent="agent")
    assert refused.status != 0, refused
    done = checkout.git("commit", "-m", "x", agent="agent", **variable)
    assert done.status == 0, done
    said = "Skipped" if "SKIP" in variable and tool.name in ("pre-commit", "prek") else "buildguard: off ("
    assert said in done.both


def test_several_names_in_skip_are_read(guarded: Repositories) -> None:
    checkout = guarded(TOOLS[0])
    checkout.write("app.txt", "BROKEN\n")
    done = checkout.git("commit", "-a", "-m", "x", SKIP="ruff,buildguard", agent="agent")
    assert "buildguard: off (SKIP=buildguard): the check was not run" in done.both


# Stages beside pre-commit


def all_stages(checkout: Checkout, tool: Tool) -> None:
    """Have the tool call us before merges and pushes, too."""
    if tool.name in ("pre-commit", "prek"):
        words = ("install", "-t", "pre-merge-commit", "-t", "pre-push")
        assert checkout.run(str(SCRIPTS / tool.name), *words).status == 0
    for stage in ("pre-merge-commit", "pre-push"):
        for folder in (".git/hooks", ".githooks", ".husky"):
            hook = checkout.path / folder / "pre-commit"
            if hook.exists() and tool.name not in ("pre-commit", "prek", "lefthook"):
                hook.with_name(stage).write_bytes(hook.read_bytes())
                hook.with_name(stage).chmod(0o755)
    # lefthook has hooks for all stages of its file at its first installation.


@pytest.mark.parametrize("tool", TOOLS, ids=ids)
def test_a_push_is_stopped_by_a_red_check_and_passes_with_a_green_one(
    tool: Tool, guarded: Repositories, tmp_path: Path
) -> None:
    checkout = guarded(tool)
    all_stages(checkout, tool)
    bare = Checkout(tmp_path / "bare", checkout.home)
    bare.path.mkdir()
    bare.ok("init", "-q", "--bare")
    checkout.ok("remote", "add", "origin", str(bare.path))
    checkout.write("app.txt", "BROKEN\n")
    checkout.ok("commit", "-q", "--no-verify", "-a", "-m", "broken")
    refused = checkout.git("push", "origin", "main", agent="agent")
    assert refused.status != 0, refused
    assert "claimed: you are the fixer" in refused.both
    assert "next: buildguard run --agent agent\n" in refused.both
    assert bare.git("rev-parse", "--verify", "-q", "main").status != 0
    checkout.write("app.txt", "fine\n")
    assert checkout.git("commit", "-a", "-m", "fix", agent="agent").status == 0
    passed = checkout.git("push", "origin", "main", agent="agent")
    assert passed.status == 0, passed
    assert bare.ok("rev-parse", "main") == checkout.ok("rev-parse", "main")
    # The hooks that `all_stages` copied may lie beside what HEAD holds: then it is not HEAD that passed.
    said = "no breakage known: " if checkout.ok("status", "--porcelain") else "passing: "
    assert said in checkout.buildguard("status", agent="agent").out


@pytest.mark.parametrize("tool", TOOLS, ids=ids)
def test_a_clean_merge_is_checked_by_its_own_hook(tool: Tool, guarded: Repositories) -> None:
    checkout = guarded(tool)
    all_stages(checkout, tool)
    checkout.ok("switch", "-q", "-c", "side")
    checkout.write("app.txt", "BROKEN\n")
    checkout.ok("commit", "-q", "--no-verify", "-a", "-m", "side")
    checkout.ok("switch", "-q", "main")
    checkout.write("other.txt", "main\n")
    checkout.ok("add", "-A")
    checkout.ok("commit", "-q", "--no-verify", "-m", "main")
    before = checkout.ok("rev-parse", "HEAD")
    refused = checkout.git("merge", "--no-edit", "side", agent="agent")
    assert refused.status != 0, refused
    assert "claimed: you are the fixer" in refused.both
    assert checkout.ok("rev-parse", "HEAD") == before
    checkout.write("app.txt", "fine\n")
    checkout.ok("add", "app.txt")
    assert checkout.git("commit", "--no-edit", agent="agent").status == 0
    assert checkout.ok("rev-list", "--count", "--merges", "HEAD") == "1"
    assert "passing: " in checkout.buildguard("status", agent="agent").out
