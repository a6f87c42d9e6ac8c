"""Quality and repair of series."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa

from marketml.clients.connection import new_request_id
from marketml.clients.data_messages import enum_number, time_range, written_moment, written_span
from marketml.data.v1 import data_pb2 as pb
from marketml.market.v1 import market_pb2
from marketml.rpc.frames import to_table

REPAIR_DEADLINE_SECONDS = 600.0  # an exchange may make the room wait


class QualityCalls:
    """The part of `DataClient` that is about quality and repair."""

    _stub: Any

    def check_quality(
        self,
        kind: str | int,
        venue: str = "",
        symbol: str = "",
        timeframe: str = "",
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        as_of: datetime | None = None,
        frame: pd.DataFrame | None = None,
        rows_max: int = 0,
        jump_z: float | None = None,
        zero_volume_run_bars: int | None = None,
        stale_after: timedelta | None = None,
        unit_change_factor: float | None = None,
    ) -> pb.CheckQualityResponse:
        """What is wrong or doubtful in a series, gravest first, and a plan of what could be done about it.
        Nothing is changed.

        Parameters
        ----------
        kind
            `candles`, `funding_rates` or `open_interest`.
        frame
            Rows to look at instead of stored ones, before they are ingested: as the ingest takes them, at
            most 3 MiB. Of the series only the timeframe matters then.
        rows_max
            Places told of each finding; 0 is 20.
        jump_z, zero_volume_run_bars, stale_after, unit_change_factor
            From where on something is doubtful; None is the room's default (20, 3, three spacings, 10).
        """
        number = enum_number(pb.SeriesKind, "SERIES_KIND", kind, "kind")
        request = pb.CheckQualityRequest(
            kind=number,
            key=market_pb2.SeriesKey(venue=venue, symbol=symbol, timeframe=timeframe),
            as_of_time=written_moment(as_of, "as_of_time"),
            thresholds=pb.QualityThresholds(
                jump_z=jump_z,
                zero_volume_run_bars=zero_volume_run_bars,
                unit_change_factor=unit_change_factor,
                stale_after=written_span(stale_after),
            ),
            rows_max=rows_max,
        )
        if start is not None or end is not None:
            request.range.CopyFrom(time_range(start, end, "range"))
        if frame is not None:
            column = "open_time" if number == pb.SERIES_KIND_CANDLES else "time"
            request.arrow_ipc = _stream(to_table(frame.rename_axis(column), increasing=False))
        response: pb.CheckQualityResponse = self._stub.CheckQuality(request)
        return response

    def repair_series(
        self,
        kind: str | int,
        venue: str,
        symbol: str,
        timeframe: str = "",
        *,
        actions: Sequence[pb.RepairAction],
        request_id: str | None = None,
        deadline_seconds: float = REPAIR_DEADLINE_SECONDS,
    ) -> list[pb.RepairOutcome]:
        """Apply actions in order, those of a plan or `refetch`, `mark_missing`, `mark_absent`; what each
        did.

        What was known before stays readable with `as_of`. Where the deadline passes, the actions before are
        done: the same request with the same `request_id` goes on after them.
        """
        request = pb.RepairSeriesRequest(
            kind=enum_number(pb.SeriesKind, "SERIES_KIND", kind, "kind"),
            key=market_pb2.SeriesKey(venue=venue, symbol=symbol, timeframe=timeframe),
            actions=actions,
            request_id=request_id or new_request_id(),
        )
        response: pb.RepairSeriesResponse = self._stub.RepairSeries(request, timeout=deadline_seconds)
        return list(response.outcomes)


def refetch(start: datetime, end: datetime) -> pb.RepairAction:
    """The action that asks the exchange for [start, end) again."""
    return pb.RepairAction(refetch=time_range(start, end, "refetch"))


def mark_missing(start: datetime, end: datetime) -> pb.RepairAction:
    """The action that takes [start, end) as missing from now on."""
    return pb.RepairAction(mark_missing=time_range(start, end, "mark_missing"))


def mark_absent(start: datetime, end: datetime) -> pb.RepairAction:
    """The action that takes the bars that are absent in [start, end) as missing from now on; rows stay."""
    return pb.RepairAction(mark_absent=time_range(start, end, "mark_absent"))


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    stream: bytes = sink.getvalue().to_pybytes()
    return stream
