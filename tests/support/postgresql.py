"""A real PostgreSQL, started once a session in a temporary folder, reached through a socket in it.

def test_something(postgresql_url): …    # a fresh, empty database of its own
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
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
    """A running server. `new_database` gives a fresh database and takes it away again."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self._folder = folder
        self.process = process
        self._databases_count = 0

    @contextmanager
    def new_database(self, tablespace: str = "pg_default") -> Iterator[str]:
        """The URL of an empty database that exists inside the `with` block."""
        self._databases_count += 1
        name = f"test_{os.getpid()}_{self._databases_count}"
        self.execute(f"CREATE DATABASE {name} TABLESPACE {tablespace}")
        try:
            yield f"postgresql://{_USER}@/{name}?host={quote(str(self._folder), safe='')}"
        finally:
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Run one statement as the superuser, outside any transaction."""
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())

    @property
    def _conninfo(self) -> str:
        return f"host={self._folder} user={_USER} dbname=postgres connect_timeout=5"


@contextmanager
def serve_postgresql() -> Iterator[PostgreSQL]:
    """Start a server on empty data; skip the test when the machine has no PostgreSQL."""
    programs = _programs()
    folder = Path(
        tempfile.mkdtemp(prefix="marketml-pg-", dir="/tmp")
    )  # short: a socket's path is at most 107
    try:
        as_user = _as_owner_of(folder)
        data = folder / "data"
        initdb = [*as_user, programs / "initdb", "-D", data, "-U", _USER, "--auth=trust", "--no-sync"]
        subprocess.run(
            [*initdb, "--encoding=UTF8", "--locale=C"], check=True, capture_output=True, cwd=folder
        )
        options = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*as_user, programs / "postgres", "-D", data, "-k", folder, *options],
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        server = PostgreSQL(folder, process)
        try:
            eventually(lambda: _answers(server, folder / "log"), 60, "PostgreSQL's first answer")
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # "fast": disconnects who is there
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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


def _answers(server: PostgreSQL, log: Path) -> bool:
    assert server.process.poll() is None, f"PostgreSQL ended: {log.read_text()}"
    try:
        server.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
