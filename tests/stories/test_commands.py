"""claim, status, release, wait, reset and log: texts, exit statuses and the JSON object."""

import json
import os
import pty
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from testing.pasting import pasted
from testing.support import BUILDGUARD, Checkout, Done, Following, Worker, eventually

KEYS = {
    "schema",
    "outcome",
    "build",
    "scope",
    "status",
    "claim",
    "fixer",
    "mine",
    "broken_since",
    "claimed_at",
    "seen_at",
    "last_check",
    "stale",
    "stale_in_s",
    "reason",
    "failures",
    "next",
}
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def answer(done: Done) -> dict[str, object]:
    """The one JSON object on stdout."""
    assert done.out.count("\n") == 1, done
    found: dict[str, object] = json.loads(done.out)
    return found


def told(checkout: Checkout, *words: str, agent: str = "ann", **more: str) -> tuple[int, dict[str, object]]:
    """The exit status and the JSON object of a command."""
    done = checkout.buildguard(*words, "--json", agent=agent, **more)
    return done.status, answer(done)


def test_claim_makes_you_the_fixer(checkout: Checkout) -> None:
    done = checkout.buildguard("claim", agent="ann")
    assert (done.status, done.err) == (0, "")
    assert done.out == (
        "buildguard: claimed: you are the fixer of build default, this checkout, claim 1, as ann\n"
        "buildguard: fix it and commit; or give up with: buildguard release --gave-up --reason ... --agent ann\n"
    )


def test_claim_by_another_is_busy(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    done = checkout.buildguard("claim", agent="bob")
    assert done.status == 75
    assert re.fullmatch(
        r"buildguard: busy: ann is fixing since .* ago\), claim 1, last seen .* ago, "
        r"may be taken over from \d\d:\d\d on\n"
        r"buildguard: you are bob\n"
        r"next: buildguard wait --agent bob\n",
        done.out,
    )


def test_claim_again_renews_without_counting_an_attempt(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    done = checkout.buildguard("claim", agent="ann")
    assert done.status == 0
    assert re.search(r"renewed: yours since \d\d:\d\d, claim 1, attempt 1\n", done.out)


def test_claim_of_a_stale_claim_takes_it_over(checkout: Checkout) -> None:
    checkout.buildguard("claim", "--stale-after", "0.1s", agent="ann")
    eventually(lambda: told(checkout, "status")[1]["stale"] is True, "the claim is stale")
    assert told(checkout, "claim", agent="bob")[1]["outcome"] == "taken_over"


def test_a_claim_keeps_the_terms_that_it_was_made_with(checkout: Checkout) -> None:
    checkout.buildguard("claim", "--stale-after", "1h", "--max-claim", "2h", agent="ann")
    assert told(checkout, "claim", "--stale-after", "0.01s", "--max-claim", "0.01s", agent="bob")[0] == 75


def test_a_claim_held_for_too_long_is_stale_however_often_it_is_renewed(checkout: Checkout) -> None:
    checkout.buildguard("claim", "--max-claim", "0.2s", agent="ann")
    eventually(lambda: told(checkout, "claim")[1]["stale"] is True, "the claim is held for too long")
    assert told(checkout, "claim", agent="bob")[1]["outcome"] == "taken_over"


def test_release_ends_the_breakage(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    done = checkout.buildguard("release", agent="ann")
    expected = "released claim 1: build default, this checkout counts as fixed by your word"
    assert (done.status, done.out) == (0, f"buildguard: {expected}\n")
    assert told(checkout, "status")[1]["status"] == "passing"


def test_release_with_nothing_held_is_no_failure(checkout: Checkout) -> None:
    done = checkout.buildguard("release", agent="ann")
    assert (done.status, done.out) == (
        0,
        "buildguard: nothing to release: you hold no claim on build default, this checkout\n",
    )


def test_release_by_another_is_refused(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    done = checkout.buildguard("release", agent="bob")
    assert done.status == 3
    assert "not your claim: ann is fixing since" in done.out
    assert "you are bob\n" in done.out
    assert done.last == "next: buildguard status --agent bob"


def test_release_of_an_old_number_is_refused(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    checkout.buildguard("release", agent="ann")
    checkout.buildguard("claim", agent="ann")
    done = checkout.buildguard("release", "--claim", "1", agent="ann")
    assert done.status == 3
    assert "not your claim: claim 1 is over, you now hold claim 2 on build default, this checkout" in done.out
    assert done.last == "next: buildguard release --claim 2 --agent ann"
    assert pasted(checkout, done).status == 0


def test_giving_up_leaves_it_broken_with_the_reason(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    done = checkout.buildguard("release", "--gave-up", "--reason", "no idea", agent="ann")
    assert (done.status, "is broken, anybody may claim it now" in done.out) == (0, True)
    status, found = told(checkout, "status", agent="bob")
    assert (status, found["status"], found["reason"]) == (0, "broken", "no idea")
    assert found["next"] == "buildguard claim --agent bob"


def test_what_those_who_gave_up_say_is_told_to_the_next_until_it_is_fixed(checkout: Checkout) -> None:
    for agent, reason in (("ann", "not the cache"), ("bob", "nor the clock")):
        assert checkout.buildguard("claim", agent=agent).status == 0
        checkout.buildguard("release", "--gave-up", "--reason", reason, agent=agent)
    done = checkout.buildguard("claim", agent="cat")
    assert (done.status, "given up before: not the cache; nor the clock\n" in done.out) == (0, True)
    checkout.buildguard("release", agent="cat")
    assert "given up before" not in checkout.buildguard("claim", agent="dan").out


def test_wait_is_free_where_nobody_fixes(checkout: Checkout) -> None:
    done = checkout.buildguard("wait", agent="ann")
    assert (done.status, done.out.splitlines()[0]) == (0, "buildguard: free: nobody else holds a claim here")


def test_wait_is_free_for_the_fixer_at_once(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    done = checkout.buildguard("wait", "--timeout", "1h", agent="ann")
    assert (done.status, done.out.splitlines()[0]) == (0, "buildguard: free: you are the fixer")


def test_wait_by_the_fixer_is_a_sign_of_life_and_status_is_none(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    before = told(checkout, "status")[1]["seen_at"]
    eventually(lambda: told(checkout, "status")[1]["stale_in_s"] < 898.9, "a second has passed")  # type: ignore[operator]
    assert told(checkout, "status")[1]["seen_at"] == before
    assert told(checkout, "wait")[1]["seen_at"] != before


def test_wait_that_runs_out_is_75(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    done = checkout.buildguard("wait", "--timeout", "0.2s", agent="bob")
    assert (done.status, done.out.startswith("buildguard: the wait ran out: ann is fixing since")) == (75, True)
    assert done.err.startswith("buildguard: waiting: ann is fixing since")
    assert "you are bob\n" in done.out
    assert done.out.endswith("next: buildguard wait --agent bob\n")


def test_wait_is_woken_by_a_release_and_may_end_broken(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    waiter = Following(checkout.start(BUILDGUARD, "wait", "--timeout", "60s", agent="bob"))
    waiter.says("waiting: ann")
    checkout.buildguard("release", "--gave-up", agent="ann")
    done = waiter.ends()
    assert done.status == 0
    assert "buildguard: broken: build default, this checkout" in done.out


def test_wait_is_woken_by_the_end_of_the_fixers_process(checkout: Checkout) -> None:
    with Worker(checkout) as one:
        assert one.run(BUILDGUARD, "claim").status == 0
        waiter = Following(checkout.start(BUILDGUARD, "wait", "--timeout", "60s", agent="bob"))
        waiter.says("waiting: ")
    assert waiter.ends().status == 0


def test_interrupted_in_a_wait_is_130_with_the_command_that_repeats_it(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    waiter = Following(checkout.start(BUILDGUARD, "wait", "--build", "default", agent="bob"))
    waiter.says("waiting: ann")
    waiter.process.send_signal(2)
    done = waiter.ends()
    assert (done.status, done.last) == (130, "next: buildguard wait --agent bob --build default")


def test_status_tells_each_what_to_do_next(checkout: Checkout) -> None:
    assert told(checkout, "status")[1]["next"] is None
    checkout.buildguard("run", "--", "false", agent="ann")
    edited = told(checkout, "status", agent="ann")[1]["next"]
    assert edited == "BUILDGUARD_CHECK=false buildguard run --agent ann", "the setting names another check by now"
    assert (
        told(checkout, "status", agent="ann", BUILDGUARD_CHECK="false")[1]["next"] == "buildguard run --agent ann"
    )
    assert told(checkout, "status", agent="bob")[1]["next"] == "buildguard wait --agent bob"
    checkout.buildguard("release", "--gave-up", agent="ann")
    assert told(checkout, "status", agent="bob")[1]["next"] == "buildguard claim --agent bob"


def test_status_all_shows_every_scope(checkout: Checkout) -> None:
    other = checkout.work_tree("other")
    checkout.buildguard("claim", agent="ann")
    assert "ann" not in other.buildguard("status", agent="bob").out
    assert "ann is fixing" in other.buildguard("status", "--all", agent="bob").out


def test_a_claim_on_the_repository_binds_every_work_tree(checkout: Checkout) -> None:
    other = checkout.work_tree("other")
    checkout.buildguard("claim", "--scope", "repo", agent="ann")
    assert told(other, "claim", "--scope", "repo", agent="bob")[0] == 75
    assert other.buildguard("wait", "--timeout", "0.1s", agent="bob").status == 75
    done = checkout.buildguard("release", agent="ann")
    expected = "released claim 1: build default, the repository counts as fixed by your word"
    assert done.out == f"buildguard: {expected}\n"


def test_reset_needs_yes_where_nobody_can_answer(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    done = checkout.buildguard("reset", agent="bob")
    assert (done.status, done.last) == (2, "next: buildguard reset --yes --agent bob")
    assert told(checkout, "status")[1]["status"] == "fixing"
    assert pasted(checkout, done).status == 0
    assert told(checkout, "status")[1]["status"] == "passing"


def test_reset_supersedes_the_claim_and_uses_up_its_number(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    done = checkout.buildguard("reset", "--yes", agent="bob")
    expected = "reset: build default, this checkout is passing; the claim of ann is superseded"
    assert (done.status, done.out) == (0, f"buildguard: {expected}\n")
    late = checkout.buildguard("release", agent="ann")
    assert "your claim has ended: bob reset it after" in late.out
    assert told(checkout, "claim", agent="ann")[1]["claim"] == 3


def test_reset_of_the_claim_alone_evicts_and_leaves_it_broken(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    checkout.buildguard("run", agent="ann")
    done = checkout.buildguard("reset", "--claim", "--yes", agent="bob")
    expected = (
        "evicted: build default, this checkout is broken, anybody may claim it now; the claim of ann is superseded"
    )
    assert (done.status, done.out) == (0, f"buildguard: {expected}\n")
    status, found = told(checkout, "claim", agent="cat")
    assert (status, found["claim"]) == (0, 3), "its number is used up"
    late = checkout.buildguard("run", agent="ann")
    assert (late.status, "your claim has ended: bob ended the claim of ann" in late.both) == (75, True)
    assert "bob ended the claim of ann" in checkout.buildguard("log", agent="ann").out


def test_reset_of_a_claim_asks_for_just_that(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    done = checkout.buildguard("reset", "--claim", agent="bob")
    assert (done.status, done.last) == (2, "next: buildguard reset --yes --claim --agent bob")
    assert pasted(checkout, done).status == 0
    assert told(checkout, "status")[1]["status"] == "broken"


def test_reset_of_a_claim_that_nobody_holds_changes_nothing(checkout: Checkout) -> None:
    checkout.buildguard("run", "--no-claim", "--", "false", agent="ann")
    assert told(checkout, "reset", "--claim", "--yes", agent="bob")[0] == 0
    assert told(checkout, "status")[1]["status"] == "broken"


@pytest.mark.parametrize(("said", "status", "state"), [("y\n", 0, "passing"), ("n\n", 1, "fixing")])
def test_reset_asks_on_a_terminal(checkout: Checkout, said: str, status: int, state: str) -> None:
    checkout.buildguard("claim", agent="ann")
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [BUILDGUARD, "reset"],
        cwd=checkout.path,
        env=checkout.env("bob"),
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(follower)
    os.write(leader, said.encode())
    out, err = process.communicate(timeout=60)
    os.close(leader)
    assert process.returncode == status, (out, err)
    assert "ann is fixing since" in err
    assert "reset it to passing? [y/N]" in err
    assert told(checkout, "status")[1]["status"] == state
    if status:
        assert out == "buildguard: not reset\nnext: buildguard status --agent bob\n"


def test_log_tells_what_happened_oldest_first(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    checkout.buildguard("release", "--gave-up", "--reason", "too hard", agent="ann")
    checkout.buildguard("claim", agent="bob")
    checkout.buildguard("release", agent="bob")
    done = checkout.buildguard("log", agent="ann")
    said = [
        re.sub(r"^buildguard: \d\d:\d\d this checkout| after .* s\b", "", line) for line in done.out.splitlines()
    ]
    assert said == [
        " claim 1: ann claimed it",
        " claim 1: ann gave up: too hard",
        " claim 2: bob claimed it",
        " claim 2: bob released it as fixed, by word",
    ]
    assert len(checkout.buildguard("log", "-n", "2", agent="ann").out.splitlines()) == 2


def test_log_json_has_the_events(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    status, found = told(checkout, "log")
    assert status == 0
    assert isinstance(found["events"], list)
    event = found["events"][0]
    assert (event["kind"], event["agent"], event["before"], event["after"]) == (
        "claimed",
        "ann",
        "passing",
        "fixing",
    )
    assert UTC.fullmatch(event["at"])


@pytest.mark.parametrize("command", ["log", "doctor"])
def test_a_command_about_every_scope_takes_none(checkout: Checkout, command: str) -> None:
    done = checkout.buildguard(command, "--scope", "repo", agent="ann")
    assert (done.status, "No such option: --scope" in done.err or "No such option '--scope'" in done.err) == (
        2,
        True,
    )


EVERY_COMMAND = (
    (("claim",), 0, "claimed"),
    (("release",), 0, "nothing_held"),
    (("wait",), 0, "free"),
    (("status",), 0, "status"),
    (("reset", "--yes"), 0, "reset"),
    (("log",), 0, "log"),
    (("run",), 0, "passed"),
    (("hook",), 0, "passed"),
    (("run", "--build", "x", "--check-timeout", "0"), 2, "usage"),
    (("reset",), 2, "usage"),
    (("claim", "--no-such-option"), 2, "usage"),
    (("no-such-command",), 2, "usage"),
)


@pytest.mark.parametrize(("words", "status", "outcome"), EVERY_COMMAND, ids=repr)
def test_json_is_one_object_with_the_promised_keys(
    checkout: Checkout, words: tuple[str, ...], status: int, outcome: str
) -> None:
    code, found = told(checkout, *words)
    assert (code, found["outcome"], found["schema"]) == (status, outcome, 1)
    assert found.keys() >= KEYS


def test_json_of_a_claim_tells_all_of_it(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    checkout.buildguard("run", agent="ann")
    _, found = told(checkout, "status")
    times = [found.pop(name) for name in ("broken_since", "claimed_at", "seen_at", "last_check")]
    assert all(isinstance(one, str) and UTC.fullmatch(one) for one in times)
    left = found.pop("stale_in_s")
    assert isinstance(left, float)
    assert 800 < left <= 900
    scope = found.pop("scope")
    assert isinstance(scope, str)
    assert scope.startswith("checkout:repository-")
    assert {name: found[name] for name in KEYS & found.keys()} == {
        "schema": 1,
        "outcome": "status",
        "build": "default",
        "status": "fixing",
        "claim": 1,
        "fixer": "ann",
        "mine": True,
        "stale": False,
        "reason": None,
        "failures": [],
        "next": "buildguard run --agent ann",
    }


def test_json_outside_a_repository_is_one_object_too(tmp_path: Path, checkout: Checkout) -> None:
    folder = tmp_path / "nowhere"
    folder.mkdir()
    nowhere = Checkout(folder, checkout.home, {"GIT_CEILING_DIRECTORIES": str(tmp_path)})
    status, found = told(nowhere, "status")
    assert (status, found["outcome"], found["next"]) == (69, "unavailable", None)
    assert "not a git repository" in str(found["message"])


@pytest.mark.parametrize(
    "words",
    [
        *("-h", "--help", "run -h", "hook --help", "commit -h", "commit --help", "cherry-pick -h", "claim --help"),
        *("status -h", "release --help", "wait -h", "reset --help", "log -h", "doctor --help", "demo -h"),
    ],
)
def test_help_is_everywhere(checkout: Checkout, words: str) -> None:
    done = checkout.buildguard(*words.split())
    assert (done.status, done.out.startswith("Usage: buildguard")) == (0, True)


# What may be in an id: tests/unit/test_identity.py has it all.
HOSTILE = ("a\x1b[31mb", "a\u202eb", " ")


@pytest.mark.parametrize(
    ("by", "identity"),
    [*(("option", one) for one in HOSTILE), ("variable", "a\nb")],
    ids=lambda value: repr(value)[:20],
)
def test_an_id_that_could_deceive_is_refused(checkout: Checkout, identity: str, by: str) -> None:
    words = ["claim", *(["--agent", identity] if by == "option" else [])]
    done = checkout.buildguard(*words, agent=identity if by == "variable" else None)
    assert done.status == 2
    assert done.err.startswith("buildguard: error: " + ("--agent" if by == "option" else "BUILDGUARD_AGENT"))
    assert (len(done.err.splitlines()), done.last) == (2, "next: buildguard --help")
    assert done.err.isascii()
    assert "\x1b" not in done.err


@pytest.mark.parametrize("reason", ["two\nlines\r", "\x1b[31mred\x1b[0m\x07\u202eturned", "x" * 2_000])
def test_a_reason_is_kept_whole_and_shown_on_one_line(checkout: Checkout, reason: str) -> None:
    checkout.buildguard("claim", agent="ann")
    checkout.buildguard("release", "--gave-up", "--reason", reason, agent="ann")
    assert told(checkout, "status")[1]["reason"] == reason
    events = told(checkout, "log")[1]["events"]
    assert isinstance(events, list)
    assert events[-1]["reason"] == reason
    for verb in ("status", "log"):
        done = checkout.buildguard(verb, agent="ann")
        assert all(line.startswith(("buildguard: ", "next: ")) for line in done.out.splitlines())
        assert done.out.replace("\n", "").replace("…", "").isprintable()
        assert max(map(len, done.out.splitlines())) < 400


def test_of_a_long_reason_the_breakage_keeps_the_end_and_the_log_all(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    reason = "x" * 10_000 + "the end"
    checkout.buildguard("release", "--gave-up", "--reason", reason, agent="ann")
    assert told(checkout, "status")[1]["reason"] == reason[-2_000:]
    events = told(checkout, "log")[1]["events"]
    assert isinstance(events, list)
    assert events[-1]["reason"] == reason


def test_a_reason_that_is_not_text_is_kept_escaped(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    done = checkout.buildguard("release", "--gave-up", "--reason", os.fsdecode(b"caf\xe9"), agent="ann")
    assert done.status == 0, done
    assert "caf" in str(told(checkout, "status")[1]["reason"])


def test_a_closed_pipe_is_no_failure(checkout: Checkout) -> None:
    done = checkout.run("sh", "-c", f"{shlex.quote(BUILDGUARD)} status | true", agent="ann")
    assert done.err == ""
