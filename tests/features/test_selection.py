"""SelectFeatures without a server: only the rows given count, limits, cancellation; and over channels."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from marketml.clients.features import FeaturesClient
from marketml.features.v1 import features_pb2 as pb
from marketml.rpc.refusals import Cancelled, FailedPrecondition, InvalidArgument, ResourceExhausted
from services.features.application import FeaturesApplication
from services.features.budget import MemoryBudget
from services.features.config import (
    AutofeatChoice,
    FamilyChoice,
    FeatureConfig,
    Limits,
    SelectionChoice,
    TsfreshChoice,
)
from services.features.expressions import Expression
from services.features.selection.request import Selected, SelectionRequest, SourceRows
from services.features.selection.target import Target, TargetKind
from services.features.source import SnapshotSource
from tests.features.conftest import SYMBOL, TIMEFRAME, VENUE, Rooms
from tests.features.frames import random_walk
from tests.features.selection.matrices import nobody
from tests.features.whole import Shelf, generated

SNAPSHOT = SnapshotSource("a" * 64)
SERIES = {"venue": VENUE, "symbol": SYMBOL, "timeframe": TIMEFRAME}
EVERYTHING = FeatureConfig(
    tsfresh=TsfreshChoice(enabled=True, feature_selection=True),
    autofeat=AutofeatChoice(enabled=True, max_inputs=8),
    selection=SelectionChoice(enabled=True),
)


def labels(frame: pd.DataFrame, bars: int = 5) -> pd.Series:
    """Whether the price is higher `bars` later; without the rows whose future is not there."""
    later = np.log(frame["close"]).shift(-bars) - np.log(frame["close"])
    return (later > 0).astype(np.int8).iloc[:-bars]


def selected(
    frame: pd.DataFrame,
    target: pd.Series,
    config: FeatureConfig = EVERYTHING,
    seed: int = 0,
    check: Callable[[], None] = nobody,
    now: Callable[[], float] = lambda: 0.0,
    total_bytes: int = 2**40,
) -> Selected:
    room = FeaturesApplication(Shelf({SNAPSHOT.snapshot_id: frame}), MemoryBudget(total_bytes), now)
    values = target.to_numpy(np.float64)
    index = pd.DatetimeIndex(target.index)
    rows = (SourceRows(SNAPSHOT, index),)
    request = SelectionRequest(rows, config, Target(TargetKind.BINARY, values), seed)
    return room.select_features(request, check)


def test_the_answers_config_computes_what_was_chosen_and_leaves_nothing_to_fit():
    frame = random_walk(4, 1500)
    formula = Expression("mine", "close / ema(close, 24)")
    found = selected(frame, labels(frame).iloc[700:], dataclasses.replace(EVERYTHING, expressions=(formula,)))
    kept = [verdict.name for verdict in found.verdicts if verdict.dropped_at is None]
    assert found.config.only == tuple(kept)
    assert not found.config.selection.enabled
    assert not found.config.autofeat.enabled
    assert not found.config.tsfresh.feature_selection
    assert found.row_count == 795
    assert sum(found.class_counts) == 795
    assert list(generated(frame, found.config).columns) == kept
    with pytest.raises(InvalidArgument, match="nothing to fit"):
        selected(frame, labels(frame).iloc[700:], found.config)


def test_a_formula_that_decides_the_target_is_found_and_computed_by_the_answers_config():
    frame = random_walk(4, 3000)
    config = FeatureConfig(
        **{name: FamilyChoice(enabled=False) for name in ("statistical", "series", "market")},
        technical=FamilyChoice(features=("price_momentum_14", "rsi_14", "roc_12")),
        calendar=FamilyChoice(features=("hour_sin",)),
        autofeat=AutofeatChoice(enabled=True),
        selection=SelectionChoice(enabled=True, feature_count_limit=5),
    )
    features = generated(frame, FeatureConfig())
    told = (features["price_momentum_14"] * features["hour_sin"]).iloc[200:]
    target = (told > told.quantile(0.7)).astype(np.int8)
    found = selected(frame, target, config)
    formulas = [verdict for verdict in found.verdicts if verdict.expression and verdict.dropped_at is None]
    assert formulas
    assert formulas[0].expression in ("price_momentum_14 * hour_sin", "hour_sin * price_momentum_14")
    assert {each.name for each in found.config.expressions} == {each.name for each in formulas}
    later = generated(frame, found.config)[formulas[0].name].iloc[200:]
    np.testing.assert_array_equal(later.to_numpy(), told.to_numpy())


def test_rows_that_were_not_given_never_change_the_answer():
    frame = random_walk(9, 1400)
    target = labels(frame).iloc[500:1000]
    found = selected(frame, target)
    generator = np.random.default_rng(0)
    others = frame.copy()
    numbers = ["open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "open_interest"]
    others.loc[others.index > target.index[-1], numbers] *= generator.uniform(0.5, 2.0, (400, len(numbers)))
    assert selected(others, target) == found
    assert selected(frame.iloc[:1000], target) == found
    assert selected(frame, target, seed=1) != found


def test_rows_between_those_given_are_not_looked_at():
    frame = random_walk(9, 1000)
    config = FeatureConfig(  # features of one bar alone: what another bar holds is not in them
        **{name: FamilyChoice(enabled=False) for name in ("technical", "statistical", "series", "market")},
        expressions=(
            Expression("body", "close / open"),
            Expression("range", "high / low"),
            Expression("both", "body * range"),
        ),
        selection=SelectionChoice(enabled=True, feature_count_min=2),
    )
    target = (frame["close"] > frame["open"]).astype(np.int8).iloc[::3]
    others = frame.copy()
    others.loc[~others.index.isin(target.index), ["open", "high", "low", "close"]] = 1.0
    found = selected(frame, target, config)
    assert found.verdicts[0].name == "body"
    assert selected(others, target, config) == found


def test_a_row_that_is_no_bar_of_the_source_is_refused_by_its_place():
    frame = random_walk(9, 600)
    target = labels(frame).iloc[300:500]
    gap = frame.drop(frame.index[350])
    before = target.set_axis(target.index - pd.Timedelta(days=100))
    after = target.set_axis(target.index + pd.Timedelta(days=100))
    off = target.set_axis(target.index + pd.Timedelta(minutes=1))
    for source, rows, place in ((gap, target, 50), (frame, before, 0), (frame, after, 0), (frame, off, 0)):
        with pytest.raises(InvalidArgument) as refusal:
            selected(source, rows)
        violation = refusal.value.violations[0]
        assert violation.field == f"target_arrow.open_time[{place}]"
        assert rows.index[place].isoformat() in violation.description


def test_the_limits_of_the_config_hold_for_the_fit():
    frame = random_walk(9, 900)
    target = labels(frame)
    narrow = dataclasses.replace(EVERYTHING, limits=Limits(max_memory_bytes=6 * 1024**2))
    with pytest.raises(ResourceExhausted) as refusal:
        selected(frame, target, narrow)
    assert refusal.value.subject == "config.limits.max_memory_bytes"
    with pytest.raises(ResourceExhausted) as refusal:
        selected(frame, target, total_bytes=4 * 1024**2)
    assert refusal.value.subject == "work_memory_bytes"
    ticks = itertools.count()
    short = dataclasses.replace(EVERYTHING, limits=Limits(timeout_seconds=100.0))
    with pytest.raises(ResourceExhausted) as refusal:
        selected(frame, target, short, now=lambda: float(next(ticks)))
    assert refusal.value.subject == "config.limits.timeout_seconds"


def test_a_cancelled_fit_stops_at_any_look_and_gives_its_memory_back():
    frame = random_walk(9, 700)
    target = labels(frame).iloc[200:]
    looks = itertools.count()
    selected(frame, target, check=lambda: next(looks) and None)
    count = next(looks)
    assert count > 100
    for stop in (1, count // 3, count // 2, count - 60, count - 1):
        budget = MemoryBudget(2**30)
        room = FeaturesApplication(Shelf({SNAPSHOT.snapshot_id: frame}), budget, lambda: 0.0)
        left = itertools.count(1)

        def check(stop: int = stop, left: itertools.count[int] = left) -> None:
            if next(left) >= stop:
                raise Cancelled("gone")

        request = SelectionRequest(
            (SourceRows(SNAPSHOT, pd.DatetimeIndex(target.index)),),
            EVERYTHING,
            Target(TargetKind.BINARY, target.to_numpy(np.float64)),
            0,
        )
        with pytest.raises(Cancelled):
            room.select_features(request, check)
        with budget.reserved(2**30):
            pass


def test_over_the_wire_the_fit_of_a_snapshot_and_its_series_agree(rooms: Rooms, client: FeaturesClient):
    target = labels(rooms.frame).iloc[300:]
    weight = pd.Series(np.linspace(0, 1, len(target)), target.index)
    config = pb.FeatureConfig(
        selection=pb.SelectionConfig(enabled=True, stability_blocks=2, feature_count_min=12)
    )
    given = {"target": target, "kind": pb.TARGET_KIND_BINARY, "weight": weight, "config": config, "seed": 5}
    found = client.select_features(rooms.snapshot_id, **given)
    assert found == client.select_features(**SERIES, **given)
    assert found.row_count == len(target)
    assert list(found.class_counts) == target.value_counts().sort_index().tolist()
    kept = [each for each in found.features if each.is_selected]
    assert len(kept) >= 12
    assert [each.name for each in kept] == list(found.config.only)
    assert all(each.HasField("importance") and each.HasField("stability") for each in kept)
    assert all(each.dropped_at == pb.SELECTION_STEP_UNSPECIFIED for each in kept)
    computed = client.generate_features(rooms.snapshot_id, config=found.config)
    assert list(computed.frame.columns) == list(found.config.only)
    assert found.warm_up_bars <= 720


@pytest.mark.parametrize("kind", [pb.TARGET_KIND_MULTICLASS, pb.TARGET_KIND_REAL])
def test_other_kinds_of_target_are_fitted_with_the_default_config(
    rooms: Rooms, client: FeaturesClient, kind: pb.TargetKind
):
    returns = np.log(rooms.frame["close"]).diff().iloc[200:]
    target = returns if kind == pb.TARGET_KIND_REAL else np.sign(returns.round(3)).astype(int)
    found = client.select_features(rooms.snapshot_id, target=target, kind=kind)
    assert found.features[0].is_selected
    assert found.features[0].p_value < 1e-6
    assert len(found.class_counts) == (0 if kind == pb.TARGET_KIND_REAL else 3)


def test_a_caller_who_gives_up_ends_the_call(rooms: Rooms, client: FeaturesClient):
    class GivenUpError(Exception):
        """Of the caller."""

    def give_up() -> None:
        raise GivenUpError

    target = labels(rooms.frame).iloc[100:]
    config = pb.FeatureConfig(
        tsfresh=pb.TsfreshConfig(enabled=True, windows=[24, 48, 100, 200], preset="comprehensive"),
        autofeat=pb.AutofeatConfig(enabled=True, steps=3, max_inputs=100),
        selection=pb.SelectionConfig(enabled=True),
        limits=pb.FeatureLimits(max_features=20_000, max_memory_bytes=2**33),
    )
    started = time.monotonic()
    with pytest.raises(GivenUpError):
        client.select_features(
            rooms.snapshot_id, target=target, kind=pb.TARGET_KIND_BINARY, config=config, on_wait=give_up
        )
    assert time.monotonic() - started < 30


TIMES = pd.date_range("2024-01-20", periods=4, freq="1h", tz="UTC")
GOOD = {"open_time": pa.array(TIMES), "target": pa.array([0, 1, 0, 1])}


def packed(columns: dict[str, pa.Array], compression: str | None = None) -> bytes:
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


BINARY, THREE, REAL = pb.TARGET_KIND_BINARY, pb.TARGET_KIND_MULTICLASS, pb.TARGET_KIND_REAL
FLOATS = pa.array([0.5, 1.5, 2.5, 3.5])


@pytest.mark.parametrize(
    ("raw", "kind", "field"),
    [
        (b"", BINARY, "target_arrow"),
        (b"nothing of the sort", BINARY, "target_arrow"),
        (b"\x00" * (3 * 1024**2 + 1), BINARY, "target_arrow"),
        (packed(GOOD)[:-20], BINARY, "target_arrow"),
        (packed(GOOD, "zstd")[:-20], BINARY, "target_arrow"),
        (packed(GOOD), 0, "target_kind"),
        (packed(GOOD), 77, "target_kind"),
        (packed(GOOD), THREE, "target_arrow.target"),
        (packed(GOOD), REAL, "target_arrow.target"),
        (packed(GOOD | {"target": FLOATS}), BINARY, "target_arrow.target"),
        (packed(GOOD | {"target": pa.array([1, 1, 1, 1])}), BINARY, "target_arrow.target"),
        (packed(GOOD | {"target": pa.array([1, 2, 3, 1])}), BINARY, "target_arrow.target"),
        (packed(GOOD | {"target": pa.array([1, None, 0, 1])}), BINARY, "target_arrow.target"),
        (packed(GOOD | {"target": pa.array([0, 2**60, 0, 1])}), THREE, "target_arrow.target"),
        (packed(GOOD | {"target": pa.array([0.0, 1.0, np.nan, 2.0])}), REAL, "target_arrow.target[2]"),
        (packed(GOOD | {"target": pa.array([0.0, np.inf, 1.0, 2.0])}), REAL, "target_arrow.target[1]"),
        (packed(GOOD | {"target": pa.array([5.0] * 4)}), REAL, "target_arrow.target"),
        (packed(GOOD | {"weight": pa.array([1, 1, 1, 1])}), BINARY, "target_arrow.weight"),
        (packed(GOOD | {"weight": pa.array([1.0, -1.0, 1.0, 1.0])}), BINARY, "target_arrow.weight[1]"),
        (packed(GOOD | {"weight": pa.array([0.0] * 4)}), BINARY, "target_arrow.weight"),
        (packed(GOOD | {"more": FLOATS}), BINARY, "target_arrow"),
        (packed({"target": pa.array([0, 1])}), BINARY, "target_arrow"),
        (packed({name: column[:0] for name, column in GOOD.items()}), BINARY, "target_arrow"),
        (packed(GOOD | {"open_time": FLOATS}), BINARY, "target_arrow.open_time"),
        (packed(GOOD | {"open_time": pa.array(TIMES.tz_localize(None))}), BINARY, "target_arrow.open_time"),
        (packed(GOOD | {"open_time": pa.array(TIMES[[0, 2, 1, 3]])}), BINARY, "target_arrow.open_time[2]"),
        (packed(GOOD | {"open_time": pa.array(TIMES[[0, 1, 1, 3]])}), BINARY, "target_arrow.open_time[2]"),
        (
            packed(GOOD | {"open_time": pa.array(TIMES + pd.Timedelta(minutes=7))}),
            BINARY,
            "target_arrow.open_time[0]",
        ),
    ],
)
def test_a_target_that_breaks_a_rule_is_refused_with_its_field(
    rooms: Rooms, client: FeaturesClient, raw: bytes, kind: int, field: str
):
    request = pb.SelectFeaturesRequest(snapshot_id=rooms.snapshot_id, target_arrow=raw, target_kind=kind)
    with pytest.raises(InvalidArgument) as refusal:
        client._stub.SelectFeatures(request)
    assert [violation.field for violation in refusal.value.violations] == [field]


def test_a_few_bytes_that_become_very_many_are_refused_before_they_do(rooms: Rooms, client: FeaturesClient):
    rows = 11_000_000
    table = {
        "open_time": pa.array(np.arange(rows), pa.timestamp("us", "UTC")),
        "target": pa.array(np.zeros(rows, np.int8)),
    }
    raw = packed({"target": table["target"], "weight": pa.array(np.zeros(rows))}, "zstd")
    assert len(raw) < 3 * 1024**2
    request = pb.SelectFeaturesRequest(
        snapshot_id=rooms.snapshot_id, target_arrow=raw, target_kind=pb.TARGET_KIND_BINARY
    )
    with pytest.raises(ResourceExhausted, match=r"at most 10000000 rows"):
        client._stub.SelectFeatures(request)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (pb.FeatureConfig(), "config"),
        (
            pb.FeatureConfig(selection=pb.SelectionConfig(enabled=True, fdr_level=2.0)),
            "config.selection.fdr_level",
        ),
        (pb.FeatureConfig(autofeat=pb.AutofeatConfig(enabled=True, steps=9)), "config.autofeat.steps"),
    ],
)
def test_a_config_that_breaks_a_rule_or_has_nothing_to_fit_is_refused(
    rooms: Rooms, client: FeaturesClient, config: pb.FeatureConfig, field: str
):
    with pytest.raises(InvalidArgument) as refusal:
        client.select_features(
            rooms.snapshot_id, target=labels(rooms.frame), kind=pb.TARGET_KIND_BINARY, config=config
        )
    assert [violation.field for violation in refusal.value.violations] == [field]


def test_too_few_rows_for_any_test_are_told_as_such(rooms: Rooms, client: FeaturesClient):
    with pytest.raises(FailedPrecondition, match="None of"):
        client._stub.SelectFeatures(
            pb.SelectFeaturesRequest(
                snapshot_id=rooms.snapshot_id, target_arrow=packed(GOOD), target_kind=pb.TARGET_KIND_BINARY
            )
        )


def test_damaged_targets_never_end_in_anything_but_a_refusal(rooms: Rooms, client: FeaturesClient):
    generator = np.random.default_rng(0)
    times = pd.DatetimeIndex(labels(rooms.frame).index[-60:])
    good = {"open_time": pa.array(times), "target": pa.array(np.arange(60) % 2)}
    config = pb.FeatureConfig(
        **{name: pb.FamilyConfig(enabled=False) for name in ("technical", "statistical", "series", "market")},
        calendar=pb.FamilyConfig(features=["hour_sin", "month"]),
        selection=pb.SelectionConfig(enabled=True, model_importance=False),
    )
    for compression in (None, "zstd", "lz4"):
        whole = packed(good, compression)
        for _ in range(60):
            raw = bytearray(whole)
            for at in generator.integers(0, len(raw), 3):
                raw[at] = generator.integers(0, 256)
            request = pb.SelectFeaturesRequest(
                snapshot_id=rooms.snapshot_id,
                target_arrow=bytes(raw),
                target_kind=pb.TARGET_KIND_BINARY,
                config=config,
            )
            with suppress(InvalidArgument, ResourceExhausted, FailedPrecondition):
                assert client._stub.SelectFeatures(request).row_count <= 60
