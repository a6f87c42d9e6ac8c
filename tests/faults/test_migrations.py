"""The databases of all rooms go to any revision and back, by an operator's word, or stay as they are."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from alembic.script import ScriptDirectory
from sqlalchemy import text

from marketml.rpc.refusals import FailedPrecondition, InvalidArgument
from services.host.database import migrate_database, open_database

ROOMS = ("data", "training", "registry")


def migrations_of(room: str) -> Path:
    return Path(importlib.import_module(f"services.{room}.__main__").MIGRATIONS)


def revisions_of(room: str) -> list[str]:
    """From the oldest to the newest, with `base`."""
    script = ScriptDirectory(str(migrations_of(room)))
    return ["base", *reversed([each.revision for each in script.walk_revisions()])]


def schema_of(url: str) -> dict[str, Any]:
    """The columns, indices and constraints of every table."""
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        found = sqlalchemy.inspect(engine)
        return {
            table: (
                [(each["name"], str(each["type"]), each["nullable"]) for each in found.get_columns(table)],
                sorted(str(each) for each in found.get_indexes(table)),
                sorted(str(each) for each in found.get_foreign_keys(table)),
            )
            for table in found.get_table_names()
            if table != "alembic_version"
        }
    finally:
        engine.dispose()


@pytest.mark.parametrize("room", ROOMS)
def test_every_migration_of_a_room_goes_back_and_comes_again(room: str, database_url: str) -> None:
    migrations, revisions = migrations_of(room), revisions_of(room)
    schemas: dict[str, dict[str, Any]] = {}
    for before, revision in zip(["base", *revisions], revisions, strict=False):
        assert migrate_database(database_url, migrations=migrations, revision=revision) == (before, revision)
        schemas[revision] = schema_of(database_url)
    assert schemas["base"] == {}
    newest = revisions[-1]
    for revision in reversed(revisions):
        migrate_database(database_url, migrations=migrations, revision=revision)
        assert schema_of(database_url) == schemas[revision]
    for revision in revisions:
        migrate_database(database_url, migrations=migrations, revision=revision)
        assert migrate_database(database_url, migrations=migrations, revision="head") == (revision, newest)
        assert schema_of(database_url) == schemas[newest]
    with open_database(database_url, migrations=migrations) as database, database.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == newest


def test_a_revision_that_is_not_there_is_named_with_those_that_are(database_url: str) -> None:
    for unknown in ("data9999", "-1", "data0001:data0002", "heads", "", "../x"):
        with pytest.raises(InvalidArgument, match="must be head or one of base, data0001, data0002"):
            migrate_database(database_url, migrations=migrations_of("data"), revision=unknown)
    assert schema_of(database_url) == {}


def test_a_downgrade_that_fails_at_its_last_step_undoes_the_first_ones(database_url: str) -> None:
    migrations = migrations_of("data")
    with open_database(database_url, migrations=migrations) as database, database.write() as connection:
        values = (
            "(venue, symbol, kind, timeframe, source, newest_capture_us) VALUES ('a', 'b', 1, '1m', '', 0)"
        )
        connection.execute(text(f"INSERT INTO series {values}"))
    schema = schema_of(database_url)
    with pytest.raises(FailedPrecondition, match="no place for 1 series; delete them, or restore a backup"):
        migrate_database(database_url, migrations=migrations, revision="base")
    assert schema_of(database_url) == schema


@pytest.mark.parametrize("room", ROOMS)
def test_an_operator_migrates_by_a_command_that_says_what_it_did(
    room: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main = importlib.import_module(f"services.{room}.__main__").main
    monkeypatch.chdir(tmp_path)
    newest = revisions_of(room)[-1]
    for asked, before, now in (("head", "base", newest), ("base", newest, "base")):
        assert main(["--migrate", asked]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said == {"event": "migrated", "room": room, "from": before, "to": now}
    with pytest.raises(SystemExit) as ended:
        main(["--migrate", "yesterday"])
    assert ended.value.code == 1
