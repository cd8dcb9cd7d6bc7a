"""The registers on a damaged line, and over servers that are killed, full, locked or set back. Each call ends in
time and never says of a write what is not true."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

import psycopg
import pytest
from store.machines import git_register, new_hub
from store.register_contract import RegisterEngine, race
from testing.clones import remote_with
from testing.proxy import Proxy, When
from testing.servers import HERE, GitHttpServer, PostgresServer, a_postgres, git_daemon
from testing.support import PROJECT, eventually, with_variables

from buildguard.store.gitref import GIT_LOOK_SECONDS, GIT_PUSH_SECONDS, NAMESPACE
from buildguard.store.postgres import POSTGRES_LOOK_SECONDS, POSTGRES_WRITE_SECONDS, Postgres
from buildguard.store.register import Denied, Kept, Lost, Register, Unreachable

LOOK = max(GIT_LOOK_SECONDS, POSTGRES_LOOK_SECONDS)
WRITE = max(GIT_PUSH_SECONDS, POSTGRES_WRITE_SECONDS)
SLACK = 4.0
"""Seconds beyond a bound: two slow cores, and the start of git."""


class Line(NamedTuple):
    """A register behind a proxy, one beside it, and the words by which the proxy knows a write."""

    proxy: Proxy
    register: Register
    direct: Register
    write: bytes

    def swapped(self, known: Kept, data: str) -> Kept | Unreachable:
        """What the swap behind the proxy came to."""
        try:
            return self.register.swap("build", known, data, "claimed")
        except Unreachable as error:
            return error


@pytest.fixture(params=["git", "postgres"])
def line(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Line]:
    """Each engine behind a proxy."""
    if request.param == "git":
        hub = new_hub(tmp_path)
        with GitHttpServer(tmp_path) as server, Proxy(server.server_port) as proxy:
            through, beside = (
                git_register(tmp_path / f"on {port}", f"http://{HERE}:{port}/{hub.name}")
                for port in (proxy.port, server.server_port)
            )
            yield Line(proxy, through, beside, b"POST /hub.git/git-receive-pack")
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    database: str = request.getfixturevalue("database")
    with Proxy(postgres.port) as proxy:
        one, two = Postgres(postgres.url(database, port=proxy.port)), Postgres(postgres.url(database))
        yield Line(proxy, one, two, b"UPDATE buildguard_1")
        one.close()
        two.close()


@contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    """Fail where what is done here takes longer."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds + SLACK


def sent(call: Callable[[], object]) -> bool:
    """Whether a call that does not come through may have written all the same."""
    with pytest.raises(Unreachable) as raised:
        call()
    return raised.value.sent


def test_a_refused_connection_is_told_at_once_and_nothing_was_sent(line: Line) -> None:
    known = line.direct.swap("build", Kept(), "one", "claimed")
    line.proxy.refuse()
    with ends_within(0):
        assert not sent(lambda: line.register.load("build"))
        assert not sent(lambda: line.register.swap("build", known, "two", "claimed"))
        assert not line.register.changed("build", known, 60)
    line.proxy.heal()
    assert line.register.load("build")[:2] == known[:2]


def test_a_server_that_swallows_all_is_given_up_in_time(line: Line) -> None:
    known = line.direct.swap("build", Kept(), "one", "claimed")
    line.proxy.silent = True
    with ends_within(LOOK):
        assert not sent(lambda: line.register.load("build"))
    with ends_within(WRITE), pytest.raises(Unreachable):
        line.register.swap("build", known, "two", "claimed")
    assert line.direct.load("build")[:2] == known[:2]


def test_a_connection_that_falls_silent_after_its_use_is_given_up_in_time(line: Line) -> None:
    known = line.register.swap("build", Kept(), "one", "claimed")
    line.proxy.silent = True
    with ends_within(LOOK):
        assert not sent(lambda: line.register.load("build"))
    line.proxy.heal()
    assert line.register.load("build")[:2] == known[:2]


def test_a_write_whose_answer_never_comes_is_given_up_in_time_and_may_stand(line: Line) -> None:
    known = line.register.swap("build", Kept(), "one", "claimed")
    line.proxy.cut_at(line.write, "silence")
    with ends_within(WRITE):
        assert sent(lambda: line.register.swap("build", known, "two", "claimed"))
    line.proxy.heal()
    assert line.register.load("build").data == "two"


def test_a_slow_line_is_slow_and_nothing_else(line: Line) -> None:
    line.proxy.delay = 0.2
    known = line.register.swap("build", Kept(), "one", "claimed")
    assert line.register.swap("build", line.register.load("build"), "two", "claimed").data == "two"
    with pytest.raises(Lost):
        line.register.swap("build", known, "three", "claimed")


@pytest.mark.parametrize("for_good", [False, True])
@pytest.mark.parametrize("when", ["before", "during"])
def test_a_write_that_did_not_arrive_is_not_said_to_stand(line: Line, when: When, for_good: bool) -> None:
    known = line.direct.swap("build", Kept(), "one", "claimed")
    line.proxy.cut_at(line.write, when, for_good)
    came_to = line.swapped(known, "two")
    assert line.proxy.cuts == 1
    stands = line.direct.load("build")
    # git says it once more by itself, where it can.
    assert stands.data == ("two" if isinstance(came_to, Kept) else "one")
    assert isinstance(came_to, Kept) or came_to.sent


def test_a_lost_answer_is_found_out_on_a_line_that_is_good_again(line: Line) -> None:
    known = line.direct.swap("build", Kept(), "one", "claimed")
    line.proxy.cut_at(line.write, "after")
    came_to = line.swapped(known, "two")
    assert line.proxy.cuts == 1
    assert isinstance(came_to, Kept) or came_to.sent
    stands = line.register.load("build")
    assert stands.data == "two"
    assert isinstance(came_to, Unreachable) or came_to.token == stands.token


def test_a_lost_answer_on_a_dead_line_leaves_it_open_whether_the_write_stands(line: Line) -> None:
    known = line.direct.swap("build", Kept(), "one", "claimed")
    line.proxy.cut_at(line.write, "after", for_good=True)
    with ends_within(0):
        assert sent(lambda: line.register.swap("build", known, "two", "claimed"))
    assert line.direct.load("build").data == "two"


_WRITER = """
import sys
from pathlib import Path
from store.machines import git_register
from buildguard.store.postgres import POSTGRES_LOOK_SECONDS, POSTGRES_WRITE_SECONDS, Postgres
from buildguard.store.register import Kept
register = REGISTER
known = register.load("build")
while True:
    known = register.swap("build", known, str(int(known.data or "0") + 1), "counted")
    print(known.data, flush=True)
"""


def writes_after_kills(expression: str, register: Register, kills: int) -> None:
    """Kill a writer at random moments: what it was told stands, and the next one writes at once."""
    chance, last = Random(1), 0
    code = _WRITER.replace("REGISTER", expression)
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(PROJECT / "tests")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        told = process.stdout.readline()
        assert told, process.communicate()
        time.sleep(chance.uniform(0, 0.1))  # not to synchronise: the moment has to be a random one
        process.kill()
        said, wrong = process.communicate()
        last = int([told, *said.splitlines()][-1])
        assert wrong == ""
        eventually(lambda: swaps(register), "somebody else can write")
        assert int(register.load("build").data) >= last


def swaps(register: Register) -> bool:
    """Whether a write goes through that expects what stands there: the killed one's may still come."""
    with suppress(Lost):
        known = register.load("build")
        return bool(register.swap("build", known, known.data, "counted").token)
    return False


def test_a_writer_that_is_killed_leaves_no_lock_on_a_remote(tmp_path: Path) -> None:
    remote = str(new_hub(tmp_path))
    writer = f"git_register(Path({str(tmp_path / 'writer')!r}), {remote!r})"
    writes_after_kills(writer, git_register(tmp_path / "other", remote), 15)


def test_a_writer_that_is_killed_leaves_no_lock_in_a_database(postgres: PostgresServer, database: str) -> None:
    register = Postgres(postgres.url(database))
    writes_after_kills(f"Postgres({postgres.url(database)!r})", register, 15)
    register.close()


# Races of many


def test_of_many_machines_on_a_git_daemon_one_wins(tmp_path: Path) -> None:
    hub = new_hub(tmp_path)
    with git_daemon(tmp_path) as port:
        race(_engine(tmp_path, f"git://{HERE}:{port}/{hub.name}"), racers=16, rounds=6)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("racers", "rounds"), [(16, 25), (64, 4)])
def test_of_many_machines_on_a_remote_one_wins(tmp_path: Path, racers: int, rounds: int) -> None:
    race(_engine(tmp_path, str(new_hub(tmp_path))), racers, rounds)


@pytest.mark.parametrize(("racers", "rounds"), [(16, 25), (64, 4)])
def test_of_many_machines_on_a_database_one_wins(
    postgres: PostgresServer, database: str, racers: int, rounds: int
) -> None:
    url = postgres.url(database)
    engine = RegisterEngine(lambda: Postgres(url), f"Postgres({url!r})", _never, _never, _never, "")
    race(engine, racers, rounds)


def _engine(folder: Path, remote: str) -> RegisterEngine:
    expression = f"git_register(Path({str(folder)!r}, f'racer {{racer}}'), {remote!r})"
    return RegisterEngine(lambda: git_register(folder / "ours", remote), expression, _never, _never, _never, "")


def _never(*_: object) -> None:
    raise AssertionError


# A remote


def test_a_remote_whose_hook_takes_seconds_is_waited_for(tmp_path: Path) -> None:
    hub = new_hub(tmp_path)
    hook = hub / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nsleep 7\n")
    hook.chmod(0o755)
    with GitHttpServer(tmp_path) as server:
        register = git_register(tmp_path / "a", f"http://{HERE}:{server.server_port}/{hub.name}")
        assert register.swap("build", Kept(), "one", "claimed").data == "one"


def test_a_remote_that_swallows_all_leaves_no_process_behind(tmp_path: Path) -> None:
    hub = new_hub(tmp_path)
    with GitHttpServer(tmp_path) as server, Proxy(server.server_port) as proxy:
        address = f"http://{HERE}:{proxy.port}/{hub.name}"
        proxy.silent = True
        assert not sent(lambda: git_register(tmp_path / "a", address).load("build"))
        eventually(lambda: not calls_with(address), "nobody asks any more", within=5)


def calls_with(word: str) -> list[str]:
    """The processes that have that word in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes().decode(errors="replace"))
    return [line for line in found if word in line]


def test_a_lock_that_somebody_left_on_the_remote_is_told(tmp_path: Path) -> None:
    hub, register = new_hub(tmp_path), git_register(tmp_path / "a", str(tmp_path / "hub.git"))
    known = register.swap("build", Kept(), "one", "claimed")
    (hub / NAMESPACE / "build.lock").touch()
    with ends_within(WRITE), pytest.raises(Denied, match="cannot lock ref"):
        register.swap("build", known, "two", "claimed")
    assert register.load("build")[:2] == known[:2]


def test_a_remote_that_has_moved_is_told_in_gits_words(tmp_path: Path) -> None:
    register = git_register(tmp_path / "a", str(tmp_path / "nowhere"))
    with pytest.raises(Unreachable, match="does not appear to be a git repository"):
        register.load("build")


# A database


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server that a test may stop and kill."""
    with a_postgres() as server:
        yield server


@pytest.mark.parametrize("killed", [False, True])
def test_a_server_that_comes_back_is_used_again(own_postgres: PostgresServer, killed: bool) -> None:
    register = Postgres(own_postgres.url())
    known = register.swap("build", Kept(), "one", "claimed")
    own_postgres.kill() if killed else own_postgres.stop()
    with ends_within(0):
        assert not sent(lambda: register.load("build"))
    own_postgres.start()
    assert register.load("build")[:2] == known[:2]
    assert register.swap("build", known, "two", "released").data == "two"
    register.close()


def test_a_waiter_outlives_a_restart_of_the_server(own_postgres: PostgresServer) -> None:
    waiter, other = Postgres(own_postgres.url()), Postgres(own_postgres.url())
    known = other.swap("build", Kept(), "one", "claimed")

    waiter.poll = 1000.0

    def wait() -> None:
        while not waiter.changed("build", known, 60):
            pass

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    waits = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'buildguard' AND query LIKE '%LEFT JOIN%'"
    eventually(lambda: bool(own_postgres.sql(waits)), "it waits")
    own_postgres.stop()
    own_postgres.start()
    assert thread.is_alive()
    other.swap("build", known, "two", "released")
    thread.join(60)
    assert not thread.is_alive()
    waiter.close()
    other.close()


def test_a_replica_that_lost_writes_is_found_out(own_postgres: PostgresServer) -> None:
    register = Postgres(own_postgres.url())
    first = register.swap("build", Kept(), "ann has it", "claimed")
    own_postgres.stop()
    own_postgres.copy_data(own_postgres.folder / "replica")
    own_postgres.start()
    second = register.swap("build", first, "bob has it", "claimed")
    own_postgres.stop()
    own_postgres.data.rename(own_postgres.folder / "lost")
    (own_postgres.folder / "replica").rename(own_postgres.data)
    own_postgres.start()
    assert register.load("build", second)[:2] == first[:2]
    with pytest.raises(Lost):
        register.swap("build", second, "bob renews", "renewed")
    register.close()


def test_a_claim_that_a_failover_lost_is_told_to_its_holder(own_postgres: PostgresServer, tmp_path: Path) -> None:
    engine = {"BUILDGUARD_ENGINE": own_postgres.url()}
    a, b = (with_variables(one, engine) for one in remote_with(tmp_path, "a", "b"))
    assert a.buildguard("run", agent="ann").status == 1
    assert a.buildguard("release", "--gave-up", agent="ann").status == 0
    own_postgres.stop()
    own_postgres.copy_data(own_postgres.folder / "replica")
    own_postgres.start()
    assert a.buildguard("run", agent="ann").status == 1
    own_postgres.stop()
    own_postgres.data.rename(own_postgres.folder / "lost")
    (own_postgres.folder / "replica").rename(own_postgres.data)
    own_postgres.start()
    # Nobody can know it yet: both are told to fix.
    assert b.buildguard("run", agent="bob").status == 1
    told = a.buildguard("run", agent="ann")
    assert (told.status, "busy: bob is fixing" in told.both) == (75, True), told


def test_a_table_that_somebody_locks_is_given_up_and_nothing_comes_late(
    postgres: PostgresServer, database: str
) -> None:
    register = Postgres(postgres.url(database))
    known = register.swap("build", Kept(), "one", "claimed")
    with psycopg.connect(postgres.url(database)) as other:
        other.execute("LOCK TABLE buildguard_1 IN ACCESS EXCLUSIVE MODE")
        with ends_within(POSTGRES_LOOK_SECONDS):
            assert not sent(lambda: register.load("build"))
        with ends_within(POSTGRES_WRITE_SECONDS):
            assert not sent(lambda: register.swap("build", known, "two", "claimed"))
    assert register.load("build")[:2] == known[:2]
    register.close()


def test_a_full_disk_is_told_in_the_servers_words(own_postgres: PostgresServer) -> None:
    small = own_postgres.folder / "small"
    small.mkdir()
    options = f"size=1m,mode=0777,uid={own_postgres.data.stat().st_uid}"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "small", small], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        own_postgres.sql(f"CREATE TABLESPACE small LOCATION '{small}'")
        register = Postgres(f"{own_postgres.url()}?options=-cdefault_tablespace%3Dsmall")
        known = register.swap("build", Kept(), "one", "claimed")
        filler = "".join(Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=2_000_000))
        with pytest.raises(Denied, match="No space left on device"):
            register.swap("build", known, filler, "claimed")
        assert register.load("build")[:2] == known[:2]
        register.close()
    finally:
        own_postgres.stop()
        subprocess.run(["umount", small], check=True)
        own_postgres.start()
