"""The cache over real processes and channels, and on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from marketml.cli.features import features
from marketml.clients.features import FeaturesClient
from marketml.features.v1 import features_pb2 as pb
from marketml.rpc.refusals import InvalidArgument
from tests.features.conftest import SYMBOL, TIMEFRAME, VENUE, Rooms
from tests.support.servers import RoomProcess

SERIES = {"venue": VENUE, "symbol": SYMBOL, "timeframe": TIMEFRAME}
CLOCK = pb.FeatureConfig(
    **{name: pb.FamilyConfig(enabled=False) for name in ("technical", "statistical", "series", "market")},
    calendar=pb.FamilyConfig(features=["month", "hour_sin"]),
)


@pytest.fixture
def room(rooms: Rooms, tmp_path: Path) -> Iterator[RoomProcess]:
    """A features room with an empty cache."""
    with RoomProcess("features", tmp_path, data_target=rooms.data.target) as started:
        yield started


@pytest.fixture
def client(room: RoomProcess) -> Iterator[FeaturesClient]:
    with FeaturesClient(room.target) as connected:
        yield connected


def test_the_same_request_comes_from_the_cache_also_after_a_restart(rooms: Rooms, tmp_path: Path):
    answers = []
    for _ in range(2):
        with (
            RoomProcess("features", tmp_path, data_target=rooms.data.target) as room,
            FeaturesClient(room.target) as client,
        ):
            answers += [client.generate_features(**SERIES) for _ in range(2)]
            status = client.get_feature_cache_status()
            assert room.stop() == 0
    assert [answer.summary.cache_hit for answer in answers] == [False, True, True, True]
    assert (status.hit_count, status.miss_count) == (2, 0)
    for answer in answers[1:]:
        assert answer.digest == answers[0].digest
        pd.testing.assert_frame_equal(answer.frame, answers[0].frame, check_exact=True)


def test_a_snapshot_and_its_series_share_an_entry(rooms: Rooms, client: FeaturesClient):
    assert not client.generate_features(rooms.snapshot_id).summary.cache_hit
    assert client.generate_features(**SERIES).summary.cache_hit
    assert client.get_feature_cache_status().entry_count == 1


def test_clearing_frees_the_disk_and_says_how_much(client: FeaturesClient, room: RoomProcess):
    client.generate_features(**SERIES)
    client.generate_features(**SERIES, config=CLOCK)
    client.generate_features(venue=VENUE, symbol="SPOT/USDT", timeframe=TIMEFRAME)
    folder = room.folder / ".run" / "features" / "cache"

    def disk_bytes() -> int:
        return sum(path.stat().st_size for path in folder.iterdir())

    status = client.get_feature_cache_status()
    assert (status.entry_count, status.size_bytes) == (3, disk_bytes())
    assert {use.series.symbol: use.entry_count for use in status.series} == {SYMBOL: 2, "SPOT/USDT": 1}
    would = client.clear_feature_cache(VENUE, SYMBOL, dry_run=True)
    assert (would.entry_count, disk_bytes()) == (2, status.size_bytes)
    freed = client.clear_feature_cache(VENUE, SYMBOL, TIMEFRAME, config=CLOCK)
    assert (freed.entry_count, freed.size_bytes) == (1, status.size_bytes - disk_bytes())
    assert client.clear_feature_cache(VENUE, SYMBOL) == pb.ClearFeatureCacheResponse(
        entry_count=1, size_bytes=would.size_bytes - freed.size_bytes
    )
    client.clear_feature_cache()
    assert disk_bytes() == 0
    assert client.clear_feature_cache() == pb.ClearFeatureCacheResponse()
    assert not client.generate_features(**SERIES).summary.cache_hit


@pytest.mark.parametrize(
    ("series", "config", "fields"),
    [
        ({"venue": VENUE}, None, ["series.symbol"]),
        ({"timeframe": "7m"}, None, ["series.venue", "series.symbol", "series.timeframe"]),
        ({}, pb.FeatureConfig(only=["nothing"]), ["config.only[0]"]),
        ({}, pb.FeatureConfig(limits=pb.FeatureLimits(max_rows=-1)), ["config.limits.max_rows"]),
    ],
)
def test_what_names_no_entries_is_refused_and_clears_nothing(
    client: FeaturesClient, series: dict[str, str], config: pb.FeatureConfig | None, fields: list[str]
):
    client.generate_features(**SERIES, config=CLOCK)
    for ask in (client.clear_feature_cache, client.get_feature_cache_status):
        with pytest.raises(InvalidArgument) as refused:
            ask(**series, config=config)
        assert [violation.field for violation in refused.value.violations] == fields
    assert client.get_feature_cache_status().entry_count == 1


def run(room: RoomProcess, *arguments: str) -> Result:
    return CliRunner().invoke(features, ["cache", *arguments, "--features-endpoint", room.target])


def test_the_command_line_shows_and_clears(client: FeaturesClient, room: RoomProcess, tmp_path: Path):
    client.generate_features(**SERIES)
    client.generate_features(**SERIES, config=CLOCK)
    shown = run(room)
    assert shown.exit_code == 0, shown.stderr
    assert SYMBOL in shown.stdout
    assert "2 entries" in shown.stdout + shown.stderr
    assert json.loads(run(room, "--json").stdout)["entry_count"] == 2
    config = tmp_path / "clock.yaml"
    config.write_text(
        "{technical: {enabled: false}, statistical: {enabled: false}, series: {enabled: false}, "
        "market: {enabled: false}, calendar: {features: [month, hour_sin]}}"
    )
    series = ("--venue", VENUE, "--symbol", SYMBOL)
    assert "1 entries" in run(room, "clear", "--config", str(config), "--dry-run").stdout
    assert "would be removed" in run(room, "clear", *series, "--dry-run").stdout
    assert json.loads(run(room, "clear", *series, "--json").stdout)["entry_count"] == 2
    assert client.get_feature_cache_status().entry_count == 0
    assert run(room, "clear", "--venue", VENUE).exit_code == 2
