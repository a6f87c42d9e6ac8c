"""`marketml.training.v1.TrainingService`: read, do, write."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

from marketml.training.v1 import training_pb2 as pb
from services.host import Call
from services.training import wire, wire_logs
from services.training.application import TrainingApplication


class TrainingServicer:
    """The contract's methods over the application."""

    def __init__(self, application: TrainingApplication) -> None:
        self._application = application

    def StartTraining(self, request: pb.StartTrainingRequest, _call: Call) -> pb.StartTrainingResponse:
        job = self._application.start_training(wire.read_start(request))
        return pb.StartTrainingResponse(job=wire.write_job(job))

    def GetTraining(self, request: pb.GetTrainingRequest, _call: Call) -> pb.GetTrainingResponse:
        job = self._application.get_training(wire.read_job_id(request.job_id))
        return pb.GetTrainingResponse(job=wire.write_job(job))

    def ListTrainings(self, request: pb.ListTrainingsRequest, _call: Call) -> pb.ListTrainingsResponse:
        asked = wire.read_list(request)
        page = self._application.list_trainings(asked.state, asked.model_name, asked.before, asked.count)
        return wire.write_page(page, asked)

    async def WatchTraining(
        self, request: pb.WatchTrainingRequest, call: Call
    ) -> AsyncIterator[bytes | pb.WatchTrainingResponse]:
        job_id, sequence = wire.read_watch(request)
        async for event in self._application.watch_training(job_id, sequence, call):
            if event is None:
                yield wire.write_heartbeat(sequence, time.time_ns())
            else:
                sequence = event.sequence
                yield wire.write_event(event)

    def ReadTrainingLogs(
        self, request: pb.ReadTrainingLogsRequest, _call: Call
    ) -> Iterator[pb.ReadTrainingLogsResponse]:
        asked = wire_logs.read_logs(request)
        for lines in self._application.read_training_logs(*asked):
            yield wire_logs.write_logs(lines)

    def StopTraining(self, request: pb.StopTrainingRequest, _call: Call) -> pb.StopTrainingResponse:
        job = self._application.stop_training(*wire.read_stop(request))
        return pb.StopTrainingResponse(job=wire.write_job(job))

    def ValidateTrainingConfig(
        self, request: pb.ValidateTrainingConfigRequest, _call: Call
    ) -> pb.ValidateTrainingConfigResponse:
        validated = self._application.validate_training_config(*wire.read_config(request))
        return wire.write_validated(validated)

    def PlanTraining(self, request: pb.PlanTrainingRequest, _call: Call) -> pb.PlanTrainingResponse:
        return wire.write_planned(self._application.plan_training(*wire.read_plan(request)))

    async def ReproduceModel(
        self, request: pb.ReproduceModelRequest, call: Call
    ) -> AsyncIterator[pb.ReproduceModelResponse]:
        asked = wire.read_reproduce(request)
        async with aclosing(self._application.reproduce_model(*asked, call)) as told:
            async for each in told:
                yield wire.write_reproducing(each)

    def GetDefaultTrainingConfig(
        self, _request: pb.GetDefaultTrainingConfigRequest, _call: Call
    ) -> pb.GetDefaultTrainingConfigResponse:
        return wire.write_defaults(*self._application.get_default_training_config())
