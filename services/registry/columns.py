"""Prediction by columns: an Arrow table of features in, an Arrow table of probabilities out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from marketml.rpc.frames import TIME_COLUMN, TIME_TYPE
from marketml.rpc.refusals import InvalidArgument, Reason, ResourceExhausted, Violation
from services.registry.predictor import Rows

ANSWER_BYTES_MAX = 4 * 1024 * 1024 - 64 * 1024  # of a message, with room for its other fields
NAMED_MAX = 20  # columns that a refusal names

_FIRST_MICROSECOND, _LAST_MICROSECOND = -62_135_596_800_000_000, 253_402_300_799_999_999


@dataclass(frozen=True)
class Asked:
    """Rows in the model's order of features, and when their bars opened, where the caller said it."""

    rows: Rows
    open_time: pa.ChunkedArray | None

    @property
    def watermark(self) -> datetime | None:
        """The newest `open_time`."""
        if self.open_time is None or not len(self.open_time):
            return None
        newest: datetime = pc.max(self.open_time).as_py()
        return newest


def read_columns(table: pa.Table, feature_names: tuple[str, ...], field: str) -> Asked:
    """The rows of a table whose columns are the features, by name, in any order.

    Parameters
    ----------
    table : pyarrow.Table
        A float64 column per feature, null and NaN are missing; `open_time` (UTC) if the caller likes.
    feature_names : tuple of str
        The model's.
    field : str
        Where the table stands in the request.

    Raises
    ------
    InvalidArgument
        Columns that are absent, too many or of another type; reason SCHEMA_MISMATCH.
    """
    names = table.schema.names
    has_time = TIME_COLUMN in names and TIME_COLUMN not in feature_names
    given, wanted = set(names) - ({TIME_COLUMN} if has_time else set()), set(feature_names)
    broken = [
        Violation(f"{field}.{name}", "required", "is a feature of the model and absent.")
        for name in feature_names
        if name not in given
    ]
    broken += [
        Violation(f"{field}.{name}", "unknown", "is no feature of the model.")
        for name in names
        if name in given - wanted
    ]
    if not broken:
        for name in feature_names:
            kind = table.schema.field(name).type
            if kind != pa.float64():
                broken.append(Violation(f"{field}.{name}", "type", f"must be float64, is {kind}."))
    open_time = None
    if has_time and not broken:
        open_time = table.column(TIME_COLUMN)
        if not pa.types.is_timestamp(open_time.type) or open_time.type.tz != "UTC":
            what = f"must be a timestamp in UTC, is {open_time.type}."
            broken.append(Violation(f"{field}.{TIME_COLUMN}", "type", what))
        elif open_time.null_count:
            what = f"must not be absent, is in {open_time.null_count} rows."
            broken.append(Violation(f"{field}.{TIME_COLUMN}", "required", what))
    if broken:
        raise InvalidArgument(broken[:NAMED_MAX], Reason.SCHEMA_MISMATCH)
    rows = np.empty((table.num_rows, len(feature_names)))
    for position, name in enumerate(feature_names):
        rows[:, position] = pc.fill_null(table.column(name), np.nan).to_numpy()
    return Asked(rows, None if open_time is None else _microseconds(open_time, field))


def write_columns(
    asked: Asked, probabilities: Rows, chosen: npt.NDArray[np.intp], classes: tuple[str, ...]
) -> bytes:
    """The answer as an Arrow IPC stream: `open_time` if given, `probability_CLASS`…, `predicted_class`,
    whose position in `classes` is `chosen`."""
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    if asked.open_time is not None:
        columns[TIME_COLUMN] = asked.open_time
    for position, name in enumerate(classes):
        columns[f"probability_{name}"] = pa.array(np.ascontiguousarray(probabilities[:, position]))
    columns["predicted_class"] = pa.array(classes).take(pa.array(chosen))
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def require_answer_fits(field: str, row_count: int, classes: tuple[str, ...]) -> None:
    """Refuse more rows than one message can answer.

    Raises
    ------
    ResourceExhausted
    """
    row_bytes = 8 + 8 * len(classes) + 4 + max(len(name.encode()) for name in classes)
    if row_count * row_bytes > ANSWER_BYTES_MAX:
        raise ResourceExhausted(
            field,
            f"{field} may have {ANSWER_BYTES_MAX // row_bytes} rows for {len(classes)} classes, so that the "
            f"answer fits a message; it has {row_count}.",
        )


def _microseconds(stamps: pa.ChunkedArray, field: str) -> pa.ChunkedArray:
    try:
        found = stamps.cast(TIME_TYPE)
        ends = pc.min_max(found.cast(pa.int64())).as_py() if len(found) else None
    except pa.ArrowInvalid:
        ends = {"min": -math.inf, "max": math.inf}
    if ends is not None and not _FIRST_MICROSECOND <= ends["min"] <= ends["max"] <= _LAST_MICROSECOND:
        raise InvalidArgument.of(
            f"{field}.{TIME_COLUMN}", "range", "must be whole microseconds in the years 1 to 9999."
        )
    return found
