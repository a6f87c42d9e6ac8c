"""Settings of the features room, from `MARKETML_FEATURES_*`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from services.host import ClusterSettings


@dataclass(frozen=True, kw_only=True)
class FeaturesSettings(ClusterSettings):
    """`work_memory_bytes` is what all computations together may take; results of at most `cache_bytes`
    together are kept below `folder`, newest vectors of at most `vectors_bytes` in memory. What a config
    divides is computed by at most `workers_count` processes of this machine, or on the Dask cluster of
    `dask_scheduler`, as `tcp://host:8786`; a call waits `dask_patience_seconds` for one that does not
    answer."""

    address: str = "127.0.0.1:50052"
    data_target: str = "127.0.0.1:50051"
    work_memory_bytes: int = 8 * 1024**3
    folder: Path = Path(".run/features")
    cache_bytes: int = 2 * 1024**3
    vectors_bytes: int = 64 * 1024**2
    workers_count: int = min(8, os.cpu_count() or 1)
    dask_patience_seconds: float = 60.0
