"""`buildguard install` where something else stands: a hook runner, or a settings file full of other things."""

import json
import shlex
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from testing.support import SCRIPTS, Checkout, new_repository
from testing.tools import documented, named, need, node_modules

from buildguard.setup import runners
from buildguard.setup.hookfile import Refusal
from buildguard.setup.install import with_settings


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


def test_the_entries_are_those_that_the_documentation_shows() -> None:
    folder = Path(runners.__file__).parent / "entries"
    shown = {
        "pre-commit.yaml": documented("entry: pre-commit").removeprefix("repos:\n"),
        "prek.toml": documented("entry: prek.toml"),
        "lefthook.yaml": documented("entry: lefthook"),
        "lefthook.toml": documented("entry: lefthook.toml"),
        "lefthook.json": documented("entry: lefthook.json"),
        "hk.pkl": documented("entry: hk.pkl"),
        "husky": documented("entry: husky"),
    }
    entries = {path.name: path.read_text() for path in folder.iterdir() if path.name != "hook"}
    assert entries == shown


@pytest.mark.parametrize("name", ["lefthook.yml", ".lefthook.toml", ".config/lefthook.json"])
def test_the_block_for_lefthook_works(project: Checkout, name: str) -> None:
    need(named("lefthook"))
    path = project.write(name, "")
    text = block(project, name)
    path.write_text(f"{{{text}}}" if name.endswith("json") else text)
    assert project.run(str(next(node_modules().glob("lefthook-*/bin/lefthook"))), "install").status == 0
    assert runs_us(project)


def test_the_block_for_hk_is_for_its_hooks_and_hk_is_to_write_hook_files(project: Checkout) -> None:
    project.write("hk.pkl", 'amends "package://hk@1#/Config.pkl"\nhooks {\n}\n')
    assert '["pre-commit"]' in block(project, "hk.pkl")
    assert "hk install --legacy" in project.buildguard("install").out


def test_the_line_for_husky_works(project: Checkout) -> None:
    need(named("husky"))
    project.write("package.json", '{"scripts": {"prepare": "husky || true"}}')
    (project.path / ".husky").mkdir()
    text = block(project, ".husky/pre-commit")
    following = project.buildguard("install").last.removeprefix("next: ")
    assert project.run("sh", "-c", following).status == 0
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
    (project.path / ".buildguard.toml").unlink()
    path = project.write("pyproject.toml", "[project\n")
    done = project.buildguard("install", "--check", "true")
    assert (done.status, done.out.startswith(f"buildguard: refused: {path}: is not TOML")) == (1, True)
    assert (done.last, len(done.out.splitlines())) == (f"next: ${{EDITOR:-vi}} {shlex.quote(str(path))}", 2)
    assert (path.read_text(), (project.path / ".git/hooks/pre-commit").exists()) == ("[project\n", False)


def test_the_mode_and_a_link_of_the_file_are_kept(project: Checkout) -> None:
    (project.path / ".buildguard.toml").rename(project.path / "real.toml")
    real = project.write("real.toml", "wait = 1\n")
    real.chmod(0o640)
    (project.path / ".buildguard.toml").symlink_to("real.toml")
    assert project.buildguard("install", "--check", "new").status == 0
    assert ((project.path / ".buildguard.toml").is_symlink(), real.stat().st_mode & 0o777) == (True, 0o640)
    assert real.read_text() == 'wait = 1\ncheck = "new"\n'
    assert list(project.path.glob("*.new")) == []


OWN, PROJECT_FILE = ".buildguard.toml", "pyproject.toml"


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (OWN, "", 'check = "new"\n'),
        (OWN, "# why\nwait = '5m'", "# why\nwait = '5m'\ncheck = \"new\"\n"),
        (OWN, "  check = 'old'  # keep # me\nwait = 3\n", '  check = "new"  # keep # me\nwait = 3\n'),
        (OWN, 'check = "a # b"# c\r\nwait = 3\r\n', 'check = "new"# c\r\nwait = 3\r\n'),
        (OWN, "wait = 3\r\n", 'wait = 3\r\ncheck = "new"\r\n'),
        (OWN, "wait = 3\r\nfix = 'x'\n", "wait = 3\r\nfix = 'x'\ncheck = \"new\"\n"),
        (OWN, "\ufeffwait = 3\n", 'wait = 3\ncheck = "new"\n'),
        (OWN, "fix = 'größer'\n", "fix = 'größer'\ncheck = \"new\"\n"),
        (OWN, "check = [\n  'a', # all\n  'b',\n]\n", 'check = "new"\n'),
        (OWN, 'check = """\nold"""\n', 'check = "new"\n'),
        (OWN, 'fix = """\ncheck = "no"\n"""\ncheck = "old"\n', 'fix = """\ncheck = "no"\n"""\ncheck = "new"\n'),
        (
            PROJECT_FILE,
            "[project]\ncheck = 1\n[ tool.buildguard ] # us\nwait = 1\n[tool.x]\ncheck = 2\n",
            '[project]\ncheck = 1\n[ tool.buildguard ] # us\nwait = 1\ncheck = "new"\n[tool.x]\ncheck = 2\n',
        ),
        (
            PROJECT_FILE,
            "[tool.x]\r\ncheck = 'old'\r\n\r\n[tool.buildguard]\r\nwait = 1\r\n\r\n[tool.y]\r\n",
            "[tool.x]\r\ncheck = 'old'\r\n\r\n[tool.buildguard]\r\nwait = 1\r\ncheck = \"new\"\r\n\r\n[tool.y]\r\n",
        ),
        (PROJECT_FILE, "[tool.buildguard]", '[tool.buildguard]\ncheck = "new"\n'),
        (PROJECT_FILE, "tool.buildguard.wait = 1\n", 'tool.buildguard.wait = 1\ntool.buildguard.check = "new"\n'),
    ],
)
def test_only_the_one_value_changes(tmp_path: Path, name: str, before: str, after: str) -> None:
    path = tmp_path / name
    path.write_bytes(before.encode())
    assert with_settings(tmp_path, {"check": "new"}) == (path, after.encode())
    path.write_bytes(after.encode())
    assert with_settings(tmp_path, {"check": "new"}) == (path, None)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (OWN, b"check = \n"),
        (OWN, b"wait = 1\nwait = 2\n"),
        (OWN, b"check = '\xff'\n"),
        (PROJECT_FILE, b"[tool.buildguard\n"),
    ],
)
def test_what_is_no_toml_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Refusal, match=rf"^[^\n]*{name}: is not TOML[^\n]*$"):
        with_settings(tmp_path, {"check": "new"})


def test_a_project_file_without_the_table_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / PROJECT_FILE).write_text("[project]\nname = 'x'\n[tool.x]\n")
    assert with_settings(tmp_path, {"check": "new"}) == (tmp_path / OWN, b'check = "new"\n')


@given(st.text(min_size=1))
def test_any_command_is_written_so_that_it_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, value: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / OWN).write_text("wait = 1 # one\n")
    _, content = with_settings(folder, {"check": value})
    assert content is not None
    assert tomllib.loads(content.decode()) == {"wait": 1, "check": value}


def test_a_command_that_is_not_valid_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="cannot be written"):
        with_settings(tmp_path, {"check": "caf\udce9"})
