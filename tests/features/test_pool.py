"""The work divided over local processes: the same bits, and no process, file or piece left behind."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.clients.features import FeaturesClient
from marketml.features.v1 import features_pb2 as pb
from marketml.rpc.refusals import Cancelled, Unavailable
from services.features import engine
from services.features.answer import Part, Progress, Summary, Values
from services.features.application import FeaturesApplication
from services.features.budget import MemoryBudget
from services.features.columns import BLOCK_BARS, Columns
from services.features.config import CATALOGUE_FAMILIES, FamilyChoice, FeatureConfig, Limits, TsfreshChoice
from services.features.feature import Family
from services.features.pieces import Pool, divided
from services.features.plan import plan
from services.features.pool import LocalPool
from services.features.source import SnapshotSource
from tests.features.conftest import SYMBOL, TIMEFRAME, VENUE, Rooms
from tests.features.frames import HOUR, awkward_walk, random_walk
from tests.features.whole import Shelf, generated, planned
from tests.support.servers import RoomProcess
from tests.support.waiting import eventually

MIB = 1024**2
SNAPSHOT = SnapshotSource("a" * 64)
NOTHING = {family.value: FamilyChoice(enabled=False) for family in CATALOGUE_FAMILIES}
ROLLED = FeatureConfig(
    technical=FamilyChoice(),
    **{name: choice for name, choice in NOTHING.items() if name != "technical"},
    tsfresh=TsfreshChoice(True, (24, 100), ("close", "volume", "open_interest"), parallel_jobs=3),
    limits=Limits(max_memory_bytes=16 * MIB),
)
# Minutes of work: what is stopped early cannot have come to its end.
HEAVY = FeatureConfig(
    **NOTHING,
    tsfresh=TsfreshChoice(True, (720, 719, 718, 717), ("close", "volume", "high", "low"), parallel_jobs=2),
)
HEAVY_BARS = 20_000


def nobody() -> None:
    """Nobody wants it to stop."""


def parts_of(pool: Pool, frame: pd.DataFrame, config: FeatureConfig, check=nobody) -> Iterator[Part]:
    shelf = Shelf({SNAPSHOT.snapshot_id: frame})
    room = FeaturesApplication(shelf, MemoryBudget(2**40), time.monotonic, pool=pool)
    return room.generate_features(SNAPSHOT, config, 0, check)


def divided_frame(pool: Pool, frame: pd.DataFrame, config: FeatureConfig, check=nobody) -> pd.DataFrame:
    """All of it, computed by a pool."""
    return pd.concat(
        pd.DataFrame(np.array(part.values).T, part.open_time, list(part.header.names))
        for part in parts_of(pool, frame, config, check)
        if isinstance(part, Values)
    )


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, check_exact=True, check_freq=False)


def processes(pool: LocalPool) -> list[psutil.Process]:
    found = []
    for pid in pool.workers_pids():
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(pid))
    return found


def at_work(pool: LocalPool) -> list[psutil.Process]:
    """The workers that compute right now."""
    return [process for process in processes(pool) if process.status() == psutil.STATUS_RUNNING]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPool]:
    """Two processes, started once."""
    started = LocalPool(tmp_path_factory.mktemp("work"), 2)
    yield started
    started.shutdown()


@pytest.mark.parametrize("jobs", [2, 3, 8])
def test_the_work_divided_gives_the_same_bits(pool: LocalPool, jobs: int):
    frame = awkward_walk(11, 3000).drop(index=pd.date_range("2024-02-01", "2024-02-05", freq="1h", tz="UTC"))
    config = replace(ROLLED, tsfresh=replace(ROLLED.tsfresh, parallel_jobs=jobs))
    assert planned(frame, config).chunk_bars < len(frame)
    same(divided_frame(pool, frame, config), generated(frame, config, chunk_bars=len(frame)))


def test_columns_in_another_order_come_from_the_pieces_too(pool: LocalPool):
    only = ("w100__volume__c3__lag_2", "rsi_14", "w24__close__mean")
    frame = random_walk(3, 900)
    config = replace(ROLLED, only=only)
    found = divided_frame(pool, frame, config)
    assert tuple(found) == only
    same(found, generated(frame, ROLLED)[list(only)])


@given(count=st.integers(1, 3000), jobs=st.integers(1, 8), start_block=st.integers(0, 8))
@settings(max_examples=40)
def test_pieces_cover_every_pass_and_bar_once_and_begin_where_blocks_do(
    count: int, jobs: int, start_block: int
):
    columns = Columns(random_walk(1, count), HOUR)
    work = plan(ROLLED, columns, 0)
    start = int(columns.borders[min(start_block, len(columns.borders) - 2)])
    covered = {rolling: np.zeros(count, dtype=int) for rolling in work.passes}
    for piece in divided(work, columns, start, count, jobs):
        covered[piece.rolling][piece.start : piece.stop] += 1
        assert piece.start in columns.borders
        assert piece.first <= piece.start
    for bars in covered.values():
        assert (bars[:start] == 0).all()
        assert (bars[start:] == 1).all()


def test_time_and_progress_are_told_of_divided_work_too(pool: LocalPool):
    parts = list(parts_of(pool, random_walk(1, 2000), ROLLED))
    fractions = [part.fraction for part in parts if isinstance(part, Progress)]
    assert fractions == sorted(fractions)
    summary = parts[-1]
    assert isinstance(summary, Summary)
    assert summary.seconds[Family.TSFRESH] > 0.0


def test_the_shared_file_is_there_while_it_is_needed_and_a_leftover_is_removed(tmp_path: Path):
    (tmp_path / "dead.bars").write_bytes(b"left")
    pool = LocalPool(tmp_path, 1)
    assert list(tmp_path.iterdir()) == []
    try:
        parts = parts_of(pool, random_walk(1, 3000), ROLLED)
        next(part for part in parts if isinstance(part, Values))
        assert len(list(tmp_path.iterdir())) == 1
        other = LocalPool(tmp_path, 1)  # another process of the same folder would not remove it
        other.shutdown()
        assert len(list(tmp_path.iterdir())) == 1
        assert list(parts)
        assert list(tmp_path.iterdir()) == []
    finally:
        pool.shutdown()


def test_who_stops_listening_stops_the_workers(pool: LocalPool):
    parts = parts_of(pool, random_walk(1, HEAVY_BARS), HEAVY)
    next(part for part in parts if isinstance(part, Progress) and part.fraction >= 0.0)
    steps = iter(parts)
    eventually(lambda: next(steps) and at_work(pool), what="a worker at work")
    parts.close()
    eventually(lambda: not at_work(pool), what="the end of the work")
    frame = random_walk(2, 300)
    same(divided_frame(pool, frame, ROLLED), generated(frame, ROLLED))  # and they work for others


def test_a_cancelled_call_is_refused_while_workers_compute(pool: LocalPool):
    looks = []

    def gone() -> None:
        looks.append(1)
        if len(looks) > 10:
            raise Cancelled("The caller went away.")

    with pytest.raises(Cancelled):
        list(parts_of(pool, random_walk(1, HEAVY_BARS), HEAVY, gone))
    eventually(lambda: not at_work(pool), what="the end of the work")


def test_a_piece_whose_worker_dies_is_done_again(pool: LocalPool):
    frame = random_walk(5, 2000)
    config = replace(HEAVY, tsfresh=TsfreshChoice(True, (720, 719), ("close",), parallel_jobs=2))
    killed, frames = [], []
    for part in parts_of(pool, frame, config):
        if not killed and (victims := at_work(pool)):
            victims[0].kill()
            killed.append(victims[0].pid)
        if isinstance(part, Values):
            frames.append(part.values.copy())
    same(
        pd.DataFrame(np.concatenate(frames, axis=1).T, frame.index, list(planned(frame, config).names)),
        generated(frame, config),
    )


def test_workers_that_die_again_and_again_are_unavailable(tmp_path: Path):
    dying = (sys.executable, "-c", "import sys; sys.stdin.readline()")
    pool = LocalPool(tmp_path, 2, dying)
    try:
        with pytest.raises(Unavailable, match="died") as refused:
            list(parts_of(pool, random_walk(1, 300), ROLLED))
        assert refused.value.retry_after_seconds
        assert list(tmp_path.iterdir()) == []
    finally:
        pool.shutdown()


def test_a_worker_that_cannot_be_started_is_unavailable(tmp_path: Path):
    pool = LocalPool(tmp_path, 1, (str(tmp_path / "absent"),))
    try:
        with pytest.raises(Unavailable, match="could be started"):
            list(parts_of(pool, random_walk(1, 300), ROLLED))
    finally:
        pool.shutdown()


def test_shutdown_ends_the_workers_also_at_work(tmp_path: Path):
    pool = LocalPool(tmp_path, 2)
    parts = parts_of(pool, random_walk(1, HEAVY_BARS), HEAVY)
    eventually(lambda: next(parts) and at_work(pool), what="a worker at work")
    pids = pool.workers_pids()
    pool.shutdown()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(Unavailable):
        list(parts)
    assert list(tmp_path.iterdir()) == []


ROLLED_MESSAGE = pb.FeatureConfig(
    tsfresh=pb.TsfreshConfig(enabled=True, windows=[24, 100], columns=["close", "volume"], parallel_jobs=2)
)


def test_the_room_divides_what_it_is_asked_to_and_takes_its_workers_along(rooms: Rooms, tmp_path: Path):
    with RoomProcess("features", tmp_path, data_target=rooms.data.target) as room:
        alone = pb.FeatureConfig()
        alone.CopyFrom(ROLLED_MESSAGE)
        alone.tsfresh.parallel_jobs = 1
        with FeaturesClient(room.target) as client:
            series = {"venue": VENUE, "symbol": SYMBOL, "timeframe": TIMEFRAME}
            divided_answer = client.generate_features(**series, config=ROLLED_MESSAGE)
            assert room.descendants()
            client.clear_feature_cache()
            single = client.generate_features(**series, config=alone)
            assert not single.summary.cache_hit
            assert single.digest == divided_answer.digest
            same(divided_answer.frame, single.frame)
        room.kill()
        eventually(lambda: not room.descendants(), what="the end of the workers")


def test_the_room_ends_its_workers_when_it_stops(rooms: Rooms, tmp_path: Path):
    with RoomProcess("features", tmp_path, data_target=rooms.data.target) as room:
        with FeaturesClient(room.target) as client:
            client.generate_features(rooms.snapshot_id, config=ROLLED_MESSAGE)
        assert room.descendants()
        assert room.stop() == 0
        assert not room.descendants()


def test_blocks_are_smaller_than_the_chunks_here():
    work = planned(random_walk(1, HEAVY_BARS), HEAVY)
    assert work.chunk_bars >= 4 * BLOCK_BARS
    assert engine.spans(work, Columns(random_walk(1, HEAVY_BARS), HOUR))
