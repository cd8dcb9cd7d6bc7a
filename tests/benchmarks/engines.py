"""(f) The engines for many machines, all on loopback: refs on a git remote, by path and by smart HTTP, and
PostgreSQL.

In each round N processes, each in a clone of its own, claim at one moment; one wins, the others are busy and wait,
until it releases. Measured inside them, around the verb alone, with the connection that it opens. Beside it `git
push` and `psql`, which do the least of the same work. Then a hook that passes, and what waiters cost a remote.
"""

import itertools
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import psycopg  # noqa: F401  before any fork: an import is no part of what is measured
from benchmarks.guards import guarded
from benchmarks.passing import timed
from benchmarks.table import Row, Table, in_turn, median, milliseconds
from store.machines import git, git_register, new_hub
from testing.proxy import Proxy
from testing.servers import HERE, GitHttpServer, PostgresServer, postgres_programs
from testing.support import new_repository

from buildguard.claims.model import Outcome
from buildguard.store.postgres import Postgres
from buildguard.store.register import Register
from buildguard.store.shared import SharedStore
from buildguard.store.sqlite import SqliteStore

ROUNDS = {1: 10, 8: 5, 64: 2}
BARE = 20
"""How often the bare work is done."""
LONG = 120.0
"""Seconds that a waiter would wait; none ever does."""
SETTLED, WATCHED = 22.0, 30.0
"""After how many seconds a waiter looks less often, and for how long that is watched."""
NUMBERS = itertools.count()
FORK = get_context("fork")


class Engine(NamedTuple):
    """An engine under measurement, on that port of loopback; 0 where no packet can be counted."""

    name: str
    port: int
    setting: Callable[[int], str]
    """Its address by a port, for a remote or for BUILDGUARD_ENGINE."""
    register: Callable[[Path, int], Register]
    """One for a clone, by a port."""
    compared: str
    bare: Callable[[], object]
    """The least of the same work."""
    asked: Callable[[Proxy], int]
    """How often it was asked so far."""


class Spent(NamedTuple):
    """Milliseconds of one round, and at the end each waiter's share of a core."""

    claim: float
    busy: list[float]
    release: float
    woken: list[float]
    worked: list[float]
    alone: int
    """How many the engine did not answer in time."""


def measure(folder: Path, smallest: bool) -> Table:
    """All rounds of all engines; each round must have exactly one winner."""
    rows: list[Row] = []
    with _engines(folder) as engines:
        for engine in engines:
            rows += _races(engine, folder, {1: 1, 2: 1} if smallest else ROUNDS)
        for engine in engines:
            if engine.port:
                rows += _waiting(engine, folder, *((2, 2, 0.0, 2.0) if smallest else (10, 10, SETTLED, WATCHED)))
        # Last: a proxy has threads, which nothing that forks may have.
        rows += _passing([engine for engine in engines if engine.port], folder, 1 if smallest else 20)
    return Table("(f) the engines; ratio to the bare work, to one look a second, or to no engine", tuple(rows))


@contextmanager
def _engines(folder: Path) -> Iterator[list[Engine]]:
    hub = str(new_hub(folder))
    found = [_git("path", 0, lambda _: hub, folder)]
    found.append(_git("http", _serving(folder), lambda port: f"http://{HERE}:{port}/hub.git", folder))
    programs = postgres_programs()
    if programs is None:
        print("PostgreSQL is left out: it is not installed here")
        yield found
        return
    with PostgresServer(programs) as server:
        server.sql("CREATE TABLE bare (key text, version int)", "INSERT INTO bare VALUES ('a', 0)")
        bare = ["psql", "-qc", "UPDATE bare SET version = version + 1 WHERE key = 'a'", server.url()]

        def register(clone: Path, port: int) -> Register:
            git_register(clone, hub)
            return Postgres(server.url(port=port))

        def asked(_: Proxy) -> int:
            (row,) = server.sql("SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'")
            return int(str(row[0]))

        run = partial(subprocess.run, bare, check=True)
        setting = partial(server.url, "postgres", "postgres")
        yield [*found, Engine("postgres", server.port, setting, register, "psql", run, asked)]


def _git(name: str, port: int, address: Callable[[int], str], folder: Path) -> Engine:
    clone = folder / f"pushes by {name}"
    git_register(clone, address(port))
    words = ("-c", "user.name=a", "-c", "user.email=a@b", "commit-tree", git(clone, "write-tree"), "-m")
    commits = iter([git(clone, *words, f"{number}") for number in range(BARE)])

    def push() -> None:
        git(clone, "push", "-q", "--force", "origin", f"{next(commits)}:refs/bare/one")

    return Engine(
        name,
        port,
        address,
        lambda clone, port: git_register(clone, address(port)),
        "git push",
        push,
        lambda proxy: proxy.connections,
    )


def _serving(folder: Path) -> int:
    """The port of an HTTP server in a process of its own: it has threads."""
    mine, theirs = Pipe(duplex=False)

    def serve() -> None:
        server = GitHttpServer(folder)
        theirs.send(server.server_port)
        server.serve_forever()

    FORK.Process(target=serve, daemon=True).start()
    return int(mine.recv())


# Claim, busy, release, wake-up


def _races(engine: Engine, folder: Path, rounds: Mapping[int, int]) -> Iterator[Row]:
    bare = median([milliseconds(engine.bare) for _ in range(BARE)])
    yield Row(f"{engine.name}: {engine.compared}", bare, "ms", 1.0)
    for many, times in rounds.items():
        spent = [_round(engine, folder, many) for _ in range(times)]
        for what, values in (
            ("claim", [one.claim for one in spent]),
            ("busy", [took for one in spent for took in one.busy]),
            ("release", [one.release for one in spent]),
            ("wake-up", [took for one in spent for took in one.woken]),
        ):
            yield Row(f"{engine.name}: {what}, {many} at once", median(values), "ms", median(values) / bare)
        if alone := sum(one.alone for one in spent):
            yield Row(
                f"{engine.name}: not answered in time, {many} at once", alone, f"of {many * times}", float(alone)
            )


def _round(engine: Engine, folder: Path, many: int) -> Spent:
    """`many` claim at once, or one and after it a second; all but the winner wait for its release."""
    lines = _started(engine, [folder / f"clone {next(NUMBERS)}" for _ in range(max(2, many))], engine.port)
    answers = _all_asked(lines[:many]) + _all_asked(lines[many:])
    # Not to synchronise: the moment of the release, as seen from between two looks, has to be a random one.
    time.sleep(random.Random(next(NUMBERS)).uniform(0.1, 2.0))
    return _released(lines, answers)


def _waiting(
    engine: Engine, folder: Path, clones: int, waiters: int, settled: float, watched: float
) -> Iterator[Row]:
    """What waiters cost the remote, and a machine."""
    places = [folder / f"clone {next(NUMBERS)}" for _ in range(clones)]
    proxy = Proxy(engine.port)
    lines = _started(engine, [place for place in places for _ in range(waiters)], proxy.port)
    with proxy:
        answers = _all_asked(lines[:1]) + _all_asked(lines[1:])
        began, before = time.monotonic(), engine.asked(proxy)
        first = settled or watched
        time.sleep(first)
        early = (engine.asked(proxy) - before) / (time.monotonic() - began)
        began, before = time.monotonic(), engine.asked(proxy)
        time.sleep(watched)
        late = (engine.asked(proxy) - before) / (time.monotonic() - began)
        spent = _released(lines, answers)
    name, what = (
        f"{engine.name}, {clones * waiters} waiters in {clones} clones",
        "looks" if engine.name == "http" else "statements",
    )
    yield Row(f"{name}: {what} in the first {first:.0f} s", early, "a second", early)
    yield Row(f"{name}: {what} after that", late, "a second", late, most=2.0 if what == "looks" else None)
    yield Row(f"{name}: connections", proxy.connections, "in all", float(proxy.connections))
    share = median(spent.worked)
    yield Row(f"{name}: processor time of each", share, "% of a core", share)


Line = tuple[Connection, BaseProcess]
Answer = tuple[Outcome | None, float]
"""What an agent was told, None where the engine did not answer in time; and milliseconds."""


def _started(engine: Engine, clones: Sequence[Path], port: int) -> list[Line]:
    """An agent in each of these clones, at the starting line."""
    build = f"build-{next(NUMBERS)}"
    lines: list[Line] = []
    for number, clone in enumerate(clones):
        mine, theirs = Pipe()
        engine.register(clone, port).close()
        store = partial(_store, engine, clone, port)
        process = FORK.Process(target=_agent, args=(store, build, f"agent {number}", theirs), daemon=True)
        process.start()
        theirs.close()
        mine.recv()
        lines.append((mine, process))
    return lines


def _store(engine: Engine, clone: Path, port: int, tell: Callable[[str], object]) -> SharedStore:
    git_dir = clone / ".git"
    near = SqliteStore(git_dir / "buildguard" / "state.db")
    return SharedStore(near, engine.register(clone, port), git_dir, tell)


def _all_asked(lines: Sequence[Line]) -> list[Answer]:
    """Let them ask at one moment."""
    for line, _ in lines:
        line.send("go")
    return [line.recv() for line, _ in lines]


def _released(lines: Sequence[Line], answers: Sequence[Answer]) -> Spent:
    """Let the winner release; what all of it took."""
    told = Counter(outcome for outcome, _ in answers)
    assert told[Outcome.CLAIMED] == 1, told
    assert told[Outcome.CLAIMED] + told[Outcome.BUSY] + told[None] == len(lines), told
    by = {
        outcome: [line for (line, _), (one, _) in zip(lines, answers, strict=True) if one is outcome]
        for outcome in told
    }
    (winner,) = by[Outcome.CLAIMED]
    winner.send("release")
    release, released = winner.recv()
    ends = [line.recv() for line in by.get(Outcome.BUSY, [])]
    for _, process in lines:
        process.join()
    took = {outcome: [ms for one, ms in answers if one is outcome] for outcome in told}
    late = [max(0.0, woken - released) * 1000 for woken, _ in ends]
    worked = [share for _, share in ends]
    return Spent(took[Outcome.CLAIMED][0], took.get(Outcome.BUSY, []), release, late, worked, told[None])


def _agent(
    opened: Callable[[Callable[[str], object]], SharedStore], build: str, name: str, line: Connection
) -> None:
    """Ask once; then release, or wait until somebody does."""
    told: list[str] = []
    store = opened(told.append)
    ours = guarded(store, name, build)
    store.read(build)  # a first use of the near store costs more
    line.send("ready")
    line.recv()
    began = time.perf_counter()
    outcome = ours.failed(None).outcome
    line.send((None if told else outcome, (time.perf_counter() - began) * 1000))
    if told:
        pass
    elif outcome is Outcome.CLAIMED:
        line.recv()
        took = milliseconds(lambda: ours.release(None, gave_up=False, reason=""))
        line.send((took, time.monotonic()))
    else:
        since, worked = time.monotonic(), time.process_time()
        for moment in ours.waiting(LONG):
            if moment.holder is None:
                break
        woken = time.monotonic()
        line.send((woken, 100 * (time.process_time() - worked) / (woken - since)))
    store.close()


# A hook that passes


def _passing(engines: Sequence[Engine], folder: Path, rounds: int) -> Iterator[Row]:
    """Real commits with the hook, in turn with no engine and with each."""
    variables = {"BUILDGUARD_AGENT": "ann", "BUILDGUARD_REUSE": "0"}
    commit = ("git", "commit", "-q", "--allow-empty", "-m", "x")
    measured, proxies = {}, {}
    with ExitStack() as stack:
        for engine in (None, *engines):
            name = engine.name if engine else "no engine"
            more = dict(variables)
            if engine:
                proxies[name] = stack.enter_context(Proxy(engine.port))
                address = engine.setting(proxies[name].port)
                more["BUILDGUARD_ENGINE"] = "git:origin" if engine.name == "http" else address
            checkout = new_repository(folder / f"passing, {name}", folder / "home", "true", **more)
            checkout.ok("config", "maintenance.auto", "false")
            if engine and engine.name == "http":
                checkout.ok("remote", "add", "origin", address)
            measured[name] = timed(checkout, *commit)
        found = in_turn(measured, rounds)
    alone = median([one.worked for one in found["no engine"]])
    for name, spent in found.items():
        worked = median([one.worked for one in spent])
        yield Row(
            f"a commit with a passing hook, {name}: processor time", worked, "ms", worked / alone, most_ratio=1.1
        )
    for name, proxy in proxies.items():
        opened = proxy.connections
        yield Row(f"{name}: connections of {rounds + 1} passing hooks", opened, "in all", float(opened), most=0.0)
