"""A table of unknown origin as times, numbers and what is written about it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from marketml.imports import names, times
from marketml.imports.refused import ImportRefused
from services.data.inference.clues import Unlabelled
from services.data.revisions import Times, Values

_ENTRIES_MAX = 64
_LENGTH_MAX = 1000
_END_US = 4_102_444_800_000_000  # 2100


def unlabelled(table: pa.Table, said: Mapping[str, str], venue: str) -> Unlabelled:
    """Read a table; rows without a time in the years 1970 to 2100 are left out.

    Parameters
    ----------
    said
        What the caller knows of it; the table's own metadata is added.
    """
    found, stamps = _times(table)
    is_dated = (stamps >= 0) & (stamps < _END_US)
    numbers: dict[str, Values] = {}
    texts: dict[str, str] = {}
    for name, column in zip(table.schema.names, table.columns, strict=True):
        if name == found:
            continue
        if (values := _numbers(column)) is not None:
            numbers[name] = values[is_dated] if found else values
        elif _is_text(column) and len(one := pc.unique(column).drop_null()) == 1:
            texts[name] = one[0].as_py()[:_LENGTH_MAX]
    return Unlabelled(stamps[is_dated] if found else stamps, numbers, texts, _said(table) | dict(said), venue)


def _times(table: pa.Table) -> tuple[str, Times]:
    """The column of time and its microseconds, -1 where absent; no name and no times when there is none."""
    words = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in reversed(table.schema.names)}
    named = [words[word] for word in names.TIME if word in words]
    stamped = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
    for name in dict.fromkeys((*[name for name in named if name in stamped], *stamped, *named)):
        column = table.column(name)
        if pa.types.is_timestamp(column.type):
            micros = pc.cast(pc.cast(column, pa.timestamp("us", column.type.tz), safe=False), pa.int64())
            return name, np.asarray(pc.fill_null(micros, -1).to_numpy())
        try:
            return name, times.to_micros(column, name, None).micros
        except ImportRefused:
            continue
    return "", np.empty(0, np.int64)


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64] | None:
    if _is_text(column):
        try:
            column = pc.cast(column, pa.float64())
        except pa.ArrowInvalid:
            return None
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return None
    return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy())


def _is_text(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(column.type))


def _said(table: pa.Table) -> dict[str, str]:
    entries = list((table.schema.metadata or {}).items())[:_ENTRIES_MAX]
    read = {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in entries}
    return {key: text for key, text in read.items() if len(text) <= _LENGTH_MAX}
