"""Windows of all kinds, and what tsfresh itself says of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from services.features.rolling.block import Block
from services.features.rolling.calculators import CALCULATORS
from services.features.rolling.kernel import Item
from services.features.rolling.kernels import KERNELS
from services.features.rolling.names import label
from tests.features.real_frames import real_frame

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # tsfresh warns of what its own dependencies will change
    from tsfresh.feature_extraction import feature_calculators

RELATIVE = 1e-8
WINDOWS = (8, 24, 25, 72, 168)
BARS = 400


REAL = ("close", "volume", "funding_rate", "open_interest")


@cache
def _made() -> Mapping[str, np.ndarray]:
    generator = np.random.default_rng(5)
    steps = generator.normal(size=BARS)
    return {
        "returns": steps * 0.01,
        "price": 30_000.0 * np.exp(np.cumsum(steps * 0.01)),
        "tiny returns on a large price": 1e5 * np.exp(np.cumsum(steps * 1e-7)),
        "volume": generator.lognormal(3, 2, BARS),
        "volume near 1e12": generator.lognormal(np.log(1e12), 1, BARS),
        "ties": generator.integers(-3, 4, BARS).astype(np.float64),
        "steps": np.repeat(generator.normal(1e-4, 1e-4, BARS // 8 + 1), 8)[:BARS],
        "zeros": np.zeros(BARS),
        "constant": np.full(BARS, 0.1),
        "almost constant": np.where(np.arange(BARS) % 50 == 7, 0.2, 0.1),
        "wave": np.sin(np.arange(BARS) / 5.0) + 1e-3 * steps,
        "line": np.arange(BARS) * 0.5 - 20.0,
    }


KINDS = (*_made(), *(f"real {column}" for column in REAL))


@cache
def series(kind: str) -> np.ndarray:
    """Values (bars,) of a kind: random, real, constant, almost constant, tied or extreme."""
    if not kind.startswith("real "):
        return _made()[kind]
    frame = real_frame("2023-12-01 00:00", "2023-12-17 15:00")
    return frame[kind.removeprefix("real ")].to_numpy(np.float64).copy()


def ours(items: Sequence[Item], x: np.ndarray, window: int) -> np.ndarray:
    """(items, windows) by the kernel of these items, in blocks as the engine makes them."""
    kernel = KERNELS[items[0].calculator]
    tables = kernel.prepare(window, items)
    parts = []
    for start in range(0, x.size - window + 1, 128):
        block = Block(np.ascontiguousarray(x[start : start + 128 + window - 1]), window)
        out = np.full((len(items), block.count), -1.0)
        kernel.run(block, tables, out)
        parts.append(out)
    values = np.concatenate(parts, axis=1)
    values[~np.isfinite(values)] = np.nan
    return values


def theirs(items: Sequence[Item], x: np.ndarray) -> np.ndarray:
    """(items,) by tsfresh's calculator on one window."""
    function = getattr(feature_calculators, items[0].calculator)
    given = [dict(item.parameters) for item in items]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if function.fctype == "combiner":
            values = [value for _, value in function(x.copy(), given)]
        else:
            values = [function(x.copy(), **each) for each in given]
    found = np.array(values, np.float64)
    found[~np.isfinite(found)] = np.nan
    return found


def items_of(calculator: str) -> list[Item]:
    """The efficient set's items of a calculator."""
    return [Item(calculator, parameters) for parameters in CALCULATORS[calculator].parameters]


def differences(
    items: Sequence[Item], x: np.ndarray, window: int, step: int = 37, floor: float = 0.0
) -> list[str]:
    """Where ours is not theirs: beyond 1e-8 of the value, and beyond `floor`."""
    values = ours(items, x, window)
    found = []
    for at in range(0, x.size - window + 1, step):
        bars = x[at : at + window]
        expected = theirs(items, bars)
        for item, mine, true in zip(items, values[:, at], expected, strict=True):
            is_equal = (np.isnan(mine) and np.isnan(true)) or abs(mine - true) <= max(
                RELATIVE * abs(true), floor
            )
            if not is_equal:
                found.append(f"{label(item.calculator, item.parameters)} at {at}: {mine!r}, tsfresh {true!r}")
    return found
