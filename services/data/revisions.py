"""Rows and their revisions: what a series says now, what it said before, and how new rows join.

A revision is a row with the time it was captured. For each event time the revisions are kept in order of
capture; the last is current, the others are history.

Where callers name the capture times, what they told is the history, in whatever order and parts the calls
arrive. A revision that repeats the one before it is kept, too: one captured between both may still be told,
and the repeat then says that the value came back. Only of two with the same capture time and different values
the later call wins.

Rows without a capture time are stamped by the room: captured later than all that is stored, so that their
history is the order of the calls. Such a row is not kept when it repeats the newest revision: the same import
again would else store everything again. It leaves nothing behind: a revision told after it, that names any
capture time after the one that was repeated, is then the newest.

A mark is a revision without values: from its capture on there is no row at that time, until a later revision
says there is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]  # microseconds since 1970 UTC
Values = npt.NDArray[np.float64]


class OnConflict(Enum):
    """What becomes of a row whose time is stored with other values."""

    REVISE = "revise"
    KEEP = "keep"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Rows:
    """Revisions: event times, one array per column, and when each row was captured. All of one length."""

    times: Times
    columns: tuple[Values, ...]
    captured: Times

    def __len__(self) -> int:
        return len(self.times)

    def take(self, which: Any) -> Rows:
        """Some of the rows: by mask, by positions, or as a slice (not copied)."""
        return Rows(self.times[which], tuple(column[which] for column in self.columns), self.captured[which])


@dataclass(frozen=True)
class Stored:
    """`current` has strictly increasing times; `history` is ordered by time, then by capture. Marks are in
    both."""

    current: Rows
    history: Rows


@dataclass(frozen=True)
class Counts:
    """What joining did to the new rows."""

    inserted: int = 0
    revised: int = 0
    unchanged: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.inserted + other.inserted, self.revised + other.revised, self.unchanged + other.unchanged
        )


class ConflictError(Exception):
    """A row at `time_us` is stored with other values, and the call wants that refused."""

    def __init__(self, time_us: int) -> None:
        super().__init__(f"Conflict at {time_us}.")
        self.time_us = time_us


def empty_rows(columns_count: int) -> Rows:
    """No rows."""
    return Rows(np.empty(0, np.int64), (np.empty(0),) * columns_count, np.empty(0, np.int64))


def marks(times: Times, columns_count: int, captured_us: int) -> Rows:
    """Revisions that say there is no row at these times."""
    absent = np.full(len(times), np.nan)
    return Rows(times, (absent,) * columns_count, np.full(len(times), captured_us, np.int64))


def are_marks(rows: Rows) -> npt.NDArray[np.bool_]:
    """Which revisions are marks: the first column of a row that is there is a number."""
    return np.isnan(rows.columns[0])


def joined(parts: Iterable[Rows]) -> Rows:
    """The rows of all parts, one after the other. At least one part."""
    listed = list(parts)
    if len(listed) == 1:
        return listed[0]
    return Rows(
        np.concatenate([part.times for part in listed]),
        tuple(np.concatenate(pieces) for pieces in zip(*(part.columns for part in listed), strict=True)),
        np.concatenate([part.captured for part in listed]),
    )


def in_order(parts: Iterable[Stored]) -> Stored:
    """What several parts hold, each one's times later than those of the one before. At least one part."""
    listed = list(parts)
    return Stored(joined(part.current for part in listed), joined(part.history for part in listed))


def merge(
    stored: Stored, new: Rows, on_conflict: OnConflict, step_us: int = 0, *, is_stamped: bool = False
) -> tuple[Stored, Counts]:
    """Join new rows to what is stored.

    Parameters
    ----------
    stored
        What is there.
    new
        Strictly increasing times, all finite or NaN, without negative zeros.
    on_conflict
        See `OnConflict`.
    step_us
        Length of a bar, 0 where there is none. A bar captured before its close is another observation than
        the closed bar, even when the values are equal.
    is_stamped
        Whether the room's clock gave the capture times, later than all that is stored: rows that repeat the
        newest revision are then left out.

    Returns
    -------
    (Stored, Counts)
        The same `stored` object when nothing changed. A row is unchanged when it says what was known at its
        capture, even when it is kept; the earliest of a time when it says what the next one does.

    Raises
    ------
    ConflictError
        With `OnConflict.REFUSE`, at the first row that is stored with other values.
    """
    current = stored.current
    place = np.searchsorted(current.times, new.times)
    place[place == len(current)] = 0
    known = current.times[place] == new.times if len(current) else np.zeros(len(new), np.bool_)
    kept = known
    if on_conflict is not OnConflict.REVISE and (marked := are_marks(current)).any():
        kept = known & ~marked[place]  # what is marked has no values to keep
    if on_conflict is OnConflict.KEEP:
        kept_count = int(kept.sum())
        new = new.take(~kept)
        if not len(new):
            return stored, Counts(unchanged=kept_count)
        stored, counts = merge(stored, new, OnConflict.REVISE, step_us, is_stamped=is_stamped)
        return stored, counts + Counts(unchanged=kept_count)
    if on_conflict is OnConflict.REFUSE and kept.any():
        differs = ~_equal(new.take(kept), current.take(place[kept]))
        if differs.any():
            raise ConflictError(int(new.times[kept][differs][0]))
    repeats_count = 0
    if is_stamped and known.any():
        repeats = known.copy()
        repeats[known] = _repeats(new.take(known), current.take(place[known]), step_us)
        repeats_count = int(repeats.sum())
        new, known = new.take(~repeats), known[~repeats]
        if not len(new):
            return stored, Counts(unchanged=repeats_count)
    if not known.any():
        everything = joined([current, new])
        if len(current) and new.times[0] < current.times[-1]:
            everything = everything.take(np.argsort(everything.times, kind="stable"))
        return Stored(everything, stored.history), Counts(len(new), 0, repeats_count)
    stored, counts = _revise(stored, new, known, step_us)
    return stored, counts + Counts(unchanged=repeats_count)


def known_at(stored: Stored, as_of_us: int) -> Rows:
    """The rows as they were known: of each time the newest revision captured by then, unless it is a mark."""
    rows = revisions_at(stored, as_of_us)
    marked = are_marks(rows)
    return rows.take(~marked) if marked.any() else rows


def revisions_at(stored: Stored, as_of_us: int) -> Rows:
    """Of each time the newest revision captured by then, marks included."""
    if not len(stored.history):
        if not len(stored.current) or stored.current.captured.max() <= as_of_us:
            return stored.current
        return stored.current.take(stored.current.captured <= as_of_us)
    everything = joined([stored.history, stored.current])
    everything = everything.take(everything.captured <= as_of_us)
    everything = everything.take(np.lexsort((everything.captured, everything.times)))
    return everything.take(_last_of_time(everything.times))


def forming(rows: Rows, step_us: int) -> npt.NDArray[np.bool_]:
    """Which rows were captured before their bar closed. Marks are no bars."""
    found: npt.NDArray[np.bool_] = rows.captured < rows.times + step_us
    return found & ~are_marks(rows) if found.any() else found


def revised_count(stored: Stored, step_us: int = 0) -> int:
    """How many times have revisions that differ; one that repeats another makes none."""
    if not len(stored.history):
        return 0
    everything = joined([stored.history, stored.current])
    everything = everything.take(np.argsort(everything.times, kind="stable"))
    earlier, later = everything.take(slice(None, -1)), everything.take(slice(1, None))
    differs = (earlier.times == later.times) & ~_repeats(later, earlier, step_us)
    return len(np.unique(later.times[differs]))


def _revise(stored: Stored, new: Rows, known: npt.NDArray[np.bool_], step_us: int) -> tuple[Stored, Counts]:
    before_count = len(stored.history) + len(stored.current)
    after = joined([stored.history, stored.current, new])
    order = np.lexsort((after.captured, after.times))  # stable: new rows after stored ones
    after = after.take(order)
    told = np.flatnonzero(order >= before_count)[known]  # stored rows of their times lie beside them
    has_earlier = (told > 0) & (after.times[told - 1] == after.times[told])
    beside = np.where(has_earlier, told - 1, told + 1)
    same_capture = has_earlier & (after.captured[beside] == after.captured[told])
    repeats = _repeats(after.take(told), after.take(beside), step_us)

    kept = np.ones(len(after), np.bool_)
    kept[told[same_capture & repeats]] = False
    kept[beside[same_capture & ~repeats]] = False
    inserted, unchanged = int((~known).sum()), int(repeats.sum())
    counts = Counts(inserted, len(new) - inserted - unchanged, unchanged)
    if not inserted and (same_capture & repeats).all():
        return stored, counts
    after = after.take(kept)
    is_last = _last_of_time(after.times)
    return Stored(after.take(is_last), after.take(~is_last)), counts


def _repeats(one: Rows, other: Rows, step_us: int) -> npt.NDArray[np.bool_]:
    """Whether the one says what the other does; of bars, both open or both closed."""
    repeats = _equal(one, other)
    if step_us and repeats.any():
        repeats &= forming(one, step_us) == forming(other, step_us)
    return repeats


def _equal(one: Rows, other: Rows) -> npt.NDArray[np.bool_]:
    """Whether the values are the same bits: NaN, of which there is one here, equals itself."""
    equal = np.ones(len(one), np.bool_)
    for a, b in zip(one.columns, other.columns, strict=True):
        equal &= a.view(np.int64) == b.view(np.int64)
    return equal


def _last_of_time(times: Times) -> npt.NDArray[np.bool_]:
    return np.append(times[1:] != times[:-1], True)[: len(times)]
