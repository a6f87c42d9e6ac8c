"""Features chosen by the data of several symbols: by the training rows of all of them, one choice for all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from marketml.clients.data import DataClient
from marketml.clients.features import FeaturesClient
from marketml.clients.registry import RegistryClient
from marketml.clients.training import TrainingClient
from marketml.features.v1 import features_pb2
from marketml.training.v1 import training_pb2 as pb
from services.training import splits
from services.training.choosing import Chooser
from services.training.job_plan import read_plan
from services.training.jobs import Tree
from services.training.labels import label
from services.training.rooms import Features, Fit, TargetRows
from services.training.samples import Samples, join_samples, pool_samples
from tests.training.conftest import BARS, SERIES, WAIT_SECONDS, Neighbourhood, candles, quick_config
from tests.training.test_symbols import of_symbol

HOUR = timedelta(hours=1)
LOUD = "LOUD/USDT:USDT"
CHOICE = features_pb2.FeatureConfig(
    expressions=[features_pb2.FeatureExpression(name="loud", expression="volume / sma(volume, 24)")],
    selection=features_pb2.SelectionConfig(enabled=True, feature_count_limit=8, feature_count_min=2),
    autofeat=features_pb2.AutofeatConfig(enabled=True, steps=1, max_inputs=5, max_features=10),
)
for family in ("statistical", "technical", "calendar"):
    getattr(CHOICE, family).enabled = False


@pytest.fixture(scope="module", autouse=True)
def loud_symbol(neighbourhood: Neighbourhood) -> None:
    """A symbol that begins later, and moves up after bars of much volume and down after others."""
    bars = candles(BARS, seed=5)
    told = np.sign(bars["volume"].shift(1) - bars["volume"].median()).fillna(0.0)
    noise = np.random.default_rng(5).normal(0.0, 0.004, BARS)
    close = 100.0 * np.exp(np.cumsum(0.006 * told + noise))
    opened = close.shift(1).fillna(100.0)
    both = pd.concat([opened, close], axis=1)
    frame = pd.DataFrame(
        {
            "open": opened,
            "high": both.max(axis=1),
            "low": both.min(axis=1),
            "close": close,
            "volume": bars["volume"],
        }
    )
    with DataClient(neighbourhood.data.target) as client:
        client.ingest_candles(frame.iloc[200:], SERIES[0], LOUD, SERIES[2])


def config_of(*symbols: str) -> pb.TrainingConfig:
    config = quick_config()
    config.features.CopyFrom(CHOICE)
    config.label.fixed_horizon.horizon_bars = 1
    config.dataset.series.series.symbol = symbols[0]
    for symbol in symbols[1:]:
        config.dataset.more_series.add(venue=SERIES[0], symbol=symbol)
    return config


@pytest.fixture(scope="module")
def chosen_job(shared_room: object) -> tuple[pb.Job, list[pb.Event]]:
    with TrainingClient(shared_room.target) as client:  # type: ignore[attr-defined]
        handle = client.start_training("chosen-together", config_of(SERIES[1], LOUD))
        told = list(handle.watch(timeout=WAIT_SECONDS))
        return handle.result(), told


def test_every_fit_chooses_by_its_rows_of_all_symbols_and_the_manifest_names_what(
    chosen_job: tuple[pb.Job, list[pb.Event]], registry: RegistryClient
) -> None:
    job, told = chosen_job
    assert job.state == pb.JOB_STATE_SUCCEEDED
    metrics = {event.metric.name: event.metric.value for event in told if event.HasField("metric")}
    proofs = {proof.consumer: proof for proof in job.result.proofs}
    for consumer in ("fold_1", "fold_2", "final_model"):
        assert 2 <= metrics[f"{consumer}.selection.chosen"] <= 8
        assert proofs[f"{consumer}.selection"].gap.ToNanoseconds() > 0
        rows = proofs[f"{consumer}.selection"].train_row_count
        assert rows == proofs[f"{consumer}.early_stopping"].train_row_count > BARS / 3
    _, manifest = registry.get_model("chosen-together")
    features = manifest["features"]
    assert [each["name"] for each in features["chosen"]] == manifest["feature_names"]
    assert features["config"]["only"] == manifest["feature_names"]
    assert "loud" in manifest["feature_names"]  # which tells in one of them alone
    assert features["chosen_from"]["feature_count"] == metrics["final_model.selection.considered"]
    digests = [manifest["lineage"]["features_digest"], manifest["lineage"]["more"][0]["features_digest"]]
    assert digests[0] == features["digest"] != digests[1]


def test_what_the_registry_answers_on_each_symbol_is_what_training_scored(
    chosen_job: tuple[pb.Job, list[pb.Event]], registry: RegistryClient, neighbourhood: Neighbourhood
) -> None:
    _, manifest = registry.get_model("chosen-together")
    plan = read_plan({**manifest["config"], "dataset": {"snapshot_id": "0" * 64}})
    found = manifest["features"]["config"]
    config = features_pb2.FeatureConfig(
        only=found["only"],
        expressions=[features_pb2.FeatureExpression(**each) for each in found["expressions"]],
    )
    parts, offered = [], manifest["features"]["chosen_from"]["warm_up_bars"]
    with (
        FeaturesClient(neighbourhood.features.target) as features,
        DataClient(neighbourhood.data.target) as data,
    ):
        for section in (manifest["data"], *manifest["data"]["more"]):
            frame = features.generate_features(section["snapshot_id"], config=config).frame
            assert list(frame.columns) == manifest["feature_names"]
            prices = data.read_snapshot(section["snapshot_id"])
            labels = label(prices, HOUR, plan.label, binary=plan.is_binary)
            parts.append(join_samples(frame.iloc[offered:], HOUR, labels))
    samples = pool_samples(parts)
    split = plan.training.split
    _, test, _ = splits.final_test_split(samples.t0, samples.t1, split.test_fraction, split.embargo)
    result = chosen_job[0].result
    version = result.model_version
    for symbol, told in enumerate(result.symbols):
        mine = test[samples.symbols[test] == symbol]
        times = pd.DatetimeIndex(pd.to_datetime(samples.t0[mine], unit="us", utc=True), name="open_time")
        rows = pd.DataFrame(samples.features[mine], times, list(samples.feature_names))
        answered = registry.predict("chosen-together", rows, version).frame
        said = np.array([samples.class_names.index(each) for each in answered["predicted_class"]])
        truth = samples.classes[mine]
        recalls = [np.mean(said[truth == each] == each) for each in np.unique(truth)]
        assert mine.size == told.test_row_count
        assert np.mean(recalls) == pytest.approx(told.balanced_accuracy, abs=1e-12)


def test_the_order_of_the_symbols_does_not_change_what_is_chosen(
    chosen_job: tuple[pb.Job, list[pb.Event]], training: TrainingClient, registry: RegistryClient
) -> None:
    turned = training.start_training("chosen-turned", config_of(LOUD, SERIES[1])).result(WAIT_SECONDS)
    assert turned.state == pb.JOB_STATE_SUCCEEDED
    (_, first), (_, second) = (registry.get_model(name) for name in ("chosen-together", "chosen-turned"))
    assert first["features"]["chosen"] == second["features"]["chosen"]
    assert first["lineage"]["features_digest"] == second["lineage"]["more"][0]["features_digest"]


def test_a_model_of_chosen_features_of_several_symbols_is_made_again_from_its_manifest(
    chosen_job: tuple[pb.Job, list[pb.Event]], training: TrainingClient
) -> None:
    found = training.reproduce_model("chosen-together", timeout=WAIT_SECONDS)
    assert found.is_equal


class Rooms:
    """Features by symbol and bar, chosen whatever the rows say, and what was asked."""

    def __init__(self, samples: Samples, symbols: int) -> None:
        self.asked: list[Sequence[TargetRows]] = []
        index = pd.DatetimeIndex(
            pd.to_datetime(np.unique(samples.t0), unit="us", utc=True) - timedelta(seconds=1)
        )
        self.features = [
            Features(
                pd.DataFrame(
                    {"bar": np.arange(index.size), "symbol": float(symbol)}, index.rename("open_time")
                ),
                0,
                f"digest {symbol}",
                {},
                {},
            )
            for symbol in range(symbols)
        ]

    def select(self, config: Tree, rows: Sequence[TargetRows], seed: int) -> Fit:
        self.asked.append(rows)
        return Fit(config, [{"name": "bar"}, {"name": "symbol"}], 2, 0)

    def chooser(self, samples: Samples) -> Chooser:
        return Chooser(
            self.select,
            lambda config: self.features,
            lambda *told: None,
            self.features,
            samples,
            timedelta(seconds=1),
        )


def test_each_symbol_is_asked_for_its_own_rows_and_each_row_takes_its_own_symbols_values() -> None:
    samples = pool_samples([of_symbol(1), of_symbol(2, rows=250, first=40), of_symbol(3, rows=20, first=280)])
    assert samples.symbols is not None
    rooms, rows = Rooms(samples, 3), np.arange(30, 400)
    weights = np.linspace(0.5, 1.5, rows.size)
    chosen = rooms.chooser(samples)("fold_1.selection", rows, samples.classes[rows], weights, 1)
    [asked] = rooms.asked
    assert [len(each.target) for each in asked] == np.bincount(samples.symbols[rows], minlength=3).tolist()
    assert len(asked[2].target) == 0  # whose rows come later
    for symbol, each in enumerate(asked):
        mine = rows[samples.symbols[rows] == symbol]
        known = (each.target.index + timedelta(seconds=1)).as_unit("us").asi8
        assert known.tolist() == samples.t0[mine].tolist()
        assert each.target.tolist() == samples.classes[mine].tolist()
        assert each.weight is not None
        assert each.weight.tolist() == weights[samples.symbols[rows] == symbol].tolist()
    assert chosen.feature_names == ("bar", "symbol")
    assert chosen.features[:, 1].tolist() == samples.symbols.tolist()
    assert chosen.features[:, 0].tolist() == np.searchsorted(np.unique(samples.t0), samples.t0).tolist()
