"""The data room as Python sees it: DataFrames in and out.

    with DataClient("127.0.0.1:50051") as data:
        data.ingest_candles(frame, "binance", "BTC/USDT:USDT", "1h", source="file")
        candles = data.query_candles("binance", "BTC/USDT:USDT", "1h", start=datetime(2024, 1, 1, tzinfo=UTC))
        snapshot = data.create_snapshot("binance", "BTC/USDT:USDT", "1h")
        frame = data.read_snapshot(snapshot.snapshot_id)
        table = data.tables.read_snapshot(snapshot.snapshot_id)  # pyarrow, as every other query

Frames of candles are indexed by `open_time`, those of funding rates and open interest by `time`: UTC,
strictly increasing when they come back, in any order when they are sent. Absent numbers are NaN. Moments are
aware datetimes or pandas Timestamps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa

from marketml.clients.connection import every, new_request_id
from marketml.clients.data_messages import Instrument, enum_number, frame_spec, ingest_header
from marketml.clients.data_policies import PolicyCalls
from marketml.clients.data_quality import QualityCalls
from marketml.clients.data_queries import DataQueries
from marketml.clients.data_symbols import SymbolCalls
from marketml.data.v1 import data_pb2 as pb
from marketml.data.v1.data_pb2_grpc import DataServiceStub
from marketml.market.v1 import market_pb2
from marketml.rpc.channels import Tls
from marketml.rpc.frames import cut, to_table
from marketml.rpc.refusals import ResourceExhausted, Unavailable

INGEST_ATTEMPTS = 4


class DataClient(PolicyCalls, QualityCalls, SymbolCalls, DataQueries):
    """A connection to the data room. Its methods raise the classes of `marketml.rpc.refusals`.

    Calls that change something carry a `request_id`, so that they can be sent again: give your own to be able
    to repeat them after a crash. An ingest needs none: the same rows sent again change nothing.
    """

    def __init__(self, target: str = "127.0.0.1:50051", *, tls: Tls | None = None) -> None:
        super().__init__(target, tls=tls)
        stub: Any = DataServiceStub
        self._stub = stub(self._channel)

    def ingest_candles(
        self,
        frame: pd.DataFrame,
        venue: str,
        symbol: str,
        timeframe: str,
        *,
        source: str = "",
        on_conflict: str | int | None = None,
        on_invalid: str | int | None = None,
        capture_time: datetime | None = None,
    ) -> pb.IngestReport:
        """Store candles: all of the frame or nothing.

        Parameters
        ----------
        frame
            Index `open_time`; columns `open high low close` and any of `volume quote_volume trade_count
            taker_buy_volume`.
        on_conflict
            `revise` (the default), `keep` or `refuse`, for rows that are stored with other values.
        on_invalid
            `refuse` (the default) or `skip`, for rows that cannot be true.
        capture_time
            When the rows became known; then those that repeat stored values are kept, too, so that calls may
            come in any order. None is now.
        """
        header = ingest_header(venue, symbol, timeframe, source, on_conflict, on_invalid, capture_time)
        return self._ingest(self._stub.IngestCandles, pb.IngestCandlesRequest, header, frame, "open_time")

    def ingest_funding_rates(
        self,
        frame: pd.DataFrame,
        venue: str,
        symbol: str,
        *,
        source: str = "",
        on_conflict: str | int | None = None,
        on_invalid: str | int | None = None,
        capture_time: datetime | None = None,
    ) -> pb.IngestReport:
        """Store funding rates: index `time`, columns `funding_rate` and perhaps `mark_price`."""
        header = ingest_header(venue, symbol, "", source, on_conflict, on_invalid, capture_time)
        return self._ingest(
            self._stub.IngestFundingRates, pb.IngestFundingRatesRequest, header, frame, "time"
        )

    def ingest_open_interest(
        self,
        frame: pd.DataFrame,
        venue: str,
        symbol: str,
        *,
        source: str = "",
        on_conflict: str | int | None = None,
        on_invalid: str | int | None = None,
        capture_time: datetime | None = None,
    ) -> pb.IngestReport:
        """Store open interest: index `time`, columns `open_interest` and perhaps `open_interest_value`."""
        header = ingest_header(venue, symbol, "", source, on_conflict, on_invalid, capture_time)
        return self._ingest(
            self._stub.IngestOpenInterest, pb.IngestOpenInterestRequest, header, frame, "time"
        )

    def collect_series(
        self, source: pb.ExchangeSource | pb.FileSource
    ) -> Generator[pb.CollectSeriesResponse, None, None]:
        """Have the room pull series from exchanges, or take dump files of its import folder.

        Yields how far each is, and once for each how it ended. When one failed, the refusal comes after the
        outcomes of all. Closing the iterator stops the room after the page or file under way.
        """
        if isinstance(source, pb.FileSource):
            request = pb.CollectSeriesRequest(files=source)
        else:
            request = pb.CollectSeriesRequest(exchange=source)
        responses = self._stub.CollectSeries(request)
        try:
            yield from responses
        finally:
            responses.cancel()

    def get_frame_state(
        self,
        venue: str,
        symbol: str,
        timeframe: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        as_of: datetime | None = None,
        funding_max_age: timedelta | None = None,
        open_interest_max_age: timedelta | None = None,
        base_timeframe: str = "",
        reference: Instrument | None = None,
    ) -> str:
        """A word that is another one whenever `query_frame` may give other rows, told without reading any.

        Ask for it before the rows: while it stays the same, they are still what `query_frame` would give,
        with the same limit or form.
        """
        key = market_pb2.SeriesKey(venue=venue, symbol=symbol, timeframe=timeframe)
        ages = (funding_max_age, open_interest_max_age)
        frame = frame_spec(key, start, end, as_of, *ages, base_timeframe, reference)
        response: pb.GetFrameStateResponse = self._stub.GetFrameState(pb.GetFrameStateRequest(frame=frame))
        return response.state

    def create_snapshot(
        self,
        venue: str,
        symbol: str,
        timeframe: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        as_of: datetime | None = None,
        funding_max_age: timedelta | None = None,
        open_interest_max_age: timedelta | None = None,
        base_timeframe: str = "",
        reference: Instrument | None = None,
        request_id: str | None = None,
    ) -> pb.Snapshot:
        """Freeze the frame that `query_frame` gives. The same rows give the same snapshot."""
        key = market_pb2.SeriesKey(venue=venue, symbol=symbol, timeframe=timeframe)
        ages = (funding_max_age, open_interest_max_age)
        frame = frame_spec(key, start, end, as_of, *ages, base_timeframe, reference)
        request = pb.CreateSnapshotRequest(frame=frame, request_id=request_id or new_request_id())
        response: pb.CreateSnapshotResponse = self._stub.CreateSnapshot(request)
        return response.snapshot

    def get_snapshot(self, snapshot_id: str) -> pb.Snapshot:
        """What is known of a snapshot, without its rows."""
        response: pb.GetSnapshotResponse = self._stub.GetSnapshot(
            pb.GetSnapshotRequest(snapshot_id=snapshot_id)
        )
        return response.snapshot

    def list_snapshots(self, *, page_size: int = 0) -> list[pb.Snapshot]:
        """All snapshots, newest first."""
        request = pb.ListSnapshotsRequest(page_size=page_size)
        return every(self._stub.ListSnapshots, request, "snapshots")

    def delete_snapshot(self, snapshot_id: str, *, request_id: str | None = None) -> int:
        """Delete a snapshot and its file; returns the bytes freed."""
        request = pb.DeleteSnapshotRequest(snapshot_id=snapshot_id, request_id=request_id or new_request_id())
        response: pb.DeleteSnapshotResponse = self._stub.DeleteSnapshot(request)
        return response.freed_bytes

    def list_series(
        self, *, venue: str = "", symbol: str = "", kind: str | int | None = None, page_size: int = 0
    ) -> list[pb.Series]:
        """Series and their coverage, by venue, symbol, kind and timeframe. `kind` is `candles`,
        `funding_rates`, `open_interest`, or None for all."""
        number = enum_number(pb.SeriesKind, "SERIES_KIND", kind, "kind")
        request = pb.ListSeriesRequest(venue=venue, symbol=symbol, kind=number, page_size=page_size)
        return every(self._stub.ListSeries, request, "series")

    def delete_series(
        self,
        kind: str | int,
        venue: str,
        symbol: str,
        timeframe: str = "",
        *,
        dry_run: bool = False,
        force: bool = False,
        request_id: str | None = None,
    ) -> int:
        """Delete a series with all its revisions, or with `dry_run` count them. Refused while a snapshot was
        made from it, unless `force`."""
        request = pb.DeleteSeriesRequest(
            kind=enum_number(pb.SeriesKind, "SERIES_KIND", kind, "kind"),
            key=market_pb2.SeriesKey(venue=venue, symbol=symbol, timeframe=timeframe),
            dry_run=dry_run,
            force=force,
            request_id=request_id or new_request_id(),
        )
        response: pb.DeleteSeriesResponse = self._stub.DeleteSeries(request)
        return response.deleted_count

    def _ingest(
        self,
        method: Callable[..., Any],
        message: Callable[..., Any],
        header: pb.IngestHeader,
        frame: pd.DataFrame,
        time_column: str,
    ) -> pb.IngestReport:
        table = to_table(frame.rename_axis(time_column), increasing=False)
        for attempts_left in range(INGEST_ATTEMPTS - 1, -1, -1):
            try:
                report: pb.IngestReport = method(_upload(message, header, table)).report
                return report
            except (Unavailable, ResourceExhausted) as refusal:
                if not attempts_left or refusal.retry_after_seconds is None:
                    raise
                time.sleep(refusal.retry_after_seconds)
        raise AssertionError("unreachable")


def _upload(message: Callable[..., Any], header: pb.IngestHeader, table: pa.Table) -> Iterator[Any]:
    yield message(header=header)
    for ipc in cut(table):
        yield message(arrow_ipc=ipc)
