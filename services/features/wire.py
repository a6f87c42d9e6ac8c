"""Messages to domain values and back, in adjacent pairs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from marketml.features.v1 import features_pb2 as pb
from marketml.market.v1 import market_pb2
from marketml.rpc.refusals import InvalidArgument, Violation
from marketml.timeframes import TIMEFRAMES
from services.features.answer import Review
from services.features.catalogue import Entry
from services.features.feature import Family
from services.features.plan import Omission
from services.features.source import SeriesKey, SeriesSource, SnapshotSource, Source

_SNAPSHOT_ID = re.compile(r"[0-9a-f]{64}")
_FAMILIES = {pb.FeatureFamily.Value(f"FEATURE_FAMILY_{family.name}"): family for family in Family}
_NUMBERS: dict[Family, Any] = {family: number for number, family in _FAMILIES.items()}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_source(
    request: pb.GenerateFeaturesRequest
    | pb.AuditLeakageRequest
    | pb.SelectFeaturesRequest
    | pb.SelectionSource,
) -> Source:
    """Where the bars come from. What only the data room can tell (an unknown venue or snapshot) it tells."""
    kind = request.WhichOneof("source")
    if kind is None:
        raise InvalidArgument.of("source", "required", "must be snapshot_id or series: it is absent.")
    if kind == "snapshot_id":
        if not _SNAPSHOT_ID.fullmatch(request.snapshot_id):
            raise InvalidArgument.of(
                "snapshot_id",
                "format",
                f"must be 64 lower-case hexadecimal digits: {request.snapshot_id!r:.100}.",
            )
        return SnapshotSource(request.snapshot_id)
    return _read_series(request.series)


def write_key(key: SeriesKey) -> market_pb2.SeriesKey:
    return market_pb2.SeriesKey(venue=key.venue, symbol=key.symbol, timeframe=key.timeframe)


def write_family(family: Family) -> Any:
    return _NUMBERS[family]


def write_review(review: Review) -> pb.ValidateFeatureConfigResponse:
    return pb.ValidateFeatureConfigResponse(
        violations=[
            market_pb2.Violation(
                field=violation.field, rule=violation.rule, description=violation.description
            )
            for violation in review.violations
        ],
        warnings=review.warnings,
        feature_count=review.feature_count,
        warm_up_bars=review.warm_up_bars,
    )


def read_family(request: pb.ListFeaturesRequest) -> Family | None:
    """The family to list, None for all."""
    if not request.HasField("family"):
        return None
    if request.family not in _FAMILIES:
        names = ", ".join(pb.FeatureFamily.Name(number) for number in _FAMILIES)
        raise InvalidArgument.of(
            "family", "unknown", f"must be one of {names}, or absent: {int(request.family)}."
        )
    return _FAMILIES[request.family]


def write_entry(entry: Entry) -> pb.FeatureInfo:
    return pb.FeatureInfo(
        name=entry.name,
        family=_NUMBERS[entry.family],
        group=entry.group,
        inputs=entry.inputs,
        parameters=entry.parameters,
        lookback_bars=entry.lookback_bars,
        description=entry.description,
        cost_microseconds=entry.cost_microseconds,
        is_default=entry.is_default,
        presets=entry.presets,
    )


def read_latest(
    request: pb.GetLatestFeaturesRequest,
) -> tuple[SeriesKey, SeriesKey | None, datetime | None]:
    """Whose newest bar, with what reference beside it, and as known when."""
    violations = _key_violations(request.series, "series")
    reference = _read_reference(request, request.series, "reference", violations)
    as_of = _read_time(request, "as_of_time", "as_of_time", violations, up=False)
    if violations:
        raise InvalidArgument(violations)
    return _read_key(request.series), reference, as_of


def write_omission(omission: Omission) -> pb.OmittedFeature:
    return pb.OmittedFeature(name=omission.name, missing_column=omission.missing_column)


def _key_violations(key: market_pb2.SeriesKey, path: str) -> list[Violation]:
    violations = [
        Violation(f"{path}.{name}", "required", "must be given: it is empty.")
        for name in ("venue", "symbol")
        if not getattr(key, name)
    ]
    if key.timeframe not in TIMEFRAMES:
        described = f"must be one of {' '.join(TIMEFRAMES)}: {key.timeframe!r:.60}."
        violations.append(Violation(f"{path}.timeframe", "unknown", described))
    return violations


def _read_series(message: market_pb2.SeriesRange) -> SeriesSource:
    violations = _key_violations(message.series, "series.series")
    reference = _read_reference(message, message.series, "series.reference", violations)
    start = _read_time(message.range, "start_time", "series.range.start_time", violations)
    end = _read_time(message.range, "end_time", "series.range.end_time", violations)
    as_of = _read_time(message, "as_of_time", "series.as_of_time", violations, up=False)
    if start is not None and end is not None and start >= end:
        violations.append(
            Violation(
                "series.range.end_time",
                "range",
                f"must be later than start_time {start.isoformat()}: {end.isoformat()}.",
            )
        )
    if violations:
        raise InvalidArgument(violations)
    return SeriesSource(_read_key(message.series), start, end, as_of, reference)


def _read_key(key: market_pb2.SeriesKey) -> SeriesKey:
    return SeriesKey(key.venue, key.symbol, key.timeframe)


def _read_reference(
    message: market_pb2.SeriesRange | pb.GetLatestFeaturesRequest,
    series: market_pb2.SeriesKey,
    path: str,
    violations: list[Violation],
) -> SeriesKey | None:
    """The instrument beside a series, in bars of the same timeframe."""
    if not message.HasField("reference"):
        return None
    given = message.reference
    violations += [each for each in _key_violations(given, path) if each.rule == "required"]
    if given.timeframe not in ("", series.timeframe):
        described = f"must be empty or the series' {series.timeframe:.60}: {given.timeframe!r:.60}."
        violations.append(Violation(f"{path}.timeframe", "same", described))
    elif (given.venue, given.symbol) == (series.venue, series.symbol):
        described = f"must be another one than the series: {given.venue:.60} {given.symbol:.60}."
        violations.append(Violation(path, "other", described))
    return SeriesKey(given.venue, given.symbol, series.timeframe)


def _read_time(
    message: Any, name: str, path: str, violations: list[Violation], *, up: bool = True
) -> datetime | None:
    """In microseconds; a finer time goes up, so that half-open bounds keep their meaning, or down."""
    if not message.HasField(name):
        return None
    stamp = getattr(message, name)
    try:
        if not 0 <= stamp.nanos < 10**9:
            raise OverflowError
        microseconds = -(-stamp.nanos // 1000) if up else stamp.nanos // 1000
        return _EPOCH + timedelta(seconds=stamp.seconds, microseconds=microseconds)
    except OverflowError:
        violations.append(
            Violation(
                path, "range", f"must be a time of the years 1 to 9999: {stamp.seconds} s {stamp.nanos} ns."
            )
        )
        return None
