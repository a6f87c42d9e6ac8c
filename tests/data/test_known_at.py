"""The aligned frame against brute force: at each bar's close, what was known, and nothing newer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from services.data.query.alignment import Known, newest_known
from services.data.revisions import Rows
from tests.data.market import (
    HOUR,
    START,
    SYMBOL,
    TIMEFRAME,
    VENUE,
    candles,
    data_room,
    funding,
    open_interest,
    same,
)

SERIES = (VENUE, SYMBOL, TIMEFRAME)


def observed(values: dict[int, float]) -> Rows:
    times = np.array(sorted(values), np.int64)
    return Rows(times, (np.array([values[time] for time in sorted(values)]),), np.zeros(len(times), np.int64))


def plain(known: Known) -> list[tuple[float | None, int | None, bool]]:
    values = [None if np.isnan(value) else value for value in known.values.to_pylist()]
    times = known.times.view(pa.int64()).to_pylist()
    return list(zip(values, times, known.missing.to_pylist(), strict=True))


@given(
    closes=st.lists(st.integers(0, 60), min_size=1, max_size=12, unique=True).map(sorted),
    values=st.dictionaries(st.integers(-10, 60), st.floats(-1, 1), max_size=12),
    max_age=st.integers(1, 30),
    lag=st.integers(0, 10),
)
def test_the_newest_known_observation_is_the_one_a_search_of_all_finds(closes, values, max_age, lag):
    known = plain(newest_known(np.array(closes, np.int64), observed(values), max_age, lag))
    for position, close in enumerate(closes):
        candidates = [time for time in values if time + lag <= close]
        newest = max(candidates, default=None)
        if newest is None or close - newest > max_age:
            assert known[position] == (None, None, True)
        else:
            assert known[position] == (values[newest], newest, False)


def test_a_rate_settled_at_a_bars_close_is_known_and_one_settled_after_it_is_not(room):
    room.client.ingest_candles(candles(3), *SERIES)
    rates = funding(2, START + HOUR, step=HOUR / 2)  # 01:00, the close of the first bar, and 01:30
    room.client.ingest_funding_rates(rates, VENUE, SYMBOL)
    frame = room.client.query_frame(*SERIES, funding_max_age=12 * HOUR)
    assert frame["funding_time"].tolist() == [rates.index[0], rates.index[1], rates.index[1]]
    assert frame["funding_rate"].tolist() == [0.0001, 0.0002, 0.0002]
    assert not frame["funding_rate_missing"].any()


def test_a_value_older_than_its_maximum_age_is_missing(room):
    room.client.ingest_candles(candles(6), *SERIES)
    room.client.ingest_funding_rates(funding(1), VENUE, SYMBOL)
    room.client.ingest_open_interest(open_interest(1), VENUE, SYMBOL)
    frame = room.client.query_frame(*SERIES, funding_max_age=3 * HOUR)
    assert frame["funding_rate_missing"].tolist() == [False, False, False, True, True, True]
    assert frame["open_interest_missing"].tolist() == [False, False, True, True, True, True]  # 2 hours
    for name in ("funding_rate", "funding_time"):
        assert frame[name].isna().equals(frame["funding_rate_missing"])
    for name in ("open_interest", "open_interest_time"):
        assert frame[name].isna().equals(frame["open_interest_missing"])


def test_a_series_that_is_not_there_is_missing_everywhere_and_never_invented(room):
    room.client.ingest_candles(candles(4), *SERIES)
    frame = room.client.query_frame(*SERIES)
    assert frame["funding_rate_missing"].all()
    assert frame["open_interest_missing"].all()
    assert frame[["funding_rate", "open_interest"]].isna().all(axis=None)
    assert frame["funding_rate_missing"].dtype == bool
    same(frame[candles().columns], candles(4))


def test_a_bar_that_had_not_closed_is_not_in_the_frame(room):
    room.client.ingest_candles(candles(4), *SERIES, capture_time=START + 10 * HOUR)
    as_of = START + 3 * HOUR
    assert len(room.client.query_frame(*SERIES)) == 4
    assert len(room.client.query_frame(*SERIES, as_of=as_of)) == 0  # captured later

    room.clock.now = START + 2.5 * HOUR
    room.client.ingest_candles(candles(3), VENUE, "ETH/USDT", TIMEFRAME)
    frame = room.client.query_frame(VENUE, "ETH/USDT", TIMEFRAME)
    assert list(frame.index) == [START, START + HOUR]  # 02:00 to 03:00 is still forming
    assert len(room.client.query_candles(VENUE, "ETH/USDT", TIMEFRAME)) == 3

    room.clock.now = START + 4 * HOUR
    assert len(room.client.query_frame(VENUE, "ETH/USDT", TIMEFRAME)) == 2  # what is stored is half a bar
    room.client.ingest_candles(candles(3), VENUE, "ETH/USDT", TIMEFRAME)
    assert len(room.client.query_frame(VENUE, "ETH/USDT", TIMEFRAME)) == 3
    assert len(room.client.query_frame(VENUE, "ETH/USDT", TIMEFRAME, limit=1, newest_first=True)) == 1


def test_a_revision_after_as_of_is_not_seen(room):
    first, second = candles(4, seed=1), candles(4, seed=2)
    rates = funding(1)
    room.client.ingest_candles(first, *SERIES, capture_time=START + 10 * HOUR)
    room.client.ingest_funding_rates(rates, VENUE, SYMBOL, capture_time=START + 10 * HOUR)
    room.client.ingest_candles(second, *SERIES, capture_time=START + 20 * HOUR)
    room.client.ingest_funding_rates(rates * 2, VENUE, SYMBOL, capture_time=START + 20 * HOUR)
    before = room.client.query_frame(*SERIES, as_of=START + 19 * HOUR)
    after = room.client.query_frame(*SERIES, as_of=START + 20 * HOUR)
    same(before[first.columns], first)
    same(after[second.columns], second)
    assert before["funding_rate"].tolist() == [0.0001] * 4
    assert after["funding_rate"].tolist() == [0.0002] * 4
    assert len(room.client.query_frame(*SERIES, as_of=START + 9 * HOUR)) == 0


def test_a_frame_over_many_blocks_is_the_same_as_pandas_makes(room):
    start = pd.Timestamp("2020-01-01", tz="UTC")
    bars, rates = candles(30_000, start), funding(3_000, start)
    interest = open_interest(40_000, start + pd.Timedelta("7min"), step=pd.Timedelta("41min"))
    bars = bars.drop(bars.index[5_000:5_100])
    room.client.ingest_candles(bars, *SERIES)
    room.client.ingest_funding_rates(rates, VENUE, SYMBOL)
    room.client.ingest_open_interest(interest, VENUE, SYMBOL)
    frame = room.client.query_frame(*SERIES)
    same(frame[bars.columns], bars)

    closes = pd.DataFrame({"close_time": frame.index + HOUR}, index=frame.index)
    for name, values, age in (("funding_rate", rates, "12h"), ("open_interest", interest, "2h")):
        known = pd.merge_asof(
            closes, values.reset_index(), left_on="close_time", right_on="time", tolerance=pd.Timedelta(age)
        )
        assert frame[name].to_numpy().tobytes() == known[name].to_numpy().tobytes()
        assert frame[f"{name}_missing"].tolist() == known[name].isna().tolist()

    for kwargs, expected in [
        ({"limit": 7}, frame.iloc[:7]),
        ({"limit": 9_000, "newest_first": True}, frame.iloc[-9_000:]),
        ({"start": bars.index[4_000], "end": bars.index[20_000]}, frame.iloc[4_000:20_000]),
        (
            {"start": bars.index[10], "end": bars.index[20_000], "limit": 5_000, "newest_first": True},
            frame.iloc[15_000:20_000],
        ),
    ]:
        same(room.client.query_frame(*SERIES, **kwargs), expected)


@given(
    revised=st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 4), st.integers(1, 9)), min_size=1, max_size=10
    ),
    as_of=st.integers(0, 10),
)
@settings(max_examples=20)
def test_what_was_known_then_is_what_was_told_until_then(new_database_url, tmp_path_factory, revised, as_of):
    folder = tmp_path_factory.mktemp("room")
    told: dict[pd.Timestamp, dict[int, float]] = {}
    base = START + 100 * HOUR
    with new_database_url() as url, data_room(url, folder) as room:
        for start, count, captured in sorted(revised, key=lambda each: each[2]):
            bars = candles(count, START + start * HOUR, seed=start + 100 * captured)
            room.client.ingest_candles(bars, *SERIES, capture_time=base + captured * HOUR)
            for stamp, value in bars["close"].items():
                told.setdefault(stamp, {})[captured] = value
        frame = room.client.query_frame(*SERIES, as_of=base + as_of * HOUR)
    expected = {
        stamp: values[max(moments)]
        for stamp, values in told.items()
        if (moments := [captured for captured in values if captured <= as_of])
    }
    assert frame["close"].to_dict() == expected
