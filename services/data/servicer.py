"""DataService on the wire: a method reads its request, asks the application once, and writes the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

from marketml.data.v1 import data_pb2 as pb
from marketml.rpc.refusals import InvalidArgument
from services.data import (
    wire,
    wire_collection,
    wire_files,
    wire_inference,
    wire_policies,
    wire_queries,
    wire_rows,
)
from services.data.application import DataApplication
from services.data.series import CANDLES, FUNDING_RATES, OPEN_INTEREST, Kind
from services.data.servicer_policies import PolicyServicer
from services.data.servicer_quality import QualityServicer
from services.data.uploads import Header, Upload
from services.host import Call


class DataServicer(PolicyServicer, QualityServicer):
    """The methods of DataService, as the host calls them."""

    def __init__(self, application: DataApplication) -> None:
        self._application = application

    async def IngestCandles(self, requests: AsyncIterator[Any], call: Call) -> pb.IngestCandlesResponse:
        begin = self._application.ingest_candles
        return pb.IngestCandlesResponse(report=await _ingest(CANDLES, begin, requests, call))

    async def IngestFundingRates(
        self, requests: AsyncIterator[Any], call: Call
    ) -> pb.IngestFundingRatesResponse:
        begin = self._application.ingest_funding_rates
        return pb.IngestFundingRatesResponse(report=await _ingest(FUNDING_RATES, begin, requests, call))

    async def IngestOpenInterest(
        self, requests: AsyncIterator[Any], call: Call
    ) -> pb.IngestOpenInterestResponse:
        begin = self._application.ingest_open_interest
        return pb.IngestOpenInterestResponse(report=await _ingest(OPEN_INTEREST, begin, requests, call))

    async def CollectSeries(
        self, request: pb.CollectSeriesRequest, call: Call
    ) -> AsyncIterator[pb.CollectSeriesResponse]:
        if request.WhichOneof("source") == "files":
            async for part in self._collect_files(request.files, call):
                yield part
            return
        if request.WhichOneof("source") != "exchange":
            raise InvalidArgument.of("source", "required", "must be exchange or files.")
        wanted = wire_collection.read_exchange_source(request.exchange)
        async with aclosing(self._application.collect_series(wanted, call.run, call.check)) as parts:
            async for each in parts:
                yield wire_collection.written_part(each)

    async def _collect_files(
        self, source: pb.FileSource, call: Call
    ) -> AsyncIterator[pb.CollectSeriesResponse]:
        parts = self._application.collect_files(wire_files.read_file_source(source), call.check)
        call.closer = parts.close
        while (part := await call.run(next, parts, None)) is not None:
            yield wire_files.written_file_part(part)

    def QueryCandles(self, request: pb.QueryCandlesRequest, call: Call) -> Iterator[bytes]:
        query = wire_queries.read_query(CANDLES, request)
        return wire.written_chunks(self._application.query_candles(query, call.check))

    def QueryFundingRates(self, request: pb.QueryFundingRatesRequest, call: Call) -> Iterator[bytes]:
        query = wire_queries.read_query(FUNDING_RATES, request)
        return wire.written_chunks(self._application.query_funding_rates(query, call.check))

    def QueryOpenInterest(self, request: pb.QueryOpenInterestRequest, call: Call) -> Iterator[bytes]:
        query = wire_queries.read_query(OPEN_INTEREST, request)
        return wire.written_chunks(self._application.query_open_interest(query, call.check))

    def QueryFrame(self, request: pb.QueryFrameRequest, call: Call) -> Iterator[bytes]:
        query = wire_queries.read_frame_query(request)
        return wire.written_chunks(self._application.query_frame(query, call.check))

    async def GetFrameState(self, request: pb.GetFrameStateRequest, call: Call) -> pb.GetFrameStateResponse:
        spec = wire_queries.read_frame(request.frame)
        if (state := self._application.remembered_frame_state(spec)) is None:
            state = await call.run(self._application.get_frame_state, spec, call.check)
        return pb.GetFrameStateResponse(state=state)

    def CreateSnapshot(self, request: pb.CreateSnapshotRequest, call: Call) -> pb.CreateSnapshotResponse:
        snapshot = self._application.create_snapshot(
            wire_queries.read_frame(request.frame),
            request_id=request.request_id,
            body=wire.canonical(request),
            check=call.check,
        )
        return pb.CreateSnapshotResponse(snapshot=wire_queries.written_snapshot(snapshot))

    def GetSnapshot(self, request: pb.GetSnapshotRequest, _call: Call) -> pb.GetSnapshotResponse:
        snapshot = self._application.get_snapshot(wire.read_snapshot_id(request.snapshot_id))
        return pb.GetSnapshotResponse(snapshot=wire_queries.written_snapshot(snapshot))

    def ListSnapshots(self, request: pb.ListSnapshotsRequest, _call: Call) -> pb.ListSnapshotsResponse:
        count = wire.read_page_size(request.page_size)
        after = wire.read_page_token(request.page_token, (), (int, str))
        found = self._application.list_snapshots(after, count + 1)
        response = pb.ListSnapshotsResponse(snapshots=map(wire_queries.written_snapshot, found[:count]))
        if len(found) > count:
            last = found[count - 1]
            response.next_page_token = wire.written_page_token((), (last.create_time_us, last.snapshot_id))
        return response

    def ReadSnapshot(self, request: pb.ReadSnapshotRequest, _call: Call) -> Iterator[bytes]:
        snapshot_id = wire.read_snapshot_id(request.snapshot_id)
        return wire.written_chunks(self._application.read_snapshot(snapshot_id))

    def DeleteSnapshot(self, request: pb.DeleteSnapshotRequest, _call: Call) -> pb.DeleteSnapshotResponse:
        freed_bytes = self._application.delete_snapshot(
            wire.read_snapshot_id(request.snapshot_id),
            request_id=request.request_id,
            body=wire.canonical(request),
        )
        return pb.DeleteSnapshotResponse(freed_bytes=freed_bytes)

    def ListSeries(self, request: pb.ListSeriesRequest, _call: Call) -> pb.ListSeriesResponse:
        venue, symbol, kind = wire.read_filter(request)
        count = wire.read_page_size(request.page_size)
        asked = (venue, symbol, kind.number if kind else 0)
        after = wire.read_page_token(request.page_token, asked, (str, str, int, str))
        found = self._application.list_series(
            venue=venue, symbol=symbol, kind=kind, after=after, count=count + 1
        )
        response = pb.ListSeriesResponse(series=map(wire_policies.written_series, found[:count]))
        if len(found) > count:
            response.next_page_token = wire.written_page_token(asked, found[count - 1].series.key)
        return response

    def NormalizeSymbol(self, request: pb.NormalizeSymbolRequest, _call: Call) -> pb.NormalizeSymbolResponse:
        return wire.written_symbol(self._application.normalize_symbol(*wire.read_spelling(request)))

    def InferSeries(self, request: pb.InferSeriesRequest, call: Call) -> pb.InferSeriesResponse:
        frame = wire_inference.read_unlabelled(request)
        return wire_inference.written_suggestions(self._application.infer_series(frame, call.check))

    def DeleteSeries(self, request: pb.DeleteSeriesRequest, _call: Call) -> pb.DeleteSeriesResponse:
        deleted_count = self._application.delete_series(
            wire.read_series(wire.read_kind(request.kind), request.key, "key"),
            dry_run=request.dry_run,
            force=request.force,
            request_id=request.request_id,
            body=wire.canonical(request),
        )
        return pb.DeleteSeriesResponse(deleted_count=deleted_count)


async def _ingest(
    kind: Kind, begin: Callable[[Header], Upload], requests: AsyncIterator[Any], call: Call
) -> pb.IngestReport:
    first = await anext(requests, None)
    if first is None:
        raise wire_rows.no_header()
    upload = begin(wire_rows.read_header(kind, first))
    call.closer = upload.close  # however the call ends, and after the work it has left on the pool
    async for request in requests:
        upload.add(await call.run(wire_rows.read_piece, kind, request))
    report = await call.run(upload.finish, call.check)
    upload.close()  # before the answer: the caller's next call finds the room
    return wire.written_report(report)
