"""Jobs of several symbols over the wire: pooled, scored symbol by symbol, told in the manifest, repeated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from marketml.clients.data import DataClient
from marketml.clients.features import FeaturesClient
from marketml.clients.registry import RegistryClient
from marketml.clients.training import TrainingClient
from marketml.features.v1 import features_pb2
from marketml.rpc.refusals import InvalidArgument, NotFound
from marketml.training.v1 import training_pb2 as pb
from tests.support.servers import RoomProcess
from tests.support.waiting import eventually
from tests.training.conftest import BARS, SERIES, WAIT_SECONDS, Neighbourhood, candles, quick_config

OTHERS = ("LTC/USDT:USDT", "ADA/USDT:USDT")


@pytest.fixture(scope="module", autouse=True)
def more_symbols(neighbourhood: Neighbourhood) -> None:
    """Two more symbols beside the neighbourhood's own: the second begins later, and one is of other bars."""
    with DataClient(neighbourhood.data.target) as client:
        client.ingest_candles(candles(BARS, seed=2), SERIES[0], OTHERS[0], SERIES[2])
        client.ingest_candles(candles(BARS, seed=3).iloc[300:], SERIES[0], OTHERS[1], SERIES[2])
        client.ingest_candles(candles(BARS, seed=3).iloc[::4], SERIES[0], OTHERS[1], "4h")


def pooled_config() -> pb.TrainingConfig:
    config = quick_config()
    config.sample_weights.uniqueness = True
    for symbol in OTHERS:
        config.dataset.more_series.add(venue=SERIES[0], symbol=symbol)
    return config


@pytest.fixture(scope="module")
def pooled_job(shared_room: object, more_symbols: None) -> pb.Job:
    with TrainingClient(shared_room.target) as client:  # type: ignore[attr-defined]
        return client.start_training("pooled", pooled_config()).result(WAIT_SECONDS)


def test_a_job_learns_from_the_rows_of_every_symbol_and_says_what_it_does_on_each(pooled_job: pb.Job) -> None:
    result = pooled_job.result
    assert pooled_job.state == pb.JOB_STATE_SUCCEEDED
    assert [each.symbol for each in result.symbols] == [SERIES[1], *OTHERS]
    assert sum(each.row_count for each in result.symbols) == result.row_count
    assert sum(each.test_row_count for each in result.symbols) == result.test_row_count
    assert result.symbols[0].row_count == result.symbols[1].row_count == result.symbols[2].row_count + 300
    assert all(0 <= each.balanced_accuracy <= 1 for each in result.symbols)
    assert all(proof.gap.ToNanoseconds() > 0 for proof in result.proofs)
    baselines = {each.baseline for each in result.test}
    assert baselines == {"", "majority", "persistence"}


def test_the_manifest_lists_the_snapshot_of_every_symbol(
    pooled_job: pb.Job, registry: RegistryClient
) -> None:
    _, manifest = registry.get_model("pooled")
    data = manifest["data"]
    listed = [data, *data["more"]]
    assert data["snapshot_id"] == pooled_job.snapshot_id
    assert [each["symbol"] for each in listed] == [SERIES[1], *OTHERS]
    assert len({each["snapshot_id"] for each in listed}) == 3
    assert [each["sample_rows"] for each in listed] == [each.row_count for each in pooled_job.result.symbols]
    assert [each["snapshot_id"] for each in manifest["lineage"]["more"]] == [
        each["snapshot_id"] for each in data["more"]
    ]
    scores = manifest["scores"]["test"]["symbols"]
    assert [scores[str(index)]["rows"] for index in range(3)] == [
        each.test_row_count for each in pooled_job.result.symbols
    ]


def test_the_model_answers_for_any_of_its_symbols(
    pooled_job: pb.Job, registry: RegistryClient, neighbourhood: Neighbourhood
) -> None:
    _, manifest = registry.get_model("pooled")
    answers, version = [], pooled_job.result.model_version
    with FeaturesClient(neighbourhood.features.target) as features:
        for section in (manifest["data"], *manifest["data"]["more"]):
            config = features_pb2.FeatureConfig()
            for family in ("statistical", "market", "calendar"):
                getattr(config, family).enabled = False
            frame = features.generate_features(section["snapshot_id"], config=config).frame
            answers.append(
                registry.predict("pooled", frame[manifest["feature_names"]].tail(5), version).frame
            )
    assert not np.array_equal(answers[0].to_numpy(), answers[1].to_numpy())


def test_the_snapshots_of_the_manifest_make_the_same_model(
    pooled_job: pb.Job, training: TrainingClient
) -> None:
    found = training.reproduce_model("pooled", timeout=WAIT_SECONDS)
    assert found.is_equal
    assert found.reproduced_digest == pooled_job.result.model_digest


def test_a_job_whose_worker_is_killed_goes_on_with_the_snapshots_it_had(
    pooled_job: pb.Job, start_training_room: Callable[..., RoomProcess], neighbourhood: Neighbourhood
) -> None:
    room = start_training_room()
    with TrainingClient(room.target) as client:
        handle = client.start_training("pooled-killed", pooled_config())
        eventually(lambda: client.get_training(handle.job_id).HasField("snapshot_id"), 60, "the snapshots")
        with DataClient(neighbourhood.data.target) as data:
            before = {each.snapshot_id for each in data.list_snapshots()}
            for worker in room.descendants():
                worker.kill()
            job = handle.result(WAIT_SECONDS)
            assert {each.snapshot_id for each in data.list_snapshots()} == before
    assert job.attempt == 2
    assert job.result.model_digest == pooled_job.result.model_digest


def test_symbols_that_cannot_be_pooled_are_refused_by_their_field(
    pooled_job: pb.Job, registry: RegistryClient, training: TrainingClient, neighbourhood: Neighbourhood
) -> None:
    _, manifest = registry.get_model("pooled")
    with DataClient(neighbourhood.data.target) as client:
        slower = client.create_snapshot(SERIES[0], OTHERS[1], "4h").snapshot_id
        repeated = client.create_snapshot(SERIES[0], OTHERS[0], SERIES[2], end=candles(BARS).index[900])
    config = quick_config()
    config.dataset.snapshot_id = pooled_job.snapshot_id
    config.dataset.more_snapshot_ids.append(slower)
    with pytest.raises(InvalidArgument, match="timeframe 1h") as refused:
        training.start_training("refused", config)
    assert [each.field for each in refused.value.violations] == ["config.dataset.more_snapshot_ids[0]"]
    del config.dataset.more_snapshot_ids[:]
    config.dataset.more_snapshot_ids.extend(
        [manifest["data"]["more"][0]["snapshot_id"], repeated.snapshot_id]
    )
    with pytest.raises(InvalidArgument, match="another symbol") as refused:
        training.start_training("refused", config)
    assert [each.field for each in refused.value.violations] == ["config.dataset.more_snapshot_ids[1]"]


def test_a_symbol_that_nobody_stored_is_not_found(training: TrainingClient) -> None:
    config = pooled_config()
    config.dataset.more_series.add(venue=SERIES[0], symbol="DOGE/USDT")
    with pytest.raises(NotFound, match="DOGE/USDT"):
        training.start_training("refused", config)
