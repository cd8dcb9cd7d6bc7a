"""`buildguard cherry-pick`: a fix becomes a commit of this branch, and nobody else's work here is touched."""

import os
from pathlib import Path

import pytest
from support import Checkout, Following, ended, eventually, new_repository

FIX = "Mend the café"


@pytest.fixture
def here(tmp_path: Path) -> Checkout:
    """A work tree without the fix, in which bob has something staged; the main one has it. Its check waits for the
    gate, if there is one."""
    main = new_repository(tmp_path / "repository", tmp_path / "home", "test ! -p ../gate || cat ../gate")
    main.write("app.txt", "".join(f"line {number}\n" for number in range(20)))
    main.write("new and [odd] näme.txt", "old\n")
    main.ok("add", "-A")
    main.ok("commit", "-qm", "base")
    other = main.work_tree("other")
    fixed(main, "app.txt", main.path.joinpath("app.txt").read_text().replace("line 9\n", "line nine\n"))
    other.write("bob.txt", "bob's\n")
    other.ok("add", "bob.txt")
    return other


def fixed(checkout: Checkout, name: str, text: str) -> None:
    checkout.path.joinpath(name).write_bytes(text.encode())
    checkout.ok("add", "-A")
    checkout.ok("commit", "-qm", FIX, "--author", "Ann <ann@example.org>")


def test_the_fix_is_a_commit_and_what_others_staged_stays_staged(here: Checkout) -> None:
    fix = here.ok("rev-parse", "main")
    here.write("unrelated.txt", "nobody's\n")
    done = here.buildguard("cherry-pick", fix[:12], agent="bob")
    assert done.status == 0, done
    assert done.out == (
        f"buildguard: picked: {fix[:12]} is {here.ok('rev-parse', 'HEAD')[:12]} on this branch; commit again\n"
    )
    assert here.ok("log", "-1", "--format=%an %s") == f"Ann {FIX}"
    assert here.ok("show", "--name-only", "--format=", "HEAD") == "app.txt"
    assert here.ok("status", "--porcelain") == "A  bob.txt\n?? unrelated.txt"
    assert "line nine" in (here.path / "app.txt").read_text()


def test_one_that_is_there_already_is_fine(here: Checkout) -> None:
    assert here.buildguard("cherry-pick", "main", agent="bob").status == 0
    head = here.ok("rev-parse", "HEAD")
    done = here.buildguard("cherry-pick", "main", agent="bob")
    assert (done.status, "already here" in done.out) == (0, True)
    assert here.ok("rev-parse", "HEAD") == head


def test_lines_that_have_moved_are_found(here: Checkout) -> None:
    here.write("app.txt", "a\nb\nc\n" + (here.path / "app.txt").read_text())
    here.ok("commit", "-q", "--no-verify", "-m", "moved", "--", "app.txt")
    done = here.buildguard("cherry-pick", "main", agent="bob")
    assert done.status == 0, done
    assert (here.path / "app.txt").read_text().startswith("a\nb\nc\nline 0\n")
    assert "line nine" in (here.path / "app.txt").read_text()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("new and [odd] näme.txt", "newer\n"),
        ("dos.txt", "one\r\ntwo\r\n"),
        ("binary", "\0\1\2" * 500 + "\n\n\n"),
        ("no-newline.txt", "the end"),
        ("deep/er/file.txt", "deep\n"),
        (":(top)magic", "magic\n"),
    ],
)
def test_whatever_its_file_is_like(here: Checkout, name: str, text: str) -> None:
    main = Checkout(here.path.parent / "repository", here.home)
    main.write(name, "")
    fixed(main, name, text)
    done = here.buildguard("cherry-pick", "main", agent="bob")
    assert done.status == 0, done
    assert (here.path / name).read_bytes() == text.encode()
    assert here.ok("status", "--porcelain") == "A  bob.txt"


def test_a_deleted_file_goes(here: Checkout) -> None:
    main = Checkout(here.path.parent / "repository", here.home)
    main.ok("rm", "-q", "app.txt")
    main.ok("commit", "-qm", "remove")
    assert here.buildguard("cherry-pick", "main^", agent="bob").status == 0
    assert here.buildguard("cherry-pick", "main", agent="bob").status == 0
    assert not (here.path / "app.txt").exists()


def test_a_conflict_changes_nothing(here: Checkout) -> None:
    here.write("app.txt", (here.path / "app.txt").read_text().replace("line 9\n", "line IX\n"))
    here.ok("commit", "-q", "--no-verify", "-m", "another way", "--", "app.txt")
    before = here.ok("rev-parse", "HEAD"), (here.path / "app.txt").read_text()
    done = here.buildguard("cherry-pick", "main", agent="bob")
    fix = here.ok("rev-parse", "main")[:12]
    assert done.status == 1
    assert f"not picked: {fix} does not go in cleanly here; nothing was changed" in done.out
    assert done.last == f"next: git show {fix}"
    assert (here.ok("rev-parse", "HEAD"), (here.path / "app.txt").read_text()) == before
    assert here.ok("status", "--porcelain") == "A  bob.txt"


@pytest.mark.parametrize("staged", [False, True])
def test_what_somebody_is_changing_in_the_same_file_is_not_lost(here: Checkout, staged: bool) -> None:
    here.write("app.txt", (here.path / "app.txt").read_text() + "carol's\n")
    if staged:
        here.ok("add", "app.txt")
    before = here.ok("status", "--porcelain")
    done = here.buildguard("cherry-pick", "main", agent="bob")
    assert done.status == 1
    assert "somebody is changing app.txt here" in done.out
    assert (here.path / "app.txt").read_text().endswith("carol's\n")
    assert here.ok("status", "--porcelain") == before


def test_an_untracked_file_in_the_way_is_not_lost(here: Checkout) -> None:
    fixed(Checkout(here.path.parent / "repository", here.home), "helper.txt", "the fix's\n")
    here.write("helper.txt", "carol's\n")
    done = here.buildguard("cherry-pick", "main", agent="bob")
    assert done.status == 1
    assert "helper.txt" in done.out
    assert (here.path / "helper.txt").read_text() == "carol's\n"


def test_a_merge_that_is_under_way_comes_first(here: Checkout) -> None:
    here.ok("commit", "-q", "--no-verify", "-m", "bob")
    here.ok("merge", "-q", "--no-commit", "--no-ff", "main")
    done = here.buildguard("cherry-pick", "main", agent="bob")
    assert (done.status, "MERGE_HEAD" in done.out) == (1, True)


def test_what_an_earlier_try_left_staged_is_committed(here: Checkout) -> None:
    here.ok("checkout", "main", "--", "app.txt")
    done = here.buildguard("cherry-pick", "main", agent="bob")
    assert done.status == 0, done
    assert here.ok("show", "--name-only", "--format=", "HEAD") == "app.txt"
    assert here.ok("status", "--porcelain") == "A  bob.txt"


def holding_the_lock(here: Checkout) -> Following:
    """A commit of somebody else in this work tree, whose check waits for the gate."""
    os.mkfifo(here.path.parent / "gate")
    commit = Following(here.start("git", "commit", "-qm", "carol", "--", "bob.txt", agent="carol"))
    lock = Path(here.ok("rev-parse", "--path-format=absolute", "--git-dir")) / "index.lock"
    eventually(lock.exists, "the commit holds the lock")
    return commit


def test_it_waits_for_another_commit_to_let_go_of_the_index(here: Checkout) -> None:
    commit = holding_the_lock(here)
    pick = Following(here.start("buildguard", "cherry-pick", "main", agent="bob"))
    pick.says("waiting: another git command holds this work tree's index lock")
    (here.path.parent / "gate").write_text("go\n")
    assert commit.ends().status == 0
    done = pick.ends()
    assert done.status == 0, done
    assert here.ok("log", "--format=%s", "main^..") == f"{FIX}\ncarol"


def test_time_that_runs_out_leaves_the_lock_alone(here: Checkout) -> None:
    commit = holding_the_lock(here)
    done = here.buildguard("cherry-pick", "--timeout", "0.1s", "main", agent="bob")
    assert done.status == 75
    assert done.out == (
        "buildguard: not picked: another git command still holds this work tree's index lock\n"
        f"next: buildguard cherry-pick {here.ok('rev-parse', 'main')[:12]}\n"
    )
    (here.path.parent / "gate").write_text("go\n")
    assert commit.ends().status == 0


def test_many_at_once_make_one_commit(here: Checkout) -> None:
    at_once = [here.start("buildguard", "cherry-pick", "main", agent=f"agent{number}") for number in range(6)]
    ends = [ended(process) for process in at_once]
    assert [done.status for done in ends] == [0] * 6, ends
    assert here.ok("log", "--format=%s", "main^..") == FIX
    assert here.ok("status", "--porcelain") == "A  bob.txt"


@pytest.mark.parametrize("name", ["nothing-of-that-name", "--help-me", "HEAD:app.txt"])
def test_a_name_that_is_no_commit_is_a_clear_error(here: Checkout, name: str) -> None:
    done = here.buildguard("cherry-pick", "--", name, agent="bob")
    assert done.status == 2
    assert f"there is no commit '{name}' here" in done.err
    assert done.err.count("\n") == 2


def test_without_a_work_tree_it_says_so(tmp_path: Path) -> None:
    nowhere = Checkout(tmp_path, tmp_path)
    assert nowhere.buildguard("cherry-pick", "main").status == 69
    nowhere.ok("init", "-q", "--bare", "bare")
    done = Checkout(tmp_path / "bare", tmp_path).buildguard("cherry-pick", "main")
    assert (done.status, "bare repository" in done.both) == (69, True)
