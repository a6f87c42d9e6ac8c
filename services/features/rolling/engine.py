"""One column rolled over with one window, block after block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from services.features.columns import BLOCK_BARS, Floats, Integers
from services.features.rolling.block import Block
from services.features.rolling.calculators import items_of
from services.features.rolling.kernel import Kernel
from services.features.rolling.kernels import KERNELS
from services.features.rolling.names import label

WINDOW_BARS = (8, 720)  # the shortest and the longest window


@dataclass(frozen=True)
class Pass:
    """One column rolled over with one window: a row of the result per feature.

    `calculators` are entries of a config without violations, see `calculators.items_of`.
    """

    column: str
    window: int
    calculators: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return _names(self.column, self.window, self.calculators)

    def of(self, names: Sequence[str]) -> Pass:
        """The same with these features alone."""
        prefix = len(f"w{self.window}__{self.column}__")
        return Pass(self.column, self.window, tuple(name[prefix:] for name in names))

    @property
    def history_bars(self) -> int:
        """Bars before one that its values follow from, where a block of the grid begins."""
        return self.window - 1

    def run(self, x: Floats, bar_numbers: Integers, result: Floats) -> Iterator[int]:
        """Fill `result` (features, bars) from the column `x` of bars with these numbers; yields how many bars
        are done, block by block of the grid."""
        result[:] = np.nan
        known = _known(x, self.window)
        works = _works(self.window, self.calculators)
        rows = np.concatenate([work.rows for work in works])
        space = np.empty(rows.size * min(x.size, BLOCK_BARS))
        edges = np.flatnonzero(np.diff(bar_numbers // BLOCK_BARS)) + 1
        starts = [0, *edges.tolist(), x.size]
        for start, stop in pairwise(starts):
            for first, last in _runs(known[start:stop]):
                first, last = start + first, start + last
                block = Block(np.ascontiguousarray(x[first - self.window + 1 : last]), self.window)
                values = space[: rows.size * block.count].reshape(rows.size, block.count)
                taken = 0
                for work in works:
                    work.kernel.run(block, work.tables, values[taken : taken + work.rows.size])
                    taken += work.rows.size
                _place(values, rows, result[:, first:last])
            yield stop


@dataclass(frozen=True, eq=False)
class _Work:
    """A kernel with its tables, and the rows of the result that it fills."""

    kernel: Kernel
    tables: Any
    rows: npt.NDArray[np.intp]


@njit(cache=True, nogil=True, error_model="numpy")
def _place(values: Floats, rows: npt.NDArray[np.intp], result: Floats) -> None:
    """Put values into their rows of the result; what is not finite is NaN."""
    for row in range(values.shape[0]):
        source, target = values[row], result[rows[row]]
        for i in range(source.size):
            x = source[i]
            target[i] = x if abs(x) < np.inf else np.nan


@lru_cache(256)
def _names(column: str, window: int, calculators: tuple[str, ...]) -> tuple[str, ...]:
    prefix = f"w{window}__{column}__"
    return tuple(prefix + label(item.calculator, item.parameters) for item in items_of(calculators))


@lru_cache(64)
def _works(window: int, calculators: tuple[str, ...]) -> tuple[_Work, ...]:
    items = items_of(calculators)
    rows: dict[int, list[int]] = {}
    kernels: dict[int, Kernel] = {}
    for row, item in enumerate(items):
        kernel = KERNELS[item.calculator]
        kernels[id(kernel)] = kernel
        rows.setdefault(id(kernel), []).append(row)
    return tuple(
        _Work(kernel, kernel.prepare(window, [items[row] for row in rows[key]]), np.array(rows[key], np.intp))
        for key, kernel in kernels.items()
    )


def _known(x: Floats, window: int) -> npt.NDArray[np.bool_]:
    """At which bars the window that ends there is whole."""
    absent = np.concatenate([[0], np.cumsum(np.isnan(x))])
    known = np.zeros(x.size, np.bool_)
    known[window - 1 :] = absent[window:] == absent[:-window]
    return known


def _runs(known: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Where runs of known bars begin and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
    return zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
