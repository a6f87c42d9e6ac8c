"""The methods of DataService that are about quality and repair."""

from __future__ import annotations

from marketml.data.v1 import data_pb2 as pb
from services.data import wire, wire_quality
from services.data.application import DataApplication
from services.host import Call


class QualityServicer:
    """A part of `DataServicer`."""

    _application: DataApplication

    def CheckQuality(self, request: pb.CheckQualityRequest, call: Call) -> pb.CheckQualityResponse:
        question, piece = wire_quality.read_question(request)
        inspection, plan = self._application.check_quality(question, piece, call.check)
        return wire_quality.written_inspection(inspection, plan)

    async def RepairSeries(self, request: pb.RepairSeriesRequest, call: Call) -> pb.RepairSeriesResponse:
        series, actions = wire_quality.read_actions(request)
        outcomes = await self._application.repair_series(
            series,
            actions,
            request_id=request.request_id,
            body=wire.canonical(request),
            run=call.run,
            check=call.check,
        )
        told = zip(actions, outcomes, strict=True)
        return pb.RepairSeriesResponse(outcomes=[wire_quality.written_outcome(*each) for each in told])
