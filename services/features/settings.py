"""Settings of the features room, from `MARKETML_FEATURES_*`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.host import ServerSettings, SettingsError
from services.host.settings import split_address


@dataclass(frozen=True, kw_only=True)
class FeaturesSettings(ServerSettings):
    """`data_target` and `neighbour_tls*` say how to reach the data room; `work_memory_bytes` is what all
    computations together may take."""

    address: str = "127.0.0.1:50052"
    data_target: str = "127.0.0.1:50051"
    neighbour_tls: bool = False
    neighbour_tls_authority: Path | None = None  # PEM; None trusts the system's authorities
    neighbour_tls_certificate: Path | None = None
    neighbour_tls_key: Path | None = None
    work_memory_bytes: int = 8 * 1024**3

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            host, port = split_address(self.data_target)
        except ValueError:
            host, port = "", 0
        if not host or not 1 <= port <= 65535:
            raise SettingsError(f"data_target must be host:port: {self.data_target!r}.")
        if (self.neighbour_tls_certificate is None) != (self.neighbour_tls_key is None):
            raise SettingsError("neighbour_tls_certificate and neighbour_tls_key must be given together.")
        if not self.neighbour_tls and (self.neighbour_tls_authority or self.neighbour_tls_certificate):
            raise SettingsError("neighbour_tls must be true when files for it are given.")
