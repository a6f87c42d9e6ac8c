"""A real PostgreSQL, started once a session in a temporary folder, reached through a socket in it.

def test_something(postgresql_url): …    # a fresh, empty database of its own
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg

from tests.support.programs import dying_with_us, skip_or_fail
from tests.support.waiting import eventually

_USER = "postgres"
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "fsync": "off",  # nobody cuts the power of a test; what a transaction means is not touched
    "timezone": "Pacific/Auckland",  # code that forgets to say UTC shows
}


class PostgreSQL:
    """A server in a folder. `new_database` gives a fresh database and takes it away again."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self._settings = settings
        self._databases_count = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Start the server on its data and wait for its first answer."""
        postgres = [*_as_owner_of(self.folder), _programs() / "postgres", "-D", self.data, "-k", self.folder]
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*postgres, *options], stdout=log, stderr=log, cwd=self.folder)
        eventually(lambda: self.answers("SELECT 1"), 60, "PostgreSQL's first answer")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is "fast", it disconnects who is there; SIGQUIT is "immediate", as a crash leaves it."""
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(30)

    @contextmanager
    def new_database(self, tablespace: str = "pg_default") -> Iterator[str]:
        """The URL of an empty database that exists inside the `with` block."""
        self._databases_count += 1
        name = f"test_{os.getpid()}_{self._databases_count}"
        self.execute(f"CREATE DATABASE {name} TABLESPACE {tablespace}")
        try:
            yield f"postgresql://{_USER}@/{name}?host={quote(str(self.folder), safe='')}"
        finally:
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Run one statement as the superuser, outside any transaction."""
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())

    def answers(self, query: str) -> bool:
        """Whether the server is up and the first value that the query gives is true."""
        assert self.process is not None
        assert self.process.poll() is None, f"PostgreSQL ended: {(self.folder / 'log').read_text()}"
        try:
            with psycopg.connect(self._conninfo, autocommit=True) as connection:
                row = connection.execute(query.encode()).fetchone()
        except psycopg.OperationalError:
            return False
        return row is not None and bool(row[0])

    @property
    def _conninfo(self) -> str:
        return f"host={self.folder} user={_USER} dbname=postgres connect_timeout=5"


@contextmanager
def serve_postgresql(**settings: str) -> Iterator[PostgreSQL]:
    """Start a server on empty data; skip the test when the machine has no PostgreSQL."""
    with _folder() as folder:
        initdb = [*_as_owner_of(folder), _programs() / "initdb", "-D", folder / "data", "-U", _USER]
        given = ["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]
        subprocess.run([*initdb, *given], check=True, capture_output=True, cwd=folder)
        with _running(PostgreSQL(folder, _SETTINGS | settings)) as server:
            yield server


@contextmanager
def serve_standby(primary: PostgreSQL) -> Iterator[PostgreSQL]:
    """A server that follows another one and only reads, until it is told `SELECT pg_promote()`."""
    with _folder() as folder:
        copy = [*_as_owner_of(folder), _programs() / "pg_basebackup", "-D", folder / "data", "-U", _USER]
        given = ["-h", primary.folder, "-R", "-X", "stream", "-c", "fast", "--no-sync"]
        subprocess.run([*copy, *given], check=True, capture_output=True, cwd=folder)
        with _running(PostgreSQL(folder, _SETTINGS)) as server:
            yield server


@contextmanager
def _folder() -> Iterator[Path]:
    # Short: a socket's path is at most 107.
    folder = Path(tempfile.mkdtemp(prefix="marketml-pg-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(server: PostgreSQL) -> Iterator[PostgreSQL]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _programs() -> Path:
    found = shutil.which("postgres")
    if found and shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: path.parts[-3])
    return versions[-1].parent if versions else skip_or_fail("PostgreSQL is not installed (make tools).")


def _as_owner_of(folder: Path) -> list[str]:
    """The server refuses to run as root: root runs it as the user the package made."""
    dying = dying_with_us("INT")
    if os.geteuid() != 0:
        return dying
    if not dying:
        skip_or_fail("PostgreSQL does not run as root, and there is no setpriv to become another user.")
    shutil.chown(folder, _USER, _USER)
    return [*dying, f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups", "--reset-env"]
