"""Fisher's exact test of many two by two tables at once (Fisher 1922), two-sided as scipy's is."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from services.features.columns import Floats

Integers: TypeAlias = npt.NDArray[np.int64]

# Tables as likely as the one seen, but for rounding, count as no less likely: scipy's factor.
_ROUNDING = 1.0 + 1e-14


def fisher_exact(first: Floats, second: Floats, third: Floats, fourth: Floats) -> Floats:
    """Two-sided p-values of tables [[first, second], [third, fourth]], float64 (tables,).

    The sum of the probabilities of all tables with the same margins that are not likelier than the one seen;
    1 where a margin is zero.
    """
    seen, row = first.astype(np.int64), (first + second).astype(np.int64)
    column, whole = (first + third).astype(np.int64), (first + second + third + fourth).astype(np.int64)
    found = np.ones(len(seen))
    tested = np.flatnonzero((row > 0) & (row < whole) & (column > 0) & (column < whole))
    if not len(tested):
        return found
    seen, row, column, whole = seen[tested], row[tested], column[tested], whole[tested]

    def probability(at: Integers) -> Floats:
        values: Floats = stats.hypergeom.pmf(at, whole, row, column)
        return values

    support = np.maximum(0, row + column - whole), np.minimum(row, column)
    likeliest = ((column + 1) * (row + 1) / (whole + 2)).astype(np.int64)
    own = probability(seen)
    bound = own * _ROUNDING
    is_low = seen < likeliest
    # The first table of the other tail that is as unlikely as the one seen: towards each end of the
    # support probabilities fall.
    inside, outside = likeliest.copy(), np.where(is_low, support[1] + 1, support[0] - 1)
    most_told = _likelihood(seen, row, column, whole)
    while (open_ := np.abs(outside - inside) > 1).any():
        middle = (inside + outside) // 2
        unlikely = _likelihood(middle, row, column, whole) <= most_told
        outside = np.where(open_ & unlikely, middle, outside)
        inside = np.where(open_ & ~unlikely, middle, inside)
    # Rounding: tables as likely as the one seen, its mirror image say, may lie on the wrong side by now.
    # Where the probability is too small for a number both tails are zero, wherever the other begins.
    step, is_number = np.where(is_low, 1, -1), own > 0.0
    while (open_ := is_number & (probability(outside) > bound)).any():
        outside = outside + step * open_
    while (open_ := is_number & (outside - step != likeliest) & (probability(outside - step) <= bound)).any():
        outside = outside - step * open_
    own_tail = np.where(
        is_low,
        stats.hypergeom.cdf(seen, whole, row, column),
        stats.hypergeom.sf(seen - 1, whole, row, column),
    )
    other_tail = np.where(
        is_low,
        stats.hypergeom.sf(outside - 1, whole, row, column),
        stats.hypergeom.cdf(outside, whole, row, column),
    )
    most = probability(likeliest)
    is_most = np.abs(own - most) <= 1e-14 * np.maximum(own, most)
    found[tested] = np.where(is_most, 1.0, np.minimum(own_tail + other_tail, 1.0))
    return found


def _likelihood(at: Integers, row: Integers, column: Integers, whole: Integers) -> Floats:
    """Logarithm of a table's probability, but for what all of the same margins share."""
    found: Floats = -(
        special.gammaln(at + 1.0)
        + special.gammaln(row - at + 1.0)
        + special.gammaln(column - at + 1.0)
        + special.gammaln(whole - row - column + at + 1.0)
    )
    return found
