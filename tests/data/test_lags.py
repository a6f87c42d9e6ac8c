"""How long after its observation open interest is known: each venue's by its own lag."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.data.query.lags import OpenInterestLags
from services.data.settings import LAG_MS_MAX, DataSettings
from services.host.settings import SettingsError, read_settings
from tests.data.market import HOUR, SYMBOL, TIMEFRAME, candles, data_room, open_interest, same

LAGS = {"open_interest_lag_ms": 60_000, "open_interest_lags_ms": "binance=0 bybit=5400000"}
# What the bars of 00:00, 01:00 and 02:00 know at their close of what is observed at each full hour.
KNOWN = {"binance": [1, 2, 3], "okx": [0, 1, 2], "bybit": [None, 0, 1]}


@pytest.mark.parametrize("venue", KNOWN)
def test_open_interest_is_known_only_after_the_lag_of_its_venue(database_url, tmp_path, venue):
    observed = open_interest(4)
    with data_room(database_url, tmp_path, **LAGS) as room:
        room.client.ingest_candles(candles(3), venue, SYMBOL, TIMEFRAME)
        room.client.ingest_open_interest(observed, venue, SYMBOL)
        frame = room.client.query_frame(venue, SYMBOL, TIMEFRAME)
    known = [None if hour is None else observed.index[hour] for hour in KNOWN[venue]]
    assert [None if pd.isna(time) else time for time in frame["open_interest_time"]] == known
    assert frame["open_interest_missing"].tolist() == [time is None for time in known]
    values = [1000.0 + hour for hour in KNOWN[venue] if hour is not None]
    assert frame["open_interest"].dropna().tolist() == values


def test_a_snapshot_keeps_what_was_known_by_the_lag_of_then(database_url, tmp_path):
    series = ("binance", SYMBOL, TIMEFRAME)
    with data_room(database_url, tmp_path) as room:
        room.client.ingest_candles(candles(3), *series)
        room.client.ingest_open_interest(open_interest(4), "binance", SYMBOL)
        before = room.client.create_snapshot(*series)
        frame = room.client.read_snapshot(before.snapshot_id)
    with data_room(database_url, tmp_path, open_interest_lags_ms="binance=60000") as room:
        after = room.client.create_snapshot(*series)
        assert after.snapshot_id != before.snapshot_id
        assert after.frame == before.frame
        same(room.client.read_snapshot(before.snapshot_id), frame)
        same(room.client.read_snapshot(after.snapshot_id), room.client.query_frame(*series))


def test_a_policy_is_behind_only_by_what_its_venue_could_have_said(database_url, tmp_path):
    newest = pd.Timestamp.now("UTC").floor("s") - 2 * HOUR
    with data_room(database_url, tmp_path, runs_policies=False, **LAGS) as room:
        lags = {}
        for venue in ("binance", "bybit"):
            room.client.ingest_open_interest(open_interest(1, newest), venue, SYMBOL)
            policy = room.client.create_collection_policy(
                "open_interest", venue, SYMBOL, interval=timedelta(hours=1)
            )
            found = room.client.get_collection_policy(policy.policy_id)
            lags[venue] = found.status.lag.ToTimedelta()
            listed = room.client.list_series(venue=venue)[0].collection.lag.ToTimedelta()
            assert listed >= lags[venue]
    assert lags["binance"] >= 2 * HOUR
    assert HOUR / 2 <= lags["bybit"] < 2 * HOUR


@given(
    st.dictionaries(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True), st.integers(0, LAG_MS_MAX)),
    st.integers(0, LAG_MS_MAX),
)
def test_the_settings_name_a_lag_for_all_venues_and_for_single_ones(named, others):
    words = " ".join(f"{venue}={lag_ms}" for venue, lag_ms in named.items())
    variable = "MARKETML_DATA_OPEN_INTEREST_LAG"
    variables = {f"{variable}S_MS": words, f"{variable}_MS": str(others)}
    lags = read_settings(DataSettings, "data", variables).open_interest_lags
    assert lags == OpenInterestLags(others * 1000, {venue: lag_ms * 1000 for venue, lag_ms in named.items()})
    assert lags.of("A venue that is not named") == others * 1000


@pytest.mark.parametrize(
    "words",
    [
        "binance",
        "binance=",
        "=5",
        "binance=-1",
        "binance=1.5",
        "binance=١",
        f"binance={LAG_MS_MAX + 1}",
        f"binance={'9' * 5000}",
        "Binance=5",
        "binance=5 binance=5",
        "binance=5,bybit=5",
    ],
)
def test_lags_that_name_no_venue_or_no_time_stop_the_start_with_the_rule(words):
    variable = "MARKETML_DATA_OPEN_INTEREST_LAGS_MS"
    with pytest.raises(SettingsError, match=f"^{variable} must be venue=milliseconds .* not '") as refused:
        read_settings(DataSettings, "data", {variable: words})
    assert len(str(refused.value)) < 300
