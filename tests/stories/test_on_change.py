"""`on-change`: the user's own command hears of each event, and nobody waits for it."""

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from testing.support import Checkout, eventually

from buildguard.checks import on_change
from buildguard.checks.runner import Command


def heard(checkout: Checkout, command: str) -> Path:
    """Set the command; the file that its `$HEARD` names."""
    own = checkout.home / ".config" / "buildguard" / "config.toml"
    own.parent.mkdir(parents=True)
    own.write_text(f"on-change = {json.dumps(command)}\n")
    checkout.variables["HEARD"] = str(checkout.home / "heard it")
    return checkout.home / "heard it"


def events(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


WRITE = 'cat >> "$HEARD"; echo >> "$HEARD"'


def test_the_command_gets_each_event_as_json(checkout: Checkout) -> None:
    file = heard(checkout, WRITE)
    checkout.buildguard("claim", agent="ann")
    checkout.buildguard("release", "--gave-up", agent="ann")
    eventually(lambda: len(events(file)) == 2, "both events are told")
    assert [one["kind"] for one in events(file)] == ["claimed", "gave_up"]
    first = events(file)[0]
    assert (first["agent"], first["build"]) == ("ann", "default")
    assert first["repository"] == str(checkout.path / ".git")


def test_nobody_waits_for_it_and_one_runs_at_a_time(checkout: Checkout) -> None:
    file = heard(checkout, 'echo in >> "$HEARD"; cat >> /dev/null; sleep 1; echo out >> "$HEARD"')
    began = time.monotonic()
    for verb in ("claim", "release", "claim"):
        # Reads until its end what is printed: a command that held on to that would be waited for.
        assert checkout.buildguard(verb, agent="ann").status == 0
    took = time.monotonic() - began
    eventually(lambda: file.exists() and len(file.read_text().split()) == 6, "all three have run")
    assert file.read_text().split() == ["in", "out"] * 3
    assert time.monotonic() - began > 3 > took


def test_a_command_that_fails_is_told_once_and_changes_nothing(checkout: Checkout) -> None:
    heard(checkout, "exit 3")
    assert checkout.buildguard("claim", agent="ann").status == 0
    folder = checkout.path / ".git" / "buildguard"
    eventually(lambda: any(folder.glob("on-change-*.failed")), "it has failed")
    (checkout.home / ".config" / "buildguard" / "config.toml").write_text('on-change = "true"\n')
    for again in (1, 0):
        done = checkout.buildguard("release", agent="ann")
        checkout.buildguard("claim", agent="ann")
        assert done.status == 0
        assert done.err.count("buildguard: on-change failed: exit status 3: exit 3\n") == again


def test_it_sees_nothing_of_the_commit_in_hand(checkout: Checkout) -> None:
    file = heard(checkout, 'echo "index ${GIT_INDEX_FILE-none}" >> "$HEARD"')
    checkout.write("app.txt", "BROKEN\n")
    assert checkout.git("commit", "-qam", "x", agent="ann").status == 1
    eventually(file.exists, "it is told")
    eventually(lambda: file.read_text() == "index none\n", "no index")


def test_no_repository_can_set_it(checkout: Checkout) -> None:
    checkout.write(".buildguard.toml", 'check = "true"\non-change = "touch owned"\n')
    done = checkout.buildguard("claim", agent="ann")
    assert (done.status, "on-change is each user's own" in done.both) == (2, True)


def test_an_event_that_has_to_wait_too_long_is_lost_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_change, "LONGEST_QUEUE_SECONDS", 1)
    notes = tmp_path / "on-change.lock"
    with notes.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert on_change.tell(Command.from_shell("true"), b"{}", os.environ, notes) == ""
        eventually(notes.with_suffix(".failed").exists, "the loss is noted")
    said = on_change.tell(Command.from_shell("true"), b"{}", os.environ, notes)
    assert said == "it, or one before it, took too long: true"
