"""Settings of the features room, from `MARKETML_FEATURES_*`."""

from __future__ import annotations

from dataclasses import dataclass

from services.host import NeighbourSettings


@dataclass(frozen=True, kw_only=True)
class FeaturesSettings(NeighbourSettings):
    """`work_memory_bytes` is what all computations together may take."""

    address: str = "127.0.0.1:50052"
    data_target: str = "127.0.0.1:50051"
    work_memory_bytes: int = 8 * 1024**3
