"""States of frames: a word that is another one whenever the rows of the frame may be others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from importlib import metadata, resources
from typing import Any

from services.data.query.alignment import FrameSpec
from services.data.records import SeriesState
from services.data.series import Series

# What makes frames of rows, our own code apart.
_LIBRARIES = ("numpy", "pyarrow")
_MODULES = ("blocks.py", "records.py", "revisions.py", "series.py")


def state_of(spec: FrameSpec, read: Iterable[tuple[Series, SeriesState]], lags_us: Iterable[int]) -> str:
    """SHA-256, hex, of all that the rows of a resolved spec follow from.

    Parameters
    ----------
    spec
        What is asked for.
    read
        The series that the frame is read from, and what is stored of them.
    lags_us
        How long after its observation open interest is known, of the series and of its reference.
    """
    ages = [spec.funding_max_age_us, spec.open_interest_max_age_us]
    told: dict[str, Any] = {
        "series": spec.series.key,
        "reference": None if spec.reference is None else spec.reference.key,
        "times": [spec.start_us, spec.end_us, spec.as_of_us, *ages],
        "read": [[*series.key, each.id, each.newest_capture_us, each.change_key] for series, each in read],
        "lags": list(lags_us),
        "code": code_version(),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@cache
def code_version() -> str:
    """SHA-256, hex, of the modules that make frames and the versions of the libraries they use: another
    version of the room may make other rows of what is stored."""
    digest = hashlib.sha256()
    for library in _LIBRARIES:
        digest.update(f"{library} {metadata.version(library)}\n".encode())
    room = resources.files("services.data")
    files = {f"query/{file.name}": file for file in (room / "query").iterdir() if file.name.endswith(".py")}
    files |= {name: room / name for name in _MODULES}
    for name, file in sorted(files.items()):
        digest.update(name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
