"""The registry's state on SQLite and on PostgreSQL: one suite, the same answers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert

from marketml.bundle import FileEntry
from marketml.rpc.refusals import Aborted, AlreadyExists, FailedPrecondition, NotFound, Reason
from services.host.database import Database, open_database
from services.registry.models import NewModel
from services.registry.store import MIGRATIONS, ConfigStore, ModelStore
from services.registry.store.answers import pack_model, pack_switched, unpack_model, unpack_switched
from services.registry.store.tables import metadata, model_files, models


@pytest.fixture
def database(database_url):
    with open_database(database_url, migrations=MIGRATIONS) as opened:
        yield opened


@pytest.fixture
def store(database: Database) -> ModelStore:
    return ModelStore(database)


def new_model(number: int = 0, name: str = "btc", job_id: str = "") -> NewModel:
    return NewModel(
        model_name=name,
        digest=f"{number:064x}",
        class_names=("down", "übel ✓", "up"),
        feature_count=4,
        files=(
            FileEntry("manifest.json", 10 + number, f"{number:063x}a"),
            FileEntry("model.safetensors", 2**33 % (512 * 2**20) + 1, "b" * 64),
        ),
        job_id=job_id,
        snapshot_id="",
    )


_ids = iter(range(10**6))


def register(store: ModelStore, new: NewModel, request_id: str | None = None):
    identity = f"r{next(_ids)}" if request_id is None else request_id
    return store.register(new, identity, f"{new}".encode())


def test_migrations_make_the_tables_that_the_code_declares(database):
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_version_comes_back_as_it_was_registered(store):
    model = register(store, replace(new_model(), job_id="a" * 32, snapshot_id="c" * 64))
    assert store.find("btc", 1) == store.find("btc") == model
    assert model.class_names == ("down", "übel ✓", "up")
    assert model.create_time.tzinfo is not None
    assert unpack_model(pack_model(model)) == model


def test_versions_count_up_per_name_and_are_never_used_twice(store):
    assert [register(store, new_model(number)).version for number in range(3)] == [1, 2, 3]
    assert register(store, new_model(0, "eth")).version == 1
    store.delete("btc", 3, "", b"")
    assert register(store, new_model(3)).version == 4
    assert register(store, new_model(2)).version == 5


def test_registering_at_once_gives_every_bundle_one_version(store):
    with ThreadPoolExecutor(12) as callers:
        found = list(callers.map(lambda number: register(store, new_model(number % 6)), range(48)))
    assert sorted({model.version for model in found}) == [1, 2, 3, 4, 5, 6]
    assert len({(model.version, model.digest) for model in found}) == 6


def test_a_job_registers_one_version_even_under_two_names_at_once(store):
    def attempt(number: int):
        try:
            return register(store, new_model(number, f"m-{number}", "a" * 32)).model_name
        except (AlreadyExists, Aborted):
            return None

    with ThreadPoolExecutor(8) as callers:
        found = [name for name in callers.map(attempt, range(16)) if name]
    assert len(found) == 1
    assert [model.model_name for _, model in store.page("", 100, None)] == found


def test_one_request_id_has_one_effect_at_once(store):
    with ThreadPoolExecutor(8) as callers:
        found = list(callers.map(lambda _: register(store, new_model(1), "same"), range(16)))
    assert len(set(map(repr, found))) == 1
    with pytest.raises(AlreadyExists) as refused:
        register(store, new_model(2), "same")
    assert refused.value.reason is Reason.REQUEST_ID_REUSED


def test_an_alias_points_at_an_existing_version_only(store):
    model = register(store, new_model(1))
    switched = store.switch(model, "champion", "", "", b"")
    assert (switched.previous_version, switched.alias.switch) == (0, 1)
    assert unpack_switched(pack_switched(switched)) == switched
    assert store.find("btc", 1).aliases == ("champion",)
    with pytest.raises(FailedPrecondition):
        store.delete("btc", 1, "", b"")
    other = register(store, new_model(2))
    store.delete("btc", 2, "", b"")
    with pytest.raises(NotFound):
        store.switch(other, "champion", "", "", b"")
    assert store.current("btc", "champion") == switched.alias


def test_a_switch_that_saw_another_alias_is_aborted(store):
    one, two = register(store, new_model(1)), register(store, new_model(2))
    first = store.switch(one, "champion", "", "", b"").alias
    second = store.switch(two, "champion", first.etag, "", b"").alias
    assert (second.switch, second.model.version) == (2, 2)
    with pytest.raises(Aborted):
        store.switch(one, "champion", first.etag, "", b"")
    with pytest.raises(Aborted):
        store.switch(one, "challenger", first.etag, "", b"")
    assert store.switches() == [("btc", "champion", 2)]
    assert store.current("btc", "champion") == second


def test_switches_at_once_are_counted_each(store):
    versions = [register(store, new_model(number)) for number in range(3)]
    with ThreadPoolExecutor(8) as callers:
        found = list(
            callers.map(lambda number: store.switch(versions[number % 3], "champion", "", "", b""), range(24))
        )
    assert sorted(each.alias.switch for each in found) == list(range(1, 25))
    last = max(found, key=lambda each: each.alias.switch)
    assert store.current("btc", "champion") == last.alias


def test_deleting_frees_what_no_other_version_needs(store):
    one, two = register(store, new_model(1)), register(store, new_model(2, "eth"))
    deleted = store.delete("btc", 1, "", b"")
    assert deleted.unneeded == (one.files[0].sha256,)
    assert deleted.freed_bytes == one.files[0].size_bytes
    assert store.needed([file.sha256 for file in one.files + two.files]) == {
        file.sha256 for file in two.files
    }
    assert store.totals() == (1, two.size_bytes)


def test_a_page_goes_on_where_the_last_one_ended(store):
    for number in range(5):
        register(store, new_model(number))
    first = store.page("btc", 3, None)
    second = store.page("btc", 3, first[-1][0])
    assert [model.version for _, model in first + second] == [5, 4, 3, 2, 1]
    assert store.page("btc", 3, second[-1][0]) == store.page("eth", 3, None) == []


def test_more_versions_than_one_statement_takes_are_read(store, database):
    register(store, new_model(1))
    with database.write() as connection:
        versions = [{"version": number, "digest": f"{number:064x}"} for number in range(2, 1001)]
        row = {"model_name": "btc", "create_time_us": 0, "class_names": "[]", "feature_count": 1}
        connection.execute(insert(models), [row | {"snapshot_id": ""} | version for version in versions])
        file = {"model_name": "btc", "name": "manifest.json", "size_bytes": 1, "sha256": "d" * 64}
        connection.execute(insert(model_files), [file | {"version": number} for number in range(2, 1001)])
    page = [model for _, model in store.page("", 1000, None)]
    assert [model.version for model in page] == list(range(1000, 0, -1))
    assert [len(model.files) for model in page] == [1] * 999 + [2]
    assert len(store.existing({("btc", number) for number in range(500, 1500)})) == 501
    assert store.needed([f"{number:064d}" for number in range(1000)] + ["d" * 64]) == {"d" * 64}


def test_every_config_is_kept(database):
    configs = ConfigStore(database)
    first = configs.read()
    assert (first.version, first.overrides) == (1, {})
    second = configs.change(lambda seen: {**seen, "a": 1.5}, first.etag, "UpdateConfig", "", b"")
    assert (second.version, second.overrides) == (2, {"a": 1.5})
    with pytest.raises(Aborted):
        configs.change(lambda seen: seen, first.etag, "UpdateConfig", "", b"")
    assert configs.read() == second
    assert ConfigStore(database).read() == second


def test_config_writers_at_once_lose_no_update(database):
    configs = ConfigStore(database)

    def add_one(_: int) -> None:
        while True:
            seen = configs.read()
            more = {"count": seen.overrides.get("count", 0) + 1}
            try:
                configs.change(lambda _, more=more: more, seen.etag, "UpdateConfig", "", b"")
            except Aborted:
                continue
            return

    with ThreadPoolExecutor(8) as writers:
        list(writers.map(add_one, range(50)))
    assert (configs.read().overrides, configs.read().version) == ({"count": 50}, 51)


def test_a_decision_that_refuses_changes_nothing(database):
    configs = ConfigStore(database)
    before = configs.read()

    def refuse(_):
        raise FailedPrecondition("x", "no")

    with pytest.raises(FailedPrecondition):
        configs.change(refuse, before.etag, "UpdateConfig", "r1", b"x")
    assert configs.read() == before
    assert configs.change(lambda _: {"a": 1}, before.etag, "UpdateConfig", "r1", b"x").version == 2
