"""`buildguard install` and `uninstall`: the hook where git runs it, and everything as it was afterwards."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from testing.doctor import state
from testing.support import BUILDGUARD, PROJECT, SCRIPTS, Checkout, Done, new_repository

from buildguard.setup import hookfile

KEPT = "hooks.before-buildguard"


@pytest.fixture
def bare_of_hooks(tmp_path: Path) -> Checkout:
    """A repository with a check and without any hook."""
    checkout = new_repository(tmp_path / "repository", tmp_path / "home")
    (tmp_path / "repository/.git/hooks/pre-commit").unlink()
    return checkout


def hooks_of(checkout: Checkout) -> Path:
    """The folder of hooks that git itself names."""
    return Path(checkout.ok("rev-parse", "--path-format=absolute", "--git-path", "hooks"))


def guarded(checkout: Checkout) -> bool:
    """Whether a breaking commit is refused by buildguard's own hook in this work tree."""
    checkout.write("app.txt", "BROKEN\n")
    checkout.ok("add", "app.txt")
    done = checkout.git("commit", "-m", "break", agent="probe")
    checkout.ok("reset", "-q", "--hard")
    checkout.buildguard("reset", "--yes")
    return done.status == 1 and "buildguard: failed: " in done.err


def a_hook(checkout: Checkout, text: str, mode: int = 0o755) -> Path:
    """A hook that somebody else has put there."""
    hook = hooks_of(checkout) / "pre-commit"
    hook.parent.mkdir(parents=True, exist_ok=True)
    hook.write_text(text)
    hook.chmod(mode)
    return hook


def refused(done: Done) -> bool:
    """An explained refusal: status 1, and its last line is a command."""
    return done.status == 1 and "refused: " in done.out and done.out.splitlines()[-1].startswith("next: ")


def test_the_shim_for_copying_is_the_file_in_hooks() -> None:
    assert (PROJECT / "hooks" / "pre-commit").read_bytes() == hookfile.PLAIN


def test_the_installed_shim_is_the_one_for_copying_and_the_chain_and_the_fallback() -> None:
    lines, plain = hookfile.installed("/opt/a python").decode().splitlines(), hookfile.PLAIN.decode().splitlines()
    added = [line for line in lines if line not in plain]
    assert [line for line in lines if line not in added] == plain
    assert len(added) == 4
    assert subprocess.run(["sh", "-n"], input="\n".join(lines), text=True).returncode == 0


def test_after_install_a_breaking_commit_is_refused(bare_of_hooks: Checkout) -> None:
    assert not guarded_before(bare_of_hooks)
    done = bare_of_hooks.buildguard("install")
    assert (done.status, "installed the hook" in done.out) == (0, True)
    assert guarded(bare_of_hooks)


def guarded_before(checkout: Checkout) -> bool:
    """Whether anything is run at a commit."""
    return (hooks_of(checkout) / "pre-commit").exists()


def test_a_second_install_says_so_and_changes_nothing(bare_of_hooks: Checkout) -> None:
    bare_of_hooks.buildguard("install")
    before = state(bare_of_hooks.path)
    done = bare_of_hooks.buildguard("install", "--json")
    assert (done.status, json.loads(done.out)["outcome"]) == (0, "unchanged")
    assert "already" in json.loads(done.out)["message"]
    assert state(bare_of_hooks.path) == before


@pytest.mark.parametrize("mode", [0o755, 0o700, 0o644])
def test_uninstall_restores_a_hook_byte_for_byte_and_its_mode(bare_of_hooks: Checkout, mode: int) -> None:
    a_hook(bare_of_hooks, "#!/bin/sh\nexit 0 # no newline at the end", mode)
    before = state(bare_of_hooks.path)
    assert bare_of_hooks.buildguard("install").status == 0
    assert state(bare_of_hooks.path) != before
    assert bare_of_hooks.buildguard("install").status == 0
    done = bare_of_hooks.buildguard("uninstall", "--json")
    assert (done.status, json.loads(done.out)["outcome"]) == (0, "uninstalled")
    assert state(bare_of_hooks.path) == before


def test_uninstall_restores_a_hook_that_was_a_link(bare_of_hooks: Checkout) -> None:
    bare_of_hooks.write("scripts/hook", "#!/bin/sh\ntouch ran\n").chmod(0o755)
    (hooks_of(bare_of_hooks) / "pre-commit").symlink_to("../../scripts/hook")
    before = state(bare_of_hooks.path)
    bare_of_hooks.buildguard("install")
    assert guarded(bare_of_hooks)
    assert (bare_of_hooks.path / "ran").exists()
    (bare_of_hooks.path / "ran").unlink()
    bare_of_hooks.buildguard("uninstall")
    assert state(hooks_of(bare_of_hooks)) == {
        name.removeprefix(".git/hooks/"): kept for name, kept in before.items() if name.startswith(".git/hooks/")
    }


def test_uninstall_without_an_old_hook_leaves_nothing(bare_of_hooks: Checkout) -> None:
    before = state(bare_of_hooks.path)
    bare_of_hooks.buildguard("install")
    done = bare_of_hooks.buildguard("uninstall")
    assert done.status == 0
    assert "kept: settings and history, in " in done.out
    assert state(bare_of_hooks.path) == before
    assert "nothing to uninstall" in bare_of_hooks.buildguard("uninstall").out


def test_the_hook_that_was_there_runs_on_under_a_tool_that_renames_ours(bare_of_hooks: Checkout) -> None:
    hook = a_hook(bare_of_hooks, "#!/bin/sh\ntouch ran\n")
    bare_of_hooks.buildguard("install")
    hook.rename(hook.with_name("pre-commit.legacy"))
    a_hook(bare_of_hooks, '#!/bin/sh\nexec "$0.legacy" "$@"\n')
    assert guarded(bare_of_hooks)
    assert (bare_of_hooks.path / "ran").exists()


@pytest.mark.parametrize(("folder", "mode"), [(0o2775, 0o755), (0o2770, 0o750), (0o700, 0o700), (0o777, 0o755)])
def test_the_hook_is_as_open_as_its_folder_whatever_the_umask(
    bare_of_hooks: Checkout, folder: int, mode: int
) -> None:
    hooks_of(bare_of_hooks).mkdir(exist_ok=True)
    hooks_of(bare_of_hooks).chmod(folder)
    words = shlex.join([BUILDGUARD, "install"])
    assert bare_of_hooks.run("sh", "-c", f"umask 077; exec {words}").status == 0
    assert (hooks_of(bare_of_hooks) / "pre-commit").stat().st_mode & 0o777 == mode


def test_the_hook_that_was_there_runs_first_and_its_failure_ends_the_commit(bare_of_hooks: Checkout) -> None:
    a_hook(bare_of_hooks, "#!/bin/sh\necho the old one >&2\n[ ! -e forbidden ] || exit 7\n")
    bare_of_hooks.buildguard("install")
    assert bare_of_hooks.git("commit", "--allow-empty", "-m", "x").err.startswith("the old one\nbuildguard: passed")
    bare_of_hooks.write("forbidden", "")
    done = bare_of_hooks.git("commit", "--allow-empty", "-m", "y")
    assert (done.status, done.err) == (1, "the old one\n")


def test_a_kept_hook_that_is_not_executable_is_not_run_as_git_did_not_run_it(bare_of_hooks: Checkout) -> None:
    a_hook(bare_of_hooks, "#!/bin/sh\nexit 1\n", 0o644)
    bare_of_hooks.buildguard("install")
    assert bare_of_hooks.git("commit", "--allow-empty", "-m", "x").status == 0


def test_the_hook_that_was_there_gets_its_arguments_and_its_standard_input(bare_of_hooks: Checkout) -> None:
    hook = a_hook(bare_of_hooks, '#!/bin/sh\n{ echo "$1"; cat; } > told\n')
    bare_of_hooks.buildguard("install")
    done = bare_of_hooks.run("sh", "-c", f"echo some input | {shlex.quote(str(hook))} 'an argument'")
    assert (done.status, "buildguard: passed" in done.err) == (0, True)
    assert (bare_of_hooks.path / "told").read_text() == "an argument\nsome input\n"


def test_the_hook_that_was_there_runs_under_its_own_name(bare_of_hooks: Checkout) -> None:
    a_hook(bare_of_hooks, '#!/bin/sh\n[ "$(basename "$0")" = pre-commit ] || exit 64\ntouch ran\n')
    bare_of_hooks.buildguard("install")
    assert bare_of_hooks.git("commit", "--allow-empty", "-m", "x").status == 0
    assert (bare_of_hooks.path / "ran").exists()


def test_a_dispatcher_that_all_hooks_are_links_to_still_runs(bare_of_hooks: Checkout) -> None:
    script = '#!/bin/sh\ncase $(basename "$0") in pre-commit) touch ran;; *) exit 64;; esac\n'
    a_hook(bare_of_hooks, script).rename(hooks_of(bare_of_hooks) / "dispatch")
    (hooks_of(bare_of_hooks) / "pre-commit").symlink_to("dispatch")
    before = state(bare_of_hooks.path)
    bare_of_hooks.buildguard("install")
    assert bare_of_hooks.git("commit", "--allow-empty", "-m", "x").status == 0
    assert (bare_of_hooks.path / "ran").exists()
    assert bare_of_hooks.buildguard("uninstall").status == 0
    assert state(hooks_of(bare_of_hooks)) == {
        name.removeprefix(".git/hooks/"): one for name, one in before.items() if name.startswith(".git/hooks/")
    }
    assert not (bare_of_hooks.path / ".git" / KEPT).exists()


def test_the_hook_that_was_there_finds_its_neighbours_and_what_lies_above(bare_of_hooks: Checkout) -> None:
    hook = a_hook(
        bare_of_hooks, '#!/bin/sh\n. "$(dirname "$0")/common.sh"\ncd "$(dirname "$0")/../.." && touch ran\n'
    )
    hook.with_name("common.sh").write_text("true\n")
    bare_of_hooks.buildguard("install")
    done = bare_of_hooks.git("commit", "--allow-empty", "-m", "x")
    assert (done.status, (bare_of_hooks.path / "ran").exists()) == (0, True), done


def test_what_somebody_puts_beside_the_kept_hook_stays(bare_of_hooks: Checkout) -> None:
    a_hook(bare_of_hooks, "#!/bin/sh\n")
    bare_of_hooks.buildguard("install")
    theirs = bare_of_hooks.write(f".git/{KEPT}/notes", "mine\n")
    assert bare_of_hooks.buildguard("uninstall").status == 0
    assert list(theirs.parent.iterdir()) == [theirs]


def test_a_linked_work_tree_installs_for_all_of_them(bare_of_hooks: Checkout) -> None:
    linked = bare_of_hooks.work_tree("linked")
    linked.buildguard("install")
    assert guarded(linked)
    assert guarded(bare_of_hooks)


def test_a_bare_repository_with_work_trees_gets_the_hook(bare_of_hooks: Checkout) -> None:
    bare = bare_of_hooks.path.parent / "bare.git"
    bare_of_hooks.ok("clone", "-q", "--bare", str(bare_of_hooks.path), str(bare))
    Checkout(bare, bare_of_hooks.home).ok("worktree", "add", "-q", "-b", "side", "../side")
    side = Checkout(bare.parent / "side", bare_of_hooks.home)
    assert side.buildguard("install").status == 0
    assert (bare / "hooks" / "pre-commit").exists()
    assert guarded(side)


def test_a_local_hooks_path_gets_the_hook_and_no_path_of_this_machine(bare_of_hooks: Checkout) -> None:
    bare_of_hooks.ok("config", "core.hooksPath", ".githooks")
    assert bare_of_hooks.buildguard("install").status == 0
    assert sys.prefix not in (bare_of_hooks.path / ".githooks/pre-commit").read_text()
    assert not (bare_of_hooks.path / ".git/hooks/pre-commit").exists()
    assert guarded(bare_of_hooks)


@pytest.mark.parametrize("how", ["global", "local", "link", "global, relative"])
def test_a_hooks_folder_that_others_share_is_not_touched_untold(bare_of_hooks: Checkout, how: str) -> None:
    shared = bare_of_hooks.home / "hooks"
    shared.mkdir()
    if how == "link":
        shutil.rmtree(bare_of_hooks.path / ".git/hooks")
        (bare_of_hooks.path / ".git/hooks").symlink_to(shared)
    elif how == "global, relative":
        bare_of_hooks.ok("config", "--global", "core.hooksPath", ".githooks")
    else:
        bare_of_hooks.ok("config", f"--{how}", "core.hooksPath", str(shared))
    before = state(bare_of_hooks.path)
    assert refused(bare_of_hooks.buildguard("install"))
    assert (list(shared.iterdir()), state(bare_of_hooks.path)) == ([], before)


def test_a_hook_that_others_share_is_left_and_the_setting_ended(bare_of_hooks: Checkout) -> None:
    bare_of_hooks.ok("config", "core.hooksPath", str(PROJECT / "hooks"))
    assert guarded(bare_of_hooks)
    again = bare_of_hooks.buildguard("install", "--check", "! grep -q BROKEN app.txt")
    assert (again.status, "calls buildguard already" in again.out) == (0, True)
    done = bare_of_hooks.buildguard("uninstall")
    assert (refused(done), done.last) == (True, "next: git config --unset core.hooksPath")
    run_next(bare_of_hooks, done)
    assert (PROJECT / "hooks" / "pre-commit").exists()
    assert not guarded_before(bare_of_hooks)


def run_next(checkout: Checkout, done: Done) -> Done:
    """Run the next command as it stands, which must succeed."""
    found = checkout.run("sh", "-c", done.last.removeprefix("next: "))
    assert found.status == 0, found
    return found


@pytest.mark.parametrize("scope", ["local", "worktree", "global"])
@pytest.mark.parametrize("path", ["", "/dev/null", "/dev/null/hooks"])
def test_where_git_can_run_no_hook_file_the_next_line_ends_that_and_installs(
    bare_of_hooks: Checkout, path: str, scope: str
) -> None:
    bare_of_hooks.ok("config", "extensions.worktreeConfig", "true")
    bare_of_hooks.ok("config", f"--{scope}", "core.hooksPath", path)
    done = bare_of_hooks.buildguard("install", "--check", "! grep -q BROKEN app.txt")
    assert (refused(done), f"({scope} configuration)" in done.out) == (True, True)
    run_next(bare_of_hooks, done)
    assert guarded(bare_of_hooks)


def test_a_hooks_path_of_the_environment_is_left_out_by_the_next_line(bare_of_hooks: Checkout) -> None:
    empty = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": ""}
    done = bare_of_hooks.buildguard("install", **empty)
    assert refused(done)
    assert bare_of_hooks.run("sh", "-c", done.last.removeprefix("next: "), **empty).status == 0
    assert guarded(bare_of_hooks)


def test_a_relative_hooks_path_is_said_to_be_committed(bare_of_hooks: Checkout) -> None:
    bare_of_hooks.ok("config", "core.hooksPath", ".githooks")
    a_hook(bare_of_hooks, "#!/bin/sh\n")
    done = bare_of_hooks.buildguard("install")
    hook, folder = bare_of_hooks.path / ".githooks/pre-commit", bare_of_hooks.path / ".githooks.before-buildguard"
    assert f"commit {hook} and {folder}: until then git runs no hook in the other work trees" in done.out
    bare_of_hooks.ok("add", "-A")
    bare_of_hooks.ok("commit", "-qm", "hooks")
    assert "commit" not in bare_of_hooks.buildguard("install").out.replace("pre-commit", "")
    assert guarded(bare_of_hooks.work_tree("linked"))


@pytest.mark.parametrize("name", ["a\nb", "a\n\nbare\nb", "a\u2028b", "a\x85b"])
def test_hooks_in_a_work_tree_whose_name_has_a_line_break_are_the_repository_s(
    bare_of_hooks: Checkout, name: str
) -> None:
    main = Checkout(bare_of_hooks.path.with_name(name), bare_of_hooks.home)
    bare_of_hooks.path.rename(main.path)
    linked = main.work_tree("linked")
    main.ok("config", "core.hooksPath", str(main.path / ".githooks"))
    done = linked.buildguard("install")
    assert (done.status, (main.path / ".githooks/pre-commit").exists()) == (0, True), done
    assert guarded(linked)


CALLS = {
    "exec buildguard hook": True,
    "'/opt/my tools/buildguard' hook": True,
    '"$(which buildguard)" hook || exit 1': True,
    "python -m buildguard run -- make": True,
    "subprocess.run(['buildguard', 'hook'])": True,
    "# here buildguard hook was called": False,
    "echo we use buildguard": False,
    "buildguard status": False,
    "mybuildguard hook": False,
}


@pytest.mark.parametrize("line", CALLS)
def test_a_hook_calls_buildguard_if_one_of_its_commands_does(bare_of_hooks: Checkout, line: str) -> None:
    assert hookfile.calls_us(a_hook(bare_of_hooks, f"#!/bin/sh\ntrue\n{line}\n")) == CALLS[line]


def test_a_submodule_with_hooks_in_its_work_tree_gets_the_hook(bare_of_hooks: Checkout) -> None:
    allowed = ("-c", "protocol.file.allow=always")
    above = new_repository(bare_of_hooks.path.parent / "above", bare_of_hooks.home)
    above.ok(*allowed, "submodule", "add", "-q", str(bare_of_hooks.path), "sub")
    sub = Checkout(above.path / "sub", above.home)
    sub.ok("config", "core.hooksPath", ".githooks")
    assert sub.buildguard("install").status == 0
    assert guarded(sub)


def test_a_hook_that_was_edited_since_is_left_alone_by_both(bare_of_hooks: Checkout) -> None:
    bare_of_hooks.buildguard("install")
    hook = hooks_of(bare_of_hooks) / "pre-commit"
    hook.write_text(hook.read_text() + "# mine\n")
    before = state(bare_of_hooks.path)
    left = bare_of_hooks.buildguard("uninstall")
    assert (left.status, "edited" in left.out, left.last) == (1, True, f"next: cat {shlex.quote(str(hook))}")
    assert "calls buildguard already" in bare_of_hooks.buildguard("install").out
    assert state(bare_of_hooks.path) == before


def test_a_hook_that_calls_buildguard_already_is_not_chained_to_it(checkout: Checkout) -> None:
    before = state(checkout.path)
    done = checkout.buildguard("install", "--json")
    assert (done.status, json.loads(done.out)["outcome"]) == (0, "unchanged")
    assert state(checkout.path) == before


def test_a_hook_that_was_copied_by_hand_is_left_by_uninstall(checkout: Checkout) -> None:
    done = checkout.buildguard("uninstall")
    hook = checkout.path / ".git/hooks/pre-commit"
    assert (done.status, hook.exists(), done.out.splitlines()[-1]) == (
        1,
        True,
        f"next: rm {shlex.quote(str(hook))}",
    )


def test_a_kept_hook_left_over_from_earlier_is_never_overwritten(bare_of_hooks: Checkout) -> None:
    a_hook(bare_of_hooks, "#!/bin/sh\nexit 0\n")
    bare_of_hooks.write(f".git/{KEPT}/pre-commit", "an older one")
    before = state(bare_of_hooks.path)
    assert refused(bare_of_hooks.buildguard("install"))
    assert state(bare_of_hooks.path) == before


def test_a_client_whose_path_lacks_the_environment_falls_back_to_its_python(bare_of_hooks: Checkout) -> None:
    bare_of_hooks.buildguard("install")
    bare_of_hooks.write("buildguard/__init__.py", "raise SystemExit('the wrong one')\n")
    bare_of_hooks.write("app.txt", "BROKEN\n")
    done = bare_of_hooks.git("commit", "-am", "break", PATH=path_without_buildguard(bare_of_hooks))
    assert (done.status, "buildguard: failed: " in done.err) == (1, True)


def test_a_python_that_is_gone_is_an_error_that_says_so(bare_of_hooks: Checkout) -> None:
    hook = a_hook(bare_of_hooks, "")
    hook.write_bytes(hookfile.installed("/no/such place/it's python"))
    done = bare_of_hooks.git("commit", "--allow-empty", "-m", "x", PATH=path_without_buildguard(bare_of_hooks))
    assert (done.status, done.last) == (1, "next: BUILDGUARD=0 git commit")


def path_without_buildguard(checkout: Checkout) -> str:
    """The PATH of a GUI client."""
    kept = checkout.env()["PATH"].split(os.pathsep)
    return os.pathsep.join(part for part in kept if Path(part) != SCRIPTS and not Path(part, "buildguard").exists())


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_outside_a_repository_it_says_so_and_makes_none(bare_of_hooks: Checkout, command: str) -> None:
    outside = Checkout(bare_of_hooks.home, bare_of_hooks.home)
    done = outside.buildguard(command)
    assert (done.status, "not a git repository" in done.out) == (1, True)
    run_next(outside, done)
    assert not (outside.path / ".git").exists()


@pytest.mark.parametrize("kind", ["none", "a file", "a link"])
def test_an_install_that_cannot_write_the_hook_leaves_nothing(bare_of_hooks: Checkout, kind: str) -> None:
    if kind == "a file":
        a_hook(bare_of_hooks, "#!/bin/sh\nexit 0\n")
    elif kind == "a link":
        (hooks_of(bare_of_hooks) / "pre-commit").symlink_to("pre-commit.sample")
    before = state(bare_of_hooks.path)
    done = without_a_draft(bare_of_hooks)
    assert (done.status, "error: " in done.out, done.last.startswith("next: ls ")) == (1, True, True)
    assert state(bare_of_hooks.path) == before
    assert not (bare_of_hooks.path / ".git" / KEPT).exists()
    assert bare_of_hooks.buildguard("install").status == 0


def without_a_draft(checkout: Checkout) -> Done:
    """Install where the name that the new hook is first written under is taken: it bears the process's number."""
    hook = shlex.quote(str(hooks_of(checkout) / "pre-commit"))
    return checkout.run("sh", "-c", f": > {hook}.$$.new; exec '{BUILDGUARD}' install")


def test_an_install_that_cannot_keep_the_hook_leaves_nothing(bare_of_hooks: Checkout) -> None:
    a_hook(bare_of_hooks, "#!/bin/sh\n" + "#\n" * 100_000)
    before = state(bare_of_hooks.path)
    done = bare_of_hooks.run("sh", "-c", f"ulimit -f 64; exec '{BUILDGUARD}' install")
    assert (done.status, "File too large" in done.out) == (1, True)
    assert state(bare_of_hooks.path) == before
    assert not (bare_of_hooks.path / ".git" / KEPT).exists()


def test_an_install_whose_hook_is_refused_leaves_the_settings_alone(bare_of_hooks: Checkout) -> None:
    a_hook(bare_of_hooks, "#!/bin/sh\nexit 0\n")
    bare_of_hooks.write(f".git/{KEPT}/pre-commit", "an older one")
    before = state(bare_of_hooks.path)
    assert refused(bare_of_hooks.buildguard("install", "--check", "true"))
    assert state(bare_of_hooks.path) == before


def test_an_upgrade_that_fails_leaves_the_older_hook(bare_of_hooks: Checkout) -> None:
    a_hook(bare_of_hooks, "#!/bin/sh\ntouch ran\n")
    bare_of_hooks.buildguard("install")
    (hooks_of(bare_of_hooks) / "pre-commit").write_bytes(hookfile.installed("/another/python"))
    before = state(bare_of_hooks.path)
    assert without_a_draft(bare_of_hooks).status == 1
    assert state(bare_of_hooks.path) == before
    assert "installed the hook: " in bare_of_hooks.buildguard("install").out
    assert (guarded(bare_of_hooks), (bare_of_hooks.path / "ran").exists()) == (True, True)


@pytest.mark.parametrize(
    ("file", "text", "check"),
    [
        ("package.json", '{"scripts": {"test": "vitest"}}', "npm test"),
        ("Cargo.toml", "[package]\n", "cargo test"),
        ("go.mod", "module x\n", "go test ./..."),
        ("Makefile", "all:\n\ntest: all\n\ttrue\n", "make test"),
        ("pyproject.toml", "[tool.pytest.ini_options]\n", "pytest -q"),
    ],
)
def test_without_a_check_the_one_that_the_project_seems_to_have_is_offered(
    bare_of_hooks: Checkout, file: str, text: str, check: str
) -> None:
    (bare_of_hooks.path / ".buildguard.toml").unlink()
    bare_of_hooks.write(file, text)
    done = bare_of_hooks.buildguard("install")
    assert (done.status, shlex.split(done.last)) == (0, ["next:", "buildguard", "install", "--check", check])
    assert check in run_next(bare_of_hooks, done).out + (bare_of_hooks.path / ".buildguard.toml").read_text()


def test_without_any_sign_of_a_check_none_is_offered(bare_of_hooks: Checkout) -> None:
    (bare_of_hooks.path / ".buildguard.toml").unlink()
    done = bare_of_hooks.buildguard("install")
    assert (done.status, done.last) == (0, "next: buildguard install --help")
    run_next(bare_of_hooks, done)
