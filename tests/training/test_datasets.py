"""Datasets of several symbols: what they mean one by one, and what of them is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from marketml.rpc.refusals import InvalidArgument
from services.training.config import fill_config
from services.training.datasets import MAX_MORE, each_of
from services.training.job_plan import read_plan
from services.training.neighbours_source import require_together, together
from services.training.rooms import Bound, Snapshot, Source

BTC = {"venue": "binance", "symbol": "BTC/USDT", "timeframe": "1h"}
ETH = {"venue": "binance", "symbol": "ETH/USDT"}
SOL = {"venue": "okx", "symbol": "SOL/USDT", "timeframe": "1h"}


def of(*more: dict[str, str], **source: Any) -> dict[str, Any]:
    return {"series": {"series": BTC, **source}, "more_series": list(more)}


def broken(dataset: dict[str, Any], **config: Any) -> dict[str, str]:
    _, found = fill_config({"dataset": dataset, **config}, {})
    return {each.field.removeprefix("config."): each.rule for each in found}


def test_each_symbol_has_the_span_the_ages_and_the_timeframe_of_the_first() -> None:
    reference = {"venue": "binance", "symbol": "XRP/USDT"}
    dataset = {
        **of(ETH, SOL, reference=reference, as_of_time="2026-01-01T00:00:00Z"),
        "funding_max_age": 60.0,
    }
    filled, found = fill_config({"dataset": dataset}, {})
    assert found == []
    assert read_plan(filled).seed == 0
    each = each_of(filled["dataset"])
    assert [one["series"]["series"] for one in each] == [BTC, {**ETH, "timeframe": "1h"}, SOL]
    for one in each:
        assert one["series"]["reference"] == reference
        assert one["series"]["as_of_time"] == "2026-01-01T00:00:00Z"
        assert one["funding_max_age"] == 60.0
        assert "more_series" not in one


def test_each_snapshot_stands_alone() -> None:
    dataset = {"snapshot_id": "a" * 64, "more_snapshot_ids": ["b" * 64, "c" * 64]}
    filled, found = fill_config({"dataset": dataset}, {})
    assert found == []
    assert each_of(filled["dataset"]) == [{"snapshot_id": letter * 64} for letter in "abc"]
    assert each_of({"snapshot_id": "a" * 64}) == [{"snapshot_id": "a" * 64}]


@pytest.mark.parametrize(
    ("dataset", "fields"),
    [
        (of({"venue": "Binance", "symbol": "ETH/USDT"}), {"more_series[0].venue": "venue"}),
        (of(ETH, {"venue": "okx"}), {"more_series[1].symbol": "required"}),
        (of({**ETH, "timeframe": "4h"}), {"more_series[0].timeframe": "same"}),
        (of(ETH, BTC), {"more_series[1]": "other"}),
        (of(ETH, SOL, ETH), {"more_series[2]": "other"}),
        (of(SOL, ETH, reference={**ETH}), {"more_series[1]": "other"}),
        ({**of(ETH), "more_snapshot_ids": ["b" * 64]}, {"more_snapshot_ids": "unused"}),
        ({"snapshot_id": "a" * 64, "more_series": [ETH]}, {"more_series": "unused"}),
        ({"snapshot_id": "a" * 64, "more_snapshot_ids": ["b"]}, {"more_snapshot_ids[0]": "digest"}),
        ({"snapshot_id": "a" * 64, "more_snapshot_ids": ["a" * 64]}, {"more_snapshot_ids[0]": "other"}),
        (
            of(*({"venue": "okx", "symbol": f"A{index}/USDT"} for index in range(MAX_MORE + 1))),
            {"more_series": "range"},
        ),
    ],
)
def test_symbols_that_cannot_stand_together_are_refused_by_their_field(
    dataset: dict[str, Any], fields: dict[str, str]
) -> None:
    assert broken(dataset) == {f"dataset.{field}": rule for field, rule in fields.items()}


@pytest.mark.parametrize(
    "features", [{"selection": {"enabled": True}}, {"autofeat": {"enabled": True}}, {"preset": "balanced"}]
)
def test_features_are_chosen_by_the_data_of_one_symbol_or_of_several(features: dict[str, Any]) -> None:
    assert broken(of(ETH), features=features) == broken(of(), features=features) == {}


def snapshot(symbol: str, timeframe: str = "1h") -> Snapshot:
    series = {"venue": "binance", "symbol": symbol, "timeframe": timeframe}
    return Snapshot("0" * 64, series, 1, None, None)


def test_snapshots_are_of_several_symbols_and_one_timeframe() -> None:
    require_together([])
    require_together([snapshot("BTC/USDT"), snapshot("ETH/USDT")])
    for second, words in (
        (snapshot("ETH/USDT", "4h"), "timeframe 1h"),
        (snapshot("BTC/USDT"), "another symbol"),
    ):
        with pytest.raises(InvalidArgument, match=words) as refused:
            require_together([snapshot("BTC/USDT"), second])
        assert [each.field for each in refused.value.violations] == ["config.dataset.more_snapshot_ids[0]"]


def test_a_plan_counts_the_bars_of_all_symbols_and_the_features_that_each_has() -> None:
    bound = Bound("config.features.limits.max_rows", 1.0, 2.0, "Too many.")

    def source(bars: int, features: int, warm_up: int, *refused: Bound) -> Source:
        return Source(bars, timedelta(hours=1), features, features - 2, True, warm_up, 3.0, refused)

    found = together([source(100, 9, 5, bound), source(40, 8, 7, bound)])
    assert (found.bar_count, found.feature_count, found.warm_up_bars) == (140, 8, 7)
    assert (found.chosen_count, found.is_chosen) == (6, True)
    assert found.refused == (bound,)
