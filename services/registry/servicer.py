"""`marketml.registry.v1.RegistryService`: reads a message, calls the application, writes its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from marketml.registry.v1 import registry_pb2 as pb
from marketml.rpc.refusals import InvalidArgument
from services.host import Call
from services.registry import config_wire, wire
from services.registry.application import RegistryApplication
from services.registry.models import Model
from services.registry.serving import Serving


class RegistryServicer:
    """The methods of the contract, by its names."""

    def __init__(self, application: RegistryApplication, serving: Serving) -> None:
        self._application = application
        self._serving = serving

    async def UploadModel(
        self, requests: AsyncIterator[pb.UploadModelRequest], call: Call
    ) -> pb.UploadModelResponse:
        first = await anext(requests, None)
        if first is None:
            raise InvalidArgument.of("header", "required", "must be the first message of the stream.")
        upload = await call.run(self._application.begin_upload, wire.read_header(first))
        if isinstance(upload, Model):
            return pb.UploadModelResponse(model=wire.write_model(upload))
        call.closer = upload.close  # however the call ends, and after the work it has left on the pool
        async for request in requests:
            await call.run(upload.write, *wire.read_piece(request))
        model = await call.run(self._application.finish_upload, upload)
        return pb.UploadModelResponse(model=wire.write_model(model))

    def DownloadModel(
        self, request: pb.DownloadModelRequest, call: Call
    ) -> Iterator[pb.DownloadModelResponse]:
        parts = self._application.download_model(request.model_name, request.version, request.file_names)
        for part in parts:
            call.check()
            yield wire.write_download(part)

    def GetModel(self, request: pb.GetModelRequest, call: Call) -> pb.GetModelResponse:
        model, manifest = self._application.get_model(request.model_name, request.version)
        return pb.GetModelResponse(model=wire.write_model(model), manifest_json=manifest)

    def ListModels(self, request: pb.ListModelsRequest, call: Call) -> pb.ListModelsResponse:
        models, following = self._application.list_models(request.model_name, *wire.read_page(request))
        return pb.ListModelsResponse(
            models=[wire.write_model(model) for model in models],
            next_page_token=wire.write_token(following, request.model_name),
        )

    def DeleteModel(self, request: pb.DeleteModelRequest, call: Call) -> pb.DeleteModelResponse:
        deleted = self._application.delete_model(
            request.model_name, request.version, request.request_id, wire.canonical(request)
        )
        return pb.DeleteModelResponse(freed_bytes=deleted.freed_bytes)

    def LoadModel(self, request: pb.LoadModelRequest, call: Call) -> pb.LoadModelResponse:
        switched = self._application.load_model(
            request.model_name,
            request.version,
            wire.read_alias_name(request.alias),
            request.etag,
            request.request_id,
            wire.canonical(request),
        )
        return pb.LoadModelResponse(
            alias=wire.write_alias(switched.alias), previous_version=switched.previous_version
        )

    def GetCurrentModel(self, request: pb.GetCurrentModelRequest, call: Call) -> pb.GetCurrentModelResponse:
        alias = self._application.get_current_model(request.model_name, wire.read_alias_name(request.alias))
        return pb.GetCurrentModelResponse(alias=wire.write_alias(alias))

    def GetStatus(self, request: pb.GetStatusRequest, call: Call) -> pb.GetStatusResponse:
        return wire.write_status(self._application.get_status())

    def GetConfig(self, request: pb.GetConfigRequest, call: Call) -> pb.GetConfigResponse:
        version = self._application.get_config()
        return pb.GetConfigResponse(
            config=config_wire.write_config(version.config),
            version=version.version,
            etag=version.etag,
            update_time=config_wire.write_time(version),
        )

    def UpdateConfig(self, request: pb.UpdateConfigRequest, call: Call) -> pb.UpdateConfigResponse:
        version = self._application.update_config(
            config_wire.read_config(request.config),
            request.update_mask.paths,
            request.etag,
            request.request_id,
            wire.canonical(request),
        )
        return pb.UpdateConfigResponse(
            config=config_wire.write_config(version.config), version=version.version, etag=version.etag
        )

    def ResetConfig(self, request: pb.ResetConfigRequest, call: Call) -> pb.ResetConfigResponse:
        version = self._application.reset_config(request.etag, request.request_id, wire.canonical(request))
        return pb.ResetConfigResponse(
            config=config_wire.write_config(version.config), version=version.version, etag=version.etag
        )

    def Predict(self, request: pb.PredictRequest, call: Call) -> pb.PredictResponse:
        return wire.write_predict(self._serving.predict(wire.read_predict(request)))
