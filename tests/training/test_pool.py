"""Runs whose units processes of this machine fit: the same results, and nobody left behind."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from marketml.rpc.refusals import (
    Aborted,
    FailedPrecondition,
    InvalidArgument,
    Reason,
    ResourceExhausted,
)
from services.training.events import (
    Discarded,
    Event,
    FoldFinished,
    Progress,
    RoundFinished,
    Stop,
    TrialFinished,
)
from services.training.learners.forest import ForestParameters
from services.training.learners.lightgbm import LightgbmParameters
from services.training.learners.xgboost import XgboostParameters
from services.training.models.ensembles import Bagging, Stacking
from services.training.pipeline import evaluate_and_fit
from services.training.plan import EarlyStopping, SplitPlan, TrainingPlan
from services.training.results import TrainedResult
from services.training.samples import Samples
from services.training.search import Integer, Searched, SearchPlan
from services.training.search.study import TrialState
from services.training.splits import KFold
from services.training.workshop.alone import Workshop
from services.training.workshop.checkpoints import FolderMemory
from services.training.workshop.pool import MATRIX_SUFFIX, LocalPool
from services.training.workshop.together import Fit, Round, Together
from services.training.workshop.unit_files import write_task
from tests.support.small_disk import small_disk
from tests.support.waiting import eventually
from tests.training.cases import answers, made_samples
from tests.training.test_checkpoints import made_task

LIGHTGBM = TrainingPlan(
    model=LightgbmParameters(rounds=30, num_leaves=5, subsample=0.7),
    split=SplitPlan(method=KFold(3)),
    early_stopping=EarlyStopping(patience_rounds=4),
    interval_draws=100,
)
XGBOOST = replace(LIGHTGBM, model=XgboostParameters(rounds=9, subsample=0.7))
FOREST = replace(LIGHTGBM, model=ForestParameters(trees=7), early_stopping=None)
SMALL = LightgbmParameters(rounds=8, num_leaves=5)
BAGGING = replace(LIGHTGBM, model=Bagging(members=3, models=(SMALL, XgboostParameters(rounds=5))))
STACKING = replace(
    LIGHTGBM,
    model=Stacking(folds=2, base_models=(SMALL, ForestParameters(trees=5))),
    split=SplitPlan(method=KFold(2)),
    early_stopping=None,
)
TRIED = SearchPlan({"num_leaves": Searched(Integer(3, 9))}, trials=4, startup_trials=2)
SEARCH = replace(LIGHTGBM, model=SMALL, search=TRIED)
ENDLESS = replace(
    LIGHTGBM, model=LightgbmParameters(rounds=20_000, learning_rate=0.0001), early_stopping=None
)
SAMPLES = made_samples()
ROWS = made_samples(50, seed=9).features


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pool has its matrices."""
    return tmp_path_factory.mktemp("matrices")


@pytest.fixture(scope="module")
def pool(folder: Path) -> Iterator[LocalPool]:
    """Two fitters that several tests use."""
    opened = LocalPool(folder, 2, 2)
    yield opened
    pids = opened.pids()
    opened.close()
    assert not any(map(psutil.pid_exists, pids))
    assert not list(folder.iterdir())


def run(
    plan: TrainingPlan, workshop: Workshop | None = None, samples: Samples = SAMPLES, **more: Any
) -> TrainedResult:
    given: dict[str, Any] = {"events": lambda _: None} | more
    return evaluate_and_fit(samples, plan, 5, workshop=workshop, **given)


def same(one: TrainedResult, other: TrainedResult) -> bool:
    return (
        answers(one, ROWS).tobytes() == answers(other, ROWS).tobytes()
        and one.model.native_files == other.model.native_files
        and one.fold_table == other.fold_table
        and one.test_intervals == other.test_intervals
        and one.proofs == other.proofs
    )


PLANS = {"lightgbm": LIGHTGBM, "xgboost": XGBOOST, "forest": FOREST, "bagging": BAGGING, "stacking": STACKING}


@pytest.mark.parametrize("plan", [*PLANS.values(), SEARCH], ids=[*PLANS, "search"])
def test_two_processes_learn_what_one_learns(pool: LocalPool, plan: TrainingPlan) -> None:
    events: list[Event] = []
    together = run(plan, Together(pool), events=events.append)
    assert len(pool.pids()) == 2
    assert same(together, run(plan))
    folds = plan.split.method.fold_count
    assert [each.result.number for each in events if isinstance(each, FoldFinished)] == [*range(1, folds + 1)]
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_trials_at_once_come_to_the_same_in_two_processes_and_are_told_in_order(pool: LocalPool) -> None:
    plan = replace(SEARCH, search=replace(TRIED, trials=10, trials_at_once=3))
    events: list[Event] = []
    together, alone = run(plan, Together(pool), events=events.append), run(plan)
    assert together.search == alone.search
    assert same(together, alone)
    assert alone.search is not None
    assert alone.search.count(TrialState.PRUNED)
    told = [event.trial for event in events if isinstance(event, TrialFinished)]
    assert told == list(alone.search.trials)
    assert [trial.number for trial in told] == [*range(1, 11)]
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)


def test_a_fitter_that_died_before_it_had_a_unit_gets_none(tmp_path: Path) -> None:
    with closing(LocalPool(tmp_path, 2, 2, ("sleep", "600"))) as idle:
        idle.begin()
        for pid in (dead := idle.pids()):
            psutil.Process(pid).kill()
        eventually(lambda: idle.fitter().pid not in dead, 10, "another one")
        assert not set(idle.pids()) & set(dead)


def test_a_unit_that_is_dropped_makes_room_and_no_other_ends(pool: LocalPool) -> None:
    endless = replace(made_task(), parameters=ENDLESS.model, stopping=None)
    heard: list[int] = []

    def hears(ticket: int, kind: type[Round] | type[Fit]) -> bool:
        said = work.next(1.0)
        heard.extend([] if said is None else [said.ticket])
        return isinstance(said, kind) and said.ticket == ticket

    with pool.opened() as work:
        for ticket in (1, 2):
            work.submit(ticket, endless)
        eventually(lambda: hears(2, Round), 60, "a round of the second")
        work.drop(1)
        heard.clear()
        work.submit(3, made_task())
        eventually(lambda: hears(3, Fit), 60, "the third, where the first was")
        eventually(lambda: hears(2, Round), 60, "the second, which goes on")
        assert 1 not in heard


def test_what_one_workshop_has_kept_the_other_takes(pool: LocalPool, tmp_path: Path) -> None:
    memory = FolderMemory(tmp_path, pytest.fail)
    first = run(LIGHTGBM, Together(pool, memory))
    again = FolderMemory(tmp_path, pytest.fail)
    assert same(run(LIGHTGBM, Together(pool, again)), first)
    assert again.recalled_count == 4


def test_a_matrix_is_written_once_and_goes_with_its_array(pool: LocalPool, folder: Path) -> None:
    before, found = set(folder.iterdir()), set[Path]()
    samples = made_samples(seed=3)
    run(LIGHTGBM, Together(pool), samples, events=lambda _: found.update(folder.iterdir()))
    [matrix] = found - before
    assert matrix.suffix == MATRIX_SUFFIX
    assert matrix.stat().st_size == samples.features.nbytes
    del samples
    gc.collect()
    assert not matrix.exists()


def test_a_task_travels_without_its_matrix() -> None:
    task = made_task()
    wide = replace(task, matrix=np.tile(task.matrix, 100))
    assert len(write_task(wide)) == len(write_task(task))


def test_a_matrix_that_a_killed_worker_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / f"0123{MATRIX_SUFFIX}").write_bytes(b"left")
    LocalPool(tmp_path, 2, 2).close()
    assert not list(tmp_path.iterdir())


def test_a_disk_that_does_not_hold_the_matrix_ends_the_run_with_the_term() -> None:
    with small_disk(2**20) as disk:
        disk.fill(4096)
        pool = LocalPool(disk.folder, 2, 2)
        with pytest.raises(ResourceExhausted) as refused:
            run(LIGHTGBM, Together(pool))
        pool.close()
        assert refused.value.reason is Reason.DISK_FULL


def test_a_unit_whose_process_is_killed_is_fitted_again_by_a_new_one(pool: LocalPool) -> None:
    killed: list[int] = []

    def kill_one(event: Event) -> None:
        if isinstance(event, RoundFinished) and not killed:
            killed.append(pool.pids()[0])
            os.kill(killed[0], signal.SIGKILL)

    together = run(LIGHTGBM, Together(pool), events=kill_one)
    assert killed
    assert killed[0] not in pool.pids()
    assert same(together, run(LIGHTGBM))


def test_a_unit_that_kills_every_process_ends_the_run_with_its_name(tmp_path: Path) -> None:
    poisoned = (sys.executable, "-c", "import os, sys; sys.stdin.readline(); os.kill(os.getpid(), 9)")
    pool = LocalPool(tmp_path, 1, 1, poisoned)
    with pytest.raises(
        Aborted, match=r"2 processes that fitted fold_1 died; the last one by SIGKILL"
    ) as ended:
        run(LIGHTGBM, Together(pool))
    pool.close()
    assert ended.value.reason is Reason.WORKER_DIED


def test_a_process_that_cannot_be_started_ends_the_run_in_words(tmp_path: Path) -> None:
    pool = LocalPool(tmp_path, 1, 1, (str(tmp_path / "absent"),))
    with pytest.raises(ResourceExhausted, match="No process could be started"):
        run(LIGHTGBM, Together(pool))
    pool.close()


def _one_class(samples: Samples) -> Samples:
    """The second half of the training rows is of one class, so that a fold has no other."""
    classes = samples.classes.copy()
    classes[160:480] = 0
    return replace(samples, classes=classes)


def _beyond_float32(samples: Samples) -> Samples:
    features = samples.features.copy()
    features[300, 1] = 1e300
    return replace(samples, features=features)


@pytest.mark.parametrize(
    ("spoil", "kind"), [(_one_class, FailedPrecondition), (_beyond_float32, InvalidArgument)]
)
def test_a_unit_that_cannot_be_fitted_is_refused_in_the_same_words(
    pool: LocalPool, spoil: Callable[[Samples], Samples], kind: type[Exception]
) -> None:
    samples, plan = spoil(SAMPLES), replace(XGBOOST, split=SplitPlan(method=KFold(2)), early_stopping=None)
    said = []
    for workshop in (None, Together(pool)):
        with pytest.raises(kind) as refused:
            run(plan, workshop, samples)
        said.append((str(refused.value), refused.value.reason))  # type: ignore[attr-defined]
    assert said[0] == said[1]


def test_a_bug_in_a_process_is_told_as_one(pool: LocalPool) -> None:
    """A task that no checked plan makes."""
    with pool.opened() as work:
        work.submit(1, replace(made_task(), predicted=np.array([10_000])))

        with pytest.raises(RuntimeError, match="A bug ended a unit elsewhere"):
            eventually(lambda: isinstance(work.next(1.0), Fit), 60, "the answer")


def test_a_run_told_to_discard_leaves_processes_that_fit_the_next_one(pool: LocalPool) -> None:
    begun: list[Event] = []

    def should_stop() -> Stop | None:
        return Stop.DISCARD if begun else None

    def listen(event: Event) -> None:
        if isinstance(event, RoundFinished):
            begun.append(event)

    with pytest.raises(Discarded):
        run(ENDLESS, Together(pool), events=listen, should_stop=should_stop)
    pids = pool.pids()
    assert same(run(LIGHTGBM, Together(pool)), run(LIGHTGBM))
    assert pool.pids() == pids


def test_a_run_told_to_keep_its_best_ends_every_unit_and_remembers_none_of_them(
    pool: LocalPool, tmp_path: Path
) -> None:
    begun: list[Event] = []

    def should_stop() -> Stop | None:
        return Stop.KEEP_BEST if begun else None

    def listen(event: Event) -> None:
        if isinstance(event, RoundFinished) and event.fold is not None:
            begun.append(event)

    memory = FolderMemory(tmp_path, pytest.fail)
    result = run(ENDLESS, Together(pool, memory), events=listen, should_stop=should_stop)
    assert result.stopped
    assert not result.folds
    assert 1 <= result.learned.rounds < 20_000
    assert [path.suffix for path in tmp_path.iterdir()] == [".outcome"]  # of the final model, capped
