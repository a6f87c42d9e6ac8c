"""Where the files of the catalogue lie; tests that need them skip loudly without them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("MARKETML_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


def found(name: str) -> Path:
    """The file or folder `name` of the catalogue."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"{name} of the market-data folder is absent: set MARKETML_TEST_DATA to its place")
    return path
