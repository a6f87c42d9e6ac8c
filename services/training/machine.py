"""The machine and the code of this process: what decides the bytes of a model beside its inputs, and what it
costs to fit one."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import platform
from pathlib import Path

_LIBRARIES = ("lightgbm", "marketml", "numpy", "scikit-learn", "scipy", "xgboost")
_ROOT = Path(__file__).resolve().parents[2]
_COMPUTING = ("services/training", "marketml/bundle")


@functools.cache
def machine_kind() -> str:
    """The processor as far as compiled code depends on it: `x86_64 sapphirerapids`."""
    from llvmlite import binding  # type: ignore[import-untyped]  # here: asked once, where it matters

    return f"{platform.machine()} {binding.get_host_cpu_name()}"


@functools.cache
def code_digest() -> str:
    """SHA-256 of the sources that a model comes from: 64 lower-case hexadecimal digits."""
    hasher = hashlib.sha256()
    for folder in _COMPUTING:
        for path in sorted((_ROOT / folder).rglob("*.py")):
            content = path.read_bytes()
            hasher.update(f"{path.relative_to(_ROOT).as_posix()} {len(content)} ".encode())
            hasher.update(content)
    return hasher.hexdigest()


def host_key(cores_count: int, threads_count: int) -> str:
    """What the cost of a fit depends on, as 64 lower-case hexadecimal digits."""
    said = {
        "machine": machine_kind(),
        "cores": cores_count,
        "threads": threads_count,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _LIBRARIES},
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
