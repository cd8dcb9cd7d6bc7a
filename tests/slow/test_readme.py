"""The commands in the documents do what is said there: every one of them is run, in the scene that it names."""

import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest
from testing.documents import CONTRIBUTING, README, Block, blocks, commands
from testing.support import PROJECT, Checkout, Done, ended, environment, new_repository
from testing.tools import INSTALLS, copied

pytestmark = INSTALLS

UNREACHABLE = re.compile(
    r"NewConnectionError|Failed to establish a new connection|ProxyError|ConnectTimeout|Failed to fetch"
)
A_FEW_TESTS = "tests/unit/test_rules.py tests/slow/test_benchmarks.py -k 'test_rules or overlap'"
"""One quick file, and one of the slow tests that is quick."""
BROKEN = "def test_it() -> None:\n    assert False\n"
LEFT_OUT = "…"
SPEAKERS = ("demo", "agent-a", "agent-b", "buildguard:")


def shell(text: str, folder: Path, variables: dict[str, str]) -> Done:
    """Commands as a reader runs them: in one shell, up to the first one that fails."""
    started = subprocess.Popen(
        ["/bin/sh", "-ec", text],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return ended(started, within=600)


def installed(text: str, folder: Path, variables: dict[str, str]) -> Done:
    """Commands that install something; the test is skipped, aloud, where nothing can be installed."""
    done = shell(text, folder, variables)
    if done.status != 0 and UNREACHABLE.search(done.both):
        pytest.skip("the package index cannot be reached, so nothing can be installed")
    assert done.status == 0, (text, done)
    return done


def outside(home: Path) -> dict[str, str]:
    """An environment of somebody else's that reaches the package index as ours does."""
    home.mkdir()
    cache = os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip"))
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    return environment(home, PIP_CACHE_DIR=cache, **proxies)


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


def test_the_set_up_commands_work_on_a_fresh_clone(tmp_path: Path) -> None:
    clone, programs = tmp_path / "clone", tmp_path / "programs"
    copied(clone)
    programs.mkdir()
    (programs / "python3.11").write_text(f'#!/bin/sh\nexec "{sys._base_executable}" "$@"\n')  # type: ignore[attr-defined]
    (programs / "python3.11").chmod(0o755)
    variables = outside(tmp_path / "home")
    variables["PATH"] = f"{programs}:{os.environ['PATH']}"
    # The whole of the tests would run itself again, and again.
    variables["PYTEST_ADDOPTS"] = A_FEW_TESTS
    demo, tests = (installed(block.text, clone, variables) for block in commands("clone", README))
    assert "seen: one claim" in demo.out
    assert len(re.findall(r"(?m)^\d+ passed.* in [0-9.]+s", tests.out)) == 2, "the quick ones and the slow ones"


@pytest.fixture(scope="module")
def installers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pipx and uv."""
    folder = tmp_path_factory.mktemp("installers")
    venv.create(folder / "venv", with_pip=True)
    installed("venv/bin/pip install -q pipx uv", folder, outside(folder / "home"))
    return folder / "venv" / "bin"


@pytest.mark.parametrize("block", commands("tool", README), ids=lambda block: block.name)
def test_each_way_to_install_it_brings_both_commands(tmp_path: Path, installers: Path, block: Block) -> None:
    clone, home = tmp_path / "clone", tmp_path / "home"
    copied(clone)
    variables = outside(home)
    variables["PATH"] = f"{installers}:{os.environ['PATH']}"
    installed(block.text, clone, variables)
    for name in ("buildguard", "git-buildguard"):
        done = shell(f'"$HOME/.local/bin/{name}" --version', tmp_path, variables)
        assert done.out.startswith("buildguard, version"), done


@pytest.mark.parametrize("block", commands("repository"), ids=lambda block: block.name)
def test_each_way_to_install_the_hook_guards_the_next_commit(tmp_path: Path, block: Block) -> None:
    checkout = repository(tmp_path)
    done = shell(block.text, checkout.path, checkout.env("agent-a"))
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
    done = shell(block.text, checkout.path, checkout.env("agent-a"))
    assert done.status == 0, done


def test_two_clones_with_one_database_see_each_other(tmp_path: Path) -> None:
    (block,) = [block for block in commands("guarded", README) if "BUILDGUARD_DB" in block.text]
    origin = repository(tmp_path)
    guard(origin)
    for name, agent, expected in (("one", "agent-a", 0), ("two", "agent-b", 75)):
        origin.ok("clone", "-q", str(origin.path), str(tmp_path / name))
        text = f"{block.text}buildguard claim --scope repo"
        done = shell(text, tmp_path / name, origin.env(agent))
        assert done.status == expected, done


def test_the_example_of_a_fix_fixes(tmp_path: Path) -> None:
    checkout = repository(tmp_path)
    guard(checkout)
    checkout.write("test_it.py", BROKEN)
    checkout.ok("commit", "-q", "--no-verify", "-am", "broken")
    (block,) = commands("broken")
    done = shell(block.text, checkout.path, checkout.env("agent-a"))
    assert done.status == 0, done
    assert "1 failed" in done.both
    assert "1 passed" in done.both


def test_the_mutant_of_the_contributors_page_is_killed(tmp_path: Path) -> None:
    (block,) = commands("mutant", CONTRIBUTING)
    copied(tmp_path / "clone")
    clone = Checkout(tmp_path / "clone", tmp_path / "home", {"PYTHONPATH": str(tmp_path / "clone")})
    (clone.path / ".venv").symlink_to(sys.prefix)
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org")
    clone.ok("init", "-q")
    clone.ok("add", "-A")
    clone.ok(*identity, "commit", "-q", "-m", "the work so far")
    done = shell(block.text, clone.path, clone.env())
    assert "buildguard/claims/rules.py" in done.out, "the mutant changes nothing"
    assert done.status == 1, done
    assert re.search(r"(?m)^\d+ failed", done.out), done


def test_the_transcript_is_what_the_demo_says(tmp_path: Path) -> None:
    shown = transcript()
    command, home = shown[0], tmp_path / "home"
    home.mkdir()
    done = shell(command.removeprefix("$ "), tmp_path, environment(home))
    assert done.status == 0, done
    for speaker in SPEAKERS:
        said, real = (lines_of(speaker, text) for text in (shown[1:], done.out.splitlines()))
        assert said, speaker
        assert in_order(said, real), f"the README shows another transcript than:\n{done.out}"


def test_the_transcript_shows_the_whole_story() -> None:
    text = "\n".join(transcript())
    for step in (" claimed:", " waiting:", " passes here, but", "next: ", " fixed:", " committing again", " seen:"):
        assert step in text


def test_the_transcript_check_notices_another_story() -> None:
    line = "agent-b | buildguard: busy: agent-a is fixing since 07:05 (1.0 s ago), claim 2"
    real = lines_of("agent-b", ["agent-b | before", line])
    assert in_order(lines_of("agent-b", [LEFT_OUT, line.replace("07:05", "08:06")]), real)
    assert not in_order(lines_of("agent-b", [line.replace("agent-a", "agent-c")]), real)
    assert not in_order(lines_of("agent-b", [line, "agent-b | before"]), real)


def transcript() -> list[str]:
    """The lines of the README's transcript, the command first."""
    (block,) = [block for block in blocks(README) if block.language == "console"]
    return block.text.splitlines()


def lines_of(speaker: str, lines: Sequence[str]) -> list[str]:
    """What one speaker says, without times, spans and the names of commits and checkouts."""
    varying = r"\b\w*-?[0-9a-f]{7,}\b|\d\d:\d\d|\d+(\.\d+)? (s|min)\b"
    return [re.sub(varying, "#", line.rstrip()) for line in lines if re.match(rf"{speaker}(\s+\||\s)", line)]


def in_order(some: Sequence[str], lines: Sequence[str]) -> bool:
    """Whether these lines are all among the others, in that order."""
    rest = iter(lines)
    return all(line in rest for line in some)


def test_ci_runs_the_very_set_up_commands() -> None:
    script = [line.strip() for line in (PROJECT / ".ci" / "run").read_text().splitlines()]
    wanted = [line for block in commands("clone", README) for line in block.text.splitlines()]
    assert len(wanted) == 3
    assert [line for line in wanted if not any(line in one for one in script)] == []


def test_ci_fails_where_nothing_can_be_installed_and_leaves_nothing(tmp_path: Path) -> None:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    bare = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull, "TMPDIR": str(temporary)}
    done = shell(f'"{PROJECT}/.ci/run"', tmp_path, environment(home, CI="true", **bare))
    assert done.status == 1, done
    assert "ci: error: the demo" in done.err
    assert list(temporary.iterdir()) == []
