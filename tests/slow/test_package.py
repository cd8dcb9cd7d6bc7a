"""What is built and installed, and what the repository offers to others."""

import configparser
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path

import pytest
from testing.support import PROJECT, SCRIPTS, Checkout, Done, ended, environment
from testing.tools import INSTALLS, copied

pytestmark = INSTALLS

yaml = pytest.importorskip("yaml", reason="PyYAML comes with the pre-commit framework, which is not here")

PACKAGE = {
    str(path.relative_to(PROJECT))
    for path in (PROJECT / "buildguard").rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}


def call(folder: Path, *argv: str, **more: str) -> Done:
    started = subprocess.Popen(
        argv,
        cwd=folder,
        env=environment(folder, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return ended(started, within=600)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and a source distribution."""
    folder = tmp_path_factory.mktemp("built")
    tree = folder / "tree"
    copied(tree)
    done = call(tree, sys.executable, "-m", "hatchling", "build", "-d", str(folder))
    assert done.status == 0, done
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(built: Path, wheel: Path) -> Iterator[Path]:
    """The scripts of a fresh virtual environment with the wheel; what it depends on comes from the running one."""
    home = built / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    done = call(built, str(python), "-m", "pip", "install", "-q", "--no-index", "--no-deps", str(wheel))
    assert done.status == 0, done
    site = call(built, str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").out.strip()
    (Path(site) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    yield home / "bin"
    shutil.rmtree(home)


def test_the_wheel_has_all_of_the_package_with_its_folders_the_type_marker_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"buildguard/py.typed", "buildguard/claims/rules.py"} <= PACKAGE
    assert {name for name in names if name.startswith("buildguard/")} == PACKAGE
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in names)


def test_the_wheel_has_nothing_but_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {re.sub(r"-[0-9].*", "", top) for top in tops} == {"buildguard", "git_buildguard"}


def test_the_wheel_is_called_git_buildguard_and_has_both_commands(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        texts = {
            name.rpartition("/")[2]: archive.read(name).decode() for name in archive.namelist() if "info/" in name
        }
    assert message_from_string(texts["METADATA"])["Name"] == "git-buildguard"
    scripts = configparser.ConfigParser()
    scripts.read_string(texts["entry_points.txt"])
    commands = dict(scripts["console_scripts"])
    assert set(commands) == {"buildguard", "git-buildguard"}
    (target,) = set(commands.values())
    assert target.partition(":")[0].replace(".", "/") + ".py" in PACKAGE


def test_the_wheel_tells_what_it_needs_to_run_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith("METADATA"))
        found = message_from_string(archive.read(metadata).decode())
    needed = [need for need in found.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert sorted(re.split(r"[^a-z]", need)[0] for need in needed) == [
        "click",
        "psutil",
        "rich",
        "tomlkit",
        "tree",
        "tree",
    ]
    assert found["Requires-Python"] == ">=3.11"


def test_the_source_distribution_has_what_the_tests_and_the_docs_need(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    documents = {str(path.relative_to(PROJECT)) for path in (PROJECT / "docs").rglob("*.md")}
    tests = {str(path.relative_to(PROJECT)) for path in (PROJECT / "tests").rglob("*.py")}
    assert names >= {*PACKAGE, *documents, *tests, "hooks/pre-commit", ".ci/run"}
    assert names >= {"README.md", "CHANGELOG.md", "LICENSE", ".pre-commit-hooks.yaml", ".pre-commit-config.yaml"}


@pytest.mark.parametrize("name", ["buildguard", "git-buildguard"])
def test_both_commands_run_after_an_install(installed: Path, tmp_path: Path, name: str) -> None:
    done = call(tmp_path, str(installed / name), "--version")
    assert done.status == 0, done
    assert re.fullmatch(r"buildguard, version [0-9.]+\n", done.out)


def test_the_installed_package_runs_as_a_module(installed: Path, tmp_path: Path) -> None:
    done = call(tmp_path, str(installed / "python"), "-P", "-m", "buildguard", "--version")
    assert done.status == 0, done
    where = call(tmp_path, str(installed / "python"), "-P", "-c", "import buildguard; print(buildguard.__file__)")
    assert where.out.startswith(str(installed.parent))


def test_git_finds_it_as_a_command_of_its_own(installed: Path, checkout: Checkout) -> None:
    path = f"{installed}:{checkout.env()['PATH']}"
    done = checkout.run("git", "buildguard", "status", agent="a", PATH=path)
    assert done.status == 0, done
    assert "no breakage known" in done.out


def test_the_version_is_the_one_that_the_project_states(installed: Path, tmp_path: Path) -> None:
    stated = re.search(r'(?m)^version = "(.+)"$', (PROJECT / "pyproject.toml").read_text())
    assert stated is not None
    assert stated[1] in call(tmp_path, str(installed / "buildguard"), "--version").out


def test_the_changelog_tells_of_this_version() -> None:
    stated = re.search(r'(?m)^version = "(.+)"$', (PROJECT / "pyproject.toml").read_text())
    assert stated is not None
    assert f"## {stated[1]}" in (PROJECT / "CHANGELOG.md").read_text()


def test_the_manifest_for_hook_frameworks_is_the_documented_one() -> None:
    (hook,) = yaml.safe_load((PROJECT / ".pre-commit-hooks.yaml").read_text())
    wanted = {
        "id": "buildguard",
        "language": "python",
        "always_run": True,
        "pass_filenames": False,
        "require_serial": True,
        "verbose": True,
        "stages": ["pre-commit", "pre-merge-commit", "pre-push", "manual"],
        "minimum_pre_commit_version": "3.2.0",
    }
    assert {key: hook[key] for key in wanted} == wanted
    assert hook["entry"].split() == ["buildguard", "hook"]


def test_our_own_hooks_come_from_the_active_environment_alone() -> None:
    config = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert {repository["repo"] for repository in config["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks} == {"system"}
    assert {"ruff", "ruff-format", "mypy", "buildguard"} == {hook["id"] for hook in hooks}


@pytest.fixture
def project(tmp_path: Path) -> Checkout:
    """A clone of this project, as a contributor has it."""
    clone = tmp_path / "clone"
    copied(clone)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n\tname = Tester\n\temail = tester@example.org\n")
    checkout = Checkout(clone, home, {"PRE_COMMIT_HOME": str(tmp_path / "pre-commit"), "TMPDIR": str(tmp_path)})
    checkout.ok("init", "-q")
    checkout.ok("add", "-A")
    checkout.ok("commit", "-q", "-m", "first")
    return checkout


def test_our_own_hook_runs_a_quick_check(project: Checkout) -> None:
    done = project.run(str(SCRIPTS / "pre-commit"), "run", "buildguard", agent="a", BUILDGUARD_CHECK="echo it ran")
    assert done.status == 0, done
    assert "it ran" in done.out
    assert "passed: echo it ran" in done.out


def test_a_contributor_without_buildguard_is_told_so(project: Checkout, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("git", "sh", "python3"):
        (programs / name).symlink_to(shutil.which(name) or "")
    done = project.run(str(SCRIPTS / "pre-commit"), "run", "buildguard", agent="a", PATH=str(programs))
    assert done.status == 1, done
    assert "buildguard is not on PATH" in done.out
    assert re.search(r"(?m)^next: ", done.out)


def test_the_check_of_our_own_hook_names_files_that_exist() -> None:
    table = (PROJECT / "pyproject.toml").read_text().partition("[tool.buildguard]")[2]
    check = re.search(r'(?m)^check = "(.+)"$', table)
    assert check is not None
    named = [word for word in check[1].split() if word.endswith(".py")]
    assert named
    assert [name for name in named if not (PROJECT / name).exists()] == []


def test_no_file_names_a_path_of_the_machine_that_it_was_written_on() -> None:
    listed = ended(_started("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"))
    if listed.status != 0:
        pytest.skip("this tree is not a git repository that git will read, so its files cannot be listed")
    own = [str(path) for path in (PROJECT, Path(sys.prefix), Path.home()) if len(path.parts) > 2]
    machine = re.compile("|".join(map(re.escape, own)) + r"(?![\w-])")
    found = {}
    for name in filter(None, listed.out.split("\0")):
        path = PROJECT / name
        if path.is_file() and (said := machine.search(path.read_text(encoding="utf-8", errors="replace"))):
            found[name] = said[0]
    assert found == {}


def _started(*argv: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        argv,
        cwd=PROJECT,
        env=environment(PROJECT),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
