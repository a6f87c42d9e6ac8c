"""The exchange part of CollectSeries: its request, and what it streams."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from marketml.data.v1 import data_pb2 as pb
from marketml.rpc.refusals import InvalidArgument, Violation
from services.data import wire
from services.data.collection import CollectionRequest, SeriesOutcome, SeriesProgress
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
    start_us, end_us = (
        wire.instant_us(getattr(source, name), f"exchange.{name}") if source.HasField(name) else None
        for name in ("start_time", "end_time")
    )
    if start_us is not None and start_us < 0:
        raise InvalidArgument.of("exchange.start_time", "range", "must not be before 1970-01-01.")
    if start_us is not None and end_us is not None and end_us <= start_us:
        raise InvalidArgument.of("exchange.end_time", "after_start", "must be later than start_time.")
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
    target = pb.CollectionTarget(
        kind=series.kind.number,  # type: ignore[arg-type]
        key=wire.written_key(series),
    )
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
    )
    if part.remaining_seconds is not None:
        micros = int(part.remaining_seconds * 1e6)
        progress.remaining_time.CopyFrom(
            Duration(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1000)
        )
    return pb.CollectSeriesResponse(progress=progress)
