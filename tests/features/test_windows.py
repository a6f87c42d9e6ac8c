"""Windows put together from their halves, and sorted ones, against NumPy on every window by itself."""

from __future__ import annotations

import numpy as np
import pytest

from services.features.calculators import windows

WINDOWS = (1, 2, 3, 5, 8, 12, 13, 20, 50, 168)
TIES = np.round(np.random.default_rng(4).normal(0.0, 2.0, 1200))
HOLED = np.where(np.random.default_rng(5).random(1200) < 0.01, np.nan, TIES)


def of_windows(x: np.ndarray, window: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(x, window)


@pytest.mark.parametrize("window", WINDOWS)
def test_quantiles_are_those_of_the_sorted_window_and_missing_where_it_holds_a_hole(window: int):
    probabilities = (0.0, 0.25, 0.5, 0.9, 1.0)
    found = windows.quantiles(HOLED, window, probabilities)
    for probability, values in zip(probabilities, found, strict=True):
        expected = np.quantile(of_windows(HOLED, window), probability, axis=1)
        np.testing.assert_allclose(values[window - 1 :], expected, rtol=1e-12, atol=1e-12)
        assert np.isnan(values[: window - 1]).all()


@pytest.mark.parametrize("window", WINDOWS)
def test_extremes_are_dated_by_the_newest_of_several(window: int):
    each = of_windows(HOLED, window)
    known = ~np.isnan(each).any(axis=1)
    for values, since, best in (
        (windows.lowest(HOLED, window), windows.since_lowest(HOLED, window), np.argmin),
        (windows.highest(HOLED, window), windows.since_highest(HOLED, window), np.argmax),
    ):
        ages = best(each[:, ::-1], axis=1)
        expected = np.where(known, each[np.arange(len(each)), window - 1 - ages], np.nan)
        np.testing.assert_array_equal(values[window - 1 :], expected)
        np.testing.assert_array_equal(since[window - 1 :], np.where(known, ages, np.nan))


NOISE = np.random.default_rng(7).normal(size=3000)


@pytest.mark.parametrize("window", WINDOWS[1:])
@pytest.mark.parametrize(
    "x",
    [
        NOISE,
        HOLED,
        np.where(NOISE > 2.0, np.nan, np.floor(NOISE)),
        np.repeat(NOISE[:5], 600),  # still for longer than any window
        NOISE * np.where(np.arange(3000) % 700 == 0, 1e12, 1e-9),  # all but one nearly the same beside it
        1e308 * np.sign(NOISE) * (1.0 + 0.5 * (NOISE > 1.0)),  # further apart than a number can be
        1e-310 * NOISE,
        1e5 + 1e-10 * NOISE,
    ],
)
def test_above_or_below_a_quantile_is_told_by_how_many_values_are_lower_or_higher(x: np.ndarray, window: int):
    each = of_windows(x, window)
    earlier, newest = each[:, :-1], each[:, -1:]
    known = ~np.isnan(each).any(axis=1)
    for probability in (0.05, 0.1, 0.5, 0.9):
        limit = probability * (window - 1)
        above = np.where(known, (earlier < newest).sum(axis=1) > limit, np.nan)
        below = np.where(known, (earlier <= newest).sum(axis=1) < limit, np.nan)
        np.testing.assert_array_equal(windows.above(x, window, probability)[window - 1 :], above)
        np.testing.assert_array_equal(windows.passed(x, window, (probability,))[window - 1 :], above)
        np.testing.assert_array_equal(windows.below(x, window, probability)[window - 1 :], below)


@pytest.mark.parametrize("window", WINDOWS[1:])
def test_moments_keep_their_digits_on_a_high_price_and_huge_volumes(window: int):
    noise = np.random.default_rng(6).normal(size=(2, 3000))
    price, volume = 1e5 + 1e-6 * noise[0], 1e12 * np.exp(noise[1])
    for x in (price, volume):
        mean, squares, *_ = windows.moments(x, window, 4)
        away = of_windows(x - x[0], window)
        away = away - away.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(mean[window - 1 :], of_windows(x, window).mean(axis=1), rtol=1e-14)
        np.testing.assert_allclose(squares[window - 1 :], (away**2).sum(axis=1), rtol=1e-8)
    still = np.full(3000, 1e5 / 3.0)
    assert (windows.moments(still, window, 4)[0][window - 1 :] == 1e5 / 3.0).all()
    assert not windows.moments(still, window, 4)[1][window - 1 :].any()
    assert np.isnan(windows.correlations(still, price, window)).all()


def test_a_window_longer_than_the_bars_is_unknown():
    assert np.isnan(windows.means(TIES[:5], 6)).all()
    assert np.isnan(windows.lowest(TIES[:5], 6)).all()
    assert np.isnan(windows.quantiles(TIES[:5], 60, (0.5,))[0]).all()
