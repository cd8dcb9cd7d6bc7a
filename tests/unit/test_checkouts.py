"""The names of checkouts."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from testing.support import PROJECT, Checkout

from buildguard.git import checkouts
from buildguard.git.repository import Repository, find_repository


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\nname = T\nemail = t@example.org\n[init]\ndefaultBranch = main\n")
    (tmp_path / "work").mkdir()
    checkout = Checkout(tmp_path / "work", home)
    checkout.ok("init", "-q")
    checkout.ok("commit", "-q", "--allow-empty", "-m", "first")
    return checkout


def here(checkout: Checkout) -> Repository:
    return find_repository(checkout.path, checkout.env())


def name(checkout: Checkout) -> str:
    return checkouts.name_of(here(checkout))


def gone(checkout: Checkout, name: str, shared: bool = False) -> bool:
    return checkouts.gone(here(checkout).common_dir, name, shared)


def test_a_checkout_is_named_after_its_folder_and_keeps_its_name(checkout: Checkout) -> None:
    first = name(checkout)
    assert first.startswith("work-")
    assert len(first) == len("work-") + 12
    assert name(checkout) == first
    assert not gone(checkout, first)
    assert checkouts.git_dir_of(here(checkout).common_dir, first) == here(checkout).git_dir


def test_each_work_tree_has_a_name_of_its_own(checkout: Checkout) -> None:
    linked = checkout.work_tree("linked")
    assert name(linked).startswith("linked-")
    assert name(linked) != name(checkout)
    assert not gone(checkout, name(linked))
    assert checkouts.git_dir_of(here(checkout).common_dir, name(linked)) == here(linked).git_dir


def test_work_trees_of_one_folder_name_in_two_repositories_share_no_name(checkout: Checkout) -> None:
    other = Checkout(checkout.path.parent / "elsewhere" / "work", checkout.home)
    checkout.ok("clone", "-q", ".", str(other.path))
    assert name(other) != name(checkout)
    assert not gone(checkout, name(other))


ENDS = {
    "removed": 'git worktree remove --force "$linked"',
    "deleted": 'rm -r "$linked"',
    "deleted and pruned": 'rm -r "$linked"; git worktree prune',
    "made anew": 'git worktree remove --force "$linked"; git worktree add -q "$linked" linked',
    "made anew under its name elsewhere": (
        'git worktree remove --force "$linked"; mkdir "$linked.d"; git worktree add -q "$linked.d/linked" linked'
    ),
    "made anew after it was deleted": 'rm -r "$linked"; git worktree prune; git worktree add -q "$linked" linked',
}


@pytest.mark.parametrize("script", ENDS.values(), ids=ENDS.keys())
def test_a_removed_work_tree_is_gone_and_leaves_its_name_to_nobody(checkout: Checkout, script: str) -> None:
    linked = checkout.work_tree("linked")
    old = name(linked)
    assert checkout.run("sh", "-ec", script, linked=str(linked.path)).status == 0
    assert gone(checkout, old)
    assert checkouts.git_dir_of(here(checkout).common_dir, old) is None
    assert not gone(checkout, name(checkout))
    for folder in (linked.path, checkout.path.parent / "linked.d" / "linked"):
        if folder.exists():
            new = name(Checkout(folder, checkout.home))
            assert new != old
            assert not gone(checkout, new)
            assert gone(checkout, old)


def test_a_locked_work_tree_may_be_on_a_disk_that_is_not_here(checkout: Checkout) -> None:
    linked = checkout.work_tree("linked")
    old = name(linked)
    checkout.ok("worktree", "lock", str(linked.path))
    linked.path.rename(linked.path.with_name("unplugged"))
    assert not gone(checkout, old)


def test_a_moved_repository_keeps_its_name(checkout: Checkout) -> None:
    old = name(checkout)
    moved = Checkout(checkout.path.with_name("moved"), checkout.home)
    checkout.path.rename(moved.path)
    assert name(moved) == old
    assert not gone(moved, old)


def test_a_moved_work_tree_keeps_its_name(checkout: Checkout) -> None:
    linked = checkout.work_tree("linked")
    old = name(linked)
    moved = Checkout(checkout.path.with_name("moved"), checkout.home)
    checkout.ok("worktree", "move", str(linked.path), str(moved.path))
    assert name(moved) == old
    assert not gone(checkout, old)


def test_a_work_tree_may_be_known_by_a_relative_path(checkout: Checkout) -> None:
    linked = checkout.work_tree("linked")
    old = name(linked)
    (here(linked).git_dir / "gitdir").write_text("../../../../linked/.git\n")
    assert not gone(checkout, old)
    shutil.rmtree(linked.path)
    assert gone(checkout, old)


def test_a_copied_repository_gets_a_name_of_its_own_and_the_copied_one_is_gone_there(checkout: Checkout) -> None:
    old = name(checkout)
    copy = Checkout(checkout.path.with_name("copy"), checkout.home)
    subprocess.run(["cp", "-a", checkout.path, copy.path], check=True)
    assert gone(copy, old)
    assert name(copy) != old
    assert name(checkout) == old
    assert not gone(checkout, old)
    assert gone(copy, old)


def test_in_a_database_that_both_use_the_original_of_a_copy_is_not_gone(checkout: Checkout) -> None:
    old, linked = name(checkout), checkout.work_tree("linked")
    removed = name(linked)
    checkout.ok("worktree", "remove", "--force", str(linked.path))
    copy = Checkout(checkout.path.with_name("copy"), checkout.home)
    subprocess.run(["cp", "-a", checkout.path, copy.path], check=True)
    assert (gone(checkout, removed, shared=True), gone(copy, removed, shared=True)) == (True, False)
    own = name(copy.work_tree("own"))
    copy.ok("worktree", "remove", "--force", str(copy.path.parent / "own"))
    assert (gone(copy, old, shared=True), gone(copy, own, shared=True)) == (False, True)


@pytest.mark.parametrize(
    "text", ["", "work-1\n", "../../x\n{}\n", ".\n{}\n", "a/b\n{}\n", "{}\n", "x" * 5000, "\0"]
)
def test_a_note_that_is_not_ours_is_made_anew(checkout: Checkout, text: str) -> None:
    old = name(checkout)
    note = here(checkout).git_dir / "buildguard" / "checkout"
    note.write_text(text.format(note.stat().st_ino))
    new = name(checkout)
    assert new.startswith("work-")
    assert new != old
    assert name(checkout) == new
    assert gone(checkout, old)


def test_a_link_or_a_pipe_in_the_place_of_the_note_is_replaced(checkout: Checkout, tmp_path: Path) -> None:
    old = name(checkout)
    note = here(checkout).git_dir / "buildguard" / "checkout"
    mine = tmp_path / "mine"
    note.rename(mine)
    note.symlink_to(mine)
    assert name(checkout) != old
    note.unlink()
    os.mkfifo(note)
    assert name(checkout).startswith("work-")
    assert mine.read_text().startswith(old)


@pytest.mark.parametrize(
    "text", ["", "..\n", "worktrees/..\n", "worktrees/\n", "/\n", "worktrees/a/../..\n", "objects/info\n", "\0\n"]
)
def test_only_what_is_registered_soundly_is_gone(checkout: Checkout, text: str) -> None:
    name(checkout)
    entry = here(checkout).common_dir / "buildguard" / "checkouts" / "x-1"
    entry.write_text(text)
    assert not gone(checkout, "x-1")
    assert checkouts.git_dir_of(here(checkout).common_dir, "x-1") is None


@pytest.mark.parametrize("foreign", ["", ".", "..", "../checkout", "unknown-123456789abc", "a\0b", "é", "x" * 300])
def test_what_is_not_registered_is_not_gone(checkout: Checkout, foreign: str) -> None:
    name(checkout)
    assert not gone(checkout, foreign)


@pytest.mark.parametrize(
    ("folder", "begins"), [("-é x", "x-"), (".git", "git-"), ("é", "checkout-"), ("a b", "a-b-")]
)
def test_an_odd_folder_makes_a_plain_name(checkout: Checkout, folder: str, begins: str) -> None:
    moved = Checkout(checkout.path.with_name(folder), checkout.home)
    checkout.path.rename(moved.path)
    assert name(moved).startswith(begins)
    assert name(moved).isascii()


def test_where_nothing_can_be_written_the_name_stays_and_is_never_gone(checkout: Checkout) -> None:
    git_dir = here(checkout).git_dir
    (git_dir / "buildguard").write_text("in the way, for a superuser writes everywhere\n")
    first = name(checkout)
    assert first.startswith("work-")
    assert name(checkout) == first
    assert not gone(checkout, first)
    copy = Checkout(checkout.path.with_name("copy") / "work", checkout.home)
    shutil.copytree(checkout.path, copy.path)
    assert name(copy) != first


def test_what_cannot_be_read_is_not_taken_for_gone(checkout: Checkout) -> None:
    old = name(checkout)
    note = here(checkout).git_dir / "buildguard" / "checkout"
    note.unlink()
    note.symlink_to(note)
    assert not gone(checkout, old)


def test_a_group_that_shares_the_repository_may_write_there(checkout: Checkout) -> None:
    git_dir = here(checkout).git_dir
    git_dir.chmod(0o2775)
    kept = name(checkout)
    for folder in ("buildguard", "buildguard/checkouts"):
        assert (git_dir / folder).stat().st_mode & 0o7777 == 0o2775
    for note in ("buildguard/checkout", f"buildguard/checkouts/{kept}"):
        assert (git_dir / note).stat().st_mode & 0o777 == 0o664


_RACER = """
import pathlib, sys
from buildguard.git import checkouts
from buildguard.git.repository import Repository
git_dir = pathlib.Path(sys.argv[1])
place = Repository(git_dir, git_dir, git_dir.parent, "", "", (), {})
print("ready", flush=True)
sys.stdin.readline()
print(checkouts.name_of(place), flush=True)
"""


def test_those_that_come_at_once_agree_on_one_name(checkout: Checkout) -> None:
    git_dir = here(checkout).git_dir
    for _ in range(5):
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", _RACER, str(git_dir)],
                env=checkout.env(PYTHONPATH=str(PROJECT)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(4)
        ]
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        names = {racer.communicate()[0] for racer in racers}
        assert names == {f"{name(checkout)}\n"}
        (git_dir / "buildguard" / "checkout").write_text("garbage")
