"""Requests about quality and repair that are refused: method, request, field and rule."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from marketml.data.v1 import data_pb2 as pb
from marketml.market.v1 import market_pb2
from tests.data.market import KEY, START, SYMBOL, VENUE

FUTURE = {"seconds": 10**11}
NO_TIME = {"seconds": 2**62}
UNASKED = market_pb2.SeriesKey(venue="nowhere", symbol=SYMBOL, timeframe="1h")
RATES = market_pb2.SeriesKey(venue=VENUE, symbol=SYMBOL)


def _check(**given: Any) -> pb.CheckQualityRequest:
    return pb.CheckQualityRequest(**({"kind": 1, "key": KEY} | given))


def _limits(**given: Any) -> pb.CheckQualityRequest:
    return _check(thresholds=pb.QualityThresholds(**given))


def _repair(*actions: Any, **given: Any) -> pb.RepairSeriesRequest:
    return pb.RepairSeriesRequest(**({"kind": 1, "key": KEY, "actions": actions} | given))


def _marks(start: Any, end: Any) -> pb.RepairAction:
    return pb.RepairAction(mark_missing=market_pb2.TimeRange(start_time=start, end_time=end))


def _arrow(**columns: Any) -> bytes:
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    stream: bytes = sink.getvalue().to_pybytes()
    return stream


_GOOD = _marks(START, {"seconds": START.value // 10**9 + 3600})
REFUSED_REPAIRS = [
    ("CheckQuality", _check(kind=0), "kind", "required"),
    ("CheckQuality", _check(kind=9), "kind", "unknown"),
    ("CheckQuality", _check(kind=2), "key.timeframe", "empty"),
    ("CheckQuality", _check(key=RATES), "key.timeframe", "unknown"),
    ("CheckQuality", _check(range={"start_time": NO_TIME}), "range.start_time", "timestamp"),
    ("CheckQuality", _check(range={"start_time": START, "end_time": START}), "range.end_time", "after_start"),
    ("CheckQuality", _check(as_of_time=FUTURE), "as_of_time", "future"),
    ("CheckQuality", _check(rows_max=-1), "rows_max", "range"),
    ("CheckQuality", _check(rows_max=1001), "rows_max", "range"),
    ("CheckQuality", _limits(jump_z=0), "thresholds.jump_z", "range"),
    ("CheckQuality", _limits(jump_z=float("nan")), "thresholds.jump_z", "range"),
    ("CheckQuality", _limits(jump_z=float("inf")), "thresholds.jump_z", "range"),
    ("CheckQuality", _limits(zero_volume_run_bars=0), "thresholds.zero_volume_run_bars", "range"),
    ("CheckQuality", _limits(stale_after={"seconds": 0}), "thresholds.stale_after", "positive"),
    ("CheckQuality", _limits(stale_after={"seconds": 2**62}), "thresholds.stale_after", "positive"),
    ("CheckQuality", _limits(unit_change_factor=1.0), "thresholds.unit_change_factor", "range"),
    ("CheckQuality", _check(arrow_ipc=b"not arrow"), "arrow_ipc", "undecodable"),
    ("CheckQuality", _check(arrow_ipc=bytes(3 * 2**20 + 1)), "arrow_ipc", "at_most"),
    ("CheckQuality", _check(arrow_ipc=_arrow(high=[1.0])), "arrow_ipc.open_time", "required"),
    ("CheckQuality", _check(arrow_ipc=b"x", as_of_time=START), "as_of_time", "empty"),
    ("CheckQuality", _check(arrow_ipc=b"x", range={"start_time": START}), "range", "empty"),
    ("CheckQuality", _check(arrow_ipc=b"x", key=RATES), "key.timeframe", "unknown"),
    ("RepairSeries", _repair(_GOOD, kind=0), "kind", "required"),
    ("RepairSeries", _repair(_GOOD, key=RATES), "key.timeframe", "unknown"),
    ("RepairSeries", _repair(), "actions", "count"),
    ("RepairSeries", _repair(*[_GOOD] * 101), "actions", "count"),
    ("RepairSeries", _repair(_GOOD, pb.RepairAction(rule="gap")), "actions[1].action", "required"),
    ("RepairSeries", _repair(_marks(None, START)), "actions[0].mark_missing.start_time", "required"),
    ("RepairSeries", _repair(_marks(START, None)), "actions[0].mark_missing.end_time", "required"),
    ("RepairSeries", _repair(_marks(START, START)), "actions[0].mark_missing.end_time", "after_start"),
    ("RepairSeries", _repair(_marks(START, FUTURE)), "actions[0].mark_missing.end_time", "future"),
    ("RepairSeries", _repair(_marks(NO_TIME, START)), "actions[0].mark_missing.start_time", "timestamp"),
    ("RepairSeries", _repair(_marks({"seconds": -1}, START)), "actions[0].mark_missing.start_time", "range"),
    (
        "RepairSeries",
        _repair(pb.RepairAction(refetch=_GOOD.mark_missing), key=UNASKED),
        "actions[0].refetch",
        "venue",
    ),
    (
        "RepairSeries",
        _repair(pb.RepairAction(refetch={"start_time": {}, "end_time": START})),
        "actions[0].refetch",
        "at_most",
    ),
    (
        "RepairSeries",
        _repair(pb.RepairAction(mark_absent=_GOOD.mark_missing), kind=2, key=RATES),
        "actions[0].mark_absent",
        "candles",
    ),
    ("RepairSeries", _repair(_GOOD, request_id="a b"), "request_id", "request_id"),
]
