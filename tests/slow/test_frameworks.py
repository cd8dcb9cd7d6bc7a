"""What the hook runners do around us, with the real ones: stashes, private environments, stages, ways out."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from testing import tools
from testing.support import BUILDGUARD, SCRIPTS, Checkout
from testing.tools import Tool, need, repository

from buildguard.agents import hookrunner as frameworks

RUNNERS = [tool for tool in tools.TOOLS if tool.name != "configuration hook"]
FRAMEWORKS = [tool for tool in RUNNERS if tool.name not in ("native hook", "core.hooksPath")]
HIDING = [tool for tool in FRAMEWORKS if tool.name != "husky"]
REPORT = "BUILDGUARD_TEST_REPORT"
PROBE = f"""#!{sys.executable}
import json, os, subprocess, sys
from pathlib import Path
from buildguard.agents import hookrunner as frameworks
from buildguard.agents import processes
git_dir = subprocess.run(["git", "rev-parse", "--absolute-git-dir"], capture_output=True, text=True).stdout.strip()
stash = frameworks.stash(os.environ, Path(git_dir))
seen = {{"runner": frameworks.runner(os.environ, processes.ancestors()), "stash": stash and stash.framework}}
Path(os.environ["{REPORT}"]).write_text(json.dumps(seen))
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
    """What a hook in buildguard's place sees of its runner, in a plain commit."""
    shim = folder / "shims" / "buildguard"
    shim.write_text(PROBE)
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
@pytest.mark.parametrize("tool", RUNNERS, ids=ids)
def test_the_runner_and_its_stash_of_unstaged_edits_are_found(
    tool: Tool, place: str, guarded: Repositories, tmp_path: Path
) -> None:
    checkout = guarded(tool)
    if place == "linked work tree":
        checkout = checkout.work_tree("linked")
        tool.enter(checkout)
    partly_stage(checkout)
    seen = seen_by_hook(checkout, tmp_path)
    known = tool.name if tool in FRAMEWORKS else ""
    assert seen == {"runner": known, "stash": tool.name if tool in HIDING else None}


@pytest.mark.parametrize("tool", HIDING, ids=ids)
def test_without_unstaged_edits_no_stash_is_in_effect(tool: Tool, guarded: Repositories, tmp_path: Path) -> None:
    checkout = guarded(tool)
    checkout.write("app.txt", "staged\n")
    checkout.ok("add", "app.txt")
    assert seen_by_hook(checkout, tmp_path) == {"runner": tool.name, "stash": None}


def patch_of(folder: Path, name: str) -> dict[str, str]:
    """The environment that names the folder, with a patch of that name in it."""
    (folder / "patches").mkdir()
    (folder / "patches" / name if name.endswith(".patch") else folder / name).touch()
    return {"PRE_COMMIT_HOME": str(folder), "PREK_HOME": str(folder)}


@pytest.mark.parametrize(("name", "framework"), [("patch17-{}", "pre-commit"), ("17-{}.patch", "prek")])
def test_a_patch_with_the_pid_of_an_ancestor_is_a_stash(tmp_path: Path, name: str, framework: str) -> None:
    found = frameworks.stash(patch_of(tmp_path, name.format(os.getppid())), tmp_path)
    assert found is not None
    assert found.framework == framework


@pytest.mark.parametrize("name", ["patch17-{}", "17-{}.patch"])
def test_a_patch_of_another_process_is_no_stash(tmp_path: Path, name: str) -> None:
    assert frameworks.stash(patch_of(tmp_path, name.format(os.getpid())), tmp_path) is None


@pytest.mark.parametrize("name", ["patch17-{}", "17-{}.patch"])
def test_a_patch_older_than_the_process_with_its_pid_is_no_stash(tmp_path: Path, name: str) -> None:
    variables = patch_of(tmp_path, name.format(os.getppid()))
    long_ago = time.time() - 10 * 365 * 86400
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        os.utime(path, (long_ago, long_ago))
    assert frameworks.stash(variables, tmp_path) is None


@pytest.mark.parametrize("name", ["patch17-{}x", "xpatch17-{}", "17-{}.patch.old", "patch-{}", "patch17-"])
def test_other_files_beside_the_patches_are_none(tmp_path: Path, name: str) -> None:
    assert frameworks.stash(patch_of(tmp_path, name.format(os.getppid())), tmp_path) is None


def test_what_a_killed_lefthook_left_hides_nothing_any_more(checkout: Checkout) -> None:
    left = checkout.write(".git/info/lefthook-unstaged.patch", "")
    assert left in frameworks.lefthook_patches(checkout.path / ".git")
    assert frameworks.stash({"HOME": str(checkout.home)}, checkout.path / ".git") is None


def test_a_linked_work_tree_has_a_lefthook_patch_of_its_own(checkout: Checkout) -> None:
    linked = checkout.work_tree("linked")
    git_dir = Path(linked.ok("rev-parse", "--absolute-git-dir"))
    info = checkout.path / ".git" / "info"
    assert frameworks.lefthook_patches(git_dir)[0] == info / "lefthook-unstaged.linked.patch"


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
    assert frameworks.private_prefix(str(folder)) == str(folder)


@pytest.mark.parametrize("name", ["py_env-mine", "python-3.11", ".venv"])
def test_a_users_own_environment_is_not_private_whatever_its_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "pyvenv.cfg").touch()
    (tmp_path / ".pre-commit-hooks.yaml").touch()
    assert frameworks.private_prefix(str(folder)) is None


@pytest.mark.parametrize("name", ["pre-commit", "prek"])
def test_try_repo_runs_the_check_in_the_users_environment(name: str, tmp_path: Path) -> None:
    need(tools.named(name))
    if reason := tools.no_index():
        pytest.skip(f"nothing can be installed from the package index: {reason}")
    source = tools.published(tmp_path / "source", tmp_path / "home")
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
@pytest.mark.parametrize("tool", RUNNERS, ids=ids)
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
    checkout = guarded(RUNNERS[0])
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


@pytest.mark.parametrize("tool", RUNNERS, ids=ids)
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
    assert "next: buildguard wait && git push origin main" in refused.both
    assert bare.git("rev-parse", "--verify", "-q", "main").status != 0
    checkout.write("app.txt", "fine\n")
    passed = checkout.git("push", "origin", "main", agent="agent")
    assert passed.status == 0, passed
    assert "fixed: " in passed.both
    assert bare.ok("rev-parse", "main") == checkout.ok("rev-parse", "main")


@pytest.mark.parametrize("tool", RUNNERS, ids=ids)
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
    assert "passing" in checkout.run(BUILDGUARD, "status", agent="agent").out
