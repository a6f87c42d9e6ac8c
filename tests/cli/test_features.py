"""`marketml features`: presets and the newest bar, on a terminal and for machines."""

from __future__ import annotations

import json

from click.testing import CliRunner, Result

from marketml.cli.features import features
from marketml.clients.features import FeaturesClient
from tests.features.conftest import SYMBOL, TIMEFRAME, VENUE, Rooms, client, rooms

__all__ = ["client", "rooms"]

SERIES = ("--venue", VENUE, "--symbol", SYMBOL, "--timeframe", TIMEFRAME)


def run(rooms: Rooms, *arguments: str) -> Result:
    return CliRunner().invoke(features, [*arguments, "--features-endpoint", rooms.features.target])


def test_the_newest_bar_is_shown_with_what_was_read_for_it(rooms: Rooms, client: FeaturesClient):
    expected = client.get_latest_features(VENUE, SYMBOL, TIMEFRAME)
    shown = run(rooms, "latest", *SERIES)
    assert shown.exit_code == 0, shown.stderr
    assert "rsi_14" in shown.stdout
    told = json.loads(run(rooms, "latest", *SERIES, "--json").stdout)
    assert told["open_time"] == expected.name.isoformat()
    assert told["features"]["rsi_14"] == expected["rsi_14"]
    assert told["history_bars"] == expected.attrs["history_bars"]


def test_a_series_without_a_timeframe_has_no_newest_bar(rooms: Rooms):
    assert run(rooms, "latest", *SERIES[:4]).exit_code == 2


def test_the_presets_are_shown_from_the_cheapest(rooms: Rooms):
    names = [json.loads(line)["name"] for line in run(rooms, "presets", "--json").stdout.splitlines()]
    assert names == ["fast", "balanced", "financial", "comprehensive"]
