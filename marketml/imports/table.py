"""A file's cells before anyone knows what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa


@dataclass(frozen=True)
class RawTable:
    """Columns of text or of the file's own types, in file order.

    `has_names` is False when the file has no header: then the names are "1", "2"…. `preamble` holds lines of
    text that stood above the table. `notes` tells what was decided on the way here.
    """

    names: tuple[str, ...]
    columns: tuple[pa.ChunkedArray, ...]
    has_names: bool
    preamble: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def row_count(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def column(self, name: str) -> pa.ChunkedArray:
        return self.columns[self.names.index(name)]

    def rows(self, mask: npt.NDArray[np.bool_]) -> RawTable:
        """The rows where `mask` holds."""
        kept = pa.array(mask)
        return RawTable(
            self.names, tuple(c.filter(kept) for c in self.columns), self.has_names, self.preamble, self.notes
        )


def is_text(column: pa.ChunkedArray) -> bool:
    """Whether the cells are strings."""
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def numbered(count: int) -> tuple[str, ...]:
    """The names of columns that have none: "1", "2"…."""
    return tuple(str(position) for position in range(1, count + 1))


def row_list(rows: Sequence[int] | npt.NDArray[np.intp], most: int = 3) -> str:
    """0-based row numbers for people, counted from 1: `row 7`, `rows 7, 8, 9 and 12 more`."""
    shown = ", ".join(str(int(row) + 1) for row in rows[:most])
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return f"row{'s' if len(rows) > 1 else ''} {shown}{more}"
