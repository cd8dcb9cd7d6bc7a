"""`buildguard run`: the verdict, the election, the wait, CI and the fix command."""

import json
import shlex
import signal
from pathlib import Path

import pytest
from testing.pasting import following, pasted
from testing.support import BUILDGUARD, Checkout, Following, eventually, lives


def standing(checkout: Checkout) -> dict[str, object]:
    """The status, as `--json` gives it to somebody who has no part in it."""
    found: dict[str, object] = json.loads(checkout.buildguard("status", "--json", agent="onlooker").out)
    return found


# Which exit statuses are which verdict: tests/unit/test_check.py has them all.
VERDICTS = (
    ("true", 0, "passing"),
    ("exit 75", 1, "fixing"),
    ("kill -ABRT $$", 1, "fixing"),
    ("exit 126", 4, "passing"),
    ("exit 130", 4, "passing"),
    ("kill -KILL $$", 4, "passing"),
)


@pytest.mark.parametrize(("script", "status", "state"), VERDICTS)
def test_the_verdict_and_what_it_does(checkout: Checkout, script: str, status: int, state: str) -> None:
    assert checkout.buildguard("run", "--", "sh", "-c", script, agent="ann").status == status
    assert standing(checkout)["status"] == state


def test_the_output_of_the_check_streams_to_where_it_belongs(checkout: Checkout) -> None:
    done = checkout.buildguard("run", "--", "sh", "-c", "echo to out; echo to err >&2", agent="ann")
    assert done.out.startswith("to out\n")
    assert done.err == "to err\n"


def test_everything_after_dashes_is_the_checks(checkout: Checkout) -> None:
    done = checkout.buildguard("run", "--", "printf", "%s.", "--json", "--help", "a b", agent="ann")
    assert done.out.startswith("--json.--help.a b.")


def test_without_dashes_the_first_word_begins_the_check(checkout: Checkout) -> None:
    done = checkout.buildguard("run", "--build", "x", "printf", "%s.", "--json", "-q", "--build", agent="ann")
    assert done.out.startswith("--json.-q.--build.")
    bad = checkout.buildguard("run", "grep", "-q", "BROKEN", "app.txt", agent="ann")
    assert following(bad) == "buildguard run --agent ann grep -q BROKEN app.txt"


def test_an_option_that_there_is_not_begins_no_check(checkout: Checkout) -> None:
    done = checkout.buildguard("run", "--timeout", "10m", "--", "true", agent="ann")
    assert (done.status, "No such option" in done.err, "--timeout" in done.err) == (2, True, True)
    assert following(done) == "buildguard run --help"


def test_the_next_command_of_the_fixer_resolves_the_breakage(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    told = checkout.buildguard("run", agent="ann")
    assert told.last == "next: buildguard run --agent ann"
    checkout.write("app.txt", "fine\n")
    assert pasted(checkout, told).status == 0
    assert standing(checkout)["status"] == "passing"


def test_the_next_command_keeps_the_options(checkout: Checkout) -> None:
    words = ("run", "--build", "lint", "--", "sh", "-c", "exit 3")
    mine, theirs = (checkout.buildguard(*words, agent=agent) for agent in ("ann", "bob"))
    assert mine.last == "next: buildguard run --agent ann --build lint -- sh -c 'exit 3'"
    assert "give up with: buildguard release --gave-up --reason ... --build lint --agent ann\n" in mine.out
    later = "next: buildguard run --wait 5m --agent bob --build lint -- sh -c 'exit 3'"
    assert (theirs.status, theirs.last) == (75, later)


def test_without_wait_another_is_told_at_once(checkout: Checkout) -> None:
    checkout.buildguard("run", "--", "false", agent="ann")
    done = checkout.buildguard("run", "--", "false", agent="bob")
    assert done.status == 75
    assert "busy: ann is fixing since" in done.out
    assert "you are bob\n" in done.out
    assert done.last == "next: buildguard run --wait 5m --agent bob -- false"


def test_with_wait_it_checks_again_when_it_is_woken(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    checkout.buildguard("run", agent="ann")
    waiter = Following(checkout.start(BUILDGUARD, "run", "--wait", "60s", agent="bob"))
    waiter.says("waiting: ann is fixing since")
    checkout.write("app.txt", "fine\n")
    assert checkout.buildguard("run", agent="ann").status == 0
    done = waiter.ends()
    assert (done.status, "passed: " in done.out) == (0, True)


def test_a_wait_that_runs_out_is_75(checkout: Checkout) -> None:
    checkout.buildguard("run", "--", "false", agent="ann")
    done = checkout.buildguard("run", "--wait", "0.2s", "--", "false", agent="bob")
    assert (done.status, done.both.count("the wait of 0.2 s ran out")) == (75, 1)


def test_a_waiter_takes_over_a_claim_that_goes_stale(checkout: Checkout) -> None:
    checkout.buildguard("run", "--stale-after", "1.5s", "--", "false", agent="ann")
    done = checkout.buildguard("run", "--wait", "60s", "--", "false", agent="bob")
    assert done.status == 1
    assert "taken over from ann (silent for too long)" in done.out


def test_a_check_that_the_fix_overtook_is_run_again(checkout: Checkout) -> None:
    check = "echo run >> ../runs; grep -q BROKEN app.txt || exit 0; touch ../failing; sleep 0.2; "
    check += "while [ -e ../hold ]; do sleep 0.02; done; exit 1"
    checkout.write(".buildguard.toml", f"check = '{check}'\n")
    checkout.write("app.txt", "BROKEN\n")
    checkout.buildguard("run", agent="ann")
    beside = checkout.path.parent
    for name in ("runs", "failing"):
        (beside / name).unlink()
    (beside / "hold").touch()
    slow = Following(checkout.start(BUILDGUARD, "run", agent="bob"))
    eventually((beside / "failing").exists, "the slow check runs")
    checkout.write("app.txt", "fine\n")
    assert checkout.buildguard("run", agent="ann").status == 0
    (beside / "hold").unlink()
    done = slow.ends()
    assert (done.status, "the build was fixed while this check ran: running it again" in done.err) == (0, True)


def test_under_ci_a_failure_is_reported_and_not_claimed(checkout: Checkout) -> None:
    done = checkout.buildguard("run", "--", "false", agent="ann", CI="true")
    assert done.status == 1
    assert "broken: build default, this checkout; nobody is fixing it" in done.out
    assert (standing(checkout)["status"], standing(checkout)["fixer"]) == ("broken", None)


def test_under_ci_claim_claims(checkout: Checkout) -> None:
    checkout.buildguard("run", "--claim", "--", "false", agent="ann", CI="true")
    assert standing(checkout)["fixer"] == "ann"


def test_no_claim_claims_nothing_anywhere(checkout: Checkout) -> None:
    checkout.buildguard("run", "--no-claim", "--", "false", agent="ann")
    assert standing(checkout)["status"] == "broken"


def test_a_fix_that_goes_back_to_what_is_committed_ends_the_breakage(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    done = checkout.buildguard("run", "--fix", "echo fine > app.txt", agent="ann")
    assert done.status == 0, done
    assert "fixing with: echo fine > app.txt" in done.err
    assert "fixed: this checkout, claim 1 is over (by going back to " in done.out
    assert standing(checkout)["status"] == "passing"


def test_a_fix_knows_who_it_is_and_what_failed(checkout: Checkout) -> None:
    fix = 'echo "$BUILDGUARD_AGENT" > ../who; cp "$BUILDGUARD_LOG" ../log; echo "$BUILDGUARD_LOG" > ../name'
    checkout.buildguard("run", "--fix", fix, "--", "sh", "-c", "echo it broke; echo badly >&2; exit 1", agent="ann")
    beside = checkout.path.parent
    assert (beside / "who").read_text() == "ann\n"
    assert sorted((beside / "log").read_text().splitlines()) == ["badly", "it broke"]
    assert not Path((beside / "name").read_text().strip()).exists(), "the log is gone afterwards"


def test_a_fix_that_does_not_help_gives_up_and_says_why(checkout: Checkout) -> None:
    done = checkout.buildguard("run", "--fix", "true", "--", "false", agent="ann")
    assert done.status == 1
    assert "gave up: false still fails after the fix command; anybody may claim it now" in done.out
    assert done.out.endswith("next: buildguard run --agent ann --fix true -- false\n")
    found = standing(checkout)
    assert (found["status"], found["reason"]) == ("broken", "false still fails after the fix command")


def test_a_fix_command_that_does_not_exist_gives_up(checkout: Checkout) -> None:
    done = checkout.buildguard("run", "--fix", "no-such-fix", "--", "false", agent="ann")
    assert done.status == 1
    assert "gave up: the fix command could not run" in done.out
    assert standing(checkout)["status"] == "broken"


def test_a_fix_is_started_only_by_the_fixer(checkout: Checkout) -> None:
    checkout.buildguard("run", "--", "false", agent="ann")
    done = checkout.buildguard("run", "--fix", "touch ../started", "--", "false", agent="bob")
    assert done.status == 75
    assert not (checkout.path.parent / "started").exists()


def test_a_fix_claims_under_ci_too(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    assert checkout.buildguard("run", "--fix", "echo fine > app.txt", agent="ann", CI="1").status == 0


def test_json_is_one_object_and_the_checks_output_is_elsewhere(checkout: Checkout) -> None:
    done = checkout.buildguard("run", "--json", "--", "sh", "-c", "echo out; exit 1", agent="ann")
    answer = json.loads(done.out)
    assert (answer["outcome"], answer["mine"], answer["claim"]) == ("failed", True, 1)
    assert done.err == "out\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_the_check_and_claims_nothing(checkout: Checkout, number: signal.Signals) -> None:
    pid = checkout.path.parent / "pid"
    check = f"echo $$ > {shlex.quote(str(pid))}; sleep 300"
    run = Following(checkout.start(BUILDGUARD, "run", "--", "sh", "-c", check, agent="ann"))
    eventually(lambda: pid.exists() and pid.read_text().endswith("\n"), "the check runs")
    run.process.send_signal(number)
    done = run.ends()
    assert done.status == 130
    assert "nothing was claimed" in done.out
    assert done.last.startswith("next: buildguard run --agent ann -- sh -c ")
    assert not lives(int(pid.read_text()))
    assert standing(checkout)["status"] == "passing"


def test_switched_off_it_still_runs_the_check(checkout: Checkout) -> None:
    good, bad = (checkout.buildguard("run", "--", word, agent="ann", BUILDGUARD="0") for word in ("true", "false"))
    assert (good.status, bad.status) == (0, 1)
    assert bad.last == "next: buildguard run --agent ann -- false"
    assert standing(checkout)["status"] == "passing"


def test_outside_a_repository_the_verdict_stands(checkout: Checkout, tmp_path: Path) -> None:
    folder = tmp_path / "nowhere"
    folder.mkdir()
    nowhere = Checkout(folder, checkout.home, {"GIT_CEILING_DIRECTORIES": str(tmp_path)})
    good, bad = (nowhere.buildguard("run", "--", word, agent="ann") for word in ("true", "false"))
    assert (good.status, bad.status) == (0, 1)
    assert good.err.count("coordination is unavailable: not a git repository") == 1


BAD_DATABASES = ("garbage", "folder", "newer", "foreign", "unwritable folder")


def spoil(checkout: Checkout, how: str) -> None:
    """Make the database one that cannot serve."""
    folder = checkout.path / ".git" / "buildguard"
    path = folder / "state.db"
    if how == "unwritable folder":
        folder.write_text("a file where the folder should be\n")
        return
    folder.mkdir()
    if how == "garbage":
        path.write_text("not a database at all\n" * 100)
    elif how == "folder":
        path.mkdir()
    elif how in ("newer", "foreign"):
        import sqlite3

        statement = "PRAGMA user_version = 9999" if how == "newer" else "CREATE TABLE theirs (x)"
        database = sqlite3.connect(path)
        database.execute(statement)
        database.close()


@pytest.mark.parametrize("how", BAD_DATABASES)
def test_a_database_that_cannot_serve_touches_no_verdict(checkout: Checkout, how: str) -> None:
    spoil(checkout, how)
    good, bad = (checkout.buildguard("run", "--", word, agent="ann") for word in ("true", "false"))
    assert (good.status, bad.status) == (0, 1)
    for done in (good, bad):
        assert done.err.count("buildguard: coordination is unavailable: ") == 1
    assert bad.last.startswith("next: ") or bad.out.splitlines()[-1].startswith("next: ")


VERBS = ("claim", "release", "wait", "status", "log")


@pytest.mark.parametrize(
    ("how", "verb"), [*[("garbage", verb) for verb in VERBS], *[(how, "claim") for how in BAD_DATABASES[1:]]]
)
def test_what_only_coordinates_is_69_with_a_command_that_mends_it(checkout: Checkout, how: str, verb: str) -> None:
    spoil(checkout, how)
    done = checkout.buildguard(verb, agent="ann")
    assert done.status == 69
    assert done.err.startswith("buildguard: coordination is unavailable: ")
    assert done.last.startswith("next: ")


def test_a_bug_of_ours_is_70_with_a_report_in_a_file(checkout: Checkout, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import buildguard.claims.guard\n"
        "def _broken(*_):\n    raise RuntimeError('on purpose')\n"
        "buildguard.claims.guard.Guard.status = _broken\n"
    )
    done = checkout.buildguard("status", agent="ann", PYTHONPATH=str(site), TMPDIR=str(tmp_path))
    assert done.status == 70
    assert "a bug in buildguard: RuntimeError: on purpose" in done.err
    command, path = shlex.split(done.last.removeprefix("next: "))
    assert (command, "Traceback" in Path(path).read_text()) == ("cat", True)
