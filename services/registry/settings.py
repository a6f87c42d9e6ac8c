"""The registry's settings, each read from `MARKETML_REGISTRY_*`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.host import ServerSettings


@dataclass(frozen=True, kw_only=True)
class RegistrySettings(ServerSettings):
    """`folder` holds the model files. Models that no alias points at stay in memory up to `loaded_bytes`.
    Files that belong to no version go after `leftover_grace_seconds`, which must outlast an upload. Other
    processes' switches are seen after `refresh_seconds` at most."""

    address: str = "127.0.0.1:50054"
    database_url: str = "sqlite:///.run/registry/registry.sqlite"
    folder: Path = Path(".run/registry")
    loaded_bytes: int = 256 * 1024 * 1024
    leftover_grace_seconds: float = 3600.0
    sweep_interval_seconds: float = 600.0
    refresh_seconds: float = 1.0
    request_id_retention_seconds: float = 7 * 24 * 3600.0
