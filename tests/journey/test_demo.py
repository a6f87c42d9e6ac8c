"""`marketml demo`, which is `make run`: it succeeds, repeats, and leaves nothing running whatever happens."""

from __future__ import annotations

import json
import signal

import pytest

from tests.cli.command_line import run, start
from tests.imports.market_files import candles
from tests.journey.running import MARK, marked, new_mark
from tests.support.waiting import eventually

SMALL = ("demo", "--bars", "1500")


@pytest.mark.slow
def test_the_demo_goes_all_the_way_twice_and_leaves_nothing_running(tmp_path):
    mark = new_mark()
    first = run(*SMALL, cwd=tmp_path, seconds=280, **{MARK: mark})
    assert first.returncode == 0, first.stderr
    assert marked(mark) == []
    assert "20,111 rows of candles 1h" in first.stderr
    assert "No funding rates here" in first.stderr
    assert "No open interest here" in first.stderr
    assert "Untouched test span" in first.stdout
    assert "majority" in first.stdout
    assert "2019-10-17 09:00" in first.stdout  # the newest bar, answered
    assert "Done in" in first.stderr

    again = run(*SMALL, "--json", cwd=tmp_path, seconds=280, **{MARK: mark})
    assert again.returncode == 0, again.stderr
    assert marked(mark) == []
    *events, result = [json.loads(line) for line in again.stdout.splitlines()]
    assert events
    assert result["model"]["version"] == 1  # the same bytes
    assert result["job"]["state"] == "succeeded"
    assert result["snapshot"]["row_count"] == 1500


@pytest.mark.slow
@pytest.mark.parametrize(
    ("heard", "number"),
    [
        ("Start the four rooms", signal.SIGINT),
        ("serves on", signal.SIGTERM),
        ("cross validation", signal.SIGINT),
    ],
)
def test_interrupted_at_any_stage_it_leaves_nothing_running(tmp_path, heard, number):
    mark = new_mark()
    with start(*SMALL, cwd=tmp_path, **{MARK: mark}) as demo:
        eventually(lambda: heard in demo.stderr.readline(), 120, f"{heard!r}")
        demo.send_signal(number)
        _, said = demo.communicate(timeout=60)
    assert demo.returncode == 130, said
    assert said.splitlines()[-1] == "Interrupted: the rooms are stopped, nothing is left running."
    assert marked(mark) == []


def test_a_folder_without_candles_is_refused(tmp_path):
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "trades.csv").write_text("1672531436,90.54,1.1\n1672531471,90.45,1.0\n")
    candles(600, "1h").to_parquet(tmp_path / "found" / "ABCUSDT.parquet")
    candles(600, "5min").to_parquet(tmp_path / "found" / "ABCUSDT-5m.parquet")
    mark = new_mark()
    done = run("demo", "--data", "found", cwd=tmp_path, **{MARK: mark})
    assert done.returncode == 1
    assert "trades.csv is left out: The file looks like trades" in done.stderr
    assert done.stderr.splitlines()[-1] == "Failed: found holds candles of 1h, 5m: keep one timeframe."
    assert marked(mark) == []
