"""Rows as intervals in time, and what keeps some of them apart from others: purge and embargo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from marketml.rpc.refusals import FailedPrecondition, InvalidArgument, Reason

Microseconds: TypeAlias = npt.NDArray[np.int64]
Rows: TypeAlias = npt.NDArray[np.intp]

MICROSECONDS_PER_SECOND = 1_000_000


@dataclass(frozen=True)
class Embargo:
    """How far training rows keep from held-out ones beyond the purge; of the two, at most one is set.

    `bars` counts the moments of decision next to the span that the purge has left (each is a bar's close,
    however many symbols decide at it, so never fewer bars than asked); `seconds` is time from the span's
    first decision or last known outcome.
    """

    bars: int = 0
    seconds: int = 0


NO_EMBARGO = Embargo()


@dataclass(frozen=True)
class Dropped:
    """Training rows a split gave up: by an overlapping label interval, and by the embargo."""

    purged_count: int
    embargoed_count: int


def keep_apart(
    candidates: Rows,
    held_out: Sequence[Rows],
    rows: Rows,
    t0: Microseconds,
    t1: Microseconds,
    before: Embargo = NO_EMBARGO,
    after: Embargo = NO_EMBARGO,
) -> tuple[Rows, Dropped]:
    """The candidates that stay clear of every block held out, with an embargo on either side of each.

    Parameters
    ----------
    candidates : intp (candidates,)
    held_out : sequence of intp
        Blocks of rows; each is a span from its first decision to its last known outcome.
    rows : intp (rows,)
        All that are split, ascending: the embargo's bars are counted in them.
    t0, t1 : int64
        By row number; `t0` ascending.
    before, after : Embargo
    """
    begins, ends = t0[candidates], t1[candidates]
    decided, known = t0[rows], t1[rows]
    purged = np.zeros(candidates.size, dtype=np.bool_)
    clear = np.ones(candidates.size, dtype=np.bool_)
    for block in held_out:
        begin, end = t0[block].min(), t1[block].max()
        is_earlier, is_later = ends < begin, begins > end
        purged |= ~(is_earlier | is_later)
        if before.bars:
            earlier = _moments(decided[known < begin])[::-1]
            is_earlier &= begins < _nth(earlier, before.bars, np.iinfo(np.int64).min)
        if after.bars:
            later = _moments(decided[np.searchsorted(decided, end, side="right") :])
            is_later &= begins > _nth(later, after.bars, np.iinfo(np.int64).max)
        is_earlier &= ends < begin - before.seconds * MICROSECONDS_PER_SECOND
        is_later &= begins > end + after.seconds * MICROSECONDS_PER_SECOND
        clear &= is_earlier | is_later
    return candidates[clear], Dropped(int(purged.sum()), int((~clear & ~purged).sum()))


def cut(rows: Rows, t0: Microseconds, positions: Sequence[int] | Rows) -> list[Rows]:
    """Rows cut at positions, or next to them where that would divide the rows of one moment: decisions of
    several symbols are held out together or not at all.

    Raises
    ------
    FailedPrecondition
        A part without a row.
    """
    decided, wanted = t0[rows], np.asarray(positions, dtype=np.intp)
    before, after = (np.searchsorted(decided, decided[wanted], side=side) for side in ("left", "right"))
    parts = np.split(rows, np.where(wanted - before <= after - wanted, before, after))
    if not all(part.size for part in parts):
        raise too_little(
            f"{rows.size} rows of {_moments(decided).size} moments do not fill {len(parts)} parts"
        )
    return parts


def require_intervals(t0: Microseconds, t1: Microseconds) -> None:
    """Refuse times that are no intervals in order of decision."""
    if t0.shape != t1.shape or t0.ndim != 1:
        raise ValueError(f"t0 has shape {t0.shape}, t1 {t1.shape}; both must be (rows,).")
    if np.any(np.diff(t0) < 0):
        raise InvalidArgument.of("t0", "increasing", "must ascend: rows are in order of time.")
    if np.any(t1 < t0):
        raise InvalidArgument.of(
            "t1", "interval", "must not precede t0: no outcome is known before the decision."
        )


def too_little(what: str) -> FailedPrecondition:
    """The refusal of rows that are too few to split."""
    return FailedPrecondition("dataset", f"Too little data: {what}.", Reason.TOO_LITTLE_DATA)


def _moments(ascending: Microseconds) -> Microseconds:
    """Each moment once; sorted already, they need no `np.unique`, which is ten times slower."""
    return ascending[np.flatnonzero(np.diff(ascending, prepend=np.iinfo(np.int64).min))]


def _nth(moments: Microseconds, count: int, beyond: int) -> int:
    """The last of the first `count` moments; `beyond` where there are fewer."""
    return int(moments[count - 1]) if count <= moments.size else beyond
