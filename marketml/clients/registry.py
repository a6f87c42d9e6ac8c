"""The registry as Python sees it: bundles and DataFrames in and out.

    with RegistryClient("127.0.0.1:50054") as registry:
        model = registry.upload_model("btc-direction", bundle, job_id=job_id)
        registry.load_model("btc-direction", model.version)
        prediction = registry.predict("btc-direction", features)     # a DataFrame indexed by open_time
        prediction.frame                                             # probability_… and predicted_class

Calls that change something carry a `request_id`: give your own to be able to repeat them after a crash.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
from google.protobuf.field_mask_pb2 import FieldMask

from marketml.bundle import MANIFEST, Bundle
from marketml.clients.connection import Connection, every, new_request_id
from marketml.registry.v1 import registry_pb2 as pb
from marketml.registry.v1.registry_pb2_grpc import RegistryServiceStub
from marketml.rpc.channels import Tls
from marketml.rpc.frames import cut, read_ipc, to_frame, to_table
from marketml.rpc.refusals import DataLoss, InvalidArgument

PIECE_BYTES = 1024 * 1024
_PAGE_SIZE = 1000

_SERVICE = pb.DESCRIPTOR.services_by_name["RegistryService"]
_NOT_REPEATABLE = frozenset({"UploadModel"})  # a stream is not kept for a second sending


@dataclass(frozen=True)
class Prediction:
    """What a model answered.

    Attributes
    ----------
    frame : DataFrame
        Index `open_time` as asked; a float64 column `probability_CLASS` per class and `predicted_class`.
    model_name, version, digest
        Who answered: one version for all rows.
    watermark_time
        The newest `open_time` of the rows, None without rows.
    """

    frame: pd.DataFrame
    model_name: str
    version: int
    digest: str
    watermark_time: datetime | None


class RegistryClient(Connection):
    """A connection to the registry room. Its methods raise the classes of `marketml.rpc.refusals`."""

    def __init__(self, target: str = "127.0.0.1:50054", *, tls: Tls | None = None) -> None:
        super().__init__(_SERVICE, target, tls, not_repeatable=_NOT_REPEATABLE)
        stub: Any = RegistryServiceStub
        self._stub = stub(self._channel)

    def upload_model(
        self, model_name: str, bundle: Bundle, job_id: str = "", request_id: str | None = None
    ) -> pb.Model:
        """Register a bundle. A name that has these bytes already keeps its version, which is returned; a job
        that has registered other bytes or another name is refused with `AlreadyExists`."""
        header = pb.UploadHeader(
            request_id=request_id or new_request_id(),
            model_name=model_name,
            job_id=job_id,
            files=[
                pb.ModelFile(name=file.name, size_bytes=file.size_bytes, sha256=file.sha256)
                for file in bundle.files
            ],
        )
        response: pb.UploadModelResponse = self._stub.UploadModel(_upload(header, bundle))
        return response.model

    def download_model(self, model_name: str, version: int = 0) -> Bundle:
        """Fetch a version's files (0: the newest), whose digests are checked on both sides."""
        request = pb.DownloadModelRequest(model_name=model_name, version=version)
        contents: dict[str, bytearray] = {}
        digest = ""
        with self._stub.DownloadModel(request) as responses:
            for response in responses:
                if response.HasField("model"):
                    digest = response.model.digest
                    contents = {file.name: bytearray() for file in response.model.files}
                else:
                    contents[response.piece.name] += response.piece.data
        bundle = Bundle({name: bytes(content) for name, content in contents.items()})
        if bundle.digest != digest:
            raise DataLoss(f"The files of {model_name} arrived damaged: their digest is not {digest}.")
        return bundle

    def get_model(self, model_name: str, version: int = 0) -> tuple[pb.Model, dict[str, Any]]:
        """One version (0: the newest) and its manifest."""
        request = pb.GetModelRequest(model_name=model_name, version=version)
        response: pb.GetModelResponse = self._stub.GetModel(request)
        return response.model, json.loads(response.manifest_json)

    def list_models(self, model_name: str = "", *, limit: int | None = None) -> list[pb.Model]:
        """Versions, newest first; only of `model_name` when given, at most `limit` when given."""
        request = pb.ListModelsRequest(model_name=model_name, page_size=_PAGE_SIZE)
        return every(self._stub.ListModels, request, "models", limit=limit)

    def delete_model(self, model_name: str, version: int, request_id: str | None = None) -> int:
        """Delete a version that no alias points at; returns the bytes freed."""
        request = pb.DeleteModelRequest(
            model_name=model_name, version=version, request_id=request_id or new_request_id()
        )
        response: pb.DeleteModelResponse = self._stub.DeleteModel(request)
        return response.freed_bytes

    def load_model(
        self,
        model_name: str,
        version: int = 0,
        alias: str = "",
        etag: str = "",
        request_id: str | None = None,
    ) -> pb.LoadModelResponse:
        """Point an alias (default `champion`) at a version (0: the newest) once it is loaded and warm."""
        request = pb.LoadModelRequest(
            model_name=model_name,
            version=version,
            alias=alias,
            etag=etag,
            request_id=request_id or new_request_id(),
        )
        response: pb.LoadModelResponse = self._stub.LoadModel(request)
        return response

    def get_current_model(self, model_name: str, alias: str = "") -> pb.Alias:
        """Which version an alias (default `champion`) points at."""
        request = pb.GetCurrentModelRequest(model_name=model_name, alias=alias)
        response: pb.GetCurrentModelResponse = self._stub.GetCurrentModel(request)
        return response.alias

    def get_status(self) -> pb.GetStatusResponse:
        """What is loaded, what it has served, and the disk."""
        response: pb.GetStatusResponse = self._stub.GetStatus(pb.GetStatusRequest())
        return response

    def get_config(self) -> pb.GetConfigResponse:
        """The platform config in force, every field filled in, with its version and etag."""
        response: pb.GetConfigResponse = self._stub.GetConfig(pb.GetConfigRequest())
        return response

    def update_config(
        self,
        config: pb.PlatformConfig,
        mask: FieldMask | Iterable[str],
        etag: str,
        request_id: str | None = None,
    ) -> pb.UpdateConfigResponse:
        """Change the fields that `mask` names, as `training.split.folds`, if `etag` is still the config's."""
        request = pb.UpdateConfigRequest(
            config=config,
            update_mask=mask if isinstance(mask, FieldMask) else FieldMask(paths=list(mask)),
            etag=etag,
            request_id=request_id or new_request_id(),
        )
        response: pb.UpdateConfigResponse = self._stub.UpdateConfig(request)
        return response

    def reset_config(self, etag: str = "", request_id: str | None = None) -> pb.ResetConfigResponse:
        """Go back to the built-in defaults; with an etag only if it is still the config's."""
        request = pb.ResetConfigRequest(etag=etag, request_id=request_id or new_request_id())
        response: pb.ResetConfigResponse = self._stub.ResetConfig(request)
        return response

    def predict(
        self, model_name: str, frame: pd.DataFrame, version: int | None = None, alias: str | None = None
    ) -> Prediction:
        """Class probabilities for rows of features.

        Parameters
        ----------
        model_name
        frame
            Index `open_time`, UTC; a column of numbers per feature of the model, in any order. NaN is
            missing. What does not fit one message goes in several, all answered by one version.
        version, alias
            Who answers; by default the alias `champion`.
        """
        if version is not None and alias is not None:
            raise InvalidArgument.of("target", "one_of", "must be a version or an alias, not both.")
        answers: list[pa.Table] = []
        first: pb.PredictResponse | None = None
        watermark: datetime | None = None
        for ipc in cut(to_table(frame)):
            request = pb.PredictRequest(model_name=model_name, arrow_ipc=ipc)
            if first is not None:
                request.version = first.version
            elif version is not None:
                request.version = version
            elif alias is not None:
                request.alias = alias
            response: pb.PredictResponse = self._stub.Predict(request)
            answers.append(read_ipc(response.arrow_ipc))
            first = first or response
            if response.HasField("watermark_time"):
                watermark = response.watermark_time.ToDatetime(UTC)
        assert first is not None  # `cut` gives one stream at least
        joined = to_frame(pa.concat_tables(answers))
        return Prediction(joined, first.model_name, first.version, first.digest, watermark)


def _upload(header: pb.UploadHeader, bundle: Bundle) -> Iterator[pb.UploadModelRequest]:
    yield pb.UploadModelRequest(header=header)
    for name in sorted(bundle.contents, key=lambda name: (name != MANIFEST, name)):
        content = memoryview(bundle.contents[name])
        for start in range(0, len(content), PIECE_BYTES):
            data = bytes(content[start : start + PIECE_BYTES])
            yield pb.UploadModelRequest(piece=pb.FilePiece(name=name, data=data))
