"""The training room as Python sees it: jobs that outlive their caller.

    with TrainingClient("127.0.0.1:50053") as training:
        handle = training.start_training("btc-direction", config)
        for event in handle.watch():                # to the end of the job, over any break of the connection
            print(event.WhichOneof("detail"))
        job = handle.result()                       # raises JobFailed or JobStopped
        job.result.model_version

Leaving a watch, or the whole program, does not stop a job: `handle.stop()` does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from marketml.clients.connection import Connection, every, new_request_id
from marketml.rpc.channels import STREAM_DEADLINE_SECONDS, Tls
from marketml.rpc.refusals import DataLoss, DeadlineExceeded, Reason, Refusal, ResourceExhausted, Unavailable
from marketml.training.v1 import training_pb2 as pb
from marketml.training.v1.training_pb2_grpc import TrainingServiceStub

_SERVICE = pb.DESCRIPTOR.services_by_name["TrainingService"]
_NOT_REPEATABLE = frozenset({"WatchTraining", "ReproduceModel"})  # `watch_training` goes on from where it was
_PAGE_SIZE = 1000
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 5.0
_REPRODUCTION_SECONDS = 86_400.0
_LOGS_SECONDS = 1.0  # between two looks at the logs of a job that runs
_AWAY_SECONDS = 120.0  # how long a watch waits for a room that does not answer

FINAL_STATES = frozenset({pb.JOB_STATE_SUCCEEDED, pb.JOB_STATE_FAILED, pb.JOB_STATE_STOPPED})


class JobNotDone(Exception):
    """A job ended without a model. `job` is the whole of it."""

    def __init__(self, job: pb.Job, message: str) -> None:
        super().__init__(message)
        self.job = job


class JobFailed(JobNotDone):
    """A job FAILED: `code`, `reason` and `message` say why."""

    def __init__(self, job: pb.Job) -> None:
        failure = job.failure
        super().__init__(job, f"Job {job.job_id} failed with {failure.code}: {failure.message}")
        self.code = failure.code
        self.reason = failure.reason
        self.message = failure.message


class JobStopped(JobNotDone):
    """A job was STOPPED, and kept nothing."""

    def __init__(self, job: pb.Job) -> None:
        super().__init__(job, f"Job {job.job_id} was stopped.")


class TrainingClient(Connection):
    """A connection to the training room. Its methods raise the classes of `marketml.rpc.refusals`."""

    def __init__(self, target: str = "127.0.0.1:50053", *, tls: Tls | None = None) -> None:
        super().__init__(_SERVICE, target, tls, not_repeatable=_NOT_REPEATABLE)
        stub: Any = TrainingServiceStub
        self._stub = stub(self._channel)

    def start_training(
        self,
        model_name: str,
        config: pb.TrainingConfig,
        request_id: str | None = None,
        *,
        priority: int | None = None,
    ) -> JobHandle:
        """Queue a job. Give your own `request_id` to be able to ask again after a crash, for the same job. Of
        the jobs that wait the highest `priority`, -100 to 100, is taken first."""
        request = pb.StartTrainingRequest(
            request_id=request_id or new_request_id(),
            model_name=model_name,
            config=config,
            priority=priority,
        )
        response: pb.StartTrainingResponse = self._stub.StartTraining(request)
        return JobHandle(self, response.job.job_id)

    def get_training(self, job_id: str) -> pb.Job:
        """One job, as it is now."""
        response: pb.GetTrainingResponse = self._stub.GetTraining(pb.GetTrainingRequest(job_id=job_id))
        return response.job

    def list_trainings(
        self, state: pb.JobState | None = None, model_name: str = "", *, limit: int | None = None
    ) -> list[pb.Job]:
        """Jobs, newest first; of one state or model name when given, at most `limit` when given."""
        request = pb.ListTrainingsRequest(state=state, model_name=model_name, page_size=_PAGE_SIZE)
        return every(self._stub.ListTrainings, request, "jobs", limit=limit)

    def watch_training(
        self, job_id: str, after_sequence: int = 0, *, timeout: float | None = None
    ) -> Iterator[pb.Event]:
        """The events of a job after a number, to its last; each once, whatever happens to the connection.

        A room that goes away is waited for, two minutes at most. `timeout` bounds the whole watch.

        Raises
        ------
        DeadlineExceeded
            The job has not ended within `timeout` seconds.
        Unavailable
            The room stayed away.
        """
        until = None if timeout is None else time.monotonic() + timeout
        sequence, pause, away_since = after_sequence, _FIRST_PAUSE_SECONDS, time.monotonic()
        while True:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                raise DeadlineExceeded(f"Job {job_id} has not ended within {timeout:g} s.")
            request = pb.WatchTrainingRequest(job_id=job_id, after_sequence=sequence)
            seconds = STREAM_DEADLINE_SECONDS if left is None else min(left, STREAM_DEADLINE_SECONDS)
            try:
                with self._stub.WatchTraining(request, timeout=seconds) as responses:
                    for response in responses:
                        pause, away_since = _FIRST_PAUSE_SECONDS, time.monotonic()
                        if response.HasField("event"):
                            sequence = response.event.sequence
                            yield response.event
                return
            except DeadlineExceeded:
                continue
            except Refusal as refusal:
                if not _passes(refusal) or time.monotonic() - away_since > _AWAY_SECONDS:
                    raise
            time.sleep(pause if left is None else min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def read_training_logs(
        self, job_id: str, after_line: int = 0, *, attempt: int | None = None, follow: bool = False
    ) -> Iterator[pb.LogEntry]:
        """What the workers of a job logged and printed after a line, as far as it is kept; of one attempt
        when given. `follow` goes on until the job has ended."""
        while True:
            is_last = not follow or self.get_training(job_id).state in FINAL_STATES
            request = pb.ReadTrainingLogsRequest(job_id=job_id, attempt=attempt, after_line=after_line)
            with self._stub.ReadTrainingLogs(request) as responses:
                for response in responses:
                    for entry in response.entries:
                        after_line = entry.line
                        yield entry
            if is_last:
                return
            time.sleep(_LOGS_SECONDS)

    def stop_training(self, job_id: str, mode: pb.StopMode = pb.STOP_MODE_DISCARD) -> pb.Job:
        """Tell a job to stop. One that runs is STOPPING until its worker has left."""
        request = pb.StopTrainingRequest(job_id=job_id, mode=mode)
        response: pb.StopTrainingResponse = self._stub.StopTraining(request)
        return response.job

    def validate_training_config(self, config: pb.TrainingConfig) -> pb.ValidateTrainingConfigResponse:
        """What is wrong with a config, what is unusual, and what it is once its defaults are filled in."""
        request = pb.ValidateTrainingConfigRequest(config=config)
        response: pb.ValidateTrainingConfigResponse = self._stub.ValidateTrainingConfig(request)
        return response

    def plan_training(self, config: pb.TrainingConfig, model_name: str = "") -> pb.PlanTrainingResponse:
        """What a job would take on the room's host, and what its bounds would refuse.

        With a `model_name`, finished jobs of that name tell how many rounds fits take.

        Raises
        ------
        Unavailable
            The host is being measured: the refusal says how long to wait.
        """
        request = pb.PlanTrainingRequest(config=config, model_name=model_name)
        response: pb.PlanTrainingResponse = self._stub.PlanTraining(request)
        return response

    def reproduce_model(
        self,
        model_name: str,
        version: int = 0,
        *,
        budget: pb.Budget | None = None,
        on_progress: Callable[[pb.ReproductionProgress], None] | None = None,
        timeout: float | None = None,
    ) -> pb.Reproduction:
        """Train a registered version again (0: the newest) and hold the bytes against it; register nothing.

        Leaving the call, by an exception of `on_progress` too, stops the work.

        Parameters
        ----------
        budget
            Bounds of the job; None takes those of the job that trained the model.
        on_progress
            Called with how far it is, also when nothing changed for a while.
        timeout
            Seconds; None waits for a day.
        """
        request = pb.ReproduceModelRequest(model_name=model_name, model_version=version, budget=budget)
        seconds = _REPRODUCTION_SECONDS if timeout is None else timeout
        with self._stub.ReproduceModel(request, timeout=seconds) as responses:
            for response in responses:
                if response.HasField("result"):
                    found: pb.Reproduction = response.result
                    return found
                if on_progress is not None:
                    on_progress(response.progress)
        raise DataLoss("The training room said nothing of what came of the reproduction.")

    def get_default_training_config(self) -> pb.TrainingConfig:
        """The defaults in force: every field but the dataset."""
        response: pb.GetDefaultTrainingConfigResponse = self._stub.GetDefaultTrainingConfig(
            pb.GetDefaultTrainingConfigRequest()
        )
        return response.config

    def handle(self, job_id: str) -> JobHandle:
        """The handle of a job that was started before."""
        return JobHandle(self, job_id)


class JobHandle:
    """One job. It lives in the room: dropping the handle does not stop it."""

    def __init__(self, client: TrainingClient, job_id: str) -> None:
        self._client = client
        self.job_id = job_id

    def job(self) -> pb.Job:
        """The job as it is now."""
        return self._client.get_training(self.job_id)

    def watch(self, after_sequence: int = 0, *, timeout: float | None = None) -> Iterator[pb.Event]:
        """The job's events after a number, to its last; see `TrainingClient.watch_training`."""
        return self._client.watch_training(self.job_id, after_sequence, timeout=timeout)

    def logs(
        self, after_line: int = 0, *, attempt: int | None = None, follow: bool = False
    ) -> Iterator[pb.LogEntry]:
        """What the job's workers logged; see `TrainingClient.read_training_logs`."""
        return self._client.read_training_logs(self.job_id, after_line, attempt=attempt, follow=follow)

    def result(self, timeout: float | None = None) -> pb.Job:
        """Wait for the end; the job with its result.

        Raises
        ------
        JobFailed, JobStopped
            It ended without a model.
        DeadlineExceeded
            It has not ended within `timeout` seconds. It goes on.
        """
        job = self.job()
        if job.state not in FINAL_STATES:
            for _ in self.watch(job.last_sequence, timeout=timeout):
                pass
            job = self.job()
        if job.state == pb.JOB_STATE_FAILED:
            raise JobFailed(job)
        if job.state == pb.JOB_STATE_STOPPED:
            raise JobStopped(job)
        return job

    def stop(self, mode: pb.StopMode = pb.STOP_MODE_DISCARD) -> pb.Job:
        """Tell the job to stop."""
        return self._client.stop_training(self.job_id, mode)


def _passes(refusal: Refusal) -> bool:
    """Whether the room will answer later."""
    overloaded = isinstance(refusal, ResourceExhausted) and refusal.reason is Reason.OVERLOADED
    return isinstance(refusal, Unavailable) or overloaded
