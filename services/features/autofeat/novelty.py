"""What a column says of a target that other columns do not say, in ranks.

Ranks, because models here are trees: a logarithm of a feature says nothing to them that the feature did not,
and a quotient that is huge at one row does not count for more than that row.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from services.features.columns import Floats
from services.features.selection.compiled import unit_ranks
from services.features.selection.spans import spans
from services.features.selection.target import Target, TargetKind

Ranks = npt.NDArray[np.float32]
_SAME = 1e-2  # of a column's sum of squares: with less left, others say it already
_NEARLY = 0.85
_LEAST = 1e-6  # of the largest square: a column with less is rounding


def target_columns(target: Target) -> Ranks:
    """What is to be told, each with mean 0 and all with sum of squares 1: ranks of a number, or the classes
    one by one (of two the second). (columns, rows)"""
    if target.kind is TargetKind.REAL:
        return unit_ranks(target.values[None])
    classes = target.classes[1:] if len(target.classes) == 2 else target.classes
    members: Floats = (target.values == classes[:, None]).astype(np.float64)
    members -= members.mean(axis=1, keepdims=True)
    scaled: Ranks = (members / np.sqrt((members**2).sum())).astype(np.float32)
    return scaled


def basis(ranks: Ranks, look: Callable[[], None]) -> Ranks:
    """Orthonormal columns that say the same as these together. (columns, rows)

    By the products of the columns with each other, which are summed some rows at a time: a decomposition of
    the columns themselves takes seconds.
    """
    count, rows = ranks.shape
    if not count:
        return ranks
    products = np.zeros((count, count))
    for some in spans(rows, count, look):
        part = ranks[:, some].astype(np.float64)
        products += part @ part.T
    look()
    squares, mix = np.linalg.eigh(products)
    is_kept = squares > _LEAST * squares[-1]
    mix = mix[:, is_kept] / np.sqrt(squares[is_kept])
    found: Ranks = np.empty((mix.shape[1], rows), np.float32)
    for some in spans(rows, count, look):
        found[:, some] = mix.T @ ranks[:, some]
    return found


def without(columns: Ranks, known: Ranks, look: Callable[[], None]) -> Ranks:
    """What is left of columns (columns, rows) without what an orthonormal basis says."""
    left = columns.copy()
    for some in spans(len(columns), columns.shape[1], look):
        left[some] -= (columns[some] @ known.T) @ known
    return left


class Novelty:
    """How much columns would add, and how much columns that know nothing would.

    Such are probes: the same columns, moved around in time by a random share of all rows (after Stoppiglia
    et al. 2003, whose probes are permuted; a moved column keeps its persistence, and a persistent one goes
    with any persistent target for a while).

    Parameters
    ----------
    known : (columns, rows)
        An orthonormal basis of what is said already.
    wanted : (columns, rows)
        The target's columns.
    """

    def __init__(
        self,
        known: Ranks,
        wanted: Ranks,
        probes: int,
        generator: np.random.Generator,
        look: Callable[[], None],
    ) -> None:
        self._known = known
        self._left = without(wanted, known, look)
        shifts = _shifts(wanted.shape[1], probes, generator)
        # To move the target one way is to move every column the other.
        self._moved = np.concatenate([np.roll(self._left, shift, axis=1) for shift in shifts])

    def scores(self, values: Floats) -> tuple[Floats, Floats]:
        """Of columns (columns, rows): the share of the target that each adds, and the largest share that one
        of its probes does, float64 (columns,)."""
        ranks = unit_ranks(values)
        told = ((ranks @ self._known.T) ** 2).sum(axis=1) if len(self._known) else np.zeros(len(ranks))
        size = (ranks**2).sum(axis=1) - told
        added = ((ranks @ self._left.T) ** 2).sum(axis=1) / np.maximum(size, _SAME)
        added[size < _SAME] = 0.0
        probed = (ranks @ self._moved.T) ** 2
        by_probe = probed.reshape(len(ranks), -1, len(self._left)).sum(axis=2)
        return added.astype(np.float64), by_probe.max(axis=1).astype(np.float64)


def moved(columns: Ranks, generator: np.random.Generator) -> Ranks:
    """Each column moved around in time, by at least a tenth of all rows."""
    found: Ranks = np.stack(
        [
            np.roll(row, shift)
            for row, shift in zip(columns, _shifts(columns.shape[1], len(columns), generator), strict=True)
        ]
    )
    return found


def _shifts(rows: int, count: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    return generator.integers(max(1, rows // 10), max(2, rows - rows // 10), count)


def forward(
    columns: Ranks,
    probes: Ranks,
    wanted: Ranks,
    count_max: int,
    look: Callable[[], None],
) -> list[int]:
    """Choose columns one after the other, always the one that adds most to those chosen before, until a probe
    would add more (Stoppiglia et al. 2003). Of those that add nearly as much as the best the first is chosen:
    the votes of several rounds of choice then fall on one of many that are alike.

    Parameters
    ----------
    columns, probes : (columns, rows)
        Without what is known already.
    wanted : (columns, rows)
        What is not said yet.
    """
    all_columns = np.concatenate([columns, probes])
    sizes = (all_columns**2).sum(axis=1)
    least = _SAME * np.maximum(sizes, 1e-12)
    left = wanted.copy()
    chosen: list[int] = []
    while len(chosen) < count_max:
        look()
        usable = sizes > least
        shares = np.where(usable, ((all_columns @ left.T) ** 2).sum(axis=1) / np.maximum(sizes, 1e-12), 0.0)
        best = int(shares.argmax())
        if best >= len(columns) or shares[best] <= 0.0:
            break
        best = int(np.argmax(shares[: len(columns)] >= _NEARLY * shares[best]))
        chosen.append(best)
        direction = all_columns[best] / np.sqrt(sizes[best])
        left -= (left @ direction)[:, None] * direction
        all_columns -= (all_columns @ direction)[:, None] * direction
        sizes = (all_columns**2).sum(axis=1)
        sizes[chosen] = 0.0
    return chosen
