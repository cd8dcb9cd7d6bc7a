"""Which hook runner hides unstaged edits right now: patches as the runners name them, made by real processes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from buildguard.agents.hookrunner import hiding, private_prefix

ROOT = Path(__file__).parents[2]

# What a runner does: it hides edits, then starts its hook, which asks.
RUNNER = """
import subprocess, sys
from pathlib import Path
_, patch, ask = sys.argv
if patch:
    Path(patch).parent.mkdir(parents=True, exist_ok=True)
    Path(patch).write_text("")
subprocess.run([sys.executable, "-c", ask])
"""

ASK = """
import json, sys
from pathlib import Path
from buildguard.agents.hookrunner import hiding
found = hiding({{}}, Path({git_dir!r}))
print(json.dumps(found))
"""


def patch_of(folder: Path, name: str) -> dict[str, str]:
    """The environment that names the folder, with a patch of that name in it."""
    (folder / "patches").mkdir()
    (folder / "patches" / name if name.endswith(".patch") else folder / name).touch()
    return {"PRE_COMMIT_HOME": str(folder), "PREK_HOME": str(folder)}


def seen_below(program: Path, git_dir: Path, patch: Path | None) -> object:
    """What a hook sees whose runner is the program and has just hidden edits in the patch."""
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(RUNNER)
    command = [sys.executable, str(program), str(patch or ""), ASK.format(git_dir=str(git_dir))]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture
def git_dir(tmp_path: Path) -> Path:
    folder = tmp_path / ".git"
    (folder / "info").mkdir(parents=True)
    return folder


@pytest.fixture
def linked_git_dir(git_dir: Path) -> Path:
    """That of a linked work tree, as git makes it."""
    folder = git_dir / "worktrees" / "linked"
    folder.mkdir(parents=True)
    (folder / "commondir").write_text("../..\n")
    return folder


@pytest.mark.parametrize(("name", "framework"), [("patch17-{}", "pre-commit"), ("17-{}.patch", "prek")])
def test_a_patch_with_the_pid_of_an_ancestor_is_a_stash(tmp_path: Path, name: str, framework: str) -> None:
    assert hiding(patch_of(tmp_path, name.format(os.getppid())), tmp_path) == framework


@pytest.mark.parametrize("name", ["patch17-{}", "17-{}.patch"])
def test_a_patch_of_another_process_is_no_stash(tmp_path: Path, name: str) -> None:
    assert hiding(patch_of(tmp_path, name.format(os.getpid())), tmp_path) is None


@pytest.mark.parametrize("name", ["patch17-{}", "17-{}.patch"])
def test_a_patch_older_than_the_process_with_its_pid_is_no_stash(tmp_path: Path, name: str) -> None:
    variables = patch_of(tmp_path, name.format(os.getppid()))
    long_ago = time.time() - 10 * 365 * 86400
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        os.utime(path, (long_ago, long_ago))
    assert hiding(variables, tmp_path) is None


@pytest.mark.parametrize("name", ["patch17-{}x", "xpatch17-{}", "17-{}.patch.old", "patch-{}", "patch17-"])
def test_other_files_beside_the_patches_are_none(tmp_path: Path, name: str) -> None:
    assert hiding(patch_of(tmp_path, name.format(os.getppid())), tmp_path) is None


@pytest.mark.parametrize("script", ["node_modules/.bin/lint-staged", "node_modules/lint-staged/bin/lint-staged.js"])
@pytest.mark.parametrize("name", ["lint-staged_unstaged.patch", "lint-staged/1a2b3c/unstaged.patch"])
def test_lint_staged_above_us_hides_what_its_patch_holds(
    tmp_path: Path, git_dir: Path, script: str, name: str
) -> None:
    patch = git_dir / name
    assert seen_below(tmp_path / script, git_dir, patch) == "lint-staged"


def test_lint_staged_without_partly_staged_files_hides_nothing(tmp_path: Path, git_dir: Path) -> None:
    assert seen_below(tmp_path / "lint-staged", git_dir, None) is None


def test_the_patch_of_an_earlier_lint_staged_hides_nothing(tmp_path: Path, git_dir: Path) -> None:
    patch = git_dir / "lint-staged_unstaged.patch"
    patch.touch()
    os.utime(patch, (time.time() - 60, time.time() - 60))
    assert seen_below(tmp_path / "lint-staged", git_dir, None) is None


def test_lint_staged_in_a_linked_work_tree_hides_nothing_of_another(
    tmp_path: Path, git_dir: Path, linked_git_dir: Path
) -> None:
    patch = linked_git_dir / "lint-staged_unstaged.patch"
    assert seen_below(tmp_path / "lint-staged", linked_git_dir, patch) == "lint-staged"
    assert seen_below(tmp_path / "lint-staged", git_dir, patch) is None


def test_lefthook_above_us_hides_what_its_patch_holds(tmp_path: Path, git_dir: Path) -> None:
    patch = git_dir / "info" / "lefthook-unstaged.patch"
    assert seen_below(tmp_path / "lefthook", git_dir, patch) == "lefthook"


@pytest.mark.parametrize("name", ["lefthook-unstaged.linked.patch", "lefthook-unstaged.patch"])
def test_lefthook_keeps_the_patch_of_a_linked_work_tree_where_all_share_it(
    tmp_path: Path, git_dir: Path, linked_git_dir: Path, name: str
) -> None:
    patch = git_dir / "info" / name
    assert seen_below(tmp_path / "lefthook", linked_git_dir, patch) == "lefthook"


@pytest.mark.parametrize("ref", ["refs/hk/stash/1a2b3c", "refs/stash"])
def test_hk_above_us_hides_what_it_has_stashed(
    tmp_path: Path, git_dir: Path, linked_git_dir: Path, ref: str
) -> None:
    assert seen_below(tmp_path / "hk", git_dir, None) is None
    assert seen_below(tmp_path / "hk", linked_git_dir, git_dir / ref) == "hk"


@pytest.mark.parametrize("name", ["info/lefthook-unstaged.patch", "lint-staged_unstaged.patch", "refs/stash"])
def test_what_a_killed_runner_left_hides_nothing_any_more(git_dir: Path, name: str) -> None:
    (git_dir / name).parent.mkdir(exist_ok=True)
    (git_dir / name).touch()
    assert hiding({}, git_dir) is None


def test_only_an_environment_that_a_framework_made_is_private(tmp_path: Path) -> None:
    assert private_prefix(str(tmp_path)) is None
    (tmp_path / ".install_state_v2").touch()
    assert private_prefix(str(tmp_path)) == str(tmp_path)
