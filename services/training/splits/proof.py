"""The proof of a split, by the intervals alone: it does not know how the rows were split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marketml.rpc.refusals import FailedPrecondition, Reason
from services.training.splits.intervals import Dropped, Microseconds, Rows


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


def require_taken_from(given: Rows, *taken: Rows) -> None:
    """Check that a consumer takes rows of those that it was given, which others' proofs keep from the rest:
    that its own are apart from each other does not say that none is of the test span.

    Raises
    ------
    FailedPrecondition
        `LEAK_DETECTED`: some row is none of those given.
    """
    strange = sum(int(np.count_nonzero(~np.isin(rows, given))) for rows in taken)
    if strange:
        raise FailedPrecondition(
            "split",
            f"{strange} rows were taken that are none of the {given.size} to take from.",
            Reason.LEAK_DETECTED,
        )


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
