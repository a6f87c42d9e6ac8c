"""Rows on their way in: gathered from the messages of a call, checked together, stored together or not."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from marketml.rpc.refusals import InvalidArgument, Reason, ResourceExhausted, Violation
from services.data.checks import Checked, Fault, check_rows
from services.data.quality.doubts import DoubtfulRow, doubtful_rows
from services.data.revisions import Counts, OnConflict, Times, Values
from services.data.series import Series

SOURCE_LENGTH_MAX = 200
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")  # which no source has


@dataclass(frozen=True)
class Header:
    """How the rows of a call are to be taken. `captured_us` None is the time of the call."""

    series: Series
    source: str
    on_conflict: OnConflict
    skip_invalid: bool
    captured_us: int | None


@dataclass(frozen=True)
class Piece:
    """The rows of one message: times (or `checks.ABSENT_US`, `INEXACT_US`) and the columns of the kind."""

    times: Times
    columns: tuple[Values, ...]

    @property
    def size_bytes(self) -> int:
        return self.times.nbytes + sum(column.nbytes for column in self.columns)


@dataclass(frozen=True)
class Report:
    """What a call did: `received_count` is the sum of the three counts and `rejected_count`."""

    received_count: int
    counts: Counts
    rejected_count: int
    faults: tuple[Fault, ...]
    first_time_us: int | None
    last_time_us: int | None
    doubtful_count: int = 0
    doubtful: tuple[DoubtfulRow, ...] = ()


class Sink(Protocol):
    """Where checked rows go."""

    def ingest(
        self,
        series: Series,
        rows: Checked,
        *,
        source: str,
        captured_us: int | None,
        clock: Callable[[], int],
        on_conflict: OnConflict,
        check: Callable[[], None],
    ) -> Counts: ...


class Budget:
    """A bound on the bytes that all calls together keep in memory."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self._bytes = 0
        self._lock = threading.Lock()

    def take(self, size_bytes: int) -> None:
        """Reserve, or refuse with RESOURCE_EXHAUSTED and the time after which to try again."""
        with self._lock:
            if self._bytes + size_bytes > self.bytes_max:
                raise ResourceExhausted(
                    "ingest_bytes",
                    f"The calls under way hold {self._bytes} of {self.bytes_max} bytes of rows; try again.",
                    retry_after_seconds=1.0,
                    reason=Reason.OVERLOADED,
                )
            self._bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        with self._lock:
            self._bytes -= size_bytes


class Hold:
    """What one piece of work holds of a budget. `too_much` is the sentence for work that needs more than the
    whole budget: to try it again would not help."""

    def __init__(self, budget: Budget, too_much: str) -> None:
        self._budget = budget
        self._too_much = too_much
        self._bytes = 0

    def take(self, size_bytes: int) -> None:
        """Reserve, or refuse with RESOURCE_EXHAUSTED."""
        if self._bytes + size_bytes > self._budget.bytes_max:
            raise ResourceExhausted("ingest_bytes", self._too_much)
        self._budget.take(size_bytes)
        self._bytes += size_bytes

    def give_back(self) -> None:
        """Give all of it back."""
        self._budget.give_back(self._bytes)
        self._bytes = 0


class Upload:
    """One call. `add` its pieces, `finish` it once, `close` it whatever happened. One thread at a time."""

    def __init__(
        self, header: Header, sink: Sink, clock: Callable[[], int], rows_max: int, budget: Budget
    ) -> None:
        now_us = clock()
        if header.captured_us is not None and header.captured_us > now_us:
            raise InvalidArgument.of(
                "header.capture_time",
                "future",
                f"must not be in the future: {np.datetime64(header.captured_us, 'us')}Z.",
            )
        self._header = header
        self._sink = sink
        self._clock = clock
        self._rows_max = rows_max
        self._budget = budget
        self._pieces: list[Piece] = []
        self._rows = 0
        self._bytes = 0

    def add(self, piece: Piece) -> None:
        """Take the rows of a message.

        Raises
        ------
        ResourceExhausted
            The call has too many rows, or all calls together hold too much.
        """
        self._rows += len(piece.times)
        if self._rows > self._rows_max:
            raise ResourceExhausted(
                "ingest_rows", f"A call takes at most {self._rows_max} rows; send the rest in another."
            )
        self._budget.take(piece.size_bytes)
        self._bytes += piece.size_bytes
        self._pieces.append(piece)

    def finish(self, check: Callable[[], None] = lambda: None) -> Report:
        """Check all rows and store them, in one transaction.

        Raises
        ------
        InvalidArgument
            Rows that cannot be true, unless the header skips them. Nothing was stored.
        AlreadyExists
            A row is stored with other values and the header refuses that. Nothing was stored.
        """
        check()
        header, pieces, self._pieces = self._header, self._pieces, []
        if not self._rows:
            return Report(0, Counts(), 0, (), None, None)
        latest_us = self._clock() if header.captured_us is None else header.captured_us
        times = np.concatenate([piece.times for piece in pieces])
        columns = tuple(
            np.concatenate(parts) for parts in zip(*(piece.columns for piece in pieces), strict=True)
        )
        del pieces
        rows = check_rows(header.series, times, columns, latest_us)
        if rows.bad_count and not header.skip_invalid:
            raise _refused(rows)
        counts = Counts(unchanged=rows.repeated_count)
        doubtful_count, doubtful = doubtful_rows(header.series, rows)
        if len(rows.times):
            counts += self._sink.ingest(
                header.series,
                rows,
                source=header.source,
                captured_us=header.captured_us,
                clock=self._clock,
                on_conflict=header.on_conflict,
                check=check,
            )
        return Report(
            self._rows,
            counts,
            rows.bad_count,
            rows.faults,
            int(rows.times[0]) if len(rows.times) else None,
            int(rows.times[-1]) if len(rows.times) else None,
            doubtful_count,
            doubtful,
        )

    def close(self) -> None:
        """Give back what the call held."""
        self._budget.give_back(self._bytes)
        self._bytes = 0
        self._pieces = []


def _refused(rows: Checked) -> InvalidArgument:
    refusal = InvalidArgument([Violation(fault.path, fault.rule, fault.description) for fault in rows.faults])
    refusal.message = f"{rows.bad_count} rows cannot be stored, the first is {refusal.message}"
    return refusal
