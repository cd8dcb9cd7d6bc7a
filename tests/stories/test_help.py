"""Help: groups, examples, topics, completion, and the settings in force."""

import json
import re
import shutil
import subprocess

import click
import pytest
from testing.documents import REFERENCE, rows, section
from testing.screen import Screen
from testing.support import BUILDGUARD, Checkout

from buildguard.cli import cli
from buildguard.cli.helping import EXAMPLES, EXITS, SECTIONS
from buildguard.settings import in_force


def test_every_command_stands_under_a_heading_and_has_an_example() -> None:
    text = cli.get_help(click.Context(cli, info_name="buildguard"))
    assert re.findall(r"(?m)^(\w[\w ]*):$", text) == ["Options", *dict.fromkeys(SECTIONS.values())]
    assert EXAMPLES.keys() == cli.commands.keys()
    for name, command in cli.commands.items():
        assert f"\n  {name} " in text
        assert f"Example: buildguard {name}" in command.get_help(click.Context(command, info_name=name))


def test_the_exit_codes_in_help_are_those_of_the_reference() -> None:
    told = {int(row[0]): row[1].replace("`", "") for row in rows(section(REFERENCE, "Exit codes"))}
    assert {int(code): text for code, text in EXITS.items()} == told


@pytest.mark.parametrize(("words", "hint"), [(("stauts",), "status"), (("status", "--jsno"), "--json")])
def test_a_mistyped_word_gets_the_nearest_one(checkout: Checkout, words: tuple[str, ...], hint: str) -> None:
    done = checkout.buildguard(*words)
    assert done.status == 2
    assert re.search(rf"(Did you mean|Possible options)\b.*{hint}", done.both)


def test_help_explains_a_command_and_the_topics(checkout: Checkout) -> None:
    assert checkout.buildguard("help", "wait").out == checkout.buildguard("wait", "--help").out
    topics = checkout.buildguard("help", "topics").out
    assert re.search(r"(?m)^  75 +busy: somebody else is fixing", topics)
    assert re.search(r"(?m)^  stale-after +BUILDGUARD_STALE_AFTER \[900 s\]$", topics)
    assert checkout.buildguard("help", "nonsense").status == 2


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_help_fits_the_terminal_and_breaks_no_word(checkout: Checkout, columns: int) -> None:
    words = set(re.findall(r"\S+", checkout.buildguard("status", "--help", COLUMNS="100").out))
    with Screen(checkout, columns, BUILDGUARD, "status", "--help") as screen:
        assert screen.ends() == 0
        lines = screen.raw.replace("\r", "").splitlines()
        assert max(map(len, lines)) <= columns
        assert set(" ".join(lines).split()) == words


def test_the_version_is_told_by_a_letter_too(checkout: Checkout) -> None:
    assert checkout.buildguard("-V").out == checkout.buildguard("--version").out != ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(checkout: Checkout, shell: str) -> None:
    done = checkout.buildguard("completion", shell)
    assert (done.status, "_BUILDGUARD_COMPLETE" in done.out) == (0, True)


def test_bash_completes_a_command_and_an_option(checkout: Checkout) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here: its completion was not tried")
    script = 'eval "$(buildguard completion bash)"; COMP_WORDS=(buildguard {}); COMP_CWORD={}; '
    script += 'complete -p buildguard >/dev/null && _buildguard_completion buildguard; echo "${{COMPREPLY[*]}}"'
    for words, place, found in (("sta", 1, "status"), ("log --ht", 2, "--html")):
        argv = (bash, "-c", script.format(words, place))
        done = subprocess.run(argv, env=checkout.env(), cwd=checkout.path, capture_output=True, text=True)
        assert done.stdout.split() == [found], done


def test_config_tells_each_setting_and_where_it_comes_from(checkout: Checkout) -> None:
    own = checkout.home / ".config" / "buildguard" / "config.toml"
    own.parent.mkdir(parents=True)
    own.write_text("slots = 2\n")
    done = checkout.buildguard("config", "--build", "lint", BUILDGUARD_WAIT="2m")
    lines = done.out.splitlines()
    for line in (
        f"buildguard: check: ! grep -q BROKEN app.txt ({checkout.path}/.buildguard.toml: check)",
        "buildguard: build: lint (--build)",
        "buildguard: wait: 120 s (BUILDGUARD_WAIT)",
        "buildguard: stale-after: 900 s (default)",
        f"buildguard: slots: 2 ({own}: slots)",
    ):
        assert line in lines
    settings = json.loads(checkout.buildguard("config", "--json").out)["settings"]
    assert {"name": "reuse", "value": "120 s", "source": "default"} in settings


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (("-m", "x y", "--agent", "ann"), "--agent ann -m 'x y'"),
        (("--json", "-am", "x", "--agent=ann", "--", "a"), "--json --agent=ann -am x -- a"),
        (("-m", "x", "--fresh", "--allow-empty"), "--fresh -m x --allow-empty"),
    ],
)
def test_an_option_of_ours_behind_git_s_is_put_before_them(
    checkout: Checkout, words: tuple[str, ...], again: str
) -> None:
    done = checkout.buildguard("commit", *words)
    assert done.status == 2
    told = json.loads(done.out)["next"] if "--json" in words else done.last.removeprefix("next: ")
    assert told == f"buildguard commit {again}"


def test_what_a_message_says_is_no_option(checkout: Checkout) -> None:
    done = checkout.buildguard("commit", "--allow-empty", "-m", "--agent")
    assert done.status == 0, done
    assert checkout.ok("log", "-1", "--format=%s") == "--agent"


@pytest.mark.parametrize("words", [("agents",), ("completion",)])
def test_wrong_words_are_told_in_one_line_that_ends_on_the_help(checkout: Checkout, words: tuple[str, ...]) -> None:
    done = checkout.buildguard(*words)
    assert done.status == 2
    assert "\\n" not in done.err
    first, following = done.err.splitlines()
    assert first.startswith("buildguard: error: ")
    assert following == f"next: buildguard {words[0]} --help"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("postgres://me:secret@host/db", "postgres://…@host/db"),
        ("postgres://u:se/cret@host/db?sslpassword=secret", "postgres://…@host/db?…"),
    ],
)
def test_no_password_is_told(address: str, told: str) -> None:
    found = {name: value for name, value, _ in in_force({"check": f"echo {address}"}, {}, None)}
    assert found["check"].endswith(told)
    assert "secret" not in found["check"]
