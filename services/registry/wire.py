"""Messages of `marketml.registry.v1` and the registry's values, in pairs."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from marketml.registry.v1 import registry_pb2 as pb
from marketml.rpc.refusals import InvalidArgument
from services.registry.headers import AnnouncedFile, Header
from services.registry.memory import Usage
from services.registry.models import CHAMPION, VERSION_MAX, Alias, Model, shown
from services.registry.questions import PredictAnswer, PredictQuery, Status

PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 1_000


def canonical(request: Message) -> bytes:
    """A serialisation that is equal for equal requests."""
    return request.SerializeToString(deterministic=True)


def write_model(model: Model) -> pb.Model:
    """A version."""
    return pb.Model(
        model_name=model.model_name,
        version=model.version,
        digest=model.digest,
        create_time=_timestamp(model.create_time),
        size_bytes=model.size_bytes,
        class_names=model.class_names,
        feature_count=model.feature_count,
        aliases=model.aliases,
        files=[
            pb.ModelFile(name=file.name, size_bytes=file.size_bytes, sha256=file.sha256)
            for file in model.files
        ],
        job_id=model.job_id,
        snapshot_id=model.snapshot_id,
    )


def write_alias(alias: Alias) -> pb.Alias:
    """An alias."""
    return pb.Alias(
        model_name=alias.model_name,
        alias=alias.alias,
        model=write_model(alias.model),
        since_time=_timestamp(alias.since_time),
        etag=alias.etag,
    )


def read_alias_name(alias: str) -> str:
    """The alias meant; `champion` where none is named."""
    return alias or CHAMPION


def read_header(request: pb.UploadModelRequest) -> Header:
    """The first message of an upload."""
    if not request.HasField("header"):
        raise InvalidArgument.of("header", "required", "must be the first message of the stream.")
    header = request.header
    return Header(
        request_id=header.request_id,
        model_name=header.model_name,
        job_id=header.job_id,
        files=tuple(AnnouncedFile(file.name, file.size_bytes, file.sha256) for file in header.files),
        request_bytes=canonical(header),
    )


def read_piece(request: pb.UploadModelRequest) -> tuple[str, bytes]:
    """Every other message of an upload: file name and bytes."""
    if not request.HasField("piece"):
        raise InvalidArgument.of("piece", "required", "must be every message after the first.")
    return request.piece.name, request.piece.data


def write_download(part: Model | tuple[str, bytes]) -> pb.DownloadModelResponse:
    """One message of a download."""
    if isinstance(part, Model):
        return pb.DownloadModelResponse(model=write_model(part))
    name, data = part
    return pb.DownloadModelResponse(piece=pb.FilePiece(name=name, data=data))


def read_page(request: pb.ListModelsRequest) -> tuple[int, int | None]:
    """The size of a page, and the sequence number before which it starts."""
    size = request.page_size
    if not 0 <= size <= PAGE_SIZE_MAX:
        raise InvalidArgument.of("page_size", "range", f"must be from 0 to {PAGE_SIZE_MAX}, is {size}.")
    before = _read_token(request.page_token, request.model_name) if request.page_token else None
    return size or PAGE_SIZE_DEFAULT, before


def write_token(before: int | None, model_name: str) -> str:
    """The token of the next page of the versions of a name (empty: of all); empty without one."""
    if before is None:
        return ""
    return base64.urlsafe_b64encode(_listing(model_name) + str(before).encode()).decode().rstrip("=")


def write_status(status: Status) -> pb.GetStatusResponse:
    """How the registry is."""
    return pb.GetStatusResponse(
        loaded_models=[_write_loaded(model, aliases, usage) for model, aliases, usage in status.loaded],
        version_count=status.version_count,
        stored_bytes=status.stored_bytes,
        free_bytes=status.free_bytes,
        start_time=_timestamp(status.start_time),
    )


def read_predict(request: pb.PredictRequest) -> PredictQuery:
    """A question."""
    version = request.version if request.HasField("version") else None
    return PredictQuery(request.model_name, version, read_alias_name(request.alias), request.arrow_ipc)


def write_predict(answer: PredictAnswer) -> pb.PredictResponse:
    """Its answer."""
    return pb.PredictResponse(
        arrow_ipc=answer.arrow_ipc,
        model_name=answer.model.model_name,
        version=answer.model.version,
        digest=answer.model.digest,
        watermark_time=None if answer.watermark is None else _timestamp(answer.watermark),
    )


def _write_loaded(model: Model, aliases: tuple[str, ...], usage: Usage) -> pb.LoadedModel:
    some: dict[str, Any] = {}
    if usage.median_seconds is not None:
        some["median_duration"] = Duration()
        some["median_duration"].FromNanoseconds(round(usage.median_seconds * 1e9))
    if usage.last_time is not None:
        some["last_time"] = _timestamp(usage.last_time)
    return pb.LoadedModel(
        model_name=model.model_name,
        version=model.version,
        digest=model.digest,
        aliases=aliases,
        call_count=usage.call_count,
        row_count=usage.row_count,
        **some,
    )


def _listing(model_name: str) -> bytes:
    """What a token begins with: the list that it goes on with, and no other."""
    return f"models:{model_name}:".encode()


def _read_token(token: str, model_name: str) -> int:
    listing = _listing(model_name)
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        if raw.startswith(listing):
            digits = raw.removeprefix(listing).decode("ascii")
            if digits.isdecimal() and len(digits) < 20 and 0 < int(digits) <= VERSION_MAX:
                return int(digits)
    except (binascii.Error, ValueError):
        pass
    raise InvalidArgument.of(
        "page_token", "token", f"must be the next_page_token of the same listing, is {shown(token)}."
    )


def _timestamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
