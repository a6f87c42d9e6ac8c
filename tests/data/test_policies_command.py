"""`marketml data policies`, against a served room."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from marketml.cli.main import cli
from tests.data.market import SYMBOL, VENUE, candles

SERIES = ("--venue", VENUE, "--symbol", SYMBOL)


@pytest.fixture
def run(room):
    """Run `marketml data ARGUMENTS` on the room: its status, what it printed, what it said."""

    def run_(*arguments):
        words = [*arguments, "--data-endpoint", room.served.target]
        done = CliRunner().invoke(cli, ["data", *words])
        return done.exit_code, done.stdout, done.stderr

    return run_


def ok(done) -> str:
    status, out, err = done
    assert status == 0, err
    return out


def test_a_policy_from_its_making_to_its_end(run, room):
    making = ("policies", "create", *SERIES, "--timeframe", "1h", "--every", "6h", "--start", "2024-01-01")
    made = json.loads(ok(run(*making, "--paused", "--json")))
    policy_id = made["policy_id"]
    assert made["interval"] == 6 * 3600
    assert made["start_time"] == "2024-01-01T00:00:00Z"

    listed = ok(run("policies"))
    assert policy_id in listed
    assert "paused" in listed
    assert [json.loads(line)["policy_id"] for line in ok(run("policies", "--json")).splitlines()] == [
        policy_id
    ]
    assert "every 5m, paused" in ok(run("policies", "set-interval", policy_id, "300s"))
    assert f"{VENUE} {SYMBOL} 1h candles every 5m, paused" in ok(run("policies", "show", policy_id))

    status, _, err = run(*making)
    assert status == 3
    assert policy_id in err
    assert "deleted" in ok(run("policies", "delete", policy_id))
    assert run("policies", "show", policy_id)[0] == 3
    assert room.client.list_collection_policies() == []


def test_the_list_of_series_shows_lag_and_collection(run, room):
    room.client.ingest_candles(candles(3), VENUE, SYMBOL, "1h")
    room.client.ingest_candles(candles(3), VENUE, "ETH/USDT", "1h")
    ok(run("policies", "create", *SERIES, "--timeframe", "1h", "--every", "1d", "--paused"))
    heading, mine, other = ok(run("list")).splitlines()
    assert heading.split()[-2:] == ["lag", "collection"]
    assert mine.split()[-1] == "well"
    assert mine.split()[-2].count(":") == 2
    assert len(other.split()) < len(mine.split())


@pytest.mark.parametrize("every", ["1", "h", "1w", "1.5h", "-1h", "9999999999d"])
def test_an_interval_is_a_number_and_a_unit(run, every):
    status, _, err = run("policies", "create", *SERIES, "--timeframe", "1h", "--every", every)
    assert status == 2
    assert "30s, 5m, 1h or 1d" in err


@pytest.mark.parametrize("every", ["5s", "32d"])
def test_an_interval_out_of_range_is_refused_by_the_room(run, every):
    status, _, err = run("policies", "create", *SERIES, "--timeframe", "1h", "--every", every)
    assert status == 3
    assert "policy.interval" in err


def test_candles_need_a_timeframe_and_the_others_take_none(run):
    assert run("policies", "create", *SERIES, "--every", "1h")[0] == 2
    bad = run("policies", "create", *SERIES, "--every", "1h", "--kind", "funding", "--timeframe", "1h")
    assert bad[0] == 2
    assert "funding rates" in ok(
        run("policies", "create", *SERIES, "--every", "1h", "--kind", "funding", "--paused")
    )
