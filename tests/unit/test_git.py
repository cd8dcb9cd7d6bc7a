"""How git is asked: what it says of a repository, and how each call ends."""

import os
import resource
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from testing.support import PROJECT, Checkout, lives

from buildguard.errors import Distrusted, GitFault
from buildguard.git import changes, process
from buildguard.git.repository import EMPTY_TREES, MOST_COMMITS, Repository, find_repository


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\nname = T\nemail = t@example.org\n[init]\ndefaultBranch = main\n")
    (tmp_path / "work").mkdir()
    checkout = Checkout(tmp_path / "work", home)
    checkout.ok("init", "-q")
    committed(checkout, "first", "a.txt")
    return checkout


def here(checkout: Checkout, **variables: str) -> Repository:
    return find_repository(checkout.path, checkout.env(**variables))


def committed(checkout: Checkout, text: str, *names: str) -> str:
    for name in names:
        checkout.write(name, f"{text}\n")
    checkout.ok("add", "-A")
    checkout.ok("commit", "-q", "--allow-empty", "-m", text)
    return checkout.ok("rev-parse", "HEAD")


# The repository


def test_one_call_tells_all_of_a_repository(checkout: Checkout) -> None:
    trace = checkout.path.with_name("trace")
    place = here(checkout, GIT_TRACE2_EVENT=str(trace))
    assert trace.read_text().count('"event":"start"') == 1
    assert place.common_dir == place.git_dir == checkout.path / ".git"
    assert place.top == checkout.path
    assert place.head == checkout.ok("rev-parse", "HEAD")
    assert place.tree == checkout.ok("rev-parse", "HEAD^{tree}")
    assert place.branch == "refs/heads/main"
    assert "GIT_INDEX_FILE" in place.local_variables
    assert place.has_files


def test_a_linked_work_tree_has_its_own_git_dir_and_the_common_one(checkout: Checkout) -> None:
    place = here(checkout.work_tree("linked"))
    assert place.common_dir == checkout.path / ".git"
    assert place.git_dir == checkout.path / ".git" / "worktrees" / "linked"
    assert place.branch == "refs/heads/linked"


@pytest.mark.parametrize("kind", EMPTY_TREES)
def test_before_the_first_commit_head_is_a_tree_without_files(checkout: Checkout, kind: str) -> None:
    new = Checkout(checkout.path.with_name("new"), checkout.home)
    checkout.ok("init", "-q", f"--object-format={kind}", str(new.path))
    place = here(new)
    assert (place.head, place.branch) == ("", "refs/heads/main")
    assert place.tree == new.ok("hash-object", "-t", "tree", "/dev/null")
    assert not place.has_files
    committed(new, "nothing")
    assert here(new).tree == place.tree
    assert not here(new).has_files


def test_a_bare_repository_has_a_head_and_no_work_tree(checkout: Checkout) -> None:
    bare = Checkout(checkout.path.with_name("bare"), checkout.home)
    checkout.ok("clone", "-q", "--bare", ".", str(bare.path))
    assert here(bare).top is None
    assert here(bare).head == here(checkout).head
    assert here(bare).common_dir == bare.path


@pytest.mark.parametrize("name", ["x\u2028/etc", "x\u0085y", "HEAD2", "-/x", "ü"])
def test_a_branch_may_have_any_name_that_git_allows(checkout: Checkout, name: str) -> None:
    checkout.ok("update-ref", f"refs/heads/{name}", "HEAD")
    checkout.ok("symbolic-ref", "HEAD", f"refs/heads/{name}")
    assert here(checkout).branch == f"refs/heads/{name}"
    assert here(checkout).where() == (here(checkout).head, f"refs/heads/{name}", here(checkout).tree)


NAMES = ["a\u2028b", "a b", "ü", " ", '"', "a\nb", "a\n", "\n/x", "a\n/\nHEAD", "a\x85b", "a\vb", "a\x1cb", "-a"]


@pytest.mark.parametrize("name", NAMES)
def test_a_repository_may_lie_in_any_folder(checkout: Checkout, name: str) -> None:
    moved = Checkout(checkout.path.with_name("folder") / name, checkout.home)
    moved.path.parent.mkdir(parents=True)
    was = here(checkout)
    checkout.path.rename(moved.path)
    found = here(moved)
    assert (found.top, found.git_dir, found.common_dir) == (moved.path, moved.path / ".git", moved.path / ".git")
    assert (found.head, found.branch, found.tree) == (was.head, was.branch, was.tree)
    moved.ok("update-ref", "-d", "HEAD")
    assert (here(moved).top, here(moved).head, here(moved).branch) == (moved.path, "", "refs/heads/main")


def test_a_line_break_is_seen_where_git_says_less_or_only_once(checkout: Checkout) -> None:
    bare = Checkout(checkout.path.with_name("a\nbare"), checkout.home)
    checkout.ok("clone", "-q", "--bare", ".", str(bare.path))
    found = here(bare)
    assert (found.top, found.git_dir, found.common_dir) == (None, bare.path, bare.path)
    apart = Checkout(checkout.path.with_name("a\nwork"), checkout.home)
    plain = checkout.path.with_name("plain")
    checkout.ok("clone", "-q", "--separate-git-dir", str(plain), ".", str(apart.path))
    assert (here(apart).top, here(apart).git_dir) == (apart.path, plain)


def test_of_a_head_that_is_not_here_only_its_name_is_known(checkout: Checkout) -> None:
    checkout.write(".git/refs/heads/main", "1" * 40 + "\n")
    place = here(checkout)
    assert (place.head, place.branch, place.tree) == ("1" * 40, "refs/heads/main", "")
    assert place.has_files


def test_outside_of_a_repository_no_command_is_offered(checkout: Checkout, tmp_path: Path) -> None:
    with pytest.raises(GitFault, match=r"^not a git repository") as fault:
        find_repository(tmp_path, checkout.env())
    assert fault.value.next_command is None


def test_a_repository_of_somebody_else_is_told_apart_and_its_name_is_no_command(checkout: Checkout) -> None:
    lure = checkout.path.with_name("x';touch PWNED;echo 'safe.directory")
    checkout.path.rename(lure)
    (lure / "sub").mkdir()
    with pytest.raises(Distrusted) as fault:
        find_repository(lure / "sub", checkout.env(GIT_TEST_ASSUME_DIFFERENT_OWNER="1"))
    assert "\n" not in str(fault.value)
    assert shlex.split(str(fault.value.next_command)) == ["ls", "-ld", str(lure / "sub")]


def test_more_than_1024_open_descriptors_keep_no_git_from_answering(checkout: Checkout) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("the system allows no more descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        assert here(checkout).verbatim("rev-parse", "HEAD", within=60.0) == checkout.ok("rev-parse", "HEAD") + "\n"
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_folder_that_is_gone_is_not_taken_for_a_git_that_is_missing(checkout: Checkout, tmp_path: Path) -> None:
    with pytest.raises(GitFault, match="does not exist any more"):
        find_repository(tmp_path / "gone", checkout.env())
    with pytest.raises(GitFault, match="not installed"):
        find_repository(checkout.path, checkout.env(PATH=str(tmp_path)))


def test_a_repository_is_brought_up_to_date(checkout: Checkout) -> None:
    before = here(checkout)
    committed(checkout, "second", "b.txt")
    checkout.ok("switch", "-q", "-c", "other")
    assert before.up_to_date()._replace(environment={}) == here(checkout)._replace(environment={})
    assert before.up_to_date() != before


# Its history


def test_a_commit_descends_from_itself_and_from_those_before_it(checkout: Checkout) -> None:
    first = checkout.ok("rev-parse", "HEAD")
    second = committed(checkout, "second")
    place = here(checkout)
    assert place.descends(second, first)
    assert place.descends(second, second)
    assert not place.descends(first, second)
    assert not place.descends(second, "1" * 40)
    assert not place.descends("", first)
    assert not place.descends(second, "")
    assert not place.descends(second, "--all")


def test_the_upstream_has_what_was_pushed_or_fetched(checkout: Checkout) -> None:
    clone = Checkout(checkout.path.with_name("clone"), checkout.home)
    checkout.ok("clone", "-q", ".", str(clone.path))
    first, second = checkout.ok("rev-parse", "HEAD"), committed(checkout, "second")
    assert not here(checkout).upstream_has(first)
    assert here(clone).upstream_has(first)
    assert not here(clone).upstream_has(second)
    assert not here(clone).knows(second)
    clone.ok("fetch", "-q")
    assert here(clone).upstream_has(second)
    assert here(clone).knows(second)


@pytest.mark.parametrize("name", ["", "1" * 40, "--all", "nothing"])
def test_what_is_no_commit_here_is_not_known(checkout: Checkout, name: str) -> None:
    assert not here(checkout).knows(name)


def test_the_remote_is_the_one_that_the_branch_is_fetched_from(checkout: Checkout) -> None:
    assert here(checkout).remote() == "origin"
    checkout.ok("config", "branch.main.remote", "other")
    assert here(checkout).remote() == "other"
    checkout.ok("config", "branch.main.remote", ".")
    assert here(checkout).remote() == "origin"
    checkout.ok("switch", "-q", "--detach")
    assert here(checkout).remote() == "origin"


def test_the_commits_that_touch_a_path_are_told_oldest_first_without_merges(checkout: Checkout) -> None:
    first = checkout.ok("rev-parse", "HEAD")
    one = committed(checkout, "one", "b.txt")
    committed(checkout, "other", "c.txt")
    checkout.ok("switch", "-q", "-c", "side", first)
    two = committed(checkout, "two", "*")
    checkout.ok("switch", "-q", "main")
    checkout.ok("merge", "-q", "--no-edit", "side")
    three = committed(checkout, "three", "b.txt")
    place = here(checkout)
    found = place.commits_touching(first, "HEAD", ["b.txt", "*"])
    assert set(found) == {one, two, three}
    assert found[-1] == three
    assert place.commits_touching("", one, ["a.txt", "b.txt"]) == [first, one]
    assert place.commits_touching(three, "HEAD", ["b.txt"]) == []
    assert place.commits_touching("1" * 40, "HEAD", ["b.txt"]) == []
    assert place.commits_touching(first, "", ["b.txt"]) == []


def test_no_commit_is_told_before_its_parent_whatever_the_clocks_said(checkout: Checkout) -> None:
    late = Checkout(checkout.path, checkout.home, {"GIT_COMMITTER_DATE": "2040-01-01T00:00:00Z"})
    early = Checkout(checkout.path, checkout.home, {"GIT_COMMITTER_DATE": "2001-01-01T00:00:00Z"})
    first = committed(late, "late", "b.txt")
    checkout.ok("switch", "-q", "-c", "side")
    second = committed(early, "early", "b.txt")
    checkout.ok("switch", "-q", "main")
    other = committed(checkout, "other", "c.txt")
    checkout.ok("merge", "-q", "--no-edit", "side")
    found = here(checkout).commits_touching("", "HEAD", ["b.txt", "c.txt"])
    assert set(found) == {first, second, other}
    assert found[0] == first


def test_of_many_commits_the_newest_are_told(checkout: Checkout) -> None:
    first = checkout.ok("rev-parse", "HEAD")
    made = [committed(checkout, str(number), "b.txt") for number in range(MOST_COMMITS + 2)]
    assert here(checkout).commits_touching(first, "HEAD", ["b.txt"]) == made[-MOST_COMMITS:]


def test_a_patch_that_is_in_the_index_can_be_taken_out_of_it(checkout: Checkout) -> None:
    first = checkout.ok("rev-parse", "HEAD")
    place, second = here(checkout), committed(checkout, "second", "a.txt", "b.txt")
    patch = place.patch(first, second)
    assert place.applies(patch, "--cached", "--reverse")
    assert not place.applies(patch, "--cached")
    assert place.applies(place.patch(first, second, "a.txt"), "--reverse")
    assert place.applies("")
    assert set(place.differing(first, second)) == {"a.txt", "b.txt"}


# Each call


def test_git_speaks_english_and_the_users_filters_keep_their_locale(checkout: Checkout) -> None:
    checkout.ok("config", "filter.show.clean", "cat; echo $LC_ALL $LANG > ../locale")
    checkout.write(".gitattributes", "*.u filter=show\n")
    checkout.write("a.u", "x\n")
    place = here(checkout, LC_ALL="C.UTF-8", LANG="C.UTF-8", LANGUAGE="de")
    place.write("add", "-A")
    assert checkout.path.with_name("locale").read_text() == "C.UTF-8 C.UTF-8\n"
    with pytest.raises(GitFault, match="is not a git command"):
        place.git("nothing-like-it")


def test_a_process_that_git_leaves_behind_keeps_nobody_waiting(checkout: Checkout) -> None:
    pid = checkout.path.with_name("pid")
    checkout.ok(
        "config", "filter.play.clean", f"sleep 600 </dev/null >/dev/null & echo $! > {shlex.quote(str(pid))}; cat"
    )
    checkout.write(".gitattributes", "*.big filter=play\n")
    checkout.write("a.big", "x\n")
    here(checkout).write("add", "a.big")
    left = int(pid.read_text())
    assert lives(left)
    os.kill(left, signal.SIGKILL)


def test_a_git_that_does_not_answer_is_killed(checkout: Checkout) -> None:
    alias = checkout.path.with_name("pid")
    checkout.ok("config", "alias.hang", f"!echo $$ > {shlex.quote(str(alias))}; exec sleep 600")
    with pytest.raises(GitFault, match="git hang did not answer within 1 s"):
        here(checkout).verbatim("hang", within=1.0)
    os.kill(int(alias.read_text()), signal.SIGKILL)


def test_what_git_prints_and_reads_is_kept_to_the_byte(checkout: Checkout) -> None:
    text = "a\r\nb\n\n\udcff" * 100_000
    place = here(checkout)
    name = place.git("hash-object", "-w", "--stdin", stdin=text)
    assert place.verbatim("cat-file", "blob", name) == text


def test_a_fault_is_the_first_line_that_git_said(checkout: Checkout) -> None:
    with pytest.raises(GitFault, match=r"^git rev-parse: fatal: ambiguous argument 'nothing'[^\n]*$"):
        here(checkout).git("-c", "core.editor=x", "rev-parse", "nothing")
    with pytest.raises(GitFault, match=r"^git diff: exit status 1$"):
        here(checkout).git("diff", "--quiet", EMPTY_TREES["sha1"])


_IGNORING = """
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""


def test_a_git_that_failed_has_failed_though_a_parent_ignores_ended_children(checkout: Checkout) -> None:
    asked = """
import os, pathlib, signal
from buildguard.errors import GitFault
from buildguard.git import process
def told():
    try:
        print(process.answer(["nothing-like-it"], os.environ, pathlib.Path.cwd()))
    except GitFault as fault:
        print("failed:", fault)
print(process.run_commit(["--nothing-like-it"], os.environ, pathlib.Path.cwd(), 2), flush=True)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
told()
"""
    done = checkout.run(sys.executable, "-c", _IGNORING, asked, PYTHONPATH=str(PROJECT))
    lines = done.out.splitlines()
    assert lines[0] == "129"
    assert [line.startswith("failed: ") for line in lines] == [False, True], done


def test_a_terminal_git_ends_as_a_shell_says_it(checkout: Checkout) -> None:
    environment = checkout.env(GIT_EDITOR="true")
    assert process.run_commit(["-q", "--allow-empty", "-m", "x"], environment, checkout.path) == 0
    assert process.run_commit(["-q", "--allow-empty"], environment, checkout.path, stdout=2) == 1
    killed = checkout.env(GIT_EDITOR="kill -9 $PPID #")
    assert process.run_commit(["-q", "--allow-empty"], killed, checkout.path) == 137
    with pytest.raises(GitFault, match="does not exist any more"):
        process.run_commit([], environment, checkout.path / "gone")


def test_signals_wait_until_what_belongs_together_is_done() -> None:
    told = """
import os, signal
from buildguard.git.process import unbroken
with unbroken():
    os.kill(os.getpid(), signal.SIGTERM)
    print("done", flush=True)
print("not reached", flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", told], env={"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("done\n", -signal.SIGTERM)


# What a commit changes elsewhere


def test_a_commit_is_merged_where_its_lines_have_moved(checkout: Checkout) -> None:
    checkout.write("a.txt", "".join(f"{number}\n" for number in range(20)))
    first = committed(checkout, "lines")
    checkout.write("a.txt", "".join(f"{number}\n" for number in range(19)) + "mended\n")
    fix = committed(checkout, "fix", "new.txt")
    checkout.ok("reset", "-q", "--hard", first)
    checkout.write("a.txt", "before\n" + "".join(f"{number}\n" for number in range(20)))
    committed(checkout, "move")
    change = changes.of(here(checkout), fix)
    assert set(change.paths) == {"a.txt", "new.txt"}
    assert checkout.ok("show", f"{change.wanted}:a.txt").split("\n")[0] == "before"
    assert checkout.ok("show", f"{change.wanted}:a.txt").split("\n")[-1] == "mended"
    assert checkout.ok("status", "--porcelain") == ""


def test_a_commit_that_is_here_already_changes_nothing(checkout: Checkout) -> None:
    fix = committed(checkout, "fix", "new.txt")
    assert changes.of(here(checkout), fix).paths == []
    assert changes.of(here(checkout), checkout.ok("rev-list", "--max-parents=0", "HEAD")).paths == []


def test_a_commit_that_does_not_go_in_is_refused(checkout: Checkout) -> None:
    first = checkout.ok("rev-parse", "HEAD")
    fix = committed(checkout, "fix", "a.txt")
    checkout.ok("reset", "-q", "--hard", first)
    committed(checkout, "other", "a.txt")
    with pytest.raises(GitFault, match="does not go in cleanly"):
        changes.of(here(checkout), fix)
    assert checkout.ok("status", "--porcelain") == ""
