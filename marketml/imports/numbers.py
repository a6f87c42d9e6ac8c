"""Columns of numbers as float64: NaN where a cell is empty, refused where it is no number."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from marketml.imports.refused import ImportRefused
from marketml.imports.table import is_text, row_list

_ABSENT = pa.array(["", "null", "nan", "none", "n/a", "na", "-", "\\n"])
_PLAIN = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"
_THOUSANDS = r"^[-+]?\d{1,3}(,\d{3})+(\.\d+)?$"
_ONE_GROUP = r"^[-+]?\d{1,3},\d{3}$"  # 1,234: one thousand or one and a bit
_DECIMAL_COMMA = r"^[-+]?\d+,\d+$"


def to_floats(column: pa.ChunkedArray, name: str) -> tuple[npt.NDArray[np.float64], str | None]:
    """The values, and a note when the way they are written needed a decision.

    Thousands separators, decimal commas and percentages (as fractions) are understood when the whole column
    agrees on them.

    Raises
    ------
    ImportRefused
        A cell is no number; or commas could mean either thousands or decimals.
    """
    if not is_text(column):
        if pa.types.is_boolean(column.type) or not _is_numeric(column.type):
            raise ImportRefused(f"Column {name!r} holds {column.type}, not numbers.")
        return _numpy(pc.cast(column, pa.float64(), safe=False)), None
    text = pc.utf8_trim_whitespace(column)
    absent = pc.is_in(pc.utf8_lower(text), value_set=_ABSENT)
    text = pc.if_else(pc.fill_null(absent, True), pa.scalar(None, text.type), text)
    note = None
    if not _all_match(text, _PLAIN):
        text, scale, note = _rewritten(text, name)
        return _numpy(pc.cast(text, pa.float64())) * scale, note
    return _numpy(pc.cast(text, pa.float64())), note


def is_numeric(column: pa.ChunkedArray) -> bool:
    """Whether `to_floats` would take the column without a decision."""
    if not is_text(column):
        return bool(_is_numeric(column.type))
    text = pc.utf8_trim_whitespace(column)
    absent = pc.is_in(pc.utf8_lower(text), value_set=_ABSENT)
    return _all_match(pc.if_else(pc.fill_null(absent, True), pa.scalar(None, text.type), text), _PLAIN)


def holds_numbers(column: pa.ChunkedArray) -> bool:
    """Whether the first cells are meant as numbers, however they are written."""
    if not is_text(column):
        return _is_numeric(column.type)
    head = pc.utf8_trim_whitespace(column.drop_null().slice(0, 20))
    return len(head) == 0 or bool(pc.any(pc.match_substring_regex(head, r"^[-+]?[.]?\d")).as_py())


def _rewritten(text: pa.ChunkedArray, name: str) -> tuple[pa.ChunkedArray, float, str]:
    """The column in plain spelling, the factor its values are to be multiplied with, and the note."""
    if _all_match(text, r"%$"):
        bare = pc.utf8_rtrim(text, characters="% ")
        if _all_match(bare, _PLAIN):
            return bare, 0.01, f"Column {name!r} is in percent: divided by 100."
    has_comma = pc.match_substring(text, ",")
    commas = text.filter(pc.fill_null(has_comma, False))
    others = text.filter(pc.invert(pc.fill_null(has_comma, True)))
    if len(commas) and _all_match(others, _PLAIN):
        if _all_match(commas, _ONE_GROUP) and not _has_point(others):
            raise ImportRefused(
                f"Column {name!r} writes {commas[0].as_py()!r}: thousands or decimals cannot be told apart; "
                "write plain numbers."
            )
        if _all_match(commas, _THOUSANDS):
            plain = pc.replace_substring(text, ",", "")
            return plain, 1.0, f"Column {name!r} separates thousands with commas."
        if _all_match(commas, _DECIMAL_COMMA) and not _has_point(others):
            return pc.replace_substring(text, ",", "."), 1.0, f"Column {name!r} has decimal commas."
    bad = np.flatnonzero(~_matches(text, _PLAIN))
    raise ImportRefused(
        f"Column {name!r} is no number in {row_list(bad)}: {text[int(bad[0])].as_py()[:40]!r}."
    )


def _matches(text: pa.ChunkedArray, pattern: str) -> npt.NDArray[np.bool_]:
    found = pc.fill_null(pc.match_substring_regex(text, pattern), True)
    return np.asarray(
        found.to_numpy(zero_copy_only=False) if isinstance(found, pa.Array) else found.to_numpy()
    )


def _all_match(text: pa.ChunkedArray, pattern: str) -> bool:
    matched = pc.all(pc.match_substring_regex(text, pattern)).as_py()
    return matched is not False


def _has_point(text: pa.ChunkedArray) -> bool:
    return pc.any(pc.match_substring(text, ".")).as_py() is True


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _numpy(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.array(
        column.to_numpy(), dtype=np.float64
    )  # null becomes NaN; a copy, so that it can be written
