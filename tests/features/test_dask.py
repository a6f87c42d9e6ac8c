"""The work divided over a Dask cluster of processes of its own: the same bits, cancelled work, deaths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import distributed
import pandas as pd
import pytest

from marketml.clients.features import FeaturesClient
from marketml.rpc.refusals import Cancelled, Unavailable
from services.features.config import FeatureConfig, TsfreshChoice
from services.features.dask_pool import DaskPool
from services.features.settings import FeaturesSettings
from services.host import SettingsError, read_settings
from tests.features.conftest import SYMBOL, TIMEFRAME, VENUE, Rooms
from tests.features.frames import awkward_walk, random_walk
from tests.features.test_pool import HEAVY, HEAVY_BARS, ROLLED, ROLLED_MESSAGE, divided_frame, parts_of, same
from tests.features.whole import generated, planned
from tests.support.dask_cluster import DaskCluster, dask_cluster
from tests.support.servers import RoomProcess
from tests.support.waiting import eventually

PATIENCE_SECONDS = 60.0


@contextmanager
def ending(pool: DaskPool) -> Iterator[DaskPool]:
    """Shut it down, whatever happens."""
    try:
        yield pool
    finally:
        pool.shutdown()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler and two workers."""
    with dask_cluster(tmp_path_factory.mktemp("dask")) as started:
        yield started


@pytest.fixture
def pool(cluster: DaskCluster) -> Iterator[DaskPool]:
    with ending(DaskPool(cluster.address, PATIENCE_SECONDS)) as connected:
        yield connected


def executing(cluster: DaskCluster) -> int:
    """Pieces that the cluster's workers compute or keep waiting."""
    with distributed.Client(cluster.address, set_as_default=False) as client:
        return sum(len(tasks) for tasks in client.processing().values())


def test_the_work_on_a_cluster_gives_the_same_bits(pool: DaskPool):
    frame = awkward_walk(11, 3000)
    assert planned(frame, ROLLED).chunk_bars < len(frame)
    same(divided_frame(pool, frame, ROLLED), generated(frame, ROLLED, chunk_bars=len(frame)))


def test_who_stops_listening_stops_the_cluster(cluster: DaskCluster, pool: DaskPool):
    parts = parts_of(pool, random_walk(1, HEAVY_BARS), HEAVY)
    eventually(lambda: next(parts) and executing(cluster), what="a piece at work")
    parts.close()
    eventually(lambda: not executing(cluster), what="the end of the pieces")
    frame = random_walk(2, 300)
    same(divided_frame(pool, frame, ROLLED), generated(frame, ROLLED))  # so its threads are free again


def test_a_scheduler_that_does_not_answer_is_named():
    with (
        ending(DaskPool("tcp://127.0.0.1:9", patience_seconds=0.5)) as pool,
        pytest.raises(Unavailable, match=r"tcp://127\.0\.0\.1:9 does not answer") as refused,
    ):
        list(parts_of(pool, random_walk(1, 300), ROLLED))
    assert refused.value.retry_after_seconds


def test_a_room_told_of_a_cluster_computes_there(rooms: Rooms, cluster: DaskCluster, tmp_path: Path):
    series = {"venue": VENUE, "symbol": SYMBOL, "timeframe": TIMEFRAME}
    told = {"MARKETML_DASK_SCHEDULER": cluster.address}
    with (
        RoomProcess("features", tmp_path, data_target=rooms.data.target, environment=told) as room,
        FeaturesClient(room.target) as client,
    ):
        answer = client.generate_features(**series, config=ROLLED_MESSAGE)
        assert not room.descendants()  # nothing of it here
        client.clear_feature_cache()
        alone = client.generate_features(**series, config=replace_jobs(1))
        assert answer.digest == alone.digest
        pd.testing.assert_frame_equal(answer.frame, alone.frame, check_exact=True)
        assert room.stop() == 0


def replace_jobs(jobs: int):
    message = type(ROLLED_MESSAGE)()
    message.CopyFrom(ROLLED_MESSAGE)
    message.tsfresh.parallel_jobs = jobs
    return message


def test_a_call_whose_worker_or_scheduler_dies_goes_on_and_one_without_a_scheduler_ends(tmp_path: Path):
    frame = random_walk(5, 2000)
    config = replace(HEAVY, tsfresh=TsfreshChoice(True, (720, 719), ("close",), parallel_jobs=2))
    alone = generated(frame, config)
    with (
        dask_cluster(tmp_path) as cluster,
        ending(DaskPool(cluster.address, PATIENCE_SECONDS)) as patient,
        ending(DaskPool(cluster.address, patience_seconds=0.5)) as impatient,
    ):
        for disturb in (lambda: cluster.workers.pop().kill(), cluster.replace_scheduler):
            same(disturbed(patient, frame, config, cluster, disturb), alone)
        looks: list[int] = []

        def gone() -> None:
            if cluster.scheduler.poll() is not None:
                looks.append(1)
                if len(looks) > 20:
                    raise Cancelled("The caller went away.")

        with pytest.raises(Unavailable, match=f"{cluster.address} does not answer") as refused:
            disturbed(impatient, random_walk(1, HEAVY_BARS), HEAVY, cluster, cluster.scheduler.kill)
        assert refused.value.retry_after_seconds
        with pytest.raises(Cancelled):
            list(parts_of(patient, frame, config, gone))


def disturbed(
    pool: DaskPool,
    frame: pd.DataFrame,
    config: FeatureConfig,
    cluster: DaskCluster,
    disturb: Callable[[], object],
) -> pd.DataFrame:
    """What is computed by a cluster that something happens to while pieces are at work."""
    is_disturbed = False

    def check() -> None:
        nonlocal is_disturbed
        if not is_disturbed and executing(cluster):
            is_disturbed = True
            disturb()

    found = divided_frame(pool, frame, config, check)
    assert is_disturbed
    return found


@pytest.mark.parametrize("scheduler", ["localhost", "tcp://", "tcp://host", "http://host:80", "tcp://a b:1"])
def test_a_scheduler_that_cannot_be_one_is_named(scheduler: str):
    with pytest.raises(SettingsError, match="MARKETML_FEATURES_DASK_SCHEDULER"):
        read_settings(FeaturesSettings, "features", {"MARKETML_FEATURES_DASK_SCHEDULER": scheduler})
