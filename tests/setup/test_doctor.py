"""`buildguard doctor`: each finding provoked for real, with its mending command, and nothing changed by it."""

import json
import os
import shlex
import shutil
import sqlite3
from pathlib import Path

import pytest
from testing.doctor import AGENT, findings
from testing.support import BUILDGUARD, SCRIPTS, Checkout
from testing.tools import documented, named, need, node_modules


def with_git(checkout: Checkout, version: str) -> Checkout:
    """The same checkout with a git that calls itself another version, and is the real one in all else."""
    folder = checkout.home / "bin"
    folder.mkdir(exist_ok=True)
    real = shlex.quote(str(shutil.which("git")))
    script = f'#!/bin/sh\n[ "$1" = --version ] && echo "git version {version}" && exit 0\nexec {real} "$@"\n'
    (folder / "git").write_text(script)
    (folder / "git").chmod(0o755)
    return Checkout(checkout.path, checkout.home, {"PATH": f"{folder}{os.pathsep}{checkout.env()['PATH']}"})


def test_each_finding_is_a_line_with_its_command_and_the_first_is_next(checkout: Checkout) -> None:
    (checkout.path / ".git/hooks/pre-commit").unlink()
    (checkout.path / ".buildguard.toml").unlink()
    done = checkout.buildguard("doctor", agent=AGENT, SKIP="buildguard")
    assert (done.status, done.out.splitlines()) == (
        1,
        [
            f"buildguard: hook: no hook is installed: git looks for {checkout.path / '.git/hooks/pre-commit'}; "
            "mend it with: buildguard install",
            "buildguard: check: no check is set: the hook has nothing to run; "
            "mend it with: buildguard install --help",
            "buildguard: note: off: SKIP=buildguard: buildguard is switched off in this environment",
            "next: buildguard install",
        ],
    )


def mended(checkout: Checkout, name: str, **variables: str) -> bool:
    """Whether the finding stands in the way, and is gone when the command that mends it was run."""
    finding = findings(checkout, **variables)[name]
    assert finding["weight"] == "in the way"
    done = checkout.run("sh", "-c", finding["next"], **variables)
    assert done.status == 0, done
    return name not in findings(checkout, **variables)


def test_a_healthy_repository_is_well(checkout: Checkout) -> None:
    done = checkout.buildguard("doctor", agent=AGENT)
    assert (done.status, done.out) == (
        0,
        "buildguard: all is well: git runs the hook here; the check is ! grep -q BROKEN app.txt; you are tester\n",
    )
    assert findings(checkout) == {}


def test_a_linked_work_tree_of_a_healthy_repository_is_well(checkout: Checkout) -> None:
    assert findings(checkout.work_tree("linked")) == {}


def test_a_database_in_use_stays_as_it_is(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent=AGENT)
    assert findings(checkout) == {}


def test_no_hook_is_found_and_mended(checkout: Checkout) -> None:
    (checkout.path / ".git/hooks/pre-commit").unlink()
    assert mended(checkout, "hook")


def test_a_hook_that_is_not_executable_is_found_and_mended(checkout: Checkout) -> None:
    (checkout.path / ".git/hooks/pre-commit").chmod(0o644)
    assert "not executable" in findings(checkout)["hook"]["what"]
    assert mended(checkout, "hook")


def test_a_hook_that_does_not_call_buildguard_is_found_and_mended(checkout: Checkout) -> None:
    (checkout.path / ".git/hooks/pre-commit").write_text("#!/bin/sh\nexit 0\n")
    assert "does not call buildguard" in findings(checkout)["hook"]["what"]
    assert mended(checkout, "hook")


@pytest.mark.parametrize("path", ["", "/dev/null", ".git/config/hooks"])
@pytest.mark.parametrize("scope", ["local", "global"])
def test_a_hooks_path_that_is_no_folder_is_found_and_mended(checkout: Checkout, path: str, scope: str) -> None:
    checkout.ok("config", f"--{scope}", "core.hooksPath", path)
    assert f"({scope} configuration): git runs no hook file here" in findings(checkout)["hook"]["what"]
    assert mended(checkout, "hook")


def test_a_hooks_path_of_the_environment_is_found_and_commit_does_without(checkout: Checkout) -> None:
    variables = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": ""}
    finding = findings(checkout, **variables)["hook"]
    assert ("set empty (command" in finding["what"], finding["next"]) == (True, "buildguard commit")


def test_a_folder_of_hooks_that_others_share_is_told_as_install_tells_it(checkout: Checkout) -> None:
    shared = checkout.home / "hooks"
    shared.mkdir()
    checkout.ok("config", "--global", "core.hooksPath", str(shared))
    finding = findings(checkout)["hook"]
    refused = checkout.buildguard("install")
    assert f"refused: {finding['what']}\nnext: {finding['next']}\n" in refused.out
    assert checkout.run("sh", "-c", finding["next"]).status == 0


def test_a_relative_hooks_path_that_is_missing_in_this_work_tree_is_found(checkout: Checkout) -> None:
    linked = checkout.work_tree("linked")
    checkout.ok("config", "core.hooksPath", ".githooks")
    checkout.buildguard("install")
    note = findings(checkout)["uncommitted"]
    assert (note["weight"], "other work trees" in note["what"]) == ("note", True)
    assert checkout.run("sh", "-c", note["next"]).status == 0
    checkout.ok("commit", "-qm", "hook")
    assert findings(checkout) == {}
    finding = findings(linked)["hook"]
    assert f"no folder {linked.path / '.githooks'}" in finding["what"]
    assert mended(linked, "hook")


def test_husky_in_a_fresh_work_tree_is_found(checkout: Checkout) -> None:
    need(named("husky"))
    checkout.write(".husky/pre-commit", "buildguard hook\n")
    checkout.write("package.json", '{"scripts": {"prepare": "husky"}}\n')
    checkout.ok("add", "-A")
    checkout.ok("commit", "-qm", "husky")
    assert checkout.run("node", str(node_modules() / "husky" / "bin.js")).status == 0
    assert "hook" not in findings(checkout)
    linked = checkout.work_tree("linked")
    finding = findings(linked)["hook"]
    assert ("there is no folder" in finding["what"], finding["next"]) == (True, "npm install")
    assert linked.run("node", str(node_modules() / "husky" / "bin.js")).status == 0
    assert "hook" not in findings(linked)


def test_a_hook_in_the_git_dir_of_a_linked_work_tree_never_runs_and_is_found(checkout: Checkout) -> None:
    linked = checkout.work_tree("linked")
    stray = checkout.path / ".git/worktrees/linked/hooks/pre-commit"
    stray.parent.mkdir()
    (checkout.path / ".git/hooks/pre-commit").rename(stray)
    found = findings(linked)
    assert (found["stray"]["weight"], str(stray) in found["stray"]["what"]) == ("note", True)
    assert found["hook"]["next"] == "buildguard install"


@pytest.mark.parametrize("tool", ["pre-commit", "prek"])
def test_a_runner_that_hides_edits_is_a_note(checkout: Checkout, tool: str) -> None:
    need(named(tool))
    (checkout.path / ".git/hooks/pre-commit").unlink()
    block = json.loads(checkout_with_config(checkout).buildguard("install", "--json").out)["block"]
    checkout.write(".pre-commit-config.yaml", f"repos:\n{block}")
    assert findings(checkout)["hook"]["next"] == "pre-commit install"
    assert checkout.run(str(SCRIPTS / tool), "install").status == 0
    note = findings(checkout)["stash"]
    assert (note["weight"], note["next"]) == ("note", "buildguard commit")


def checkout_with_config(checkout: Checkout) -> Checkout:
    checkout.write(".pre-commit-config.yaml", "repos: []\n")
    return checkout


@pytest.mark.parametrize(
    ("file", "runner", "ours"),
    [
        ("lefthook.yml", "lefthook", "pre-commit:\n  jobs:\n    - run: buildguard hook -- make\n"),
        (".config/hk.pkl", "hk", documented("entry: hk.pkl")),
    ],
)
def test_a_runner_whose_file_does_not_name_us_is_found(
    checkout: Checkout, file: str, runner: str, ours: str
) -> None:
    checkout.write(file, "")
    (checkout.path / ".git/hooks/pre-commit").write_text(f"#!/bin/sh\n{runner} run pre-commit\n")
    assert f"{file} does not call buildguard" in findings(checkout)["hook"]["what"]
    checkout.write(file, ours)
    assert findings(checkout).keys() == {"stash"}


def test_a_bare_setting_by_accident_is_found_and_mended(checkout: Checkout) -> None:
    checkout.ok("config", "core.bare", "true")
    assert findings(checkout)["core.bare"]["what"].startswith("core.bare is true")
    assert mended(checkout, "core.bare")


def test_a_bare_repository_with_work_trees_is_none_by_accident(checkout: Checkout) -> None:
    bare = checkout.path.parent / "project" / ".git"
    checkout.ok("clone", "-q", "--bare", str(checkout.path), str(bare))
    Checkout(bare, checkout.home).ok("worktree", "add", "-q", "-b", "side", "../side")
    side = Checkout(bare.parent / "side", checkout.home)
    side.buildguard("install")
    assert findings(side) == {}


def test_no_check_is_found_and_mended(checkout: Checkout) -> None:
    (checkout.path / ".buildguard.toml").unlink()
    checkout.write("go.mod", "module x\n")
    assert findings(checkout)["check"]["next"] == "buildguard install --check 'go test ./...'"
    assert mended(checkout, "check")


def test_a_hook_that_may_name_its_own_check_makes_that_a_note(checkout: Checkout) -> None:
    (checkout.path / ".buildguard.toml").unlink()
    (checkout.path / ".git/hooks/pre-commit").write_text("#!/bin/sh\nexec buildguard hook -- true\n")
    assert findings(checkout)["check"]["weight"] == "note"


def test_a_database_that_is_none_is_found_and_mended(checkout: Checkout) -> None:
    path = checkout.path / ".git/buildguard/state.db"
    path.parent.mkdir()
    path.write_bytes(b"not a database at all" * 100)
    assert "is not a database" in findings(checkout)["database"]["what"]
    assert mended(checkout, "database")


def test_a_database_of_a_newer_buildguard_is_found(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent=AGENT)
    db = sqlite3.connect(checkout.path / ".git/buildguard/state.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    assert "another buildguard" in findings(checkout)["database"]["what"]


def test_a_folder_that_cannot_be_written_is_found(checkout: Checkout) -> None:
    folder = checkout.path / ".git/buildguard"
    folder.mkdir()
    folder.chmod(0o555)
    if os.access(folder, os.W_OK):
        pytest.skip("root may write to any folder")
    assert str(folder) in findings(checkout)["database"]["what"]


def test_a_folder_on_a_read_only_file_system_is_found(checkout: Checkout) -> None:
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    folder = checkout.path / ".git/buildguard"
    folder.mkdir()
    path = shlex.quote(str(folder))
    mount = f"mount -t tmpfs none {path} && mount -o remount,ro {path} && exec "
    if checkout.run(*unshare, mount + "true").status != 0:
        pytest.skip("no mount namespaces to be had here")
    done = checkout.run(*unshare, mount + f"'{BUILDGUARD}' doctor", agent=AGENT)
    assert (done.status, "database: " in done.out, str(folder) in done.out) == (1, True, True)
    setting = f'sandbox_workspace_write.writable_roots = ["{checkout.path / ".git"}"]'
    under_codex = checkout.run(*unshare, mount + f"'{BUILDGUARD}' doctor", agent=AGENT, CODEX_CI="1")
    assert (setting in done.out, setting in under_codex.out) == (False, True)


def test_nobody_to_be_identified_is_found(checkout: Checkout) -> None:
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "sh", "-c"]
    if checkout.run(*unshare, "true").status != 0:
        pytest.skip("no pid namespaces to be had here")
    done = checkout.run(*unshare, f"'{BUILDGUARD}' doctor; exit $?")
    assert (done.status, "identity: no process above this one" in done.out) == (1, True)
    assert done.out.splitlines()[-1].startswith("next: buildguard status --agent ")


@pytest.mark.parametrize(("agent", "expected"), [("CLAUDECODE", "100"), ("CURSOR_AGENT", "10")])
def test_a_wait_longer_than_the_shell_lasts_is_found_and_mended(
    checkout: Checkout, agent: str, expected: str
) -> None:
    finding = findings(checkout, **{agent: "1"})["wait"]
    assert finding["next"] == f"export BUILDGUARD_WAIT={expected}"
    assert findings(checkout, **{agent: "1", "BUILDGUARD_WAIT": expected}) == {}


def test_a_git_that_is_too_old_is_found(checkout: Checkout) -> None:
    finding = findings(with_git(checkout, "2.30.9"))["git"]
    assert "git 2.30.9 is too old" in finding["what"]


def test_outside_a_repository_is_found(checkout: Checkout) -> None:
    outside = Checkout(checkout.home, checkout.home)
    finding = findings(outside)["git"]
    assert "not a git repository" in finding["what"]
    assert outside.run("sh", "-c", finding["next"]).status == 0
    assert not (outside.path / ".git").exists()


def test_being_switched_off_is_a_note(checkout: Checkout) -> None:
    assert findings(checkout, SKIP="buildguard")["off"]["weight"] == "note"


@pytest.mark.parametrize("check", ["no-such-program -q", "./no-such-script"])
def test_a_check_whose_program_is_not_there_is_found(checkout: Checkout, check: str) -> None:
    checkout.write(".buildguard.toml", f'check = "{check}"\n')
    assert (
        f"{check.split(maxsplit=1)[0]}, which the check runs, is not there" in findings(checkout)["program"]["what"]
    )


@pytest.mark.parametrize("check", ["cd . && true", "! false", "A=b true", "(true)", "sh -c true", "./there"])
def test_of_a_check_whose_program_is_there_or_not_known_nothing_is_said(checkout: Checkout, check: str) -> None:
    checkout.write("there", "")
    checkout.write(".buildguard.toml", f'check = "{check}"\n')
    assert "program" not in findings(checkout)


def test_the_line_for_a_buildguard_that_is_not_on_path_puts_it_there(checkout: Checkout, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("git", "sh", "mkdir", "ln", "grep"):
        (programs / name).symlink_to(shutil.which(name) or "")
    done = checkout.buildguard("doctor", PATH=str(programs))
    assert done.status == 1, done
    assert "buildguard is not on PATH" in done.out
    assert checkout.run("sh", "-c", done.last.removeprefix("next: "), PATH=str(programs)).status == 0
    mended = f"{programs}{os.pathsep}{checkout.home}/.local/bin"
    assert "not on PATH" not in checkout.buildguard("doctor", PATH=mended).out
    assert checkout.run("sh", "-c", "buildguard status", PATH=mended).status == 0
