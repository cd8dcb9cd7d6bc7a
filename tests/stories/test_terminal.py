"""What a person sees at a terminal and what an agent sees through a pipe, as whole transcripts."""

import fcntl
import os
import re
import struct
import subprocess
import termios
import threading

import pytest
from testing.support import BUILDGUARD, Checkout, Following, Worker

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
HIDING = ("\x1b", "\x07", "\x08", "\x7f", "\u202e", "\u200b")

FIXES = "ann is fixing since HH:MM (N s ago), claim 1, last seen N s ago, may be taken over from HH:MM on"


def plain(text: str) -> str:
    """The text without times, spans, process ids and escape sequences."""
    text = ESCAPE.sub("", text).replace("\r\n", "\n")
    text = re.sub(r"\d\d:\d\d", "HH:MM", text)
    text = re.sub(r"\d+(\.\d+)? s\b", "N s", text)
    text = re.sub(r"checkout repository-\w+", "CHECKOUT", text)
    text = re.sub(r"[\w.-]+@[\w.-]+:\d+-\d+", "USER@HOST:PROCESS", text)
    text = re.sub(r"\b[0-9a-f]{7}\b", "COMMIT", text)
    return re.sub(r"process (\S+) \d+", "process NAME PID", text)


class Terminal:
    """A terminal of a size, with a person before it."""

    def __init__(self, checkout: Checkout, rows: int = 24, columns: int = 200) -> None:
        self.checkout = checkout
        self.size = struct.pack("HHHH", rows, columns, 0, 0)

    def shows(self, *argv: str, agent: str | None = "ann", **more: str) -> tuple[int, str]:
        """The exit status of a command, and all that it writes to the terminal."""
        leader, follower = os.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, self.size)
        environment = self.checkout.env(agent, **{"TERM": "xterm-256color", **more})
        process = subprocess.Popen(
            argv, cwd=self.checkout.path, env=environment, stdin=follower, stdout=follower, stderr=follower
        )
        os.close(follower)
        heard: list[bytes] = []
        reader = threading.Thread(target=_listen, args=(leader, heard), daemon=True)
        reader.start()
        status = process.wait(60)
        reader.join(60)
        os.close(leader)
        return status, b"".join(heard).decode()


def _listen(leader: int, heard: list[bytes]) -> None:
    while True:
        try:
            piece = os.read(leader, 1 << 16)
        except OSError:
            return
        if not piece:
            return
        heard.append(piece)


@pytest.fixture
def terminal(checkout: Checkout) -> Terminal:
    return Terminal(checkout)


def told(checkout: Checkout, *words: str, agent: str = "ann", **more: str) -> str:
    """What an agent reads of a command, its stdout before its stderr."""
    return plain(checkout.run(*words, agent=agent, **more).both)


def broken(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    checkout.ok("add", "app.txt")


def test_what_an_agent_reads_from_the_breakage_to_the_fix(checkout: Checkout) -> None:
    broken(checkout)
    assert told(checkout, "git", "commit", "-m", "x") == (
        "buildguard: failed: ! grep -q BROKEN app.txt (exit status 1, N s)\n"
        "buildguard: claimed: you are the fixer of build default, this checkout, claim 1, as ann\n"
        "buildguard: fix it, then run the next line; "
        "give up with: buildguard release --gave-up --reason ... --agent ann\n"
        "next: buildguard commit --agent ann -m x\n"
    )
    assert told(checkout, "git", "commit", "-am", "y", agent="bob") == (
        "buildguard: failed: ! grep -q BROKEN app.txt (exit status 1, N s)\n"
        f"buildguard: busy: {FIXES}\n"
        "buildguard: you are bob\n"
        "buildguard: not waiting in the hook: this commit holds the index lock: "
        "waiting here would keep others from committing in this checkout\n"
        "next: buildguard commit --agent bob -am y\n"
    )
    assert told(checkout, BUILDGUARD, "status", agent="bob") == (
        "buildguard: fixing: build default, this checkout\n"
        "buildguard: broken since HH:MM (N s ago)\n"
        f"buildguard: {FIXES}\n"
        "buildguard: last check HH:MM (N s ago)\n"
        "buildguard: HEAD COMMIT: not checked\n"
        "buildguard: you are bob\n"
        "next: buildguard wait --agent bob\n"
    )
    assert told(checkout, BUILDGUARD, "wait", "--timeout", "0.1s", agent="bob") == (
        "buildguard: the wait ran out: ann is fixing since HH:MM (N s ago), claim 1, last seen N s ago, "
        "may be taken over from HH:MM on; you are bob\n"
        "next: buildguard wait --agent bob\n"
        "buildguard: waiting: ann is fixing since HH:MM, claim 1; you are bob (up to N s more)\n"
    )
    checkout.write("app.txt", "fixed\n")
    checkout.ok("add", "app.txt")
    said = checkout.git("commit", "-qm", "x", agent="ann")
    assert (said.out, plain(said.err)) == (
        "",
        "buildguard: passed: ! grep -q BROKEN app.txt (N s)\nbuildguard: this commit has what makes it pass\n",
    )
    assert told(checkout, BUILDGUARD, "release") == (
        "buildguard: nothing to release: you hold no claim on build default, this checkout\n"
    )
    assert told(checkout, BUILDGUARD, "log") == (
        "buildguard: HH:MM this checkout claim 1: ann claimed it\n"
        "buildguard: HH:MM this checkout claim 1: bob waited N s for ann\n"
        "buildguard: HH:MM this checkout claim 1: ann fixed it after N s\n"
    )


def test_what_an_agent_reads_while_it_waits_and_is_woken(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    checkout.buildguard("run", agent="ann")
    waiter = Following(checkout.start(BUILDGUARD, "commit", "--allow-empty", "-qm", "mine", agent="bob"))
    waiter.says("waiting: ")
    checkout.write("app.txt", "fine\n")
    checkout.buildguard("run", agent="ann")
    done = waiter.ends()
    assert (done.status, done.out) == (0, "")
    assert plain(done.err) == (
        "buildguard: failed: ! grep -q BROKEN app.txt (exit status 1, N s)\n"
        f"buildguard: busy: {FIXES}\n"
        "buildguard: you are bob\n"
        "buildguard: waiting: ann is fixing since HH:MM, claim 1; you are bob (up to 5 min more)\n"
        "buildguard: HH:MM this checkout claim 1: ann fixed it after N s (by going back to COMMIT)\n"
        "buildguard: HH:MM this checkout claim 1: bob waited N s for ann\n"
        "buildguard: committing again\n"
        "buildguard: passed: ! grep -q BROKEN app.txt (these very files, N s ago, by ann; --fresh runs it)\n"
    )


def test_an_agent_known_by_its_process_is_shown_as_such(checkout: Checkout) -> None:
    with Worker(checkout) as one:
        assert plain(one.run(BUILDGUARD, "claim").out).splitlines()[0] == (
            "buildguard: claimed: you are the fixer of build default, this checkout, claim 1, "
            "as USER@HOST:PROCESS (from process NAME PID)"
        )


def test_what_a_person_sees_of_the_first_failure(terminal: Terminal) -> None:
    broken(terminal.checkout)
    status, seen = terminal.shows("git", "commit", "-m", "x")
    assert status == 1
    assert "\x1b[31mfailed: " in seen, "red"
    assert plain(seen) == (
        "buildguard: failed: ! grep -q BROKEN app.txt (exit status 1, N s)\n"
        "buildguard: claimed: you are the fixer of build default, this checkout, claim 1, as ann\n"
        "buildguard: fix it, then run the next line; "
        "give up with: buildguard release --gave-up --reason ... --agent ann\n"
        "next: buildguard commit --agent ann -m x\n"
    )


def test_what_a_person_sees_of_the_status(terminal: Terminal) -> None:
    terminal.checkout.buildguard("claim", agent="ann")
    status, seen = terminal.shows(BUILDGUARD, "status", agent="bob")
    assert (status, "\x1b[33m" in seen) == (0, True), "yellow while somebody fixes"
    top, *body, bottom, following, end = re.sub("─+", "─", re.sub(" +│", " │", plain(seen))).split("\n")
    assert (top, bottom, following, end) == (
        "╭─ buildguard: fixing ─╮",
        "╰─╯",
        "next: buildguard wait --agent bob",
        "",
    )
    assert body == [
        "│ fixing: build default, this checkout │",
        "│ broken since HH:MM (N s ago) │",
        f"│ {FIXES} │",
        "│ HEAD COMMIT: not checked │",
        "│ you are bob │",
    ]


def test_what_a_person_sees_of_the_history(terminal: Terminal) -> None:
    terminal.checkout.buildguard("claim", agent="ann")
    terminal.checkout.buildguard("release", "--gave-up", "--reason", "too hard", agent="ann")
    _, seen = terminal.shows(BUILDGUARD, "log")
    rows = [re.sub(" +", " ", line).strip() for line in plain(seen).splitlines()]
    assert rows == [
        "when where claim what",
        "HH:MM this checkout 1 ann claimed it",
        "HH:MM this checkout 1 ann gave up: too hard",
    ]


def test_what_a_person_sees_of_a_wait(terminal: Terminal) -> None:
    terminal.checkout.buildguard("claim", agent="ann")
    status, seen = terminal.shows(BUILDGUARD, "wait", "--timeout", "1.5s", agent="bob")
    assert status == 75
    for left in ("0:01", "0:00"):
        words = r"buildguard: ann is fixing since \d\d:\d\d, claim 1; you are bob \(up to " + left
        assert re.search(words, seen), "it counts"
    assert (seen.count("\x1b[?25l"), seen.count("\x1b[?25h")) == (1, 1), "the cursor comes back"
    assert plain(seen).rpartition("buildguard: the wait")[2] == (
        " ran out: ann is fixing since HH:MM (N s ago), claim 1, last seen N s ago, "
        "may be taken over from HH:MM on; you are bob\n"
        "next: buildguard wait --agent bob\n"
    )


def test_what_a_person_sees_of_a_fix_and_a_release(terminal: Terminal) -> None:
    terminal.checkout.write("app.txt", "BROKEN\n")
    _, seen = terminal.shows(BUILDGUARD, "run", "--fix", "echo fine > app.txt")
    assert plain(seen) == (
        "buildguard: claimed: you are the fixer of build default, this checkout, claim 1, as ann\n"
        "buildguard: fixing with: echo fine > app.txt\n"
        "buildguard: passed: ! grep -q BROKEN app.txt (N s)\n"
        "buildguard: fixed: this checkout, claim 1 is over (by going back to COMMIT)\n"
    )
    terminal.shows(BUILDGUARD, "claim")
    assert plain(terminal.shows(BUILDGUARD, "release")[1]) == (
        "buildguard: released claim 2: build default, this checkout counts as fixed by your word\n"
    )


PLAIN = (
    {"NO_COLOR": "1"},
    {"TERM": "dumb"},
    {"CLAUDECODE": "1"},
    {"CODEX_THREAD_ID": "t"},
    {"CI": "true"},
    {"GITHUB_ACTIONS": "true"},
)


@pytest.mark.parametrize("environment", PLAIN, ids=lambda one: "=".join(next(iter(one.items()))))
def test_on_a_terminal_nobody_looks_at_it_is_plain(terminal: Terminal, environment: dict[str, str]) -> None:
    terminal.checkout.buildguard("claim", agent="ann")
    for words in (("status",), ("log",), ("wait", "--timeout", "0.1s"), ("claim",)):
        _, seen = terminal.shows(BUILDGUARD, *words, agent="bob", **environment)
        assert "\x1b" not in seen
        assert all(line.startswith(("buildguard: ", "next: ")) for line in seen.splitlines())


def test_a_terminal_without_a_size_is_plain(checkout: Checkout) -> None:
    checkout.buildguard("claim", agent="ann")
    for words in (("status",), ("log",), ("wait", "--timeout", "0.1s"), ("claim",)):
        _, seen = Terminal(checkout, 0, 0).shows(BUILDGUARD, *words, agent="bob")
        assert "\x1b" not in seen
        assert all(line.startswith(("buildguard: ", "next: ")) for line in seen.splitlines())


@pytest.mark.parametrize("variable", ["PRE_COMMIT", "PREK_HOOK_STAGE", "LEFTHOOK"])
def test_a_hook_frameworks_terminal_is_plain(terminal: Terminal, variable: str) -> None:
    _, seen = terminal.shows(BUILDGUARD, "hook", **{variable: "1"})
    assert "\x1b" not in seen


def test_json_is_json_on_a_terminal_too(terminal: Terminal) -> None:
    _, seen = terminal.shows(BUILDGUARD, "status", "--json")
    assert (seen.startswith('{"schema": 1'), "\x1b" in seen) == (True, False)


def test_hostile_text_is_inert_at_a_terminal(terminal: Terminal) -> None:
    checkout = terminal.checkout
    reason = "[bold red]boo[/] \x1b[2J\x1b]0;title\x07 two\nlines \r\u202eturned [/nonsense]"
    checkout.buildguard("claim", "--agent", "[red]ann[/red]:fire:")
    checkout.buildguard("release", "--gave-up", "--reason", reason, "--agent", "[red]ann[/red]:fire:")
    for verb in ("status", "log"):
        _, seen = terminal.shows(BUILDGUARD, verb, agent="bob")
        text = ESCAPE.sub("", seen)
        assert not any(hiding in text for hiding in HIDING)
        whole = re.sub(r"[\s│]+", "", text)
        assert r"[boldred]boo[/]\x1b[2J\x1b]0;title\x07two\nlines\r\u202eturned[/nonsense]" in whole
        if verb == "log":
            assert "[red]ann[/red]:fire:claimedit" in whole


def test_a_hostile_session_is_inert_at_a_terminal(terminal: Terminal) -> None:
    for hostile in ("a\x1b[31m\nb[red]", "c\u202ed"):
        _, seen = terminal.shows(BUILDGUARD, "claim", agent=None, CLAUDE_CODE_SESSION_ID=hostile)
        assert not any(hiding in seen for hiding in HIDING)
        assert re.search(r" [0-9a-f]{32} \(from CLAUDE_CODE_SESSION_ID\)", seen), "its digest stands for it"


def test_a_long_reason_is_folded_between_words_and_not_cut_in_a_narrow_terminal(checkout: Checkout) -> None:
    reason = " ".join(f"word{number}" for number in range(25))
    checkout.buildguard("claim", agent="ann")
    checkout.buildguard("release", "--gave-up", "--reason", reason, agent="ann")
    for verb, column in (("status", "│"), ("log", "what")):
        _, seen = Terminal(checkout, 24, 60).shows(BUILDGUARD, verb)
        lines = ESCAPE.sub("", seen).splitlines()
        begins = next(line.index(column) for line in lines if column in line)
        assert reason in re.sub(r"[\s│]+", " ", " ".join(line[begins:] for line in lines))


def test_the_check_itself_sees_no_terminal_to_ask_at(terminal: Terminal) -> None:
    status, _ = terminal.shows(BUILDGUARD, "run", "--", "sh", "-c", "! read answer")
    assert status == 0


def test_output_that_cannot_be_encoded_is_escaped(checkout: Checkout) -> None:
    done = checkout.buildguard("claim", agent="änn", PYTHONIOENCODING="ascii")
    assert done.status == 0, done
    assert r"as \xe4nn" in done.out
