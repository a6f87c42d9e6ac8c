"""The vector of a bar is computed once, and whatever is stored is seen by the very next call: bars, funding
and open interest of the series and of its reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.clients.data_quality import mark_missing
from marketml.clients.features import FeaturesClient
from marketml.features.v1 import features_pb2 as pb
from marketml.rpc.refusals import NotFound, ResourceExhausted
from services.data.servicer import DataServicer
from services.features.__main__ import build
from services.features.answer import Latest
from services.features.budget import MemoryBudget
from services.features.config import FeatureConfig
from services.features.latest import Newest
from services.features.settings import FeaturesSettings
from services.features.vectors import COUNT_MAX, Kept, Planned, Question, Vectors
from tests.data.market import DataRoom, data_room
from tests.features.conftest import CANDLES, LEADER, SYMBOL, TIMEFRAME, VENUE, ingest
from tests.features.frames import HOUR, random_walk
from tests.features.whole import KEY, latest, planned
from tests.support.servers import serve_in_process

BARS = 700
NAMES = ("close_mean_20", "close_std_50", "funding_rate_mean_7", "open_interest_change_1", "month")
BESIDE = (*NAMES, "cross_correlation_24")
LONG_AGO = datetime(2024, 6, 11, tzinfo=UTC)


class Live:
    """Both rooms inside this process, and the series of `frame` in them."""

    def __init__(self, data: DataRoom, features: FeaturesClient, frame: pd.DataFrame) -> None:
        self.data = data
        self.features = features
        self.frame = frame

    def vector(self, names: tuple[str, ...] = NAMES, **options: object) -> pd.Series:
        """The newest vector, which is the last row of what the batch gives now."""
        config = asking(names)
        found = self.features.get_latest_features(VENUE, SYMBOL, TIMEFRAME, config=config, **options)
        batch = self.features.generate_features(
            venue=VENUE, symbol=SYMBOL, timeframe=TIMEFRAME, config=config, newest_count=1, **options
        )
        assert found.name == batch.frame.index[-1]
        assert list(found.index) == list(batch.frame.columns)
        assert found.to_numpy().tobytes() == batch.frame.iloc[-1].to_numpy().tobytes()
        assert found.attrs["config_digest"] == batch.header.config_digest
        return found

    def computed(self, call: Callable[[], object]) -> bool:
        """Whether a call of the newest vector read rows of the data room."""
        before = self._frames_read()
        call()
        return self._frames_read() > before

    def _frames_read(self) -> float:
        service = "marketml.data.v1.DataService"
        return self.data.served.metric(
            "marketml_rpc_handled_total", service=service, method="QueryFrame", code="OK"
        )

    def latest(self, names: tuple[str, ...] = NAMES, **options: object) -> pd.Series:
        config = asking(names)
        return self.features.get_latest_features(VENUE, SYMBOL, TIMEFRAME, config=config, **options)


@contextmanager
def features_beside(data: DataRoom, folder: Path, **given: object) -> Iterator[FeaturesClient]:
    """A features room of its own memory."""
    told = FeaturesSettings(
        address="127.0.0.1:0", data_target=data.served.target, folder=folder / "features", **given
    )
    with serve_in_process(build(told), told) as served, FeaturesClient(served.target) as client:
        yield client


@pytest.fixture
def live(database_url: str, tmp_path: Path) -> Iterator[Live]:
    """On SQLite, then on PostgreSQL."""
    frame = random_walk(23, BARS)
    with data_room(database_url, tmp_path) as data, features_beside(data, tmp_path) as features:
        ingest(data.client, frame)
        ingest(data.client, random_walk(24, BARS, 2_000.0), LEADER)
        yield Live(data, features, frame)


def test_a_vector_is_computed_once_and_has_the_bits_of_the_batch(live: Live):
    first = live.vector()
    assert not live.computed(live.latest)
    pd.testing.assert_series_equal(live.vector(), first, check_exact=True)
    assert live.latest().attrs == first.attrs


def test_whatever_is_stored_is_seen_by_the_very_next_call(live: Live):
    store, before = live.data.client, live.vector()
    old_bar = live.frame[CANDLES].iloc[[-15]] * 1.25
    settled = live.frame["funding_time"].dropna().unique()[-3]
    observed = live.frame["open_interest_time"].dropna().unique()[-2]
    for change, names in (
        (lambda: store.ingest_candles(old_bar, VENUE, SYMBOL, TIMEFRAME), {"close_mean_20", "close_std_50"}),
        (
            lambda: store.ingest_funding_rates(one("funding_rate", settled, 0.01), VENUE, SYMBOL),
            {"funding_rate_mean_7"},
        ),
        (
            lambda: store.ingest_open_interest(one("open_interest", observed, 9e9), VENUE, SYMBOL),
            {"open_interest_change_1"},
        ),
    ):
        change()
        after = live.vector()
        assert after.name == before.name
        assert {name for name in NAMES if differs(after[name], before[name])} == names
        before = after
    store.delete_series("funding_rates", VENUE, SYMBOL)
    without = live.latest()
    assert np.isnan(without["funding_rate_mean_7"])
    pd.testing.assert_series_equal(
        without.drop("funding_rate_mean_7"), before.drop("funding_rate_mean_7"), check_exact=True
    )


def test_a_new_bar_and_one_that_is_marked_as_missing_are_seen_by_the_very_next_call(live: Live):
    newest = live.vector().name
    bar = live.frame[CANDLES].iloc[[-1]].set_axis([newest + HOUR], axis=0).rename_axis("open_time")
    live.data.client.ingest_candles(bar, VENUE, SYMBOL, TIMEFRAME)
    assert live.vector().name == newest + HOUR
    mark = mark_missing((newest + HOUR).to_pydatetime(), (newest + 2 * HOUR).to_pydatetime())
    live.data.client.repair_series("candles", VENUE, SYMBOL, TIMEFRAME, actions=[mark])
    assert live.vector().name == newest


def test_a_revision_whose_capture_was_earlier_than_all_others_is_seen_by_the_very_next_call(live: Live):
    hole = live.frame.index[-9]
    store = live.data.client
    store.delete_series("candles", VENUE, SYMBOL, TIMEFRAME)
    kept = live.frame[CANDLES].drop(hole)
    store.ingest_candles(kept, VENUE, SYMBOL, TIMEFRAME, capture_time=LONG_AGO)
    before = live.vector()
    told = live.frame[CANDLES].loc[[hole]] * 2
    store.ingest_candles(told, VENUE, SYMBOL, TIMEFRAME, capture_time=LONG_AGO - timedelta(days=1))
    assert differs(live.vector()["close_mean_20"], before["close_mean_20"])


def test_a_revision_of_the_reference_is_seen_by_the_very_next_call(live: Live):
    reference = (VENUE, LEADER)
    before = live.vector(BESIDE, reference=reference)
    assert not live.computed(lambda: live.latest(BESIDE, reference=reference))
    revised = random_walk(24, BARS, 2_000.0)[CANDLES].iloc[[-5]] * 1.5
    live.data.client.ingest_candles(revised, VENUE, LEADER, TIMEFRAME)
    after = live.vector(BESIDE, reference=reference)
    assert {name for name in BESIDE if differs(after[name], before[name])} == {BESIDE[-1]}


def test_what_was_known_then_is_not_answered_from_what_is_known_now(live: Live):
    then = pd.Timestamp.now("UTC")
    before = live.vector(as_of=then.to_pydatetime())
    live.data.client.ingest_candles(live.frame[CANDLES].iloc[[-5]] * 2, VENUE, SYMBOL, TIMEFRAME)
    now = live.vector()
    assert differs(now["close_mean_20"], before["close_mean_20"])
    pd.testing.assert_series_equal(live.vector(as_of=then.to_pydatetime()), before, check_exact=True)
    assert not live.computed(lambda: live.latest(as_of=then.to_pydatetime()))
    pd.testing.assert_series_equal(live.vector(), now, check_exact=True)


def test_a_series_that_is_deleted_is_no_longer_answered(live: Live):
    live.vector()
    live.data.client.delete_series("candles", VENUE, SYMBOL, TIMEFRAME)
    with pytest.raises(NotFound):
        live.latest()


def test_configs_do_not_share_a_vector(live: Live):
    one, other = ("close_mean_20", "close_std_50"), ("close_std_50", "close_mean_20")
    assert list(live.vector(one).index) == list(one)
    assert list(live.vector(other).index) == list(other)
    few = pb.FeatureConfig(only=one, limits=pb.FeatureLimits(max_rows=10))
    with pytest.raises(ResourceExhausted):
        live.features.get_latest_features(VENUE, SYMBOL, TIMEFRAME, config=few)
    alone = live.vector(("funding_rate_mean_7",))
    assert alone.to_numpy().tobytes() == live.vector()[["funding_rate_mean_7"]].to_numpy().tobytes()


def test_two_rooms_on_one_database_see_what_the_other_stored(postgresql_url: str, tmp_path: Path):
    frame = random_walk(23, BARS)
    with (
        data_room(postgresql_url, tmp_path) as one,
        data_room(postgresql_url, tmp_path) as other,
        features_beside(other, tmp_path) as features,
    ):
        ingest(one.client, frame)
        live = Live(other, features, frame)
        before = live.vector()
        assert not live.computed(live.latest)
        one.client.ingest_candles(frame[CANDLES].iloc[[-5]] * 2, VENUE, SYMBOL, TIMEFRAME)
        assert differs(live.vector()["close_mean_20"], before["close_mean_20"])


def test_a_data_room_that_tells_no_states_is_read_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(DataServicer, "GetFrameState", None)  # as a version before had it
    frame = random_walk(23, 300)
    url = f"sqlite:///{tmp_path}/data.sqlite"
    with data_room(url, tmp_path) as data, features_beside(data, tmp_path) as features:
        ingest(data.client, frame)
        live = Live(data, features, frame)
        before = live.vector()
        assert live.computed(live.latest)
        data.client.ingest_candles(frame[CANDLES].iloc[[-5]] * 2, VENUE, SYMBOL, TIMEFRAME)
        assert differs(live.vector()["close_mean_20"], before["close_mean_20"])


def test_too_little_memory_for_a_vector_computes_it_each_time(tmp_path: Path):
    frame = random_walk(23, 300)
    url = f"sqlite:///{tmp_path}/data.sqlite"
    with data_room(url, tmp_path) as data, features_beside(data, tmp_path, vectors_bytes=1) as room:
        ingest(data.client, frame)
        live = Live(data, room, frame)
        live.vector()
        assert live.computed(live.latest)


def test_a_reader_who_asks_while_bars_are_revised_never_sees_older_ones_than_were_stored(live: Live):
    live.latest()
    stored = 0
    bar = live.frame[CANDLES].iloc[[-2]]

    def means(_: int) -> tuple[int, float]:
        begun = stored
        return begun, live.latest(("close_mean_5",)).iloc[0]

    def mean(times: int) -> float:
        closes = live.frame["close"].iloc[-5:].to_numpy().copy()
        closes[-2] *= 1 + times
        return float(closes.mean())

    with ThreadPoolExecutor(2) as readers:
        for times in range(1, 8):
            told = [readers.submit(means, each) for each in range(3)]
            live.data.client.ingest_candles(bar * (1 + times), VENUE, SYMBOL, TIMEFRAME)
            stored = times
            for each in told:
                begun, found = each.result()
                seen = round((found * 5 - mean(0) * 5) / bar["close"].iloc[0])
                assert begun <= seen <= times


class Changing:
    """A data room of one frame that changes when it is told to."""

    def __init__(self) -> None:
        self.frame, self.state = random_walk(5, 900), "0"

    async def frame_state(self, key, reference, as_of) -> str:
        return self.state

    def load_newest(self, key, reference, as_of, rows_max) -> pd.DataFrame:
        return self.frame.iloc[-rows_max:]


def question(number: int = 0, names: tuple[str, ...] = NAMES[:2]) -> Question:
    return Question(KEY, None, FeatureConfig(only=names), LONG_AGO + timedelta(days=number))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), max_size=20), st.sampled_from([0, 3_000, 2**20]))
def test_in_any_order_of_calls_and_changes_the_answer_is_of_the_last_change(told, bytes_max):
    room = Changing()
    newest = Newest(room, MemoryBudget(2**33), Vectors(bytes_max))
    for is_change, number in told:
        if is_change:
            room.state = str(int(room.state) + 1)
            room.frame = room.frame.copy()
            room.frame.iloc[-3 - number, room.frame.columns.get_loc("close")] *= 1.5
            continue
        fresh = latest(Newest(room, MemoryBudget(2**33), Vectors(0)), question(number))
        found = latest(newest, question(number))
        assert found.values.tobytes() == fresh.values.tobytes()
        assert (found.names, found.open_time) == (fresh.names, fresh.open_time)


def test_a_column_that_gets_values_is_planned_for_anew():
    room = Changing()
    whole = room.frame
    room.frame = whole.assign(open_interest=np.nan)
    newest = Newest(room, MemoryBudget(2**33), Vectors(2**20))
    asked = Question(KEY, None, FeatureConfig(), None)
    without = latest(newest, asked)
    assert "open_interest_change_1" in {each.name for each in without.omitted}
    room.frame, room.state = whole, "1"
    assert "open_interest_change_1" in latest(newest, asked).names


def kept(names: tuple[str, ...] = NAMES[:2]) -> Kept:
    time = pd.Timestamp(LONG_AGO)
    plan = planned(random_walk(5, 60), FeatureConfig(only=names))
    vector = Latest(time, time + HOUR, names, np.zeros(len(names)), (), 60, "")
    return Kept(vector, "state", 60, Planned(plan, "", 60, frozenset()))


def test_vectors_take_a_bounded_memory_and_those_that_nobody_asks_for_go():
    one = Vectors(2**30)
    one.keep(question(), kept())
    vectors = Vectors(3 * one.size_bytes + 10)
    for number in range(10):
        vectors.keep(question(number), kept())
        assert vectors.find(question(0)) is not None  # which is asked for all the time
        assert vectors.size_bytes <= 3 * one.size_bytes + 10
    assert [number for number in range(10) if vectors.find(question(number))] == [0, 8, 9]
    vectors.keep(question(0), replace(kept(), state="another"))
    assert vectors.find(question(0)).state == "another"
    assert vectors.size_bytes == 3 * one.size_bytes


def test_a_vector_larger_than_the_memory_is_not_kept_and_leaves_no_older_one():
    vectors = Vectors(2**16)
    vectors.keep(question(), kept())
    assert vectors.find(question()) is not None
    vectors.keep(question(), replace(kept(), latest=replace(kept().latest, names=NAMES * 100)))
    assert vectors.find(question()) is None
    assert vectors.size_bytes == 0


def test_vectors_are_bounded_in_number():
    vectors, same = Vectors(2**40), kept()
    for number in range(COUNT_MAX + 5):
        vectors.keep(question(number), same)
    assert vectors.find(question(4)) is None
    assert vectors.find(question(5)) is not None


def asking(names: tuple[str, ...]) -> pb.FeatureConfig:
    return pb.FeatureConfig(only=names, cross_symbol=pb.FamilyConfig(enabled="cross_correlation_24" in names))


def one(name: str, time: pd.Timestamp, value: float) -> pd.DataFrame:
    return pd.DataFrame({name: [value]}, index=pd.DatetimeIndex([time], name="time"))


def differs(one: float, other: float) -> bool:
    return np.float64(one).tobytes() != np.float64(other).tobytes()
