"""Many clones of one remote at once: races, kills, and kinds of clones and settings that others have."""

import os
import random
import signal
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest
from testing.clones import REF, clone, remote_with, words_of
from testing.racing import RACE_PATIENCE, forked
from testing.support import BUILDGUARD, PATIENCE, Checkout

from buildguard.claims.model import Event, Kind
from buildguard.store import document
from buildguard.store.document import Document

KILLS = int(os.environ.get("BUILDGUARD_TEST_KILLS", "120"))
CLAIMS = (Kind.CLAIMED, Kind.TAKEN_OVER)


def hub_of(checkout: Checkout) -> Path:
    return checkout.path.parent / "hub.git"


def kept(hub: Path) -> Document:
    """What the remote keeps."""
    words = ["git", "log", "-1", "--format=%B", REF]
    said = subprocess.run(words, cwd=hub, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
    return document.decoded(said.strip().rpartition("\n")[2])


def claims(found: Document) -> list[Event]:
    return [event for event in found.events if event.kind in CLAIMS]


@pytest.mark.parametrize(("many", "rounds"), [(2, 4), (16, 4)])
def test_of_clones_that_fail_alike_at_once_one_fixes(tmp_path: Path, many: int, rounds: int) -> None:
    clones = remote_with(tmp_path, *(f"clone{number}" for number in range(many)))
    for number in range(1, rounds + 1):
        places = [one.path for one in clones]
        statuses = forked(clones[0], many, words=("run",), places=places)
        assert Counter(statuses) == Counter([1] + [75] * (many - 1))
        found = kept(hub_of(clones[0]))
        (state,) = found.states.values()
        assert state.claim is not None
        assert (state.number, found.highest) == (number, number)
        assert [event.number for event in claims(found)] == list(range(1, number + 1))
        fixer = clones[int(state.claim.agent.removeprefix("racer-"))]
        assert fixer.buildguard("release", agent=state.claim.agent).status == 0


def test_of_many_agents_in_few_clones_one_fixes(tmp_path: Path) -> None:
    clones = remote_with(tmp_path, "a", "b", "c", "d")
    statuses = forked(clones[0], 32, words=("run",), places=[one.path for one in clones])
    assert Counter(statuses) == Counter([1] + [75] * 31)
    (state,) = kept(hub_of(clones[0])).states.values()
    assert state.number == 1
    assert state.breakage is not None
    assert len(state.breakage.seen) >= 2


def test_a_claim_that_was_silent_for_too_long_is_taken_over_by_one(tmp_path: Path) -> None:
    clones = remote_with(tmp_path, *(f"clone{number}" for number in range(8)))
    idler = clones[0]
    assert idler.buildguard("run", "--stale-after", "0.001s", agent="idler").status == 1
    for one in clones[1:]:
        one.buildguard("status", agent="looks")
    statuses = forked(idler, 8, words=("run",), places=[one.path for one in clones])
    assert Counter(statuses) == Counter([1] + [75] * 7)
    assert [event.kind for event in claims(kept(hub_of(idler)))] == list(CLAIMS)


def test_kills_lose_no_claim_and_give_no_number_twice(tmp_path: Path) -> None:
    clones = remote_with(tmp_path, "a", "b", "c")
    hub = hub_of(clones[0])
    numbers: dict[int, str] = {}
    commands = (["run", "--stale-after", "0.5s"], ["run"], ["release"], ["release", "--gave-up"], ["status"])
    choose = random.Random(7)
    killed = 0
    while killed < KILLS:
        started = [
            one.start(BUILDGUARD, *choose.choice(commands), agent=choose.choice(["ann", "bob", "cat"]))
            for one in clones
            for _ in range(2)
        ]
        for process in started:
            try:
                process.wait(choose.uniform(0, 0.8))
            except subprocess.TimeoutExpired:
                killed += 1
                os.kill(process.pid, signal.SIGKILL)
            process.communicate(timeout=RACE_PATIENCE)
        found = kept(hub) if (hub / REF).exists() else Document()
        for event in claims(found):
            assert numbers.setdefault(event.number, event.agent) == event.agent, "two claims have this number"
    assert list(hub.glob("refs/**/*.lock")) == []
    for one in clones:
        assert one.buildguard("reset", "--yes", agent="last").status == 0
        one.ok("fsck", "--connectivity-only")
    last = [one.buildguard("run", agent=f"last in {one.path.name}") for one in clones]
    assert [done.status for done in last] == [1, 75, 75], last
    assert kept(hub).highest > max(numbers, default=0)


def obeys(checkout: Checkout, name: str, fixers: list[str]) -> None:
    """An agent that commits a file of its own, does what it is told, and mends what is given to it."""
    checkout.write(f"{name}.txt", "mine\n")
    checkout.ok("add", f"{name}.txt")
    line = f"buildguard commit --agent {name} -m {name} -- {name}.txt"
    for _ in range(20):
        done = checkout.run("sh", "-c", line.replace("sleep 30", "sleep 1"))
        if "claimed: you are the fixer" in done.both:
            fixers.append(name)
            checkout.write("app.txt", "fine\n")
            fixed = checkout.buildguard("commit", "--agent", name, "-m", "fix", "--", "app.txt")
            assert fixed.status == 0, fixed
            if "next: " in fixed.out:
                checkout.ok(*words_of(fixed.out)[1:])
        elif done.status == 0:
            return
        else:
            line = done.both.rpartition("\nnext: ")[2].partition("\n")[0]
    raise AssertionError(done)


def test_a_fleet_of_clones_that_does_what_it_is_told_fixes_once(tmp_path: Path) -> None:
    clones = remote_with(tmp_path, *(f"clone{number}" for number in range(8)))
    fixers: list[str] = []
    agents = [
        threading.Thread(target=obeys, args=(one, f"agent-{number}", fixers)) for number, one in enumerate(clones)
    ]
    for agent in agents:
        agent.start()
    for agent in agents:
        agent.join(RACE_PATIENCE)
    assert len(fixers) == 1
    for number, one in enumerate(clones):
        assert one.ok("log", "-1", "--format=%s") == f"agent-{number}"
        assert one.run("sh", "check.sh").status == 0


SETTINGS = (
    "remote.origin.mirror=true",
    "remote.origin.prune=true",
    "push.followTags=true",
    "push.gpgSign=if-asked",
    "push.default=matching",
    "push.recurseSubmodules=check",
    "fetch.prune=true",
    "fetch.fsckObjects=true",
    "transfer.fsckObjects=true",
    "gc.auto=1",
    "commit.gpgSign=true",
    "i18n.commitEncoding=latin1",
    "core.logAllRefUpdates=always",
    "remote.pushDefault=nowhere",
)


def theirs(checkout: Checkout) -> dict[str, bytes]:
    """Every file of git's folder but ours and those that a `git status` may refresh."""
    folder = checkout.path / ".git"
    files = [path for path in folder.rglob("*") if path.is_file() and "buildguard" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name != "index"}


@pytest.mark.parametrize(
    "kind",
    [
        (),
        ("--depth=1",),
        ("--filter=blob:none",),
        ("--filter=tree:0",),
        ("--single-branch",),
        ("--shared",),
        ("--origin=upstream",),
    ],
    ids=str,
)
def test_every_kind_of_clone_takes_part_and_stays_as_it_is(tmp_path: Path, kind: tuple[str, ...]) -> None:
    (one,) = remote_with(tmp_path, "one")
    hub = hub_of(one)
    subprocess.run(["git", "config", "uploadpack.allowFilter", "true"], cwd=hub, check=True)
    one.ok("clone", "-q", *kind, f"file://{hub}".replace(" ", "%20"), str(tmp_path / "two"))
    two = Checkout(tmp_path / "two", one.home)
    if "--origin=upstream" in kind:
        two = Checkout(two.path, two.home, {"BUILDGUARD_ENGINE": "git:upstream"})
    for setting in SETTINGS:
        two.ok("config", *setting.split("="))
    for name in ("pre-push", "reference-transaction", "post-checkout"):
        hook = two.path / ".git/hooks" / name
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
    before = theirs(two)
    assert two.buildguard("run", agent="bob").status == 1
    assert one.buildguard("run", agent="ann").status == 75
    assert "agents elsewhere see you" in two.buildguard("doctor", agent="bob").both
    assert two.buildguard("release", "--gave-up", agent="bob").status == 0
    assert one.buildguard("run", agent="ann").status == 1
    assert two.buildguard("run", agent="bob").status == 75
    assert theirs(two) == before
    two.ok("fsck", "--connectivity-only")


def test_a_linked_work_tree_and_a_path_with_signs_take_part(tmp_path: Path) -> None:
    (one,) = remote_with(tmp_path / 'a:b "c" é', "one")
    other = one.work_tree("other")
    assert other.buildguard("run", agent="bob").status == 1
    assert one.buildguard("run", agent="ann").status == 75
    two = clone(one.path.parent, "two", one)
    assert two.buildguard("run", agent="carl").status == 75


def test_a_repository_with_sha256_takes_part(tmp_path: Path) -> None:
    (one,) = remote_with(tmp_path, "seeded")
    hub = tmp_path / "hub256.git"
    one.ok("init", "-q", "--bare", "--object-format=sha256", str(hub))
    pair = []
    for name in ("one256", "two256"):
        one.ok("init", "-q", "--object-format=sha256", str(tmp_path / name))
        made = Checkout(tmp_path / name, one.home, {"BUILDGUARD_ENGINE": "git:origin"})
        made.ok("remote", "add", "origin", str(hub))
        pair.append(made)
    failing = ("run", "--", "sh", "-c", "echo 'FAILED tests/test_app.py::test_app - boom'; exit 1")
    assert pair[0].buildguard(*failing, agent="ann").status == 1
    assert pair[1].buildguard(*failing, agent="bob").status == 75


def test_a_ref_that_is_force_pushed_to_the_users_own_commits_is_left_alone(tmp_path: Path) -> None:
    one, two = remote_with(tmp_path, "one", "two")
    assert one.buildguard("run", agent="ann").status == 1
    one.ok("push", "-q", "--force", "origin", f"HEAD:{REF}")
    head = one.ok("rev-parse", "HEAD")
    done = two.buildguard("run", agent="bob")
    assert (done.status, "what is there was not written by buildguard" in done.both) == (1, True), done
    assert one.buildguard("run", agent="ann").status == 1
    assert one.ok("ls-remote", "origin", REF).split()[0] == head
