"""HEAD read as files says what git says, or nothing."""

from pathlib import Path

import pytest
from testing.support import Checkout

from buildguard.git.heads import head_and_branch
from buildguard.git.repository import find_repository


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


def read(checkout: Checkout) -> tuple[str, str]:
    place = find_repository(checkout.path, checkout.env())
    return head_and_branch(place.git_dir, place.common_dir)


PLACES = {
    "on a branch": "true",
    "on a packed branch": "git pack-refs --all",
    "on a branch that was packed and moved on": "git pack-refs --all; git commit -q --allow-empty -m 2",
    "on a packed branch with a longer one beside it": "git branch main-2 && git branch a/main; git pack-refs --all",
    "on a branch with folders": "git switch -qc a/b/c",
    "on a branch in another script": "git switch -qc 'zweig/ü\u2028'",
    "on a packed branch in another script": "git switch -qc 'zweig/ü\u2028'; git pack-refs --all",
    "detached": "git switch -q --detach",
    "in a bisection": "git commit -q --allow-empty -m 2; git bisect start -q HEAD HEAD~1 >/dev/null",
    "in a rebase": "git commit -q --allow-empty -m 2; ! git rebase -q -x false HEAD~1 2>/dev/null",
}


@pytest.mark.parametrize("linked", [False, True], ids=["main", "linked"])
@pytest.mark.parametrize("script", PLACES.values(), ids=PLACES.keys())
def test_it_says_what_git_says(checkout: Checkout, script: str, linked: bool) -> None:
    if linked:
        checkout = checkout.work_tree("linked")
    assert checkout.run("sh", "-ec", script).status == 0
    place = find_repository(checkout.path, checkout.env())
    assert read(checkout) == (place.head, place.branch)


def test_a_branch_that_points_to_another_is_followed(checkout: Checkout) -> None:
    checkout.ok("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    checkout.ok("symbolic-ref", "HEAD", "refs/heads/alias")
    assert read(checkout) == (checkout.ok("rev-parse", "HEAD"), "refs/heads/main")


UNTOLD = {
    "before the first commit": "git switch -q --orphan new",
    "with refs that are not files": "echo 'ref: refs/heads/.invalid' > .git/HEAD",
    "with a loop": "git symbolic-ref HEAD refs/heads/a; git symbolic-ref refs/heads/a refs/heads/a",
    "with a name from outside": "git rev-parse HEAD > x; echo 'ref: refs/../../x' > .git/HEAD",
    "with a name that is no ref": "git rev-parse HEAD > .git/x; echo 'ref: x' > .git/HEAD",
    "with garbage": "echo garbage > .git/HEAD",
    "with a garbled branch": "echo garbage > .git/refs/heads/main",
    "with a folder": "rm .git/HEAD; mkdir .git/HEAD",
    "with nothing": "rm .git/HEAD",
    "with a link": "mv .git/HEAD .git/h; ln -s h .git/HEAD",
    "with far too much": "head -c 9999 /dev/zero > .git/HEAD",
}


@pytest.mark.parametrize("script", UNTOLD.values(), ids=UNTOLD.keys())
def test_it_says_nothing_where_it_cannot_tell(checkout: Checkout, script: str) -> None:
    assert checkout.run("sh", "-ec", script).status == 0
    assert head_and_branch(checkout.path / ".git", checkout.path / ".git") == ("", "")
