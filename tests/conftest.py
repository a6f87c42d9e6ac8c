"""Fixtures that several rooms share. Helpers stand in tests/support."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path

import hypothesis
import pytest

# Before numpy and the learners are imported, and for every process the tests start: two spinning threads on
# two busy cores took 182 s where passive ones took 4.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from tests.support.exchange_server import ExchangeServer
from tests.support.postgresql import PostgreSQL, serve_postgresql
from tests.support.servers import RoomProcess

# The same examples every time, so that a change is what broke a test; HYPOTHESIS_PROFILE=explore looks
# further.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.register_profile("explore", max_examples=500, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_configure(config: pytest.Config) -> None:
    # A skip that nobody reads about is a test that nobody misses.
    if "s" not in config.option.reportchars:
        config.option.reportchars += "s"


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """Put back the root logger after a test that started a room's command in this process: its handler writes
    to that test's stderr, which is closed by then, and would complain on the stderr of a later one."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server for the session."""
    with serve_postgresql() as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    """The URL of a fresh PostgreSQL database."""
    with postgresql.new_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh database: the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/database.sqlite"
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def new_database_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], AbstractContextManager[str]]:
    """`with new_database_url() as url`: as many fresh databases as a test wants, once on SQLite and once on
    PostgreSQL."""
    if request.param == "sqlite":
        folder = tmp_path_factory.mktemp("databases")
        numbers = itertools.count()
        return lambda: nullcontext(f"sqlite:///{folder}/{next(numbers)}.sqlite")
    new_database: Callable[[], AbstractContextManager[str]] = request.getfixturevalue(
        "postgresql"
    ).new_database
    return new_database


@pytest.fixture
def start_room(tmp_path: Path) -> Iterator[Callable[..., RoomProcess]]:
    """`start_room("data", threads_count=4)` starts a room as a process below `tmp_path`. All are stopped,
    newest first, when the test ends, and the test fails when one leaves a process behind."""
    with ExitStack() as rooms:

        def start(name: str, **more: object) -> RoomProcess:
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            return rooms.enter_context(RoomProcess(name, folder, **more))  # type: ignore[arg-type]

        yield start


@pytest.fixture
def exchange() -> Iterator[ExchangeServer]:
    """A server that answers like an exchange."""
    with ExchangeServer() as server:
        yield server
