"""One platform for the journey, and the market it travels on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import marketml.demo
from tests.imports.found_data import FOLDER
from tests.journey.running import Platform


@dataclass(frozen=True)
class Market:
    """Files of one instrument, and the span the journey trains on."""

    venue: str
    symbol: str
    files: tuple[Path, ...]
    start: str
    end: str
    has_all: bool


@pytest.fixture(scope="session")
def market() -> Market:
    """The demo set where candles, funding and open interest overlap; without it the file of the package."""
    folder = FOLDER / "demo"
    if folder.exists():
        files = tuple(sorted(folder.glob("*.csv.gz")))
        return Market("binance", "BTC/USDT:USDT", files, "2024-06-01T00:00Z", "2024-10-01T00:00Z", True)
    demo = marketml.demo
    return Market(demo.VENUE, demo.SYMBOL, (demo.FILE,), "2019-05-01T00:00Z", "2019-09-01T00:00Z", False)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """`marketml up`, running."""
    with Platform(tmp_path_factory.mktemp("platform")) as running:
        yield running
