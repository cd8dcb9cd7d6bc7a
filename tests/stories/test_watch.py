"""`status --watch`: what a person sees change, and what an agent reads of it."""

import json
import re

import pytest
from testing.screen import Screen
from testing.support import BUILDGUARD, Checkout, Following, eventually

ID = f"tests/{'deep/' * 30}test_app.py::test_one"
FAILING = f"! grep -q BROKEN app.txt || {{ echo 'FAILED {ID} - boom'; exit 1; }}"


@pytest.fixture
def broken(checkout: Checkout) -> Checkout:
    checkout.write(".buildguard.toml", f'check = "{FAILING}"\n')
    checkout.write("app.txt", "BROKEN\n")
    assert checkout.buildguard("run", agent="ann").status == 1
    return checkout


def watched(checkout: Checkout, columns: int = 80) -> Screen:
    return Screen(checkout, columns, BUILDGUARD, "status", "--watch")


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_screen_says_what_fails_who_fixes_who_waits_and_until_when(broken: Checkout, columns: int) -> None:
    bob = broken.start(BUILDGUARD, "wait", agent="bob")
    with watched(broken, columns) as screen:
        screen.shows("1 waits for ann: bob")
        frame = "\n".join(screen.frame)
        assert "fixing: build default, this checkout\nbroken since " in frame
        told = re.sub(r"\s+", " ", frame)
        fixer = (
            r" ann is fixing since \d\d:\d\d \(.* ago\), claim 1, last seen .* ago, may be taken over from \d\d:"
        )
        assert re.search(fixer, told)
        assert re.search(r" HEAD [0-9a-f]{7}: not checked ", told)
        assert re.search(r" failing: tests/\S+…\S+::test_one ", told), "cut in its middle"
        assert all(len(line) <= columns for line in screen.frame)
        assert "\x1b[30;43mfixing" in screen.raw, "black on yellow can be read on any background"
        screen.types("q")
        assert screen.ends() == 0
    bob.kill()
    bob.communicate()


def test_the_screen_follows_the_fix_and_gives_the_terminal_back(broken: Checkout) -> None:
    with watched(broken) as screen:
        screen.shows("fixing:")
        broken.write("app.txt", "fine\n")
        broken.buildguard("run", agent="ann")
        screen.shows("ann fixed it")
        assert not any("is fixing" in line for line in screen.frame)
        screen.types("q")
        assert screen.ends() == 0
        assert screen.raw.count("\x1b[?1049h") == screen.raw.count("\x1b[?1049l") == 1
        assert screen.raw.rindex("\x1b[?25h") > screen.raw.rindex("\x1b[?25l"), "the cursor is back"


def test_the_screen_shows_the_run_in_progress_with_the_last_line_of_its_output(checkout: Checkout) -> None:
    hold = checkout.path / "go on"
    check = f"echo first; echo second; until test -e '{hold}'; do sleep 0.05; done"
    run = checkout.start(BUILDGUARD, "run", "--", "sh", "-c", check, agent="ann")
    with watched(checkout) as screen:
        screen.shows("check running for ")
        screen.shows("  second")
        hold.touch()
        run.communicate()
        eventually(lambda: not any("check running" in line for line in screen.frame), "the run has left the screen")


@pytest.mark.parametrize("signal", ["INT", "TERM"])
def test_a_signal_gives_the_terminal_back(broken: Checkout, signal: str) -> None:
    with watched(broken) as screen:
        screen.shows("fixing:")
        broken.run("kill", f"-{signal}", str(screen.process.pid))
        assert screen.ends() == (0 if signal == "INT" else 143)
        assert screen.raw.rstrip().endswith("\x1b[?1049l")


def test_text_from_outside_is_inert_on_the_screen(checkout: Checkout) -> None:
    hostile = "[red]boo[/red] \x1b[2J\u202e"
    checkout.buildguard("claim", "--agent", "ann")
    checkout.buildguard("release", "--agent", "ann", "--gave-up", "--reason", hostile)
    with watched(checkout, 200) as screen:
        screen.shows(r"[red]boo[/red] \x1b[2J\u202e")
        assert "\x1b[2J\u202e" not in screen.raw


def test_an_agent_reads_plain_lines_at_each_change(broken: Checkout) -> None:
    watching = Following(broken.start(BUILDGUARD, "status", "--watch", agent="bob"))
    watching.says("ann is fixing since")
    broken.buildguard("release", "--gave-up", agent="ann")
    watching.says("buildguard: broken: build default, this checkout")
    assert "\x1b" not in watching.text
    watching.process.terminate()
    watching.ends()


def test_json_is_one_object_for_each_change(broken: Checkout) -> None:
    watching = Following(broken.start(BUILDGUARD, "status", "--watch", "--json", agent="bob"))
    watching.says('"status": "fixing"')
    broken.buildguard("release", "--gave-up", agent="ann")
    watching.says('"status": "broken"')
    watching.process.terminate()
    objects = [json.loads(line) for line in watching.ends().out.splitlines()]
    assert [one["status"] for one in objects] == ["fixing", "broken"]


def test_it_ends_when_nobody_reads_any_more(broken: Checkout) -> None:
    watching = broken.start(BUILDGUARD, "status", "--watch", "--json", agent="bob")
    assert watching.stdout is not None
    assert watching.stdout.readline().startswith("{")
    watching.stdout.close()
    assert watching.wait(60) == 0
    assert watching.stderr is not None
    watching.stderr.close()
