"""What a second process is worth to a training run.

    python benchmarks/scale_out.py [--rows 30000] [--features 60] [--rounds 250] [--folds 4] [--trials 4]

One thread a process throughout. The folds of a run, and the trials of a search, are fitted by one process and
by two: of this machine, and of a Dask cluster on it; seconds from the first fold or trial to the last, and
whether the models are equal. Processes and clusters are there before it is measured. The final fit is left
out, for it is one unit. The trials have one fold more: of an odd number of them two processes fit at most
(N + 1) / 2 one after the other while a trial has to wait for the one before, and all where two trials are
under way at once.
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

from services.training.events import Event, Stage, StageStarted
from services.training.learners.lightgbm import LightgbmParameters
from services.training.pipeline import evaluate_and_fit
from services.training.plan import SplitPlan, TrainingPlan
from services.training.samples import Samples
from services.training.search import Integer, Searched, SearchPlan
from services.training.splits import KFold
from services.training.workshop.alone import Alone, Workshop
from services.training.workshop.dask_pool import DaskPool
from services.training.workshop.pool import LocalPool
from services.training.workshop.together import Pool, Together
from tests.support.dask_cluster import dask_cluster
from tests.training.cases import made_samples, native_file

WARM = 3_000  # rows of a run that has every process import what it needs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--features", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=250)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--trials", type=int, default=4)
    given = parser.parse_args()
    print(f"load of the machine: {os.getloadavg()[0]:.1f}, cores: {os.cpu_count()}")
    samples = made_samples(given.rows, given.features)
    folds = TrainingPlan(
        model=LightgbmParameters(rounds=given.rounds),
        split=SplitPlan(method=KFold(given.folds)),
        interval_draws=100,
    )
    tried = SearchPlan({"num_leaves": Searched(Integer(24, 40))}, trials=given.trials, pruning=False)
    search = replace(folds, search=tried, split=SplitPlan(method=KFold(given.folds + 1)))
    at_once = replace(search, search=replace(tried, trials_at_once=2))
    searching, trials = (Stage.SEARCH, Stage.CROSS_VALIDATION), f"trials of {given.folds + 1} folds"
    for title, plan, stages in (
        (f"{given.folds} folds", folds, (Stage.CROSS_VALIDATION, Stage.FINAL_FIT)),
        (f"{given.trials} {trials}, one at once", search, searching),
        (f"{given.trials} {trials}, two at once", at_once, searching),
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


if __name__ == "__main__":
    main()
