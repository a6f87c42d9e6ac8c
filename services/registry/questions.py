"""What is asked and answered beside models themselves: predictions by columns, and how the registry is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.registry.memory import Usage
from services.registry.models import Model


@dataclass(frozen=True)
class PredictQuery:
    """A table of features to answer: by a version, or without one by an alias."""

    model_name: str
    version: int | None
    alias: str
    arrow_ipc: bytes


@dataclass(frozen=True)
class PredictAnswer:
    """A table of probabilities, who gave them, and the newest `open_time` among the rows."""

    model: Model
    arrow_ipc: bytes
    watermark: datetime | None


@dataclass(frozen=True)
class Status:
    """How the registry is."""

    loaded: tuple[tuple[Model, tuple[str, ...], Usage], ...]
    version_count: int
    stored_bytes: int
    free_bytes: int
    start_time: datetime
