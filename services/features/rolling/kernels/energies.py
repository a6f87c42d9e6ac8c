"""How much of a window's energy lies in a part of it (tsfresh 0.21.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from services.features.columns import Floats
from services.features.rolling.block import Block
from services.features.rolling.kernel import Item, Kernel

Wholes = npt.NDArray[np.int64]


class _Chunks(NamedTuple):
    """Of each item where its chunk begins and ends in the window; a chunk that is not there ends before it
    begins."""

    start: Wholes
    stop: Wholes


def _prepare_energy(window: int, items: Sequence[Item]) -> _Chunks:
    starts, stops = [], []
    for item in items:
        segments, focus = item.whole("num_segments"), item.whole("segment_focus")
        size, longer = divmod(window, segments)
        start = focus * size + min(focus, longer)
        starts.append(start)
        stops.append(start + size + (focus < longer) if focus < segments else -1)
    return _Chunks(np.array(starts, np.int64), np.array(stops, np.int64))


def _run_energy(block: Block, tables: _Chunks, out: Floats) -> None:
    _energy(block.values, block.window, *tables, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _energy(values: Floats, window: int, start: Wholes, stop: Wholes, out: Floats) -> None:
    for i in range(out.shape[1]):
        total = 0.0
        for k in range(i, i + window):
            total += values[k] * values[k]
        for row in range(out.shape[0]):
            part = 0.0
            for k in range(i + start[row], i + stop[row]):
                part += values[k] * values[k]
            out[row, i] = part / total if total > 0.0 and stop[row] >= 0 else np.nan


KERNELS = (Kernel(calculators=("energy_ratio_by_chunks",), prepare=_prepare_energy, run=_run_energy),)
