"""Settings of the features room, from `MARKETML_FEATURES_*`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.host import ServerSettings


@dataclass(frozen=True, kw_only=True)
class FeaturesSettings(ServerSettings):
    """`data_*` say how to reach the data room; `work_memory_bytes` is what all computations together may
    take."""

    address: str = "127.0.0.1:50052"
    data_target: str = "127.0.0.1:50051"
    data_tls: bool = False
    data_tls_authority: Path | None = None  # PEM; None trusts the system's authorities
    data_tls_certificate: Path | None = None
    data_tls_key: Path | None = None
    work_memory_bytes: int = 8 * 1024**3
