"""Runs whose units a Dask cluster of processes of its own fits: the same results, cancelled units, deaths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import distributed
import pytest

from marketml.clients.training import TrainingClient
from marketml.rpc.refusals import Aborted, Reason, Unavailable
from marketml.training.v1 import training_pb2 as pb
from services.training.events import Discarded, Event, FoldFinished, RoundFinished, Stop
from services.training.plan import SplitPlan
from services.training.splits import KFold
from services.training.workshop.checkpoints import FolderMemory
from services.training.workshop.dask_pool import DaskPool
from services.training.workshop.together import Together
from tests.support.dask_cluster import DaskCluster, dask_cluster
from tests.support.servers import RoomProcess
from tests.support.waiting import eventually
from tests.training.conftest import WAIT_SECONDS, quick_config
from tests.training.test_checkpoints import made_task
from tests.training.test_pool import ENDLESS, FOREST, LIGHTGBM, SAMPLES, XGBOOST, _beyond_float32, run, same


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with dask_cluster(tmp_path_factory.mktemp("dask")) as started:
        yield started


@pytest.fixture
def pool(cluster: DaskCluster) -> Iterator[DaskPool]:
    with closing(DaskPool(cluster.address)) as connected:
        yield connected


def executing(cluster: DaskCluster) -> int:
    """Units that the cluster's workers fit, wanted or not."""
    with distributed.Client(cluster.address, set_as_default=False) as client:
        return sum(client.run(lambda dask_worker: dask_worker.state.executing_count).values())


def test_a_cluster_learns_what_one_process_learns_and_gets_each_matrix_once(
    pool: DaskPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scattered: list[int] = []
    scatter = distributed.Client.scatter

    def counted(client: distributed.Client, data: object, **more: object) -> object:
        scattered.append(data.nbytes)  # type: ignore[attr-defined]
        return scatter(client, data, **more)

    monkeypatch.setattr(distributed.Client, "scatter", counted)
    events: list[Event] = []
    memory = FolderMemory(tmp_path, pytest.fail)
    together = run(LIGHTGBM, Together(pool, memory), events=events.append)
    assert same(together, run(LIGHTGBM))
    assert scattered == [SAMPLES.features.nbytes]
    assert [event.result.number for event in events if isinstance(event, FoldFinished)] == [1, 2, 3]
    assert any(isinstance(event, RoundFinished) for event in events)
    assert len(list(tmp_path.iterdir())) == 4
    for plan in (XGBOOST, FOREST):
        assert same(run(plan, Together(pool)), run(plan))


def test_a_unit_that_cannot_be_fitted_is_refused_in_the_same_words(pool: DaskPool) -> None:
    # Of two folds one learns from the value; of more it would depend on them who is the first to tell.
    plan = replace(XGBOOST, split=SplitPlan(method=KFold(2)), early_stopping=None)
    said = []
    for workshop in (None, Together(pool)):
        with pytest.raises(Exception, match="must be NaN") as refused:
            run(plan, workshop, _beyond_float32(SAMPLES))
        said.append((type(refused.value), str(refused.value)))
    assert said[0] == said[1]


def test_a_run_told_to_discard_leaves_nothing_on_the_cluster(cluster: DaskCluster, pool: DaskPool) -> None:
    begun: list[Event] = []

    def listen(event: Event) -> None:
        if isinstance(event, RoundFinished):
            begun.append(event)

    with pytest.raises(Discarded):
        run(ENDLESS, Together(pool), events=listen, should_stop=lambda: Stop.DISCARD if begun else None)
    eventually(lambda: not executing(cluster), 20, "an idle cluster")
    assert same(run(LIGHTGBM, Together(pool)), run(LIGHTGBM))


def test_a_unit_whose_run_is_gone_without_a_word_ends(cluster: DaskCluster, pool: DaskPool) -> None:
    """As when the kernel kills the worker of a job."""
    task = replace(made_task(), parameters=ENDLESS.model, stopping=None)
    with pool.opened() as work:
        work.submit(1, task)
        eventually(lambda: work.next(1.0), 60, "a round")
        assert executing(cluster)
        pool.close()
        eventually(lambda: not executing(cluster), 20, "an idle cluster")


def test_a_unit_that_is_dropped_ends_and_no_other(cluster: DaskCluster, pool: DaskPool) -> None:
    task = replace(made_task(), parameters=ENDLESS.model, stopping=None)
    with pool.opened() as work:
        for ticket in (1, 2):
            work.submit(ticket, replace(task, key=f"fold_{ticket}"))
        eventually(lambda: work.next(1.0) and executing(cluster) == 2, 60, "both")
        work.drop(1)
        eventually(lambda: executing(cluster) == 1, 20, "one that ends")
        said = eventually(lambda: work.next(1.0), 60, "a round")
        assert said.ticket == 2


def test_a_run_told_to_keep_its_best_ends_every_unit(pool: DaskPool) -> None:
    begun: list[Event] = []

    def listen(event: Event) -> None:
        if isinstance(event, RoundFinished) and event.fold is not None:
            begun.append(event)

    result = run(
        ENDLESS, Together(pool), events=listen, should_stop=lambda: Stop.KEEP_BEST if begun else None
    )
    assert result.stopped
    assert 1 <= result.learned.rounds < 20_000


def test_a_unit_whose_worker_or_scheduler_dies_is_fitted_by_others_and_one_without_a_scheduler_is_not(
    tmp_path: Path,
) -> None:
    plan = replace(LIGHTGBM, model=replace(LIGHTGBM.model, rounds=200), early_stopping=None)
    with (
        dask_cluster(tmp_path) as cluster,
        closing(DaskPool(cluster.address, patience_seconds=1)) as pool,
        closing(DaskPool(cluster.address, patience_seconds=60)) as patient,
    ):
        killed: list[int] = []
        heard: list[Event] = []

        def replace_one(event: Event) -> None:
            if isinstance(event, RoundFinished) and not killed:
                killed.append(1)
                cluster.replace_worker(0)

        def replace_scheduler(event: Event) -> None:
            if isinstance(event, RoundFinished):
                heard.append(event)
                if len(killed) == 1:
                    killed.append(2)
                    cluster.replace_scheduler()
                    heard.clear()

        def kill_scheduler(event: Event) -> None:
            if isinstance(event, RoundFinished):
                cluster.scheduler.kill()

        undisturbed = run(plan)
        assert same(run(plan, Together(pool), events=replace_one), undisturbed)
        assert same(run(plan, Together(patient), events=replace_scheduler), undisturbed)
        assert killed == [1, 2]
        assert heard
        with pytest.raises(Unavailable, match="does not answer"):
            run(ENDLESS, Together(pool), events=kill_scheduler)


POISON = """
import os
from services.training.workshop import fit_answers

fit_answers.fit_unit = lambda *_: os.kill(os.getpid(), 9)
"""


def test_a_unit_that_kills_its_workers_ends_the_run_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = tmp_path / "poison.py"
    poison.write_text(POISON)
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__PRELOAD", str(poison))
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    with dask_cluster(tmp_path, 1) as cluster, closing(DaskPool(cluster.address)) as pool:
        with pytest.raises(
            Aborted, match=r"Too many workers of the cluster died that fitted fold_1"
        ) as ended:
            run(LIGHTGBM, Together(pool))
        assert ended.value.reason is Reason.WORKER_DIED


def test_a_scheduler_that_is_not_there_is_named() -> None:
    with (
        closing(DaskPool("tcp://127.0.0.1:9", patience_seconds=0.5)) as pool,
        pytest.raises(Unavailable, match=r"tcp://127\.0\.0\.1:9 does not answer"),
    ):
        run(LIGHTGBM, Together(pool))


def test_a_job_on_a_cluster_ends_with_the_model_of_one_process(
    start_training_room: Callable[..., RoomProcess], cluster: DaskCluster, calm_job: pb.Job
) -> None:
    room = start_training_room(environment={"MARKETML_DASK_SCHEDULER": cluster.address})
    with TrainingClient(room.target) as client:
        job = client.start_training("clustered", quick_config()).result(WAIT_SECONDS)
    assert job.result.model_digest == calm_job.result.model_digest
    assert job.result.fold_table == calm_job.result.fold_table
