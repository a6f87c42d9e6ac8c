"""The newest rows set aside: the final test span, and what a fit stops, calibrates and decides by."""

from __future__ import annotations

import numpy as np

from marketml.rpc.refusals import InvalidArgument
from services.training.splits.intervals import (
    NO_EMBARGO,
    Dropped,
    Embargo,
    Microseconds,
    Rows,
    cut,
    keep_apart,
    require_intervals,
    too_little,
)


def final_test_split(
    t0: Microseconds, t1: Microseconds, fraction: float, embargo: Embargo = NO_EMBARGO
) -> tuple[Rows, Rows, Dropped]:
    """Set the last `fraction` of the rows aside, in whole moments, and purge the rows before them.

    Nothing follows the span, so the embargo is a gap before it.

    Parameters
    ----------
    t0, t1 : int64 (rows,)
        Decision and outcome known; `t0` ascending, `t1 >= t0`; microseconds since the epoch.
    fraction : float
        In (0, 1); at least one row is held out.
    embargo : Embargo

    Returns
    -------
    train, test : intp (train rows,), (test rows,)
    dropped : Dropped

    Raises
    ------
    InvalidArgument
        Unordered times or a fraction out of range.
    FailedPrecondition
        No training row is left.
    """
    require_intervals(t0, t1)
    return _tail_split(np.arange(t0.size), t0, t1, fraction, embargo)


def newest_slice(
    train: Rows, t0: Microseconds, t1: Microseconds, fraction: float, embargo: Embargo = NO_EMBARGO
) -> tuple[Rows, Rows, Dropped]:
    """Set the last `fraction` of the training rows aside, for what must not be decided by rows that the model
    learnt (when to stop, how to calibrate, which thresholds), and purge those before them.

    Parameters
    ----------
    train : intp (train rows,)
        Ascending row numbers into `t0` and `t1`; the slice never leaves them.
    t0, t1, fraction, embargo
        As for `final_test_split`.

    Returns
    -------
    fit, newest : intp
    dropped : Dropped
    """
    require_intervals(t0, t1)
    return _tail_split(train, t0, t1, fraction, embargo)


def _tail_split(
    rows: Rows, t0: Microseconds, t1: Microseconds, fraction: float, embargo: Embargo
) -> tuple[Rows, Rows, Dropped]:
    if not 0 < fraction < 1:
        raise InvalidArgument.of("fraction", "range", f"must be in (0, 1), is {fraction}.")
    held_out_count = max(1, round(rows.size * fraction))
    if rows.size <= held_out_count:
        raise too_little(f"{rows.size} rows leave none to train on beside {held_out_count} held out")
    before, held_out = cut(rows, t0, [rows.size - held_out_count])
    kept, dropped = keep_apart(before, [held_out], rows, t0, t1, before=embargo)
    if not kept.size:
        raise too_little(f"purge and embargo leave no row before the {held_out.size} of {rows.size} held out")
    return kept, held_out, dropped
