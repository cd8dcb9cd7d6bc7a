"""Random stories of agents that share runs while some of them, and runners, are killed: nobody who lives is left
without an answer, no verdict is about other files, and no check is left running.

`BUILDGUARD_TEST_STORIES=1000` tells more stories than the usual few.
"""

import os
import random
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from testing.marked import NOTHING_SURVIVES, Marked
from testing.support import BUILDGUARD, Checkout, Done, ended, eventually, new_repository

STORIES = int(os.environ.get("BUILDGUARD_TEST_STORIES", "40"))
AT_ONCE = 20
"""Stories in one repository, after which there is a fresh one."""
CHECK = 'saw="$(cat app.txt)"; echo "saw $saw"; sleep "$(cat ../lasts)"; case "$saw" in bad*) exit 1;; esac'
ENDS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)


class Agent:
    """One agent that runs the check, and what the file held meanwhile."""

    def __init__(self, checkout: Checkout, number: int, marked: Marked, held: list[str]) -> None:
        self.first = len(held) - 1
        self.doomed = False
        self.process = checkout.start("setsid", BUILDGUARD, "run", agent=f"agent-{number}", **marked.variables)

    def judged(self, done: Done, held: list[str]) -> None:
        """Fails unless its answer is about files that it had."""
        saw = re.findall(r"(?m)^saw (.*)$", done.out)
        if self.doomed and (done.status not in (0, 1, 75) or not saw):
            return
        assert done.status in (0, 1, 75), done
        assert saw, f"an answer without a run: {done}"
        assert saw[-1] in held[self.first :], f"a verdict about other files than {held[self.first :]}: {done}"
        assert (done.status == 0) == saw[-1].startswith("good"), done


def runners(marked: Marked) -> list[psutil.Process]:
    """The processes that run a shared check."""
    return [one for one in marked.living() if _is_a_runner(one)]


def _is_a_runner(process: psutil.Process) -> bool:
    # An agent is a session of its own, too; its parent is the test.
    try:
        leads = os.getsid(process.pid) == process.pid == os.getpgid(process.pid)
        return leads and "buildguard" in " ".join(process.cmdline()) and process.ppid() != os.getpid()
    except (psutil.Error, ProcessLookupError):  # it has ended meanwhile
        return False


def told(checkout: Checkout, chance: random.Random, story: int) -> None:
    """One story."""
    marked, held, agents = Marked(), [(checkout.path / "app.txt").read_text().strip()], list[Agent]()
    (checkout.path.parent / "lasts").write_text(f"{chance.choice((0.0, 0.2, 0.5))}")
    kills_runners = chance.random() < 0.4
    for step in range(chance.randint(4, 8)):
        act = chance.random()
        if act < 0.5 or not agents:
            agents.append(Agent(checkout, len(agents), marked, held))
        elif act < 0.65:
            held.append(
                chance.choice(held) if chance.random() < 0.3 else f"{chance.choice(('good', 'bad'))} {story}.{step}"
            )
            # At once: nobody must see it half written.
            checkout.write("../next", held[-1] + "\n").replace(checkout.path / "app.txt")
        elif kills_runners:
            for runner in runners(marked)[:1]:
                with suppress(psutil.Error):
                    runner.kill()
        else:
            victim = chance.choice(agents)
            victim.doomed = True
            with suppress(ProcessLookupError):
                os.killpg(victim.process.pid, chance.choice(ENDS))
        # Not to synchronise: the next act has to fall at a random moment of the others.
        time.sleep(chance.uniform(0, 0.3))
    for agent in agents:
        agent.judged(ended(agent.process), held)
    eventually(lambda: not marked.living(), "nothing of the story lives", NOTHING_SURVIVES)


@pytest.mark.timeout(max(300, STORIES * 20))
@pytest.mark.parametrize("seed", range(max(1, STORIES // AT_ONCE)))
def test_whoever_is_killed_the_others_get_an_answer_about_their_files(tmp_path: Path, seed: int) -> None:
    checkout = new_repository(tmp_path / "repository", tmp_path / "home", CHECK)
    checkout.write("app.txt", "good at first\n")
    checkout.ok("commit", "-qam", "second", "--no-verify")
    chance = random.Random(seed)
    for story in range(min(STORIES, AT_ONCE)):
        told(checkout, chance, story)
