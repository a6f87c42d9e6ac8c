"""The volume profile with NumPy, a window at a time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.features.golden import Golden

_known: dict[tuple[float, ...], pd.DataFrame] = {}


def volumes(bars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Volume by bin, and the bins' edges; `bars` (bars, [high, low, volume])."""
    high, low, volume = bars.T[..., None]
    lowest, highest = low.min(), high.max()
    top, bottom = ((price - lowest) / (highest - lowest) * 20 for price in (high, low))
    overlap = np.clip(np.minimum(top, np.arange(1, 21)) - np.maximum(bottom, np.arange(20)), 0, None)
    return (volume / (top - bottom) * overlap).sum(axis=0), np.linspace(lowest, highest, 21)


def profile(bars: np.ndarray, close: float) -> list[float]:
    held, edges = volumes(bars)
    middles = (edges[:-1] + edges[1:]) / 2
    poc = int(np.argmax(held))
    area = [poc]
    while held[area].sum() < 0.7 * held.sum():
        beside = [b for b in (max(area) + 1, min(area) - 1) if 0 <= b < 20]
        area.append(max(beside, key=lambda b: held[b]))
    order = np.argsort(held, kind="stable")
    full, empty = (
        min(sorted(middles[some]), key=lambda level: abs(level - close)) for some in (order[-4:], order[:4])
    )
    weights = held / held.sum()
    away = np.arange(20) - weights @ np.arange(20)
    spread = np.sqrt(weights @ away**2)
    return [
        middles[poc],
        edges[max(area) + 1],
        edges[min(area)],
        full,
        empty,
        weights @ (away / spread) ** 3,
        weights @ (away / spread) ** 4 - 3,
    ]


def profiles(f: pd.DataFrame, window: int) -> pd.DataFrame:
    key = (window, len(f), f.close.iloc[0], f.close.iloc[-1])
    if key not in _known:
        bars = np.lib.stride_tricks.sliding_window_view(
            f[["high", "low", "volume"]].to_numpy(), window, axis=0
        )
        rows = [profile(each.T, close) for each, close in zip(bars, f.close.iloc[window - 1 :], strict=True)]
        _known[key] = pd.DataFrame(
            rows, f.index[window - 1 :], ["poc", "vah", "val", "hvn", "lvn", "skew", "kurt"]
        ).reindex(f.index)
    return _known[key]


def _distance(name: str, window: int) -> Golden:
    return lambda f: 1 - profiles(f, window)[name] / f.close


def _is_inside(window: int) -> Golden:
    return lambda f: (
        f.close.between(profiles(f, window).val, profiles(f, window).vah)
        .astype(float)
        .where(profiles(f, window).poc.notna())
    )


def _width(window: int) -> Golden:
    return lambda f: (profiles(f, window).vah - profiles(f, window).val) / f.close


GOLDEN: dict[str, Golden] = (
    {
        f"volume_profile_{name}_distance_{window}": _distance(name, window)
        for window in (50, 100, 200)
        for name in ("poc", "vah", "val")
    }
    | {f"volume_profile_{name}_distance_100": _distance(name, 100) for name in ("hvn", "lvn")}
    | {f"volume_profile_in_value_area_{window}": _is_inside(window) for window in (50, 100, 200)}
    | {f"volume_profile_value_area_width_{window}": _width(window) for window in (50, 100, 200)}
    | {
        "volume_profile_skew_100": lambda f: profiles(f, 100)["skew"],
        "volume_profile_kurt_100": lambda f: profiles(f, 100)["kurt"],
    }
)
