"""The columns of a frame: numbers whatever the type, missing where absent, shared once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from services.features.columns import Columns
from tests.features.frames import HOUR, START

INDEX = pd.date_range(START, periods=3, freq="1h", name="open_time")


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([1.5, np.nan, 2.5], [1.5, np.nan, 2.5]),
        ([1.5, np.inf, -np.inf], [1.5, np.nan, np.nan]),
        ([True, False, True], [1, 0, 1]),
        ([1, 2, 3], [1, 2, 3]),
        (pd.array([1, None, 3], dtype="Int64"), [1, np.nan, 3]),
        (pd.array([True, None, False], dtype="boolean"), [1, np.nan, 0]),
        (pd.array([1.5, None, 2.5], dtype="float32"), [1.5, np.nan, 2.5]),
        (pd.Series(["2024-01-01T08:00", None, "2024-01-01T16:00"]), [1704096000, np.nan, 1704124800]),
    ],
)
def test_a_column_is_read_as_numbers(column, expected: list[float]):
    if isinstance(column, pd.Series):
        column = pd.DatetimeIndex(pd.to_datetime(column, utc=True))
    values = Columns(pd.DataFrame({"x": column}, INDEX), HOUR)["x"]
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_time_is_in_seconds_whatever_its_unit(unit: str):
    times = pd.date_range("2024-01-01T00:00:00.25", periods=3, freq="8h", tz="UTC", unit="ms").as_unit(unit)
    values = Columns(pd.DataFrame({"x": times}, INDEX), HOUR)["x"]
    fraction = 0.0 if unit == "s" else 0.25
    np.testing.assert_array_equal(values, 1704067200 + fraction + 28800 * np.arange(3))


def test_an_absent_column_is_missing_at_every_bar():
    columns = Columns(pd.DataFrame({"close": [1.0, 2.0, 3.0]}, INDEX), HOUR)
    assert "close" in columns
    assert "open_interest" not in columns
    np.testing.assert_array_equal(columns["open_interest"], [np.nan] * 3)


def test_an_intermediate_is_computed_once_and_cannot_be_changed():
    columns = Columns(pd.DataFrame({"close": [1.0, 2.0, 3.0]}, INDEX), HOUR)
    calls = []

    def compute() -> tuple[np.ndarray, np.ndarray]:
        calls.append(1)
        return columns["close"] * 2.0, columns["close"] * 3.0

    first, again = columns.shared(("both",), compute), columns.shared(("both",), compute)
    assert first is again
    assert len(calls) == 1
    for values in (columns["close"], *first):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0.0


def test_a_day_has_as_many_bars_as_the_timeframe_says():
    assert Columns(pd.DataFrame(index=INDEX), HOUR).bars_per_day == 24.0
    assert Columns(pd.DataFrame(index=INDEX), 168 * HOUR).bars_per_day == pytest.approx(1 / 7)
