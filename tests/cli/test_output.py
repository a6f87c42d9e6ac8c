"""What the command prints: the same facts for people and for programs."""

import json

import numpy as np
import pandas as pd
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from marketml.cli.output import Output, cell, plain, seconds_text
from marketml.data.v1 import data_pb2
from marketml.training.v1 import training_pb2


def test_a_message_becomes_plain_json():
    job = training_pb2.Job(
        job_id="a" * 32,
        state=training_pb2.JOB_STATE_RUNNING,
        progress_fraction=0.25,
        remaining=Duration(seconds=90, nanos=500_000_000),
        create_time=Timestamp(seconds=1_730_332_800),
        last_sequence=7,
    )
    found = json.loads(json.dumps(plain(job)))
    assert found["state"] == "running"
    assert found["remaining"] == 90.5
    assert found["create_time"] == "2024-10-31T00:00:00Z"
    assert found["last_sequence"] == 7  # a number, not text as in the standard mapping
    assert "end_time" not in found
    assert "snapshot_id" not in found


def test_absent_and_zero_stay_apart():
    assert plain(data_pb2.Series(missing_bars_count=0))["missing_bars_count"] == 0
    assert "missing_bars_count" not in plain(data_pb2.Series())


def test_what_json_does_not_know_is_null():
    assert plain({"a": np.float64("nan"), "b": [np.int64(3), float("inf")], "c": None}) == {
        "a": None,
        "b": [3, None],
        "c": None,
    }


def test_a_frame_is_json_lines_or_csv(capsys):
    frame = pd.DataFrame(
        {"close": [1.5, np.nan]}, pd.DatetimeIndex(["2024-01-01", "2024-01-02"], tz="UTC", name="open_time")
    )
    Output(True).frame(frame)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"open_time": "2024-01-01T00:00:00Z", "close": 1.5},
        {"open_time": "2024-01-02T00:00:00Z", "close": None},
    ]
    Output(False).frame(frame)
    assert capsys.readouterr().out == "open_time,close\n2024-01-01T00:00:00Z,1.5\n2024-01-02T00:00:00Z,\n"


def test_a_table_in_a_pipe_is_cut_nowhere(capsys):
    Output(False).table(("name", "rows"), [("x" * 150, 1234567), ("y", 5)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"{'x' * 150}  1,234,567"
    assert lines[2] == f"{'y'.ljust(150)}          5"


def test_with_json_nothing_else_is_printed(capsys):
    output = Output(True)
    output.say("on the way")
    output.show("for people")
    output.table(("a",), [(1,)])
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.123456, "0.1235"),
        (float("nan"), ""),
        (Timestamp(), ""),
    ],
)
def test_cells(value, text):
    assert cell(value) == text


def test_spans_read_as_people_say_them():
    assert [seconds_text(s) for s in (0.85, 12.52, 187, 7387)] == ["850 ms", "12.5 s", "3:07", "2:03:07"]
