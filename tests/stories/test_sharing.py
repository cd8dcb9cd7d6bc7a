"""Two agents ask for the same check on the same files in one checkout: it runs once. Real processes throughout."""

import os
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from testing.support import BUILDGUARD, Checkout, Following, eventually, lives, new_repository

CHECK = """\
echo $$ >> "$RUNS"
echo begun
while [ ! -e "$RUNS.go" ]; do sleep 0.02; done
echo done
! grep -q BROKEN app.txt
"""


class Shared:
    """A repository whose check notes its process, and ends when the test lets it."""

    def __init__(self, folder: Path) -> None:
        self.runs = folder / "runs"
        self.checkout = new_repository(folder / "repository", folder / "home", "sh check.sh", RUNS=str(self.runs))
        self.checkout.write("check.sh", CHECK)
        self.checkout.ok("add", "-A")
        self.checkout.ok("commit", "-q", "--no-verify", "-m", "check")
        self.started: list[Following] = []

    def run(self, agent: str, *words: str, **more: str) -> Following:
        """An agent runs the check."""
        return self.run_in(self.checkout, agent, *words, **more)

    def run_in(self, place: Checkout, agent: str, *words: str, **more: str) -> Following:
        """The same in another work tree."""
        self.started.append(Following(place.start("setsid", BUILDGUARD, "run", *words, agent=agent, **more)))
        return self.started[-1]

    def begun(self, times: int = 1) -> list[int]:
        """Wait until the check began so often; its processes."""
        eventually(lambda: len(self.checks()) >= times, f"the check runs {times} times")
        return self.checks()

    def checks(self) -> list[int]:
        """The processes of all checks that began."""
        return [int(line) for line in self.runs.read_text().split()] if self.runs.exists() else []

    def go(self) -> None:
        """Let all checks end."""
        Path(f"{self.runs}.go").touch()

    def folders(self) -> list[Path]:
        """The folders of the runs."""
        room = self.checkout.path / ".git" / "buildguard" / "runs" / str(os.getuid())
        return [path for path in room.iterdir() if path.is_dir()] if room.exists() else []

    def runner(self) -> psutil.Process:
        """The process that runs the check."""
        return psutil.Process(os.getsid(self.checks()[-1]))


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Shared]:
    place = Shared(tmp_path)
    yield place
    place.go()
    for following in place.started:
        following.ends()


def joined(shared: Shared, *words: str) -> tuple[Following, Following]:
    """Two agents, the second of which has joined the run of the first."""
    ann = shared.run("ann", *words)
    ann.says("begun")
    bob = shared.run("bob", *words)
    bob.says("begun")
    return ann, bob


def test_who_asks_for_the_same_check_on_the_same_files_looks_on(shared: Shared) -> None:
    ann, bob = joined(shared)
    assert "joined: this check runs here on these files, for " in bob.text
    assert ", by ann\n" in bob.text
    shared.go()
    for done in (ann.ends(), bob.ends()):
        assert done.status == 0
        assert done.out.startswith("begun\ndone\n")
        assert "passed: sh check.sh (" in done.out
    assert len(shared.checks()) == 1


def test_a_failure_is_everybodys_and_elects_one(shared: Shared) -> None:
    shared.checkout.write("app.txt", "BROKEN\n")
    ann, bob = joined(shared)
    shared.go()
    assert sorted(following.ends().status for following in (ann, bob)) == [1, 75]
    assert len(shared.checks()) == 1


def test_both_streams_stay_apart(shared: Shared) -> None:
    shared.checkout.write("check.sh", CHECK + "echo to stderr >&2\n")
    ann, bob = joined(shared)
    shared.go()
    for done in (ann.ends(), bob.ends()):
        assert "to stderr\n" in done.err
        assert "to stderr" not in done.out


@pytest.mark.parametrize(
    "differs",
    [
        lambda shared: {"PATH": shared.checkout.env()["PATH"] + ":/nowhere"},
        lambda shared: {"PYTHONPATH": "/nowhere"},
        lambda shared: {"BUILDGUARD_CHECK": "sh check.sh # another"},
        lambda shared: {"BUILDGUARD_FRESH": "1"},
        lambda shared: {
            "PATH": str(shared.checkout.write("app.txt", "edited\n")) and shared.checkout.env()["PATH"]
        },
    ],
    ids=["another PATH", "another Python path", "another check", "fresh", "another file"],
)
def test_what_is_not_the_same_is_never_shared(shared: Shared, differs: Callable[[Shared], dict[str, str]]) -> None:
    shared.run("ann").says("begun")
    bob = shared.run("bob", **differs(shared))
    shared.begun(2)
    shared.go()
    assert "joined" not in bob.ends().both


def test_two_work_trees_never_share(shared: Shared) -> None:
    shared.run("ann").says("begun")
    bob = shared.run_in(shared.checkout.work_tree("other"), "bob")
    shared.begun(2)
    shared.go()
    assert "joined" not in bob.ends().both


def test_a_killed_beginner_leaves_the_run_to_the_others(shared: Shared) -> None:
    ann, bob = joined(shared)
    os.killpg(ann.process.pid, signal.SIGKILL)
    ann.ends()
    shared.go()
    assert bob.ends().status == 0
    assert len(shared.checks()) == 1


def test_an_interrupted_joiner_leaves_the_run_to_the_others(shared: Shared) -> None:
    ann, bob = joined(shared)
    os.killpg(bob.process.pid, signal.SIGINT)
    assert bob.ends().status == 130
    shared.go()
    assert ann.ends().status == 0
    assert len(shared.checks()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_run_ends_with_its_last_onlooker(shared: Shared, number: int) -> None:
    ann, bob = joined(shared)
    check = shared.checks()[0]
    for following in (ann, bob):
        os.killpg(following.process.pid, number)
        following.ends()
    eventually(lambda: not lives(check), "the check has ended")


def test_a_ctrl_c_reaches_the_check_as_such(shared: Shared) -> None:
    shared.checkout.write("check.sh", "trap 'echo interrupted by hand; exit 130' INT\n" + CHECK)
    ann = shared.run("ann")
    ann.says("begun")
    os.killpg(ann.process.pid, signal.SIGINT)
    done = ann.ends()
    assert done.status == 130
    assert "interrupted by hand\n" in done.out


def test_a_killed_runner_leaves_no_check_and_nobody_without_an_answer(shared: Shared) -> None:
    ann, bob = joined(shared)
    check = shared.checks()[0]
    shared.runner().kill()
    shared.begun(2)
    eventually(lambda: not lives(check), "the check of the killed runner has ended")
    shared.go()
    assert [following.ends().status for following in (ann, bob)] == [0, 0]


def test_a_run_during_which_a_file_changed_is_a_joiners_verdict_only_after_one_more(shared: Shared) -> None:
    ann, bob = joined(shared)
    shared.checkout.write("app.txt", "edited\n")
    shared.go()
    assert ann.ends().status == 0
    assert bob.ends().status == 0
    assert len(shared.checks()) == 2


def test_what_the_check_writes_keeps_nobody_from_joining(shared: Shared) -> None:
    shared.checkout.write("check.sh", "echo x >> coverage\n" + CHECK)
    shared.go()
    shared.run("ann").ends()
    Path(f"{shared.runs}.go").unlink()
    shared.run("ann").says("begun")
    bob = shared.run("bob")
    bob.says("joined")
    shared.go()
    assert bob.ends().status == 0
    assert len(shared.checks()) == 2


def test_a_check_that_asks_for_itself_past_our_variables_does_not_wait_for_itself(tmp_path: Path) -> None:
    inner = "env -u BUILDGUARD_ACTIVE INNER=1 buildguard run --check-timeout 100"
    check = f'[ -n "$INNER" ] || {inner}'
    checkout = new_repository(tmp_path / "repository", tmp_path / "home", check)
    done = checkout.buildguard("run", "--check-timeout", "100", agent="ann")
    assert done.status == 0, done
    assert "joined" not in done.both


# Reuse


def committed(shared: Shared, agent: str, *words: str, **more: str) -> str:
    done = shared.checkout.git("commit", "--allow-empty", "-m", agent, *words, agent=agent, **more)
    assert done.status == 0, done
    return done.err


def test_a_hook_takes_a_pass_on_the_very_same_files(shared: Shared) -> None:
    shared.go()
    committed(shared, "ann")
    said = committed(shared, "bob")
    assert "passed: sh check.sh (these very files, " in said
    assert " ago, by ann; BUILDGUARD_FRESH=1 runs it)" in said
    assert len(shared.checks()) == 1


def test_buildguard_commit_does_and_says_how_to_run_it_all_the_same(shared: Shared) -> None:
    shared.go()
    committed(shared, "ann")
    done = shared.checkout.buildguard("commit", "--allow-empty", "-m", "x", agent="bob")
    assert " ago, by ann; --fresh runs it)" in done.err
    assert len(shared.checks()) == 1
    done = shared.checkout.buildguard("commit", "--fresh", "--allow-empty", "-m", "x", agent="bob")
    assert done.status == 0
    assert len(shared.checks()) == 2


def test_run_never_reuses(shared: Shared) -> None:
    shared.go()
    committed(shared, "ann")
    assert shared.run("bob").ends().status == 0
    assert len(shared.checks()) == 2


@pytest.mark.parametrize("more", [{"BUILDGUARD_REUSE": "0"}, {"BUILDGUARD_FRESH": "1"}])
def test_reuse_can_be_off(shared: Shared, more: dict[str, str]) -> None:
    shared.go()
    committed(shared, "ann")
    committed(shared, "bob", **more)
    assert len(shared.checks()) == 2


def test_no_pass_is_reused_after_a_failure_of_that_check(shared: Shared) -> None:
    shared.go()
    committed(shared, "ann")
    shared.checkout.write("app.txt", "BROKEN\n")
    assert shared.run("ann").ends().status == 1
    shared.checkout.write("app.txt", "fine\n")
    committed(shared, "ann")
    assert len(shared.checks()) == 3


def test_no_failure_is_reused(shared: Shared) -> None:
    shared.go()
    shared.checkout.write("app.txt", "BROKEN\n")
    for _ in range(2):
        assert shared.checkout.git("commit", "-am", "x", agent="ann").status == 1
    assert len(shared.checks()) == 2


def test_a_pass_during_which_a_file_changed_is_not_reused(shared: Shared) -> None:
    ann = shared.run("ann")
    ann.says("begun")
    shared.checkout.write("app.txt", "edited\n")
    shared.go()
    ann.ends()
    shared.checkout.write("app.txt", "fine\n")
    committed(shared, "bob")
    assert len(shared.checks()) == 2


# Outlive: a coding agent's shell stops a command before its check has ended

IN_A_SHELL = {"CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": "s", "BASH_DEFAULT_TIMEOUT_MS": "4000"}


@pytest.mark.parametrize("verdict", ["fine", "BROKEN"])
def test_a_command_ends_before_its_shell_stops_it_and_the_next_call_takes_the_verdict(
    shared: Shared, verdict: str
) -> None:
    shared.checkout.write("app.txt", f"{verdict}\n")
    told = shared.run("ann", **IN_A_SHELL).ends()
    assert told.status == 75, told
    assert "still running after " in told.out
    assert told.out.rstrip().endswith("next: buildguard run --agent ann")
    (check,) = shared.checks()
    assert lives(check)
    bob = shared.run("bob", **IN_A_SHELL)
    bob.says("joined")
    shared.go()
    assert bob.ends().status == (verdict == "BROKEN")
    ann = shared.run("ann", **IN_A_SHELL).ends()
    assert ann.status == (75 if verdict == "BROKEN" else 0)
    assert "done\n" in ann.out
    assert len(shared.checks()) == 1


def test_a_commit_that_takes_paths_does_too(shared: Shared) -> None:
    shared.checkout.write("app.txt", "new\n")
    commit = ("commit", "-qm", "new", "--", "app.txt")
    told = shared.checkout.git(*commit, agent="ann", **IN_A_SHELL)
    assert told.status == 1
    assert told.err.rstrip().endswith("next: buildguard commit --agent ann -qm new -- app.txt"), told
    shared.go()
    eventually((shared.folders()[0] / "result").exists, "the run has ended without onlookers")
    done = shared.checkout.git(*commit, agent="ann", **IN_A_SHELL)
    assert done.status == 0, done
    assert len(shared.checks()) == 1


def test_buildguard_commit_says_how_to_go_on(shared: Shared) -> None:
    told = shared.checkout.buildguard("commit", "--allow-empty", "-m", "x", agent="ann", **IN_A_SHELL)
    assert told.status == 75, told
    assert told.both.count("next: ") == 1
    assert told.last == "next: buildguard commit --agent ann --allow-empty -m x"
    shared.go()
    done = shared.checkout.run("sh", "-c", told.last.removeprefix("next: "), **IN_A_SHELL)
    assert done.status == 0, done
    assert len(shared.checks()) == 1


def test_in_ci_no_run_goes_on_without_onlookers(shared: Shared) -> None:
    ann = shared.run("ann", CI="1", **{**IN_A_SHELL, "BASH_DEFAULT_TIMEOUT_MS": "1"})
    ann.says("begun")
    shared.go()
    assert ann.ends().status == 0


# Slots: a bound for the whole machine, set by its user


def bound(shared: Shared, number: int) -> dict[str, str]:
    config = shared.checkout.home / ".config" / "buildguard"
    config.mkdir(parents=True)
    (config / "config.toml").write_text(f"slots = {number}\n")
    return {"TMPDIR": str(shared.checkout.path.parent)}


def test_no_more_checks_run_at_once_than_there_are_slots_and_a_dead_holder_frees_its_own(shared: Shared) -> None:
    more = bound(shared, 1)
    ann = shared.run("ann", **more)
    ann.says("begun")
    other = shared.checkout.work_tree("other")
    bob = shared.run_in(other, "bob", **more)
    bob.says("waiting for a slot: 1 checks run on this machine")
    assert len(shared.checks()) == 1
    os.killpg(ann.process.pid, signal.SIGKILL)
    shared.begun(2)
    shared.go()
    assert bob.ends().status == 0


def test_who_can_join_needs_no_slot(shared: Shared) -> None:
    more = bound(shared, 1)
    shared.run("ann", **more).says("begun")
    bob = shared.run("bob", **more)
    bob.says("joined")
    shared.go()
    assert bob.ends().status == 0


def test_buildguard_commit_takes_its_slot_before_it_starts_git(shared: Shared) -> None:
    more = bound(shared, 1)
    ann = shared.run("ann", **more)
    ann.says("begun")
    other = shared.checkout.work_tree("other")
    bob = Following(other.start(BUILDGUARD, "commit", "--allow-empty", "-m", "x", agent="bob", **more))
    bob.says("waiting for a slot")
    assert not Path(other.ok("rev-parse", "--git-path", "index.lock")).exists()
    shared.go()
    assert bob.ends().status == 0
    assert len(shared.checks()) == 2


def test_a_hook_whose_commit_holds_the_index_lock_does_not_wait_for_a_slot(shared: Shared) -> None:
    more = bound(shared, 1)
    shared.run("ann", **more).says("begun")
    other = shared.checkout.work_tree("other")
    other.write("app.txt", "new\n")
    bob = Following(other.start("git", "commit", "-qam", "x", agent="bob", **more))
    shared.begun(2)
    shared.go()
    assert bob.ends().status == 0


def test_a_repository_cannot_set_the_slots(shared: Shared) -> None:
    shared.checkout.write(".buildguard.toml", 'check = "true"\nslots = 1\n')
    done = shared.run("ann").ends()
    assert done.status == 2
    assert ".buildguard.toml: slots is each user's own: write it to ~/.config/buildguard/config.toml" in done.err


def test_a_folder_for_slots_that_is_somebody_elses_bounds_nothing(shared: Shared) -> None:
    more = bound(shared, 1)
    (shared.checkout.path.parent / f"buildguard-{os.getuid()}").symlink_to("/")
    shared.run("ann", **more).says("begun")
    bob = shared.run_in(shared.checkout.work_tree("other"), "bob", **more)
    shared.begun(2)
    shared.go()
    assert bob.ends().status == 0


# Faults: the check simply runs


def closed(shared: Shared, room: Path) -> None:
    room.parent.mkdir(parents=True, exist_ok=True)
    room.write_text("a file in the place of our folder")


def linked(shared: Shared, room: Path) -> None:
    room.parent.mkdir(parents=True, exist_ok=True)
    (shared.checkout.path.parent / "foreign").mkdir()
    room.symlink_to(shared.checkout.path.parent / "foreign")


def open_to_others(shared: Shared, room: Path) -> None:
    room.mkdir(parents=True)
    room.chmod(0o777)


@pytest.mark.parametrize("fault", [closed, linked, open_to_others])
def test_where_there_is_no_room_the_check_runs_for_each(
    shared: Shared, fault: Callable[[Shared, Path], None]
) -> None:
    fault(shared, shared.checkout.path / ".git" / "buildguard" / "runs" / str(os.getuid()))
    ann = shared.run("ann")
    bob = shared.run("bob")
    shared.begun(2)
    shared.go()
    assert [following.ends().status for following in (ann, bob)] == [0, 0]
    assert list((shared.checkout.path.parent).glob("foreign/*")) == []


def test_garbage_in_the_place_of_a_run_disturbs_nobody(shared: Shared) -> None:
    ann = shared.run("ann")
    ann.says("begun")
    (folder,) = shared.folders()
    shared.go()
    ann.ends()
    for name in ("result", "log", "watch"):
        (folder / name).write_bytes(b"\xff garbage\0")
    committed(shared, "bob")
    assert len(shared.checks()) == 2


def test_what_a_run_leaves_is_for_its_user_only(shared: Shared) -> None:
    shared.go()
    shared.run("ann").ends()
    (folder,) = shared.folders()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_at_most_twenty_runs_are_kept_and_none_for_more_than_ten_minutes(shared: Shared) -> None:
    shared.go()
    for number in range(25):
        shared.checkout.write("app.txt", f"{number}\n")
        shared.run("ann").ends()
    assert len(shared.folders()) == 21
    for folder in shared.folders():
        os.utime(folder, (0, 0))
    shared.run("ann", "--fresh").ends()
    assert len(shared.folders()) == 1


def test_a_full_disk_under_the_log_costs_nobody_the_verdict(tmp_path: Path) -> None:
    check = "i=0; while [ $i -lt 4000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done"
    checkout = new_repository(tmp_path / "repository", tmp_path / "home", check)
    # No file of this process may become larger, in blocks of 512 or 1,024 bytes; the output is 160 KiB.
    limited = f'ulimit -f 128; exec "{BUILDGUARD}" run'
    done = checkout.run("sh", "-c", limited, agent="ann")
    assert done.status == 0, done.err
    assert done.out.count("0123456789012345678901234567890123456789\n") >= 4000
    assert "passed: " in done.out


def test_a_pass_is_not_reused_while_git_overlooks_edits(checkout: Checkout) -> None:
    for name in ("one", "two"):
        checkout.write(f"{name}.txt", name)
    checkout.ok("add", "one.txt", "two.txt")
    checkout.ok("commit", "-qm", "one", agent="ann")
    checkout.ok("update-index", "--assume-unchanged", "app.txt")
    assert checkout.git("commit", "--allow-empty", "-m", "two", agent="ann").status == 0
    again = checkout.git("commit", "--allow-empty", "-m", "three", agent="bob")
    assert (again.status, "these very files" in again.err) == (0, False), again
    checkout.ok("update-index", "--no-assume-unchanged", "app.txt")
    last = checkout.git("commit", "--allow-empty", "-m", "four", agent="bob")
    assert (last.status, "these very files" in last.err) == (0, True), last
