"""The features room over real processes and channels: what it answers, and every way it refuses."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketml.clients.data import DataClient
from marketml.clients.features import FeaturesClient
from marketml.features.v1 import features_pb2 as pb
from marketml.features.v1.features_pb2_grpc import FeatureServiceStub
from marketml.market.v1 import market_pb2
from marketml.rpc.channels import open_channel
from marketml.rpc.frames import CHUNK_BYTES_MAX, read_ipc
from marketml.rpc.refusals import (
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    Reason,
    Refusal,
    ResourceExhausted,
    Unimplemented,
)
from services.features.config import FeatureConfig, TsfreshChoice, selected
from services.features.wire_config import write_config
from tests.features.conftest import BARS, CANDLES, SYMBOL, TIMEFRAME, VENUE, Rooms
from tests.features.frames import HOUR, START
from tests.features.whole import generated, planned

KEY = market_pb2.SeriesKey(venue=VENUE, symbol=SYMBOL, timeframe=TIMEFRAME)
SERIES = {"venue": VENUE, "symbol": SYMBOL, "timeframe": TIMEFRAME}
ROLLING = FeatureConfig(tsfresh=TsfreshChoice(enabled=True))


@pytest.fixture(scope="module")
def stub(rooms: Rooms) -> Iterator[Any]:
    with open_channel(rooms.features.target) as channel:
        make: Any = FeatureServiceStub
        yield make(channel)


def read_snapshot(rooms: Rooms) -> pd.DataFrame:
    with DataClient(rooms.data.target) as client:
        return client.read_snapshot(rooms.snapshot_id)


def same(answer: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(answer, expected, check_exact=True, check_freq=False)


def test_features_of_a_snapshot_are_those_of_its_rows(rooms: Rooms, client: FeaturesClient):
    frame = read_snapshot(rooms)
    answer = client.generate_features(rooms.snapshot_id, config=write_config(ROLLING))
    same(answer.frame, generated(frame, ROLLING))
    plan = planned(frame, ROLLING)
    assert tuple(answer.header.feature_names) == plan.names
    assert answer.warm_up_bars == plan.warm_up_bars
    assert not answer.header.omitted
    assert answer.header.series == KEY
    assert answer.header.config == write_config(ROLLING)
    assert answer.summary.row_count == BARS
    assert answer.summary.feature_count == len(plan.names)
    assert [time.family for time in answer.summary.family_times] == [1, 2, 3, 4, 5, 6]
    assert all(time.seconds >= 0.0 for time in answer.summary.family_times)
    assert not answer.summary.cache_hit
    assert answer.frame.attrs == {"symbol": SYMBOL, "timeframe": TIMEFRAME, "digest": answer.digest}


def test_what_the_data_room_aligned_is_what_was_ingested(rooms: Rooms):
    frame = read_snapshot(rooms)
    assert frame[CANDLES].equals(rooms.frame[CANDLES].set_axis(frame.index))
    assert (frame.funding_rate.to_numpy() == rooms.frame.funding_rate.to_numpy()).all()


def test_a_series_gives_what_its_snapshot_gives(rooms: Rooms, client: FeaturesClient):
    of_snapshot = client.generate_features(rooms.snapshot_id)
    of_series = client.generate_features(**SERIES)
    same(of_series.frame, of_snapshot.frame)
    assert of_series.digest == of_snapshot.digest


def test_a_range_is_the_only_history_there_is(rooms: Rooms, client: FeaturesClient):
    start, end = START + 100 * HOUR, START + 400 * HOUR
    answer = client.generate_features(**SERIES, start=start, end=end)
    frame = read_snapshot(rooms).iloc[100:400]
    same(answer.frame, generated(frame, FeatureConfig()))
    assert answer.warm_up_bars == 300


def test_what_was_not_known_at_a_time_is_not_seen(rooms: Rooms, client: FeaturesClient):
    with pytest.raises(FailedPrecondition, match="no bars") as refused:
        client.generate_features(**SERIES, as_of=datetime(2000, 1, 1, tzinfo=UTC))
    assert refused.value.reason is Reason.TOO_LITTLE_DATA


def test_the_newest_rows_alone_are_those_of_the_whole(rooms: Rooms, client: FeaturesClient):
    whole = client.generate_features(rooms.snapshot_id)
    newest = client.generate_features(rooms.snapshot_id, newest_count=3)
    same(newest.frame, whole.frame.iloc[-3:])
    assert (newest.warm_up_bars, newest.digest) == (0, whole.digest)


def test_progress_is_told_and_never_falls(rooms: Rooms, client: FeaturesClient):
    told: list[tuple[float, str]] = []
    client.generate_features(rooms.snapshot_id, on_progress=lambda *step: told.append(step))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert all(stage for _, stage in told)


def test_the_stream_is_header_progress_chunks_and_summary(rooms: Rooms, stub: Any):
    request = pb.GenerateFeaturesRequest(snapshot_id=rooms.snapshot_id, config=write_config(ROLLING))
    parts = list(stub.GenerateFeatures(request))
    kinds = [part.WhichOneof("part") for part in parts]
    chunks = [part.frame for part in parts if part.HasField("frame")]
    assert (kinds[0], kinds[-1]) == ("header", "summary")
    assert set(kinds[1:-1]) == {"progress", "frame"}
    assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
    assert len(chunks) > 1
    assert max(len(chunk.arrow_ipc) for chunk in chunks) <= CHUNK_BYTES_MAX
    pieces = [read_ipc(chunk.arrow_ipc) for chunk in chunks]
    columns = {piece.schema.names[1]: piece.num_columns - 1 for piece in pieces}
    assert sum(columns.values()) == len(parts[0].header.feature_names)
    for first in columns:
        assert sum(piece.num_rows for piece in pieces if piece.schema.names[1] == first) == BARS


def test_without_funding_and_open_interest_their_features_are_left_out_and_named(client: FeaturesClient):
    answer = client.generate_features(venue=VENUE, symbol="SPOT/USDT", timeframe=TIMEFRAME)
    omitted = {omission.name: omission.missing_column for omission in answer.header.omitted}
    assert omitted["funding_rate"] == "funding_rate"
    assert omitted["open_interest_change_1"] == "open_interest"
    assert omitted["hours_since_settlement"] in ("funding_rate", "funding_time")
    assert not set(omitted) & set(answer.frame)
    assert not [name for name in answer.frame if "funding" in name or "open_interest" in name]
    assert answer.frame.iloc[-1].notna().all()


def stamp(seconds: int, nanos: int = 0) -> Timestamp:
    return Timestamp(seconds=seconds, nanos=nanos)


def series(**more: Any) -> pb.GenerateFeaturesRequest:
    key = SERIES | {name: value for name, value in more.items() if name in SERIES}
    rest = {name: value for name, value in more.items() if name not in SERIES}
    return pb.GenerateFeaturesRequest(
        series=market_pb2.SeriesRange(series=market_pb2.SeriesKey(**key), **rest)
    )


def configured(**config: Any) -> pb.GenerateFeaturesRequest:
    return pb.GenerateFeaturesRequest(snapshot_id="0" * 64, config=pb.FeatureConfig(**config))


BAD_CONFIGS = [
    ({"tsfresh": pb.TsfreshConfig(enabled=True, windows=[7])}, "config.tsfresh.windows[0]", "range"),
    ({"tsfresh": pb.TsfreshConfig(enabled=True, columns=["x"])}, "config.tsfresh.columns[0]", "unknown"),
    (
        {"tsfresh": pb.TsfreshConfig(enabled=True, calculators=["mean", "sample_entropies"])},
        "config.tsfresh.calculators[1]",
        "unknown",
    ),
    ({"technical": pb.FamilyConfig(features=["rsi_41"])}, "config.technical.features[0]", "unknown"),
    ({"series": pb.FamilyConfig(features=["rsi_14"])}, "config.series.features[0]", "unknown"),
    ({"market": pb.FamilyConfig(features=["", ""])}, "config.market.features[0]", "unknown"),
    ({"limits": pb.FeatureLimits(max_rows=0)}, "config.limits.max_rows", "range"),
    ({"limits": pb.FeatureLimits(max_features=20_001)}, "config.limits.max_features", "range"),
    ({"limits": pb.FeatureLimits(timeout_seconds=math.nan)}, "config.limits.timeout_seconds", "range"),
    ({"limits": pb.FeatureLimits(timeout_seconds=-1)}, "config.limits.timeout_seconds", "range"),
    ({"limits": pb.FeatureLimits(max_memory_bytes=1)}, "config.limits.max_memory_bytes", "range"),
    (
        {
            family: pb.FamilyConfig(enabled=False)
            for family in ("technical", "statistical", "series", "market", "calendar")
        },
        "config",
        "empty",
    ),
]


@pytest.mark.parametrize(
    ("request_", "field", "rule"),
    [
        (pb.GenerateFeaturesRequest(), "source", "required"),
        (pb.GenerateFeaturesRequest(snapshot_id=""), "snapshot_id", "format"),
        (pb.GenerateFeaturesRequest(snapshot_id="g" * 64), "snapshot_id", "format"),
        (pb.GenerateFeaturesRequest(snapshot_id="A" * 64), "snapshot_id", "format"),
        (pb.GenerateFeaturesRequest(snapshot_id="../" * 30), "snapshot_id", "format"),
        (
            pb.GenerateFeaturesRequest(snapshot_id="0" * 64, newest_count=-1),
            "newest_count",
            "range",
        ),
        (pb.GenerateFeaturesRequest(series=market_pb2.SeriesRange()), "series.series.venue", "required"),
        (series(venue=""), "series.series.venue", "required"),
        (series(symbol=""), "series.series.symbol", "required"),
        (series(timeframe=""), "series.series.timeframe", "unknown"),
        (series(timeframe="7m"), "series.series.timeframe", "unknown"),
        (series(timeframe="1H"), "series.series.timeframe", "unknown"),
        (series(venue="Binance"), "series.series.venue", None),
        (series(venue="../../etc"), "series.series.venue", None),
        (series(symbol="BTC USDT;--"), "series.series.symbol", None),
        (
            series(range=market_pb2.TimeRange(start_time=stamp(100), end_time=stamp(100))),
            "series.range.end_time",
            "range",
        ),
        (
            series(range=market_pb2.TimeRange(start_time=stamp(2**62))),
            "series.range.start_time",
            "range",
        ),
        (
            series(range=market_pb2.TimeRange(end_time=stamp(0, 10**9))),
            "series.range.end_time",
            "range",
        ),
        (series(as_of_time=stamp(-(2**63))), "series.as_of_time", "range"),
        (series(as_of_time=stamp(0, -1)), "series.as_of_time", "range"),
        *[(configured(**config), field, rule) for config, field, rule in BAD_CONFIGS],
    ],
)
def test_a_bad_request_for_features_is_refused_with_its_field(
    request_: pb.GenerateFeaturesRequest, field: str, rule: str | None, stub: Any
):
    with pytest.raises(InvalidArgument) as refused:
        next(stub.GenerateFeatures(request_))
    violation = refused.value.violations[0]
    assert violation.field == field
    assert rule in (violation.rule, None)
    assert len(violation.description) < 300
    assert refused.value.reason is Reason.INVALID_FIELD


@pytest.mark.parametrize("start", [datetime.min, datetime(1600, 1, 1)])  # noqa: DTZ001, DTZ901
@pytest.mark.parametrize("end", [datetime.max, datetime(2300, 1, 1)])  # noqa: DTZ001, DTZ901
def test_any_time_of_the_years_1_to_9999_is_a_time(start: datetime, end: datetime, client: FeaturesClient):
    answer = client.generate_features(
        **SERIES, start=start.replace(tzinfo=UTC), end=end.replace(tzinfo=UTC), newest_count=1
    )
    assert answer.header.row_count == 1


def test_an_unknown_snapshot_is_not_found(client: FeaturesClient):
    with pytest.raises(NotFound) as refused:
        client.generate_features("0" * 64)
    assert (refused.value.kind, refused.value.name) == ("snapshot", "0" * 64)


def test_an_unknown_series_is_not_found(client: FeaturesClient):
    with pytest.raises(NotFound) as refused:
        client.generate_features(venue=VENUE, symbol="ETH/USDT:USDT", timeframe=TIMEFRAME)
    assert refused.value.kind == "series"
    assert "ETH/USDT:USDT" in refused.value.message


def test_an_empty_range_has_too_little_data(client: FeaturesClient):
    start = datetime(2010, 1, 1, tzinfo=UTC)
    with pytest.raises(FailedPrecondition, match="no bars"):
        client.generate_features(**SERIES, start=start, end=start + timedelta(days=1))


def test_a_named_feature_that_the_source_cannot_give_is_refused(client: FeaturesClient):
    config = pb.FeatureConfig(market=pb.FamilyConfig(features=["open_interest_change_1"]))
    with pytest.raises(FailedPrecondition) as refused:
        client.generate_features(venue=VENUE, symbol="SPOT/USDT", timeframe=TIMEFRAME, config=config)
    assert refused.value.subject == "open_interest_change_1"


@pytest.mark.parametrize("source", ["snapshot", "series"])
@pytest.mark.parametrize(
    ("limits", "subject"),
    [
        (pb.FeatureLimits(max_rows=BARS - 1), "config.limits.max_rows"),
        (pb.FeatureLimits(max_features=5), "config.limits.max_features"),
        (pb.FeatureLimits(max_memory_bytes=1024**2), "config.limits.max_memory_bytes"),
        (pb.FeatureLimits(timeout_seconds=1e-6), "config.limits.timeout_seconds"),
    ],
)
def test_a_limit_that_breaks_is_named(
    limits: pb.FeatureLimits, subject: str, source: str, rooms: Rooms, client: FeaturesClient
):
    config = pb.FeatureConfig(limits=limits)
    asked: dict[str, Any] = {"snapshot_id": rooms.snapshot_id} if source == "snapshot" else SERIES
    with pytest.raises(ResourceExhausted) as refused:
        client.generate_features(**asked, config=config)
    assert refused.value.subject == subject
    assert refused.value.reason is Reason.LIMIT_EXCEEDED


def test_a_limit_that_just_holds_is_no_limit(rooms: Rooms, client: FeaturesClient):
    config = pb.FeatureConfig(limits=pb.FeatureLimits(max_rows=BARS))
    assert len(client.generate_features(rooms.snapshot_id, config=config).frame) == BARS
    assert len(client.generate_features(**SERIES, config=config).frame) == BARS


@pytest.mark.parametrize(("config", "field", "rule"), BAD_CONFIGS)
def test_a_config_with_violations_is_an_ok_answer(
    config: dict[str, Any], field: str, rule: str, client: FeaturesClient
):
    answer = client.validate_feature_config(pb.FeatureConfig(**config))
    assert (answer.violations[0].field, answer.violations[0].rule) == (field, rule)
    assert answer.violations[0].description
    assert (answer.feature_count, answer.warm_up_bars) == (0, 0)


def test_a_good_config_is_counted_and_warned_about(client: FeaturesClient):
    default = client.validate_feature_config(pb.FeatureConfig())
    assert not default.violations
    assert not default.warnings
    assert default.feature_count == len(planned_names())
    rolling = pb.TsfreshConfig(windows=[720])
    warned = client.validate_feature_config(pb.FeatureConfig(tsfresh=rolling))
    assert "tsfresh" in warned.warnings[0]
    rolling.enabled = True
    enabled = client.validate_feature_config(pb.FeatureConfig(tsfresh=rolling))
    assert enabled.feature_count > default.feature_count
    assert enabled.warm_up_bars >= 719


def planned_names() -> list[str]:
    return [feature.name for feature in selected(FeatureConfig())]


def test_a_config_must_be_given_to_be_validated(stub: Any):
    with pytest.raises(InvalidArgument) as refused:
        stub.ValidateFeatureConfig(pb.ValidateFeatureConfigRequest())
    assert (refused.value.violations[0].field, refused.value.violations[0].rule) == ("config", "required")


def test_the_default_config_is_full_and_means_what_no_config_means(rooms: Rooms, client: FeaturesClient):
    default = client.get_default_feature_config()
    assert default == write_config(FeatureConfig())
    assert default.limits.max_rows == 2_000_000
    assert not default.tsfresh.enabled
    assert len(default.tsfresh.calculators) >= 25
    given = client.generate_features(rooms.snapshot_id, config=default)
    assert given.digest == client.generate_features(rooms.snapshot_id).digest


def test_features_are_listed_in_pages_and_by_family(client: FeaturesClient, stub: Any):
    listed = client.list_features(page_size=50)
    assert [(entry.family, entry.name) for entry in listed] == sorted(
        (entry.family, entry.name) for entry in listed
    )
    assert set(planned_names()) <= {entry.name for entry in listed if entry.is_default}
    for family in pb.FeatureFamily.values()[1:]:
        assert client.list_features(family) == [entry for entry in listed if entry.family == family]
    first = stub.ListFeatures(pb.ListFeaturesRequest())
    assert len(first.features) == 100
    assert first.next_page_token


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListFeaturesRequest(family=pb.FEATURE_FAMILY_UNSPECIFIED), "family"),
        (pb.ListFeaturesRequest(family=99), "family"),
        (pb.ListFeaturesRequest(page_size=-1), "page_size"),
        (pb.ListFeaturesRequest(page_size=1001), "page_size"),
        (pb.ListFeaturesRequest(page_token="…"), "page_token"),
        (pb.ListFeaturesRequest(page_token=base64.b64encode(bytes(12)).decode()), "page_token"),
    ],
)
def test_a_bad_request_for_a_list_is_refused_with_its_field(
    request_: pb.ListFeaturesRequest, field: str, stub: Any
):
    with pytest.raises(InvalidArgument) as refused:
        stub.ListFeatures(request_)
    assert [violation.field for violation in refused.value.violations] == [field]


def test_a_token_of_another_family_is_refused(stub: Any):
    token = stub.ListFeatures(pb.ListFeaturesRequest(page_size=5)).next_page_token
    with pytest.raises(InvalidArgument) as refused:
        stub.ListFeatures(pb.ListFeaturesRequest(family=pb.FEATURE_FAMILY_SERIES, page_token=token))
    assert refused.value.violations[0].field == "page_token"


def test_the_client_refuses_a_snapshot_together_with_a_series(client: FeaturesClient):
    with pytest.raises(TypeError, match="not both"):
        client.generate_features("0" * 64, venue=VENUE)


def test_the_client_refuses_a_time_without_a_zone(client: FeaturesClient):
    with pytest.raises(ValueError, match="aware"):
        client.generate_features(**SERIES, start=datetime(2024, 1, 1))  # noqa: DTZ001


TEXT = st.one_of(
    st.sampled_from([VENUE, SYMBOL, TIMEFRAME, "SPOT/USDT", "close", "rsi_14", "mean", "0" * 64]),
    st.text(max_size=12),
)
STAMP = st.one_of(
    st.builds(stamp, st.integers(1_700_000_000, 1_800_000_000)),
    st.builds(stamp, st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1)),
)
FAMILY = st.builds(pb.FamilyConfig, enabled=st.booleans(), features=st.lists(TEXT, max_size=2))
CONFIG = st.builds(
    pb.FeatureConfig,
    technical=st.none() | FAMILY,
    statistical=st.none() | FAMILY,
    market=st.none() | FAMILY,
    calendar=st.none() | FAMILY,
    tsfresh=st.none()
    | st.builds(
        pb.TsfreshConfig,
        enabled=st.booleans(),
        windows=st.lists(st.one_of(st.integers(8, 60), st.integers(-(2**31), 2**31 - 1)), max_size=3),
        columns=st.lists(TEXT, max_size=2),
        calculators=st.lists(TEXT, max_size=2),
    ),
    limits=st.none()
    | st.builds(
        pb.FeatureLimits,
        max_rows=st.integers(-(2**63), 2**63 - 1),
        max_features=st.integers(-(2**31), 2**31 - 1),
        timeout_seconds=st.none() | st.floats(),
        max_memory_bytes=st.none() | st.integers(-(2**63), 2**63 - 1),
    ),
)
RANGE = st.builds(market_pb2.TimeRange, start_time=st.none() | STAMP, end_time=st.none() | STAMP)
GENERATE = st.one_of(
    st.builds(
        pb.GenerateFeaturesRequest,
        snapshot_id=TEXT,
        config=st.none() | CONFIG,
        newest_count=st.integers(-5, 2**63 - 1),
    ),
    st.builds(
        pb.GenerateFeaturesRequest,
        series=st.builds(
            market_pb2.SeriesRange,
            series=st.builds(market_pb2.SeriesKey, venue=TEXT, symbol=TEXT, timeframe=TEXT),
            range=st.none() | RANGE,
            as_of_time=st.none() | STAMP,
        ),
        config=st.none() | CONFIG,
    ),
    st.builds(
        pb.GenerateFeaturesRequest,
        series=st.builds(
            market_pb2.SeriesRange, series=st.just(KEY), range=st.none() | RANGE, as_of_time=st.none() | STAMP
        ),
        config=st.none() | CONFIG,
        newest_count=st.integers(0, 5),
    ),
)
LIST = st.builds(
    pb.ListFeaturesRequest,
    family=st.none() | st.integers(-(2**31), 2**31 - 1),
    page_size=st.integers(-(2**31), 2**31 - 1),
    page_token=st.text(max_size=20),
)


@given(
    st.one_of(
        st.tuples(st.just("GenerateFeatures"), GENERATE),
        st.tuples(
            st.just("ValidateFeatureConfig"), st.builds(pb.ValidateFeatureConfigRequest, config=CONFIG)
        ),
        st.tuples(st.just("ListFeatures"), LIST),
    )
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_request_meets_a_bug(stub: Any, asked: tuple[str, Any]):
    name, request = asked
    refused: Refusal | None = None
    try:
        answer = getattr(stub, name)(request)
        if name == "GenerateFeatures":
            assert list(answer)[-1].HasField("summary")
    except Refusal as refusal:
        refused = refusal
    assert not isinstance(refused, Internal | Unimplemented), refused


def test_what_would_come_is_said_without_computing_it(rooms: Rooms, client: FeaturesClient):
    config = write_config(ROLLING)
    header = client.describe_features(rooms.snapshot_id, config=config)
    assert header == client.generate_features(rooms.snapshot_id, config=config).header
