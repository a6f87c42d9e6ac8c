"""The digests of a result: what its values follow from, with its source and without."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable

import numpy as np
import pandas as pd

from services.features.config import FeatureConfig
from services.features.expressions import Expression
from services.features.plan import Plan

# What changes values with its version, our own code apart.
_LIBRARIES = ("numba", "numpy", "pandas", "scipy")


def config_digest(plan: Plan, expressions: tuple[Expression, ...]) -> str:
    """SHA-256, hex, of the columns in their order with the warm-up of each, the formulas, and the code.

    A column's name holds its settings. What else a config says chooses columns or refuses work, and changes
    no value.
    """
    return _digest(
        {
            "features": [[name, *plan.lookbacks[name]] for name in plan.names],
            "expressions": {each.name: each.expression for each in expressions},
            "code": code_version(),
        }
    )


def result_digest(frame: pd.DataFrame, timeframe: timedelta, of_config: str) -> str:
    """SHA-256, hex, of the source's content and the digest of the config.

    The source counts by content, so that a snapshot and the series it was made from agree.
    """
    return _digest({"source": _source_digest(frame, timeframe), "config": of_config})


def choice_digest(config: FeatureConfig) -> str:
    """SHA-256, hex, of all that a config says but its limits and how the work is divided."""
    chosen = dataclasses.asdict(config)
    del chosen["limits"], chosen["tsfresh"]["parallel_jobs"]
    return _digest(chosen)


def _digest(described: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@cache
def code_version() -> str:
    """SHA-256, hex, of the modules that compute and the versions of the libraries they compute with."""
    digest = hashlib.sha256()
    for library in _LIBRARIES:
        digest.update(f"{library} {metadata.version(library)}\n".encode())
    for folder in ("calculators", "expressions", "rolling"):
        for name, file in _modules(resources.files("services.features") / folder, f"{folder}/"):
            digest.update(name.encode() + b"\0" + file.read_bytes())
    for module in ("columns.py", "engine.py", "feature.py", "plan.py"):
        digest.update(module.encode() + b"\0" + (resources.files("services.features") / module).read_bytes())
    return digest.hexdigest()


def _modules(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _modules(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".py"):
            yield prefix + entry.name, entry


def _source_digest(frame: pd.DataFrame, timeframe: timedelta) -> str:
    digest = hashlib.sha256(f"{timeframe.total_seconds()} {len(frame)}\n".encode())
    digest.update(_bytes(frame.index))
    for name in sorted(frame.columns):
        digest.update(name.encode() + b"\0" + str(frame[name].dtype.kind).encode())
        digest.update(_bytes(frame[name]))
    return digest.hexdigest()


def _bytes(column: pd.Index | pd.Series) -> bytes:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        values = np.asarray(column.astype("datetime64[us, UTC]").astype("int64"))
    else:
        # One NaN, whatever bits it had.
        values = np.asarray(column, dtype=np.float64) + 0.0
        values[np.isnan(values)] = np.nan
    return values.tobytes()
