"""What a second process is worth to a training run, and what a job costs beside its fits.

    python benchmarks/scale_out.py [--rows 30000] [--features 60] [--rounds 250] [--folds 4] [--trials 4]
                                   [--bars 20000]

One thread a process throughout. The folds of a run, and the trials of a search, are fitted by one process and
by two: of this machine, and of a Dask cluster on it; seconds from the first fold or trial to the last, and
whether the models are equal. Processes and clusters are there before it is measured. The final fit is left
out, for it is one unit. A trial depends on those before it: only its folds are fitted at once.

Then one job as it comes, with process start, events, checkpoints and a watcher, against the bare fits of the
same rows in this process: seconds of both, without the features, and the overhead.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

import numpy as np
import pandas as pd

from marketml.clients.data import DataClient
from marketml.clients.training import TrainingClient
from marketml.timeframes import TIMEFRAMES
from marketml.training.v1 import training_pb2 as pb
from services.training import learners
from services.training.events import Event, Stage, StageStarted
from services.training.job_plan import read_plan
from services.training.labels import label
from services.training.learners.fitting import FitRequest, Table
from services.training.learners.lightgbm import LightgbmParameters
from services.training.neighbours import Endpoints, Neighbours
from services.training.pipeline import evaluate_and_fit
from services.training.plan import SplitPlan, TrainingPlan
from services.training.samples import Samples, join_samples
from services.training.search import Integer, Searched, SearchPlan
from services.training.splits import KFold
from services.training.wire_trees import read_tree
from services.training.workshop.alone import Alone, Watch, Workshop
from services.training.workshop.dask_pool import DaskPool
from services.training.workshop.pool import LocalPool
from services.training.workshop.together import Pool, Together
from services.training.workshop.units import FitOutcome, FitTask
from tests.support.dask_cluster import dask_cluster
from tests.support.servers import Rooms, four_rooms
from tests.training.cases import made_samples, native_file

WARM = 3_000  # rows of a run that has every process import what it needs
SERIES = ("binance", "BTC/USDT:USDT", "1h")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--features", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=250)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--bars", type=int, default=20_000, help="of the job, 0 for none")
    given = parser.parse_args()
    print(f"load of the machine: {os.getloadavg()[0]:.1f}, cores: {os.cpu_count()}")
    samples = made_samples(given.rows, given.features)
    folds = TrainingPlan(
        model=LightgbmParameters(rounds=given.rounds),
        split=SplitPlan(method=KFold(given.folds)),
        interval_draws=100,
    )
    tried = SearchPlan({"num_leaves": Searched(Integer(24, 40))}, trials=given.trials, pruning=False)
    search = replace(folds, search=tried)
    for title, plan, stages in (
        (f"{given.folds} folds", folds, (Stage.CROSS_VALIDATION, Stage.FINAL_FIT)),
        (f"{given.trials} trials of {given.folds} folds", search, (Stage.SEARCH, Stage.CROSS_VALIDATION)),
    ):
        alone, model = measure(samples, plan, Alone(), stages)
        print(f"{title}: in the process itself {alone:.1f} s")
        for where in (processes, cluster):
            seconds = {}
            for count in (1, 2):
                with where(count) as pool:
                    measure(
                        made_samples(WARM, 4),
                        replace(folds, model=LightgbmParameters(rounds=5)),
                        Together(pool),
                    )
                    seconds[count], other = measure(samples, plan, Together(pool), stages)
                assert other == model, "another model"
            ratio = seconds[1] / seconds[2]
            print(f"{title}: {where.__name__} {seconds[1]:.1f} s, two {seconds[2]:.1f} s: {ratio:.2f} x")
    if given.bars:
        measure_job(given.bars)
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")


def measure(
    samples: Samples,
    plan: TrainingPlan,
    workshop: Workshop,
    stages: tuple[Stage, Stage] = (Stage.CROSS_VALIDATION, Stage.FINAL_TEST),
) -> tuple[float, bytes]:
    """Seconds from the first of the stages to the second, and the model."""
    begun: dict[Stage, float] = {}

    def listen(event: Event) -> None:
        if isinstance(event, StageStarted):
            begun[event.stage] = time.perf_counter()

    result = evaluate_and_fit(samples, plan, 1, events=listen, workshop=workshop)
    return begun[stages[1]] - begun[stages[0]], native_file(result)


@contextmanager
def processes(count: int) -> Iterator[Pool]:
    """Fitters of this machine."""
    with tempfile.TemporaryDirectory() as folder, closing(LocalPool(Path(folder), count, count)) as pool:
        yield pool


@contextmanager
def cluster(count: int) -> Iterator[Pool]:
    """A Dask cluster on this machine."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        started = opened.enter_context(dask_cluster(folder, count))
        yield opened.enter_context(closing(DaskPool(started.address)))


def measure_job(bars: int) -> None:
    """A job beside the bare fits of its units."""
    with tempfile.TemporaryDirectory() as folder, four_rooms(Path(folder)) as rooms:
        with DataClient(rooms.data.target) as client:
            client.ingest_candles(candles(bars), *SERIES)
        with TrainingClient(rooms.training.target) as client:
            handle = client.start_training("measured", job_config())
            events = list(handle.watch())
            job = handle.result()
        times = {
            event.stage_started.stage: event.time.ToDatetime()
            for event in events
            if event.HasField("stage_started")
        }
        running = next(event for event in events if event.state_changed.state == pb.JOB_STATE_RUNNING)
        begun = (times[pb.JOB_STAGE_SNAPSHOT] - running.time.ToDatetime()).total_seconds()
        took = (events[-1].time.ToDatetime() - times[pb.JOB_STAGE_CROSS_VALIDATION]).total_seconds()
        bare = bare_fits(rooms, job)
    overhead = (begun + took - bare) / bare
    print(
        f"a job of {bars:,} bars: process start {begun:.2f} s, folds to registered {took:.1f} s; its fits "
        f"alone {bare:.1f} s: {100 * overhead:.1f} % more"
    )


def bare_fits(rooms: Rooms, job: pb.Job) -> float:
    """Seconds of the fits and predictions of a job, in this process, with nobody who listens."""
    config, _ = read_tree(job.config, "config")
    plan, timeframe = read_plan(config), TIMEFRAMES[SERIES[2]]
    with closing(
        Neighbours(Endpoints(rooms.data.target, rooms.features.target, rooms.registry.target, None))
    ) as asked:
        features = asked.generate_features(job.snapshot_id, config["features"], lambda *_: None)
        prices = asked.read_prices(job.snapshot_id)
    labels = label(prices, timeframe, plan.label, binary=plan.is_binary, events=plan.label_events)
    samples = join_samples(features.frame.iloc[features.warm_up_bars :], timeframe, labels)
    bare = Bare()
    evaluate_and_fit(samples, plan.training, plan.seed, events=lambda _: None, workshop=bare)
    return bare.seconds


class Bare(Alone):
    """Fits as usual, and times how long the fits take that go without it all."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def _fit(self, task: FitTask, watch: Watch) -> FitOutcome:
        begun = time.perf_counter()
        train = Table(task.matrix[task.train.rows], task.train.classes, task.train.weights)
        fitted = learners.fit(
            task.parameters,
            FitRequest(train, None, task.class_count, task.seed, 1, lambda *_: None, lambda: False),
        )
        learners.predict_probabilities(fitted, task.matrix[task.predicted])
        self.seconds += time.perf_counter() - begun
        return super()._fit(task, watch)


def job_config() -> pb.TrainingConfig:
    """About a minute of fits."""
    config = pb.TrainingConfig(seed=7)
    config.dataset.series.series.venue, config.dataset.series.series.symbol = SERIES[:2]
    config.dataset.series.series.timeframe = SERIES[2]
    config.label.fixed_horizon.horizon_bars = 4
    config.split.folds = 4
    config.model.lightgbm.rounds = 250
    config.early_stopping.enabled = False
    return config


def candles(count: int) -> pd.DataFrame:
    """A random walk by the hour."""
    random = np.random.default_rng(3)
    close = 30_000.0 * np.exp(np.cumsum(random.normal(0.0, 0.008, count)))
    opened = np.concatenate(([30_000.0], close[:-1]))
    spread = np.abs(random.normal(0.0, 0.003, (2, count)))
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * (1 + spread[0]),
            "low": np.minimum(opened, close) * (1 - spread[1]),
            "close": close,
            "volume": random.uniform(10.0, 1000.0, count),
        },
        index=pd.date_range("2020-01-01", periods=count, freq="h", tz="UTC", name="open_time"),
    )


if __name__ == "__main__":
    main()
