"""`buildguard cherry-pick`: a fix becomes a commit of this branch, and nobody else's work here is touched."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from testing.breakage import first_command, fix, next_command, repository, shared_breakage
from testing.picking import FIX, conflicting, fixed, hook, slow, untouched, without_the_fix
from testing.support import Checkout, Following, ended, eventually


@pytest.fixture
def here(tmp_path: Path) -> Checkout:
    """A work tree without the fix."""
    return without_the_fix(tmp_path)


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


def test_a_deleted_file_goes(here: Checkout) -> None:
    main = Checkout(here.path.parent / "repository", here.home)
    main.ok("rm", "-q", "app.txt")
    main.ok("commit", "-qm", "remove")
    assert here.buildguard("cherry-pick", "main^", agent="bob").status == 0
    for _ in range(2):
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
def test_edits_in_other_lines_of_the_same_file_stay_as_they_are(here: Checkout, staged: bool) -> None:
    here.write("app.txt", (here.path / "app.txt").read_text() + "carol's\n")
    if staged:
        here.ok("add", "app.txt")
    before = here.ok("status", "--porcelain"), here.ok("diff", "HEAD", "--stat")
    done = here.buildguard("cherry-pick", "main", agent="bob")
    assert done.status == 0, done
    assert "line nine" in here.ok("show", "HEAD:app.txt")
    assert "carol's" not in here.ok("show", "HEAD:app.txt")
    assert (here.ok("status", "--porcelain"), here.ok("diff", "HEAD", "--stat")) == before
    assert "line nine" in (here.path / "app.txt").read_text()
    assert (here.path / "app.txt").read_text().endswith("carol's\n")


@pytest.mark.parametrize("staged", [False, True])
def test_edits_of_the_same_lines_are_named_and_not_touched(here: Checkout, staged: bool) -> None:
    here.write("app.txt", (here.path / "app.txt").read_text().replace("line 9\n", "carol's\n"))
    here.write("odd.txt", "carol's, too\n")
    if staged:
        here.ok("add", "app.txt")
    before = untouched(here)
    done = here.buildguard("cherry-pick", "main", agent="bob")
    fix = here.ok("rev-parse", "main")[:12]
    assert (done.status, done.out) == (
        1,
        f"buildguard: not picked: app.txt is edited here, where {fix} changes it, too; nothing was changed\n"
        "buildguard: put the edits aside for a moment; git stash pop says if the same lines were edited\n"
        "next: git stash push -- ':(top,literal)app.txt'"
        f" && {{ buildguard cherry-pick --agent bob {fix}; git stash pop; }}\n",
    )
    assert untouched(here) == before


def test_edits_that_were_put_aside_come_back_where_the_pick_fails(here: Checkout) -> None:
    mine = (here.path / "app.txt").read_text().replace("line 9\n", "carol's\n")
    here.write("app.txt", mine)
    done = here.buildguard("cherry-pick", "main", agent="bob")
    refuse = "while read _ _ ref; do case $1:$ref in prepared:refs/heads/*) exit 1;; esac; done\n"
    hook(here, "reference-transaction", refuse)
    after = here.run("sh", "-c", done.last.removeprefix("next: "))
    assert "not picked: " in after.out, after
    assert ((here.path / "app.txt").read_text(), here.ok("stash", "list")) == (mine, "")


def test_an_untracked_file_in_the_way_is_not_lost(here: Checkout) -> None:
    fixed(Checkout(here.path.parent / "repository", here.home), "helper.txt", "the fix's\n")
    here.write("helper.txt", "carol's\n")
    done = here.buildguard("cherry-pick", "main", agent="bob")
    assert (done.status, "helper.txt is edited here" in done.out) == (1, True), done
    assert (here.path / "helper.txt").read_text() == "carol's\n"
    here.run("sh", "-c", done.last.removeprefix("next: "))
    assert here.ok("show", "HEAD:helper.txt") == "the fix's"
    assert here.ok("show", "stash@{0}^3:helper.txt") == "carol's", "git keeps what does not go back"


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
        "buildguard: not picked: another git command still holds the index lock here\n"
        f"next: buildguard cherry-pick --agent bob {here.ok('rev-parse', 'main')[:12]}\n"
    )
    (here.path.parent / "gate").write_text("go\n")
    assert commit.ends().status == 0


def test_time_that_runs_out_while_another_pick_goes_on_is_75(here: Checkout) -> None:
    slow(here, "touch ../begun; cat ../gate >&2; cat")
    os.mkfifo(here.path.parent / "gate")
    first = Following(here.start("buildguard", "cherry-pick", "main", agent="carol"))
    eventually((here.path.parent / "begun").exists, "the filter of the first one runs")
    done = here.buildguard("cherry-pick", "--timeout", "0.1s", "main", agent="bob")
    assert (done.status, "not picked: another " in done.out) == (75, True), done
    (here.path.parent / "gate").write_text("go\n")
    assert first.ends().status == 0
    assert here.run(*next_command(done.out)).status == 0


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


SIGNS = """#!/bin/sh
case "$*" in *--verify*) echo 'gpg: a signature, and what it is worth' >&2; exit 1;; esac
cat > /dev/null
echo '[GNUPG:] SIG_CREATED ' >&2
printf '%s\\n' '-----BEGIN PGP SIGNATURE-----' '' x '-----END PGP SIGNATURE-----'
"""


def test_it_is_signed_where_commits_are(here: Checkout) -> None:
    program = here.path.parent / "signs"
    program.write_text(SIGNS)
    program.chmod(0o755)
    here.ok("config", "gpg.program", str(program))
    here.ok("config", "commit.gpgSign", "true")
    here.ok("config", "log.showSignature", "true")
    fix = here.ok("commit-tree", "-S", "main:", "-p", "main^", "-m", FIX)
    assert here.buildguard("cherry-pick", fix, agent="bob").status == 0
    made = here.ok("cat-file", "commit", "HEAD")
    assert "gpgsig -----BEGIN PGP SIGNATURE-----" in made
    assert made.partition("\n\n")[2] == FIX


# What git does not commit changes nothing.


@pytest.mark.parametrize(
    ("settings", "said", "following"),
    [
        ("[user]\nuseConfigOnly = true\n", "identity unknown", "git var GIT_COMMITTER_IDENT"),
        (
            "[user]\nname = T\nemail = t@example.org\n[commit]\ngpgSign = true\n[gpg]\nprogram = false\n",
            "gpg failed to sign",
            "git config --show-origin --get-regexp gpg",
        ),
    ],
)
def test_without_a_name_or_a_key_nothing_is_changed(
    here: Checkout, settings: str, said: str, following: str
) -> None:
    before = untouched(here)
    (here.home / ".gitconfig").write_text(settings)
    done = here.buildguard("cherry-pick", "main", agent="bob")
    assert (done.status, done.last) == (1, f"next: {following}"), done
    assert f"{said}; nothing was changed\n" in done.out.replace(" the data", "")
    assert untouched(here) == before


@pytest.mark.parametrize("name", ["pre-commit", "post-commit"])
def test_no_hook_of_a_commit_runs(here: Checkout, name: str) -> None:
    hook(here, name, "touch ../ran; exit 1\n")
    assert here.buildguard("cherry-pick", "main", agent="bob").status == 0
    assert not (here.path.parent / "ran").exists()


def test_a_branch_that_may_not_move_leaves_nothing_staged(here: Checkout) -> None:
    before = untouched(here)
    hook(here, "reference-transaction", 'test "$1" != prepared\n')
    done = here.buildguard("cherry-pick", "main", agent="bob")
    assert (done.status, "not picked: git update-ref:" in done.out) == (1, True), done
    (here.path.parent / "repository/.git/hooks/reference-transaction").unlink()
    assert untouched(here) == before


@pytest.mark.parametrize("takes", ["-- carol.txt", "", "-- app.txt", "-- second.txt"])
def test_a_commit_that_comes_in_between_keeps_what_it_took(here: Checkout, takes: str) -> None:
    main = Checkout(here.path.parent / "repository", here.home)
    main.write("second.txt", "of the fix\n")
    main.ok("add", "-A")
    main.ok("commit", "-q", "--amend", "--no-edit", "--no-verify")
    here.write("carol.txt", "carol's\n")
    here.ok("add", "carol.txt")
    git, once = shutil.which("git"), here.path.parent / "once"
    carols = f"test -e {once} || {{ >{once}; {git} commit -qm carol --no-verify {takes}; }}"
    between = here.write(
        "../bin/git", f'#!/bin/sh\ncase " $* " in *" update-ref "*) {carols};; esac\nexec {git} "$@"\n'
    )
    between.chmod(0o755)
    path = f"{between.parent}{os.pathsep}{here.env()['PATH']}"
    done = here.buildguard("cherry-pick", "main", agent="bob", PATH=path)
    assert done.status == 0, done
    assert "carol" in here.ok("log", "--format=%s")
    assert here.ok("diff", "--name-only", "main", "HEAD", "--", "app.txt", "second.txt") == ""
    left = {"": "", "-- carol.txt": "A  bob.txt"}.get(takes, "A  bob.txt\nA  carol.txt")
    assert here.ok("status", "--porcelain") == left


# A work tree that holds only some of the files.


@pytest.mark.parametrize("index", ["--sparse-index", "--no-sparse-index"])
def test_a_fix_outside_of_a_sparse_checkout_is_committed_and_stays(tmp_path: Path, index: str) -> None:
    base = "mkdir in out; for file in in/a out/a out/gone; do echo 1 > $file; done"
    here = without_the_fix(tmp_path, base, "echo 2 > out/a; rm out/gone; echo 2 > out/new")
    here.ok("sparse-checkout", "set", "--cone", index, "in")
    here.write("in/a", "bob's\n")
    assert not (here.path / "out").exists()
    done = here.buildguard("cherry-pick", "main", agent="bob")
    assert done.status == 0, done
    assert here.ok("rev-parse", "HEAD^{tree}") == here.ok("rev-parse", "main^{tree}")
    assert here.ok("status", "--porcelain") == "A  bob.txt\n M in/a"
    here.ok("commit", "-qam", "bob", "--no-verify")
    assert here.ok("diff", "--name-only", "main", "HEAD").split() == ["bob.txt", "in/a"]


def test_what_cannot_be_committed_outside_of_a_sparse_checkout_leaves_nothing_staged(tmp_path: Path) -> None:
    here = without_the_fix(tmp_path, "mkdir in out; echo 1 > in/a; echo 1 > out/a", "echo 2 > out/a")
    here.ok("sparse-checkout", "set", "--cone", "in")
    hook(here, "reference-transaction", 'test "$1" != prepared\n')
    done = here.buildguard("cherry-pick", "main", agent="bob")
    assert (done.status, "not picked: git update-ref:" in done.out) == (1, True), done
    (here.path.parent / "repository/.git/hooks/reference-transaction").unlink()
    assert here.ok("status", "--porcelain") == "A  bob.txt"


# Git takes its time.


def test_what_asks_it_to_end_waits_for_the_commit(here: Checkout) -> None:
    os.mkfifo(here.path.parent / "gate")
    slow(here, "touch ../begun; cat ../gate >&2; cat")
    pick = Following(here.start("buildguard", "cherry-pick", "main", agent="bob"))
    eventually((here.path.parent / "begun").exists, "the filter runs")
    pick.process.send_signal(signal.SIGINT)
    (here.path.parent / "gate").write_text("go\n")
    assert pick.ends().status == 130
    assert here.ok("show", "--name-only", "--format=", "HEAD") == "app.txt"
    assert here.ok("status", "--porcelain") == "A  bob.txt"


# What git is in the middle of.


WAYS = [
    ("merge", "side"),
    *(
        pytest.param(way, marks=pytest.mark.slow)
        for way in (
            ("cherry-pick", "side"),
            ("revert", "--no-edit", "HEAD^"),
            ("rebase", "side"),
            ("rebase", "--apply", "side"),
        )
    ),
]


@pytest.mark.parametrize("way", WAYS)
def test_what_git_is_in_the_middle_of_is_to_be_finished_first(here: Checkout, way: tuple[str, ...]) -> None:
    conflicting(here, *way)
    before = here.ok("rev-parse", "HEAD"), here.ok("ls-files", "-s"), here.ok("status", "--porcelain")
    done = here.buildguard("cherry-pick", "main", agent="bob")
    assert (done.status, done.last) == (1, "next: git status"), done
    assert "git is in the middle of something here: finish it first" in done.out
    assert (here.ok("rev-parse", "HEAD"), here.ok("ls-files", "-s"), here.ok("status", "--porcelain")) == before


@pytest.mark.parametrize("way", WAYS)
def test_once_nothing_is_unmerged_gits_own_command_makes_the_fix_a_part_of_it(
    here: Checkout, way: tuple[str, ...]
) -> None:
    conflicting(here, *way)
    here.write("conf.txt", "both\n")
    here.ok("add", "conf.txt")
    done = here.buildguard("cherry-pick", "main", agent="bob")
    assert next_command(done.out) == ["git", "cherry-pick", "--no-commit", here.ok("rev-parse", "main")[:12]]
    assert here.run(*next_command(done.out)).status == 0
    assert here.ok("diff", "--cached", "main", "--", "app.txt") == ""
    here.ok(way[0], "--continue", GIT_EDITOR="true")
    assert "line nine" in here.ok("show", "HEAD:app.txt")


@pytest.mark.parametrize("way", ["merge"])
def test_an_agent_in_the_middle_of_something_is_not_sent_in_a_circle(tmp_path: Path, way: str) -> None:
    shared = repository(tmp_path)
    shared.write("docs/conf.txt", "0\n")
    shared.ok("add", "-A")
    shared.ok("commit", "-q", "--no-verify", "-m", "conf")
    other = shared_breakage(shared)
    third = shared.work_tree("third")
    for checkout in (other, third):
        checkout.write("docs/conf.txt", f"{checkout.path.name}\n")
        checkout.ok("commit", "-q", "--no-verify", "-am", "conf")
    fix(shared)
    shared.ok("config", "diff.noprefix", "true")
    assert other.git(way, "third").status == 1
    other.write("docs/conf.txt", "both\n")
    other.ok("add", "docs/conf.txt")
    refused = other.git("commit", "--no-edit", agent="bob")
    below = Checkout(other.path / "docs", other.home)
    assert next_command(refused.both)[:2] == ["buildguard", "cherry-pick"]
    told = below.run(*first_command(refused.both))
    assert below.run(*next_command(told.out)).status == 0
    done = below.git("commit", "--no-edit", agent="bob")
    assert done.status == 0, done
    assert other.ok("show", "HEAD:app.txt") == "fine"


# Several.


def several(here: Checkout) -> list[str]:
    """A fix in three commits, oldest first; the last is one more to the file of the first."""
    main = Checkout(here.path.parent / "repository", here.home)
    fixed(main, "helper.txt", "helper\n")
    fixed(main, "app.txt", (main.path / "app.txt").read_text().replace("nine", "NINE"))
    return here.ok("rev-list", "--reverse", "-3", "main").split()


def test_several_become_one_commit_each_in_the_given_order(here: Checkout) -> None:
    one, two, three = several(here)
    assert here.buildguard("cherry-pick", two, agent="bob").status == 0
    done = here.buildguard("cherry-pick", one, two, three, "--json", agent="bob")
    assert done.status == 0, done
    answer = json.loads(done.out)
    assert [answer[key] for key in ("outcome", "picked", "not_picked")] == ["picked", [one, two, three], []]
    assert here.ok("rev-parse", "HEAD^{tree}") == here.ok("rev-parse", "main^{tree}")
    assert here.ok("rev-list", "--count", "main^^^..HEAD") == "3"


def test_each_has_its_line(here: Checkout) -> None:
    one, two, _ = several(here)
    assert here.buildguard("cherry-pick", one, agent="bob").status == 0
    done = here.buildguard("cherry-pick", one, two, agent="bob")
    assert done.out == (
        f"buildguard: already here: this branch has what {one[:12]} changes\n"
        f"buildguard: picked: {two[:12]} is {here.ok('rev-parse', 'HEAD')[:12]} on this branch; commit again\n"
    )


def test_the_first_that_does_not_go_in_stops(here: Checkout) -> None:
    one, two, three = several(here)
    done = here.buildguard("cherry-pick", two, three, one, agent="bob")
    assert (done.status, done.out) == (
        1,
        f"buildguard: picked: {two[:12]} is {here.ok('rev-parse', 'HEAD')[:12]} on this branch\n"
        f"buildguard: not picked: {three[:12]} does not go in cleanly here; nothing was changed\n"
        f"buildguard: not tried: {one[:12]}\n"
        "buildguard: make its change by hand, and commit\n"
        f"next: git show {three[:12]}\n",
    )
    assert here.ok("status", "--porcelain") == "A  bob.txt"


def test_names_are_looked_up_before_anything_is_changed(here: Checkout) -> None:
    head = here.ok("rev-parse", "HEAD")
    assert here.buildguard("cherry-pick", "main", "nothing-of-that-name", agent="bob").status == 2
    assert here.buildguard("cherry-pick", agent="bob").status == 2
    assert here.ok("rev-parse", "HEAD") == head


def test_a_lock_on_the_way_leaves_the_rest_to_the_next_command(here: Checkout) -> None:
    one, two, _ = several(here)
    commit = holding_the_lock(here)
    done = here.buildguard("cherry-pick", "--timeout", "0.1s", one, two, agent="bob")
    assert done.status == 75
    assert done.out.endswith(f"next: buildguard cherry-pick --agent bob {one[:12]} {two[:12]}\n")
    (here.path.parent / "gate").write_text("go\n")
    assert commit.ends().status == 0


# Which change of which commit.


def test_a_merge_is_what_it_brought_to_its_first_parent(here: Checkout) -> None:
    main = Checkout(here.path.parent / "repository", here.home)
    main.ok("checkout", "-qb", "side", "main^")
    main.ok("merge", "-q", "--no-ff", "--no-verify", "-m", "the merge", "main")
    done = here.buildguard("cherry-pick", "side", agent="bob")
    assert done.status == 0, done
    assert here.ok("log", "-1", "--format=%s %P") == f"the merge {here.ok('rev-parse', 'main^')}"
    assert "line nine" in here.ok("show", "HEAD:app.txt")


def test_a_first_commit_is_all_its_files(here: Checkout) -> None:
    tree = here.ok("rev-parse", "main:")
    here.ok("commit", "-q", "--no-verify", "-m", "bob")
    first = here.ok("commit-tree", here.ok("rev-parse", "HEAD:"), "-m", "first")
    main = Checkout(here.path.parent / "repository", here.home)
    done = main.buildguard("cherry-pick", first, agent="ann")
    assert (done.status, "app.txt" in done.out or "cleanly" in done.out) == (1, True), done
    assert main.ok("rev-parse", "HEAD:") == tree
    main.ok("rm", "-qr", ".")
    main.ok("commit", "-qm", "none", "--no-verify")
    assert main.buildguard("cherry-pick", first, agent="ann").status == 0
    assert main.ok("rev-parse", "HEAD:") == here.ok("rev-parse", "HEAD:")


def test_a_branch_without_commits_gets_its_first(here: Checkout) -> None:
    here.ok("checkout", "-q", "--orphan", "new")
    here.ok("rm", "-rqf", ".")
    done = here.buildguard("cherry-pick", here.ok("rev-list", "--max-parents=0", "main"), agent="bob")
    assert done.status == 0, done
    assert here.ok("log", "--format=%s") == "first"


def test_what_a_shallow_clone_has_no_parent_of_is_not_taken_for_all_its_files(here: Checkout) -> None:
    shallow = Checkout(here.path.parent / "shallow", here.home)
    url = f"file://{here.path.parent}/repository"
    here.ok("clone", "-q", "--depth=1", "-b", "main", url, str(shallow.path))
    shallow.ok("rm", "-q", "new and [odd] näme.txt")
    shallow.ok("commit", "-qm", "removed")
    done = shallow.buildguard("cherry-pick", "HEAD^", agent="ann")
    assert done.status == 1
    assert done.both.count("\n") == 3, done
    assert shallow.ok("log", "-1", "--format=%s") == "removed"
