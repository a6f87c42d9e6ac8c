"""Every call refuses what is wrong with it by code, field path and rule, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from marketml.data.v1 import data_pb2 as pb
from marketml.market.v1 import market_pb2
from marketml.rpc import frames, refusals
from tests.data.market import KEY, START, SYMBOL, TIMEFRAME, VENUE, candle_rows, candles, funding, header
from tests.data.refused_repairs import REFUSED_REPAIRS
from tests.data.test_policies import INVALID as INVALID_POLICIES

SERIES = (VENUE, SYMBOL, TIMEFRAME)
DIGEST = "0" * 64
FUTURE = {"seconds": 10**11}
NO_TIME = {"seconds": 2**62}
Key = market_pb2.SeriesKey
Range = market_pb2.TimeRange


@pytest.fixture
def filled(room):
    """A room with two series and a snapshot."""
    room.client.ingest_candles(candles(10), *SERIES)
    room.client.ingest_funding_rates(funding(2), VENUE, SYMBOL)
    room.client.create_snapshot(*SERIES)
    return room


def refused(room: Any, name: str, request: Any, kind: type[refusals.Refusal]) -> Any:
    """Call, expect the refusal, and see that nothing changed."""
    before = room.contents()
    with pytest.raises(kind) as caught:
        _sent(room, name, request)
    assert type(caught.value) is kind
    assert room.contents() == before
    return caught.value


def _sent(room: Any, name: str, request: Any) -> None:
    method = getattr(room.stub, name)
    if name.startswith("Ingest"):
        method(iter(request))
    elif name.startswith("Query") or name in ("ReadSnapshot", "CollectSeries"):
        list(method(request))
    else:
        method(request)


BAD_KEYS = [
    (Key(symbol=SYMBOL, timeframe="1h"), "venue", "required"),
    (Key(venue="Binance", symbol=SYMBOL, timeframe="1h"), "venue", "venue"),
    (Key(venue="a" * 33, symbol=SYMBOL, timeframe="1h"), "venue", "venue"),
    (Key(venue="a\0b", symbol=SYMBOL, timeframe="1h"), "venue", "venue"),
    (Key(venue="../x", symbol=SYMBOL, timeframe="1h"), "venue", "venue"),
    (Key(venue=VENUE, timeframe="1h"), "symbol", "required"),
    (Key(venue=VENUE, symbol="BTCUSDT", timeframe="1h"), "symbol", "symbol"),
    (Key(venue=VENUE, symbol="btc/usdt", timeframe="1h"), "symbol", "symbol"),
    (Key(venue=VENUE, symbol="BTC/USDT'; DROP TABLE series; --", timeframe="1h"), "symbol", "symbol"),
    (Key(venue=VENUE, symbol=SYMBOL), "timeframe", "unknown"),
    (Key(venue=VENUE, symbol=SYMBOL, timeframe="7m"), "timeframe", "unknown"),
    (Key(venue=VENUE, symbol=SYMBOL, timeframe="1H"), "timeframe", "unknown"),
]


def _keyed(name: str, path: str, make: Callable[[Key], Any]) -> list[Any]:
    return [(name, make(key), f"{path}.{field}", rule) for key, field, rule in BAD_KEYS]


def _query(**given: Any) -> pb.QueryCandlesRequest:
    return pb.QueryCandlesRequest(**({"series": KEY} | given))


def _frame(**given: Any) -> pb.FrameSpec:
    return pb.FrameSpec(**({"series": KEY} | given))


def _framed(name: str, make: Callable[[pb.FrameSpec], Any]) -> list[Any]:
    cases = [
        (_frame(range=Range(start_time=NO_TIME)), "frame.range.start_time", "timestamp"),
        (_frame(range=Range(end_time={"nanos": -1})), "frame.range.end_time", "timestamp"),
        (_frame(range=Range(start_time=START, end_time=START)), "frame.range.end_time", "after_start"),
        (_frame(as_of_time=FUTURE), "frame.as_of_time", "future"),
        (_frame(as_of_time=NO_TIME), "frame.as_of_time", "timestamp"),
        (_frame(funding_max_age={"seconds": 0}), "frame.funding_max_age", "positive"),
        (_frame(funding_max_age={"seconds": -5}), "frame.funding_max_age", "positive"),
        (_frame(open_interest_max_age={"seconds": 2**62}), "frame.open_interest_max_age", "positive"),
        (
            _frame(open_interest_max_age={"seconds": 5, "nanos": -1}),
            "frame.open_interest_max_age",
            "positive",
        ),
    ]
    return [(name, make(frame), field, rule) for frame, field, rule in cases]


def _files(**changes: Any) -> pb.CollectSeriesRequest:
    return pb.CollectSeriesRequest(files=pb.FileSource(**({"path": "a", "venue": VENUE} | changes)))


def _exchange(*keys: Key, kind: Any = 1, **changes: Any) -> pb.CollectSeriesRequest:
    targets = [pb.CollectionTarget(kind=kind, key=key) for key in keys or (KEY,)]
    return pb.CollectSeriesRequest(exchange=pb.ExchangeSource(series=targets, **changes))


_UNKNOWN_VENUE = Key(venue="binanse", symbol=SYMBOL, timeframe="1h")

INVALID = [
    ("CollectSeries", pb.CollectSeriesRequest(), "source", "required"),
    *_keyed("CollectSeries", "exchange.series[0].key", _exchange),
    ("CollectSeries", pb.CollectSeriesRequest(exchange={}), "exchange.series", "count"),
    ("CollectSeries", _exchange(*[KEY] * 101), "exchange.series", "count"),
    ("CollectSeries", _exchange(KEY, KEY), "exchange.series[1]", "repeated"),
    ("CollectSeries", _exchange(kind=0), "exchange.series[0].kind", "required"),
    ("CollectSeries", _exchange(kind=9), "exchange.series[0].kind", "unknown"),
    ("CollectSeries", _exchange(kind=2), "exchange.series[0].key.timeframe", "empty"),
    ("CollectSeries", _exchange(KEY, _UNKNOWN_VENUE), "exchange.series[1].key.venue", "unknown"),
    (
        "CollectSeries",
        _exchange(Key(venue="kraken", symbol=SYMBOL), kind=3),
        "exchange.series[0].kind",
        "not_offered",
    ),
    ("CollectSeries", _exchange(start_time=FUTURE), "exchange.start_time", "future"),
    ("CollectSeries", _exchange(start_time={"seconds": -1}), "exchange.start_time", "range"),
    ("CollectSeries", _exchange(start_time=NO_TIME), "exchange.start_time", "timestamp"),
    ("CollectSeries", _exchange(end_time=FUTURE), "exchange.end_time", "future"),
    ("CollectSeries", _exchange(start_time=START, end_time=START), "exchange.end_time", "after_start"),
    ("CollectSeries", _files(venue=""), "files.venue", "required"),
    ("CollectSeries", _files(path=""), "files.path", "required"),
    ("CollectSeries", _files(path="a/" * 3000), "files.path", "at_most"),
    ("CollectSeries", _files(symbol="BTCUSDT"), "files.symbol", "symbol"),
    ("CollectSeries", _files(timeframe="7m"), "files.timeframe", "unknown"),
    ("CollectSeries", _files(kind=0), "files.kind", "required"),
    ("CollectSeries", _files(kind=9), "files.kind", "unknown"),
    ("CollectSeries", _files(on_conflict=0), "files.on_conflict", "unspecified"),
    ("CollectSeries", _files(on_invalid=7), "files.on_invalid", "unknown"),
    ("CollectSeries", _files(market=0), "files.market", "unspecified"),
    ("CollectSeries", _files(bar_prices=9), "files.bar_prices", "unknown"),
    ("CollectSeries", _files(utc_offset="Europe/Berlin"), "files.utc_offset", "offset"),
    ("CollectSeries", _files(utc_offset="+15:00"), "files.utc_offset", "offset"),
    *_keyed("QueryCandles", "series", lambda key: _query(series=key)),
    ("QueryCandles", pb.QueryCandlesRequest(), "series.venue", "required"),
    ("QueryCandles", _query(limit=-1), "limit", "range"),
    ("QueryCandles", _query(range=Range(start_time=NO_TIME)), "range.start_time", "timestamp"),
    ("QueryCandles", _query(range=Range(start_time=START, end_time=START)), "range.end_time", "after_start"),
    ("QueryCandles", _query(as_of_time=FUTURE), "as_of_time", "future"),
    ("QueryFundingRates", pb.QueryFundingRatesRequest(series=KEY), "series.timeframe", "empty"),
    ("QueryOpenInterest", pb.QueryOpenInterestRequest(series=KEY), "series.timeframe", "empty"),
    ("QueryOpenInterest", pb.QueryOpenInterestRequest(), "series.venue", "required"),
    *_keyed("GetFrameState", "frame.series", lambda key: pb.GetFrameStateRequest(frame=_frame(series=key))),
    *_framed("GetFrameState", lambda frame: pb.GetFrameStateRequest(frame=frame)),
    *_keyed("QueryFrame", "frame.series", lambda key: pb.QueryFrameRequest(frame=_frame(series=key))),
    *_framed("QueryFrame", lambda frame: pb.QueryFrameRequest(frame=frame)),
    ("QueryFrame", pb.QueryFrameRequest(frame=_frame(), limit=-3), "limit", "range"),
    *_keyed("CreateSnapshot", "frame.series", lambda key: pb.CreateSnapshotRequest(frame=_frame(series=key))),
    *_framed("CreateSnapshot", lambda frame: pb.CreateSnapshotRequest(frame=frame)),
    (
        "CreateSnapshot",
        pb.CreateSnapshotRequest(frame=_frame(), request_id="a b"),
        "request_id",
        "request_id",
    ),
    ("CreateSnapshot", pb.CreateSnapshotRequest(), "frame.series.venue", "required"),
    *[
        (name, message(snapshot_id=bad), "snapshot_id", "digest")
        for name, message in [
            ("GetSnapshot", pb.GetSnapshotRequest),
            ("ReadSnapshot", pb.ReadSnapshotRequest),
            ("DeleteSnapshot", pb.DeleteSnapshotRequest),
        ]
        for bad in ("", "abc", "G" * 64, "../" + "a" * 61, "A" * 64, "a" * 65)
    ],
    (
        "DeleteSnapshot",
        pb.DeleteSnapshotRequest(snapshot_id=DIGEST, request_id="é"),
        "request_id",
        "request_id",
    ),
    ("ListSnapshots", pb.ListSnapshotsRequest(page_size=-1), "page_size", "range"),
    ("ListSnapshots", pb.ListSnapshotsRequest(page_size=1001), "page_size", "range"),
    ("ListSnapshots", pb.ListSnapshotsRequest(page_token="?"), "page_token", "token"),
    ("ListSnapshots", pb.ListSnapshotsRequest(page_token="W10="), "page_token", "token"),
    # [[], [9999999999999999999999, "x"]]
    (
        "ListSnapshots",
        pb.ListSnapshotsRequest(page_token="W1tdLCBbOTk5OTk5OTk5OTk5OTk5OTk5OTk5OSwgIngiXV0="),
        "page_token",
        "token",
    ),
    ("ListSeries", pb.ListSeriesRequest(page_size=-1), "page_size", "range"),
    # Half of a character, as JSON spells it: no database takes it.
    (
        "ListSnapshots",
        pb.ListSnapshotsRequest(page_token="W1tdLCBbMSwgIlx1ZDgwMCJdXQ=="),
        "page_token",
        "token",
    ),
    ("ListSeries", pb.ListSeriesRequest(page_token="x"), "page_token", "token"),
    ("ListSeries", pb.ListSeriesRequest(kind=0), "kind", "required"),
    ("ListSeries", pb.ListSeriesRequest(kind=77), "kind", "unknown"),
    ("ListSeries", pb.ListSeriesRequest(venue="A"), "venue", "venue"),
    ("ListSeries", pb.ListSeriesRequest(symbol="x\0"), "symbol", "symbol"),
    ("NormalizeSymbol", pb.NormalizeSymbolRequest(), "text", "required"),
    ("NormalizeSymbol", pb.NormalizeSymbolRequest(text="B" * 65), "text", "length"),
    ("NormalizeSymbol", pb.NormalizeSymbolRequest(text="HELLO"), "text", "unknown_symbol"),
    ("NormalizeSymbol", pb.NormalizeSymbolRequest(text="BTCUSDT", venue="!"), "venue", "venue"),
    ("NormalizeSymbol", pb.NormalizeSymbolRequest(text="BTCUSD"), "text", "ambiguous_symbol"),
    ("NormalizeSymbol", pb.NormalizeSymbolRequest(text="BTC-USDT-250230"), "text", "unclear_symbol"),
    ("InferSeries", pb.InferSeriesRequest(), "arrow_ipc", "required"),
    ("InferSeries", pb.InferSeriesRequest(arrow_ipc=bytes(2**20 + 1)), "arrow_ipc", "at_most"),
    ("InferSeries", pb.InferSeriesRequest(arrow_ipc=b"not arrow"), "arrow_ipc", "undecodable"),
    ("InferSeries", pb.InferSeriesRequest(venue="!"), "venue", "venue"),
    ("InferSeries", pb.InferSeriesRequest(metadata={"x": "y" * 1001}), "metadata[x]", "length"),
    *_keyed("DeleteSeries", "key", lambda key: pb.DeleteSeriesRequest(kind=1, key=key)),
    ("DeleteSeries", pb.DeleteSeriesRequest(key=KEY), "kind", "required"),
    (
        "DeleteSeries",
        pb.DeleteSeriesRequest(kind=1, key=KEY, dry_run=True, request_id="a b"),
        "request_id",
        "request_id",
    ),
    ("DeleteSeries", pb.DeleteSeriesRequest(kind=9, key=KEY), "kind", "unknown"),
    ("DeleteSeries", pb.DeleteSeriesRequest(kind=2, key=KEY), "key.timeframe", "empty"),
    (
        "DeleteSeries",
        pb.DeleteSeriesRequest(kind=2, key=Key(venue=VENUE, symbol=SYMBOL), force=True, request_id="x" * 129),
        "request_id",
        "request_id",
    ),
    *REFUSED_REPAIRS,
]


def test_a_bad_field_is_named_with_its_path_and_rule(filled):
    for name, request, field, rule in INVALID:
        refusal = refused(filled, name, request, refusals.InvalidArgument)
        found = [(each.field, each.rule) for each in refusal.violations]
        assert (field, rule) in found, (name, request, found)
        assert all(each.description.endswith(".") for each in refusal.violations)


def _candles(**given: Any) -> list[pb.IngestCandlesRequest]:
    return [
        pb.IngestCandlesRequest(header=header(**given)),
        pb.IngestCandlesRequest(rows=candle_rows(candles(2))),
    ]


def _arrow(table: pa.Table) -> list[pb.IngestCandlesRequest]:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return [*_candles()[:1], pb.IngestCandlesRequest(arrow_ipc=sink.getvalue().to_pybytes())]


TABLE = frames.to_table(candles(3))
TOO_MANY = pb.CandleRows(rows=[pb.Candle()] * 10_001)
INVALID_INGESTS = [
    ([], "header", "required"),
    (_candles()[1:], "header", "required"),
    ([pb.IngestCandlesRequest()], "header", "required"),
    ([*_candles(), *_candles()], "header", "first_only"),
    ([*_candles(), pb.IngestCandlesRequest()], "part", "required"),
    (_candles(venue=""), "header.venue", "required"),
    (_candles(symbol="BTC"), "header.symbol", "symbol"),
    (_candles(timeframe="2m"), "header.timeframe", "unknown"),
    (_candles(source="x" * 201), "header.source", "text"),
    (_candles(source="a\0b"), "header.source", "text"),
    (_candles(on_conflict=0), "header.on_conflict", "unspecified"),
    (_candles(on_conflict=44), "header.on_conflict", "unknown"),
    (_candles(on_invalid=0), "header.on_invalid", "unspecified"),
    (_candles(on_invalid=-1), "header.on_invalid", "unknown"),
    (_candles(capture_time=FUTURE), "header.capture_time", "future"),
    (_candles(capture_time=NO_TIME), "header.capture_time", "timestamp"),
    (_candles(capture_time={"seconds": -1}), "header.capture_time", "range"),
    ([*_candles()[:1], pb.IngestCandlesRequest(rows=TOO_MANY)], "rows", "at_most"),
    ([*_candles()[:1], pb.IngestCandlesRequest(arrow_ipc=b"not arrow")], "arrow_ipc", "undecodable"),
    ([*_candles()[:1], pb.IngestCandlesRequest(arrow_ipc=bytes(2**20 + 1))], "arrow_ipc", "at_most"),
    (_arrow(TABLE.drop_columns(["open_time"])), "arrow_ipc.open_time", "required"),
    (_arrow(TABLE.drop_columns(["high"])), "arrow_ipc.high", "required"),
    (_arrow(TABLE.append_column("extra", TABLE["high"])), "arrow_ipc.extra", "unknown"),
    (_arrow(TABLE.set_column(2, "high", pa.array(["1", "2", "3"]))), "arrow_ipc.high", "type"),
    (_arrow(TABLE.set_column(2, "high", pa.array([True, True, True]))), "arrow_ipc.high", "type"),
    (_arrow(TABLE.set_column(2, "high", pa.array([2**60 + 1, 2, 3]))), "arrow_ipc.high", "type"),
    (_arrow(TABLE.set_column(0, "open_time", pa.array([1, 2, 3]))), "arrow_ipc.open_time", "type"),
    (
        _arrow(TABLE.set_column(0, "open_time", pa.array([1, 2, 3], pa.timestamp("us")))),
        "arrow_ipc.open_time",
        "type",
    ),
    (_arrow(TABLE.set_column(2, "high", pa.array([None, 1.0, 1.0]))), "rows[0].high", "required"),
]


def test_a_bad_ingest_is_named_with_its_path_and_rule(filled):
    for requests, field, rule in INVALID_INGESTS:
        refusal = refused(filled, "IngestCandles", requests, refusals.InvalidArgument)
        found = [(each.field, each.rule) for each in refusal.violations]
        assert (field, rule) in found, (field, rule, found)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("IngestFundingRates", pb.IngestFundingRatesRequest),
        ("IngestOpenInterest", pb.IngestOpenInterestRequest),
    ],
)
def test_series_without_bars_take_no_timeframe_and_their_own_columns(filled, name, message):
    head = message(header=header(timeframe=""))
    cases = [
        ([message(header=header())], "header.timeframe"),
        ([], "header"),
        ([head, message(arrow_ipc=_arrow(TABLE)[1].arrow_ipc)], "arrow_ipc.open"),
        ([head, message(rows={"rows": [{}]})], "rows[0].time"),
    ]
    for requests, field in cases:
        refusal = refused(filled, name, requests, refusals.InvalidArgument)
        assert field in [each.field for each in refusal.violations]


ABSENT = [
    ("CheckQuality", pb.CheckQualityRequest(kind=2, key=Key(venue="bybit", symbol=SYMBOL)), "series"),
    (
        "RepairSeries",
        pb.RepairSeriesRequest(
            kind=3,
            key=Key(venue=VENUE, symbol=SYMBOL),
            actions=[
                {"mark_missing": Range(start_time=START, end_time={"seconds": START.value // 10**9 + 1})}
            ],
        ),
        "series",
    ),
    ("QueryCandles", _query(series=Key(venue="bybit", symbol=SYMBOL, timeframe="1h")), "series"),
    ("QueryFundingRates", pb.QueryFundingRatesRequest(series=Key(venue="a", symbol=SYMBOL)), "series"),
    ("QueryOpenInterest", pb.QueryOpenInterestRequest(series=Key(venue=VENUE, symbol=SYMBOL)), "series"),
    (
        "QueryFrame",
        pb.QueryFrameRequest(frame=_frame(series=Key(venue=VENUE, symbol="A/B", timeframe="1h"))),
        "series",
    ),
    (
        "GetFrameState",
        pb.GetFrameStateRequest(frame=_frame(series=Key(venue=VENUE, symbol="A/B", timeframe="1h"))),
        "series",
    ),
    (
        "CreateSnapshot",
        pb.CreateSnapshotRequest(frame=_frame(series=Key(venue=VENUE, symbol="A/B", timeframe="1h"))),
        "series",
    ),
    ("GetSnapshot", pb.GetSnapshotRequest(snapshot_id=DIGEST), "snapshot"),
    ("ReadSnapshot", pb.ReadSnapshotRequest(snapshot_id=DIGEST), "snapshot"),
    ("DeleteSnapshot", pb.DeleteSnapshotRequest(snapshot_id=DIGEST, request_id="a"), "snapshot"),
    ("DeleteSeries", pb.DeleteSeriesRequest(kind=3, key=Key(venue=VENUE, symbol=SYMBOL)), "series"),
    (
        "DeleteSeries",
        pb.DeleteSeriesRequest(kind=3, key=Key(venue=VENUE, symbol=SYMBOL), dry_run=True),
        "series",
    ),
]


def test_what_is_not_there_is_not_found_by_name(filled):
    for name, request, kind in ABSENT:
        refusal = refused(filled, name, request, refusals.NotFound)
        assert refusal.kind == kind
        assert refusal.name


def test_a_request_id_that_was_used_for_another_request_is_refused(filled):
    spec = _frame(range=Range(start_time=START))
    filled.stub.CreateSnapshot(pb.CreateSnapshotRequest(frame=spec, request_id="r"))
    for name, request in [
        ("CreateSnapshot", pb.CreateSnapshotRequest(frame=_frame(), request_id="r")),
        ("DeleteSnapshot", pb.DeleteSnapshotRequest(snapshot_id=DIGEST, request_id="r")),
        ("DeleteSeries", pb.DeleteSeriesRequest(kind=1, key=KEY, force=True, request_id="r")),
    ]:
        refusal = refused(filled, name, request, refusals.AlreadyExists)
        assert refusal.reason is refusals.Reason.REQUEST_ID_REUSED


def test_a_series_that_a_snapshot_was_made_from_is_in_use(filled):
    for kind, key in [(1, KEY), (2, Key(venue=VENUE, symbol=SYMBOL))]:
        refusal = refused(
            filled, "DeleteSeries", pb.DeleteSeriesRequest(kind=kind, key=key), refusals.FailedPrecondition
        )
        assert refusal.reason is refusals.Reason.IN_USE
        assert refusal.subject == "series"


def test_every_method_is_in_these_tables():
    invalid = {name for name, *_ in [*INVALID, *INVALID_POLICIES]}
    invalid |= {"IngestCandles", "IngestFundingRates", "IngestOpenInterest"}
    assert invalid == {method.name for method in pb.DESCRIPTOR.services_by_name["DataService"].methods}
