"""`buildguard install` where something else stands: a hook runner, or a settings file full of other things."""

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from testing.support import SCRIPTS, Checkout, new_repository
from testing.tools import named, need, node_modules

from buildguard.setup import settingsfile
from buildguard.setup.settingsfile import CannotEdit


@pytest.fixture
def project(tmp_path: Path) -> Checkout:
    """A repository with a check and without any hook."""
    checkout = new_repository(tmp_path / "repository", tmp_path / "home")
    (tmp_path / "repository/.git/hooks/pre-commit").unlink()
    return checkout


def block(checkout: Checkout, file: str) -> str:
    """What install says to add to that file: nothing was installed, and the block is on stdout as it stands."""
    done = checkout.buildguard("install")
    told = json.loads(checkout.buildguard("install", "--json").out)
    assert (done.status, told["outcome"], told["file"]) == (1, "runner", str(checkout.path / file))
    assert done.out.startswith(told["block"])
    assert done.out.splitlines()[-1].startswith("next: ")
    assert not (checkout.path / ".git/hooks/pre-commit").exists()
    return str(told["block"])


def runs_us(checkout: Checkout) -> bool:
    """Whether git refuses a breaking commit through the runner, and lets a good one pass."""
    checkout.ok("add", "-A")
    good = checkout.git("commit", "-m", "good", agent="probe")
    checkout.write("app.txt", "BROKEN\n")
    bad = checkout.git("commit", "-am", "bad", agent="probe")
    assert good.status == 0, good
    return bad.status == 1 and "buildguard: failed: " in bad.both


@pytest.mark.parametrize("tool", ["pre-commit", "prek"])
def test_the_block_for_pre_commit_works_in_both_runners(project: Checkout, tool: str) -> None:
    need(named(tool))
    path = project.write(".pre-commit-config.yaml", "repos:\n")
    path.write_text("repos:\n" + block(project, ".pre-commit-config.yaml"))
    assert "already" in project.buildguard("install").out
    assert project.run(str(SCRIPTS / tool), "install").status == 0
    assert runs_us(project)


def test_the_block_for_prek_toml_works(project: Checkout) -> None:
    need(named("prek"))
    path = project.write("prek.toml", "fail_fast = false\n\n")
    path.write_text(path.read_text() + block(project, "prek.toml"))
    assert project.run(str(SCRIPTS / "prek"), "install").status == 0
    assert runs_us(project)


@pytest.mark.parametrize("name", ["lefthook.yml", ".lefthook.toml", ".config/lefthook.json"])
def test_the_block_for_lefthook_works(project: Checkout, name: str) -> None:
    need(named("lefthook"))
    path = project.write(name, "")
    text = block(project, name)
    path.write_text(f"{{{text}}}" if name.endswith("json") else text)
    assert project.run(str(next(node_modules().glob("lefthook-*/bin/lefthook"))), "install").status == 0
    assert runs_us(project)


def test_the_line_for_husky_works(project: Checkout) -> None:
    need(named("husky"))
    project.write("package.json", '{"scripts": {"prepare": "husky || true"}}')
    (project.path / ".husky").mkdir()
    text = block(project, ".husky/pre-commit")
    assert (
        project.run("sh", "-c", project.buildguard("install").out.splitlines()[-1].removeprefix("next: ")).status
        == 0
    )
    assert (project.path / ".husky/pre-commit").read_text() == text
    assert project.run("node", str(node_modules() / "husky" / "bin.js")).status == 0
    assert runs_us(project)


@pytest.mark.parametrize(
    ("package", "expected"),
    [
        ('{"scripts": {"prepare": "husky"}}', 1),
        ('{"scripts": {"prepare": "tsc"}}', 0),
        ('{"scripts": []}', 0),
        ("not JSON", 0),
    ],
)
def test_husky_is_recognised_by_what_package_json_prepares(project: Checkout, package: str, expected: int) -> None:
    project.write("package.json", package)
    assert project.buildguard("install").status == expected


def test_beside_a_runner_the_check_is_written_all_the_same(project: Checkout) -> None:
    project.write("lefthook.yml", "")
    done = project.buildguard("install", "--check", "make test")
    assert (done.status, "wrote the check" in done.out) == (1, True)
    assert tomllib.loads((project.path / ".buildguard.toml").read_text()) == {"check": "make test"}


def test_the_check_that_was_written_is_the_one_that_runs(project: Checkout) -> None:
    check = """test "$(printf 'a\\tb' | wc -c)" -eq 3 # "quoted" \\ and ünïcode"""
    assert project.buildguard("install", "--check", check).status == 0
    done = project.git("commit", "--allow-empty", "-m", "x")
    assert (done.status, f"passed: {check}" in done.err) == (0, True)


def test_a_check_that_stands_there_already_changes_nothing(project: Checkout) -> None:
    project.buildguard("install", "--check", "true")
    before = (project.path / ".buildguard.toml").stat()
    done = project.buildguard("install", "--check", "true", "--json")
    assert json.loads(done.out)["outcome"] == "unchanged"
    assert (project.path / ".buildguard.toml").stat().st_mtime_ns == before.st_mtime_ns


def test_a_blank_check_is_a_usage_error_and_nothing_is_installed(project: Checkout) -> None:
    assert project.buildguard("install", "--check", " ").status == 2
    assert not (project.path / ".git/hooks/pre-commit").exists()


def test_a_file_that_cannot_be_edited_is_named_and_nothing_is_installed(project: Checkout) -> None:
    path = project.write(".buildguard.toml", 'check = [\n  "pytest", # all\n  "-q",\n]\n')
    before = path.read_bytes()
    done = project.buildguard("install", "--check", "true")
    assert (done.status, str(path) in done.out, "set it by hand" in done.out) == (1, True, True)
    assert done.out.splitlines()[-1] == f"next: ${{EDITOR:-vi}} {path}"
    assert (path.read_bytes(), (project.path / ".git/hooks/pre-commit").exists()) == (before, False)


OWN, PROJECT_FILE = ".buildguard.toml", "pyproject.toml"


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (OWN, "", 'check = "new"\n'),
        (OWN, "# why\nwait = '5m'", "# why\nwait = '5m'\ncheck = \"new\"\n"),
        (OWN, "  check='old'  # keep # me\nwait = 3\n", '  check = "new"  # keep # me\nwait = 3\n'),
        (OWN, 'check = "a # b"# c\r\nwait = 3\r\n', 'check = "new"# c\r\nwait = 3\r\n'),
        (OWN, "check = ['a', 'b']\n", 'check = "new"\n'),
        (OWN, 'fix = """\ncheck = "no"\n"""\ncheck = "old"\n', 'fix = """\ncheck = "no"\n"""\ncheck = "new"\n'),
        (
            PROJECT_FILE,
            "[project]\ncheck = 1\n[ tool.buildguard ] # us\nwait = 1\n[tool.x]\ncheck = 2\n",
            '[project]\ncheck = 1\n[ tool.buildguard ] # us\ncheck = "new"\nwait = 1\n[tool.x]\ncheck = 2\n',
        ),
        (
            PROJECT_FILE,
            "[tool.x]\ncheck = 'old'\n[tool.buildguard]\ncheck = 'old'\n",
            "[tool.x]\ncheck = 'old'\n[tool.buildguard]\ncheck = \"new\"\n",
        ),
        (PROJECT_FILE, "[tool.buildguard]", '[tool.buildguard]\ncheck = "new"\n'),
    ],
)
def test_only_the_one_value_changes(tmp_path: Path, name: str, before: str, after: str) -> None:
    (tmp_path / name).write_bytes(before.encode())
    edit = settingsfile.planned(tmp_path, "check", "new")
    edit.write()
    assert (edit.path, (tmp_path / name).read_bytes().decode()) == (tmp_path / name, after)
    assert not settingsfile.planned(tmp_path, "check", "new").changes


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (OWN, 'check = """\nold"""\n'),
        (OWN, '"check" = "old"\n'),
        (OWN, "check = \n"),
        (PROJECT_FILE, "tool.buildguard.check = 'old'\n"),
        (PROJECT_FILE, "[tool]\nbuildguard = { wait = 1 }\n"),
        (PROJECT_FILE, "tool.buildguard.wait = 1\n"),
    ],
)
def test_what_cannot_be_edited_safely_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CannotEdit, match=name):
        settingsfile.planned(tmp_path, "check", "new")
    assert (tmp_path / name).read_text() == text


def test_a_project_file_without_the_table_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / PROJECT_FILE).write_text("[project]\nname = 'x'\n")
    assert settingsfile.planned(tmp_path, "check", "new").path == tmp_path / OWN


def test_a_file_that_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / OWN
    edit = settingsfile.planned(tmp_path, "check", "new")
    path.write_text("wait = 1\n")
    with pytest.raises(CannotEdit, match="somebody else"):
        edit.write()
    assert (path.read_text(), list(tmp_path.glob("*.new"))) == ("wait = 1\n", [])


def test_the_mode_and_a_link_of_the_file_are_kept(tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_text("wait = 1\n")
    real.chmod(0o640)
    (tmp_path / OWN).symlink_to("real.toml")
    settingsfile.planned(tmp_path, "check", "new").write()
    assert ((tmp_path / OWN).is_symlink(), real.stat().st_mode & 0o777) == (True, 0o640)
    assert real.read_text() == 'wait = 1\ncheck = "new"\n'


@given(st.text(min_size=1))
def test_any_command_is_written_so_that_it_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, value: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / OWN).unlink(missing_ok=True)
    (folder / OWN).write_text("wait = 1 # one\n")
    settingsfile.planned(folder, "check", value).write()
    assert tomllib.loads((folder / OWN).read_bytes().decode()) == {"wait": 1, "check": value}


def test_a_command_that_is_not_valid_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotEdit, match="not valid text"):
        settingsfile.planned(tmp_path, "check", "caf\udce9")
