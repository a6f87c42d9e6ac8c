"""Jobs over which somebody is killed at a random moment: every job ends, once, with the model of the job that
nobody disturbed, and its events have no gap and no repeat.

`make kill-jobs` kills 200 times; JOB_KILLS and JOB_KILLS_SEED say how often and when.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from marketml.clients.registry import RegistryClient
from marketml.clients.training import FINAL_STATES, JobHandle, TrainingClient
from marketml.training.v1 import training_pb2 as pb
from tests.support.servers import RoomProcess
from tests.support.waiting import eventually
from tests.training.conftest import WAIT_SECONDS, Neighbourhood, quick_config

KILLS = int(os.environ.get("JOB_KILLS", "1"))
SEED = int(os.environ.get("JOB_KILLS_SEED", "0"))
ATTEMPTS = 5


def _lightgbm() -> pb.TrainingConfig:
    return quick_config()


def _xgboost() -> pb.TrainingConfig:
    return quick_config(model__xgboost__rounds=40)


def _forest() -> pb.TrainingConfig:
    config = quick_config(model__random_forest__trees=40)
    config.ClearField("early_stopping")
    return config


def _bagging() -> pb.TrainingConfig:
    config = quick_config(calibration__enabled=True)
    config.model.Clear()
    config.model.bagging.members = 3
    config.model.bagging.models.add().lightgbm.rounds = 20
    config.model.bagging.models.add().extra_trees.trees = 20
    return config


def _stacking() -> pb.TrainingConfig:
    config = quick_config(decision_thresholds__enabled=True)
    config.model.Clear()
    config.model.stacking.folds = 2
    config.model.stacking.base_models.add().lightgbm.rounds = 20
    config.model.stacking.base_models.add().random_forest.trees = 20
    return config


def _search() -> pb.TrainingConfig:
    config = quick_config(search__enabled=True, search__trials=4, search__startup_trials=2)
    config.search.space["num_leaves"].integer.low = 3
    config.search.space["num_leaves"].integer.high = 15
    return config


KINDS: dict[str, Callable[[], pb.TrainingConfig]] = {
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
    "random_forest": _forest,
    "bagging": _bagging,
    "stacking": _stacking,
    "search": _search,
}
VICTIMS = ("worker", "server", "watcher")


@dataclass
class Scene:
    """A training room that is killed and comes back, beside rooms that stay."""

    neighbourhood: Neighbourhood
    folder: Path
    room: RoomProcess = field(init=False)

    def __post_init__(self) -> None:
        self.start("127.0.0.1:0")

    def start(self, address: str) -> None:
        settings = self.neighbourhood.settings()
        self.room = RoomProcess("training", self.folder, address=address, attempts_count=ATTEMPTS, **settings)
        self.room.wait_ready()

    def kill(self, victim: str, job_id: str) -> None:
        """Kill it, if it is there, and have the room running afterwards."""
        if victim == "server":
            address = self.room.target
            self.room.kill()
            self.start(address)  # where those who watch look for it
        elif victim == "worker":
            for process in self.room.descendants():
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        else:
            watcher = subprocess.Popen(
                [sys.executable, "-m", "marketml.cli.main", "train", "watch", job_id, "--json"],
                env=os.environ | {"MARKETML_ENDPOINT_TRAINING": self.room.target},
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            with watcher:
                assert watcher.stdout is not None
                watcher.stdout.readline()
                watcher.kill()

    def checkpoints(self) -> list[Path]:
        return list((self.folder / ".run" / "training" / "checkpoints").glob("*"))


@pytest.fixture
def scene(neighbourhood: Neighbourhood, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(neighbourhood, tmp_path)
    yield made
    made.room.stop()


def start(scene: Scene, name: str, kind: str) -> str:
    with TrainingClient(scene.room.target) as client:
        return client.start_training(name, KINDS[kind](), request_id=name).job_id


def ended(scene: Scene, job_id: str) -> pb.Job:
    with TrainingClient(scene.room.target) as client:
        return JobHandle(client, job_id).result(WAIT_SECONDS)


@pytest.mark.slow
@pytest.mark.timeout(300 + 60 * KILLS)
def test_a_job_over_which_anybody_is_killed_ends_once_with_the_model_it_would_have_had(
    scene: Scene, registry: RegistryClient, capsys: pytest.CaptureFixture[str]
) -> None:
    moments = random.Random(SEED)
    calm: dict[str, tuple[str, float]] = {}
    told: Counter[str] = Counter()
    for number in range(KILLS):
        kind, victim = list(KINDS)[number % len(KINDS)], moments.choice(VICTIMS)
        if kind not in calm:
            begun = time.monotonic()
            undisturbed = ended(scene, start(scene, f"calm.{kind}", kind))
            calm[kind] = undisturbed.result.model_digest, time.monotonic() - begun
        digest, seconds = calm[kind]
        name = f"killed.{number}"
        job_id = start(scene, name, kind)
        with TrainingClient(scene.room.target) as client, ThreadPoolExecutor(1) as pool:
            following = pool.submit(JobHandle(client, job_id).result, WAIT_SECONDS)
            wait([following], timeout=moments.uniform(0, 1.1 * seconds))
            was_running = not following.done()
            scene.kill(victim, job_id)
            following.result(WAIT_SECONDS)
        assert start(scene, name, kind) == job_id  # a repeat finds the job
        job = ended(scene, job_id)
        assert job.result.model_digest == digest
        assert job.attempt <= 2
        with TrainingClient(scene.room.target) as client:
            events = list(client.watch_training(job_id, 0))
        assert [event.sequence for event in events] == list(range(1, job.last_sequence + 1))
        finals = [event for event in events if event.state_changed.state in FINAL_STATES]
        assert finals == events[-1:]
        assert [model.version for model in registry.list_models(name)] == [1]
        assert eventually(lambda: not scene.checkpoints(), 10, "no checkpoint of a job that has ended")
        told[
            f"{kind}, {victim}, {'again' if job.attempt > 1 else 'went on' if was_running else 'ended'}"
        ] += 1
    with capsys.disabled():
        print(f"\nkilled {KILLS} times, seed {SEED}:", *sorted(told.items()), sep="\n  ")
    assert told.total() == KILLS
