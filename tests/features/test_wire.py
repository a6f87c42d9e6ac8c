"""Messages and domain values, in both directions. Configs have their own tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from marketml.features.v1 import features_pb2 as pb
from marketml.market.v1 import market_pb2
from marketml.rpc.frames import read_chunks, to_frame
from marketml.rpc.refusals import InvalidArgument, Violation
from marketml.timeframes import TIMEFRAMES
from services.features import wire, wire_answer, wire_config
from services.features.answer import Header, Progress, Review, Summary, Values
from services.features.catalogue import entries
from services.features.config import FeatureConfig
from services.features.feature import Family
from services.features.plan import Omission
from services.features.source import SeriesKey, SeriesSource, SnapshotSource
from tests.features.frames import START

KEY = SeriesKey("binance", "BTC/USDT:USDT", "1h")
HEADER = Header(
    digest="d" * 64,
    config_digest="c" * 64,
    names=("rsi_14", "month"),
    warm_up_bars=5,
    row_count=7,
    config=FeatureConfig(),
    omitted=(Omission("funding_rate", "funding_rate"),),
    key=KEY,
)
MOMENTS = st.datetimes(timezones=st.just(UTC))


def request(**series: object) -> pb.GenerateFeaturesRequest:
    return pb.GenerateFeaturesRequest(
        series=market_pb2.SeriesRange(series=wire.write_key(KEY), **series)  # type: ignore[arg-type]
    )


def stamp(moment: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made


@given(st.none() | MOMENTS, st.none() | MOMENTS, st.none() | MOMENTS)
def test_a_series_comes_from_the_wire_as_it_was(
    start: datetime | None, end: datetime | None, as_of: datetime | None
):
    span = market_pb2.TimeRange(start_time=start and stamp(start), end_time=end and stamp(end))
    asked = request(range=span, as_of_time=as_of and stamp(as_of))
    if start is not None and end is not None and start >= end:
        with pytest.raises(InvalidArgument) as refused:
            wire.read_source(asked)
        assert refused.value.violations[0].field == "series.range.end_time"
    else:
        assert wire.read_source(asked) == SeriesSource(KEY, start, end, as_of)


def test_a_time_between_two_microseconds_keeps_the_meaning_of_its_bound():
    between = Timestamp(seconds=100, nanos=1_500)
    asked = request(range=market_pb2.TimeRange(start_time=between, end_time=between), as_of_time=between)
    asked.series.range.end_time.seconds = 200
    source = wire.read_source(asked)
    assert isinstance(source, SeriesSource)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert source.start == epoch + timedelta(seconds=100, microseconds=2)
    assert source.end == epoch + timedelta(seconds=200, microseconds=2)
    assert source.as_of == epoch + timedelta(seconds=100, microseconds=1)


def test_every_broken_rule_of_a_series_is_named_at_once():
    asked = pb.GenerateFeaturesRequest(
        series=market_pb2.SeriesRange(as_of_time=Timestamp(nanos=-1), range=market_pb2.TimeRange())
    )
    with pytest.raises(InvalidArgument) as refused:
        wire.read_source(asked)
    assert [violation.field for violation in refused.value.violations] == [
        "series.series.venue",
        "series.series.symbol",
        "series.series.timeframe",
        "series.as_of_time",
    ]


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_every_timeframe_of_the_contract_is_read(timeframe: str):
    asked = request()
    asked.series.series.timeframe = timeframe
    source = wire.read_source(asked)
    assert isinstance(source, SeriesSource)
    assert source.key.bar == TIMEFRAMES[timeframe] > timedelta(0)


def test_a_snapshot_comes_from_the_wire_as_it_was():
    assert wire.read_source(pb.GenerateFeaturesRequest(snapshot_id="0af" * 21 + "9")) == SnapshotSource(
        "0af" * 21 + "9"
    )


def test_a_header_says_everything():
    (message,) = wire_answer.write_parts([HEADER])
    assert isinstance(message, pb.GenerateFeaturesResponse)
    header = message.header
    assert (header.digest, tuple(header.feature_names)) == (HEADER.digest, HEADER.names)
    assert (header.warm_up_bars, header.row_count) == (5, 7)
    assert wire_config.read_config(header.config) == HEADER.config
    assert [(each.name, each.missing_column) for each in header.omitted] == [("funding_rate", "funding_rate")]
    assert header.series == market_pb2.SeriesKey(venue="binance", symbol="BTC/USDT:USDT", timeframe="1h")


def test_progress_and_summary_say_everything():
    (progress,) = wire_answer.write_parts([Progress(0.25, "market")])
    assert isinstance(progress, pb.GenerateFeaturesResponse)
    assert (progress.progress.fraction, progress.progress.stage) == (0.25, "market")
    (message,) = wire_answer.write_parts([Summary(7, 2, {Family.MARKET: 0.5, Family.TSFRESH: 1.5})])
    assert isinstance(message, pb.GenerateFeaturesResponse)
    assert (message.summary.row_count, message.summary.feature_count) == (7, 2)
    assert [(time.family, time.seconds) for time in message.summary.family_times] == [
        (pb.FEATURE_FAMILY_MARKET, 0.5),
        (pb.FEATURE_FAMILY_TSFRESH, 1.5),
    ]


@given(st.integers(1, 40), st.integers(0, 2**32))
def test_values_come_back_to_the_bit_missing_ones_included(rows: int, seed: int):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(2, rows))
    values[generator.random(values.shape) < 0.3] = np.nan
    index = pd.date_range(START, periods=rows, freq="1h", name="open_time").as_unit("us")
    messages = list(wire_answer.write_parts([Values(HEADER, index, values)]))
    frame = to_frame(read_chunks(messages, field_number=wire_answer.FRAME_FIELD))
    pd.testing.assert_frame_equal(
        frame, pd.DataFrame(values.T, index, ["rsi_14", "month"]), check_exact=True, check_freq=False
    )
    assert frame.attrs == {"symbol": KEY.symbol, "timeframe": "1h", "digest": HEADER.digest}


def test_a_frame_without_rows_has_its_columns():
    index = pd.DatetimeIndex([], tz="UTC", name="open_time").as_unit("us")
    messages = list(wire_answer.write_parts([Values(HEADER, index, np.empty((2, 0)))]))
    assert list(to_frame(read_chunks(messages, field_number=wire_answer.FRAME_FIELD))) == ["rsi_14", "month"]


def test_a_review_says_everything():
    message = wire.write_review(Review((Violation("config", "empty", "no."),), ("mind",), 3, 4))
    assert [(each.field, each.rule, each.description) for each in message.violations] == [
        ("config", "empty", "no.")
    ]
    assert (list(message.warnings), message.feature_count, message.warm_up_bars) == (["mind"], 3, 4)


def test_an_entry_says_everything():
    for entry in entries():
        message = wire.write_entry(entry)
        assert (message.name, message.group, message.description) == (
            entry.name,
            entry.group,
            entry.description,
        )
        assert tuple(message.inputs) == entry.inputs
        assert dict(message.parameters) == entry.parameters
        assert (message.lookback_bars if message.HasField("lookback_bars") else None) == entry.lookback_bars
        assert message.is_default == entry.is_default
        listed = pb.ListFeaturesRequest(family=message.family)
        assert wire.read_family(listed) is entry.family


def test_no_family_is_all_families():
    assert wire.read_family(pb.ListFeaturesRequest()) is None
