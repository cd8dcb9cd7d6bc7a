"""What the hooks of coding agents hear and answer: the installed line, each agent's event, its own dialect."""

import json
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from testing.events import ASKED, MOMENTS, Answer, answer, asked, event, send
from testing.pasting import pasted
from testing.screen import Screen
from testing.support import BUILDGUARD, Checkout, Done, Worker, new_repository

from buildguard.agents.hookfiles import BY_NAME
from buildguard.agents.known import CODING_AGENTS

STARTS = [(name, moment) for name, moment in MOMENTS if moment in ("start", "sub")]
STOPS = [name for name, moment in MOMENTS if moment == "stop"]
ENDS = [name for name, moment in MOMENTS if moment == "end"]
PLAIN = "git commit -m mine -- app.txt"


def at(checkout: Checkout, name: str, moment: str, **more: object) -> Answer:
    """What that agent hears at a moment of its session."""
    sent = {**event(name, moment, checkout.path), **more}
    return answer(BY_NAME[name], moment, send(checkout, name, moment, sent))


def its_name(checkout: Checkout, name: str, moment: str = "start") -> str:
    """The name that the agent is given when it starts."""
    return at(checkout, name, moment).told.partition("your name is ")[2].partition("\n")[0]


def claims(checkout: Checkout, agent: str) -> str:
    """Let an agent break the build by a commit of its own, and so become the fixer; its claim's number."""
    checkout.write("app.txt", "BROKEN\n")
    assert "you are the fixer" in checkout.buildguard("run", "--agent", agent).both
    return str(json.loads(checkout.buildguard("status", "--json").out)["claim"])


def test_there_is_an_event_for_each_moment_of_each_agent() -> None:
    plugin = [("opencode", "tool")]
    assert sorted(MOMENTS) == sorted([(row.name, one) for row in BY_NAME.values() for one in row.moments] + plugin)


@pytest.mark.parametrize("name", ASKED)
def test_each_agent_is_refused_a_commit_past_the_check_and_told_what_to_run(checkout: Checkout, name: str) -> None:
    reason = asked(checkout, name, 'git commit -n -m "a b" -- app.txt')
    assert reason.startswith("buildguard: refused: --no-verify (for commit also -n) goes past the check")
    last = reason.rpartition("\n")[2]
    checkout.write("app.txt", "fine, too\n")
    assert pasted(checkout, Done(1, "", last)).status == 0
    assert checkout.ok("log", "-1", "--format=%s") == "a b"


def test_what_codex_writes_behind_a_refusal_is_not_run(checkout: Checkout) -> None:
    reason = asked(checkout, "codex", "git commit -n -m x -- app.txt")
    checkout.write("app.txt", "fine, too\n")
    assert pasted(checkout, Done(1, "", f"{reason}. Command: git commit -n -m x -- app.txt")).status == 0
    assert checkout.ok("log", "-1", "--format=%s %D") == "x HEAD -> main"


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("command", ["git status", "git commit -m 'no --no-verify'", "ls", "rm build/x"])
def test_no_agent_is_refused_what_harms_nobody(checkout: Checkout, name: str, command: str) -> None:
    assert asked(checkout, name, command) == ""


@pytest.mark.parametrize(("name", "moment"), STARTS)
def test_an_agent_that_starts_is_told_its_name_and_how_the_build_stands(
    checkout: Checkout, name: str, moment: str
) -> None:
    told = at(checkout, name, moment).told
    called = its_name(checkout, name, moment)
    assert f'buildguard commit --agent {called} --timeout 9m -m "..."' in told
    assert "no breakage known: build default, this checkout" in told
    assert checkout.buildguard("claim", "--agent", called).status == 0


@pytest.mark.parametrize("name", [name for name, moment in STARTS if moment == "sub"])
def test_a_sub_agent_is_another_agent(checkout: Checkout, name: str) -> None:
    assert its_name(checkout, name, "sub").startswith(f"{its_name(checkout, name)}/")


@pytest.mark.parametrize("name", [name for name, moment in STARTS if moment == "start"])
def test_an_agent_with_a_session_is_told_the_name_that_its_commands_have_by_themselves(
    checkout: Checkout, name: str
) -> None:
    (row,) = [row for row in CODING_AGENTS if row.name == BY_NAME[name].program]
    if row.session:
        sent = event(name, "start", checkout.path)
        session = next(sent[key] for key in ("session_id", "sessionId") if key in sent)
        done = checkout.buildguard("status", "--json", **{row.markers[0]: "1", row.session: session})
        assert its_name(checkout, name) == json.loads(done.out)["agent"]
    else:
        assert its_name(checkout, name).startswith(f"{name}-")


def test_every_agent_of_the_hook_files_is_in_the_table_of_agents() -> None:
    assert {row.program for row in BY_NAME.values()} <= {row.name for row in CODING_AGENTS}


def test_the_name_of_an_opencode_session_is_the_one_that_its_plugin_sets(checkout: Checkout) -> None:
    assert "--agent opencode-4T5y6U7" not in asked(checkout, "opencode", "git commit -n", BUILDGUARD_AGENT="me")
    assert "--agent opencode-r4T5y6U7" in asked(checkout, "opencode", "git commit -n", BUILDGUARD_AGENT="me")


@pytest.mark.parametrize("name", STOPS)
def test_the_holder_of_a_claim_is_held_at_the_end_of_its_turn_once(checkout: Checkout, name: str) -> None:
    claims(checkout, its_name(checkout, name))
    held = at(checkout, name, "stop").held
    assert "you hold the claim" in held
    assert "release --gave-up" in held
    assert at(checkout, name, "stop") == Answer()


def test_the_holder_of_two_claims_is_held_once_for_each(checkout: Checkout) -> None:
    name = its_name(checkout, "claude")
    for scope in ("repo", "checkout"):
        assert checkout.buildguard("claim", "--scope", scope, "--agent", name).status == 0
    assert [bool(at(checkout, "claude", "stop").held) for _ in range(4)] == [True, True, False, False]


def test_a_turn_that_was_held_before_is_not_held_again(checkout: Checkout) -> None:
    claims(checkout, its_name(checkout, "claude"))
    assert at(checkout, "claude", "stop", stop_hook_active=True) == Answer()
    assert at(checkout, "claude", "stop").held


@pytest.mark.parametrize("name", STOPS)
def test_who_holds_nothing_may_end_its_turn(checkout: Checkout, name: str) -> None:
    claims(checkout, "somebody-else")
    assert at(checkout, name, "stop") == Answer()


def test_a_fix_that_has_landed_meanwhile_holds_nobody(checkout: Checkout) -> None:
    name = its_name(checkout, "claude")
    checkout.write("app.txt", "BROKEN\n")
    checkout.ok("commit", "-qnam", "broken")
    claims(checkout, name)
    checkout.write("app.txt", "fine again\n")
    assert checkout.buildguard("run", "--agent", name).status == 0
    checkout.ok("commit", "-qnam", "fixed")
    assert at(checkout, "claude", "stop") == Answer()


@pytest.mark.parametrize("name", ENDS)
def test_a_session_that_ends_gives_up_what_it_holds_and_says_so(checkout: Checkout, name: str) -> None:
    number = claims(checkout, its_name(checkout, name))
    assert f"gave up claim {number}" in at(checkout, name, "end").shown
    assert "gave up: the session of its holder ended" in checkout.buildguard("log").out


def test_a_session_that_ends_gives_up_what_its_sub_agents_hold(checkout: Checkout) -> None:
    claims(checkout, its_name(checkout, "claude", "sub"))
    assert at(checkout, "claude", "stop") == Answer(), "the sub-agent may work on"
    assert "gave up claim" in at(checkout, "claude", "end").shown


def test_the_sub_agents_of_a_session_that_was_named_belong_to_it(checkout: Checkout) -> None:
    sent = event("claude", "sub", checkout.path)
    told = answer(BY_NAME["claude"], "sub", send(checkout, "claude", "sub", sent, BUILDGUARD_AGENT="me")).told
    assert "your name is me/f9c2d17e" in told
    claims(checkout, "me/f9c2d17e")
    assert asked(checkout, "claude", PLAIN, BUILDGUARD_AGENT="me") == ""
    end = event("claude", "end", checkout.path)
    assert "gave up claim" in send(checkout, "claude", "end", end, BUILDGUARD_AGENT="me").out


def test_a_session_that_ends_leaves_others_claims_alone(checkout: Checkout) -> None:
    claims(checkout, "somebody-else")
    assert at(checkout, "claude", "end") == Answer()


def test_a_plain_commit_is_refused_while_another_agent_holds_a_claim_here(checkout: Checkout) -> None:
    claims(checkout, "bob")
    reason = asked(checkout, "claude", PLAIN)
    assert "bob holds a claim in this checkout: a plain git commit can take its edits" in reason
    assert f"next: buildguard commit --agent {its_name(checkout, 'claude')} -m mine -- app.txt" in reason


def test_a_plain_commit_is_refused_after_another_agent_has_called_here(checkout: Checkout) -> None:
    assert asked(checkout, "claude", PLAIN) == ""
    checkout.buildguard("run", "--agent", "bob")
    age(checkout, 125)
    assert "bob called in this checkout 2 min ago: a plain git" in asked(checkout, "claude", PLAIN)


def age(checkout: Checkout, seconds: int, claim: str = "") -> None:
    """Put everything that was called here into the past; the claim's sign of life only if that is named."""
    with sqlite3.connect(checkout.path / ".git" / "buildguard" / "state.db") as database:
        for table in ("proof", "event"):
            inner = "json_set(value, '$.at', json_extract(value, '$.at') - ?)"
            database.execute(f"UPDATE {table} SET at = at - ?, value = {inner}", (seconds, seconds))
        where = "$.breakage.claim.seen_at"
        aged = (
            "UPDATE build_state SET value = json_set(value, ?, json_extract(value, ?) - ?) WHERE fixer_agent_id = ?"
        )
        database.execute(aged, (where, where, seconds, claim))
    database.close()


@pytest.mark.parametrize(("minutes", "refused"), [(4, True), (6, False)])
def test_who_has_called_here_counts_for_five_minutes(checkout: Checkout, minutes: int, refused: bool) -> None:
    checkout.buildguard("run", "--agent", "bob")
    age(checkout, 60 * minutes)
    assert ("bob" in asked(checkout, "claude", PLAIN)) is refused


@pytest.mark.parametrize(("silent", "refused"), [("", True), ("bob", False)])
def test_who_holds_a_claim_counts_until_it_is_stale(checkout: Checkout, silent: str, refused: bool) -> None:
    claims(checkout, "bob")
    age(checkout, 1000, silent)
    assert ("bob" in asked(checkout, "claude", PLAIN)) is refused


def test_a_plain_commit_is_let_through_beside_a_person_at_a_terminal(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    with Screen(checkout, 200, "setsid", "--ctty", "bash", "--norc", "-i", agent="") as person:
        person.types(f"'{BUILDGUARD}' run\n")
        person.shows("you are the fixer")
        assert asked(checkout, "claude", PLAIN) == ""
        person.types("exit\n")


def test_a_plain_commit_is_let_through_beside_ones_own_calls(checkout: Checkout) -> None:
    checkout.buildguard("run", "--agent", its_name(checkout, "claude"))
    checkout.buildguard("run", "--agent", its_name(checkout, "claude", "sub"))
    assert asked(checkout, "claude", PLAIN) == ""


def test_a_plain_commit_is_let_through_beside_an_agent_in_another_work_tree(checkout: Checkout) -> None:
    linked = checkout.work_tree("linked")
    linked.buildguard("run", "--agent", "bob")
    assert asked(checkout, "claude", PLAIN) == ""
    assert "bob" in asked(linked, "claude", PLAIN)


def test_a_plain_commit_is_refused_beside_a_process_only_while_that_lives(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    with Worker(checkout) as worker:
        assert "you are the fixer" in worker.run(BUILDGUARD, "run").both
        assert "holds a claim in this checkout" in asked(checkout, "claude", PLAIN)
    assert asked(checkout, "claude", PLAIN) == ""


def test_a_plain_commit_is_let_through_below_the_process_that_holds_the_claim(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    send_it = (
        "import json, sys; from testing.events import asked; from testing.support import Checkout; "
        "from pathlib import Path; print(asked(Checkout(Path.cwd(), Path(sys.argv[1])), 'claude', sys.argv[2]))"
    )
    words = (sys.executable, "-c", send_it, str(checkout.home), PLAIN)
    with Worker(checkout, PYTHONPATH=str(Path(__file__).parents[1])) as worker:
        assert "you are the fixer" in worker.run(BUILDGUARD, "run").both
        assert (worker.run(*words).out, asked(checkout, "claude", PLAIN) != "") == ("\n", True)


@pytest.mark.parametrize(
    "broken",
    [
        lambda sent: "",
        lambda sent: "git {",
        lambda sent: '["git"]',
        lambda sent: json.dumps({**sent, "cwd": "/nowhere"}),
        lambda sent: json.dumps({**sent, "tool_input": {"command": ["git", "commit", "-n"]}}),
        lambda sent: json.dumps({**sent, "tool_input": "git commit -n"}),
        lambda sent: json.dumps({**sent, "tool_input": {"command": "git commit -n; " + "(" * 20_000}}),
        lambda sent: " " * 400_000 + json.dumps(sent),
    ],
)
def test_whatever_is_wrong_with_an_event_the_agent_goes_on(
    checkout: Checkout, broken: Callable[[dict[str, object]], str]
) -> None:
    done = send(checkout, "claude", "tool", broken(event("claude", "tool", checkout.path, "git commit -n")))
    assert (done.status, done.both) == (0, "")


def test_where_the_database_is_damaged_the_agent_goes_on(checkout: Checkout) -> None:
    folder = checkout.path / ".git" / "buildguard"
    folder.mkdir(exist_ok=True)
    (folder / "state.db").write_bytes(b"no database" * 100)
    for moment in ("start", "stop", "end"):
        done = send(checkout, "claude", moment, event("claude", moment, checkout.path))
        assert (done.status, done.both) == (0, "")
    assert "refused: --no-verify" in asked(checkout, "claude", "git commit -n")


def test_where_buildguard_is_not_installed_the_agent_goes_on(checkout: Checkout) -> None:
    done = send(
        checkout, "claude", "tool", event("claude", "tool", checkout.path, "git commit -n"), PATH="/usr/bin"
    )
    assert (done.status, done.both) == (0, "")


def test_where_buildguard_is_switched_off_nothing_is_refused(checkout: Checkout) -> None:
    assert asked(checkout, "claude", "git commit -n", BUILDGUARD="0") == ""


@pytest.mark.parametrize(("command", "starts"), [("ls -la", False), ("git status", True), ("rm index.lock", True)])
def test_python_starts_only_where_the_command_speaks_of_git(
    checkout: Checkout, tmp_path: Path, command: str, starts: bool
) -> None:
    programs, mark = tmp_path / "programs", tmp_path / "started"
    programs.mkdir()
    (programs / "buildguard").write_text(f"#!/bin/sh\ncat > '{mark}'\n")
    (programs / "buildguard").chmod(0o755)
    sent = event("claude", "tool", tmp_path / "git" / "place", command)
    send(checkout, "claude", "tool", sent, PATH=f"{programs}{os.pathsep}{os.environ['PATH']}")
    assert mark.exists() is starts
    assert not starts or json.loads(mark.read_text()) == sent


def test_a_repository_without_a_check_tells_nothing(tmp_path: Path) -> None:
    checkout = new_repository(tmp_path / "plain", tmp_path / "home")
    (checkout.path / ".buildguard.toml").unlink()
    assert at(checkout, "claude", "start") == Answer()
