"""GetLatestFeatures: the newest bar from just enough history has the bits that all of history gives it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from marketml.clients.features import FeaturesClient
from marketml.features.v1 import features_pb2 as pb
from marketml.rpc.refusals import FailedPrecondition, InvalidArgument, NotFound, Reason, ResourceExhausted
from services.features.answer import Latest
from services.features.budget import MemoryBudget
from services.features.columns import BLOCK_BARS
from services.features.config import FeatureConfig, Limits
from services.features.latest import Newest, history_bars
from services.features.vectors import Question, Vectors
from tests.features.conftest import SYMBOL, TIMEFRAME, VENUE, Rooms
from tests.features.frames import HOUR, random_walk
from tests.features.whole import EVERYTHING, KEY, generated, latest

ROLLING = pb.FeatureConfig(tsfresh=pb.TsfreshConfig(enabled=True, windows=[8, 24], columns=["close"]))


class Bars:
    """The last bars of one frame, as the data room gives them."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame

    async def frame_state(self, key, reference, as_of) -> str:
        return "always the same"

    def load_newest(self, key, reference, as_of, rows_max) -> pd.DataFrame:
        return self.frame.iloc[-rows_max:]


def newest(frame: pd.DataFrame, config: FeatureConfig = EVERYTHING) -> Latest:
    room = Newest(Bars(frame), MemoryBudget(2**33), Vectors(0))
    return latest(room, Question(KEY, None, config, None))


@pytest.mark.parametrize("cut", [1, 2, 100, 255, 256, 257, 300])
def test_every_feature_of_the_newest_bar_has_the_bits_of_the_batch(cut):
    frame = random_walk(5, history_bars(EVERYTHING, KEY.bar) + 900)
    batch = generated(frame, EVERYTHING)
    found = newest(frame.iloc[: len(frame) - cut])
    assert found.open_time == frame.index[len(frame) - cut - 1]
    assert found.known_time == found.open_time + HOUR
    expected = batch[list(found.names)].loc[found.open_time].to_numpy()
    assert found.values.tobytes() == expected.tobytes()
    assert not np.isnan(found.values).all()


def test_bars_that_are_absent_change_no_bit():
    frame = random_walk(6, history_bars(EVERYTHING, KEY.bar) + 700)
    keeps = np.random.default_rng(1).random(len(frame)) > 0.05
    keeps[-1] = True
    holed = frame[keeps]
    batch = generated(holed, EVERYTHING)
    found = newest(holed)
    assert found.values.tobytes() == batch[list(found.names)].iloc[-1].to_numpy().tobytes()


def test_no_more_bars_are_read_than_the_slowest_feature_needs():
    only = FeatureConfig(only=("rsi_14", "month"))
    frame = random_walk(7, 5_000)
    found = newest(frame, only)
    assert found.names == ("rsi_14", "month")
    assert found.history_bars == history_bars(only, KEY.bar) + 1 < history_bars(EVERYTHING, KEY.bar)
    clock = FeatureConfig(only=("month",))
    assert newest(frame, clock).history_bars == BLOCK_BARS


def test_too_short_a_history_is_refused_with_need_and_have():
    config = FeatureConfig(only=("close_mean_20",))
    newest(random_walk(8, 20), config)
    with pytest.raises(
        FailedPrecondition, match="close_mean_20 needs 20 bars and the series has 19"
    ) as refused:
        newest(random_walk(8, 19), config)
    assert refused.value.reason is Reason.TOO_LITTLE_DATA


def test_a_feature_that_is_named_is_not_known_where_its_column_ends():
    frame = random_walk(9, 900)
    frame.loc[frame.index[100:], "open_interest"] = np.nan
    named = FeatureConfig(only=("open_interest_change_1", "rsi_14"))
    found = newest(frame, named)
    assert np.isnan(found.values[0])
    assert not np.isnan(found.values[1])
    assert found.omitted == ()


def test_history_past_the_limit_of_rows_is_refused():
    config = FeatureConfig(limits=Limits(max_rows=300))
    with pytest.raises(ResourceExhausted) as refused:
        newest(random_walk(8, 400), config)
    assert refused.value.subject == "config.limits.max_rows"


def test_the_newest_bar_over_the_wire_is_the_last_row_of_the_batch(rooms: Rooms, client: FeaturesClient):
    batch = client.generate_features(venue=VENUE, symbol=SYMBOL, timeframe=TIMEFRAME, config=ROLLING)
    found = client.get_latest_features(VENUE, SYMBOL, TIMEFRAME, config=ROLLING)
    assert list(found.index) == list(batch.frame.columns)
    assert found.name == batch.frame.index[-1]
    assert found.to_numpy().tobytes() == batch.frame.iloc[-1].to_numpy().tobytes()
    assert found.attrs["config_digest"] == batch.header.config_digest
    assert found.attrs["known_time"] == found.name + HOUR


def test_the_newest_bar_is_the_one_that_was_known_then(rooms: Rooms, client: FeaturesClient):
    clock = pb.FeatureConfig(
        technical=pb.FamilyConfig(enabled=False),
        statistical=pb.FamilyConfig(enabled=False),
        series=pb.FamilyConfig(enabled=False),
        market=pb.FamilyConfig(enabled=False),
    )
    with pytest.raises(FailedPrecondition):  # everything was captured later
        client.get_latest_features(
            VENUE, SYMBOL, TIMEFRAME, config=clock, as_of=rooms.frame.index[0].to_pydatetime()
        )
    now = client.get_latest_features(VENUE, SYMBOL, TIMEFRAME, config=clock)
    assert now.name == rooms.frame.index[-1]


def test_an_unknown_series_has_no_newest_bar(client: FeaturesClient):
    with pytest.raises(NotFound):
        client.get_latest_features(VENUE, "NO/USDT", TIMEFRAME)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (("", SYMBOL, TIMEFRAME), "series.venue"),
        ((VENUE, "", TIMEFRAME), "series.symbol"),
        ((VENUE, SYMBOL, "7h"), "series.timeframe"),
    ],
)
def test_a_series_that_is_not_named_whole_is_refused(client: FeaturesClient, given, field):
    with pytest.raises(InvalidArgument) as refused:
        client.get_latest_features(*given)
    assert [each.field for each in refused.value.violations] == [field]


def test_a_config_that_breaks_a_rule_is_refused(client: FeaturesClient):
    config = pb.FeatureConfig(tsfresh=pb.TsfreshConfig(enabled=True, windows=[7]))
    with pytest.raises(InvalidArgument) as refused:
        client.get_latest_features(VENUE, SYMBOL, TIMEFRAME, config=config)
    assert [each.field for each in refused.value.violations] == ["config.tsfresh.windows[0]"]
