"""`buildguard agents`: what it writes into the agents' files, and that all else in them stays."""

import itertools
import json
import re
from pathlib import Path

import pytest
from testing.support import Checkout, Done

from buildguard.agents.hookfiles import BY_NAME, HOOK_FILES
from buildguard.setup.agents import _sealed
from buildguard.setup.jsonedit import plain

EDITED = [row for row in HOOK_FILES if row.moments]
NAMES = [row.name for row in EDITED]
MINE = '{"matcher": "mine", "hooks": [{"type": "command", "command": "true"}]}'


def texts(event: str) -> dict[str, str]:
    """Files that may be there already, by what is odd about them; `event` is one that we write, too."""
    return {
        "empty object": "{}",
        "empty object on two lines": "{\n}\n",
        "one line": '{"model": "x","hooks":{}}',
        "no hooks": '{\n  "model": "x",\n  "env": {"A": "1"}\n}\n',
        "no newline at the end": '{\n    "model": "x"\n}',
        "tabs": '{\n\t"model": "x",\n\t"hooks": {\n\t\t"Other": []\n\t}\n}\n',
        "odd indentation": '{\n   "hooks":\n {\n       "Other": [ ],\n  "More" : {}\n } , "model": "x" }',
        "comments": '// first\n{ // {"hooks": 1}\n  /* "hooks": {}, */\n  "model": "x", // "end"\n  // , ]\n}\n',
        "commas between comments": '{\n  "a": 1, /* , */\n  "b": {"c": 2} /* , */\n}\n',
        "comments alone": "{\n  // nothing yet\n}\n",
        "last commas": '{\n  "hooks": {\n    "Other": [1, 2,],\n  }, // ,\n}\n',
        "windows": '{\r\n  "model": "x",\r\n  "hooks": {\r\n    "Other": []\r\n  }\r\n}\r\n',
        "byte order mark": '\ufeff{\n  "model": "x"\n}\n',
        "empty group": f'{{\n  "hooks": {{\n    "{event}": []\n  }}\n}}\n',
        "a group": f'{{\n  "hooks": {{\n    "{event}": [\n      {MINE}\n    ],\n    "Other": [{MINE}]\n  }}\n}}\n',
        "a group on one line": f'{{"hooks": {{"{event}": [{MINE}, {MINE}]}}}}',
        "quotes": '{\n  "a": "\\" // no comment, }",\n  "ä": "\\u00e4€",\n  "b": "/* none */"\n}\n',
    }


KINDS = list(texts(""))


def installed(checkout: Checkout, *more: str) -> Done:
    return checkout.buildguard("agents", "install", *more)


def bytes_of(folder: Path) -> dict[str, bytes]:
    """All files of a work tree."""
    found = [path for path in folder.rglob("*") if path.is_file() and ".git" not in path.relative_to(folder).parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.parametrize(
    ("name", "kind"), [*itertools.product(("claude", "cursor"), KINDS), *((name, "a group") for name in NAMES[1:])]
)
def test_hooks_go_into_a_file_and_out_again_byte_for_byte(checkout: Checkout, name: str, kind: str) -> None:
    row = BY_NAME[name]
    path = checkout.path / row.file
    path.parent.mkdir(parents=True, exist_ok=True)
    before = texts(row.moments["tool"])[kind].encode()
    path.write_bytes(before)
    assert installed(checkout, "--agent", name).status == 0
    after = path.read_bytes()
    held = json.loads(plain(after.decode()).removeprefix("\ufeff"))
    for moment, event in row.moments.items():
        assert held["hooks"][event][0] == row.entry(moment)
    assert {**json.loads(plain(before.decode()).removeprefix("\ufeff")), "hooks": 0} == {**held, "hooks": 0}
    assert installed(checkout, "--agent", name).both == "buildguard: nothing is to be done here\n"
    assert path.read_bytes() == after
    assert checkout.buildguard("agents", "uninstall").status == 0
    assert path.read_bytes() == before


def test_all_that_was_written_anew_is_taken_away_again(checkout: Checkout) -> None:
    before = bytes_of(checkout.path)
    assert installed(checkout, *(word for name in BY_NAME for word in ("--agent", name))).status == 0
    assert set(bytes_of(checkout.path)) - set(before) == {
        "AGENTS.md",
        ".agents/skills/fix-build/SKILL.md",
        ".claude/skills/fix-build/SKILL.md",
        *(row.file for row in HOOK_FILES),
    }
    assert checkout.buildguard("agents", "uninstall").status == 0
    assert bytes_of(checkout.path) == before
    assert not (checkout.path / ".agents").exists()
    assert "nothing is to be done" in checkout.buildguard("agents", "uninstall").both


@pytest.mark.parametrize("before", [b"", b"# Mine\n", b"# Mine", b"# Mine\r\n\r\nText\r\n", "# Mïne\n\n".encode()])
@pytest.mark.parametrize("name", ["AGENTS.md", "CLAUDE.md"])
def test_the_block_goes_into_a_text_and_out_again_byte_for_byte(
    checkout: Checkout, name: str, before: bytes
) -> None:
    path = checkout.path / name
    path.write_bytes(before)
    assert installed(checkout).status == 0
    after = path.read_bytes()
    assert after.startswith(before)
    assert b"buildguard commit --agent NAME" in after
    assert installed(checkout).both == "buildguard: nothing is to be done here\n"
    path.write_bytes(after + b"\nMore\n")
    assert checkout.buildguard("agents", "uninstall").status == 0
    assert path.read_bytes() == before + b"\nMore\n"


def test_without_a_claude_file_none_is_made(checkout: Checkout) -> None:
    installed(checkout)
    assert not (checkout.path / "CLAUDE.md").exists()


def test_a_claude_file_that_leads_to_the_agents_file_needs_no_second_block(checkout: Checkout) -> None:
    (checkout.path / "CLAUDE.md").symlink_to("AGENTS.md")
    assert installed(checkout).status == 0
    assert installed(checkout).status == 0
    assert (checkout.path / "AGENTS.md").read_text().count("buildguard: begin") == 1


@pytest.mark.parametrize(
    "content", ["", "[]", '{"hooks": []}', '{"hooks": {"Stop": 1}}', "{", "hooks: {}", "[" * 5000]
)
def test_a_file_that_cannot_be_changed_is_left_alone_in_one_line(checkout: Checkout, content: str) -> None:
    path = checkout.write(".claude/settings.json", content)
    done = installed(checkout, "--agent", "claude")
    assert len([line for line in done.out.splitlines() if str(path) in line and "left alone" in line]) == 1
    assert (done.status, done.last, path.read_text()) == (1, f"next: ls -ld '{path}'", content)


def test_a_link_is_left_alone(checkout: Checkout, tmp_path: Path) -> None:
    theirs = tmp_path / "settings.json"
    theirs.write_text("{}")
    (checkout.path / ".claude").mkdir()
    (checkout.path / ".claude" / "settings.json").symlink_to(theirs)
    done = installed(checkout, "--agent", "claude")
    assert (done.status, "is a link" in done.out, theirs.read_text()) == (1, True, "{}")
    assert checkout.buildguard("agents", "uninstall").status == 0


def test_a_folder_of_skills_that_leads_to_the_other_needs_no_second_one(checkout: Checkout) -> None:
    (checkout.path / ".agents" / "skills").mkdir(parents=True)
    (checkout.path / ".claude").mkdir()
    (checkout.path / ".claude" / "skills").symlink_to("../.agents/skills")
    assert installed(checkout).status == 0
    assert (checkout.path / ".claude/skills/fix-build/SKILL.md").exists()


def test_a_file_that_cannot_be_written_is_told(checkout: Checkout) -> None:
    (checkout.path / "AGENTS.md").mkdir()
    checkout.write(".agents", "a file")
    done = installed(checkout)
    assert (done.status, done.out.count("left alone"), "wrote" in done.out) == (1, 2, True)


@pytest.mark.parametrize("name", ["AGENTS.md", ".claude/settings.json"])
def test_a_file_that_is_too_large_is_left_alone(checkout: Checkout, name: str) -> None:
    path = checkout.write(name, "{" + " " * (1 << 20) + "}\n")
    assert installed(checkout, "--agent", "claude").status == 1
    assert path.stat().st_size == (1 << 20) + 3


@pytest.mark.parametrize("end", ["", "€"])
def test_of_a_file_that_is_too_large_in_bytes_only_nothing_is_lost(checkout: Checkout, end: str) -> None:
    path = checkout.write("AGENTS.md", "ü" * (1 << 19) + " " + end + "more\n")
    before = path.read_bytes()
    done = installed(checkout)
    assert (done.status, "is larger than 1 MiB" in done.out, path.read_bytes() == before) == (1, True, True)


def test_a_file_that_only_its_owner_may_read_stays_so(checkout: Checkout) -> None:
    path = checkout.write(".claude/settings.json", "{}")
    path.chmod(0o600)
    installed(checkout, "--agent", "claude")
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_no_hook_of_ours_is_in_is_not_looked_at_when_they_are_taken_out(checkout: Checkout) -> None:
    checkout.write("crush.json", "{ no JSON")
    assert checkout.buildguard("agents", "uninstall").status == 0


OURS = ["AGENTS.md", ".agents/skills/fix-build/SKILL.md", ".opencode/plugins/buildguard.js"]


@pytest.mark.parametrize("name", OURS)
def test_an_edit_of_a_text_of_ours_is_neither_overwritten_nor_deleted(checkout: Checkout, name: str) -> None:
    installed(checkout, "--agent", "opencode")
    path = checkout.path / name
    edited = path.read_text().replace("buildguard commit", "nice buildguard commit").replace("spawnSync", "spawn")
    path.write_text(edited)
    for done in (installed(checkout, "--agent", "opencode"), checkout.buildguard("agents", "uninstall")):
        assert (done.status, done.last) == (1, f"next: ls -ld '{path}'")
        assert f"left alone: {path} cannot be changed: it is not as buildguard wrote it" in done.out
        assert path.read_text() == edited


@pytest.mark.parametrize("name", OURS)
def test_a_text_of_another_version_is_replaced_and_taken_away(checkout: Checkout, name: str) -> None:
    installed(checkout, "--agent", "opencode")
    path = checkout.path / name
    ours = path.read_text()
    block = ours.removesuffix("\n") if name == "AGENTS.md" else ours
    other = _sealed(block.replace("buildguard commit", "buildguard-commit").replace("spawnSync", "spawn"))
    path.write_text(other + "\n" * (name == "AGENTS.md"))
    assert installed(checkout, "--agent", "opencode").status == 0
    assert path.read_text() == ours
    path.write_text(other.replace("\n", "\r\n"))
    assert checkout.buildguard("agents", "uninstall").status == 0
    assert not path.exists()


def test_a_skill_of_that_name_that_is_somebody_elses_is_left_alone(checkout: Checkout) -> None:
    path = checkout.write(".agents/skills/fix-build/SKILL.md", "mine\n")
    assert (installed(checkout).status, path.read_text()) == (1, "mine\n")
    assert (checkout.buildguard("agents", "uninstall").status, path.read_text()) == (0, "mine\n")


def test_what_was_added_beside_our_hooks_stays(checkout: Checkout) -> None:
    path = checkout.write(".claude/settings.json", '{\n  "hooks": {}\n}\n')
    installed(checkout, "--agent", "claude")
    text = path.read_text()
    path.write_text(
        text.replace('"Stop": [', f'"Stop": [{MINE}, ').replace('{\n  "hooks"', '{\n  "a": 1,\n  "hooks"')
    )
    assert checkout.buildguard("agents", "uninstall").status == 0
    assert json.loads(path.read_text()) == {"a": 1, "hooks": {"Stop": [json.loads(MINE)]}}


def test_hooks_that_a_formatter_has_rewritten_are_taken_out_all_the_same(checkout: Checkout) -> None:
    path = checkout.write(".claude/settings.json", '{"a": 1}')
    installed(checkout, "--agent", "claude")
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4))
    checkout.buildguard("agents", "uninstall")
    assert "agent-hook" not in path.read_text()
    assert json.loads(path.read_text())["a"] == 1


@pytest.mark.parametrize("name", ["claude", "cursor"])
@pytest.mark.parametrize("moment", ["tool", "stop"])
def test_a_hook_of_the_users_in_the_same_entry_as_ours_stays(checkout: Checkout, name: str, moment: str) -> None:
    row = BY_NAME[name]
    mine = {"type": "command", "command": "notify 'buildguard agent-hook' ended; buildguard agent-hook claude stop"}
    ours = row.entry(moment)
    entries = [{**ours, "hooks": [mine, *ours["hooks"], mine]}] if row.grouped else [mine, ours]
    path = checkout.write(row.file, json.dumps({"hooks": {row.moments[moment]: entries}}, indent=4))
    left = [{**ours, "hooks": [mine, mine]}] if row.grouped else [mine]
    assert installed(checkout, "--agent", name).status == 0
    assert json.loads(path.read_text())["hooks"][row.moments[moment]] == [ours, *left]
    assert checkout.buildguard("agents", "uninstall").status == 0
    assert json.loads(path.read_text())["hooks"][row.moments[moment]] == left


@pytest.mark.parametrize(
    "around", ["[ // mine\n OURS, MINE]", "[MINE, /* mine, */ OURS]", "[MINE, OURS, // mine\n]"]
)
def test_a_comment_beside_a_hook_of_ours_stays(checkout: Checkout, around: str) -> None:
    entries = around.replace("OURS", json.dumps(BY_NAME["claude"].entry("stop"))).replace("MINE", MINE)
    path = checkout.write(".claude/settings.json", f'{{"hooks": {{"Stop": {entries}}}}}')
    assert checkout.buildguard("agents", "uninstall").status == 0
    text = path.read_text()
    assert json.loads(plain(text)) == {"hooks": {"Stop": [json.loads(MINE)]}}
    assert "mine" in text.replace(MINE, "")


def test_hooks_of_an_older_version_are_replaced(checkout: Checkout) -> None:
    old = '{"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "buildguard agent-hook old"}]}]}}'
    path = checkout.write(".claude/settings.json", old)
    installed(checkout, "--agent", "claude")
    assert json.loads(path.read_text())["hooks"]["Stop"] == [BY_NAME["claude"].entry("stop")]


def test_hooks_are_for_the_agents_that_are_found_here(checkout: Checkout) -> None:
    (checkout.path / ".gemini").mkdir()
    assert installed(checkout).status == 0
    assert not (checkout.path / ".gemini" / "settings.json").exists()
    assert "new hooks run only when you have trusted them: in Gemini CLI" in installed(checkout, "--hooks").out
    assert (checkout.path / ".gemini" / "settings.json").exists()
    assert not (checkout.path / ".codex").exists()


def test_the_agent_that_calls_is_found_by_its_environment(checkout: Checkout) -> None:
    done = checkout.buildguard("agents", "install", "--hooks", CURSOR_AGENT="1")
    assert (done.status, (checkout.path / ".cursor" / "hooks.json").exists()) == (0, True)


def test_where_no_agent_is_found_they_are_named(checkout: Checkout) -> None:
    (line,) = re.findall("name one: (.*)", installed(checkout, "--hooks").out)
    assert line.split(", ") == list(BY_NAME)


def test_the_text_can_be_printed_only(checkout: Checkout) -> None:
    before = bytes_of(checkout.path)
    done = installed(checkout, "--print")
    assert (done.status, done.out.startswith("## Committing in this repository\n")) == (0, True)
    assert bytes_of(checkout.path) == before


def test_the_list_tells_what_is_known_found_and_installed(checkout: Checkout) -> None:
    (checkout.path / ".codex").mkdir()
    installed(checkout, "--agent", "claude")
    told = checkout.buildguard("agents", "list").out
    assert "the text for agents is installed" in told
    assert "claude: Claude Code, hooks installed (.claude/settings.json)" in told
    assert "codex: Codex, found here (.codex/hooks.json)" in told
    assert "qwen: Qwen Code, not found (.qwen/settings.json)" in told


def test_the_skill_has_the_form_that_agents_expect(checkout: Checkout) -> None:
    installed(checkout)
    text = (checkout.path / ".agents/skills/fix-build/SKILL.md").read_text()
    front, body = re.fullmatch(r"---\n(.*?)---\n(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    name, description = re.fullmatch(r"name: (.*?)\ndescription: >-\n(.*)", front, re.DOTALL).groups()  # type: ignore[union-attr]
    assert (name, len(" ".join(description.split())) <= 1024, body.count("\n") < 200) == ("fix-build", True, True)
    assert body.endswith("-->\n\n" + installed(checkout, "--print").out)


@pytest.mark.parametrize("name", NAMES)
def test_every_row_of_the_table_has_its_shape(name: str) -> None:
    row = BY_NAME[name]
    assert "tool" in row.moments
    assert set(row.moments) <= {"tool", "start", "sub", "stop", "end"}
    for moment in row.moments:
        assert f"buildguard agent-hook {name} {moment}" in json.dumps(row.entry(moment))
