"""Features come chunk by chunk: the same bits whatever the chunks, in bounded memory, as they are done."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.clients.feature_stream import FeatureStream
from marketml.features.v1 import features_pb2 as pb
from marketml.rpc.refusals import Cancelled, DataLoss, FailedPrecondition, Reason, ResourceExhausted
from services.features import engine
from services.features.answer import Header, Part, Progress, Summary, Values
from services.features.application import FeaturesApplication
from services.features.budget import MemoryBudget
from services.features.columns import BLOCK_BARS, Columns
from services.features.config import CATALOGUE_FAMILIES, FamilyChoice, FeatureConfig, Limits, TsfreshChoice
from services.features.feature import Family
from services.features.plan import FIXED_BYTES, plan
from services.features.source import SnapshotSource
from services.features.wire_answer import COLUMNS_MAX, write_parts
from tests.features.frames import HOUR, START, awkward_walk, random_walk
from tests.features.real_frames import real_frame
from tests.features.whole import EVERYTHING, KEY, Shelf, generated, planned

MIB = 1024**2
SNAPSHOT = SnapshotSource("a" * 64)
NOTHING = {family.value: FamilyChoice(enabled=False) for family in CATALOGUE_FAMILIES}
ROLLED = FeatureConfig(**NOTHING, tsfresh=TsfreshChoice(True, (24, 100), ("close", "open_interest")))


def nobody() -> None:
    """Nobody wants it to stop."""


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def with_gaps(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The frame without some single bars, and without a stretch longer than a block."""
    generator = np.random.default_rng(seed)
    kept = generator.random(len(frame)) > 0.02
    start = int(generator.integers(0, len(frame)))
    kept[start : start + BLOCK_BARS + 50] = False
    return frame[kept]


@given(seed=st.integers(0, 2**16), chunk_bars=st.integers(1, 1600), has_gaps=st.booleans())
@settings(max_examples=8)
def test_any_chunks_give_the_same_bits(seed: int, chunk_bars: int, has_gaps: bool):
    frame = awkward_walk(seed, 1500)
    if has_gaps:
        frame = with_gaps(frame, seed)
    whole = generated(frame, EVERYTHING, chunk_bars=len(frame))
    same(generated(frame, EVERYTHING, chunk_bars=chunk_bars), whole)


def test_real_bars_have_the_same_bits_in_chunks():
    frame = real_frame("2023-10-15", "2024-02-15")
    same(generated(frame, EVERYTHING, chunk_bars=700), generated(frame, EVERYTHING, chunk_bars=len(frame)))


@given(first=st.integers(0, 1299), chunk_bars=st.integers(1, 1300))
@settings(max_examples=8)
def test_rows_from_anywhere_on_have_the_bits_of_the_whole(first: int, chunk_bars: int):
    frame = awkward_walk(7, 1300)
    columns = Columns(frame, HOUR)
    work = plan(ROLLED, columns, 0)
    object.__setattr__(work, "chunk_bars", chunk_bars)
    found = [
        (step.start, np.array(step.values))
        for step in engine.compute(work, columns, lambda: 0.0, first)
        if isinstance(step, engine.Chunk)
    ]
    assert found[0][0] == first
    newest = np.concatenate([values for _, values in found], axis=1)
    expected = generated(frame, ROLLED, chunk_bars=1300).to_numpy().T[:, first:]
    np.testing.assert_array_equal(newest, expected)


@given(count=st.integers(1, 3000), chunk_bars=st.integers(1, 4000), first=st.integers(0, 2999))
def test_chunks_cover_the_bars_once_in_order_and_begin_where_blocks_do(
    count: int, chunk_bars: int, first: int
):
    frame = random_walk(1, count)[["close"]]
    columns = Columns(frame, HOUR)
    work = plan(FeatureConfig(**NOTHING | {"calendar": FamilyChoice(features=("month",))}), columns, 0)
    object.__setattr__(work, "chunk_bars", chunk_bars)
    first = min(first, count - 1)
    chunks = engine.spans(work, columns, first)
    assert chunks[0][0] <= first < chunks[0][1]
    assert chunks[-1][1] == count
    for (_, stop), (start, _) in pairwise(chunks):
        assert stop == start
    for start, stop in chunks:
        assert (
            start == 0
            or columns.bar_numbers[start] // BLOCK_BARS > columns.bar_numbers[start - 1] // BLOCK_BARS
        )
        assert stop - start <= max(chunk_bars, BLOCK_BARS)


def test_only_the_columns_asked_for_are_computed_in_the_order_asked():
    wanted = ("w24__close__mean", "rsi_14", "w100__volume__c3__lag_2", "close_lag_6", "w24__close__median")
    config = FeatureConfig(tsfresh=EVERYTHING.tsfresh, only=wanted)
    frame = random_walk(3, 700)
    found = generated(frame, config)
    assert tuple(found) == wanted
    same(found, generated(frame, EVERYTHING)[list(wanted)])
    work = planned(frame, config)
    assert {feature.name for feature in work.features} == {"rsi_14", "close_lag_6"}
    assert {(each.window, each.column) for each in work.passes} == {(24, "close"), (100, "volume")}
    assert work.omitted == ()


@pytest.mark.parametrize("name", ["open_interest_change_1", "w24__open_interest__mean"])
def test_a_column_asked_for_alone_is_not_left_out_silently(name: str):
    config = FeatureConfig(
        tsfresh=TsfreshChoice(True, (24,), ("close", "open_interest")), only=("rsi_14", name)
    )
    with pytest.raises(FailedPrecondition, match=f"{name} needs open_interest") as refused:
        planned(random_walk(3, 100).assign(open_interest=np.nan), config)
    assert refused.value.reason is Reason.TOO_LITTLE_DATA


def test_less_memory_means_smaller_chunks_and_the_same_bits():
    frame = random_walk(5, 5000)
    wide = planned(frame, EVERYTHING)
    limits = Limits(max_memory_bytes=(wide.memory_bytes + FIXED_BYTES) // 2)
    narrow = planned(frame, FeatureConfig(tsfresh=EVERYTHING.tsfresh, limits=limits))
    assert narrow.memory_bytes <= limits.max_memory_bytes < wide.memory_bytes
    assert narrow.chunk_bars < wide.chunk_bars
    assert narrow.chunk_bars % BLOCK_BARS == 0


def test_memory_that_does_not_hold_the_smallest_chunk_is_refused():
    config = FeatureConfig(tsfresh=EVERYTHING.tsfresh, limits=Limits(max_memory_bytes=FIXED_BYTES))
    with pytest.raises(ResourceExhausted) as refused:
        planned(random_walk(1, 5000), config)
    assert refused.value.subject == "config.limits.max_memory_bytes"


def test_memory_does_not_grow_with_the_bars_times_the_features():
    small, large = planned(random_walk(1, 20_000), EVERYTHING), planned(random_walk(1, 40_000), EVERYTHING)
    result_bytes = 20_000 * len(small.names) * 8  # by which the result grows
    assert large.memory_bytes - small.memory_bytes < result_bytes / 20


def test_small_chunks_take_no_more_memory_than_was_forecast():
    limits = Limits(max_memory_bytes=24 * MIB)
    config = FeatureConfig(tsfresh=EVERYTHING.tsfresh, limits=limits)
    columns = Columns(random_walk(1, 20_000), HOUR)
    gc.collect()
    tracemalloc.start()
    try:
        work = plan(config, columns, 0)
        for _ in engine.compute(work, columns, lambda: 0.0):
            pass
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert work.chunk_bars < 20_000
    assert peak_bytes < work.memory_bytes <= limits.max_memory_bytes


def application(frame: pd.DataFrame, total_bytes: int = 2**40) -> FeaturesApplication:
    shelf = Shelf({SNAPSHOT.snapshot_id: frame})
    return FeaturesApplication(shelf, MemoryBudget(total_bytes), lambda: 0.0)


def test_the_first_rows_come_before_the_last_are_computed():
    frame = random_walk(1, 8000)
    config = FeatureConfig(tsfresh=EVERYTHING.tsfresh, limits=Limits(max_memory_bytes=24 * MIB))
    looks = 0

    def count() -> None:
        nonlocal looks
        looks += 1

    at, rows = [], 0
    for part in application(frame).generate_features(SNAPSHOT, config, 0, count):
        if isinstance(part, Values):
            at.append(looks)
            rows += len(part.values[0])
    assert rows == 8000
    assert len(at) > 4
    assert at[0] < looks / 3


def test_a_caller_who_leaves_between_chunks_stops_the_work_and_gives_the_memory_back():
    frame = random_walk(1, 8000)
    config = FeatureConfig(tsfresh=EVERYTHING.tsfresh, limits=Limits(max_memory_bytes=24 * MIB))
    came = []

    def gone() -> None:
        if came:
            raise Cancelled("The caller went away.")

    room = application(frame, total_bytes=24 * MIB)
    parts = room.generate_features(SNAPSHOT, config, 0, gone)
    came.append(next(part for part in parts if isinstance(part, Values)))
    with pytest.raises(Cancelled):
        next(parts)
    assert isinstance(next(room.generate_features(SNAPSHOT, config, 0, nobody)), Header)


def test_a_loan_grows_and_shrinks_and_never_past_the_budget():
    budget = MemoryBudget(100)
    with budget.reserved(60) as loan, budget.reserved(30) as other:
        with pytest.raises(ResourceExhausted, match="other calls hold 30") as refused:
            loan.resize(80)
        assert refused.value.reason is Reason.OVERLOADED
        loan.resize(10)
        other.resize(90)
        with pytest.raises(ResourceExhausted, match="lends 100"):
            loan.resize(101)
    with budget.reserved(100):
        pass


WIDE = Header(
    digest="d" * 64,
    config_digest="c" * 64,
    names=tuple(f"feature_{number}" for number in range(2 * COLUMNS_MAX + 203)),
    warm_up_bars=0,
    row_count=900,
    config=FeatureConfig(),
    omitted=(),
    key=KEY,
)


def wide_parts(values: np.ndarray) -> Iterator[Part]:
    times = pd.date_range(START, periods=900, freq="1h", name="open_time").as_unit("us")
    yield WIDE
    yield Progress(0.0, "computing")
    yield Values(WIDE, times[:500], list(values[:, :500]))
    yield Progress(0.5, "computing")
    yield Values(WIDE, times[500:], list(values[:, 500:]))
    yield Summary(900, len(WIDE.names), {Family.TSFRESH: 1.0})


def wide_messages(values: np.ndarray) -> list[bytes]:
    return [
        message if isinstance(message, bytes) else message.SerializeToString()
        for message in write_parts(wide_parts(values))
    ]


def test_a_frame_of_many_columns_comes_in_groups_of_them_and_is_whole_again():
    values = np.random.default_rng(1).normal(size=(len(WIDE.names), 900))
    told = []
    stream = FeatureStream(iter(wide_messages(values)), lambda fraction, _: told.append(fraction))
    assert stream.header.row_count == 900
    frames = [frame.copy() for frame in stream]
    assert [len(frame) for frame in frames] == [500, 400]
    whole = pd.concat(frames)
    assert tuple(whole) == WIDE.names
    np.testing.assert_array_equal(whole.to_numpy().T, values)
    assert whole.index.is_monotonic_increasing
    assert stream.summary is not None
    assert told == [0.0, 0.5]


def test_a_lost_piece_of_a_wide_frame_is_noticed():
    messages = wide_messages(np.zeros((len(WIDE.names), 900)))
    frames = [
        at
        for at, message in enumerate(messages)
        if pb.GenerateFeaturesResponse.FromString(message).WhichOneof("part") == "frame"
    ]
    for lost in (frames[0], frames[len(frames) // 2], frames[-1], len(messages) - 1):
        with pytest.raises(DataLoss):
            list(FeatureStream(iter([*messages[:lost], *messages[lost + 1 :]])))
