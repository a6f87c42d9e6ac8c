"""`inference.GRPCInferenceService`: the Open Inference Protocol on the registry's port."""

from __future__ import annotations

from inference import open_inference_pb2 as pb
from marketml.rpc.refusals import DataLoss, NotFound
from services.host import Call
from services.registry import inference_wire as wire
from services.registry.models import CHAMPION, require_name
from services.registry.serving import Serving
from services.registry.tensors import row_count_of

FEW_INPUTS = 16  # tensors that are read on the loop


class InferenceServicer:
    """The methods of the protocol, by its names."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def ServerLive(self, request: pb.ServerLiveRequest, call: Call) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: pb.ServerReadyRequest, call: Call) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=True)  # the port opens when the aliased models are loaded

    def ModelReady(self, request: pb.ModelReadyRequest, call: Call) -> pb.ModelReadyResponse:
        require_name("name", request.name)
        try:
            self._serving.find(request.name, wire.read_version("version", request.version), CHAMPION)
        except (NotFound, DataLoss):
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    async def ServerMetadata(
        self, request: pb.ServerMetadataRequest, call: Call
    ) -> pb.ServerMetadataResponse:
        return wire.write_server()

    def ModelMetadata(self, request: pb.ModelMetadataRequest, call: Call) -> pb.ModelMetadataResponse:
        require_name("name", request.name)
        version = wire.read_version("version", request.version)
        return wire.write_metadata(self._serving.find(request.name, version, CHAMPION))

    async def ModelInfer(self, request: pb.ModelInferRequest, call: Call) -> pb.ModelInferResponse:
        """A few rows of a model in memory are answered on the loop, in microseconds; all else on the pool."""
        if len(request.inputs) <= FEW_INPUTS:
            query = wire.read_infer(request)
            loaded = self._serving.at_hand(query.model_name, query.version, CHAMPION)
            if loaded is not None and self._serving.answers_at_once(loaded, row_count_of(query.inputs)):
                return wire.write_infer(query, self._serving.infer(query, loaded))
        return await call.run(self._find_and_infer, request)

    def _find_and_infer(self, request: pb.ModelInferRequest) -> pb.ModelInferResponse:
        query = wire.read_infer(request)
        loaded = self._serving.find(query.model_name, query.version, CHAMPION)
        return wire.write_infer(query, self._serving.infer(query, loaded))
