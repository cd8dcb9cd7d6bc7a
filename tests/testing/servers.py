"""Real servers on loopback: PostgreSQL, git over HTTP, `git daemon`. A server ends with the process that started
it, also where that is killed: a keeper beside it reads a pipe of ours to its end."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import psycopg
import pytest

from testing.support import eventually

HERE = "127.0.0.1"
PASSWORD = "s3cret-Pa55"
"""Of the database's superuser; it stands in no message."""
_KEEPER = 'signal=$1; shift; "$@" <&- & child=$!; read -r _; kill "-$signal" $child; wait $child'
_CONFIGURATION = """
unix_socket_directories = ''
max_connections = 300
shared_buffers = 16MB
fsync = off
full_page_writes = off
autovacuum = off
"""


def free_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.socket() as one:
        one.bind((HERE, 0))
        return int(one.getsockname()[1])


class Keeper:
    """A server's process and what keeps it: ends it by that signal when we say so, or are gone."""

    def __init__(self, argv: Sequence[str | Path], ends_by: str, user: int | None = None) -> None:
        self._process = subprocess.Popen(
            ["sh", "-c", _KEEPER, "keeper", ends_by, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            user=user,
        )

    def stop(self) -> None:
        """End the server, and wait for its end."""
        # Not only by the end of the pipe: a process that was forked here may have it, too.
        self._process.communicate(b"stop\n", timeout=60)


def postgres_programs() -> Path | None:
    """The folder of PostgreSQL's programs; None where it is not installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    found = shutil.which("initdb") or (debian[-1] if debian else None)
    return Path(found).resolve().parent if found else None


class PostgresServer:
    """A PostgreSQL server with a folder of its own, as another user than root, whom it refuses."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._user = pwd.getpwnam("nobody").pw_uid if os.getuid() == 0 else None
        # Not where the tests have theirs: a folder above them is closed to that user.
        self.folder = Path(tempfile.mkdtemp(prefix="buildguard-postgres-", dir="/tmp"))
        self.data = self.folder / "data"
        self.port = free_port()
        password = self.folder / "password"
        password.write_text(PASSWORD)
        for path in (self.folder, password):
            os.chown(path, -1 if self._user is None else self._user, -1)
        words = ("-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "-N", "--no-instructions")
        self._run("initdb", "-D", self.data, f"--pwfile={password}", *words)
        with open(self.data / "postgresql.conf", "a") as file:
            file.write(_CONFIGURATION)
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def url(
        self, database: str = "postgres", user: str = "postgres", port: int = 0, password: str = PASSWORD
    ) -> str:
        """The address of a database; through a proxy, if a port is given."""
        return f"postgresql://{user}:{password}@{HERE}:{port or self.port}/{database}"

    def sql(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """What the superuser gets from the last statement."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start it, and wait until it answers."""
        argv = (self._programs / "postgres", "-D", self.data, "-h", HERE, "-p", str(self.port))
        self._keeper = Keeper(argv, "INT", self._user)
        eventually(self.answers, "PostgreSQL answers")

    def stop(self) -> None:
        """End it, and whatever its clients are doing."""
        self._keeper.stop()

    def kill(self) -> None:
        """Kill it as a crash of the machine would."""
        os.kill(int((self.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        self._keeper.stop()
        # Its children end a moment later, and until then nobody may start it again.
        eventually(lambda: self._run_quietly("pg_ctl", "-D", self.data, "status") != 0, "PostgreSQL has ended")

    def copy_data(self, to: Path) -> None:
        """Copy the folder of a stopped server."""
        subprocess.run(["cp", "-a", self.data, to], check=True)

    def answers(self) -> bool:
        """Whether it lets clients in."""
        with suppress(psycopg.OperationalError), psycopg.connect(self.url(), connect_timeout=5):
            return True
        return False

    def _run(self, program: str, *words: str | Path) -> None:
        argv = [self._programs / program, *words]
        subprocess.run(argv, check=True, capture_output=True, cwd="/", user=self._user)

    def _run_quietly(self, program: str, *words: str | Path) -> int:
        argv = [self._programs / program, *words]
        return subprocess.run(argv, capture_output=True, cwd="/", user=self._user).returncode


class _GitHandler(BaseHTTPRequestHandler):
    """Runs `git http-backend` for each request, as CGI."""

    protocol_version = "HTTP/1.1"
    server: "GitHttpServer"

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(body)

    def _answer(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        variables = {
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "tester",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env={**os.environ, **variables}, stdout=subprocess.PIPE, check=True
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class GitHttpServer(ThreadingHTTPServer):
    """The bare repositories in a folder over smart HTTP; everybody may push."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        self.root = root
        super().__init__((HERE, 0), _GitHandler)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """A client that went away is what the tests provoke."""


@contextmanager
def git_daemon(root: Path) -> Iterator[int]:
    """The port of a `git daemon` of that folder; everybody may push."""
    where = subprocess.run(["git", "--exec-path"], check=True, capture_output=True, text=True).stdout.strip()
    port = free_port()
    words = ("--reuseaddr", "--export-all", "--enable=receive-pack", f"--base-path={root}", f"--listen={HERE}")
    keeper = Keeper((Path(where, "git-daemon"), *words, f"--port={port}"), "TERM")
    try:
        eventually(lambda: _listens(port), "git daemon listens")
        yield port
    finally:
        keeper.stop()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HERE, port), 5):
        return True
    return False


@contextmanager
def a_postgres() -> Iterator[PostgresServer]:
    """A server of its own; the test is skipped where its programs are not there."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed here (apt-get install postgresql)")
    with PostgresServer(programs) as server:
        yield server
