"""Of features that go together, the most relevant one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from services.features.columns import Floats
from services.features.selection.compiled import unit_ranks
from services.features.selection.spans import spans

_BLOCK = 64  # candidates that are compared with those kept at a time, of many rows fewer
_BLOCK_VALUES = 2**26


def companions(
    values: Floats, order: Sequence[int], correlation_max: float, look: Callable[[], None]
) -> dict[int, int]:
    """Features that go with an earlier one, and with which.

    Candidates are looked at in their order: one whose absolute rank correlation (see `unit_ranks`) with one
    that is kept already is above the bound goes, with the earliest such. Beside `values` this holds the
    ranks of those kept in 4 bytes each, and those of a block of candidates.

    Parameters
    ----------
    values : float64 (features, rows), NaN where not known
    order : sequence of int
        Candidates, the most relevant first; none else is looked at.
    """
    gone: dict[int, int] = {}
    kept: list[int] = []
    kept_ranks: list[npt.NDArray[np.float32]] = []
    size = min(_BLOCK, max(1, _BLOCK_VALUES // max(1, values.shape[1])))
    for start in range(0, len(order), size):
        block = list(order[start : start + size])
        ranks = np.empty((len(block), values.shape[1]), np.float32)
        for some in spans(len(block), values.shape[1], look):
            ranks[some] = unit_ranks(values[block[some]])
        partner = np.full(len(block), -1)
        before = 0
        for others in kept_ranks:
            look()
            above = np.abs(ranks @ others.T) > correlation_max
            found = above.any(axis=1) & (partner < 0)
            partner[found] = before + above[found].argmax(axis=1)
            before += len(others)
        look()
        among = np.abs(ranks @ ranks.T) > correlation_max
        stays: list[int] = []
        for position, feature in enumerate(block):
            if partner[position] >= 0:
                gone[feature] = kept[partner[position]]
                continue
            earlier = next((other for other in stays if among[position, other]), None)
            if earlier is not None:
                gone[feature] = block[earlier]
                continue
            stays.append(position)
        kept += [block[position] for position in stays]
        if stays:
            kept_ranks.append(ranks[stays])
    return gone
