"""Folds: which blocks of rows each of several models is scored on, and which rows it may learn from.

purged k-fold           blocks side by side; each is held out once, the rest trains, on either side
walk-forward            blocks at the end, one after the other; each is scored by its own past alone
combinatorial purged    every choice of some of the blocks is held out once; the blocks make paths
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import TypeAlias

import numpy as np

from marketml.rpc.refusals import InvalidArgument, Violation
from services.training.splits.intervals import (
    NO_EMBARGO,
    Embargo,
    Microseconds,
    Rows,
    cut,
    keep_apart,
    require_intervals,
    too_little,
)

MAX_FOLDS = 100
MAX_GROUPS, MAX_TEST_GROUPS = 14, 5


@dataclass(frozen=True)
class KFold:
    """Purged k-fold: `folds` blocks in time, 2 to `MAX_FOLDS`, whose sizes differ by at most one row (where
    several symbols decide at a moment, by at most that moment's rows more)."""

    folds: int = 5

    @property
    def fold_count(self) -> int:
        """How many models it takes."""
        return self.folds


@dataclass(frozen=True)
class WalkForward:
    """The last `folds` blocks, 1 to `MAX_FOLDS`, of `test_row_count` rows, each scored by its own past.

    Where several symbols decide at a moment, a block has as few rows more or less as keep moments whole.

    `test_row_count` None is one part of `folds + 1` equal ones. `train_row_count` makes the window roll: of
    the rows that purge and embargo leave before the block, that many train, the newest; None expands.
    """

    folds: int = 5
    test_row_count: int | None = None
    train_row_count: int | None = None

    @property
    def fold_count(self) -> int:
        """How many models it takes."""
        return self.folds


@dataclass(frozen=True)
class CombinatorialPurged:
    """`groups` blocks in time, 3 to `MAX_GROUPS`; every choice of `test_groups` of them is held out once.

    At most `MAX_FOLDS` choices.
    """

    groups: int = 6
    test_groups: int = 2

    @property
    def fold_count(self) -> int:
        """How many models it takes: the choices."""
        return comb(self.groups, self.test_groups)

    @property
    def path_count(self) -> int:
        """How often every row is held out: `test_groups / groups` of the choices."""
        return comb(self.groups - 1, self.test_groups - 1)


Method: TypeAlias = KFold | WalkForward | CombinatorialPurged


FIVE_FOLDS = KFold(5)


@dataclass(frozen=True)
class Fold:
    """One fold: row numbers to train on and rows to score, both ascending."""

    train: Rows
    test: Rows
    purged_count: int
    embargoed_count: int


@dataclass(frozen=True)
class BacktestPath:
    """Held-out rows in order of time, each once: parts of (number of the fold, rows it scores for the path).

    Fold numbers are 1, 2, 3…
    """

    parts: tuple[tuple[int, Rows], ...]

    @property
    def rows(self) -> Rows:
        """All rows of the path, ascending."""
        return np.concatenate([rows for _, rows in self.parts])


def violations(embargo: Embargo, method: Method = FIVE_FOLDS, path: str = "split") -> list[Violation]:
    """Every rule that `embargo` and `method` break."""
    found = []

    def require(field: str, holds: bool, rule: str, description: str) -> None:
        if not holds:
            found.append(Violation(f"{path}.{field}", rule, description))

    def count(field: str, value: int, low: int, high: int) -> None:
        require(field, low <= value <= high, "range", f"must be from {low} to {high}, is {value}.")

    def least(field: str, value: int, low: int) -> None:
        require(field, value >= low, "range", f"must be {low} or more, is {value}.")

    least("embargo.bars", embargo.bars, 0)
    least("embargo.seconds", embargo.seconds, 0)
    both = bool(embargo.bars and embargo.seconds)
    require("embargo", not both, "one_of", "must be given in bars or in seconds, not in both.")
    match method:
        case KFold(folds):
            count("folds", folds, 2, MAX_FOLDS)
        case WalkForward(folds, test_row_count, train_row_count):
            count("walk_forward.folds", folds, 1, MAX_FOLDS)
            least("walk_forward.test_row_count", 1 if test_row_count is None else test_row_count, 1)
            least("walk_forward.train_row_count", 1 if train_row_count is None else train_row_count, 1)
        case CombinatorialPurged(groups, test_groups):
            count("combinatorial_purged.groups", groups, 3, MAX_GROUPS)
            count("combinatorial_purged.test_groups", test_groups, 1, MAX_TEST_GROUPS)
            if not found:
                at = "combinatorial_purged.test_groups"
                words = f"must be less than the {groups} groups, is {test_groups}."
                require(at, test_groups < groups, "range", words)
                choices = f"{test_groups} of {groups} are {method.fold_count:,} choices"
                few = method.fold_count <= MAX_FOLDS
                require(at, few, "fold_count", f"must leave at most {MAX_FOLDS} folds: {choices}.")
    return found


def split_folds(
    t0: Microseconds,
    t1: Microseconds,
    method: Method,
    embargo: Embargo = NO_EMBARGO,
    rows: Rows | None = None,
) -> list[Fold]:
    """The folds of a method, each proof against the future of what it is scored on.

    From the training rows go all whose `[t0, t1]` touches `[min t0, max t1]` of a run of neighbouring blocks
    held out (purge), and those within the embargo: after each run, or, walking forward, before the block.

    Parameters
    ----------
    t0, t1 : int64 (rows,)
        Decision and outcome known; `t0` ascending, `t1 >= t0`; microseconds since the epoch. Decisions may
        be equal: those of several symbols.
    method : Method
        The folds of a combinatorial one come in lexicographic order of their groups.
    embargo : Embargo
    rows : intp, optional
        Split only these ascending row numbers (the training side of an outer split); default all.

    Raises
    ------
    InvalidArgument
        Unordered times or a broken rule of the method or the embargo.
    FailedPrecondition
        Fewer rows than blocks, or a fold without a training row.

    References
    ----------
    López de Prado (2018), *Advances in Financial Machine Learning*, chapters 7 and 12.
    """
    require_intervals(t0, t1)
    broken = violations(embargo, method)
    if broken:
        raise InvalidArgument(broken)
    rows = np.arange(t0.size) if rows is None else rows
    blocks, found = _blocks(rows, t0, method), []
    for number, tested in enumerate(_tested(method), start=1):
        test = np.concatenate([blocks[block] for block in tested])
        if isinstance(method, WalkForward):
            past = rows[rows < test[0]]
            train, dropped = keep_apart(past, [test], rows, t0, t1, before=embargo)
            train = train[-(method.train_row_count or train.size) :]
        else:
            runs = [np.concatenate([blocks[block] for block in run]) for run in _runs(tested)]
            others = np.setdiff1d(rows, test, assume_unique=True)
            train, dropped = keep_apart(others, runs, rows, t0, t1, after=embargo)
        if not train.size:
            count = method.fold_count
            raise too_little(f"fold {number} of {count} has no training row left after purge and embargo")
        found.append(Fold(train, test, dropped.purged_count, dropped.embargoed_count))
    return found


def backtest_paths(rows: Rows, t0: Microseconds, method: Method) -> list[BacktestPath]:
    """The paths that the folds of `rows` make: a combinatorial method `path_count`, the others one.

    Every path has each row that some fold holds out once; of the folds that hold a block out, the first is
    the first path's.

    References
    ----------
    López de Prado (2018), *Advances in Financial Machine Learning*, section 12.4.
    """
    blocks = _blocks(rows, t0, method)
    folds_of: list[list[int]] = [[] for _ in blocks]
    for number, tested in enumerate(_tested(method), start=1):
        for block in tested:
            folds_of[block].append(number)
    return [BacktestPath(tuple(zip(numbers, blocks, strict=True))) for numbers in zip(*folds_of, strict=True)]


def _blocks(rows: Rows, t0: Microseconds, method: Method) -> list[Rows]:
    """The blocks of rows that are ever held out, in order of time."""
    match method:
        case KFold(folds):
            count = folds
        case CombinatorialPurged(groups, _):
            count = groups
        case WalkForward(folds, test_row_count, _):
            size = rows.size // (folds + 1) if test_row_count is None else test_row_count
            if not 0 < size * folds < rows.size:
                each = f" of {test_row_count} rows" if test_row_count else ""
                raise too_little(f"{folds} blocks{each} and rows before them are more than {rows.size} rows")
            return cut(rows, t0, rows.size - size * np.arange(folds, 0, -1))[1:]
    if rows.size < count:
        raise too_little(f"{count} blocks need {count} rows, there are {rows.size}")
    sizes = [part.size for part in np.array_split(rows, count)]
    return cut(rows, t0, np.cumsum(sizes)[:-1])


def _tested(method: Method) -> list[tuple[int, ...]]:
    """For each fold, the positions of the blocks that it holds out."""
    if isinstance(method, CombinatorialPurged):
        return list(combinations(range(method.groups), method.test_groups))
    return [(block,) for block in range(method.folds)]


def _runs(tested: Sequence[int]) -> list[list[int]]:
    """Neighbouring blocks together: an embargo between two of them would count the other's rows."""
    runs: list[list[int]] = []
    for block in tested:
        if runs and block == runs[-1][-1] + 1:
            runs[-1].append(block)
        else:
            runs.append([block])
    return runs
