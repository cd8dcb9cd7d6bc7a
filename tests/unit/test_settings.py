"""Settings: where each comes from, which one wins, and what a wrong one gets."""

import json
import os
import tomllib
from itertools import product
from pathlib import Path

import pytest
from testing.support import Checkout, Done

from buildguard.errors import SettingsError
from buildguard.settings import Settings, duration, load, off, plain, suggested_check


def settings(root: Path, own: str = "", project: str = "", **environment: str) -> Settings:
    """What is loaded with these files and this environment."""
    if own:
        (root / ".buildguard.toml").write_text(own)
    if project:
        (root / "pyproject.toml").write_text(project)
    return load({}, environment, root)


EACH = (
    # name, option's word, value, the field's value; what it is in a file, if not the same text
    ("build", "build", "lint", "lint"),
    ("wait", "wait", "90", 90.0),
    ("wait", "timeout", "2m", 120.0),
    ("stale-after", "stale_after", "1.5m", 90.0),
    ("max-claim", "max_claim", "1h", 3600.0),
    ("check-timeout", "check_timeout", "10s", 10.0),
)


@pytest.mark.parametrize(("name", "option", "value", "expected"), EACH, ids=[f"{row[0]}={row[2]}" for row in EACH])
def test_each_setting_comes_from_everywhere(
    tmp_path: Path, name: str, option: str, value: str, expected: object
) -> None:
    field = name.replace("-", "_")
    variable = "BUILDGUARD_" + field.upper()
    assert getattr(load({option: value}, {}, tmp_path), field) == expected
    assert getattr(settings(tmp_path, **{variable: value}), field) == expected
    assert getattr(settings(tmp_path, own=f'{name} = "{value}"\n'), field) == expected
    (tmp_path / ".buildguard.toml").unlink()
    assert getattr(settings(tmp_path, project=f'[tool.buildguard]\n{name} = "{value}"\n'), field) == expected


@pytest.mark.parametrize("name", ["check", "fix"])
def test_a_command_is_a_line_for_the_shell_or_a_list_of_words(tmp_path: Path, name: str) -> None:
    line = getattr(settings(tmp_path, own=f'{name} = "make test && make lint"'), name)
    assert (line.argv, line.text) == (("/bin/sh", "-c", "make test && make lint"), "make test && make lint")
    words = getattr(settings(tmp_path, own=f'{name} = ["make", "all tests"]'), name)
    assert (words.argv, words.text) == (("make", "all tests"), "make 'all tests'")
    assert getattr(settings(tmp_path, **{f"BUILDGUARD_{name.upper()}": "true"}), name).text == "true"


def test_the_database_comes_from_option_and_environment_but_not_from_a_file(tmp_path: Path) -> None:
    assert settings(tmp_path, BUILDGUARD_DB="/elsewhere/state.db").db == Path("/elsewhere/state.db")
    with pytest.raises(SettingsError, match="unknown key 'db'"):
        settings(tmp_path, own='db = "/elsewhere/state.db"')


def test_a_junit_report_is_sought_in_the_work_tree(tmp_path: Path) -> None:
    assert settings(tmp_path, own='junit = "out/report.xml"').junit == tmp_path / "out/report.xml"


def test_inconclusive_exit_codes_come_from_the_file(tmp_path: Path) -> None:
    assert settings(tmp_path, own="inconclusive-exit-codes = [5, 77]").inconclusive_exit_codes == {5, 77}


def test_the_option_beats_the_environment_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    assert load({}, {}, tmp_path).wait == 300.0
    assert settings(tmp_path, own="wait = 1").wait == 1.0
    assert settings(tmp_path, BUILDGUARD_WAIT="2").wait == 2.0
    assert load({"wait": "3"}, {"BUILDGUARD_WAIT": "2"}, tmp_path).wait == 3.0


def test_an_empty_variable_is_none(tmp_path: Path) -> None:
    assert settings(tmp_path, BUILDGUARD_WAIT="").wait == 300.0


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1h", 3600), ("0.5s", 0.5), (7, 7), ("0", 0)]
)
def test_a_duration_is_seconds(text: object, seconds: float) -> None:
    assert duration(text, "here") == seconds


BAD_DURATIONS = ("", "x", "-1", "5 m", "5d", "1e3", "٣", "inf", "nan", "1m30s", "8000000h", True, None, [5])


@pytest.mark.parametrize("text", BAD_DURATIONS, ids=repr)
def test_a_bad_duration_is_refused_by_name(text: object) -> None:
    with pytest.raises(SettingsError, match=r"^here: "):
        duration(text, "here")


BAD = (
    ("check", "5"),
    ("check", '"  "'),
    ("check", "[]"),
    ("check", '["a", 1]'),
    ("fix", "true"),
    ("build", '""'),
    ("build", '"a\\nb"'),
    ("build", "5"),
    ("wait", '"soon"'),
    ("wait", '"-1"'),
    ("stale-after", '"0"'),
    ("max-claim", '"0s"'),
    ("check-timeout", "0"),
    ("junit", "5"),
    ("junit", '""'),
    ("inconclusive-exit-codes", "5"),
    ("inconclusive-exit-codes", "[0]"),
    ("inconclusive-exit-codes", "[256]"),
    ("inconclusive-exit-codes", '["5"]'),
    ("inconclusive-exit-codes", "[true]"),
)


def refused(done: Done, *names: str) -> None:
    """One line that names all that, a next command, exit status 2."""
    assert done.status == 2, done
    first, last = done.err.splitlines()
    assert first.startswith("buildguard: error: ")
    assert all(name in first for name in names), first
    assert last.startswith("next: ")
    assert done.out == ""


@pytest.mark.parametrize(("key", "value"), BAD, ids=[" = ".join(row) for row in BAD])
@pytest.mark.parametrize("file", [".buildguard.toml", "pyproject.toml"])
def test_a_bad_value_names_file_and_key(tmp_path: Path, file: str, key: str, value: str) -> None:
    section = "[tool.buildguard]\n" if file == "pyproject.toml" else ""
    (tmp_path / file).write_text(f"{section}{key} = {value}\n")
    with pytest.raises(SettingsError) as raised:
        load({}, {}, tmp_path)
    assert str(raised.value).startswith(f"{tmp_path / file}: {key}: ")
    assert str(raised.value).isprintable()


def test_a_bad_value_in_a_file_is_one_line_and_2(checkout: Checkout) -> None:
    checkout.write(".buildguard.toml", 'check = "true"\nwait = "so\\non"\n')
    for verb in ("hook", "run", "status", "claim"):
        refused(checkout.buildguard(verb, agent="ann"), ".buildguard.toml", "wait", "write 90, 90s, 5m or 1h")


def test_an_unknown_key_is_one_line_and_2(checkout: Checkout) -> None:
    checkout.write(".buildguard.toml", 'chekc = "true"\n')
    refused(checkout.buildguard("hook", agent="ann"), ".buildguard.toml", "unknown key 'chekc'", "check")


def test_an_unknown_key_in_pyproject_is_one_line_and_2(checkout: Checkout) -> None:
    (checkout.path / ".buildguard.toml").unlink()
    checkout.write("pyproject.toml", '[tool.buildguard]\nchekc = "true"\n')
    refused(checkout.buildguard("hook", agent="ann"), "pyproject.toml", "unknown key 'chekc'")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BUILDGUARD_WAIT", "soon"),
        ("BUILDGUARD_STALE_AFTER", "0"),
        ("BUILDGUARD_MAX_CLAIM", "-5"),
        ("BUILDGUARD_CHECK_TIMEOUT", "never"),
        ("BUILDGUARD_BUILD", "a\nb"),
        ("BUILDGUARD_CHECK", "  "),
        ("BUILDGUARD_FIX", " "),
    ],
)
def test_a_bad_variable_is_one_line_and_2(checkout: Checkout, variable: str, value: str) -> None:
    refused(checkout.buildguard("run", agent="ann", **{variable: value}), variable)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("run", "--wait", "soon"), "--wait"),
        (("wait", "--timeout", "soon"), "--timeout"),
        (("commit", "--timeout", "soon", "-m", "x"), "--timeout"),
        (("run", "--stale-after", "0"), "--stale-after"),
        (("run", "--check-timeout", "x"), "--check-timeout"),
        (("claim", "--max-claim", "x"), "--max-claim"),
        (("run", "--fix", " "), "--fix"),
        (("status", "--build", "a\x1bb"), "--build"),
        (("status", "--build", "x" * 10_000), "--build"),
        (("status", "--scope", "nowhere"), "--scope"),
        (("release", "--claim", "one"), "--claim"),
        (("log", "-n", "0"), "-n"),
        (("run", "--timeout", "10m", "--", "true"), "--timeout"),
        (("run", "--timeout=10m", "true"), "--timeout"),
        (("hook", "--timeout", "10m", "--", "true"), "--timeout"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else None,
)
def test_a_bad_option_is_one_line_and_2(checkout: Checkout, words: tuple[str, ...], name: str) -> None:
    refused(checkout.buildguard(*words, agent="ann"), name)


def test_a_line_read_without_a_parser_says_what_toml_makes_of_it() -> None:
    names = ("check", " a-b", "a.b", "a_b", '"a"', "", "-", "1", "[x", "#x", " # x", "é", "\tx")
    quotes, inner = ("'", '"', '"""', ""), ("", "a b", "11", "#", "é", "\\", "\\n", "'", '"', "\t", "\x7f")
    read = 0
    for words in product(names, (" = ", "=", " "), quotes, inner, quotes, ("", " ", "\t", "\r", "\x0c", " # c")):
        line = "".join(words)
        table = plain(line)
        assert table is None or table == tomllib.loads(line), line
        read += table is not None
    assert read > 100


def test_what_toml_forbids_or_goes_on_beyond_a_line_is_left_to_a_parser() -> None:
    assert plain('check = "a"\ncheck = "b"\n') is None
    assert plain('check = """\n"""\n') is None
    assert plain("[tool.buildguard]\n") is None


def test_the_usual_settings_file_needs_no_parser() -> None:
    assert plain("# our check\n\ncheck = \"pytest -q 'a b'\"\nbuild = 'c=\"d\"'\n") == {
        "check": "pytest -q 'a b'",
        "build": 'c="d"',
    }


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\.buildguard\.toml: is not TOML: .*line 1"):
        settings(tmp_path, own="check = \n")


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / ".buildguard.toml").write_bytes(b'check = "caf\xe9"\n')
    with pytest.raises(SettingsError, match=r"\.buildguard\.toml: is not UTF-8 \(byte 12\)"):
        load({}, {}, tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / ".buildguard.toml").mkdir()
    with pytest.raises(SettingsError, match=r"\.buildguard\.toml: cannot be read \(Is a directory\)"):
        load({}, {}, tmp_path)


@pytest.mark.parametrize("file", [".buildguard.toml", "pyproject.toml"])
def test_a_pipe_is_no_settings_file_and_nobody_waits_for_it(checkout: Checkout, file: str) -> None:
    (checkout.path / ".buildguard.toml").unlink()
    os.mkfifo(checkout.path / file)
    for verb in ("run", "hook"):
        refused(checkout.buildguard(verb, agent="ann"), file, "is not a regular file")


@pytest.mark.parametrize("file", [".buildguard.toml", "pyproject.toml"])
def test_a_link_to_a_device_is_no_settings_file(checkout: Checkout, file: str) -> None:
    (checkout.path / ".buildguard.toml").unlink()
    (checkout.path / file).symlink_to("/dev/zero")
    refused(checkout.buildguard("run", agent="ann"), file, "is not a regular file")


def test_a_file_that_is_too_large_to_be_settings_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\.buildguard\.toml: is larger than 1 MiB"):
        settings(tmp_path, own="#" * ((1 << 20) + 1))


def test_a_link_that_leads_nowhere_is_no_file(tmp_path: Path) -> None:
    (tmp_path / ".buildguard.toml").symlink_to("nowhere")
    assert load({}, {}, tmp_path) == Settings()


@pytest.mark.parametrize("file", [".buildguard.toml", "pyproject.toml"])
def test_a_byte_order_mark_and_the_line_ends_of_windows_are_read(tmp_path: Path, file: str) -> None:
    section = "[tool.buildguard]\r\n" if file == "pyproject.toml" else ""
    (tmp_path / file).write_bytes(b"\xef\xbb\xbf" + f'{section}check = "true"\r\nwait = "7s"\r\n'.encode())
    found = load({}, {}, tmp_path)
    assert found.check is not None
    assert (found.check.text, found.wait) == ("true", 7.0)


def test_a_file_in_utf_16_is_named(tmp_path: Path) -> None:
    (tmp_path / ".buildguard.toml").write_bytes('check = "true"\n'.encode("utf-16"))
    with pytest.raises(SettingsError, match=r"\.buildguard\.toml: is not UTF-8 \(byte 0\)"):
        load({}, {}, tmp_path)


SIGNS: tuple[tuple[dict[str, str], str | None], ...] = (
    ({"package.json": '{"scripts": {"lint": "x", "test": "vitest"}}'}, "npm test"),
    ({"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'}, None),
    ({"package.json": '{"name": "test"}'}, None),
    ({"Cargo.toml": "[package]\n"}, "cargo test"),
    ({"go.mod": "module x\n"}, "go test ./..."),
    ({"Makefile": "all:\n\ntest: all\n\ttrue\n"}, "make test"),
    ({"Makefile": "test := x\nlatest:\n"}, None),
    ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, "pytest -q"),
    ({"pyproject.toml": "[project]\n"}, None),
    ({"pytest.ini": "[pytest]\n"}, "pytest -q"),
    ({"package.json": '{"scripts": {"test": "jest"}}', "pyproject.toml": "pytest"}, "npm test"),
    ({}, None),
)


@pytest.mark.parametrize(("files", "check"), SIGNS, ids=repr)
def test_the_suggested_check_is_the_projects_own_or_none(
    tmp_path: Path, files: dict[str, str], check: str | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert suggested_check(tmp_path) == check


def test_settings_in_both_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="settings stand in both"):
        settings(tmp_path, own="wait = 1", project="[tool.buildguard]\nwait = 2\n")


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"tool\.buildguard must be a table"):
        settings(tmp_path, project='[tool]\nbuildguard = "x"\n')


def test_somebody_elses_pyproject_is_none_of_our_business(tmp_path: Path) -> None:
    assert settings(tmp_path, project="<<<<<<< not even TOML\n") == Settings()
    assert settings(tmp_path, project='[project]\ndependencies = ["git-buildguard"]\n') == Settings()


def test_each_work_tree_has_its_own_file(checkout: Checkout) -> None:
    other = checkout.work_tree("other")
    other.write(".buildguard.toml", 'check = "echo from the other; false"\n')
    assert "from the other" in other.buildguard("run", agent="ann").out
    assert checkout.buildguard("run", agent="ann").status == 0


def test_the_settings_are_found_from_a_folder_below(checkout: Checkout) -> None:
    below = Checkout(checkout.write("sub/file", "").parent, checkout.home)
    checkout.write(".buildguard.toml", 'check = "true"\n')
    assert "passed: true" in below.buildguard("run", agent="ann").out


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"BUILDGUARD": "0"}, "BUILDGUARD=0"),
        ({"BUILDGUARD": "1"}, None),
        ({"SKIP": "buildguard"}, "SKIP=buildguard"),
        ({"SKIP": "mypy, buildguard"}, "SKIP=buildguard"),
        ({"SKIP": "not-buildguard"}, None),
        ({}, None),
    ],
)
def test_what_switches_it_off(environment: dict[str, str], reason: str | None) -> None:
    assert off(environment) == reason


def test_another_database_serves_several_clones_apart(checkout: Checkout, tmp_path: Path) -> None:
    shared = str(tmp_path / "shared" / "state.db")
    checkout.buildguard("claim", agent="ann", BUILDGUARD_DB=shared)
    assert not (checkout.path / ".git" / "buildguard" / "state.db").exists()
    other = json.loads(checkout.buildguard("status", "--db", shared, "--json", agent="bob").out)
    assert other["fixer"] == "ann"
    clone = Checkout(tmp_path / "clone", checkout.home)
    checkout.ok("clone", "-q", str(checkout.path), str(clone.path))
    assert json.loads(clone.buildguard("status", "--db", shared, "--json", agent="bob").out)["fixer"] is None


def own(tmp_path: Path, text: str) -> dict[str, str]:
    """An environment whose user has these settings of their own."""
    (tmp_path / "buildguard").mkdir()
    (tmp_path / "buildguard" / "config.toml").write_text(text)
    return {"XDG_CONFIG_HOME": str(tmp_path), "HOME": "/nowhere"}


def test_the_slots_are_the_users_own(tmp_path: Path) -> None:
    assert load({}, own(tmp_path, "slots = 3\n"), None).slots == 3
    assert load({}, {"HOME": "/nowhere"}, None).slots == 0


@pytest.mark.parametrize("name", ["XDG_CONFIG_HOME", "HOME"])
def test_no_repository_sets_what_is_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for folder in (tmp_path / "buildguard", tmp_path / ".config" / "buildguard"):
        folder.mkdir(parents=True)
        (folder / "config.toml").write_text("slots = 3\n")
    monkeypatch.chdir(tmp_path)
    assert load({}, {name: "."}, None).slots == 0


@pytest.mark.parametrize("text", ['slots = "many"', "slots = -1", "slots = true", "slots = 1001", 'check = "true"'])
def test_a_bad_value_in_the_users_own_file_names_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"buildguard/config\.toml: (slots: .* is not a number|unknown key)"):
        load({}, own(tmp_path, text), None)


@pytest.mark.parametrize(("value", "names"), [('"A B"', ("A", "B")), ('["A", "B_1"]', ("A", "B_1")), ("[]", ())])
def test_the_variables_that_count_are_words_or_a_list(tmp_path: Path, value: str, names: tuple[str, ...]) -> None:
    assert settings(tmp_path, f"reuse-env = {value}\n").reuse_env == names


@pytest.mark.parametrize("value", ["1", '"A=B"', '["A B"]', "[1]"])
def test_what_names_no_variable_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingsError, match=r"reuse-env: .* is not a list of names of variables"):
        settings(tmp_path, f"reuse-env = {value}\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("check = " + "[" * 2000, "is not TOML: nested too deeply"),
        ("wait = " + "9" * 5000, "is not TOML: Exceeds the limit"),
        (".".join(["a"] * 102) + " = 1", "a key has more than 100 parts"),
        ("[" + ".".join(["a"] * 20_000) + "]", "a key has more than 100 parts"),
    ],
)
def test_a_file_that_would_take_the_parser_down_is_one_clear_line(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / ".buildguard.toml").write_text(text)
    with pytest.raises(SettingsError, match=rf"^[^\n]*\.buildguard\.toml: {why}[^\n]*$"):
        load({}, {}, tmp_path)


def test_a_key_may_have_a_hundred_dots(tmp_path: Path) -> None:
    (tmp_path / ".buildguard.toml").write_text(".".join(["a"] * 101) + " = 1")
    with pytest.raises(SettingsError, match="unknown key 'a'"):
        load({}, {}, tmp_path)


@pytest.mark.parametrize("engine", ["git:origin", "git:up/stream_2", "postgresql://ann@db:5432/a?sslmode=require"])
def test_an_engine_is_set_for_everybody_or_by_the_environment(tmp_path: Path, engine: str) -> None:
    assert settings(tmp_path, own=f'engine = "{engine}"\n').engine == engine
    assert settings(tmp_path, BUILDGUARD_ENGINE=engine).engine == engine


@pytest.mark.parametrize(
    "engine", ["origin", "git:", "git:-x", "git:a b", "git:o\n", "s3://bucket", "redis://u:p@h"]
)
def test_what_is_no_engine_is_refused(tmp_path: Path, engine: str) -> None:
    with pytest.raises(SettingsError, match="is no engine") as refused:
        settings(tmp_path, BUILDGUARD_ENGINE=engine)
    assert "u:p" not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    ["ann:secret@host/db", "ann:x/secret@host/db", "host/db?password=secret", "host/db?x=1&PASS%57ord=secret"],
)
def test_a_password_belongs_into_the_environment(tmp_path: Path, address: str) -> None:
    with pytest.raises(SettingsError, match="BUILDGUARD_ENGINE") as refused:
        settings(tmp_path, own=f'engine = "postgresql://{address}"\n')
    assert "secret" not in str(refused.value)
    assert settings(tmp_path, BUILDGUARD_ENGINE=f"postgresql://{address}").engine.endswith(address)


def test_a_database_and_an_engine_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / ".buildguard.toml").write_text('engine = "git:origin"\n')
    with pytest.raises(SettingsError, match="exclude each other"):
        load({"db": Path("state.db")}, {}, tmp_path)


def test_an_engine_outranks_a_database_of_the_environment(tmp_path: Path) -> None:
    found = settings(tmp_path, own='engine = "git:origin"\n', BUILDGUARD_DB="/elsewhere/state.db")
    assert (found.engine, found.db) == ("git:origin", None)
