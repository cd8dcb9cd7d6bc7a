"""What a coding agent may not run, by 2,000 command lines with and without it, in a real repository."""

import os
import random
import re
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from testing.support import Checkout, new_repository

from buildguard.agents.processes import sees_all
from buildguard.commands.agent_hook import _OF_INTEREST
from buildguard.commands.refusing import Instead, Judge
from buildguard.git.repository import find_repository

LINES = 2000
DOCUMENT = "cat <<'EOF' > notes.md\ngit commit --no-verify\nrm .git/index.lock\nEOF"
FORBIDDEN = (
    "git commit --no-verify -m x",
    "git commit -n",
    "git commit -anm 'x y'",
    "git commit --no-veri -m x",
    "git -C . commit -n -m x",
    "git commit -m \"$(cat <<'EOF'\nIt isn't done (yet)\n\nSigned: me\nEOF\n)\" --no-verify",
    'git commit -m "$MESSAGE" -n',
    "git commit -m 'x' > log -n",
    "git -c core.hooksPath=/dev/null commit -m x",
    "git -c CORE.hookspath= merge topic",
    "GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.hooksPath GIT_CONFIG_VALUE_0=/dev/null git commit -m x",
    "GIT_CONFIG_PARAMETERS=\"'core.hooksPath=/dev/null'\" git commit -m x",
    "BUILDGUARD=0 git commit -m x",
    "env SKIP=buildguard git commit -am x",
    "timeout 60 git commit -n",
    "cd . && git commit -n",
    'cd "$(git rev-parse --show-toplevel)" && git commit -n',
    "rm -f .git/index.lock",
    'rm "$(git rev-parse --git-dir)/index.lock"',
    "unlink .git/index.lock",
    "mv .git/index.lock /tmp/old",
    "cd .git && rm index.lock && cd ..",
)
HARMLESS = (
    "git status",
    "git stash list -n 3",
    "git log -n 5 --oneline",
    "git merge -n topic",
    "git cherry-pick -n HEAD",
    "git push --no-verify",
    "git grep -n commit",
    "git -c user.name=x commit -m y",
    "git -c core.hooksPath=/dev/null status",
    "git commit -m 'never use --no-verify'",
    'git commit -m "rm .git/index.lock"',
    "git commit -m -n",
    "git commit -m x -- -n",
    "git commit -F msg -- n",
    "git commit --dry-run -n",
    "git commit -m \"$(cat <<'EOF'\ngit commit --no-verify is bad\nrm .git/index.lock\nEOF\n)\"",
    "echo 'git commit --no-verify'",
    "echo git commit --no-verify",
    "printf '%s\\n' \"git commit -n\" >> notes.md",
    "grep -rn index.lock .",
    "ls -la .git/index.lock",
    "[ -e .git/index.lock ] && echo busy",
    "while [ -e .git/index.lock ]; do sleep 0.1; done",
    "alias x='git commit -n'",
    "python3 -c 'print(\"git commit -n\")'",
    "f() { git commit -n; }",
    "# git commit -n",
    "git -C ELSEWHERE commit -n",
    "(cd ELSEWHERE && git commit -n -m x)",
    "git --git-dir=ELSEWHERE/.git commit -n",
    "GIT_DIR=ELSEWHERE/.git git commit -n",
    "rm -f ELSEWHERE/.git/index.lock",
    'git -C "$THERE" commit -n',
    "rm index.lock",
    "rm -rf build",
    DOCUMENT,
    "cat <<EOF | tee notes.md\n$(date) git commit -n\nEOF",
    "buildguard commit -m 'x' -- app.txt",
    "if git diff --quiet; then echo same; fi",
)
FRAMES = (
    "{}",
    "{}",
    "{}",
    "( {} )",
    "{{ {}; }}",
    "if true; then {}; fi",
    "x=$( {} )",
    "bash -c Q",
    "! {}",
    "{} 2>&1 | cat",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    folder = tmp_path_factory.mktemp("a place")
    new_repository(folder / "elsewhere", folder / "home")
    return new_repository(folder / "repository", folder / "home")


def composed(chance: random.Random, pieces: Sequence[str]) -> str:
    """These pieces as one command line. A document and a comment end with their line."""
    found = ""
    for piece in pieces:
        whole_line = "<<" in piece or piece.startswith("#")
        frame = "{}" if whole_line or "() {" in piece else chance.choice(FRAMES)
        framed = f"bash -c {shlex.quote(piece)}" if frame.endswith("Q") else frame.format(piece)
        found += framed + ("\n" if whole_line else chance.choice((" && ", "; ", "\n", " || ", " &&\n  ")))
    return found + "true"


def judge(place: Checkout) -> Judge:
    return Judge(find_repository(place.path, place.env()), place.path, ("--agent", "ann"), lambda: "")


def why_not(place: Checkout, line: str) -> str:
    no = judge(place).refusal(line)
    return no.why if no else ""


def test_none_of_2000_lines_is_judged_wrongly(place: Checkout) -> None:
    chance, elsewhere = random.Random(13), str(place.path.parent / "elsewhere")
    ann, wrong = judge(place), []
    for _ in range(LINES):
        pieces = chance.choices(HARMLESS, k=chance.randint(1, 4))
        bad = chance.random() < 0.5
        if bad:
            pieces.insert(chance.randint(0, len(pieces)), chance.choice(FORBIDDEN))
        line = composed(chance, [piece.replace("ELSEWHERE", shlex.quote(elsewhere)) for piece in pieces])
        # The hook looks no further at a line without any of these words.
        of_interest = re.search(_OF_INTEREST, line, re.IGNORECASE) is not None
        if (of_interest and ann.refusal(line) is not None) != bad:
            wrong.append((bad, line))
    assert wrong == []


@pytest.mark.parametrize("piece", [*FORBIDDEN, *HARMLESS])
def test_each_piece_of_those_lines_is_a_command_line(piece: str) -> None:
    assert subprocess.run(["bash", "-n", "-c", piece]).returncode == 0


@pytest.mark.parametrize("state", ["MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply"])
def test_no_commit_is_refused_in_the_middle_of_something(checkout: Checkout, state: str) -> None:
    (checkout.path / ".git" / state).mkdir()
    assert why_not(checkout, "git commit -n") == ""
    assert "index.lock" in why_not(checkout, "rm .git/index.lock")


def test_a_switch_of_the_hook_runner_is_refused_where_it_is_used(checkout: Checkout) -> None:
    assert why_not(checkout, "HUSKY=0 git commit -m x") == ""
    (checkout.path / ".husky").mkdir()
    assert "HUSKY=0 goes past the check" in why_not(checkout, "HUSKY=0 git commit -m x")


def test_the_lock_of_another_work_tree_of_this_repository_is_protected(checkout: Checkout) -> None:
    linked = checkout.work_tree("linked")
    lock = Path(linked.ok("rev-parse", "--absolute-git-dir")) / "index.lock"
    assert "index.lock" in why_not(checkout, f"rm {shlex.quote(str(lock))}")


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("git commit -nm 'a b' -- x", "buildguard commit --agent ann -m 'a b' -- x"),
        ('git commit -m "$X" --no-verify', 'buildguard commit --agent ann -m "$X"'),
        (
            "git add -A && git commit -n -m a && git push",
            "git add -A && buildguard commit --agent ann -m a && git push",
        ),
        ('echo "ü"; ( git commit -n ) 2>&1 | cat', 'echo "ü"; ( buildguard commit --agent ann ) 2>&1 | cat'),
        ("GIT_EDITOR=vi git commit -n *.py", "GIT_EDITOR=vi buildguard commit --agent ann *.py"),
        ("git commit -m \"$(cat <<'E'\nx\nE\n)\" -n", "buildguard commit --agent ann -m x"),
        (
            "git add -A && git commit -n -m \"$(cat <<'EOF'\nIt isn't $X\n\nSigned: me\nEOF\n)\"",
            "git add -A && buildguard commit --agent ann -m \"$(printf %b 'It isn'\"'\"'t $X\\n\\nSigned: me')\"",
        ),
        ("git -c core.hooksPath= -c user.name=x commit", "git -c user.name=x buildguard commit --agent ann"),
        ("git commit -n -F - <<'E'\nx\nE", ""),
        ('git commit -n -m "$(cat <<E\n$X\nE\n)"', ""),
        ("git commit -n -m a; git commit -n -m b", ""),
        ("git commit >log -n", ""),
        ("git commit '-n' -m \"-n\"", "buildguard commit --agent ann -m -n"),
        ("bash -c 'git commit -n'", ""),
        ("SKIP=buildguard git commit -m x", ""),
        ("git add -A\ngit commit -n", ""),
        ("cd sub && git -C .. commit -n", "cd sub && git -C .. buildguard commit --agent ann"),
        ("git -c core.hooksPath= commit -am x", "buildguard commit --agent ann -a -m x"),
        ("git -c core.hooksPath= push -u origin x", "git push -u origin x"),
        ("rm .git/index.lock", ""),
    ],
)
def test_it_tells_the_command_to_run_instead(checkout: Checkout, line: str, instead: str) -> None:
    (checkout.path / "sub").mkdir()
    no = judge(checkout).refusal(line)
    assert isinstance(no, Instead)
    assert no.line == instead


def test_the_line_to_run_instead_does_what_was_meant(checkout: Checkout) -> None:
    checkout.write("new.txt", "")
    message = 'It isn\'t\n\n$X `y` "z"'
    line = f"git add -A && git commit -n -m \"$(cat <<'EOF'\n{message}\nEOF\n)\" && git tag done"
    no = judge(checkout).refusal(line)
    assert no is not None
    assert checkout.run("sh", "-c", no.line).status == 0
    assert checkout.ok("log", "-1", "--format=%B", "done").strip() == message
    assert "new.txt" in checkout.ok("ls-files")


def test_a_commit_whose_message_is_piped_into_it_is_told_with_its_pipe(checkout: Checkout) -> None:
    no = judge(checkout).refusal("echo piped | git commit -n --allow-empty -F -")
    assert no is not None
    assert checkout.run("sh", "-c", no.line).status == 0
    assert checkout.ok("log", "-1", "--format=%s") == "piped"


def test_where_no_line_can_be_told_words_tell_what_to_run(place: Checkout) -> None:
    how = "run the same line without that, and with `buildguard commit --agent ann` for `git commit`"
    assert why_not(place, "SKIP=buildguard git commit -m x").endswith(how)


@pytest.mark.skipif(not sees_all(), reason="a container: no lock is ever known to be left behind here")
@pytest.mark.parametrize(("hours", "instead"), [(0, ""), (1, "buildguard doctor --mend")])
def test_an_agent_is_sent_to_remove_a_lock_only_where_that_can_be_done(
    checkout: Checkout, hours: int, instead: str
) -> None:
    lock = checkout.path / ".git" / "index.lock"
    lock.write_bytes(b"")
    os.utime(lock, (time.time() - 3600 * hours,) * 2)
    no = judge(checkout).refusal("rm -f .git/index.lock && git status")
    assert no is not None
    assert no.line == instead
