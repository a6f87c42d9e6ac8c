"""Jobs over which somebody is killed at a random moment: every job ends, once, with the model of the job that
nobody disturbed, and its events have no gap and no repeat.

`make kill-jobs` kills 200 times; JOB_KILLS and JOB_KILLS_SEED say how often and when. Each kind of job is
killed at each place in each of its parts, and each of its clients, before any is again.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from marketml.clients.registry import RegistryClient
from marketml.clients.training import FINAL_STATES, JobHandle, TrainingClient
from marketml.training.v1 import training_pb2 as pb
from tests.support.waiting import eventually
from tests.training.conftest import WAIT_SECONDS, Neighbourhood, quick_config
from tests.training.kill_places import CALLERS, VICTIMS, Place, places
from tests.training.killed_clients import UNSENT, CallSeconds, start_calmly, start_over_a_kill, written

KILLS = int(os.environ.get("JOB_KILLS", "1"))
SEED = int(os.environ.get("JOB_KILLS_SEED", "0"))
MISSED = "missed"


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
    config = quick_config(search__enabled=True, search__trials=5, search__startup_trials=2)
    config.search.trials_at_once = 2
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

CELLS = [(place, victim, kind) for place, victims in VICTIMS.items() for victim in victims for kind in KINDS]


def cells(moments: random.Random) -> Iterator[tuple[str, str, str]]:
    """Endless: all of them before any comes again. The first one is the cheapest: a single kill is its."""
    first, *others = CELLS
    while True:
        moments.shuffle(others)
        yield first
        yield from others


def request(name: str, kind: str) -> pb.StartTrainingRequest:
    return pb.StartTrainingRequest(request_id=name, model_name=name, config=KINDS[kind]())


def start(place: Place, asked: pb.StartTrainingRequest) -> str:
    with TrainingClient(place.room.target) as client:
        return client.start_training(asked.model_name, asked.config, asked.request_id).job_id


def ended(place: Place, job_id: str) -> pb.Job:
    with TrainingClient(place.room.target) as client:
        return JobHandle(client, job_id).result(WAIT_SECONDS)


@pytest.mark.slow
@pytest.mark.timeout(300 + 90 * KILLS)
def test_a_job_over_which_anybody_is_killed_ends_once_with_the_model_it_would_have_had(
    neighbourhood: Neighbourhood, registry: RegistryClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moments = random.Random(SEED)
    digests: dict[str, str] = {}
    shortest: dict[tuple[str, str], float] = {}
    calls: dict[tuple[str, str], CallSeconds] = {}
    told: Counter[tuple[str, str, str, str]] = Counter()

    def tell(words: str) -> None:
        with capsys.disabled():
            print(words, end="", flush=True)

    with places(neighbourhood, tmp_path) as place_of:
        for number, (where, victim, kind) in zip(range(KILLS), cells(moments), strict=False):
            place = place_of(where)
            if (where, kind) not in shortest:
                begun = time.monotonic()
                named = request(f"calm.{where}.{kind}", kind)
                job_id, calls[where, kind] = start_calmly(place.room.target, named)
                calm = ended(place, job_id)
                shortest[where, kind] = time.monotonic() - begun
                assert calm.result.model_digest == digests.setdefault(kind, calm.result.model_digest)
            asked, begun = request(f"killed.{number}", kind), time.monotonic()
            tell(f"\n{number}: {kind} {where}, {victim} after ")
            if victim in CALLERS:
                each = [calls[where, kind].draw(moments) for _ in victim.split(" and ")]
                tell(" and ".join(f"{1000 * moment:.1f} ms" for moment in each))
                job, outcome = end_over_killed_call(place, asked, *each)
            else:
                moment = moments.uniform(0, shortest[where, kind])
                tell(f"{moment:.2f} s")
                job, outcome = end_over_kill(place, asked, victim, moment, moments)
            shortest[where, kind] = min(shortest[where, kind], time.monotonic() - begun)
            check(place, job, asked, registry, digests[kind])
            assert job.attempt <= (2 if victim in ("worker", "server", "client and server") else 1)
            told[where, victim, kind, outcome] += 1
            tell(f": {outcome}{f', attempt {job.attempt}' if job.attempt > 1 else ''}")
    tell(tally(told))
    assert told.total() == KILLS


def end_over_kill(
    place: Place, asked: pb.StartTrainingRequest, victim: str, moment: float, moments: random.Random
) -> tuple[pb.Job, str]:
    """A job over which somebody is killed so many seconds after its start, and what that did to it."""
    job_id = start(place, asked)
    with TrainingClient(place.room.target) as client, ThreadPoolExecutor(1) as pool:
        following = pool.submit(JobHandle(client, job_id).result, WAIT_SECONDS)
        wait([following], timeout=moment)
        was_hit = place.kill(victim, job_id, moments, following.done) and not following.done()
        following.result(WAIT_SECONDS)
    job = ended(place, job_id)
    return job, MISSED if not was_hit else "again" if job.attempt > 1 else "went on"


def end_over_killed_call(
    place: Place, asked: pb.StartTrainingRequest, moment: float, server_moment: float | None = None
) -> tuple[pb.Job, str]:
    """A job whose client is killed so many seconds after its call, and with it the server if that has a
    moment; and how far the call was."""
    target, also = place.room.target, []
    if server_moment is not None:
        also = [(server_moment, place.room.process.kill)]
    job_id, call = start_over_a_kill(target, asked, moment, also, place.restart if also else lambda: None)
    job = ended(place, job_id)
    return job, call.reached(job, place.logs())


def check(
    place: Place, job: pb.Job, asked: pb.StartTrainingRequest, registry: RegistryClient, digest: str
) -> None:
    """What holds of every job that has ended, and of what is left of it."""
    assert job.result.model_digest == digest
    assert start(place, asked) == job.job_id  # a repeat finds the job
    with TrainingClient(place.room.target) as client:
        assert [each.job_id for each in client.list_trainings(model_name=job.model_name)] == [job.job_id]
        events = list(client.watch_training(job.job_id, 0))
    assert [event.sequence for event in events] == list(range(1, job.last_sequence + 1))
    finals = [event for event in events if event.state_changed.state in FINAL_STATES]
    assert finals == events[-1:]
    assert [model.version for model in registry.list_models(job.model_name)] == [1]
    assert eventually(lambda: not place.checkpoints(), 10, "no checkpoint of a job that has ended")
    assert eventually(lambda: not place.processes("worker"), 10, "no worker of a job that has ended")
    assert eventually(lambda: not place.processes("fitter"), 10, "no fitter of a job that has ended")


def tally(told: Counter[tuple[str, str, str, str]]) -> str:
    """Kills per victim and kind, those that found their victim and a job under way, and what they bound."""
    lines = [
        f"killed {KILLS} times, seed {SEED}; {MISSED} are those that came when the job was over, "
        f"{UNSENT} those of clients of which no room had heard"
    ]
    for where, victims in VICTIMS.items():
        for victim in victims:
            counts = [
                f"{kind} {written(found)}"
                for kind in KINDS
                if (found := {key[3]: told[key] for key in told if key[:3] == (where, victim, kind)})
            ]
            if counts:
                lines.append(f"{where}, {victim}: {'; '.join(counts)}")
    for victim in dict.fromkeys(victim for victims in VICTIMS.values() for victim in victims):
        found = Counter[str]()
        for (_, each, _, outcome), count in told.items():
            found[outcome] += count * (each == victim)
        if found.total():
            lines.append(f"{victim}, {found.total()} in all: {written(found)}")
    hits = sum(count for (*_, outcome), count in told.items() if outcome not in (MISSED, UNSENT))
    if hits:
        lines.append(
            f"{hits} of them hit and none did harm: with 95 % certainty fewer than {3 / hits:.2%} do"
        )
    return "\n  ".join(["", *lines])
