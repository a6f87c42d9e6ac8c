"""The one splitter: every consumer of rows (scores, early stopping, search) takes them from here.

A row is an interval `[t0, t1]`: its decision and the moment its outcome was known. A training row whose
interval touches the span of the rows held out has seen their future, or they its: it is purged. An embargo
widens the gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from marketml.rpc.refusals import FailedPrecondition, InvalidArgument, Reason, Violation

Microseconds: TypeAlias = npt.NDArray[np.int64]
Rows: TypeAlias = npt.NDArray[np.intp]

MICROSECONDS_PER_SECOND = 1_000_000
MAX_FOLDS = 100


@dataclass(frozen=True)
class Embargo:
    """How far training rows keep from held-out ones beyond the purge; of the two, at most one is set.

    `bars` counts the rows next to the span that the purge has left (a row is a bar, so never fewer bars than
    asked); `seconds` is time from the span's first decision or last known outcome.
    """

    bars: int = 0
    seconds: int = 0


NO_EMBARGO = Embargo()


@dataclass(frozen=True)
class Dropped:
    """Training rows a split gave up: by an overlapping label interval, and by the embargo."""

    purged_count: int
    embargoed_count: int


@dataclass(frozen=True)
class Fold:
    """One fold: row numbers to train on and rows to score, both ascending."""

    train: Rows
    test: Rows
    purged_count: int
    embargoed_count: int


@dataclass(frozen=True)
class SplitProof:
    """What a manifest says of one split: who took the rows, how many, what was dropped, how wide the gap is.

    Times are microseconds since the epoch; a first time is a decision, a last time a known outcome.
    `gap_microseconds` is the least distance between a training interval and a held-out one, always above 0.
    """

    consumer: str
    train_rows: int
    held_out_rows: int
    purged_count: int
    embargoed_count: int
    train_first_time: int
    train_last_time: int
    held_out_first_time: int
    held_out_last_time: int
    gap_microseconds: int


def violations(embargo: Embargo, path: str = "split.embargo") -> list[Violation]:
    """Every rule that `embargo` breaks."""
    found = []
    for field, value in (("bars", embargo.bars), ("seconds", embargo.seconds)):
        if value < 0:
            found.append(Violation(f"{path}.{field}", "range", f"must be 0 or more, is {value}."))
    if embargo.bars and embargo.seconds:
        found.append(Violation(path, "one_of", "must be given in bars or in seconds, not in both."))
    return found


def final_test_split(
    t0: Microseconds, t1: Microseconds, fraction: float, embargo: Embargo = NO_EMBARGO
) -> tuple[Rows, Rows, Dropped]:
    """Set the last `fraction` of the rows aside, and purge the rows before them.

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
    _require_intervals(t0, t1)
    return _tail_split(np.arange(t0.size), t0, t1, fraction, embargo)


def early_stopping_slice(
    train: Rows, t0: Microseconds, t1: Microseconds, fraction: float, embargo: Embargo = NO_EMBARGO
) -> tuple[Rows, Rows, Dropped]:
    """Set the last `fraction` of the training rows aside to stop on, and purge those before them.

    Parameters
    ----------
    train : intp (train rows,)
        Ascending row numbers into `t0` and `t1`; the slice never leaves them.
    t0, t1, fraction, embargo
        As for `final_test_split`.

    Returns
    -------
    fit, validation : intp
    dropped : Dropped
    """
    _require_intervals(t0, t1)
    return _tail_split(train, t0, t1, fraction, embargo)


def purged_k_fold(
    t0: Microseconds, t1: Microseconds, folds: int, embargo: Embargo = NO_EMBARGO, rows: Rows | None = None
) -> list[Fold]:
    """Contiguous blocks in time, each scored by a model of the other rows that never saw it.

    From the training rows of a block go all whose `[t0, t1]` touches `[min t0, max t1]` of the block (purge)
    and those that follow it within the embargo.

    Parameters
    ----------
    t0, t1 : int64 (rows,)
        As for `final_test_split`.
    folds : int
        From 2 to `MAX_FOLDS`; block sizes differ by at most one row.
    embargo : Embargo
    rows : intp, optional
        Split only these ascending row numbers (the training side of an outer split); default all.

    Raises
    ------
    InvalidArgument
        Unordered times or a number of folds out of range.
    FailedPrecondition
        Fewer rows than folds, or a fold without a training row.

    References
    ----------
    López de Prado (2018), *Advances in Financial Machine Learning*, chapter 7.
    """
    _require_intervals(t0, t1)
    if not 2 <= folds <= MAX_FOLDS:
        raise InvalidArgument.of("split.folds", "range", f"must be from 2 to {MAX_FOLDS}, is {folds}.")
    rows = np.arange(t0.size) if rows is None else rows
    if rows.size < folds:
        raise _too_little(f"{folds} folds need {folds} rows, there are {rows.size}")
    found = []
    for number, test in enumerate(np.array_split(rows, folds), start=1):
        others = np.concatenate((rows[rows < test[0]], rows[rows > test[-1]]))
        train, dropped = _keep_apart(others, test, t0, t1, NO_EMBARGO, embargo)
        if not train.size:
            raise _too_little(f"fold {number} of {folds} has no training row left after purge and embargo")
        found.append(Fold(train, test, dropped.purged_count, dropped.embargoed_count))
    return found


def verify_no_overlap(t0: Microseconds, t1: Microseconds, train: Rows, held_out: Rows) -> int:
    """Check by the intervals alone, not by how they were split, that no training row touches a held-out one.

    Returns
    -------
    int
        The least distance between a training and a held-out interval, microseconds.

    Raises
    ------
    FailedPrecondition
        `LEAK_DETECTED`: some training interval overlaps a held-out one.
    """
    order = np.argsort(t0[held_out], kind="stable")
    begins = t0[held_out][order]
    latest_end = np.maximum.accumulate(t1[held_out][order])
    # How many held-out rows begin before this training row has ended: it overlaps one that ends late enough.
    count = np.searchsorted(begins, t1[train], side="right")
    some = count > 0
    after_distance = t0[train][some] - latest_end[count[some] - 1]
    overlaps = int(np.count_nonzero(after_distance <= 0))
    if overlaps:
        raise FailedPrecondition(
            "split",
            f"{overlaps} of {train.size} training rows overlap held-out rows in time.",
            Reason.LEAK_DETECTED,
        )
    follows = count < begins.size
    before_distance = begins[count[follows]] - t1[train][follows]
    return int(np.concatenate((after_distance, before_distance)).min())


def prove(
    consumer: str, t0: Microseconds, t1: Microseconds, train: Rows, held_out: Rows, dropped: Dropped
) -> SplitProof:
    """The proof of one split for the manifest; raises as `verify_no_overlap` if there is none."""
    gap = verify_no_overlap(t0, t1, train, held_out)
    return SplitProof(
        consumer=consumer,
        train_rows=int(train.size),
        held_out_rows=int(held_out.size),
        purged_count=dropped.purged_count,
        embargoed_count=dropped.embargoed_count,
        train_first_time=int(t0[train].min()),
        train_last_time=int(t1[train].max()),
        held_out_first_time=int(t0[held_out].min()),
        held_out_last_time=int(t1[held_out].max()),
        gap_microseconds=gap,
    )


class PurgedKFold:
    """`purged_k_fold` in the shape that scikit-learn's `cv=` parameters take."""

    def __init__(self, t0: Microseconds, t1: Microseconds, folds: int, embargo: Embargo = NO_EMBARGO) -> None:
        self._t0, self._t1 = t0, t1
        self._folds, self._embargo = folds, embargo

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:  # noqa: N803
        """Number of folds."""
        return self._folds

    def split(
        self,
        X: npt.ArrayLike,  # noqa: N803
        y: object = None,
        groups: object = None,
    ) -> Iterator[tuple[Rows, Rows]]:
        """Train and test row numbers of each fold; `X` must have the rows of the times given."""
        if np.shape(X)[0] != self._t0.size:
            raise ValueError(f"X has {np.shape(X)[0]} rows, the times have {self._t0.size}.")
        for fold in purged_k_fold(self._t0, self._t1, self._folds, self._embargo):
            yield fold.train, fold.test


def _tail_split(
    rows: Rows, t0: Microseconds, t1: Microseconds, fraction: float, embargo: Embargo
) -> tuple[Rows, Rows, Dropped]:
    if not 0 < fraction < 1:
        raise InvalidArgument.of("fraction", "range", f"must be in (0, 1), is {fraction}.")
    held_out_count = max(1, round(rows.size * fraction))
    if rows.size <= held_out_count:
        raise _too_little(f"{rows.size} rows leave none to train on beside {held_out_count} held out")
    held_out = rows[-held_out_count:]
    kept, dropped = _keep_apart(rows[:-held_out_count], held_out, t0, t1, embargo, NO_EMBARGO)
    if not kept.size:
        raise _too_little(
            f"purge and embargo leave no row before the {held_out_count} of {rows.size} held out"
        )
    return kept, held_out, dropped


def _keep_apart(
    rows: Rows, held_out: Rows, t0: Microseconds, t1: Microseconds, before: Embargo, after: Embargo
) -> tuple[Rows, Dropped]:
    """Rows that stay clear of the span of `held_out`, with an embargo on either side of it."""
    begin, end = t0[held_out].min(), t1[held_out].max()
    earlier = rows[t1[rows] < begin]
    later = rows[t0[rows] > end]
    purged = rows.size - earlier.size - later.size
    kept_earlier = earlier[t1[earlier] < begin - before.seconds * MICROSECONDS_PER_SECOND]
    kept_later = later[t0[later] > end + after.seconds * MICROSECONDS_PER_SECOND]
    kept_earlier = kept_earlier[: max(0, kept_earlier.size - before.bars)]
    kept_later = kept_later[after.bars :]
    kept = np.concatenate((kept_earlier, kept_later))
    return kept, Dropped(purged, earlier.size + later.size - kept.size)


def _require_intervals(t0: Microseconds, t1: Microseconds) -> None:
    if t0.shape != t1.shape or t0.ndim != 1:
        raise ValueError(f"t0 has shape {t0.shape}, t1 {t1.shape}; both must be (rows,).")
    if np.any(np.diff(t0) < 0):
        raise InvalidArgument.of("t0", "increasing", "must ascend: rows are in order of time.")
    if np.any(t1 < t0):
        raise InvalidArgument.of(
            "t1", "interval", "must not precede t0: no outcome is known before the decision."
        )


def _too_little(what: str) -> FailedPrecondition:
    return FailedPrecondition("dataset", f"Too little data: {what}.", Reason.TOO_LITTLE_DATA)
