"""The README and the reference say what is so: every command of the README is run, every table is compared with the
program."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from testing.support import PROJECT, Checkout, Done, ended, environment, new_repository
from testing.tools import INSTALLS, copied

from buildguard import settings
from buildguard.cli import cli
from buildguard.errors import Exit

pytestmark = INSTALLS

README = (PROJECT / "README.md").read_text(encoding="utf-8")
REFERENCE = PROJECT / "docs" / "reference.md"
TOLD = README + (REFERENCE.read_text(encoding="utf-8") if REFERENCE.exists() else "")
"""What the tables and the commands in running text are read from."""
UNREACHABLE = re.compile(r"NewConnectionError|Failed to establish a new connection|ProxyError|ConnectTimeout")
SCENES = ("anywhere", "clone", "repository", "guarded", "broken")
A_FEW_TESTS = "tests/unit/test_rules.py tests/slow/test_benchmarks.py -k 'test_rules or overlap'"
"""One quick file, and one of the slow tests that is quick."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the scene that the comment above it names."""

    language: str
    text: str
    scene: str | None

    @property
    def name(self) -> str:
        return self.text.partition("\n")[0][:50]


def blocks() -> list[Block]:
    shape = r"(?:<!-- scene: (\w+) -->\n)?^```(\w*)\n(.*?)^```$"
    return [
        Block(language, text, scene or None) for scene, language, text in re.findall(shape, README, re.M | re.S)
    ]


def commands(scene: str) -> list[Block]:
    return [block for block in blocks() if block.language == "sh" and block.scene == scene]


def table(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = re.split(rf"^#+ {re.escape(heading)}$", TOLD, flags=re.M)[1]
    section = re.split(r"^#+ ", section, flags=re.M)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def shell(block: Block, folder: Path, variables: dict[str, str], within: float = 600) -> Done:
    """The block as a reader runs it: in one shell, up to the first command that fails."""
    started = subprocess.Popen(
        ["/bin/sh", "-ec", block.text],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return ended(started, within)


def repository(tmp_path: Path) -> Checkout:
    """Somebody's repository with a passing test, beside a clone of buildguard, and without a hook."""
    (tmp_path / "buildguard").symlink_to(PROJECT)
    checkout = new_repository(tmp_path / "repository", tmp_path / "home")
    (checkout.path / ".git" / "hooks" / "pre-commit").unlink()
    checkout.ok("rm", "-q", "--cached", ".buildguard.toml")
    (checkout.path / ".buildguard.toml").unlink()
    checkout.write(".gitignore", "__pycache__/\n.pytest_cache/\n")
    checkout.write("test_it.py", "def test_it() -> None:\n    assert True\n")
    checkout.ok("add", "-A")
    checkout.ok("commit", "-q", "-m", "passing")
    return checkout


def guard(checkout: Checkout) -> None:
    checkout.write(".buildguard.toml", 'check = "pytest -q"\n')
    checkout.ok("add", "-A")
    checkout.ok("commit", "-q", "-m", "the check")
    shutil.copy(PROJECT / "hooks" / "pre-commit", checkout.path / ".git" / "hooks" / "pre-commit")


BROKEN = "def test_it() -> None:\n    assert False\n"


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.name)
def test_every_block_of_commands_is_run_by_a_test(block: Block) -> None:
    if block.language in ("sh", "console"):
        assert block.scene in SCENES, "a command that no test runs: name its scene above it"
    else:
        assert block.language in ("markdown", "toml", "yaml"), "say what the block is; commands are sh or console"
        assert block.scene is None


def test_the_set_up_commands_work_on_a_fresh_clone(tmp_path: Path) -> None:
    clone, home, programs = tmp_path / "clone", tmp_path / "home", tmp_path / "programs"
    copied(clone)
    home.mkdir()
    programs.mkdir()
    (programs / "python3.11").write_text(f'#!/bin/sh\nexec "{sys._base_executable}" "$@"\n')  # type: ignore[attr-defined]
    (programs / "python3.11").chmod(0o755)
    variables = environment(
        home, PIP_CACHE_DIR=os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip"))
    )
    variables |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    variables["PATH"] = f"{programs}:{os.environ['PATH']}"
    # The whole of the tests would run itself again, and again.
    variables["PYTEST_ADDOPTS"] = A_FEW_TESTS
    ended_so = []
    for block in commands("clone"):
        done = shell(block, clone, variables)
        if done.status != 0 and UNREACHABLE.search(done.both):
            pytest.skip("the package index cannot be reached, so nothing can be installed")
        assert done.status == 0, (block.text, done)
        ended_so.append(done)
    demo, tests, _ = ended_so
    assert "seen: one claim" in demo.out
    assert len(re.findall(r"(?m)^\d+ passed.* in [0-9.]+s", tests.out)) == 2, "the quick ones and the slow ones"
    linked = ended(
        subprocess.Popen([home / ".local/bin/git-buildguard", "--version"], stdout=subprocess.PIPE, text=True)
    )
    assert linked.out.startswith("buildguard, version")


@pytest.mark.parametrize("block", commands("repository"), ids=lambda block: block.name)
def test_each_way_to_install_the_hook_guards_the_next_commit(tmp_path: Path, block: Block) -> None:
    checkout = repository(tmp_path)
    done = shell(block, checkout.path, checkout.env("agent-a"))
    assert done.status == 0, done
    assert (checkout.path / ".buildguard.toml").read_text() == 'check = "pytest -q"\n'
    checkout.write("test_it.py", BROKEN)
    refused = checkout.git("commit", "-am", "broken", agent="agent-a")
    assert refused.status == 1, refused
    assert "you are the fixer" in refused.both


@pytest.mark.parametrize("block", commands("guarded"), ids=lambda block: block.name)
def test_the_commands_work_in_a_guarded_repository(tmp_path: Path, block: Block) -> None:
    checkout = repository(tmp_path)
    guard(checkout)
    checkout.write("app.txt", "changed\n")
    done = shell(block, checkout.path, checkout.env("agent-a"))
    assert done.status == 0, done


def test_the_example_of_a_fix_fixes(tmp_path: Path) -> None:
    checkout = repository(tmp_path)
    guard(checkout)
    checkout.write("test_it.py", BROKEN)
    checkout.ok("commit", "-q", "--no-verify", "-am", "broken")
    (block,) = commands("broken")
    done = shell(block, checkout.path, checkout.env("agent-a"))
    assert done.status == 0, done
    assert "1 failed" in done.both
    assert "1 passed" in done.both


def test_the_transcript_is_what_the_demo_says(tmp_path: Path) -> None:
    (block,) = [block for block in blocks() if block.language == "console"]
    line, _, shown = block.text.partition("\n")
    home, folder = tmp_path / "home", tmp_path / "anywhere"
    home.mkdir()
    folder.mkdir()
    done = shell(Block("sh", line.removeprefix("$ "), None), folder, environment(home))
    assert done.status == 0, done
    for speaker in ("demo", "agent-a", "agent-b", "buildguard:"):
        said, real = (essence(text, speaker) for text in (shown, done.out))
        assert said, speaker
        assert said == real, f"the README shows another transcript than:\n{done.out}"


def essence(transcript: str, speaker: str) -> list[str]:
    """What one speaker says, without what differs from run to run; of buildguard's lines the kind, and who."""
    return [_essential(line) for line in transcript.splitlines() if re.match(rf"{speaker}(\s+\||\s)", line)]


def _essential(line: str) -> str:
    line = re.sub(r"\b[0-9a-f]{7,}\b|\d\d:\d\d|\d+(\.\d+)? (s|min)\b", "#", line)
    said = re.match(r"(?P<who>\S+ +\| )?buildguard: (?P<kind>[^:]+)(?P<rest>.*)", line)
    if said is None:
        return line.rstrip()
    kind = " ".join(said["kind"].split()[:2])
    return " ".join([said["who"] or "", kind, *re.findall(r"agent-[ab]|claim \d+", said["rest"])])


def test_the_transcript_check_notices_another_story() -> None:
    other = "agent-b | buildguard: busy: agent-a is fixing since 07:05, claim 2"
    assert essence(other, "agent-b") != essence(other.replace("agent-a", "agent-c"), "agent-b")
    assert essence(other, "agent-b") != essence(other.replace("busy", "failed"), "agent-b")
    assert essence(other, "agent-b") == essence(other.replace("07:05", "08:06"), "agent-b")


def test_ci_runs_the_very_set_up_commands() -> None:
    script = [line.strip() for line in (PROJECT / ".ci" / "run").read_text().splitlines()]
    demo, tests, _ = commands("clone")
    assert [line for line in (*demo.text.splitlines(), *tests.text.splitlines()) if line not in script] == []


def test_ci_fails_where_nothing_can_be_installed_and_leaves_nothing(tmp_path: Path) -> None:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    bare = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull, "TMPDIR": str(temporary)}
    done = shell(Block("sh", f'"{PROJECT}/.ci/run"', None), tmp_path, environment(home, CI="true", **bare))
    assert done.status == 1, done
    assert "ci: error: the demo" in done.err
    assert list(temporary.iterdir()) == []


def test_the_table_of_commands_has_them_all() -> None:
    named = {name for row in table("Commands") for name in code(row[0])}
    assert named == set(cli.commands)


def test_every_command_that_is_named_exists_with_its_options() -> None:
    unknown = []
    for text in re.findall(r"`((?:git )?buildguard [^`\n]+)`", TOLD):
        words = text.removeprefix("git ").split()
        command = cli.commands.get(words[1])
        known = _options(command) if command else set()
        own = words[2 : words.index("--")] if "--" in words else words[2:]
        unknown += [text] * (command is None)
        unknown += [text for word in own if word.startswith("--") and word not in known]
    assert unknown == []


def _options(command: click.Command) -> set[str]:
    found = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return found | {"--help"}


def test_the_options_in_running_text_exist() -> None:
    named = set(re.findall(r"`(--[a-z-]+)", TOLD)) - {"--no-verify"}
    assert named <= {option for command in cli.commands.values() for option in _options(command)}


def test_the_table_of_exit_codes_has_them_all() -> None:
    assert [int(row[0]) for row in table("Exit codes")] == [int(code) for code in Exit]


def test_the_table_of_settings_has_them_all_with_their_options_and_variables() -> None:
    rows = table("Settings")
    assert [code(row[0])[0] for row in rows] == [
        "check", "build", "db", *[name for name in settings._PARSERS if name not in ("check", "build", "db")]
    ]  # fmt: skip
    options = {option for command in cli.commands.values() for option in _options(command)}
    for setting, option, variable, _ in rows:
        for word in code(option):
            assert word == "-- COMMAND" or word in options or word in cli.commands, setting
        assert code(variable) in ([], [f"BUILDGUARD_{code(setting)[0].upper().replace('-', '_')}"])


def test_the_table_of_settings_tells_the_real_defaults() -> None:
    real = settings.Settings()
    for setting, _, _, told in table("Settings"):
        value = getattr(real, code(setting)[0].replace("-", "_"))
        if isinstance(value, float):
            assert settings.duration(told.partition(";")[0], "README.md") == value
        elif value is None and "db" not in setting:
            assert told == "none"


def test_the_keys_of_the_json_object_are_all_there(tmp_path: Path) -> None:
    checkout = repository(tmp_path)
    section = TOLD.partition("### `--json`")[2].partition("\n#")[0].partition("stdout")[2]
    told = {name for name in code(section) if re.fullmatch("[a-z_]+", name)}
    answer = json.loads(checkout.buildguard("status", "--json", agent="a").out)
    assert {"schema", "outcome", "claim", "next"} <= told <= set(answer)


@pytest.mark.parametrize("row", table("What it says, and what to do"), ids=lambda row: row[0][:30])
def test_each_message_that_is_explained_is_one_that_the_program_has(row: list[str]) -> None:
    source = "\n".join(path.read_text() for path in sorted((PROJECT / "buildguard").rglob("*.py")))
    for message in code(row[0]):
        for part in filter(None, re.split(r"…|\(|\)", message)):
            assert part.strip(" :") in source, part


def test_it_warns_of_the_other_package_of_that_name() -> None:
    assert "Never `pip install buildguard`" in README
    installs = [block.text for block in blocks() if "pip install" in block.text]
    assert [text for text in installs if re.search(r"pip install (-q )?(git-)?buildguard", text)] == []


def test_the_block_for_agents_names_every_exit_code_that_a_commit_can_end_with() -> None:
    (block,) = [block for block in blocks() if block.language == "markdown"]
    explained = {
        int(number) for line in re.findall(r"(?m)^  - ([\d, ]+):", block.text) for number in line.split(",")
    }
    assert explained == {0, 1, 2, 4, 69, 70, 75}
    for rule in ("BUILDGUARD_AGENT", "`buildguard commit`", "--no-verify", "index.lock"):
        assert rule in block.text


def test_the_files_that_it_links_to_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (PROJECT / link).exists()] == []
