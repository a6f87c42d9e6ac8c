"""SelectFeatures on several sources: features of each alone, chosen by the rows of all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import mannwhitneyu

from marketml.clients.feature_selection import MoreRows
from marketml.clients.features import FeaturesClient
from marketml.features.v1 import features_pb2 as pb
from marketml.rpc.refusals import InvalidArgument, NotFound
from services.features.application import FeaturesApplication
from services.features.autofeat import expansion
from services.features.budget import MemoryBudget
from services.features.config import AutofeatChoice, FamilyChoice, FeatureConfig, SelectionChoice
from services.features.expressions import Expression
from services.features.selection.request import Selected, SelectionRequest, SourceRows
from services.features.selection.target import Target, TargetKind
from services.features.source import Bars, SeriesKey, SnapshotSource, Source
from tests.features.conftest import LEADER, TIMEFRAME, VENUE, Rooms
from tests.features.frames import random_walk
from tests.features.selection.matrices import nobody
from tests.features.test_selection import GOOD, TIMES, labels, packed
from tests.features.whole import Shelf, generated

KEYS = tuple(SeriesKey("binance", f"{name}/USDT", "1h") for name in ("AAA", "BBB", "CCC"))
SOURCES = tuple(SnapshotSource(letter * 64) for letter in "abc")
CHOICE = FeatureConfig(
    technical=FamilyChoice(enabled=False),
    statistical=FamilyChoice(enabled=False),
    series=FamilyChoice(features=("return_lag_1", "return_lag_24")),
    expressions=(
        Expression("body", "close / open - 1"),
        Expression("lean", "taker_buy_volume / volume - 0.5"),
    ),
    autofeat=AutofeatChoice(enabled=True, max_inputs=6, max_features=10, steps=1),
    selection=SelectionChoice(enabled=True, stability_blocks=3, feature_count_limit=12),
)
TESTED = replace(CHOICE, autofeat=AutofeatChoice(), selection=SelectionChoice(enabled=True, fdr_level=1.0))
Part = tuple[SeriesKey, pd.DataFrame, "pd.Series"]


@dataclass
class Shelves(Shelf):
    """A shelf whose snapshots are of several instruments."""

    keys: dict[str, SeriesKey] = field(default_factory=dict)

    def load(self, source: Source, rows_max: int) -> Bars | None:
        bars = super().load(source, rows_max)
        assert bars is not None
        assert isinstance(source, SnapshotSource)
        return replace(bars, key=self.keys[source.snapshot_id])


def chosen(
    parts: Sequence[Part], config: FeatureConfig = CHOICE, weights: np.ndarray | None = None
) -> Selected:
    """What is chosen on the frames and targets of some instruments, in this order."""
    ids = [source.snapshot_id for source in SOURCES[: len(parts)]]
    frames = {name: frame for name, (_, frame, _) in zip(ids, parts, strict=True)}
    keys = {name: key for name, (key, _, _) in zip(ids, parts, strict=True)}
    room = FeaturesApplication(Shelves(frames, keys=keys), MemoryBudget(2**40), lambda: 0.0)
    rows = tuple(
        SourceRows(source, pd.DatetimeIndex(target.index), f"more[{at - 1}]." if at else "")
        for at, (source, (_, _, target)) in enumerate(zip(SOURCES, parts, strict=False))
    )
    values = np.concatenate([target.to_numpy(np.float64) for _, _, target in parts])
    request = SelectionRequest(rows, config, Target(TargetKind.BINARY, values, weights), 0)
    return room.select_features(request, nobody)


def part(place: int, bars: int = 700, first: int = 0) -> Part:
    """An instrument whose next bars follow nothing, from its bar `first` on."""
    frame = random_walk(20 + place, bars).iloc[first:]
    return KEYS[place], frame, labels(frame).iloc[200:]


def of_body(place: int) -> Part:
    """An instrument of which the bodies of bars decide what comes."""
    key, frame, _ = part(place)
    return key, frame, (frame["close"] > frame["open"]).astype(np.int8).iloc[200:]


def of_product(place: int, first: int = 0) -> Part:
    """An instrument of which the sign of a product decides what comes."""
    key, frame, target = part(place, first=first)
    told = (frame["close"] > frame["open"]) == (2 * frame["taker_buy_volume"] > frame["volume"])
    return key, frame, told.astype(np.int8).loc[target.index]


def test_what_is_chosen_is_told_by_the_rows_of_all_and_computed_on_each() -> None:
    parts = [part(0), of_body(1), part(2, first=150)]
    found = chosen(parts)
    assert found.row_count == sum(len(target) for _, _, target in parts)
    assert sum(found.class_counts) == found.row_count
    told = [{each.name: each.p_value for each in some.verdicts} for some in (found, chosen(parts[:1]))]
    assert told[0]["body"] < 1e-9 < 1e-3 < told[1]["body"]  # it tells in one of them alone
    assert any("body" in (each.name, *each.expression.split()) for each in found.verdicts[:2])
    for _, frame, _ in parts:  # one definition for all
        assert tuple(generated(frame, found.config).columns) == found.config.only


def test_the_order_of_the_sources_says_nothing_and_one_formula_is_found_for_all() -> None:
    parts = [part(0), of_product(1), of_product(2, first=150)]
    few = replace(CHOICE, market=FamilyChoice(enabled=False), calendar=FamilyChoice(enabled=False))
    first = chosen(parts, few)
    assert all(chosen(some, few) == first for some in (parts[::-1], parts[1:] + parts[:1]))
    formulas = [each for each in first.verdicts if each.expression and each.dropped_at is None]
    assert formulas[0].expression == "lean / body"  # whose sign is that of the product
    for _, frame, _ in parts:  # of bars of its own alone
        found = generated(frame, first.config)[formulas[0].name]
        body, lean = frame["close"] / frame["open"] - 1, frame["taker_buy_volume"] / frame["volume"] - 0.5
        told = lean / body
        np.testing.assert_array_equal(found.to_numpy(), told.to_numpy())


def test_weights_stay_with_their_rows_in_any_order() -> None:
    parts = [of_body(0), part(1)]
    sizes = [len(target) for _, _, target in parts]
    weights = [np.linspace(0.5, 1.5, sizes[0]), np.zeros(sizes[1])]
    found = chosen(parts, weights=np.concatenate(weights))
    assert found == chosen(parts[::-1], weights=np.concatenate(weights[::-1]))
    assert found != chosen(parts)


def test_rows_that_were_not_given_never_change_the_answer_of_any_source() -> None:
    parts = [part(0), of_body(1)]
    parts = [(key, frame, target.iloc[:300]) for key, frame, target in parts]
    found = chosen(parts)
    last = parts[0][2].index[-1]
    others = []
    for key, frame, target in parts:
        changed = frame.copy()
        changed.loc[changed.index > last, ["open", "high", "low", "close", "volume"]] *= 3.0
        others.append((key, changed, target))
    assert chosen(others) == found


def test_windows_end_at_the_seam_between_sources() -> None:
    """What a source's features are is what they are alone: their values decide the same p-values."""
    parts = [part(0), of_body(1)]
    found = {each.name: each.p_value for each in chosen(parts, TESTED).verdicts}
    values = [generated(frame, TESTED) for _, frame, _ in parts]
    rows = pd.concat([each.loc[target.index] for each, (_, _, target) in zip(values, parts, strict=True)])
    truth = np.concatenate([target for _, _, target in parts])
    for name in ("body", "return_lag_1"):
        known = rows[name].to_numpy()
        expected = mannwhitneyu(known[truth == 1], known[truth == 0], method="asymptotic").pvalue
        assert found[name] == pytest.approx(expected, rel=1e-9)


def test_features_that_one_source_lacks_are_not_chosen_even_if_it_has_no_rows() -> None:
    bare = part(1)[1].assign(open_interest=np.nan, open_interest_missing=True)
    alone = {each.name for each in chosen([part(0)], TESTED).verdicts}
    target = part(1)[2]
    for some in (target, target.iloc[:0]):
        together = {each.name for each in chosen([part(0), (KEYS[1], bare, some)], TESTED).verdicts}
        assert any("open_interest" in name for name in alone - together)
        assert together < alone
        assert together == {each.name for each in chosen([(KEYS[1], bare, some), part(0)], TESTED).verdicts}


@pytest.mark.parametrize("memory_bytes", [2**30, 256 * 700])
def test_a_search_for_formulas_looks_at_rows_of_every_source(memory_bytes: int) -> None:
    """Evenly spaced rows of two sources that alternate would all be of one."""
    sources = np.tile([0, 1], 600)
    rows = expansion._rows(1_200, memory_bytes, sources)
    assert len(set(rows.tolist())) == rows.size <= 1_200
    assert np.bincount(sources[rows]).tolist() == [rows.size / 2] * 2
    assert rows.size == min(1_200, memory_bytes // 256)


@pytest.mark.parametrize(
    ("key", "words"),
    [(KEYS[0], "another instrument"), (SeriesKey("binance", "BBB/USDT", "4h"), "timeframe 1h")],
)
def test_sources_that_are_not_of_several_instruments_of_one_timeframe_are_refused(
    key: SeriesKey, words: str
) -> None:
    _, frame, target = part(1)
    if key.timeframe == "4h":
        frame = frame.iloc[::4]
        target = target[target.index.isin(frame.index)]
    with pytest.raises(InvalidArgument, match=words) as refusal:
        chosen([part(0), (key, frame, target)])
    assert [each.field for each in refusal.value.violations] == ["more[0].source"]


def test_a_row_that_is_no_bar_is_refused_by_the_place_of_its_source() -> None:
    key, frame, target = part(1)
    with pytest.raises(InvalidArgument) as refusal:
        chosen([part(0), (key, frame.drop(target.index[7]), target)])
    assert refusal.value.violations[0].field == "more[0].target_arrow.open_time[7]"


BINARY = pb.TARGET_KIND_BINARY


def test_over_the_wire_snapshots_and_series_of_several_agree(rooms: Rooms, client: FeaturesClient) -> None:
    mine, other = labels(rooms.frame).iloc[300:], labels(rooms.leader).iloc[300:]
    config = pb.FeatureConfig(selection=pb.SelectionConfig(enabled=True, feature_count_min=5))
    config.technical.enabled = False
    leader = MoreRows(other, venue=VENUE, symbol=LEADER, timeframe=TIMEFRAME)
    given = {"kind": BINARY, "config": config, "seed": 5}
    found = client.select_features(rooms.snapshot_id, target=mine, more=[leader], **given)
    assert found.row_count == len(mine) + len(other)
    turned = client.select_features(
        venue=VENUE,
        symbol=LEADER,
        timeframe=TIMEFRAME,
        target=other,
        more=[MoreRows(mine, snapshot_id=rooms.snapshot_id)],
        **given,
    )
    assert turned == found
    assert found != client.select_features(rooms.snapshot_id, target=mine, **given)
    spot = MoreRows(mine.iloc[:0], venue=VENUE, symbol="SPOT/USDT", timeframe=TIMEFRAME)
    fewer = client.select_features(rooms.snapshot_id, target=mine, more=[spot], **given)
    assert fewer.row_count == len(mine)
    assert not [each.name for each in fewer.features if "funding" in each.name]


FLOATS = pa.array([0.5, 1.5, 2.5, 3.5])
NONE = {name: column[:0] for name, column in GOOD.items()}
ALL_ONE = GOOD | {"target": pa.array([1, 1, 1, 1])}


@pytest.mark.parametrize(
    ("first", "other", "field"),
    [
        (packed(GOOD), b"", "more[0].target_arrow"),
        (packed(GOOD), b"nothing of the sort", "more[0].target_arrow"),
        (packed(GOOD), b"\x00" * (3 * 1024**2), "target_arrow"),
        (packed(GOOD), packed(GOOD | {"more": FLOATS}), "more[0].target_arrow"),
        (packed(GOOD), packed(GOOD | {"target": FLOATS}), "more[0].target_arrow.target"),
        (packed(GOOD), packed(GOOD | {"weight": FLOATS}), "more[0].target_arrow.weight"),
        (packed(GOOD | {"weight": FLOATS}), packed(GOOD), "more[0].target_arrow.weight"),
        (packed(GOOD), packed(GOOD | {"target": pa.array([2, 1, 0, 1])}), "target_arrow.target"),
        (packed(ALL_ONE), packed(ALL_ONE), "target_arrow.target"),
        (packed(NONE), packed(NONE), "target_arrow"),
        (
            packed(GOOD),
            packed(GOOD | {"open_time": pa.array(TIMES[[0, 2, 1, 3]])}),
            "more[0].target_arrow.open_time[2]",
        ),
    ],
)
def test_rows_of_another_source_that_break_a_rule_are_refused_with_their_field(
    rooms: Rooms, client: FeaturesClient, first: bytes, other: bytes, field: str
) -> None:
    request = pb.SelectFeaturesRequest(snapshot_id=rooms.snapshot_id, target_arrow=first, target_kind=BINARY)
    beside = request.more.add(target_arrow=other)
    beside.series.series.venue, beside.series.series.symbol = VENUE, LEADER
    beside.series.series.timeframe = TIMEFRAME
    with pytest.raises(InvalidArgument) as refusal:
        client._stub.SelectFeatures(request)
    assert [violation.field for violation in refusal.value.violations] == [field]


def test_sources_that_are_none_or_too_many_are_refused_with_their_field(
    rooms: Rooms, client: FeaturesClient
) -> None:
    def refused(*more: pb.SelectionSource) -> list[str]:
        request = pb.SelectFeaturesRequest(
            snapshot_id=rooms.snapshot_id, target_arrow=packed(GOOD), target_kind=BINARY, more=more
        )
        with pytest.raises(InvalidArgument) as refusal:
            client._stub.SelectFeatures(request)
        return [violation.field for violation in refusal.value.violations]

    rows = packed(GOOD)
    assert refused(pb.SelectionSource(target_arrow=rows)) == ["more[0].source"]
    assert refused(pb.SelectionSource(snapshot_id="x", target_arrow=rows)) == ["more[0].snapshot_id"]
    assert refused(*[pb.SelectionSource(snapshot_id="0" * 64, target_arrow=rows)] * 32) == ["more"]
    assert refused(pb.SelectionSource(snapshot_id=rooms.snapshot_id, target_arrow=rows)) == ["more[0].source"]
    with pytest.raises(NotFound):
        client.select_features(
            rooms.snapshot_id,
            target=labels(rooms.frame),
            kind=BINARY,
            more=[MoreRows(labels(rooms.frame), snapshot_id="0" * 64)],
        )
