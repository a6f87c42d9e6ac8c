"""Queries of the data room: series and aligned frames, one or many in one stream, as DataFrames or tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, TypedDict, TypeVar, Unpack

import pandas as pd
import pyarrow as pa
from grpc.experimental import ChannelOptions

from marketml.clients.connection import Connection
from marketml.clients.data_messages import Instrument, frame_spec, query_message
from marketml.data.v1 import data_pb2 as pb
from marketml.market.v1 import market_pb2
from marketml.rpc.channels import Tls
from marketml.rpc.frames import read_chunks, read_frames, stream_bytes, to_frame

_SERVICE = pb.DESCRIPTOR.services_by_name["DataService"]
_UPLOADS = frozenset({"IngestCandles", "IngestFundingRates", "IngestOpenInterest"})  # repeated here, whole

# A window of sixteen chunks from the start: the room then writes on while the caller reads, and a million
# candles come in half the time that gRPC's own search for the right window takes. The caller's own thread
# takes the messages off the wire: one of gRPC's would hand each over, a fifth of a short query's time and a
# tenth of a long one's.
_OPTIONS = (
    ("grpc.http2.lookahead_bytes", 16 * 1024 * 1024),
    ("grpc.http2.bdp_probe", 0),
    (ChannelOptions.SingleThreadedUnaryStream, 1),
)
_READS = ("QueryCandles", "QueryFundingRates", "QueryOpenInterest", "QueryFrame", "ReadSnapshot")


Given = TypeVar("Given")


class QueryOptions(TypedDict, total=False):
    """What every query takes.

    start, end
        Rows in [start, end); None is open.
    limit, newest_first
        The first `limit` rows, or the last with `newest_first`; always in ascending order. 0 is all.
    as_of
        What was known then, before later revisions; None is now.
    columns
        Only these, in this order; none are all.
    float32
        Values of half the size, with 7 digits.
    """

    start: datetime | None
    end: datetime | None
    limit: int
    newest_first: bool
    as_of: datetime | None
    columns: Sequence[str]
    float32: bool


class Queries(Generic[Given]):
    """What can be asked for rows. `give` makes of a table what is given to the caller."""

    def __init__(self, streams: dict[str, Callable[..., Any]], give: Callable[[pa.Table], Given]) -> None:
        self._streams = streams
        self._give = give

    def query_candles(
        self,
        venue: str,
        symbol: str,
        timeframe: str,
        *,
        resample_timeframe: str = "",
        **options: Unpack[QueryOptions],
    ) -> Given:
        """Candles; with `resample_timeframe` the bars of that longer timeframe which they make up, each once
        its time is over. For the options see `QueryOptions`."""
        keys = [_key(venue, symbol, timeframe)]
        request = query_message(pb.QueryCandlesRequest, keys, options, resample_timeframe=resample_timeframe)
        return self._read("QueryCandles", request)

    def query_funding_rates(self, venue: str, symbol: str, **options: Unpack[QueryOptions]) -> Given:
        """Funding rates, as `query_candles`."""
        request = query_message(pb.QueryFundingRatesRequest, [_key(venue, symbol)], options)
        return self._read("QueryFundingRates", request)

    def query_open_interest(self, venue: str, symbol: str, **options: Unpack[QueryOptions]) -> Given:
        """Open interest, as `query_candles`."""
        request = query_message(pb.QueryOpenInterestRequest, [_key(venue, symbol)], options)
        return self._read("QueryOpenInterest", request)

    def query_frame(
        self,
        venue: str,
        symbol: str,
        timeframe: str,
        *,
        funding_max_age: timedelta | None = None,
        open_interest_max_age: timedelta | None = None,
        base_timeframe: str = "",
        reference: Instrument | None = None,
        **options: Unpack[QueryOptions],
    ) -> Given:
        """Closed candles with the newest funding rate and open interest known at each bar's close.

        Columns: those of candles, `funding_rate`, `funding_time`, `funding_rate_missing`, `open_interest`,
        `open_interest_time`, `open_interest_missing`. A value older than its maximum age is missing; None
        takes one and a half times the time between the two newest settlements known then for funding, and
        the larger of 2 hours and 2 bars for open interest. Bars that are not stored are made of the longest
        shorter ones that are, or of those of `base_timeframe`.

        With a `reference` (venue, symbol) its `reference_close`, `reference_volume`, `reference_funding_rate`
        and `reference_open_interest` stand beside them, of the same bars, NaN where it has none.
        """
        ages = (funding_max_age, open_interest_max_age)
        request = _frame_request([_key(venue, symbol, timeframe)], ages, base_timeframe, reference, options)
        return self._read("QueryFrame", request)

    def query_candles_of_many(
        self,
        series: Sequence[tuple[str, str, str]],
        *,
        resample_timeframe: str = "",
        **options: Unpack[QueryOptions],
    ) -> dict[tuple[str, str, str], Given]:
        """Candles of up to 100 series (venue, symbol, timeframe) in one stream. The options hold for each."""
        keys = [_key(*each) for each in series]
        request = query_message(pb.QueryCandlesRequest, keys, options, resample_timeframe=resample_timeframe)
        return dict(zip(series, self._read_many("QueryCandles", request), strict=True))

    def query_funding_rates_of_many(
        self, series: Sequence[tuple[str, str]], **options: Unpack[QueryOptions]
    ) -> dict[tuple[str, str], Given]:
        """Funding rates of up to 100 instruments (venue, symbol) in one stream."""
        request = query_message(pb.QueryFundingRatesRequest, [_key(*each) for each in series], options)
        return dict(zip(series, self._read_many("QueryFundingRates", request), strict=True))

    def query_open_interest_of_many(
        self, series: Sequence[tuple[str, str]], **options: Unpack[QueryOptions]
    ) -> dict[tuple[str, str], Given]:
        """Open interest of up to 100 instruments (venue, symbol) in one stream."""
        request = query_message(pb.QueryOpenInterestRequest, [_key(*each) for each in series], options)
        return dict(zip(series, self._read_many("QueryOpenInterest", request), strict=True))

    def query_frame_of_many(
        self,
        series: Sequence[tuple[str, str, str]],
        *,
        funding_max_age: timedelta | None = None,
        open_interest_max_age: timedelta | None = None,
        base_timeframe: str = "",
        reference: Instrument | None = None,
        **options: Unpack[QueryOptions],
    ) -> dict[tuple[str, str, str], Given]:
        """Aligned frames of up to 100 series (venue, symbol, timeframe) in one stream, each with the same
        `reference` beside it."""
        ages = (funding_max_age, open_interest_max_age)
        request = _frame_request([_key(*each) for each in series], ages, base_timeframe, reference, options)
        return dict(zip(series, self._read_many("QueryFrame", request), strict=True))

    def read_snapshot(self, snapshot_id: str) -> Given:
        """A snapshot's rows, verified; columns as in `query_frame`."""
        return self._read("ReadSnapshot", pb.ReadSnapshotRequest(snapshot_id=snapshot_id))

    def _read(self, name: str, request: Any) -> Given:
        with self._streams[name](request) as messages:
            return self._give(read_chunks(messages))

    def _read_many(self, name: str, request: Any) -> list[Given]:
        with self._streams[name](request) as messages:
            return [self._give(table) for table in read_frames(messages)]


class DataQueries(Connection, Queries[pd.DataFrame]):
    """The part of `DataClient` that asks for rows.

    Attributes
    ----------
    tables
        The same queries, as Arrow tables: the rows as they came, the series in the metadata of the schema.
    """

    def __init__(self, target: str = "127.0.0.1:50051", *, tls: Tls | None = None) -> None:
        Connection.__init__(self, _SERVICE, target, tls, not_repeatable=_UPLOADS, options=_OPTIONS)
        streams = {name: stream_bytes(self._channel, _SERVICE.methods_by_name[name]) for name in _READS}
        Queries.__init__(self, streams, to_frame)
        self.tables: Queries[pa.Table] = Queries(streams, _as_it_came)


def _as_it_came(table: pa.Table) -> pa.Table:
    return table


def _key(venue: str, symbol: str, timeframe: str = "") -> market_pb2.SeriesKey:
    return market_pb2.SeriesKey(venue=venue, symbol=symbol, timeframe=timeframe)


def _frame_request(
    keys: Sequence[market_pb2.SeriesKey],
    ages: tuple[timedelta | None, timedelta | None],
    base_timeframe: str,
    reference: Instrument | None,
    options: QueryOptions,
) -> pb.QueryFrameRequest:
    frame = frame_spec(
        keys[0] if keys else market_pb2.SeriesKey(),
        options.get("start"),
        options.get("end"),
        options.get("as_of"),
        *ages,
        base_timeframe,
        reference,
    )
    return pb.QueryFrameRequest(
        frame=frame,
        limit=options.get("limit", 0),
        newest_first=options.get("newest_first", False),
        columns=options.get("columns", ()),
        float32=options.get("float32", False),
        more_series=keys[1:],
    )
