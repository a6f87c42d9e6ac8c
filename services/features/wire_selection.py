"""SelectFeatures as messages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from marketml.features.v1 import features_pb2 as pb
from marketml.rpc.arrow import Limits, read_ipc
from marketml.rpc.refusals import InvalidArgument
from services.features.columns import Floats
from services.features.selection.choose import SelectionStep, Verdict
from services.features.selection.request import Selected, SelectionRequest
from services.features.selection.target import Target, TargetKind
from services.features.wire import read_source
from services.features.wire_config import read_config, write_config

FIELD = "target_arrow"
TARGET_BYTES_MAX = 3 * 1024**2
CLASSES_MAX = 100
# Rows as many as a source may have bars, of three columns of eight bytes at the most and their flags.
_LIMITS = Limits(rows_max=10_000_000, columns_max=3, bytes_max=10_000_000 * 25)
_EXACT_MAX = 2**53

_KINDS = {pb.TargetKind.Value(f"TARGET_KIND_{kind.name}"): kind for kind in TargetKind}
_STEPS: dict[SelectionStep | None, Any] = {None: None} | {
    step: pb.SelectionStep.Value(f"SELECTION_STEP_{step.name}") for step in SelectionStep
}


def read_selection(request: pb.SelectFeaturesRequest) -> SelectionRequest:
    """What to fit, on what.

    Raises
    ------
    InvalidArgument
        A field breaks a rule.
    ResourceExhausted
        The rows are more, or become more bytes, than are taken.
    """
    source = read_source(request)
    config = read_config(request.config)
    if not request.HasField("config"):
        config = replace(config, selection=replace(config.selection, enabled=True))
    if request.target_kind not in _KINDS:
        names = ", ".join(pb.TargetKind.Name(number) for number in _KINDS)
        raise InvalidArgument.of(
            "target_kind", "unknown", f"must be one of {names}: {int(request.target_kind)}."
        )
    open_time, target = _read_target(request.target_arrow, _KINDS[request.target_kind])
    return SelectionRequest(source, config, open_time, target, request.seed)


def write_selected(selected: Selected) -> pb.SelectFeaturesResponse:
    """What was chosen."""
    return pb.SelectFeaturesResponse(
        features=[_write_verdict(verdict) for verdict in selected.verdicts],
        config=write_config(selected.config),
        row_count=selected.row_count,
        class_counts=selected.class_counts,
        warm_up_bars=selected.warm_up_bars,
    )


def _write_verdict(verdict: Verdict) -> pb.FeatureVerdict:
    return pb.FeatureVerdict(
        name=verdict.name,
        is_selected=verdict.dropped_at is None,
        dropped_at=_STEPS[verdict.dropped_at],
        p_value=verdict.p_value,
        correlated_with=verdict.correlated_with,
        stability=verdict.stability,
        importance=verdict.importance,
        expression=verdict.expression,
    )


def _read_target(ipc: bytes, kind: TargetKind) -> tuple[pd.DatetimeIndex, Target]:
    if not ipc:
        raise InvalidArgument.of(FIELD, "required", "must be given: it is empty.")
    if len(ipc) > TARGET_BYTES_MAX:
        raise InvalidArgument.of(
            FIELD, "size", f"must have at most {TARGET_BYTES_MAX:,} bytes: {len(ipc):,}."
        )
    table = read_ipc(ipc, FIELD, _LIMITS, may_be_compressed=True)
    names = set(table.column_names)
    if not {"open_time", "target"} <= names <= {"open_time", "target", "weight"}:
        raise InvalidArgument.of(
            FIELD,
            "columns",
            f"must have open_time, target and perhaps weight: {sorted(names)!r:.200}.",
        )
    if not table.num_rows:
        raise InvalidArgument.of(FIELD, "rows", "must have rows: there are none.")
    for name in table.column_names:
        if table[name].null_count:
            raise _column(name, "null", "must have a value in every row: some are null")
    open_time = _read_times(table["open_time"])
    values = _read_classes(table["target"], kind) if kind is not TargetKind.REAL else _read_real(table)
    weights = _read_weights(table["weight"]) if "weight" in names else None
    return open_time, Target(kind, values, weights)


def _read_times(column: pa.ChunkedArray) -> pd.DatetimeIndex:
    if not pa.types.is_timestamp(column.type) or column.type.tz is None:
        raise _column("open_time", "type", f"must be a timestamp in UTC: {column.type}")
    unit: Any = column.type.unit
    stamps = column.cast(pa.int64()).to_numpy()
    falling = np.flatnonzero(stamps[1:] <= stamps[:-1])
    if len(falling):
        row = int(falling[0]) + 1
        raise _column(f"open_time[{row}]", "order", "must be later than the row before: it is not")
    if unit == "ns" and (stamps % 1000).any():
        row = int(np.argmax(stamps % 1000 != 0))
        raise _column(f"open_time[{row}]", "bar", "must be the open of a bar: it has parts of a microsecond")
    index = pd.DatetimeIndex(stamps.view(f"datetime64[{unit}]")).tz_localize("UTC")
    try:
        return index.as_unit("us")
    except (OverflowError, ValueError):
        raise _column("open_time", "range", "must be times of the years 1 to 9999") from None


def _read_classes(column: pa.ChunkedArray, kind: TargetKind) -> Floats:
    if not pa.types.is_integer(column.type):
        raise _column("target", "type", f"must be integers, the classes: {column.type}")
    classes = column.unique()
    wanted, sentence = (
        ((2, 2), "two classes") if kind is TargetKind.BINARY else ((3, CLASSES_MAX), "3 to 100 classes")
    )
    if not wanted[0] <= len(classes) <= wanted[1]:
        raise _column("target", "classes", f"must have {sentence} for this target_kind: {len(classes)}")
    if max(abs(each) for each in classes.to_pylist()) > _EXACT_MAX:
        raise _column("target", "range", f"must have classes of at most {_EXACT_MAX:,}")
    return np.asarray(column.to_numpy(), dtype=np.float64)


def _read_real(table: pa.Table) -> Floats:
    values = _read_floats(table["target"], "target")
    if values.min() == values.max():
        raise _column("target", "constant", f"must not be the same in every row: {values[0]:g}")
    return values


def _read_weights(column: pa.ChunkedArray) -> Floats:
    values = _read_floats(column, "weight")
    if (values < 0.0).any():
        row = int(np.argmax(values < 0.0))
        raise _column(f"weight[{row}]", "range", f"must not be negative: {values[row]:g}")
    if not values.any():
        raise _column("weight", "range", "must not be zero in every row")
    return values


def _read_floats(column: pa.ChunkedArray, name: str) -> Floats:
    if not pa.types.is_float64(column.type):
        raise _column(name, "type", f"must be float64: {column.type}")
    values: Floats = column.to_numpy()
    wrong = ~np.isfinite(values)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise _column(f"{name}[{row}]", "finite", f"must be a finite number: {values[row]}")
    return values


def _column(name: str, rule: str, sentence: str) -> InvalidArgument:
    return InvalidArgument.of(f"{FIELD}.{name}", rule, f"{sentence}.")
