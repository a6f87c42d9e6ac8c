"""The messages of an ingest stream: the header, typed rows, Arrow bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marketml.data.v1 import data_pb2 as pb
from marketml.rpc.frames import CHUNK_BYTES_MAX, Limits, read_ipc
from marketml.rpc.refusals import InvalidArgument, Violation
from services.data.checks import ABSENT_US, INEXACT_US
from services.data.revisions import OnConflict, Times, Values
from services.data.series import Kind, Series, series_violations
from services.data.uploads import CONTROL_CHARACTER, SOURCE_LENGTH_MAX, Header, Piece
from services.data.wire import instant_us

ROWS_MAX = 10_000  # typed, in a message
ARROW_ROWS_MAX = 200_000

_OUT_OF_RANGE_US = ABSENT_US + 2  # before 1970, which no row may be
_BEYOND_US = 2**62  # later than any row may be
_UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}
_CONFLICTS = {
    pb.ON_CONFLICT_REVISE: OnConflict.REVISE,
    pb.ON_CONFLICT_KEEP: OnConflict.KEEP,
    pb.ON_CONFLICT_REFUSE: OnConflict.REFUSE,
}
_INVALIDS = {pb.ON_INVALID_REFUSE: False, pb.ON_INVALID_SKIP: True}

T = TypeVar("T")


def read_header(kind: Kind, request: Any) -> Header:
    """The first message of an ingest stream."""
    if request.WhichOneof("part") != "header":
        raise no_header()
    message = request.header
    series = Series(kind, message.venue, message.symbol, message.timeframe)
    violations = series_violations(series, "header")
    if len(message.source) > SOURCE_LENGTH_MAX or CONTROL_CHARACTER.search(message.source):
        violations.append(
            Violation(
                "header.source",
                "text",
                f"must be at most {SOURCE_LENGTH_MAX} characters without control characters.",
            )
        )
    if violations:
        raise InvalidArgument(violations)
    captured_us = None
    if message.HasField("capture_time"):
        captured_us = instant_us(message.capture_time, "header.capture_time", up=False)
        if captured_us < 0:
            raise InvalidArgument.of("header.capture_time", "range", "must not be before 1970-01-01.")
    return Header(
        series,
        message.source,
        read_on_conflict(message, "header"),
        read_skip_invalid(message, "header"),
        captured_us,
    )


def no_header() -> InvalidArgument:
    """The refusal of a stream that does not begin with one."""
    return InvalidArgument.of("header", "required", "must be the first message of the stream.")


def read_piece(kind: Kind, request: Any) -> Piece:
    """A later message of an ingest stream."""
    part = request.WhichOneof("part")
    if part == "rows":
        return _read_typed(kind, request.rows.rows)
    if part == "arrow_ipc":
        return read_arrow(kind, request.arrow_ipc)
    if part == "header":
        raise InvalidArgument.of("header", "first_only", "must not be sent twice.")
    raise InvalidArgument.of("part", "required", "must be rows or arrow_ipc after the header.")


def read_on_conflict(message: Any, field: str) -> OnConflict:
    """`on_conflict` of a message at `field`."""
    return read_choice(message, field, "on_conflict", _CONFLICTS, OnConflict.REVISE)


def read_skip_invalid(message: Any, field: str) -> bool:
    """`on_invalid` of a message at `field`: whether rows that cannot be true are left out."""
    return read_choice(message, field, "on_invalid", _INVALIDS, False)


def read_choice(message: Any, field: str, name: str, choices: Mapping[Any, T], default: T) -> T:
    """An optional enum `name` of a message at `field`."""
    if not message.HasField(name):
        return default
    number = getattr(message, name)
    if number not in choices:
        rule = "unknown" if number else "unspecified"
        raise InvalidArgument.of(
            f"{field}.{name}", rule, f"must be a listed value, or absent for the default: {number}."
        )
    return choices[number]


def _read_typed(kind: Kind, rows: Any) -> Piece:
    if len(rows) > ROWS_MAX:
        raise InvalidArgument.of(
            "rows", "at_most", f"must be at most {ROWS_MAX} a message, not {len(rows)}; arrow_ipc takes more."
        )
    times = np.fromiter((_typed_time(row, kind.time_column) for row in rows), np.int64, len(rows))
    return Piece(
        times,
        tuple(
            np.fromiter(_typed_values(kind, position, name, rows), np.float64, len(rows))
            for position, name in enumerate(kind.columns)
        ),
    )


def _typed_time(row: Any, name: str) -> int:
    if not row.HasField(name):
        return ABSENT_US
    stamp = getattr(row, name)
    if not 0 <= stamp.nanos < 1_000_000_000 or stamp.seconds < 0:
        return _OUT_OF_RANGE_US
    if stamp.nanos % 1000:
        return INEXACT_US
    return int(min(stamp.seconds * 1_000_000 + stamp.nanos // 1000, _BEYOND_US))


def _typed_values(kind: Kind, position: int, name: str, rows: Any) -> Any:
    read: Callable[[Any], float] = lambda row: getattr(row, name)  # noqa: E731
    if position < kind.required_count:
        return map(read, rows)
    return (read(row) if row.HasField(name) else np.nan for row in rows)


def read_arrow(
    kind: Kind, raw: bytes, bytes_max: int = CHUNK_BYTES_MAX, rows_max: int = ARROW_ROWS_MAX
) -> Piece:
    """Rows as an Arrow IPC stream."""
    if len(raw) > bytes_max:
        raise InvalidArgument.of(
            "arrow_ipc", "at_most", f"must be at most {bytes_max} bytes, not {len(raw)}."
        )
    table = read_ipc(raw, "arrow_ipc", Limits(rows_max, columns_max=64, bytes_max=bytes_max))
    violations = [
        Violation(f"arrow_ipc.{name[:64]}", "unknown", f"is no column of {kind.name}.")
        for name in table.schema.names
        if name not in kind.schema.names
    ]
    violations += [
        Violation(f"arrow_ipc.{name}", "required", "must be a column of the stream.")
        for name in (kind.time_column, *kind.columns[: kind.required_count])
        if name not in table.schema.names
    ]
    if violations:
        raise InvalidArgument(violations)
    times = _arrow_times(table.column(kind.time_column), f"arrow_ipc.{kind.time_column}")
    return Piece(times, tuple(_arrow_values(table, name) for name in kind.columns))


def _arrow_times(column: pa.ChunkedArray, field: str) -> Times:
    if not pa.types.is_timestamp(column.type) or column.type.tz is None:
        raise InvalidArgument.of(field, "type", f"must be a timestamp in UTC, not {column.type}.")
    unit_ns = _UNIT_NS[column.type.unit]
    times: Times = np.array(pc.fill_null(column.cast(pa.int64()), ABSENT_US).to_numpy())
    absent = times == ABSENT_US
    if unit_ns == 1:
        inexact = times % 1000 != 0
        times = np.where(absent, ABSENT_US, np.where(inexact, INEXACT_US, times // 1000))
    elif unit_ns > 1000:
        factor = unit_ns // 1000
        bounded = np.clip(times, _OUT_OF_RANGE_US // factor, _BEYOND_US // factor)
        times = np.where(absent, ABSENT_US, bounded * factor)
    return times


def _arrow_values(table: pa.Table, name: str) -> Values:
    if name not in table.schema.names:
        return np.full(table.num_rows, np.nan)
    column = table.column(name)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise InvalidArgument.of(f"arrow_ipc.{name}", "type", f"must be float64, not {column.type}.")
    try:
        column = column.cast(pa.float64())
    except pa.ArrowInvalid:
        raise InvalidArgument.of(
            f"arrow_ipc.{name}", "type", "must be float64: it holds integers that are none."
        ) from None
    values: Values = column.to_numpy()
    return values
