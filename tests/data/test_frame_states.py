"""GetFrameState: the word of a frame is another one at once when anything was stored that it is read from,
and the same one as long as nothing was."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from marketml.clients.data_quality import mark_missing
from marketml.rpc.refusals import NotFound
from tests.data.market import (
    HOUR,
    START,
    SYMBOL,
    TIMEFRAME,
    VENUE,
    DataRoom,
    candles,
    data_room,
    funding,
    open_interest,
)

OTHER = "ETH/USDT:USDT"
ASKED = (VENUE, SYMBOL, TIMEFRAME)
LONG_AGO = pd.Timestamp("2024-06-01", tz="UTC").to_pydatetime()


@pytest.fixture
def filled(room: DataRoom) -> DataRoom:
    """Forty bars of two instruments, with funding and open interest, captured long ago."""
    for symbol, seed in ((SYMBOL, 0), (OTHER, 1)):
        room.client.ingest_candles(candles(40, seed=seed), VENUE, symbol, TIMEFRAME, capture_time=LONG_AGO)
        room.client.ingest_funding_rates(funding(3), VENUE, symbol, capture_time=LONG_AGO)
        room.client.ingest_open_interest(open_interest(40), VENUE, symbol, capture_time=LONG_AGO)
    return room


def revised(rows: pd.DataFrame, at: int) -> pd.DataFrame:
    return rows.iloc[[at]] * 1.5


# None is now. The other lies before all that is stored, and leaves the newest capture as it was.
@pytest.mark.parametrize("capture", [None, LONG_AGO - timedelta(days=30)])
def test_whatever_is_stored_of_its_series_is_another_state_at_once(filled, capture):
    ingest = filled.client
    found = [ingest.get_frame_state(*ASKED)]
    for store, rows, key in (
        (ingest.ingest_candles, candles(1, START + 40 * HOUR), ASKED),
        (ingest.ingest_candles, revised(candles(40), 3), ASKED),
        (ingest.ingest_funding_rates, revised(funding(3), 0), ASKED[:2]),
        (ingest.ingest_open_interest, revised(open_interest(40), 3), ASKED[:2]),
    ):
        store(rows, *key, capture_time=capture)
        found.append(ingest.get_frame_state(*ASKED))
        assert ingest.get_frame_state(*ASKED) == found[-1]
    assert len(set(found)) == len(found)


def test_what_is_stored_already_is_no_other_state(filled):
    before = filled.client.get_frame_state(*ASKED)
    filled.client.ingest_candles(candles(40), *ASKED)
    filled.client.ingest_funding_rates(funding(3), VENUE, SYMBOL)
    assert filled.client.get_frame_state(*ASKED) == before


def test_what_is_stored_of_others_is_no_other_state_but_of_a_reference(filled):
    alone = filled.client.get_frame_state(*ASKED)
    beside = filled.client.get_frame_state(*ASKED, reference=(VENUE, OTHER))
    assert beside != alone
    for store in (
        lambda: filled.client.ingest_candles(revised(candles(40, seed=1), 9), VENUE, OTHER, TIMEFRAME),
        lambda: filled.client.ingest_funding_rates(revised(funding(3), 1), VENUE, OTHER),
        lambda: filled.client.ingest_open_interest(revised(open_interest(40), 5), VENUE, OTHER),
    ):
        store()
        now = filled.client.get_frame_state(*ASKED, reference=(VENUE, OTHER))
        assert now != beside
        beside = now
    assert filled.client.get_frame_state(*ASKED) == alone


def test_bars_of_a_timeframe_that_is_not_read_are_no_other_state(filled):
    before = filled.client.get_frame_state(*ASKED)
    minutes = candles(60, step=pd.Timedelta(minutes=1))
    filled.client.ingest_candles(minutes, VENUE, SYMBOL, "1m")
    assert filled.client.get_frame_state(*ASKED) == before


def test_shorter_bars_that_a_frame_is_made_of_are_in_its_state(filled):
    asked = (VENUE, SYMBOL, "2h")
    before = filled.client.get_frame_state(*asked)
    filled.client.ingest_candles(revised(candles(40), 3), *ASKED)
    revised_state = filled.client.get_frame_state(*asked)
    assert revised_state != before
    filled.client.ingest_candles(candles(4, step=2 * HOUR), *asked)  # from now on these are read
    assert filled.client.get_frame_state(*asked) not in (before, revised_state)


def test_marked_rows_are_another_state(filled):
    before = filled.client.get_frame_state(*ASKED)
    mark = mark_missing(START.to_pydatetime(), (START + HOUR).to_pydatetime())
    filled.client.repair_series("candles", *ASKED, actions=[mark])
    assert filled.client.get_frame_state(*ASKED) != before


def test_a_deleted_series_has_no_state_and_one_that_comes_again_another(filled):
    before = filled.client.get_frame_state(*ASKED)
    filled.client.delete_series("funding_rates", VENUE, SYMBOL)
    without = filled.client.get_frame_state(*ASKED)
    assert without != before
    filled.client.ingest_funding_rates(funding(3), VENUE, SYMBOL, capture_time=LONG_AGO)
    assert filled.client.get_frame_state(*ASKED) not in (before, without)
    filled.client.delete_series("candles", *ASKED)
    with pytest.raises(NotFound):
        filled.client.get_frame_state(*ASKED)
    filled.client.ingest_candles(candles(40), *ASKED, capture_time=LONG_AGO)
    assert filled.client.get_frame_state(*ASKED) not in (before, without)


def test_every_part_of_what_is_asked_is_in_the_state(filled):
    asked = [
        {},
        {"start": START.to_pydatetime()},
        {"end": (START + HOUR).to_pydatetime()},
        {"as_of": LONG_AGO + timedelta(days=1)},
        {"as_of": LONG_AGO + timedelta(days=2)},
        {"funding_max_age": timedelta(hours=9)},
        {"open_interest_max_age": timedelta(hours=9)},
        {"reference": (VENUE, OTHER)},
    ]
    assert len({filled.client.get_frame_state(*ASKED, **each) for each in asked}) == len(asked)


def test_a_lag_of_open_interest_that_the_operator_changes_is_another_state(database_url, tmp_path):
    found = []
    for lag_ms in (0, 60_000, 0):
        with data_room(database_url, tmp_path, open_interest_lag_ms=lag_ms) as room:
            room.client.ingest_candles(candles(3), *ASKED)
            found.append(room.client.get_frame_state(*ASKED))
    assert found[0] == found[2] != found[1]


def test_two_rooms_on_one_database_tell_the_same_state(postgresql_url, tmp_path):
    with data_room(postgresql_url, tmp_path) as one, data_room(postgresql_url, tmp_path) as other:
        one.client.ingest_candles(candles(3), *ASKED)
        before = other.client.get_frame_state(*ASKED)
        assert one.client.get_frame_state(*ASKED) == before
        one.client.ingest_candles(revised(candles(3), 1), *ASKED)
        assert other.client.get_frame_state(*ASKED) != before
