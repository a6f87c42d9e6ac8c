"""What one query may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from marketml.rpc.refusals import ResourceExhausted


@dataclass
class Bounds:
    """`rows_max` rows in one answer. `check` is called between steps and raises when the query has to end."""

    rows_max: int
    check: Callable[[], None]
    given: int = 0

    def expect(self, rows: int) -> None:
        """Refuse an answer of which it is known that it would have so many rows or more."""
        if rows > self.rows_max:
            raise _too_many(f"would have {rows:,} rows or more", self.rows_max)

    def give(self, rows: int) -> None:
        """Count rows that are about to be given."""
        self.given += rows
        if self.given > self.rows_max:
            raise _too_many("has more rows", self.rows_max)


def _too_many(what: str, rows_max: int) -> ResourceExhausted:
    return ResourceExhausted(
        "query_rows_count",
        f"The answer {what}, one query gives at most {rows_max:,} (query_rows_count): ask range by range, or "
        "set limit.",
    )
