"""Features with a reference beside the series, over real processes and channels, and on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from marketml.cli.features import features
from marketml.clients.data import DataClient
from marketml.clients.features import FeaturesClient
from marketml.features.v1 import features_pb2 as pb
from marketml.features.v1.features_pb2_grpc import FeatureServiceStub
from marketml.market.v1.market_pb2 import SeriesKey, SeriesRange
from marketml.rpc.channels import open_channel
from marketml.rpc.refusals import FailedPrecondition, InvalidArgument, NotFound
from services.features.calculators import features_of
from services.features.feature import Family
from services.features.wire_config import read_config
from tests.features.conftest import LEADER, SYMBOL, TIMEFRAME, VENUE, Rooms
from tests.features.frames import HOUR, START
from tests.features.whole import generated

KEY = SeriesKey(venue=VENUE, symbol=SYMBOL, timeframe=TIMEFRAME)
SERIES = {"venue": VENUE, "symbol": SYMBOL, "timeframe": TIMEFRAME}
REFERENCE = (VENUE, LEADER)
NAMES = [feature.name for feature in features_of(Family.CROSS_SYMBOL)]
ALONE = {
    name: pb.FamilyConfig(enabled=False)
    for name in ("technical", "statistical", "series", "market", "calendar")
}
CONFIG = pb.FeatureConfig(
    **ALONE,
    cross_symbol=pb.FamilyConfig(enabled=True),
    tsfresh=pb.TsfreshConfig(enabled=True, columns=["reference_close"]),
    expressions=[pb.FeatureExpression(name="apart", expression="zscore(log(close / reference_close), 48)")],
)


@pytest.fixture(scope="module")
def stub(rooms: Rooms) -> Iterator[Any]:
    with open_channel(rooms.features.target) as channel:
        make: Any = FeatureServiceStub
        yield make(channel)


def test_a_series_and_a_snapshot_with_the_same_reference_give_the_same_features(
    rooms: Rooms, client: FeaturesClient
):
    with DataClient(rooms.data.target) as data:
        snapshot_id = data.create_snapshot(VENUE, SYMBOL, TIMEFRAME, reference=REFERENCE).snapshot_id
        frame = data.read_snapshot(snapshot_id)
    leader = rooms.leader["close"].reindex(frame.index)
    np.testing.assert_array_equal(frame["reference_close"], leader)
    of_series = client.generate_features(**SERIES, reference=REFERENCE, config=CONFIG)
    of_snapshot = client.generate_features(snapshot_id, config=CONFIG)
    assert of_series.digest == of_snapshot.digest
    pd.testing.assert_frame_equal(of_series.frame, of_snapshot.frame, check_exact=True)
    expected = generated(frame, read_config(CONFIG))
    pd.testing.assert_frame_equal(of_series.frame, expected, check_exact=True, check_freq=False)
    assert set(NAMES) <= set(of_series.frame.columns)
    for header in (of_series.header, of_snapshot.header):
        assert header.reference == SeriesKey(venue=VENUE, symbol=LEADER, timeframe=TIMEFRAME)
        assert not header.omitted
    itself = client.generate_features(**SERIES, reference=(VENUE, "SPOT/USDT"), config=CONFIG)
    assert itself.digest != of_series.digest
    assert {one.name for one in itself.header.omitted} == {
        name for name in NAMES if "funding" in name or "interest" in name
    }


def test_without_a_reference_the_family_is_left_out_and_no_digest_changes(
    rooms: Rooms, client: FeaturesClient
):
    plain = client.generate_features(rooms.snapshot_id)
    asked = pb.FeatureConfig(cross_symbol=pb.FamilyConfig(enabled=True))
    without = client.generate_features(rooms.snapshot_id, config=asked)
    assert [one.name for one in without.header.omitted] == NAMES
    assert not without.header.HasField("reference")
    assert without.digest == plain.digest
    named = pb.FeatureConfig(cross_symbol=pb.FamilyConfig(enabled=True, features=["cross_beta_24"]))
    with pytest.raises(FailedPrecondition, match="cross_beta_24 needs reference_close"):
        client.generate_features(rooms.snapshot_id, config=named)


def test_the_newest_bar_beside_a_reference_is_the_last_row_of_the_batch(client: FeaturesClient):
    batch = client.generate_features(**SERIES, reference=REFERENCE, config=CONFIG)
    found = client.get_latest_features(VENUE, SYMBOL, TIMEFRAME, config=CONFIG, reference=REFERENCE)
    assert list(found.index) == list(batch.frame.columns)
    assert found.to_numpy().tobytes() == batch.frame.iloc[-1].to_numpy().tobytes()
    assert np.isfinite(found[NAMES]).all()
    assert found.attrs["config_digest"] == batch.header.config_digest


def test_the_audit_finds_features_of_a_reference_clean(client: FeaturesClient):
    audited = client.audit_leakage(**SERIES, reference=REFERENCE, config=CONFIG)
    assert audited.findings == ()
    assert set(audited.summary.omitted) == set()
    assert audited.summary.feature_count > len(NAMES)


def test_a_choice_among_features_of_a_reference_computes_with_the_reference(
    rooms: Rooms, client: FeaturesClient
):
    times = rooms.frame.index[300:900]
    target = (rooms.leader["close"].pct_change().reindex(times).fillna(0.0) > 0.0).astype("int64")
    config = pb.FeatureConfig(**ALONE, cross_symbol=pb.FamilyConfig(enabled=True))
    config.selection.enabled = True
    chosen = client.select_features(
        **SERIES, reference=REFERENCE, target=target, kind=pb.TARGET_KIND_BINARY, config=config
    )
    assert "reference_log_return_1" in chosen.config.only
    found = client.generate_features(**SERIES, reference=REFERENCE, config=chosen.config)
    assert list(found.frame.columns) == list(chosen.config.only)


BAD: list[tuple[SeriesKey, str, str]] = [
    (KEY, "reference", "other"),
    (SeriesKey(venue=VENUE, symbol=SYMBOL), "reference", "other"),
    (SeriesKey(venue=VENUE, symbol=LEADER, timeframe="4h"), "reference.timeframe", "same"),
    (SeriesKey(venue=VENUE, symbol=LEADER, timeframe="z" * 500), "reference.timeframe", "same"),
    (SeriesKey(symbol=LEADER), "reference.venue", "required"),
    (SeriesKey(venue=VENUE), "reference.symbol", "required"),
    (SeriesKey(venue=VENUE, symbol="eth usdt"), "reference.symbol", "symbol"),  # the data room says so
    (SeriesKey(venue="Binance", symbol=LEADER), "reference.venue", "venue"),
]


@pytest.mark.parametrize(("reference", "field", "rule"), BAD)
def test_a_reference_that_cannot_be_is_refused_with_its_path(
    stub: Any, reference: SeriesKey, field: str, rule: str
):
    source = SeriesRange(series=KEY, reference=reference)
    asks: list[tuple[str, Callable[[], object]]] = [
        ("series.", lambda: list(stub.GenerateFeatures(pb.GenerateFeaturesRequest(series=source)))),
        ("series.", lambda: list(stub.AuditLeakage(pb.AuditLeakageRequest(series=source)))),
        ("", lambda: stub.GetLatestFeatures(pb.GetLatestFeaturesRequest(series=KEY, reference=reference))),
    ]
    for path, ask in asks:
        with pytest.raises(InvalidArgument) as refused:
            ask()
        found = [(each.field, each.rule) for each in refused.value.violations]
        assert (f"{path}{field}", rule) in found
        assert all(len(each.description) < 300 for each in refused.value.violations)


def test_a_field_of_the_newest_bar_that_the_data_room_refuses_is_named_as_asked(stub: Any):
    request = pb.GetLatestFeaturesRequest(series=SeriesKey(venue="Binance", symbol=SYMBOL, timeframe="1h"))
    with pytest.raises(InvalidArgument) as refused:
        stub.GetLatestFeatures(request)
    assert [each.field for each in refused.value.violations] == ["series.venue"]


def test_an_unknown_reference_is_not_found(client: FeaturesClient):
    with pytest.raises(NotFound, match="NO/USDT"):
        client.generate_features(**SERIES, reference=(VENUE, "NO/USDT"))
    with pytest.raises(NotFound, match="NO/USDT"):
        client.get_latest_features(VENUE, SYMBOL, TIMEFRAME, reference=(VENUE, "NO/USDT"))


def run(rooms: Rooms, *arguments: str) -> Result:
    return CliRunner().invoke(features, [*arguments, "--features-endpoint", rooms.features.target])


def test_the_command_takes_a_reference_of_the_same_venue_or_of_another(
    rooms: Rooms, client: FeaturesClient, tmp_path: Path
):
    config = tmp_path / "features.yaml"
    config.write_text("cross_symbol: {enabled: true, features: [cross_beta_24]}\n")
    options = ("--venue", VENUE, "--symbol", SYMBOL, "--timeframe", TIMEFRAME, "--config", str(config))
    said = pb.FeatureConfig(cross_symbol=pb.FamilyConfig(enabled=True, features=["cross_beta_24"]))
    expected = client.get_latest_features(VENUE, SYMBOL, TIMEFRAME, config=said, reference=REFERENCE)
    for reference in (LEADER, f"{VENUE}:{LEADER}"):
        shown = run(rooms, "latest", *options, "--reference", reference, "--json")
        assert shown.exit_code == 0, shown.stderr
        assert json.loads(shown.stdout)["features"]["cross_beta_24"] == expected["cross_beta_24"]
    other = run(rooms, "latest", *options, "--reference", f"bybit:{LEADER}")
    assert other.exit_code == 3
    assert f"bybit {LEADER}" in other.stderr

    out = tmp_path / "features.parquet"
    made = run(rooms, "generate", *options, "--reference", LEADER, "--newest", "9", "--out", str(out))
    assert made.exit_code == 0, made.stderr
    assert pd.read_parquet(out)["cross_beta_24"].iloc[-1] == expected["cross_beta_24"]
    span = ("--end", (START + 700 * HOUR).isoformat())
    audited = run(rooms, "audit", *options, "--reference", LEADER, "--cuts", "2", *span)
    assert audited.exit_code == 0, audited.stderr
    both = run(rooms, "generate", "--snapshot", rooms.snapshot_id, "--reference", LEADER)
    assert both.exit_code == 2
