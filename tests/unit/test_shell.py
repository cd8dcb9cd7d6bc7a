"""What a command line certainly runs, as the hooks of coding agents read it."""

import pytest

from buildguard.agents.shell import UNKNOWN, calls


def run(line: str) -> list[tuple[str, ...]]:
    return [call.argv for call in calls(line)]


@pytest.mark.parametrize(
    "line",
    [
        "git commit -n",
        "git com''mit '-n'",
        'g"i"t commit \\\n  -n',
        "FOO=1 git commit -n",
        "git commit >log -n",
        "2>/dev/null git commit -n",
        "git commit <<EOF -n\nhi\nEOF",
        "/usr/bin/git commit -n",
        "env -i B=1 git commit -n",
        "timeout -k 5 30 nice -n 3 git commit -n",
        "sudo -n git commit -n",
        "command git commit -n",
        "! git commit -n",
        "git commit -n &",
        "git commit -n # a note",
        "{ git commit -n; }",
    ],
)
def test_a_command_is_read_as_the_program_gets_it(line: str) -> None:
    assert run(line) == [("git", "commit", "-n")]


@pytest.mark.parametrize(
    "line",
    [
        "bash -c 'git commit -n'",
        'sh -ec "git commit -n"',
        "eval git commit -n",
        "bash -c \"sh -c 'git commit -n'\"",
    ],
)
def test_what_a_shell_is_given_to_run_is_read_too(line: str) -> None:
    assert run(line)[-1] == ("git", "commit", "-n")


@pytest.mark.parametrize(
    "line",
    [
        "echo git commit -n",
        "echo 'git commit -n'",
        "# git commit -n",
        "cat <<'EOF'\ngit commit -n\nEOF",
        "cat <<EOF\n$(git commit -n)\nEOF",
        "f() { git commit -n; }",
        'git log --grep "git commit -n"',
        "git commit -n (",
        "if git commit -n",
        "env -C /other git commit -n",
        "x=" + "y" * 70_000 + "; git commit -n",
    ],
)
def test_what_does_not_certainly_run_is_none_of_the_commands(line: str) -> None:
    assert ("git", "commit", "-n") not in run(line)


@pytest.mark.parametrize("word", ["$X", '"$X"', "$(date)", "`date`", "${X:-y}", "*.py", "~", "<(date)", "$'a\\n'"])
def test_what_only_the_shell_will_know_is_told_apart(word: str) -> None:
    assert run(f"git add {word}")[-1] == ("git", "add", UNKNOWN + (".py" if word == "*.py" else ""))


def test_the_text_around_what_is_not_known_is_kept() -> None:
    assert run('rm -f "$(git rev-parse --git-dir)/index.lock"')[-1] == ("rm", "-f", f"{UNKNOWN}/index.lock")


def test_a_message_from_a_document_is_one_word() -> None:
    line = 'git commit -m "$(cat <<\'EOF\'\nIt isn\'t ("quoted") `x`\n\ngit commit -n\nEOF\n)" --amend'
    message = 'It isn\'t ("quoted") `x`\n\ngit commit -n'
    assert run(line) == [("cat",), ("git", "commit", "-m", message, "--amend")]


@pytest.mark.parametrize(
    "document", ["<<EOF\n$X\nEOF", "<<'EOF'\na\\b\nEOF", "<<'E'\na\nE\nb\nE", "<<EOF; ls\na\nEOF"]
)
def test_a_document_that_only_the_shell_can_read_is_told_apart(document: str) -> None:
    assert (UNKNOWN,) in [words[2:] for words in run(f'git add "$(cat {document}\n)"')] or run(document) == []


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ("cd sub && git status", "sub"),
        ("cd /a; cd b; git status", "/a/b"),
        ("(cd sub); git status", ""),
        ("cd sub | git status", ""),
        ("x=$(cd sub); git status", ""),
        ("bash -c 'cd sub'; git status", ""),
        ("cd; git status", UNKNOWN),
        ("cd - && git status", UNKNOWN),
        ("cd $(git rev-parse --show-toplevel) && git status", ""),
        ('cd "$X" && git status', UNKNOWN),
        ("pushd sub && git status", UNKNOWN),
    ],
)
def test_a_cd_before_it_moves_a_command(line: str, folder: str) -> None:
    found = [call.folder for call in calls(line) if call.argv[0] == "git"][-1]
    assert found.removesuffix("/") == folder


def test_the_variables_of_one_command_are_its_own() -> None:
    first, second = calls("env A='x y' B=$C git status; git log")
    assert (first.variables, second.variables) == ({"A": "x y", "B": UNKNOWN}, {})
