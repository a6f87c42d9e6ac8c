"""The statistical family against SciPy, NumPy and exact arithmetic."""

from __future__ import annotations

import statistics

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from services.features.calculators import features_of
from services.features.feature import Family, Feature
from tests.features.frames import START, columns_of
from tests.features.golden import Golden, assert_golden, frame_of

FEATURES = {feature.name: feature for feature in features_of(Family.STATISTICAL)}


def _over(name: str, window: int, statistic) -> Golden:
    def golden(f: pd.DataFrame) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(f[name].to_numpy(), window)
        return np.append(np.full(window - 1, np.nan), statistic(windows))

    return golden


STATISTICS = {
    "mean": lambda x: x.mean(axis=1),
    "std": lambda x: x.std(axis=1, ddof=1),
    "skew": lambda x: stats.skew(x, axis=1, bias=False),
    "kurt": lambda x: stats.kurtosis(x, axis=1, bias=False),
    "q25": lambda x: np.quantile(x, 0.25, axis=1),
    "q75": lambda x: np.quantile(x, 0.75, axis=1),
    "median": lambda x: np.median(x, axis=1),
    "range": lambda x: np.ptp(x, axis=1),
    "iqr": lambda x: stats.iqr(x, axis=1),
}
GOLDEN: dict[str, Golden] = {
    f"{name}_{statistic}_{window}": _over(name, window, STATISTICS[statistic])
    for window in (5, 10, 20, 50)
    for name, statistics_of in (("close", STATISTICS), ("volume", ("mean", "std")))
    for statistic in statistics_of
}


def _changes(f: pd.DataFrame) -> pd.Series:
    return f.close.pct_change()


SERIES = {
    "return": _changes,
    "log_return": lambda f: np.log(f.close).diff(),
    "volume": lambda f: f.volume,
    "high_low_ratio": lambda f: f.high / f.low - 1,
    "close_position": lambda f: (f.close - f.low) / (f.high - f.low),
}
DESCRIBED = {
    "return": ("skew", "kurt"),
    "log_return": ("skew",),
    "volume": ("skew", "kurt"),
    "high_low_ratio": ("mean", "std"),
    "close_position": ("mean", "std"),
}


def _of(series, window: int, statistic) -> Golden:
    def golden(f: pd.DataFrame) -> np.ndarray:
        known = series(f).dropna().to_numpy()
        values = statistic(np.lib.stride_tricks.sliding_window_view(known, window))
        return np.append(np.full(len(f) - values.size, np.nan), values)

    return golden


def _of_pairs(window: int) -> Golden:
    def golden(f: pd.DataFrame) -> np.ndarray:
        x, y = np.lib.stride_tricks.sliding_window_view(
            f[["close", "volume"]].to_numpy(), window, axis=0
        ).swapaxes(0, 1)
        x, y = (stats.zscore(each, axis=1) for each in (x, y))
        return np.append(np.full(window - 1, np.nan), (x * y).mean(axis=1))

    return golden


def _weighted_skew(window: int) -> Golden:
    def golden(f: pd.DataFrame) -> np.ndarray:
        both = np.stack([_changes(f), f.volume])
        x, w = np.lib.stride_tricks.sliding_window_view(both, window, axis=1)
        w = w / w.sum(axis=1, keepdims=True)
        away = x - (w * x).sum(axis=1, keepdims=True)
        skew = (w * away**3).sum(axis=1) / (w * away**2).sum(axis=1) ** 1.5
        return np.append(np.full(window - 1, np.nan), skew)

    return golden


GOLDEN |= {
    f"{name}_{statistic}_{window}": _of(SERIES[name], window, STATISTICS[statistic])
    for window in (5, 10, 20, 50)
    for name, some in DESCRIBED.items()
    for statistic in some
}
for _window in (5, 10, 20, 50):
    GOLDEN |= {
        f"abs_return_mean_{_window}": lambda f, w=_window: _changes(f).abs().rolling(w).mean(),
        f"return_asymmetry_{_window}": lambda f, w=_window: (
            _changes(f).rolling(w).sum() / _changes(f).abs().rolling(w).sum()
        ),
        f"price_volume_correlation_{_window}": _of_pairs(_window),
        f"volume_weighted_return_skew_{_window}": _weighted_skew(_window),
    }
GOLDEN |= {
    f"extreme_return_share_{window}": _of(
        _changes, window, lambda x: (np.abs(stats.zscore(x, axis=1, ddof=1)) > 2).mean(axis=1)
    )
    for window in (10, 20, 50)
}


@pytest.mark.parametrize("kind", ["walk", "real"])
@pytest.mark.parametrize("feature", FEATURES.values(), ids=FEATURES)
def test_a_statistical_feature_equals_its_golden_reference(feature: Feature, kind: str):
    assert_golden(feature, GOLDEN, frame_of(kind))


def test_every_golden_reference_belongs_to_a_feature():
    assert GOLDEN.keys() == FEATURES.keys()


def _last(name: str, close: list[float]) -> float:
    index = pd.date_range(START, periods=len(close), freq="1h", name="open_time")
    return float(FEATURES[name].compute(columns_of(pd.DataFrame({"close": close}, index)))[-1])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("close_mean_5", 4.0),
        ("close_std_5", 3.5355339059327378),  # the root of (9 + 4 + 1 + 0 + 36) / 4
        ("close_median_5", 3.0),
        ("close_q25_5", 2.0),
        ("close_q75_5", 4.0),
        ("close_iqr_5", 2.0),
        ("close_range_5", 9.0),
        ("close_skew_5", 1.697056274847714),
        ("close_kurt_5", 3.152),
    ],
)
def test_five_numbers_worked_out_by_hand(name: str, value: float):
    assert _last(name, [10.0, 1.0, 3.0, 4.0, 2.0]) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("window", [5, 50])
def test_tiny_moves_of_a_high_price_keep_their_digits(window: int):
    """Moves of 1e-6 on 1e5: sums of squares of the prices themselves would have no correct digit left."""
    close = (1e5 + 1e-6 * np.random.default_rng(3).standard_normal(window)).tolist()
    exact = statistics.stdev(close)
    assert exact > 0.0
    assert _last(f"close_std_{window}", close) == pytest.approx(exact, rel=1e-9)


def test_a_huge_value_is_forgotten_when_it_leaves_the_window():
    close = [1e15, *np.linspace(1.0, 2.0, 10).tolist()]
    assert _last("close_std_10", close) == _last("close_std_10", close[1:])
    assert _last("close_kurt_10", close) == _last("close_kurt_10", close[1:])


@pytest.mark.parametrize("price", [0.1, 1e5 / 3, 1e-9])
def test_a_price_that_stands_still_has_no_spread_and_no_shape(price: float):
    close = [price] * 50
    assert _last("close_mean_50", close) == price
    assert _last("close_std_50", close) == 0.0
    assert _last("close_range_50", close) == 0.0
    assert np.isnan(_last("close_skew_50", close))
    assert np.isnan(_last("close_kurt_50", close))
