"""The documents say what is so: tables, messages, options and links are compared with the program."""

import re
from pathlib import Path

import click
import pytest
from testing.documents import CONTRIBUTING, DOCUMENTS, README, REFERENCE, Block, blocks, code, rows, section
from testing.support import PROJECT

from buildguard import settings
from buildguard.claims.model import Event, Kind, Outcome, Snapshot, Status
from buildguard.cli import cli
from buildguard.errors import Exit
from buildguard.setup.agents import text_for_agents
from buildguard.ui.keys import Head, event_facts, facts, head_facts
from buildguard.ui.reports import Report
from buildguard.ui.voice import Voice

SCENES = {
    "README.md": {"anywhere", "clone", "tool", "repository", "guarded"},
    "reference.md": {"repository", "guarded", "broken"},
    "CONTRIBUTING.md": {"mutant"},
}
"""The scenes that `tests/slow/test_readme.py` plays, for each document with commands."""
MOST_WORDS = 1000
SOURCE = "\n".join(path.read_text() for path in sorted((PROJECT / "buildguard").rglob("*.py")))
SCREEN = Voice("default", True, {}).facts(Report("status", 0, ()))


def keys(text: str) -> set[str]:
    """The names in the first column of its tables."""
    return {name for row in rows(text) for name in code(row[0])}


@pytest.mark.parametrize(
    ("document", "block"),
    [(document, block) for document in DOCUMENTS if document.name in SCENES for block in blocks(document)],
    ids=lambda value: value.name,
)
def test_every_block_of_commands_is_run_by_a_test(document: Path, block: Block) -> None:
    if block.language in ("sh", "console"):
        assert block.scene in SCENES[document.name], "a command that no test runs: name its scene above it"
    else:
        assert block.language in ("markdown", "text"), "say what the block is; commands are sh or console"
        assert not block.scene


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= MOST_WORDS


def test_the_files_that_documents_link_to_exist() -> None:
    missing = [
        f"{document.name}: {link}"
        for document in DOCUMENTS
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
        if not (document.parent / link).exists()
    ]
    assert missing == []


def test_the_contributors_tour_shows_every_room() -> None:
    (tree,) = [block.text for block in blocks(CONTRIBUTING) if block.language == "text"]
    told = set(re.findall(r"(?m)^  (\w+)(?:/|\.py) ", tree))
    own = {path.stem for path in (PROJECT / "buildguard").iterdir() if (path / "__init__.py").exists()}
    own |= {path.stem for path in (PROJECT / "buildguard").glob("*.py")} - {"__init__", "__main__"}
    assert told == own


def test_every_command_that_is_named_exists_with_its_options() -> None:
    unknown = []
    for document in DOCUMENTS:
        for text in re.findall(r"`((?:git )?buildguard [a-z-][^`\n]*)`", document.read_text(encoding="utf-8")):
            words = text.removeprefix("git ").split()
            command = cli.commands.get(words[1])
            own = words[2 : words.index("--")] if "--" in words else words[2:]
            known = _options(command) if command else set()
            unknown += [text for word in own if word.startswith("--") and word not in known]
            unknown += [text] * (command is None)
    assert unknown == []


def _options(command: click.Command) -> set[str]:
    found = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    within = command.commands.values() if isinstance(command, click.Group) else ()
    return found.union({"--help"}, *map(_options, within))


ALL_OPTIONS = {option for command in cli.commands.values() for option in _options(command)}


@pytest.mark.parametrize("document", [README, REFERENCE], ids=lambda document: document.name)
def test_the_options_in_running_text_exist(document: Path) -> None:
    of_git = {"--no-verify", "--dry-run", "--short"}
    assert set(re.findall(r"`(--[a-z-]+)", document.read_text(encoding="utf-8"))) - of_git <= ALL_OPTIONS


def test_the_table_of_commands_has_them_all() -> None:
    assert keys(section(REFERENCE, "Commands")) == set(cli.commands)


def test_the_table_of_exit_codes_has_them_all() -> None:
    assert [int(row[0]) for row in rows(section(REFERENCE, "Exit codes"))] == [int(one) for one in Exit]


def test_the_table_of_settings_has_them_all_with_their_options_and_variables() -> None:
    table = rows(section(REFERENCE, "Settings"))
    assert {code(row[0])[0] for row in table} == set(settings._PARSERS)
    for setting, option, variable, _ in table:
        for word in code(option):
            assert word == "-- COMMAND" or word in ALL_OPTIONS or word in cli.commands, setting
        assert code(variable) in ([], [f"BUILDGUARD_{code(setting)[0].upper().replace('-', '_')}"])


def test_the_table_of_settings_tells_the_real_defaults() -> None:
    real = settings.Settings()
    for setting, _, _, told in rows(section(REFERENCE, "Settings")):
        value = getattr(real, code(setting)[0].replace("-", "_"))
        if isinstance(value, float):
            assert settings.duration(told.partition(";")[0], "reference.md") == value
        elif value is None and "db" not in setting:
            assert told == "none"


def test_the_variables_that_the_program_names_are_all_told() -> None:
    told = set(re.findall(r"BUILDGUARD_[A-Z_]+", section(REFERENCE, "Environment variables")))
    of_settings = {f"BUILDGUARD_{name.upper().replace('-', '_')}" for name in settings._PARSERS}
    assert told == set(re.findall(r'"(BUILDGUARD_[A-Z_]+[A-Z])"', SOURCE)) - of_settings


def test_the_keys_of_the_json_object_are_all_told() -> None:
    table = section(REFERENCE, "JSON").partition("Some commands add keys")[0]
    assert keys(table) == set(SCREEN)


def test_the_keys_that_only_some_commands_add_are_ones_that_the_program_has() -> None:
    more = section(REFERENCE, "JSON").partition("Some commands add keys")[2].partition("`commit` also")[0]
    told = {name for row in rows(more) for name in code(row[1])}
    assert sorted(name for name in told if f'"{name}"' not in SOURCE) == []
    of_a_scope = facts(Snapshot().view("repo"), 0.0, None, "default")
    assert next(iter(of_a_scope)) == "build"
    assert list(of_a_scope)[-1] == "not_committed"
    assert {"passed", "by", "at"} == set(head_facts(Head(""))) - {"commit"}


def test_the_outcomes_of_reports_are_all_told() -> None:
    table = section(REFERENCE, "JSON").partition("`commit` also")[2].partition("### Events")[0]
    told = {name for row in rows(table) for name in code(row[1])}
    said = set(re.findall(r'Report\(\s*"(\w+)"', SOURCE))
    assert said - told == set()
    assert told - said <= {outcome.value for outcome in Outcome} | {"gave_up", "installed", "unchanged"}


def test_the_keys_and_the_kinds_of_an_event_are_all_told() -> None:
    text = section(REFERENCE, "Events")
    assert set(code(text.partition("\n\n| kind")[0])) == set(event_facts(Event(Kind.FIXED, "repo", 1, "a")))
    assert keys(text) == {kind.value for kind in Kind}


def test_the_words_for_a_status_are_the_ones_that_there_are() -> None:
    (row,) = [row for row in rows(section(REFERENCE, "JSON")) if row[0] == "`status`" and "fixing" in row[1]]
    assert code(row[1]) == [status.value for status in Status]


@pytest.mark.parametrize(
    "message", [text for row in rows(section(REFERENCE, "What it says, and what to do")) for text in code(row[0])]
)
def test_each_message_that_is_explained_is_one_that_the_program_has(message: str) -> None:
    for part in filter(None, re.split(r"…|\(|\)", message)):
        assert part.strip(" :") in SOURCE, part


def test_it_warns_of_the_other_package_of_that_name() -> None:
    text = README.read_text(encoding="utf-8")
    assert "Never `pip install buildguard`" in text
    assert re.findall(r"(?m)^(?!>).*\binstall (?:-q )?(?:git-)?buildguard\b", text) == []


def test_the_text_for_agents_names_every_exit_code_that_a_commit_can_end_with() -> None:
    text = text_for_agents()
    explained = {int(code) for line in re.findall(r"(?m)^  - ([\d, ]+):", text) for code in line.split(",")}
    assert explained == {0, 1, 2, 4, 69, 70, 75}
    for rule in ("--agent NAME", "`buildguard commit ", "git add", "--no-verify", "index.lock", "`next: ...`"):
        assert rule in text


def test_no_document_names_a_host_that_packages_come_from() -> None:
    hosts = re.compile(r"pypi|pythonhosted|npmjs|crates\.io|rubygems", re.IGNORECASE)
    assert [path.name for path in DOCUMENTS if hosts.search(path.read_text(encoding="utf-8"))] == []
