"""An agent that does just what the text for agents says, and nothing else: two of them, as real processes."""

import re
import shlex

from testing.pasting import following
from testing.support import BUILDGUARD, Checkout, Done, Following

from buildguard.setup.agents import text_for_agents

TEXT = text_for_agents()
(COMMIT,) = re.findall(r"Commit with `(buildguard commit [^`]*)`", TEXT)
(ADD,) = re.findall(r"Add new files first: `([^`]*)`", TEXT)
(GIVE_UP,) = re.findall(r"`(buildguard release [^`]*)`", TEXT)
RUN_NEXT = (0, 1, 75)
"""The statuses after which the text says to run the `next:` line."""


def filled(template: str, agent: str, message: str, *paths: str) -> str:
    """A command of the text, with the agent's own name, message and paths in it."""
    words = [shlex.quote(path) for path in paths]
    template = template.replace("NAME", agent).replace("...", message)
    return template.replace("path/one path/two", " ".join(words)).replace("path/one", " ".join(words))


def starts(checkout: Checkout, command: str) -> Following:
    return Following(checkout.start("sh", "-c", command))


def commits(checkout: Checkout, agent: str, message: str, path: str) -> Following:
    return starts(checkout, f"{filled(ADD, agent, '', path)} && {filled(COMMIT, agent, message, path)}")


def goes_on(checkout: Checkout, done: Done) -> Done:
    """Run the `next:` lines until none comes."""
    for _ in range(5):
        if "next: " not in done.both:
            return done
        assert done.status in RUN_NEXT, done
        done = starts(checkout, following(done)).ends()
    raise AssertionError(f"no end: {done}")


def test_two_agents_that_do_what_the_text_says_get_both_commits_in_and_one_fix(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    checkout.ok("commit", "-qnam", "somebody breaks it")
    checkout.write("ann.txt", "ann's\n")
    red = commits(checkout, "ann", "ann's work", "ann.txt").ends()
    assert red.status == 1
    checkout.write("bob.txt", "bob's\n")
    bob = commits(checkout, "bob", "bob's work", "bob.txt")
    bob.says("waiting: ann is fixing")
    checkout.write("app.txt", "fine again\n")
    assert goes_on(checkout, red).status == 0
    assert bob.ends().status == 0
    assert {"ann's work", "bob's work"} <= set(checkout.ok("log", "--format=%s").splitlines())
    assert checkout.ok("status", "--porcelain") == ""
    log = checkout.run(BUILDGUARD, "log").out
    assert (log.count("ann claimed it"), log.count("bob claimed it"), log.count("fixed it")) == (1, 0, 1)


def test_an_agent_that_cannot_fix_it_gives_up_as_the_text_says_and_the_next_one_is_told(checkout: Checkout) -> None:
    checkout.write("app.txt", "BROKEN\n")
    checkout.ok("commit", "-qnam", "somebody breaks it")
    checkout.write("ann.txt", "ann's\n")
    assert commits(checkout, "ann", "ann's work", "ann.txt").ends().status == 1
    assert starts(checkout, filled(GIVE_UP, "ann", "needs a decision")).ends().status == 0
    checkout.write("bob.txt", "bob's\n")
    red = commits(checkout, "bob", "bob's work", "bob.txt").ends()
    assert (red.status, "needs a decision" in red.both) == (1, True)


def test_every_command_of_the_text_exists(checkout: Checkout) -> None:
    named = {command.split()[1] for command in re.findall(r"`(buildguard [^`]*)`", TEXT)}
    for command in named:
        assert checkout.buildguard(command, "--help").status == 0
