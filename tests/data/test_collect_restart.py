"""A room process that is killed while it collects goes on where it was."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from marketml.clients.data import DataClient
from marketml.data.v1 import data_pb2 as pb
from marketml.rpc.refusals import Refusal, Unavailable
from services.data.settings import DataSettings
from services.host.settings import SettingsError, read_settings
from tests.data.collecting import SYMBOL, VENUE, minutes, moment
from tests.support.exchange_server import MINUTE, ExchangeServer
from tests.support.servers import RoomProcess
from tests.support.waiting import eventually

SOURCE = pb.ExchangeSource(series=[minutes()])


def test_a_killed_room_goes_on_after_its_newest_page(database_url: str, tmp_path: Path) -> None:
    with ExchangeServer() as exchange:
        exchange.rows_max = 30
        settings = {"exchange_urls": f"{VENUE}={exchange.url}", "database_url": database_url}
        with RoomProcess("data", tmp_path, **settings) as room, DataClient(room.target) as client:
            told: list[int] = []
            refusals: list[Refusal] = []

            def read() -> None:
                try:
                    told.extend(part.progress.inserted for part in client.collect_series(SOURCE))
                except Refusal as refusal:
                    refusals.append(refusal)

            reader = threading.Thread(target=read)
            reader.start()
            eventually(lambda: len(exchange.asked) >= 6, 60, "some pages")
            room.kill()
            reader.join(30)
            assert [type(refusal) for refusal in refusals] == [Unavailable]
        exchange.asked.clear()
        with RoomProcess("data", tmp_path, **settings) as room, DataClient(room.target) as client:
            stored = client.query_candles(VENUE, SYMBOL, "1m")
            assert len(stored) >= max(told)  # what was told of is there
            assert len(stored) % 30 == 0  # and no page in parts
            exchange.rows_max = 1500
            for _ in client.collect_series(SOURCE):
                pass
            assert exchange.asked[0].start == exchange.stamp(stored.index[-1]) + MINUTE
            whole = client.query_candles(VENUE, SYMBOL, "1m")
            assert list(whole.index) == [moment(at) for at in exchange.bars(0, 2**60, MINUTE)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXCHANGE_URLS", "binance"),
        ("EXCHANGE_URLS", "binance=ftp://x"),
        ("EXCHANGE_URLS", "=http://x"),
        ("EXCHANGE_URLS", "binance=http://x bybit=http://"),
        ("EXCHANGE_PROXY", "x"),
        ("EXCHANGE_ATTEMPTS_COUNT", "0"),
    ],
)
def test_a_setting_that_reaches_no_exchange_is_refused_by_its_name(name: str, value: str) -> None:
    variable = f"MARKETML_DATA_{name}"
    with pytest.raises(SettingsError, match=f"^{variable} must be"):
        read_settings(DataSettings, "data", {variable: value})
