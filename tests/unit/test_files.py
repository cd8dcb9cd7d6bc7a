"""The files of a run: one tree id for what git would commit if everything were added."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from testing.support import PROJECT, Checkout

from buildguard.claims.model import Content
from buildguard.git import files
from buildguard.git.repository import Repository, find_repository

LONG = 60.0
"""Seconds: a slow machine is no reason why files are not known."""

ADD_ALL = ("-c", "core.safecrlf=false", "add", "-A", "--sparse")

BEGIN = """
git init -q && git config core.autocrlf false
mkdir -p folder/deep && echo a > a.txt && echo b > b.txt && echo '#!/bin/sh' > run.sh && chmod +x run.sh
ln -s a.txt link && echo one > folder/one && echo two > folder/deep/two && echo 'ignored' > .gitignore
git add -A && git commit -qm first
"""

SITUATIONS = {
    "clean": "",
    "an edit": "echo x >> a.txt",
    "an edit of the same size": "echo c > a.txt",
    "an edit of the same second": "echo x > new && git add new && git commit -qm new && echo y > new",
    "a staged edit": "echo x >> a.txt; git add a.txt",
    "an edit of a staged edit": "echo x >> a.txt; git add a.txt; echo y >> a.txt",
    "a staged edit taken back": "echo x > a.txt; git add a.txt; echo a > a.txt",
    "an untracked file": "echo x > new",
    "an untracked folder": "mkdir -p new/deep; echo x > new/deep/file; echo y > new/other",
    "a staged new file": "echo x > new; git add new",
    "a staged new file that is gone": "echo x > new; git add new; rm new",
    "an ignored file": "echo x > ignored",
    "an ignored file that is tracked": "echo x > ignored; git add -f ignored; git commit -qm x; echo y > ignored",
    "a deletion": "rm a.txt",
    "a staged deletion": "git rm -q a.txt",
    "a staged deletion of what is still there": "git rm -q --cached a.txt",
    "a deleted folder": "rm -r folder",
    "everything deleted": "git rm -qr .; rm -f .gitignore",
    "a rename": "git mv a.txt c.txt",
    "a rename that is not staged": "mv a.txt c.txt",
    "a mode": "chmod +x a.txt; chmod -x run.sh",
    "a mode where modes are not kept": "git config core.fileMode false; chmod +x a.txt; echo x >> run.sh",
    "a file that became a link": "rm a.txt; ln -s b.txt a.txt",
    "a link that became a file": "rm link; echo x > link",
    "a link to nowhere": "ln -sfn nowhere link; ln -s /nowhere/at/all other",
    "a link to a folder": "ln -s folder tofolder",
    "a file that became a folder": "rm a.txt; mkdir a.txt; echo x > a.txt/inside",
    "a folder that became a file": "rm -r folder; echo x > folder",
    "a line break in a name": "echo x > 'a\nb'; git add -A; echo y > 'a\nb'; echo z > 'c\td'",
    "names that look like options": "echo x > ./-x; echo y > ./--; git add -A; echo z > ./-x; echo x > ./--help",
    "names that look like pathspecs": "echo x > ':(top)a'; echo y > '*'; git add -A; echo z > '*'; echo x > '['",
    "a name that is no UTF-8": "echo x > \"$(printf 'n\\377')\"; git add -A; echo y > \"$(printf 'n\\377')\"",
    "a blank and quotes in a name": "echo x > 'a \"b\" c '; echo y > ' d'",
    "an intent to add": "echo x > new; git add -N new",
    "an intent to add of what is gone": "echo x > new; git add -N new; rm new",
    "an unmerged file": """
        git checkout -qb side; echo side > a.txt; git commit -qam side; git checkout -q main; echo main > a.txt
        git commit -qam main; ! git merge -q side""",
    "an unmerged file that is gone": """
        git checkout -qb side; echo side > a.txt; git commit -qam side; git checkout -q main; git rm -q a.txt
        git commit -qm main; ! git merge -q side; rm a.txt""",
    "a split index": "git update-index --split-index; echo x >> a.txt; git add a.txt; echo y > new; rm b.txt",
    "a fourth version of the index": "git update-index --index-version 4; echo x >> a.txt; echo y > new",
    "an untracked cache": "git update-index --force-untracked-cache; git status -s; echo x > new; echo y >> a.txt",
    "a sparse checkout": "git sparse-checkout set --no-cone /a.txt /.gitignore; echo x >> a.txt; echo y > new.txt",
    "a file in the place of a folder that is not checked out": """
        git sparse-checkout set --no-cone /a.txt /.gitignore; rm -rf folder; echo x > folder""",
    "a sparse index": "git sparse-checkout set --cone --sparse-index folder; echo x >> folder/one; rm a.txt",
    "a clean filter": """
        git config filter.up.clean 'tr a-z A-Z'; git config filter.up.smudge 'tr A-Z a-z'
        echo '*.up filter=up' > .gitattributes; echo x > new.up; git add -A; echo y >> new.up; echo z > other.up""",
    "line ends": """
        echo '*.txt text eol=crlf' > .gitattributes; printf 'a\\r\\nb\\r\\n' > a.txt; printf 'x\\r\\n' > new.txt
        git config core.safecrlf true""",
    "what was not normalised": "printf 'a\\r\\n' > a.txt; git commit -qam 2; git config core.autocrlf input; :> n",
    "an encoding": "echo '*.u working-tree-encoding=UTF-16LE' > .gitattributes; printf 'x\\0\\n\\0' > new.u",
    "an identity": "echo '* ident' > .gitattributes; echo '$Id: 12 $' > a.txt; echo '$Id$' > new",
    "an empty file": ": > new; : > a.txt",
    "an empty folder": "mkdir -p empty/deep",
    "a large file": "head -c 3000000 /dev/zero > new; git config core.bigFileThreshold 1m",
    "detached": "git checkout -q --detach; echo x > new",
    "a submodule at another commit": """
        git init -q sub; git -C sub commit -q --allow-empty -m 1; git add sub 2>/dev/null; git commit -qm sub
        git -C sub commit -q --allow-empty -m 2; echo x >> a.txt""",
    "a submodule that is not checked out": """
        git init -q sub; git -C sub commit -q --allow-empty -m 1; git add sub 2>/dev/null; git commit -qm sub
        rm -rf sub; mkdir sub; echo x >> a.txt""",
    "a submodule that is gone": """
        git init -q sub; git -C sub commit -q --allow-empty -m 1; git add sub 2>/dev/null; git commit -qm sub
        rm -rf sub""",
    "settings that change what git prints": """
        for one in status.short status.branch status.showStash status.relativePaths diff.noprefix core.quotePath; do
        git config $one true; done; git config status.showUntrackedFiles no; git config diff.ignoreSubmodules all
        git config status.renames copies; echo s >> b.txt; git stash -q; cp a.txt new; git mv link l""",
    "a name in German": "echo x > Übung; git add -A; echo y > Übung",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\nname = T\nemail = t@example.org\n[init]\ndefaultBranch = main\n")
    (tmp_path / "repository").mkdir()
    checkout = Checkout(tmp_path / "repository", home)
    shell(checkout, BEGIN)
    return checkout


def shell(checkout: Checkout, script: str, **variables: str) -> None:
    done = checkout.run("sh", "-ec", script, **variables)
    assert done.status == 0, done


def here(checkout: Checkout, **variables: str) -> Repository:
    return find_repository(checkout.path, checkout.env(**variables))


def seen(checkout: Checkout, **variables: str) -> files.Files:
    return files.look(here(checkout, **variables), LONG)


def known(checkout: Checkout, **variables: str) -> str:
    found = seen(checkout, **variables)
    assert found.why == ""
    return found.tree


def of_all(checkout: Checkout) -> str:
    """The tree that git makes of all, in a copy of the repository."""
    copy = checkout.path.with_name("copy")
    subprocess.run(["cp", "-a", checkout.path, copy], check=True)
    there = Checkout(copy, checkout.home)
    there.ok(*ADD_ALL)
    tree = there.ok("write-tree")
    shutil.rmtree(copy)
    return tree


@pytest.mark.parametrize("script", SITUATIONS.values(), ids=SITUATIONS.keys())
def test_the_tree_is_the_same_before_and_after_all_is_added_and_committed(checkout: Checkout, script: str) -> None:
    shell(checkout, script)
    tree = known(checkout)
    assert tree == of_all(checkout)
    checkout.ok(*ADD_ALL)
    assert known(checkout) == tree
    checkout.ok("commit", "-q", "--allow-empty", "-m", "all")
    assert known(checkout) == tree
    assert checkout.ok("rev-parse", "HEAD^{tree}") == tree


UNKNOWN = {
    "a submodule with edits": "echo x > sub/new; git -C sub add new; git -C sub commit -qm new; echo y > sub/new",
    "a submodule with untracked files": "echo x > sub/new",
    "a pipe in the place of a file": "rm a.txt; mkfifo a.txt",
    "a folder that became a link to one like it": "cp -r folder o; git add o; rm -r folder; ln -s o folder",
    "what is too large": "truncate -s 65m new",
    "an index that git cannot read": "echo damaged > .git/index",
}


@pytest.mark.parametrize("script", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_files_are_not_known_where_git_cannot_say_what_all_of_them_are(checkout: Checkout, script: str) -> None:
    shell(
        checkout, "git init -q sub; git -C sub commit -q --allow-empty -m 1; git add sub 2>&1; git commit -qm sub"
    )
    shell(checkout, script)
    found = seen(checkout)
    assert found.tree == ""
    assert found.why


def test_files_are_not_known_of_more_submodules_than_git_reads_quickly(checkout: Checkout) -> None:
    for number in range(21):
        shell(checkout, f"git init -q s{number}; git config -f .gitmodules submodule.s{number}.path s{number}")
    assert "submodules" in seen(checkout).why
    shell(checkout, "rm -rf s20/.git")
    assert seen(checkout).why == ""


def test_files_are_not_known_of_more_paths_than_git_reads_quickly(checkout: Checkout) -> None:
    for number in range(files.MOST_PATHS + 1):
        (checkout.path / f"n{number}").touch()
    found = seen(checkout)
    assert "paths" in found.why
    assert len(found.loose) == len(found.untracked) == files.MOST_PATHS + 1
    (checkout.path / "n0").unlink()
    assert seen(checkout).why == ""


def test_files_are_not_known_where_git_takes_too_long(checkout: Checkout) -> None:
    shell(checkout, "echo '*.txt filter=slow' > .gitattributes; touch a.txt")
    checkout.ok("config", "filter.slow.clean", "echo $$ > ../pid; exec sleep 600")
    assert "did not answer" in files.look(here(checkout), 0.5).why
    os.kill(int(checkout.path.with_name("pid").read_text()), signal.SIGKILL)


def test_a_repository_within_is_left_out(checkout: Checkout) -> None:
    tree = known(checkout)
    shell(checkout, "git init -q within; echo x > within/file")
    assert seen(checkout).loose == ()
    assert known(checkout) == tree


@pytest.mark.parametrize("kind", ["sha1", "sha256"])
def test_before_the_first_commit_there_is_a_tree_too(checkout: Checkout, kind: str) -> None:
    shell(checkout, f"rm -rf .git; git init -q --object-format={kind}; ls -A > /dev/null")
    assert known(checkout) == of_all(checkout)
    shell(checkout, "git add a.txt")
    assert known(checkout) == of_all(checkout)
    shell(checkout, "rm -r * .gitignore; git rm -q --cached a.txt")
    assert known(checkout) == of_all(checkout)
    assert here(checkout).tree == known(checkout)


def test_sha256_makes_no_difference(checkout: Checkout) -> None:
    shell(
        checkout,
        "rm -rf .git; git init -q --object-format=sha256; git add a.txt; git commit -qm 1; echo x >> a.txt",
    )
    assert known(checkout) == of_all(checkout)


def test_it_is_told_what_is_staged_loose_and_untracked(checkout: Checkout) -> None:
    shell(checkout, "echo x >> a.txt; git add a.txt; echo y >> a.txt; git rm -q b.txt; echo z > new; rm run.sh")
    found = seen(checkout)
    assert set(found.staged) == {"a.txt", "b.txt"}
    assert set(found.loose) == {"a.txt", "run.sh", "new"}
    assert found.untracked == {"new"}
    assert found.marks["new"][1:] == (2, (checkout.path / "new").stat().st_ino)
    assert found.marks["run.sh"] == (0, 0, 0)


@pytest.mark.parametrize(
    ("script", "most"),
    [("", 1), ("echo x >> a.txt; git add a.txt", 2), ("echo x >> a.txt", 3), ("echo x > new; git rm -q b.txt", 3)],
    ids=["clean", "staged", "edited", "both"],
)
def test_git_is_asked_no_more_often_than_is_needed(checkout: Checkout, script: str, most: int) -> None:
    shell(checkout, script)
    trace = checkout.path.with_name("trace")
    place = here(checkout)
    traced = place._replace(environment=checkout.env(GIT_TRACE2_EVENT=str(trace)))
    before = files.look(traced, LONG)
    assert started(trace) == most
    assert files.watched(traced, before, LONG).steady
    assert started(trace) == most + 1


def started(trace: Path) -> int:
    return sum(json.loads(line)["event"] == "start" for line in trace.read_text().splitlines())


def test_nothing_of_the_repository_is_written(checkout: Checkout) -> None:
    shell(checkout, "echo secret > new; echo x >> folder/one; git add folder/one; echo y >> folder/one")
    before = everything(checkout.path / ".git")
    assert known(checkout)
    after = everything(checkout.path / ".git")
    made = after.keys() - before.keys()
    assert {name: after[name] for name in before} == before
    assert made
    assert all(name.startswith("buildguard/objects/") for name in made)
    blob = checkout.ok("hash-object", "new")
    assert f"buildguard/objects/{blob[:2]}/{blob[2:]}" not in made


def everything(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_files_are_known_while_somebody_holds_the_index_lock(checkout: Checkout) -> None:
    shell(checkout, "echo x >> a.txt; git add a.txt; echo y > new")
    tree = known(checkout)
    shell(checkout, "touch .git/index.lock")
    assert known(checkout) == tree


COMMITS = {
    "plain": "git add a.txt && git commit -qm x",
    "all": "git commit -qam x",
    "only": "git commit -qm x -- a.txt",
    "amend": "git commit -q --amend -am x",
    "in a linked work tree": "git worktree add -q ../linked; cd ../linked; echo x > a.txt; :> n; git commit -qam x",
}


@pytest.mark.parametrize("commit", COMMITS.values(), ids=COMMITS.keys())
def test_a_hook_sees_what_git_would_make_of_all(checkout: Checkout, commit: str) -> None:
    """The hook's `GIT_INDEX_FILE` is relative, absolute, a lock, or another lock."""
    told = checkout.path.with_name("told")
    script = f"""
import os, pathlib
from buildguard.git import files
from buildguard.git.repository import find_repository
print(*files.look(find_repository(pathlib.Path.cwd(), os.environ), 60)[:2], file=open({str(told)!r}, "w"))
"""
    hook = checkout.path / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} - <<'END'\n{script}\nEND\n")
    hook.chmod(0o755)
    shell(checkout, "echo x >> a.txt; echo y >> b.txt; echo z > new")
    shell(checkout, commit, PYTHONPATH=str(PROJECT))
    where = Checkout(checkout.path.with_name("linked"), checkout.home) if "linked" in commit else checkout
    where.ok("add", "-A")
    assert told.read_text() == where.ok("write-tree") + " \n"


def test_an_index_that_was_deleted_under_a_commit_makes_files_unknown(checkout: Checkout) -> None:
    assert "gone" in seen(checkout, GIT_INDEX_FILE=".git/index.lock").why


def test_a_run_that_changes_nothing_is_steady(checkout: Checkout) -> None:
    shell(checkout, "echo x >> a.txt; echo y > new")
    assert files.watched(here(checkout), seen(checkout), LONG) == (True, frozenset())


def test_what_a_check_writes_itself_is_told_and_leaves_the_run_steady(checkout: Checkout) -> None:
    shell(checkout, "echo y > new; echo z > old; echo k > kept")
    before = seen(checkout)
    shell(checkout, "echo report > report.xml; echo more >> new; rm old; touch ignored")
    assert files.watched(here(checkout), before, LONG) == (True, frozenset({"report.xml", "new", "old"}))


DURING = {
    "an edit of a clean file": "echo x >> b.txt",
    "one more edit": "echo x >> a.txt",
    "an edit of the same size": "echo Y > a.txt",
    "an edit that is staged": "echo x >> b.txt; git add b.txt",
    "an edit that is committed": "echo x >> b.txt; git commit -qm x -- b.txt",
    "an edit taken back": "git checkout -q a.txt",
    "a new file that is staged": "echo x > new; git add new",
    "a staged file that is staged again": "echo more >> staged; git add staged",
    "a deletion": "rm a.txt",
    "an untracked file that is staged": "git add untracked",
}


@pytest.mark.parametrize("script", DURING.values(), ids=DURING.keys())
def test_a_run_during_which_tracked_files_change_is_not_steady(checkout: Checkout, script: str) -> None:
    shell(checkout, "echo y > a.txt; echo s > staged; git add staged; echo u > untracked")
    before = seen(checkout)
    shell(checkout, script)
    assert not files.watched(here(checkout), before, LONG).steady


def test_a_submodule_that_moves_from_commit_to_commit_makes_a_run_unsteady(checkout: Checkout) -> None:
    shell(checkout, SITUATIONS["a submodule at another commit"])
    before = seen(checkout)
    assert files.watched(here(checkout), before, LONG).steady
    shell(checkout, "git -C sub commit -q --allow-empty -m 3")
    assert not files.watched(here(checkout), before, LONG).steady


def test_a_run_on_files_that_are_not_known_is_not_steady(checkout: Checkout) -> None:
    assert files.watched(here(checkout), files.Files("", "why"), LONG) == (False, frozenset())


def test_what_changed_is_told_as_it_passed(checkout: Checkout) -> None:
    failed = known(checkout)
    shell(
        checkout,
        "echo x > a.txt; rm -r folder; echo y > folder; chmod -x run.sh; printf 'n' > \"$(printf 'n\\377\nm')\"",
    )
    blob = checkout.ok("hash-object", "a.txt")
    found = files.changed(here(checkout), failed, known(checkout))
    assert found is not None
    assert {content.path: content.mode for content in found} == {
        "a.txt": "100644",
        "folder": "100644",
        "folder/one": "",
        "folder/deep/two": "",
        "run.sh": "100644",
        "n\udcff\nm": "100644",
    }
    assert Content("a.txt", "100644", blob) in found
    assert Content("folder/one", "", "") in found


def test_between_equal_trees_nothing_changed(checkout: Checkout) -> None:
    tree = known(checkout)
    assert files.changed(here(checkout), tree, tree) == ()


def test_what_changed_since_a_tree_that_is_not_here_is_not_known(checkout: Checkout) -> None:
    assert files.changed(here(checkout), "1" * 40, known(checkout)) is None


def test_a_commit_holds_what_it_has_as_it_passed(checkout: Checkout) -> None:
    failed = known(checkout)
    shell(checkout, "echo x > a.txt; rm -r folder; echo y > folder; chmod -x run.sh; echo z > ':(top)*'; rm link")
    contents = files.changed(here(checkout), failed, known(checkout)) or ()
    place = here(checkout)
    assert set(files.not_held(place, place.head, contents)) == {content.path for content in contents}
    shell(checkout, "git add a.txt folder; git commit -qm some")
    assert set(files.not_held(place, "HEAD", contents)) == {"run.sh", ":(top)*", "link"}
    shell(checkout, "git add -A; git commit -qm rest")
    assert files.not_held(place, "HEAD", contents) == ()
    shell(checkout, "echo other > a.txt; mkdir link; echo x > link/inside; git add -A; git commit -qm other")
    assert files.not_held(place, "HEAD", contents) == ("a.txt",)


def test_a_commit_that_is_not_here_holds_nothing(checkout: Checkout) -> None:
    contents = (Content("gone", "", ""), Content("a.txt", "100644", "1" * 40))
    assert files.not_held(here(checkout), "1" * 40, contents) == ("gone", "a.txt")


def test_many_paths_are_asked_for_in_portions(checkout: Checkout) -> None:
    failed = known(checkout)
    for number in range(1201):
        (checkout.path / f"n{number}").write_text(f"{number}\n")
    contents = files.changed(here(checkout), failed, known(checkout)) or ()
    shell(checkout, "git add -A; git reset -q n0 n700 n1200; git commit -qm most")
    assert set(files.not_held(here(checkout), "HEAD", contents)) == {"n0", "n700", "n1200"}


def test_swept_trees_are_not_known_any_more(checkout: Checkout) -> None:
    failed = known(checkout)
    shell(checkout, "echo x > folder/one")
    passed, place = known(checkout), here(checkout)
    copy = checkout.path / ".git" / "buildguard" / "index-left"
    copy.touch()
    files.sweep(place)
    assert len(files.changed(place, failed, passed) or ()) == 1
    files.sweep(place, older=-1.0)
    assert files.changed(place, failed, passed) is None
    assert not copy.exists()
    assert known(checkout) == passed


def test_a_sweep_follows_no_link(checkout: Checkout, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "file").touch()
    assert known(checkout)
    objects = checkout.path / ".git" / "buildguard" / "objects"
    objects.mkdir(parents=True, exist_ok=True)
    (objects / "aa").symlink_to(mine)
    files.sweep(here(checkout), older=-1.0)
    assert (mine / "file").exists()
    shutil.rmtree(objects)
    objects.symlink_to(mine)
    files.sweep(here(checkout), older=-1.0)
    assert (mine / "file").exists()
    shell(checkout, "echo x > new")
    assert seen(checkout).tree == ""


def test_a_repository_whose_path_needs_quotes_among_alternates(checkout: Checkout) -> None:
    moved = Checkout(checkout.path.with_name('"odd\\ :name"'), checkout.home)
    checkout.path.rename(moved.path)
    failed = known(moved)
    shell(moved, "echo x >> folder/one")
    passed = known(moved)
    assert [content.path for content in files.changed(here(moved), failed, passed) or ()] == ["folder/one"]


def test_a_tree_of_a_head_that_moved_meanwhile_is_that_of_the_new_one(checkout: Checkout) -> None:
    place = here(checkout)
    shell(checkout, "echo x >> a.txt; git commit -qam x")
    assert files.look(place, LONG).tree == checkout.ok("rev-parse", "HEAD^{tree}")


def test_nothing_is_known_in_a_bare_repository(checkout: Checkout) -> None:
    bare = Checkout(checkout.path.with_name("bare"), checkout.home)
    checkout.ok("clone", "-q", "--bare", ".", str(bare.path))
    assert "bare" in seen(bare).why
