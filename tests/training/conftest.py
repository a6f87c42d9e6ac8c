"""The other three rooms as real processes, once for all tests of a worker, with 1,500 hourly bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from marketml.clients.data import DataClient
from marketml.clients.registry import RegistryClient
from marketml.clients.training import TrainingClient
from marketml.training.v1 import training_pb2 as pb
from tests.support.bars import hourly_bars
from tests.support.servers import RoomProcess

BARS = 1_500
WAIT_SECONDS = 180.0
SERIES = ("binance", "BTC/USDT:USDT", "1h")


@dataclass(frozen=True)
class Neighbourhood:
    """Where the rooms are."""

    data: RoomProcess
    features: RoomProcess
    registry: RoomProcess

    def settings(self) -> dict[str, object]:
        """The training room's settings that lead here."""
        return {
            "data_target": self.data.target,
            "features_target": self.features.target,
            "registry_target": self.registry.target,
        }

    def logs(self) -> str:
        """Everything that the rooms wrote."""
        return "".join(room.log() for room in (self.data, self.features, self.registry))


@pytest.fixture(scope="session")
def neighbourhood(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbourhood]:
    """Data, features and registry, with bars in which the last move tells a little of the next one."""
    with ExitStack() as rooms:
        data, registry = (RoomProcess(name, tmp_path_factory.mktemp(name)) for name in ("data", "registry"))
        for room in (data, registry):  # which start side by side
            rooms.enter_context(room)
        folder = tmp_path_factory.mktemp("features")
        features = rooms.enter_context(RoomProcess("features", folder, data_target=data.target))
        with DataClient(data.target) as client:
            client.ingest_candles(candles(BARS), *SERIES)
        yield Neighbourhood(data, features, registry)


@pytest.fixture
def start_training_room(
    neighbourhood: Neighbourhood, start_room: Callable[..., RoomProcess]
) -> Callable[..., RoomProcess]:
    """`start_training_room(jobs_count=2)`: a training room of this test's own beside the other rooms."""

    def start(**more: object) -> RoomProcess:
        return start_room("training", **neighbourhood.settings() | more)

    return start


@pytest.fixture(scope="session")
def shared_room(
    neighbourhood: Neighbourhood, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RoomProcess]:
    """A training room that nobody kills."""
    with RoomProcess("training", tmp_path_factory.mktemp("training"), **neighbourhood.settings()) as room:
        yield room


@pytest.fixture
def training(shared_room: RoomProcess) -> Iterator[TrainingClient]:
    """A client of the training room that nobody kills."""
    with TrainingClient(shared_room.target) as client:
        yield client


@pytest.fixture(scope="session")
def calm_job(shared_room: RoomProcess) -> pb.Job:
    """What a job on `quick_config` comes to when nobody disturbs it."""
    with TrainingClient(shared_room.target) as client:
        return client.start_training("calm", quick_config()).result(WAIT_SECONDS)


@pytest.fixture
def registry(neighbourhood: Neighbourhood) -> Iterator[RegistryClient]:
    with RegistryClient(neighbourhood.registry.target) as client:
        yield client


def candles(count: int, seed: int = 1) -> pd.DataFrame:
    """Hourly bars of a price whose returns follow the one before, and a volume."""
    random = np.random.default_rng(seed)
    shocks = random.normal(0.0, 0.008, count)
    returns = np.zeros(count)
    for bar in range(1, count):
        returns[bar] = 0.5 * returns[bar - 1] + shocks[bar]
    close = 30_000.0 * np.exp(np.cumsum(returns))
    return hourly_bars(close, random, "2024-01-01")


def quick_config(**more: object) -> pb.TrainingConfig:
    """A config that trains in a few seconds: two families of features, two folds, a small model."""
    config = pb.TrainingConfig(seed=7)
    config.dataset.series.series.venue = SERIES[0]
    config.dataset.series.series.symbol = SERIES[1]
    config.dataset.series.series.timeframe = SERIES[2]
    for family in ("statistical", "market", "calendar"):
        getattr(config.features, family).enabled = False
    config.label.fixed_horizon.horizon_bars = 4
    config.split.folds = 2
    config.split.embargo_bars = 4
    config.model.lightgbm.rounds = 40
    config.model.lightgbm.num_leaves = 7
    config.early_stopping.patience_rounds = 10
    config.evaluation.interval_draws = 100
    for path, value in more.items():
        message, (*parents, name) = config, path.split("__")
        for parent in parents:
            message = getattr(message, parent)
        setattr(message, name, value)
    return config
