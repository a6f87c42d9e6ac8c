"""Answers as they are remembered beside their `request_id`: JSON that later versions of the code can read."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from marketml.bundle import FileEntry
from services.registry.models import Alias, Model, Switched


def pack_model(model: Model) -> bytes:
    """A model as JSON."""
    return json.dumps(_of_model(model)).encode()


def unpack_model(answer: bytes) -> Model:
    """What `pack_model` packed."""
    return _to_model(json.loads(answer))


def pack_switched(switched: Switched) -> bytes:
    """A switch as JSON."""
    alias = switched.alias
    return json.dumps(
        {
            "previous_version": switched.previous_version,
            "model_name": alias.model_name,
            "alias": alias.alias,
            "model": _of_model(alias.model),
            "since_time": alias.since_time.isoformat(),
            "etag": alias.etag,
            "switch": alias.switch,
        }
    ).encode()


def unpack_switched(answer: bytes) -> Switched:
    """What `pack_switched` packed."""
    value = json.loads(answer)
    previous_version = value.pop("previous_version")
    value["model"] = _to_model(value["model"])
    value["since_time"] = datetime.fromisoformat(value["since_time"])
    return Switched(Alias(**value), previous_version)


def _of_model(model: Model) -> dict[str, Any]:
    return {
        **vars(model),
        "create_time": model.create_time.isoformat(),
        "files": [[file.name, file.size_bytes, file.sha256] for file in model.files],
    }


def _to_model(value: dict[str, Any]) -> Model:
    return Model(
        **value
        | {
            "create_time": datetime.fromisoformat(value["create_time"]),
            "class_names": tuple(value["class_names"]),
            "files": tuple(FileEntry(*file) for file in value["files"]),
            "aliases": tuple(value["aliases"]),
        }
    )
