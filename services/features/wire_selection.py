"""SelectFeatures as messages."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
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
from services.features.selection.request import Selected, SelectionRequest, SourceRows
from services.features.selection.target import Target, TargetKind
from services.features.wire import read_source
from services.features.wire_config import read_config, write_config

FIELD = "target_arrow"
TARGET_BYTES_MAX = 3 * 1024**2
MORE_MAX = 31  # sources beside the first
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
    config = read_config(request.config)
    if not request.HasField("config"):
        config = replace(config, selection=replace(config.selection, enabled=True))
    if request.target_kind not in _KINDS:
        names = ", ".join(pb.TargetKind.Name(number) for number in _KINDS)
        raise InvalidArgument.of(
            "target_kind", "unknown", f"must be one of {names}: {int(request.target_kind)}."
        )
    if len(request.more) > MORE_MAX:
        raise InvalidArgument.of("more", "range", f"may be {MORE_MAX}, are {len(request.more)}.")
    given: list[pb.SelectFeaturesRequest | pb.SelectionSource] = [request, *request.more]
    size = sum(len(each.target_arrow) for each in given)
    if size > TARGET_BYTES_MAX:
        together = " together" if request.more else ""
        raise InvalidArgument.of(
            FIELD, "size", f"must have at most {TARGET_BYTES_MAX:,} bytes{together}: {size:,}."
        )
    kind = _KINDS[request.target_kind]
    sources, tables = [], []
    for place, each in enumerate(given):
        path = f"more[{place - 1}]." if place else ""
        with _below(path):
            source = read_source(each)
            open_time, table = _read_rows(each.target_arrow, kind)
        sources.append(SourceRows(source, open_time, path))
        tables.append(table)
    return SelectionRequest(tuple(sources), config, _read_target(tables, kind), request.seed)


@contextmanager
def _below(path: str) -> Iterator[None]:
    """What is refused inside has its field below `path`."""
    try:
        yield
    except InvalidArgument as refusal:
        found = [replace(each, field=f"{path}{each.field}") for each in refusal.violations]
        raise InvalidArgument(found, refusal.reason) from refusal


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


def _read_rows(ipc: bytes, kind: TargetKind) -> tuple[pd.DatetimeIndex, pa.Table]:
    """The times of one source's rows, and its target and weight."""
    if not ipc:
        raise InvalidArgument.of(FIELD, "required", "must be given: it is empty.")
    table = read_ipc(ipc, FIELD, _LIMITS, may_be_compressed=True)
    names = set(table.column_names)
    if not {"open_time", "target"} <= names <= {"open_time", "target", "weight"}:
        raise InvalidArgument.of(
            FIELD,
            "columns",
            f"must have open_time, target and perhaps weight: {sorted(names)!r:.200}.",
        )
    for name in table.column_names:
        if table[name].null_count:
            raise _column(name, "null", "must have a value in every row: some are null")
    if kind is TargetKind.REAL:
        _read_floats(table["target"], "target")
    elif not pa.types.is_integer(table["target"].type):
        raise _column("target", "type", f"must be integers, the classes: {table['target'].type}")
    if "weight" in names:
        values = _read_floats(table["weight"], "weight")
        if (values < 0.0).any():
            row = int(np.argmax(values < 0.0))
            raise _column(f"weight[{row}]", "range", f"must not be negative: {values[row]:g}")
    return _read_times(table["open_time"]), table


def _read_target(tables: Sequence[pa.Table], kind: TargetKind) -> Target:
    """The rows of all sources, one source after the other."""
    if not sum(table.num_rows for table in tables):
        raise InvalidArgument.of(FIELD, "rows", "must have rows: there are none.")
    _require_weights_alike(["weight" in table.column_names for table in tables])
    columns = [table["target"] for table in tables]
    if kind is not TargetKind.REAL:
        _require_classes({each for column in columns for each in column.unique().to_pylist()}, kind)
    values = np.concatenate([column.to_numpy() for column in columns]).astype(np.float64)
    if kind is TargetKind.REAL and values.min() == values.max():
        raise _column("target", "constant", f"must not be the same in every row: {values[0]:g}")
    if "weight" not in tables[0].column_names:
        return Target(kind, values)
    weights = np.concatenate([table["weight"].to_numpy() for table in tables])
    if not weights.any():
        raise _column("weight", "range", "must not be zero in every row")
    return Target(kind, values, weights)


def _require_weights_alike(weighed: Sequence[bool]) -> None:
    """Refuse weights of some sources and not of others: what would the others weigh?"""
    for place, is_weighed in enumerate(weighed):
        if is_weighed != weighed[0]:
            words = "must be given" if weighed[0] else "must be absent"
            raise _column("weight", "same", f"{words} as for the first source", f"more[{place - 1}].")


def _require_classes(classes: Collection[int], kind: TargetKind) -> None:
    wanted, sentence = (
        ((2, 2), "two classes") if kind is TargetKind.BINARY else ((3, CLASSES_MAX), "3 to 100 classes")
    )
    if not wanted[0] <= len(classes) <= wanted[1]:
        raise _column("target", "classes", f"must have {sentence} for this target_kind: {len(classes)}")
    if max(abs(each) for each in classes) > _EXACT_MAX:
        raise _column("target", "range", f"must have classes of at most {_EXACT_MAX:,}")


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


def _read_floats(column: pa.ChunkedArray, name: str) -> Floats:
    if not pa.types.is_float64(column.type):
        raise _column(name, "type", f"must be float64: {column.type}")
    values: Floats = column.to_numpy()
    wrong = ~np.isfinite(values)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise _column(f"{name}[{row}]", "finite", f"must be a finite number: {values[row]}")
    return values


def _column(name: str, rule: str, sentence: str, path: str = "") -> InvalidArgument:
    return InvalidArgument.of(f"{path}{FIELD}.{name}", rule, f"{sentence}.")
