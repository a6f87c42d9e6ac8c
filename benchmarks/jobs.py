"""How soon a job ends that is told to, what a job costs beside its fits, and what a kill costs.

    python benchmarks/jobs.py [--stops 60] [--bars 20000] [--rounds 250] [--kills 6] [--seed 1]
                              [--parts stops overhead kills]

Stops: StopTraining (discard) at random moments, from the start of the attempt on, of jobs without an end: of
LightGBM, XGBoost, a forest of deep trees, in this worker and on a Dask cluster of two workers, and while the
features room rolls tsfresh's windows. Seconds from the call until the watcher has the last event.

Overhead: one job as it comes, with process start, events, checkpoints and a watcher, against the bare fits of
the same rows in this process, by the clock and by CPU: without the features and labels, which are no part of
what is compared. Then where it goes: the time between the events of the job.

Kills: jobs whose workers (and the fitters with them) are killed at random moments, of one process and of two.
Units that were under way, and are fitted again, and such that were whole and are fitted again all the same.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

import numpy as np
import pandas as pd
import psutil

from marketml.clients.data import DataClient
from marketml.clients.training import JobHandle, TrainingClient
from marketml.timeframes import TIMEFRAMES
from marketml.training.v1 import training_pb2 as pb
from services.training import learners
from services.training.job_plan import read_plan
from services.training.labels import label
from services.training.learners.fitting import FitRequest, Table
from services.training.neighbours import Endpoints, Neighbours
from services.training.pipeline import evaluate_and_fit
from services.training.samples import join_samples
from services.training.wire_trees import read_tree
from services.training.workshop.alone import Alone, Watch
from services.training.workshop.units import FitOutcome, FitTask
from tests.support.bars import hourly_bars
from tests.support.dask_cluster import dask_cluster
from tests.support.servers import RoomProcess, Rooms, four_rooms

SERIES = ("binance", "BTC/USDT:USDT", "1h")
LONGEST_WAIT_SECONDS = 12.0  # before a stop
PARTS = ("stops", "overhead", "kills")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stops", type=int, default=60)
    parser.add_argument("--bars", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=250, help="of the job whose overhead is measured")
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    given = parser.parse_args()
    print(f"load of the machine: {os.getloadavg()[0]:.1f}, cores: {os.cpu_count()}", flush=True)
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder, four_rooms(Path(folder)) as rooms:
        with DataClient(rooms.data.target) as client:
            client.ingest_candles(candles(given.bars), *SERIES)
        if "stops" in given.parts:
            measure_stops(Path(folder), rooms, given.stops, chance)
        if "overhead" in given.parts:
            measure_overhead(rooms, given.rounds)
        if "kills" in given.parts:
            for processes_count in (1, 2):
                measure_kills(Path(folder), rooms, processes_count, given.kills, chance)
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")


def job_config() -> pb.TrainingConfig:
    """Four folds of hourly bars."""
    config = pb.TrainingConfig(seed=7)
    config.dataset.series.series.venue, config.dataset.series.series.symbol = SERIES[:2]
    config.dataset.series.series.timeframe = SERIES[2]
    config.label.fixed_horizon.horizon_bars = 4
    config.split.folds = 4
    config.early_stopping.enabled = False
    return config


def endless(kind: str) -> pb.TrainingConfig:
    """A job that only a stop ends within the hour."""
    config = job_config()
    match kind:
        case "lightgbm" | "dask":
            config.model.lightgbm.rounds = 10_000
        case "xgboost":
            config.model.xgboost.rounds = 10_000
        case "forest":
            config.model.random_forest.trees = 2_000
            config.model.random_forest.max_depth = 24
            config.early_stopping.ClearField("enabled")
        case "features":
            config.model.lightgbm.rounds = 10_000
            config.features.tsfresh.enabled = True
            config.features.tsfresh.windows.extend((24, 168, 720))
            config.features.tsfresh.columns.extend(("close", "volume", "high", "low"))
            config.features.tsfresh.preset = "comprehensive"
            config.features.limits.max_features = 10_000
    return config


def measure_stops(folder: Path, rooms: Rooms, count: int, chance: random.Random) -> None:
    """Stop jobs of each kind in turn."""
    taken: dict[str, list[float]] = defaultdict(list)
    found_in: dict[str, int] = defaultdict(int)
    with ExitStack() as opened:
        (folder / "dask").mkdir()
        cluster = opened.enter_context(dask_cluster(folder / "dask", 2))
        on_cluster = opened.enter_context(
            training_room(folder / "on_cluster", rooms, dask_scheduler=cluster.address)
        )
        here, there = (
            opened.enter_context(TrainingClient(room.target)) for room in (rooms.training, on_cluster)
        )
        kinds = ("lightgbm", "xgboost", "forest", "features", "dask")
        for number in range(count):
            kind = kinds[number % len(kinds)]
            handle = (there if kind == "dask" else here).start_training(f"stopped_{number}", endless(kind))
            begun = next(event for event in handle.watch() if state_of(event) == pb.JOB_STATE_RUNNING)
            time.sleep(chance.uniform(0.0, LONGEST_WAIT_SECONDS))
            stage = handle.job().stage
            started = time.perf_counter()
            handle.stop()
            for _ in handle.watch(begun.sequence):
                pass
            seconds, job = time.perf_counter() - started, handle.job()
            if job.state != pb.JOB_STATE_STOPPED:  # it had ended before it was told to
                print(f"{kind}: {pb.JobState.Name(job.state)} {job.failure.message}")
                continue
            taken[kind].append(seconds)
            found_in[pb.JobStage.Name(stage).removeprefix("JOB_STAGE_").lower()] += 1
    taken["all"] = [seconds for some in taken.values() for seconds in some]
    for kind, some in taken.items():
        p50, p99 = np.percentile(some, (50, 99))
        print(f"{len(some)} stops of {kind}: p50 {p50:.2f} s, p99 {p99:.2f} s, at most {max(some):.2f} s")
    print(f"stopped in stage: {', '.join(f'{stage} {times}' for stage, times in sorted(found_in.items()))}")


def measure_overhead(rooms: Rooms, rounds: int) -> None:
    """A job beside the bare fits of its units."""
    config = job_config()
    config.model.lightgbm.rounds = rounds
    with TrainingClient(rooms.training.target) as client:
        handle = client.start_training("measured", config)
        events = list(handle.watch())
        job = handle.result()
    bare = bare_fits(rooms, job)
    moments = [(event.time.ToDatetime().timestamp(), event) for event in events]
    begun = next(moment for moment, event in moments if state_of(event) == pb.JOB_STATE_RUNNING)
    stages = {
        event.stage_started.stage: moment for moment, event in moments if event.HasField("stage_started")
    }
    before = stages[pb.JOB_STAGE_SNAPSHOT] - begun
    after = moments[-1][0] - stages[pb.JOB_STAGE_CROSS_VALIDATION]
    for what, whole, fits in (
        ("a job without features and labels, by the clock", before + after, bare.seconds),
        ("the whole worker, by CPU", job.resources.cpu_seconds, bare.cpu_seconds),
    ):
        print(f"{what}: {whole:.1f} s; its fits alone {fits:.1f} s: {100 * (whole / fits - 1):.1f} % more")
    print(f"  process start {before:.2f} s")
    ends = [*stages.values(), moments[-1][0]]
    for stage, end in zip(stages, ends[1:], strict=True):
        name = pb.JobStage.Name(stage).removeprefix("JOB_STAGE_").lower()
        print(f"  {name} {end - stages[stage]:.2f} s")
    print(f"  events: {len(events)}")


class Bare(Alone):
    """Fits as usual, and times how long the fits take that go without it all."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = self.cpu_seconds = 0.0

    def _fit(self, task: FitTask, watch: Watch) -> FitOutcome:
        begun, begun_cpu = time.perf_counter(), time.process_time()
        train = Table(task.matrix[task.train.rows], task.train.classes, task.train.weights)
        fitted = learners.fit(
            task.parameters,
            FitRequest(train, None, task.class_count, task.seed, 1, lambda *_: None, lambda: False),
        )
        learners.predict_probabilities(fitted, task.matrix[task.predicted])
        self.seconds += time.perf_counter() - begun
        self.cpu_seconds += time.process_time() - begun_cpu
        return super()._fit(task, watch)


def bare_fits(rooms: Rooms, job: pb.Job) -> Bare:
    """The fits and predictions of a job, in this process, with nobody who listens."""
    config, _ = read_tree(job.config, "config")
    plan, timeframe = read_plan(config), TIMEFRAMES[SERIES[2]]
    asked = Neighbours(Endpoints(rooms.data.target, rooms.features.target, rooms.registry.target, None))
    with closing(asked):
        features = asked.generate_features(job.snapshot_id, config["features"], lambda *_: None)
        prices = asked.read_prices(job.snapshot_id)
    labels = label(prices, timeframe, plan.label, binary=plan.is_binary, events=plan.label_events)
    samples = join_samples(features.frame.iloc[features.warm_up_bars :], timeframe, labels)
    bare = Bare()
    evaluate_and_fit(samples, plan.training, plan.seed, events=lambda _: None, workshop=bare)
    return bare


def measure_kills(
    folder: Path, rooms: Rooms, processes_count: int, count: int, chance: random.Random
) -> None:
    """Kill the worker of each of some jobs once, at a random moment of its fits."""
    config = job_config()
    config.model.lightgbm.rounds = 60
    again, whole_again = [], 0
    calm = None
    with ExitStack() as opened:
        where = folder / f"of_{processes_count}"
        room = opened.enter_context(
            training_room(
                where, rooms, job_processes_count=processes_count, job_threads_count=processes_count
            )
        )
        client = opened.enter_context(TrainingClient(room.target))
        for number in range(count + 1):
            handle = client.start_training(f"killed_{processes_count}_{number}", config)
            if number:
                wait_for_progress(handle, chance.uniform(0.15, 0.95))
                kept = kill_worker(room)
            job = handle.result()
            assert calm is None or calm == job.result.model_digest, "another model"
            calm = job.result.model_digest
            events = list(handle.watch())
            if number:
                recalled = sum(round(event.metric.value) for event in events if is_recall(event))
                again.append(begun_by(events) - recalled)
                whole_again += kept - recalled
    print(
        f"killed once, {processes_count} fitting: {count} jobs, units fitted again {sum(again)} "
        f"({max(again)} at most), {whole_again} of them were whole; every model is that of the calm job"
    )


def wait_for_progress(handle: JobHandle, fraction: float) -> None:
    """Wait until a job has come so far."""
    for event in handle.watch():
        if event.HasField("progress") and event.progress.fraction >= fraction:
            return


def kill_worker(room: RoomProcess) -> int:
    """SIGKILL to the worker of a room's only job, and its fitters with it; how many units it had kept."""
    [worker] = [
        each
        for each in psutil.Process(room.pid).children()
        if "services.training.worker" in " ".join(each.cmdline())
    ]
    worker.suspend()
    kept = len(list((room.folder / ".run" / "training" / "checkpoints").glob("*/*.outcome")))
    worker.send_signal(signal.SIGKILL)
    return kept


def is_recall(event: pb.Event) -> bool:
    """Whether an event says how many units an attempt took from the one before."""
    return event.HasField("metric") and event.metric.name == "units_recalled"


def begun_by(events: list[pb.Event]) -> int:
    """Units that the first attempt began, by what it told of their rounds."""
    told = [event.progress for event in events if event.attempt == 1 and event.HasField("progress")]
    return len({progress.fold for progress in told if progress.round})


def state_of(event: pb.Event) -> int | None:
    """The state that a job came to, if the event says one."""
    return event.state_changed.state if event.HasField("state_changed") else None


@contextmanager
def training_room(folder: Path, rooms: Rooms, **settings: object) -> Iterator[RoomProcess]:
    """Another training room beside the others."""
    folder.mkdir()
    targets = {
        "data_target": rooms.data.target,
        "features_target": rooms.features.target,
        "registry_target": rooms.registry.target,
    }
    with RoomProcess("training", folder, **(targets | settings)) as room:
        yield room


def candles(count: int) -> pd.DataFrame:
    """A random walk by the hour."""
    generator = np.random.default_rng(3)
    close = 30_000.0 * np.exp(np.cumsum(generator.normal(0.0, 0.008, count)))
    return hourly_bars(close, generator, "2020-01-01")


if __name__ == "__main__":
    main()
