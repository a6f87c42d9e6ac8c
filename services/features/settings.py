"""Settings of the features room, from `MARKETML_FEATURES_*`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.host import NeighbourSettings


@dataclass(frozen=True, kw_only=True)
class FeaturesSettings(NeighbourSettings):
    """`work_memory_bytes` is what all computations together may take; results of at most `cache_bytes`
    together are kept below `folder`."""

    address: str = "127.0.0.1:50052"
    data_target: str = "127.0.0.1:50051"
    work_memory_bytes: int = 8 * 1024**3
    folder: Path = Path(".run/features")
    cache_bytes: int = 2 * 1024**3
