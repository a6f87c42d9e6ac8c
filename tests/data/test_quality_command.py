"""`marketml data quality`, against a served room."""

from __future__ import annotations

import json
import shlex

import pytest
from click.testing import CliRunner

from marketml.cli.main import cli
from tests.data.market import HOUR, SYMBOL, candles, funding

VENUE = "nowhere"  # no exchange that could be asked
BARS = ("quality", "--venue", VENUE, "--symbol", SYMBOL, "--timeframe", "1h")


@pytest.fixture
def run(room):
    """Run `marketml data ARGUMENTS` on the room: its status, what it printed, what it said."""

    def run_(*arguments):
        done = CliRunner().invoke(cli, ["data", *arguments, "--data-endpoint", room.served.target])
        return done.exit_code, done.stdout, done.stderr

    return run_


@pytest.fixture
def gappy(room):
    """A series with two gaps, of three bars and of one."""
    frame = candles(100)
    room.clock.now = frame.index[-1] + HOUR
    room.client.ingest_candles(frame.drop(frame.index[[10, 11, 12, 50]]), VENUE, SYMBOL, "1h")
    return frame


def test_a_series_with_gaps_is_told_with_its_places_a_plan_and_the_command_that_applies_it(run, room, gappy):
    before = room.contents()
    status, out, err = run(*BARS)
    assert status == 1  # an error finding remains
    assert "the series has errors: gap" in err
    assert "error     gap" in out
    assert "2024-01-01T10:00:00Z to before 2024-01-01T13:00:00Z (3)" in out
    assert "mark as missing 2024-01-01T10:00:00Z to before 2024-01-01T13:00:00Z (gap, 3 rows)" in out
    assert room.contents() == before

    # The printed commands do what they say.
    printed = [line.strip() for line in out.splitlines() if line.strip().startswith("marketml data quality")]
    repair, mark = printed
    assert repair.endswith("--repair")
    status, out, _ = run(*shlex.split(mark)[2:])
    assert status == 1
    assert "3 marked as missing" in out
    status, out, err = run(*shlex.split(repair)[2:])
    assert status == 0
    assert "mark as missing 2024-01-03T02:00:00Z" in err  # what it is about to do
    assert "1 marked as missing" in out
    assert "gap" not in out.partition("severity")[2]
    assert room.client.list_series()[0].marked_missing_count == 4


def test_the_printed_command_keeps_the_range_that_was_asked_about(run, room, gappy):
    _, out, _ = run(*BARS, "--start", "2024-01-02")
    [repair] = [line.strip() for line in out.splitlines() if line.strip().endswith("--repair")]
    assert run(*shlex.split(repair)[2:])[0] == 0
    assert room.client.list_series()[0].marked_missing_count == 1


def test_the_command_that_marks_as_missing_takes_the_gap_alone_not_what_is_asked_for_again(run, room):
    frame = candles(100)
    room.clock.now = frame.index[-1] + HOUR
    frame.iloc[20, :4] *= 3  # doubtful, and near the gap: both are asked for again at once
    room.client.ingest_candles(frame.drop(frame.index[[10, 11, 12]]), "binanceusdm", SYMBOL, "1h")
    _, out, _ = run("quality", "--venue", "binanceusdm", "--symbol", SYMBOL, "--timeframe", "1h")
    assert "ask the exchange again for" in out
    [mark] = [line for line in out.splitlines() if "--mark-missing" in line]
    assert mark.endswith("--mark-missing 2024-01-01T10:00:00Z 2024-01-01T13:00:00Z")
    [absent] = [line.strip() for line in out.splitlines() if "--mark-absent" in line]
    status, out, _ = run(*shlex.split(absent)[2:])
    assert status == 0
    assert "3 marked as missing" in out
    assert len(room.client.query_candles("binanceusdm", SYMBOL, "1h")) == 97


def test_json_is_one_document_with_findings_plan_and_outcomes(run, gappy):
    status, out, err = run(*BARS, "--json")
    assert status == 1
    answer = json.loads(out)
    [gap] = [one for one in answer["quality"]["findings"] if one["rule"] == "gap"]
    assert (gap["severity"], gap["count"], gap["places_count"]) == ("error", 4, 2)
    assert len(answer["quality"]["plan"]) == 2
    assert answer["repaired"] == []
    assert json.loads(err)["error"]["status"] == 1
    status, out, _ = run(*BARS, "--json", "--repair")
    assert status == 0
    assert [one["marked_count"] for one in json.loads(out)["repaired"]] == [3, 1]


def test_a_whole_series_is_told_as_that(run, room):
    rates = funding(10)
    room.clock.now = rates.index[-1] + HOUR
    room.client.ingest_funding_rates(rates, VENUE, SYMBOL)
    status, out, _ = run("quality", "--venue", VENUE, "--symbol", SYMBOL, "--kind", "funding")
    assert status == 0
    assert "Nothing is wrong or doubtful." in out


def test_wrong_usage_and_refusals_have_their_own_status(run, gappy):
    assert run(*BARS[:5])[0] == 2  # candles need a timeframe
    assert run(*BARS, "--kind", "funding")[0] == 2
    assert run(*BARS, "--as-of", "2024-01-01", "--repair")[0] == 2
    assert run(*BARS, "--repair", "--mark-missing", "2024-01-01", "2024-01-02")[0] == 2
    status, _, err = run(*BARS[:4], "ETH/USDT", *BARS[5:])
    assert status == 3
    assert "ETH/USDT" in err
    assert run(*BARS, "--mark-missing", "2024-01-02", "2024-01-01")[0] == 3


def test_an_import_tells_its_doubtful_rows(run, tmp_path):
    frame = candles(50)
    frame.iloc[7, 4] = 0
    path = tmp_path / "bars.csv"
    frame[["open", "high", "low", "close", "volume"]].to_csv(path, date_format="%Y-%m-%dT%H:%M:%SZ")
    status, out, err = run("import", str(path), "--venue", VENUE, "--symbol", SYMBOL)
    assert status == 0, err
    assert "row 8: volume zero_volume: 0.0" in out
