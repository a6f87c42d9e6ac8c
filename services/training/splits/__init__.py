"""The one splitter: every consumer of rows (folds, early stopping, choice of features, final test) takes them
from here.

A row is an interval `[t0, t1]`: its decision and the moment its outcome was known. A training row whose
interval touches the span of a block of rows held out has seen their future, or they its: it is purged. An
embargo widens the gap. Only times count, never positions: rows of several symbols, merged in order of their
decisions, are kept apart like those of one, and no block's bound divides the rows of one moment.
"""

from services.training.splits.folds import (
    FIVE_FOLDS,
    MAX_FOLDS,
    MAX_GROUPS,
    MAX_TEST_GROUPS,
    BacktestPath,
    CombinatorialPurged,
    Fold,
    KFold,
    Method,
    WalkForward,
    backtest_paths,
    split_folds,
    violations,
)
from services.training.splits.intervals import NO_EMBARGO, Dropped, Embargo, Microseconds, Rows
from services.training.splits.proof import SplitProof, prove, require_taken_from, verify_no_overlap
from services.training.splits.scikit_learn import PurgedSplitter
from services.training.splits.tails import final_test_split, newest_slice

__all__ = [
    "FIVE_FOLDS",
    "MAX_FOLDS",
    "MAX_GROUPS",
    "MAX_TEST_GROUPS",
    "NO_EMBARGO",
    "BacktestPath",
    "CombinatorialPurged",
    "Dropped",
    "Embargo",
    "Fold",
    "KFold",
    "Method",
    "Microseconds",
    "PurgedSplitter",
    "Rows",
    "SplitProof",
    "WalkForward",
    "backtest_paths",
    "final_test_split",
    "newest_slice",
    "prove",
    "require_taken_from",
    "split_folds",
    "verify_no_overlap",
    "violations",
]
