"""Bars of a longer timeframe made of shorter ones.

A longer bar is given once its time is known to be over: when a shorter one that ends at or after its end was
captured closed. What comes later changes no bar that was given before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from services.data.revisions import Rows, Times, joined
from services.data.series import CANDLES, TIMEFRAMES_US, grid_offset_us, open_before

_SUMMED = slice(CANDLES.required_count, len(CANDLES.columns))


def divides(shorter: str, longer: str) -> bool:
    """Whether bars of one timeframe can be made of those of another, shorter one."""
    ratio, rest = divmod(TIMEFRAMES_US[longer], TIMEFRAMES_US[shorter])
    return ratio > 1 and not rest


def shorter_timeframes(timeframe: str) -> list[str]:
    """Those whose bars make up this timeframe's, the longest first."""
    return [shorter for shorter in reversed(TIMEFRAMES_US) if divides(shorter, timeframe)]


def opens(times: Times, timeframe: str) -> Times:
    """The opens of the bars that contain the times."""
    found: Times = times - (times - grid_offset_us(timeframe)) % TIMEFRAMES_US[timeframe]
    return found


def resampled(rows: Rows, timeframe: str) -> Rows:
    """The bars that closed shorter ones make up, whole or not, from those that are there.

    First open, highest high, lowest low, last close; sums of the other columns, NaN where a part is. Stamped
    by open; captured when the last part was. A bar without parts is absent.

    Parameters
    ----------
    rows
        Candles, by time, at least one.
    """
    buckets = opens(rows.times, timeframe)
    is_first = np.append(True, buckets[1:] != buckets[:-1])
    starts = np.flatnonzero(is_first)
    lasts = np.append(starts[1:], len(rows)) - 1
    first, high, low, last = rows.columns[: CANDLES.required_count]
    columns = (
        first[starts],
        np.maximum.reduceat(high, starts),
        np.minimum.reduceat(low, starts),
        last[lasts],
        *(np.add.reduceat(column, starts) for column in rows.columns[_SUMMED]),
    )
    return Rows(buckets[starts], columns, np.maximum.reduceat(rows.captured, starts))


def resampled_pages(
    pages: Iterable[Rows], timeframe: str, base_step_us: int, is_known_over: Callable[[int], bool]
) -> Iterator[Rows]:
    """The same for a series in pages. The last bar of a page waits for the rest of it.

    Each bar is summed whole: its bits do not depend on how the rows were cut.

    Parameters
    ----------
    is_known_over
        Whether a bar of the series that opens at this time or later is known; asked once, for the last bar.
    """
    step_us = TIMEFRAMES_US[timeframe]
    held: Rows | None = None
    for page in pages:
        rows = page if held is None else joined([held, page])
        last_slot_us = open_before(int(rows.times[-1]), timeframe) + step_us - base_step_us
        whole = len(rows)
        if rows.times[-1] < last_slot_us:
            whole = int(np.searchsorted(rows.times, last_slot_us + base_step_us - step_us))
        if whole:
            yield resampled(rows.take(slice(0, whole)), timeframe)
        held = rows.take(slice(whole, None)) if whole < len(rows) else None
    if held is not None:
        last_slot_us = open_before(int(held.times[-1]), timeframe) + step_us - base_step_us
        if is_known_over(last_slot_us):
            yield resampled(held, timeframe)
