"""Clients that are killed around their StartTraining call: whatever came of it, who asks again gets its job.

`make kill-jobs` kills two clients here for each of its kills of real jobs: here jobs only follow a script.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from marketml.training.v1 import training_pb2 as pb
from tests.training.conftest import WAIT_SECONDS, Neighbourhood, quick_config
from tests.training.killed_clients import KilledCall, start_calmly, start_over_a_kill, written
from tests.training.test_watch import serving

KILLS = 2 * int(os.environ.get("JOB_KILLS", "1"))
SEED = int(os.environ.get("JOB_KILLS_SEED", "0"))


def request(request_id: str) -> pb.StartTrainingRequest:
    return pb.StartTrainingRequest(request_id=request_id, model_name="succeeds", config=quick_config())


@pytest.mark.timeout(60 + 10 * KILLS)
def test_a_client_killed_around_its_call_and_one_that_asks_again_have_one_job(
    neighbourhood: Neighbourhood, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moments = random.Random(SEED)
    calls: dict[str, KilledCall] = {}
    with serving(tmp_path, **neighbourhood.settings()) as room:
        # The first call is slower than those that follow.
        cold_id = room.client.start_training("succeeds", quick_config()).job_id
        calm_id, seconds = start_calmly(room.served.target, request("calm"))
        for number in range(KILLS):
            asked, moment = request(f"killed.{number}"), seconds.draw(moments)
            job_id, call = start_over_a_kill(room.served.target, asked, moment)
            calls[job_id] = call
        assert len(calls) == KILLS
        started = (cold_id, calm_id, *calls)
        jobs = {job_id: room.client.handle(job_id).result(WAIT_SECONDS) for job_id in started}
        assert {job.job_id for job in room.client.list_trainings()} == set(jobs)
        for job_id, job in jobs.items():
            events = list(room.client.watch_training(job_id))
            assert [event.sequence for event in events] == list(range(1, job.last_sequence + 1))
            assert job.attempt == 1
    logs = neighbourhood.logs()
    reached = Counter(call.reached(jobs[job_id], logs) for job_id, call in calls.items())
    with capsys.disabled():
        print(f"\n{KILLS} clients killed around their calls, seed {SEED}: {written(reached)}")
