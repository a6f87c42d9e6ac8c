"""How functions of arrays are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

from services.features.columns import Floats

INPUT = numba.types.Array(numba.float64, 1, "C", readonly=True)
OUTPUT = numba.float64[::1]


# Of what only compiled functions call: compiled into them, it has no machine code of its own to load.
inlined: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(nogil=True, error_model="numpy")


def compiled(signature: Any) -> Callable[[Callable[..., Any]], Callable[..., Floats]]:
    """Compile a function of arrays, which lets other threads run, before it is called."""
    compile_one: Callable[[Callable[..., Any]], Callable[..., Floats]] = numba.njit(
        signature, nogil=True, cache=True, error_model="numpy"
    )
    return compile_one
