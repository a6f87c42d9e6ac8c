"""The exchange part of CollectSeries: its request, and what it streams."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from marketml.data.v1 import data_pb2 as pb
from marketml.rpc.refusals import InvalidArgument, Violation
from services.data import wire
from services.data.collection.outcomes import CollectionRequest, SeriesOutcome, SeriesProgress
from services.data.series import KINDS, Series, series_violations

SERIES_MAX = 100
FIELD = "exchange.series"


def read_exchange_source(source: pb.ExchangeSource) -> CollectionRequest:
    """ExchangeSource."""
    if not 1 <= len(source.series) <= SERIES_MAX:
        raise InvalidArgument.of(
            FIELD, "count", f"must name 1 to {SERIES_MAX} series, not {len(source.series)}."
        )
    found: list[Violation] = []
    series = [read_target(target, f"{FIELD}[{i}]", found) for i, target in enumerate(source.series)]
    found += [
        Violation(f"{FIELD}[{i}]", "repeated", f"must not be there twice: {each.name}.")
        for i, each in enumerate(series)
        if each is not None and each in series[:i]
    ]
    if found:
        raise InvalidArgument(found)
    start_us = wire.read_start(source, "exchange")
    _, end_us = wire.read_range(source, "exchange")
    return CollectionRequest(tuple(each for each in series if each is not None), start_us, end_us)


def read_target(target: pb.CollectionTarget, field: str, found: list[Violation]) -> Series | None:
    """A series to collect; what is wrong with it goes to `found`."""
    if target.kind not in KINDS:
        rule = "unknown" if target.kind else "required"
        said = f"must be one of the kinds of series, not {target.kind}."
        found.append(Violation(f"{field}.kind", rule, said))
        return None
    series = Series(KINDS[target.kind], target.key.venue, target.key.symbol, target.key.timeframe)
    found += series_violations(series, f"{field}.key")
    return series


def written_part(part: SeriesProgress | SeriesOutcome) -> pb.CollectSeriesResponse:
    """One message of the stream."""
    series, report = part.series, part.report
    target = wire.written_target(series)
    if isinstance(part, SeriesOutcome):
        return pb.CollectSeriesResponse(
            outcome=pb.CollectionOutcome(
                series=target,
                report=wire.written_report(report),
                missing_bars_count=part.missing_count,
                failure=part.failure,
                failure_reason=part.failure_reason,
                notes=part.notes,
            )
        )
    progress = pb.CollectionProgress(
        series=target,
        received=report.received_count,
        inserted=report.counts.inserted,
        revised=report.counts.revised,
        missing_bars_count=part.missing_count,
        newest_time=wire.written_instant(report.last_time_us),
        progress_fraction=part.fraction,
        waiting_for=part.waiting_for,
        remaining_time=written_seconds(part.remaining_seconds),
    )
    return pb.CollectSeriesResponse(progress=progress)


def written_seconds(seconds: float | None) -> Duration | None:
    """The time that is left as a Duration."""
    return None if seconds is None else wire.written_duration(int(seconds * 1e6))
