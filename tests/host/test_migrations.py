"""Migrations: once, however many start at the same moment, and whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import text

from services.host.database import open_database
from tests.host.accounts import MIGRATIONS, balance_of_all, opened
from tests.support.programs import ROOT


def test_processes_that_start_at_once_migrate_once(postgresql_url: str) -> None:
    script = (
        "from pathlib import Path\nfrom services.host.database import open_database\n"
        f"open_database({postgresql_url!r}, migrations=Path({str(MIGRATIONS)!r})).close()\n"
    )
    started = [subprocess.Popen([sys.executable, "-c", script], cwd=ROOT) for _ in range(6)]
    assert [process.wait(120) for process in started] == [0] * 6
    with open_database(postgresql_url, migrations=MIGRATIONS) as database, database.read() as connection:
        revisions = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
        assert revisions == ["test_2"]


def test_threads_that_open_databases_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        databases = list(pool.map(lambda number: opened(tmp_path / f"{number}.sqlite"), range(8)))
    for database in databases:
        assert balance_of_all(database) == 0
        database.close()


def test_a_migration_that_fails_leaves_the_schema_as_it_was(database_url: str, tmp_path: Path) -> None:
    with open_database(database_url, migrations=MIGRATIONS):
        pass
    versions = tmp_path / "later" / "versions"
    versions.mkdir(parents=True)
    for source in (MIGRATIONS / "versions").glob("*.py"):
        (versions / source.name).write_bytes(source.read_bytes())
    (versions / "0003_broken.py").write_text(
        'from alembic import op\nrevision = "test_3"\ndown_revision = "test_2"\n'
        'def upgrade():\n    op.execute("CREATE TABLE half (id INTEGER)")\n    raise KeyError("broken")\n'
    )
    with pytest.raises(KeyError, match="broken"):
        open_database(database_url, migrations=tmp_path / "later")
    with open_database(database_url, migrations=MIGRATIONS) as database, database.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "test_2"
        assert not sqlalchemy.inspect(connection).has_table("half")


def test_a_folder_with_two_newest_revisions_is_refused(tmp_path: Path) -> None:
    versions = tmp_path / "split" / "versions"
    versions.mkdir(parents=True)
    for name in ("a", "b"):
        (versions / f"{name}.py").write_text(
            f'revision = "{name}"\ndown_revision = None\ndef upgrade(): ...\n'
        )
    with pytest.raises(ValueError, match="must have one newest revision, has 2"):
        open_database(f"sqlite:///{tmp_path}/x.sqlite", migrations=tmp_path / "split")
