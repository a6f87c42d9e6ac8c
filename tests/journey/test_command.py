"""The same journey by the command, and `marketml up` looking after its rooms."""

from __future__ import annotations

import json
import signal

import pandas as pd
import psutil
import pytest

from marketml.clients.features import FeaturesClient
from marketml.rpc.refusals import Unavailable
from tests.cli.command_line import start
from tests.imports.market_files import candles
from tests.journey.running import MARK, Platform, marked, new_mark
from tests.support.waiting import eventually

CONFIG = """
model_name: command-1h
dataset: {snapshot_id: SNAPSHOT}
split: {folds: 2, embargo_bars: 24}
model: {lightgbm: {rounds: ROUNDS}}
evaluation: {interval_draws: 200}
"""
SERIES = ("--venue", "made", "--symbol", "ONE/USD", "--timeframe", "1h")


def ok(done) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def snapshot(platform) -> str:
    """A random walk, imported and frozen by the command."""
    candles(2000).to_parquet(platform.folder / "candles.parquet")
    told = platform.run("data", "import", "candles.parquet", "--venue", "made", "--symbol", "ONE/USD")
    assert ok(told) == "made ONE/USD candles: 2,000 inserted, 0 revised, 0 unchanged\n"
    assert "2,000 rows of candles 1h" in told.stderr
    made = json.loads(ok(platform.run("data", "snapshots", "create", *SERIES, "--json")))
    return made["snapshot_id"]


def write_config(platform, snapshot: str, rounds: int) -> str:
    (platform.folder / "config.yaml").write_text(
        CONFIG.replace("SNAPSHOT", snapshot).replace("ROUNDS", str(rounds))
    )
    return "config.yaml"


def test_importing_again_changes_nothing(platform, snapshot):
    again = json.loads(
        ok(
            platform.run(
                "data", "import", "candles.parquet", "--venue", "made", "--symbol", "ONE/USD", "--json"
            )
        )
    )
    assert (again["report"]["inserted"], again["report"]["unchanged"]) == (0, 2000)


def test_a_query_gives_back_the_file(platform, snapshot):
    ok(platform.run("data", "query", *SERIES, "--out", "back.parquet"))
    back = pd.read_parquet(platform.folder / "back.parquet")
    pd.testing.assert_frame_equal(back[list(candles(2).columns)], candles(2000), check_freq=False)
    newest = ok(platform.run("data", "query", *SERIES, "--limit", "2", "--newest", "--json")).splitlines()
    assert [json.loads(line)["close"] for line in newest] == candles(2000)["close"].tolist()[-2:]


def test_lists_name_what_is_there(platform, snapshot):
    assert "ONE/USD" in ok(platform.run("data", "list"))
    assert snapshot in ok(platform.run("data", "snapshots"))
    assert "rsi" in ok(platform.run("features", "list")).lower()
    assert ok(platform.run("status")).count("\n") == 4


def test_training_loading_and_predicting_by_the_command(platform, snapshot):
    config = write_config(platform, snapshot, 20)
    events = [
        json.loads(line)
        for line in ok(
            platform.run("train", "start", config, "--priority", "5", "--watch", "--json")
        ).splitlines()
    ]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    listed = ok(platform.run("train", "list", "--name", "command-1h", "--json"))
    (job,) = [json.loads(line) for line in listed.splitlines()]
    assert job["state"] == "succeeded"
    replayed = ok(platform.run("train", "watch", job["job_id"], "--after", "3", "--json")).splitlines()
    assert [json.loads(line) for line in replayed] == events[3:]
    shown = ok(platform.run("train", "show", job["job_id"]))
    assert "majority" in shown
    assert "priority 5" in shown
    assert " of processors in " in shown
    assert "INFO marketml.job: FEATURES begins." in ok(platform.run("train", "logs", job["job_id"]))
    assert "champion is version 1" in ok(platform.run("models", "load", "command-1h"))
    assert "version 1" in ok(platform.run("models", "current", "command-1h"))
    answers = ok(platform.run("predict", "command-1h", "--newest", "3", "--json")).splitlines()
    rows = [json.loads(line) for line in answers]
    assert [row["open_time"] for row in rows] == [
        time.isoformat().replace("+00:00", "Z") for time in candles(2000).index[-3:]
    ]
    assert all(row["version"] == 1 for row in rows)
    ok(platform.run("features", "generate", "--snapshot", snapshot, "--newest", "3", "--out", "rows.parquet"))
    from_file = ok(platform.run("predict", "command-1h", "--file", "rows.parquet", "--json")).splitlines()
    assert [json.loads(line) for line in from_file] == rows
    assert "manifest.json" in ok(platform.run("models", "download", "command-1h"))
    assert (platform.folder / "command-1h-1" / "model.safetensors").exists()


def test_leaving_a_watch_does_not_stop_the_job(platform, snapshot):
    config = write_config(platform, snapshot, 20000)
    job_id = json.loads(ok(platform.run("train", "start", config, "--name", "long-1h", "--json")))["job_id"]
    with start("train", "watch", job_id, cwd=platform.folder, **platform.variables()) as watch:
        eventually(lambda: "running" in watch.stderr.readline(), 60, "the watch's first news")
        watch.send_signal(signal.SIGINT)
        _, said = watch.communicate(timeout=60)
    assert watch.returncode == 0
    assert "the job goes on" in said
    assert json.loads(ok(platform.run("train", "show", job_id, "--json")))["state"] == "running"
    ok(platform.run("train", "stop", job_id))
    ended = platform.run("train", "watch", job_id, "--json")
    assert ended.returncode == 1
    assert json.loads(ended.stdout.splitlines()[-1])["state_changed"]["state"] == "stopped"


def test_a_refusal_ends_with_3_and_names_the_field(platform, snapshot):
    (platform.folder / "bad.yaml").write_text(
        f"model_name: bad\ndataset: {{snapshot_id: {snapshot}}}\nsplit: {{folds: 1000}}\n"
    )
    done = platform.run("train", "start", "bad.yaml")
    assert (done.returncode, done.stdout) == (3, "")
    assert "split.folds" in done.stderr
    done = platform.run("models", "show", "nobody", "--json")
    assert done.returncode == 3
    assert json.loads(done.stderr)["error"]["reason"] == "NO_SUCH_RESOURCE"


def test_the_config_is_read_changed_and_reset(platform):
    before = ok(platform.run("config", "get", "training.split.folds")).strip()
    ok(platform.run("config", "set", "training.split.folds=7"))
    assert ok(platform.run("config", "get", "training.split.folds")).strip() == "7"
    assert platform.run("config", "set", "training.split.folds=0").returncode == 3
    ok(platform.run("config", "reset"))
    assert ok(platform.run("config", "get", "training.split.folds")).strip() == before


def listening(room: psutil.Process) -> set[int]:
    return {one.laddr.port for one in room.net_connections() if one.status == psutil.CONN_LISTEN}


def test_a_room_that_dies_is_started_again_on_its_ports(platform):
    target = platform.endpoints["features"]
    (room,) = [one for one in marked(platform.mark) if one.cmdline()[-1] == "services.features"]
    ports = listening(room)
    assert len(ports) == 3  # calls, health, metrics
    room.kill()
    eventually(lambda: platform.events("died", "features"), 60, "the news of its death")

    def answers() -> bool:
        with FeaturesClient(target) as client:
            try:
                return len(client.list_features()) > 0
            except Unavailable:
                return False

    assert eventually(answers, 60, "its answer on the same port")
    (again,) = [one for one in marked(platform.mark) if one.cmdline()[-1] == "services.features"]
    assert again.pid != room.pid
    assert listening(again) == ports


def test_terminated_it_stops_all_rooms(tmp_path):
    with Platform(tmp_path) as other:
        assert other.stop() == 0
        assert marked(other.mark) == []


def test_killed_it_takes_its_rooms_along(tmp_path):
    with Platform(tmp_path) as other:
        other.process.kill()
        other.process.wait()
        eventually(lambda: not marked(other.mark), 60, "the end of all rooms")


def test_a_port_that_is_taken_is_said_and_nothing_stays(platform, tmp_path):
    mark = new_mark()
    taken = platform.endpoints["registry"]
    with start("up", "--free-ports", cwd=tmp_path, MARKETML_REGISTRY_ADDRESS=taken, **{MARK: mark}) as other:
        _, said = other.communicate(timeout=120)
    assert other.returncode == 1
    assert said.splitlines()[-1].startswith("Failed: The registry room did not start: ")
    assert marked(mark) == []
    assert psutil.pid_exists(platform.process.pid)
