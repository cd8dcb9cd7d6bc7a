"""The registers: refs on a git remote, by path and by smart HTTP, and PostgreSQL."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from store.machines import git, git_register, new_hub
from store.register_contract import RegisterContract, RegisterEngine
from testing.servers import HERE, PASSWORD, GitHttpServer, PostgresServer, free_port
from testing.support import PATIENCE

from buildguard.store.gitref import NAMESPACE, GitRef
from buildguard.store.postgres import Postgres
from buildguard.store.register import Denied, Kept, Register, Unreachable

BAIT = "refs/heads/refs/buildguard/1"
"""A branch that ends as a ref of ours does."""


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A bare repository."""
    return new_hub(tmp_path)


def git_engine(hub: Path, remote: str) -> RegisterEngine:
    """Refs of ours in that repository, reached at that address."""
    numbers = count()

    def forbid() -> None:
        hook = hub / "hooks" / "pre-receive"
        hook.write_text("#!/bin/sh\necho 'only heads, please' >&2\nexit 1\n")
        hook.chmod(0o755)

    return RegisterEngine(
        lambda: git_register(hub.parent / f"machine {next(numbers)}", remote),
        f"git_register(Path({str(hub.parent)!r}, f'racer {{racer}}'), {remote!r})",
        lambda key, kept: git(hub, "update-ref", f"{NAMESPACE}/{key}", kept.token),
        lambda key: git(hub, "update-ref", "-d", f"{NAMESPACE}/{key}"),
        forbid,
        "pre-receive hook declined.*: only heads, please",
    )


class TestRefsByPath(RegisterContract):
    @pytest.fixture
    def engine(self, hub: Path) -> RegisterEngine:
        return git_engine(hub, str(hub))


class TestRefsBySmartHttp(RegisterContract):
    @pytest.fixture
    def engine(self, hub: Path) -> Iterator[RegisterEngine]:
        with GitHttpServer(hub.parent) as server:
            yield git_engine(hub, f"http://{HERE}:{server.server_port}/{hub.name}")


class TestPostgres(RegisterContract):
    @pytest.fixture
    def engine(self, postgres: PostgresServer, database: str) -> Iterator[RegisterEngine]:
        opened: list[Postgres] = []

        def new() -> Register:
            opened.append(Postgres(postgres.url(database)))
            return opened[-1]

        def put(key: str, kept: Kept) -> None:
            values = f"version = '{kept.token}', data = '{kept.data}'"
            postgres.sql(f"UPDATE buildguard_1 SET {values} WHERE key = '{key}'", database=database)

        yield RegisterEngine(
            new,
            f"Postgres({postgres.url(database)!r})",
            put,
            lambda key: postgres.sql(f"DELETE FROM buildguard_1 WHERE key = '{key}'", database=database),
            lambda: postgres.sql(f"ALTER DATABASE {database} SET default_transaction_read_only = on"),
            "read-only transaction",
        )
        for register in opened:
            register.close()

    def test_a_waiter_is_woken_at_once(self, ann: Register, bob: Register) -> None:
        known = ann.swap("build", Kept(), "one", "claimed")
        ann.load("build")
        began = time.monotonic()
        threading.Timer(0.3, ann.swap, ("build", known, "two", "released")).start()
        assert bob.changed("build", known, PATIENCE)
        # Less than the time between two looks: it was told.
        assert time.monotonic() - began < bob.poll

    def test_what_was_written_before_the_wait_wakes_at_once(self, ann: Register, bob: Register) -> None:
        known = ann.swap("build", Kept(), "one", "claimed")
        ann.swap("build", known, "two", "released")
        assert bob.changed("build", known, PATIENCE)

    def test_the_clock_is_the_servers_from_the_first_write_on(
        self, postgres: PostgresServer, database: str
    ) -> None:
        ahead = "CREATE FUNCTION late.clock_timestamp() RETURNS timestamptz LANGUAGE SQL AS $$ SELECT %s $$"
        year = ahead % "pg_catalog.clock_timestamp() + interval '1 year'"
        postgres.sql("CREATE SCHEMA late", year, database=database)
        register = Postgres(f"{postgres.url(database)}?options=-csearch_path%3Dlate,pg_catalog,public")
        nothing = register.load("build")
        written = register.swap("build", nothing, "one", "claimed")
        known = register.load("build", written)
        register.close()
        for kept in (nothing, written, known):
            assert kept.now is not None
            assert kept.now - time.time() > 360 * 24 * 3600

    def test_who_may_only_read_reads(self, postgres: PostgresServer, database: str) -> None:
        reader = f"reader_{database}"
        postgres.sql(f"CREATE ROLE {reader} LOGIN PASSWORD 'r'", database=database)
        owner = Postgres(postgres.url(database))
        register = Postgres(postgres.url(database, reader, password="r"))
        assert register.load("build")[:2] == ("", "")
        with pytest.raises(Denied, match="permission denied for schema public"):
            register.swap("build", Kept(), "two", "claimed")
        first = owner.swap("build", Kept(), "one", "claimed")
        postgres.sql(f"GRANT SELECT ON buildguard_1 TO {reader}", database=database)
        assert register.load("build")[:2] == first[:2]
        with pytest.raises(Denied, match="permission denied for table buildguard_1"):
            register.swap("build", first, "two", "claimed")
        owner.close()
        register.close()
        postgres.sql(f"DROP OWNED BY {reader}", f"DROP ROLE {reader}", database=database)

    def test_it_opens_no_connection_before_it_is_asked(self) -> None:
        assert Postgres(f"postgresql://u:p@{HERE}:1/db").where == f"postgresql://{HERE}:1/db"

    def test_without_its_driver_one_line_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(Denied, match=r"-m pip install 'psycopg\[binary\]'"):
            Postgres(f"postgresql://{HERE}/db").load("build")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:{}@{}:{}/db",
        "postgresql://u:a@{}@{}:{}/db",
        "postgresql://u:a/{}@{}:{}/db",
        "postgresql://u:%zz{}@{}:{}/db",
        "postgresql://{}:p@{}:x{}/db",
        "postgresql://{1}:{2}/db?password={0}&x=%zz",
        "postgresql://{1}:{2}/db?nosuch={0}",
        "postgresql://{1}:{2}/db?sslpassword={0}",
        "host={1} port={2} password={0}",
        "{}",
    ],
)
def test_no_address_of_a_database_gives_its_password_away(address: str) -> None:
    register = Postgres(address.format(PASSWORD, HERE, free_port()))
    with pytest.raises((Denied, Unreachable)) as raised:
        register.load("build")
    assert PASSWORD not in f"{register.where} {raised.value}"


def test_the_server_that_turns_a_password_away_does_not_repeat_it(postgres: PostgresServer) -> None:
    register = Postgres(postgres.url(password=f"{PASSWORD}-not"))
    with pytest.raises(Denied, match="password authentication failed") as raised:
        register.load("build")
    assert PASSWORD not in str(raised.value)


def test_no_remote_gives_its_password_away(tmp_path: Path) -> None:
    register = git_register(tmp_path / "a", f"http://u:{PASSWORD}@{HERE}:{free_port()}/hub.git")
    with pytest.raises(Unreachable) as looked:
        register.load("build")
    with pytest.raises(Unreachable) as wrote:
        register.swap("build", Kept(), "one", "claimed")
    assert PASSWORD not in f"{register.where} {looked.value} {wrote.value}"


def test_a_branch_that_ends_as_our_ref_does_is_not_ours(hub: Path, tmp_path: Path) -> None:
    register = git_register(tmp_path / "a", str(hub))
    elsewhere = register.swap("elsewhere", Kept(), "one", "claimed")
    git(hub, "update-ref", f"{BAIT}/build", elsewhere.token)
    assert register.load("build") == Kept()


@pytest.mark.parametrize("kind", ["blob", "tag"])
def test_what_is_no_commit_is_denied_and_not_waited_for(hub: Path, tmp_path: Path, kind: str) -> None:
    register: GitRef = git_register(tmp_path / "a", str(hub))
    (tmp_path / "text").write_text("hello")
    blob = git(hub, "hash-object", "-w", str(tmp_path / "text"))
    tag = f"object {blob}\ntype blob\ntag t\ntagger a <a@b> 1 +0000\n\nx\n"
    (tmp_path / "tag").write_text(tag)
    name = blob if kind == "blob" else git(hub, "hash-object", "-t", "tag", "-w", str(tmp_path / "tag"))
    git(hub, "update-ref", f"{NAMESPACE}/build", name)
    with pytest.raises(Denied, match="is no commit"):
        register.load("build")


def test_of_a_commit_that_somebody_put_there_no_file_is_loaded(hub: Path, tmp_path: Path) -> None:
    git(hub, "config", "uploadpack.allowFilter", "true")
    register, other = git_register(tmp_path / "a", str(hub)), tmp_path / "b"
    git_register(other, str(hub))
    (other / "large").write_bytes(os.urandom(1_000_000))
    git(other, "add", "large")
    git(other, "-c", "user.name=b", "-c", "user.email=b@b", "commit", "-q", "-m", "hello")
    git(other, "push", "-q", "origin", f"HEAD:{NAMESPACE}/build")
    settings = (tmp_path / "a/.git/config").read_bytes()
    assert register.load("build").data == "hello"
    loaded = [path for path in (tmp_path / "a/.git").rglob("*") if path.is_file() and "objects" in path.parts]
    assert sum(path.stat().st_size for path in loaded) < 10_000
    assert (tmp_path / "a/.git/config").read_bytes() == settings


def test_a_refusal_by_git_itself_is_told_in_its_words(hub: Path, tmp_path: Path) -> None:
    git(hub, "config", "uploadpack.hideRefs", "refs/buildguard")
    tree = git(hub, "hash-object", "-w", "-t", "tree", "/dev/null")
    commit = git(hub, "-c", "user.name=b", "-c", "user.email=b@b", "commit-tree", "-m", "x", tree)
    hook = hub / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\nenv -u GIT_QUARANTINE_PATH git update-ref {NAMESPACE}/build {commit}\n")
    hook.chmod(0o755)
    with pytest.raises(Denied, match=r"^stale info$"):
        git_register(tmp_path / "a", str(hub)).swap("build", Kept(), "one", "claimed")


def test_old_versions_do_not_pile_up_in_the_clone(hub: Path, tmp_path: Path) -> None:
    register, other = git_register(tmp_path / "a", str(hub)), git_register(tmp_path / "b", str(hub))
    objects = tmp_path / "a" / ".git" / "buildguard" / "engine" / "objects"
    for number in range(256):
        (objects / f"{number:02x}").mkdir(parents=True, exist_ok=True)
    written = other.swap("build", Kept(), "one", "claimed")
    assert register.load("build") == written
    assert len(list(objects.iterdir())) < 10


def test_a_user_with_too_many_connections_is_away_and_not_denied(postgres: PostgresServer, database: str) -> None:
    postgres.sql(f"CREATE ROLE few_{database} LOGIN PASSWORD 'f' CONNECTION LIMIT 0")
    with pytest.raises(Unreachable, match="too many connections"):
        Postgres(postgres.url(database, f"few_{database}", password="f")).load("build")
    postgres.sql(f"DROP ROLE few_{database}")
