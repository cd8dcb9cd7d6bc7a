"""Commit safety: what git commits is what was checked, or the commit is refused."""

from pathlib import Path

import pytest
from testing.support import Checkout

from buildguard.git import pending, safety
from buildguard.git.index import current
from buildguard.git.repository import Repository, find_repository


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\nname = T\nemail = t@example.org\n[init]\ndefaultBranch = main\n")
    (tmp_path / "work").mkdir()
    checkout = Checkout(tmp_path / "work", home)
    shell(checkout, "git init -q; echo a > a.txt; echo b > b.txt; git add -A; git commit -qm first")
    shell(checkout, "echo x >> a.txt; git add a.txt")
    return checkout


def shell(checkout: Checkout, script: str) -> None:
    done = checkout.run("sh", "-ec", script)
    assert done.status == 0, done


def here(checkout: Checkout, **variables: str) -> Repository:
    return find_repository(checkout.path, checkout.env(GIT_INDEX_FILE=".git/index", **variables))


def harm(checkout: Checkout, script: str) -> safety.Harm | None:
    """The harm that a script does while a commit is checked."""
    place = here(checkout)
    index = current(place)
    assert index is not None
    shell(checkout, script)
    return safety.harm(place, index)


HARMLESS = {
    "nothing": "true",
    "an edit that nobody staged": "echo y >> b.txt; echo z > new",
    "a look": "touch b.txt; git status",
    "what was staged is staged again": "git reset -q; git add a.txt",
    "another branch": "git branch other",
}


@pytest.mark.parametrize("script", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_does_not_change_the_commit_is_no_harm(checkout: Checkout, script: str) -> None:
    assert harm(checkout, script) is None


def test_a_commit_that_stays_as_it_was_costs_no_git_process(checkout: Checkout) -> None:
    trace = checkout.path.with_name("trace")
    place = here(checkout)
    index = current(place)
    assert index is not None
    traced = place._replace(environment={**place.environment, "GIT_TRACE2_EVENT": str(trace)})
    assert safety.harm(traced, index) is None
    assert not trace.exists()
    shell(checkout, "git branch -m renamed")
    assert isinstance(safety.harm(traced, index), safety.Moved)
    assert trace.exists()


MOVES = {
    "a commit of somebody else": ("echo z >> b.txt; git commit -qm x -- b.txt", None),
    "another branch": ("git switch -qc other", ("main", "other")),
    "no branch": ("git switch -q --detach", ("main", "detached HEAD")),
    "no commit any more": ("git update-ref -d HEAD", None),
}


@pytest.mark.parametrize(("script", "told"), MOVES.values(), ids=MOVES.keys())
def test_a_head_that_moved_is_told(checkout: Checkout, script: str, told: tuple[str, str] | None) -> None:
    before = checkout.ok("rev-parse", "--short=7", "HEAD")
    found = harm(checkout, script)
    after = checkout.git("rev-parse", "--short=7", "--verify", "-q", "HEAD").out.strip() or "no commit"
    assert found == safety.Moved(*(told or (before, after)))


def test_before_the_first_commit_a_first_one_of_somebody_else_is_told(checkout: Checkout) -> None:
    shell(checkout, "rm -rf .git; git init -q; git add a.txt")
    assert harm(checkout, "true") is None
    found = harm(checkout, "git commit -qm first")
    assert isinstance(found, safety.Moved)
    assert found.before == "no commit"


def test_what_somebody_else_staged_meanwhile_is_told_with_what_was_staged_before(checkout: Checkout) -> None:
    tree = checkout.ok("write-tree")
    assert harm(checkout, "echo y > '*'; echo z >> b.txt; git add '*' b.txt") == safety.Changed(
        ("*", "b.txt"), ("a.txt",), tree
    )


@pytest.mark.parametrize("kind", ["sha1", "sha256"])
def test_of_a_first_commit_all_was_staged_before(checkout: Checkout, kind: str) -> None:
    shell(checkout, f"rm -rf .git; git init -q --object-format={kind}; git add a.txt")
    found = harm(checkout, "git add b.txt")
    assert isinstance(found, safety.Changed)
    assert (found.foreign, found.staged) == (("b.txt",), ("a.txt",))


def test_during_a_merge_no_paths_are_named(checkout: Checkout) -> None:
    shell(checkout, "git rev-parse HEAD > .git/MERGE_HEAD")
    found = harm(checkout, "git add -A; echo y > new; git add new")
    assert isinstance(found, safety.Changed)
    assert (found.foreign, found.staged) == (("new",), ())


SPLIT = """
touch -d '1 hour ago' *.txt; git update-index --refresh; touch -d '1 minute ago' .git/index
git update-index --split-index
"""
"""Old enough for git to move all entries to the shared part."""

DELETIONS = {"deleted": "rm .git/index", "emptied": "git read-tree --empty"}


@pytest.mark.parametrize("script", DELETIONS.values(), ids=DELETIONS.keys())
@pytest.mark.parametrize("split", [SPLIT, "true"], ids=["split", "whole"])
def test_an_index_without_files_over_a_head_with_files_is_refused(
    checkout: Checkout, script: str, split: str
) -> None:
    shell(checkout, split)
    assert harm(checkout, "true") is None
    assert harm(checkout, script) == safety.Gone(checkout.path / ".git" / "index")


def test_an_empty_index_from_the_start_is_refused_too(checkout: Checkout) -> None:
    shell(checkout, "git read-tree --empty")
    assert isinstance(harm(checkout, "true"), safety.Gone)


def test_an_empty_index_over_a_head_without_files_is_none_of_our_business(checkout: Checkout) -> None:
    shell(checkout, "git rm -q --cached a.txt b.txt; git commit -qm nothing --no-verify; git read-tree --empty")
    assert harm(checkout, "true") is None


def test_an_index_that_was_deleted_before_we_looked_is_no_missing_commit(checkout: Checkout) -> None:
    assert not pending.read(here(checkout)).vanished
    shell(checkout, "rm .git/index")
    found = pending.read(here(checkout))
    assert found.index is None
    assert found.vanished
    without = find_repository(checkout.path, checkout.env())
    assert not pending.read(without).vanished
    assert pending.read(without).index is None


def test_before_the_first_commit_there_need_be_no_index(checkout: Checkout) -> None:
    shell(checkout, "rm -rf .git; git init -q")
    assert not pending.read(here(checkout)).vanished


def test_a_copy_of_the_index_is_gone_after_its_use(checkout: Checkout) -> None:
    index = current(here(checkout))
    assert index is not None
    with index.copy(here(checkout)) as copy:
        assert Path(copy).parent == checkout.path / ".git" / "buildguard"
        assert Path(copy).stat().st_mtime_ns == index.path.stat().st_mtime_ns
        assert Path(copy).stat().st_mode & 0o777 == 0o600
        Path(f"{copy}.lock").touch()
    assert list((checkout.path / ".git" / "buildguard").iterdir()) == []
    assert index.tree(here(checkout)) == checkout.ok("write-tree")
    (checkout.path / ".git" / "buildguard").rmdir()
    (checkout.path / ".git" / "buildguard").touch()
    assert index.tree(here(checkout)) == ""


@pytest.mark.parametrize(
    ("path", "inside", "expected"),
    [
        ("a b.py", False, "a b.py"),
        ("a.py", True, ":/a.py"),
        ("a[1].py", False, ":(top,literal)a[1].py"),
        ("*", True, ":(top,literal)*"),
        ("a?", False, ":(top,literal)a?"),
        ("a\\b", False, ":(top,literal)a\\b"),
        (":a", False, ":(top,literal):a"),
    ],
)
def test_a_path_is_named_so_that_git_takes_just_this_one(path: str, inside: bool, expected: str) -> None:
    assert safety.pathspec(path, inside) == expected
