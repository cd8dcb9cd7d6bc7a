"""`status` says what is known of HEAD, and `status --exit-code` is a gate that is shut when nothing is known."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from testing import breakage
from testing.support import Checkout


def gate(checkout: Checkout, *words: str) -> int:
    """The exit status of the gate."""
    return checkout.buildguard("status", "--exit-code", *words, agent="onlooker").status


def head(checkout: Checkout) -> dict[str, object]:
    """What `--json` says of HEAD."""
    found: dict[str, object] = json.loads(checkout.buildguard("status", "--json", agent="onlooker").out)["head"]
    return found


def said_of_head(checkout: Checkout) -> str:
    """The line about HEAD, without time and hash."""
    lines = checkout.buildguard("status", agent="onlooker").out.splitlines()
    (line,) = [line for line in lines if line.startswith("buildguard: HEAD")]
    return re.sub(r"\d\d:\d\d \([\d.]+ s ago\)", "TIME", re.sub(r"HEAD [0-9a-f]{7}\b", "HEAD", line))


def test_it_is_shut_in_a_repository_of_which_nothing_is_known(checkout: Checkout) -> None:
    assert said_of_head(checkout) == "buildguard: HEAD: not checked"
    assert head(checkout) == {"commit": checkout.ok("rev-parse", "HEAD"), "passed": None, "by": None, "at": None}
    done = checkout.buildguard("status", "--exit-code", agent="ann")
    assert (done.status, done.last) == (4, "next: buildguard run --agent ann")
    assert checkout.buildguard("status", agent="ann").status == 0, "only a gate when asked"


def test_it_is_shut_for_a_database_that_knows_nothing(checkout: Checkout, tmp_path: Path) -> None:
    assert checkout.buildguard("run", agent="ann").status == 0
    assert gate(checkout) == 0
    assert gate(checkout, "--db", str(tmp_path / "mistyped.db")) == 4
    assert gate(checkout, "--db", str(tmp_path / "mistyped" / "state.db")) == 4
    assert gate(checkout, "--build", "mistyped") == 4


def test_it_is_shut_before_the_first_commit(checkout: Checkout) -> None:
    checkout.ok("switch", "-q", "--orphan", "empty")
    assert gate(checkout) == 4
    assert said_of_head(checkout) == "buildguard: HEAD: no commit yet"


def test_it_opens_when_the_check_has_passed_on_head(checkout: Checkout) -> None:
    checkout.buildguard("run", agent="ann")
    assert gate(checkout) == 0
    assert said_of_head(checkout) == "buildguard: HEAD: passed TIME, checked by ann"
    assert (head(checkout)["passed"], head(checkout)["by"]) == (True, "ann")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(head(checkout)["at"]))


def test_it_opens_for_a_commit_that_went_through_the_hook(checkout: Checkout) -> None:
    checkout.write("new.txt", "new\n")
    checkout.ok("add", "new.txt")
    checkout.ok("commit", "-qm", "x", agent="ann")
    assert gate(checkout) == 0


def test_it_shuts_when_head_moves_past_the_hook(checkout: Checkout) -> None:
    checkout.buildguard("run", agent="ann")
    checkout.write("app.txt", "BROKEN\n")
    checkout.ok("commit", "-qam", "x", "--no-verify")
    assert gate(checkout) == 4


def test_a_pass_on_other_files_than_those_of_head_says_nothing_of_head(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    checkout.ok("commit", "-qam", "arrives broken", "--no-verify")
    checkout.write("app.txt", "mended, not committed\n")
    assert checkout.buildguard("run", agent="ann").status == 0
    assert gate(checkout) == 4


def test_a_pass_of_another_check_says_nothing_of_head(checkout: Checkout) -> None:
    assert checkout.buildguard("run", "--", "true", agent="ann").status == 0
    assert gate(checkout) == 4


def test_it_is_red_while_a_breakage_is_open_here(checkout: Checkout) -> None:
    checkout.buildguard("run", agent="ann")
    checkout.buildguard("claim", agent="ann")
    assert gate(checkout) == 1
    checkout.buildguard("release", "--gave-up", agent="ann")
    assert gate(checkout) == 1
    checkout.buildguard("reset", "--yes", agent="ann")
    assert gate(checkout) == 0


def test_it_is_red_where_head_is_known_to_fail_though_nothing_is_open(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    checkout.ok("commit", "-qam", "arrives broken", "--no-verify")
    checkout.buildguard("run", agent="ann")
    checkout.buildguard("reset", "--yes", agent="bob")
    assert gate(checkout) == 1
    assert said_of_head(checkout) == "buildguard: HEAD: failed TIME, checked by ann"
    assert head(checkout)["passed"] is False


def test_the_last_run_counts_though_the_clock_was_set_back_since(checkout: Checkout) -> None:
    (checkout.path / ".git/info/exclude").write_text("flag\n")
    check = ("run", "--", "test", "-e", "flag")
    assert checkout.buildguard(*check, agent="ann").status == 1
    with closing(sqlite3.connect(checkout.path / ".git/buildguard/state.db")) as db, db:
        db.execute("UPDATE proof SET at = at + 3600, value = json_set(value, '$.at', at + 3600)")
    checkout.write("flag", "")
    assert checkout.buildguard(*check, agent="ann").status == 0
    told = checkout.buildguard("status", "--json", agent="ann", BUILDGUARD_CHECK="test -e flag")
    assert json.loads(told.out)["head"]["passed"] is True


@pytest.fixture
def base(tmp_path: Path) -> Checkout:
    return breakage.repository(tmp_path)


def test_it_is_red_for_what_others_share_and_not_for_what_they_keep_to_themselves(base: Checkout) -> None:
    other, third = base.work_tree("other"), base.work_tree("third")
    assert third.buildguard("run", agent="cat").status == 0
    other.write("private-bob.txt", "BAD\n")
    assert other.buildguard("run", agent="bob").status == 1
    assert gate(third) == 0
    breakage.broken_base(base)
    fourth = base.work_tree("fourth")
    for place, agent in ((base, "ann"), (fourth, "dan")):
        place.buildguard("run", agent=agent)
    assert breakage.status(base, "ann")["shared"] is True
    assert gate(third) == 1
