"""The data room as a fixture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.market import DataRoom, data_room


@pytest.fixture
def room(database_url: str, tmp_path: Path) -> Iterator[DataRoom]:
    """A data room on SQLite, then one on PostgreSQL."""
    with data_room(database_url, tmp_path) as served:
        yield served
