"""How often a feed without a grid observes: its interval, when that changed, and what is absent by it.

Nothing is assumed: an interval is one that the feed kept for three observations in a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.data.quality.doubts import Places
from services.data.revisions import Times
from services.data.series import MINUTE_US

SECOND_US = 1_000_000
_KEPT_MIN = 3
_REGULAR_SHARE = 0.5
_HOLE_FACTOR = 1.5


@dataclass(frozen=True)
class Schedule:
    """What the times of a feed say.

    Attributes
    ----------
    spacing_us
        The commonest time between two observations.
    hole_rows, absent_counts, hole_intervals_us
        After which rows some are absent, how many, by the interval there.
    change_rows, before_us, after_us
        The first rows that came at another interval than was kept before, and both intervals.
    """

    spacing_us: int
    hole_rows: Places
    absent_counts: Times
    hole_intervals_us: Times
    change_rows: Places
    before_us: Times
    after_us: Times


def schedule_of(times: Times) -> Schedule:
    """The schedule of at least two strictly increasing times."""
    exact = np.diff(times)
    unit_us = MINUTE_US if np.median(exact) >= 10 * MINUTE_US else SECOND_US
    spaces = np.maximum(unit_us, np.rint(exact / unit_us).astype(np.int64) * unit_us)  # stamps jitter
    lengths, counts = np.unique(spaces, return_counts=True)
    spacing_us = int(lengths[np.argmax(counts)])

    starts = np.flatnonzero(np.append(True, spaces[1:] != spaces[:-1]))
    kept = np.diff(np.append(starts, len(spaces)))
    is_regime = kept >= _KEPT_MIN
    if kept[is_regime].sum() < _REGULAR_SHARE * len(spaces):
        none, nothing = np.empty(0, np.intp), np.empty(0, np.int64)
        return Schedule(spacing_us, none, nothing, nothing, none, nothing, nothing)

    # Of each space the shorter of the intervals kept before and after it.
    regimes, intervals = starts[is_regime], spaces[starts[is_regime]]
    after = np.searchsorted(regimes, np.arange(len(spaces)), "right")
    before = intervals[np.maximum(after - 1, 0)]
    is_inside = np.repeat(is_regime, kept)
    usual = np.where(is_inside, spaces, np.minimum(before, intervals[np.minimum(after, len(intervals) - 1)]))
    holes = np.flatnonzero(spaces > _HOLE_FACTOR * usual)
    changed = np.flatnonzero(intervals[1:] != intervals[:-1])
    return Schedule(
        spacing_us,
        holes,
        np.maximum(1, np.rint(spaces[holes] / usual[holes]).astype(np.int64) - 1),
        usual[holes],
        regimes[changed + 1] + 1,
        intervals[changed],
        intervals[changed + 1],
    )
