"""Quality and repair on the wire."""

from __future__ import annotations

import math
from typing import Any

from marketml.data.v1 import data_pb2 as pb
from marketml.market.v1 import market_pb2
from marketml.rpc.refusals import InvalidArgument, Violation
from services.data.quality.doubts import DEFAULTS, Thresholds
from services.data.quality.findings import Finding
from services.data.quality.inspections import Question
from services.data.quality.repairs import ACTIONS_MAX, Action, Outcome, Remedy
from services.data.quality.rules import PLACES_MAX, Inspection
from services.data.series import Series, series_violations
from services.data.uploads import Piece
from services.data.wire import (
    read_age,
    read_kind,
    read_optional_time,
    read_range,
    read_series,
    refuse,
    written_duration,
    written_instant,
)
from services.data.wire_rows import read_arrow

GIVEN_BYTES_MAX = 3 * 1024**2
GIVEN_ROWS_MAX = 600_000
PLACES_LIMIT = 1000


def read_question(request: pb.CheckQualityRequest) -> tuple[Question, Piece | None]:
    """CheckQualityRequest: what to look at, and the rows that are given for it."""
    kind = read_kind(request.kind)
    piece = None
    if request.arrow_ipc:
        series = Series(kind, request.key.venue, request.key.symbol, request.key.timeframe)
        found = series_violations(series, "key")
        refuse([one for one in found if one.field == "key.timeframe"])
        for name in ("range", "as_of_time"):
            if request.HasField(name):
                raise InvalidArgument.of(name, "empty", "must be absent with arrow_ipc: it is all looked at.")
    else:
        series = read_series(kind, request.key, "key")
    start_us, end_us = read_range(request.range, "range")
    as_of_us = read_optional_time(request, "as_of_time", "as_of_time")
    if not 0 <= request.rows_max <= PLACES_LIMIT:
        raise InvalidArgument.of("rows_max", "range", f"must be 0 to {PLACES_LIMIT}, not {request.rows_max}.")
    thresholds = _read_thresholds(request.thresholds)
    if request.arrow_ipc:
        piece = read_arrow(kind, request.arrow_ipc, GIVEN_BYTES_MAX, GIVEN_ROWS_MAX)
    places_max = request.rows_max or PLACES_MAX
    return Question(series, start_us, end_us, as_of_us, thresholds, places_max), piece


def written_inspection(inspection: Inspection, plan: list[Action]) -> pb.CheckQualityResponse:
    """What was found, and what could be done about it."""
    return pb.CheckQualityResponse(
        row_count=inspection.row_count,
        first_time=written_instant(inspection.first_time_us),
        last_time=written_instant(inspection.last_time_us),
        findings=map(_written_finding, inspection.findings),
        plan=map(written_action, plan),
        content_sha256=inspection.content_sha256,
        spacing=written_duration(inspection.spacing_us),
    )


def read_actions(request: pb.RepairSeriesRequest) -> tuple[Series, list[Action]]:
    """RepairSeriesRequest: the series and the actions, in order."""
    series = read_series(read_kind(request.kind), request.key, "key")
    count = len(request.actions)
    if not 1 <= count <= ACTIONS_MAX:
        raise InvalidArgument.of("actions", "count", f"must be 1 to {ACTIONS_MAX} actions, not {count}.")
    return series, [_read_action(each, f"actions[{place}]") for place, each in enumerate(request.actions)]


def written_outcome(action: Action, outcome: Outcome) -> pb.RepairOutcome:
    """What an action did as its message."""
    return pb.RepairOutcome(
        action=written_action(action),
        inserted=outcome.inserted,
        revised=outcome.revised,
        unchanged=outcome.unchanged,
        marked_count=outcome.marked_count,
        still_missing_count=outcome.still_missing_count,
    )


def written_action(action: Action) -> pb.RepairAction:
    """An action as its message."""
    span = market_pb2.TimeRange(
        start_time=written_instant(action.start_us), end_time=written_instant(action.end_us)
    )
    message = pb.RepairAction(rule=action.rule, rows_count=action.rows_count)
    getattr(message, action.remedy.value).CopyFrom(span)
    return message


def _read_thresholds(message: pb.QualityThresholds) -> Thresholds:
    given: dict[str, Any] = {}
    found: list[Violation] = []
    for name, least in (("jump_z", 0.0), ("unit_change_factor", 1.0)):
        if message.HasField(name):
            given[name] = value = getattr(message, name)
            if not (math.isfinite(value) and value > least):
                said = f"must be finite and above {least:g}, not {value:g}."
                found.append(Violation(f"thresholds.{name}", "range", said))
    if message.HasField("zero_volume_run_bars"):
        given["zero_volume_run_bars"] = bars = message.zero_volume_run_bars
        if bars < 1:
            said = f"must be at least 1, not {bars}."
            found.append(Violation("thresholds.zero_volume_run_bars", "range", said))
    refuse(found)
    if message.HasField("stale_after"):
        given["stale_after_us"] = read_age(message.stale_after, "thresholds.stale_after")
    return Thresholds(**given) if given else DEFAULTS


def _read_action(message: pb.RepairAction, field: str) -> Action:
    choice = message.WhichOneof("action")
    if choice is None:
        raise InvalidArgument.of(
            f"{field}.action", "required", "must be refetch, mark_missing or mark_absent."
        )
    span = getattr(message, choice)
    refuse(
        [
            Violation(f"{field}.{choice}.{name}", "required", "must be given.")
            for name in ("start_time", "end_time")
            if not span.HasField(name)
        ]
    )
    start_us, end_us = read_range(span, f"{field}.{choice}")
    assert start_us is not None
    assert end_us is not None
    return Action(Remedy(choice), start_us, end_us)


def _written_finding(finding: Finding) -> pb.QualityFinding:
    return pb.QualityFinding(
        rule=finding.rule,
        severity=int(finding.severity),  # type: ignore[arg-type]
        count=finding.count,
        places_count=finding.places_count,
        rows=[
            pb.QualityRow(
                time=written_instant(place.time_us),
                end_time=written_instant(place.end_us),
                rows_count=place.rows_count,
                value=place.value,
            )
            for place in finding.places
        ],
        description=finding.description,
    )
