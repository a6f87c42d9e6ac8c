"""Forecasts of whole jobs over the four rooms, beside the jobs themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from marketml.clients.training import TrainingClient
from marketml.training.v1 import training_pb2 as pb
from services.host.database import open_database
from services.training.__main__ import MIGRATIONS, cores_count
from services.training.cost_store import CostStore
from services.training.machine import host_key
from tests.support.servers import RoomProcess
from tests.training.conftest import quick_config
from tests.training.costs import made_costs


@pytest.fixture(scope="module")
def planning(neighbourhood: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainingClient]:
    """A client of a room whose database knows what this host costs."""
    folder = tmp_path_factory.mktemp("planning")
    url = f"sqlite:///{folder}/training.sqlite"
    with open_database(url, migrations=MIGRATIONS) as database:
        CostStore(database).keep_costs(host_key(cores_count(), 1), made_costs())
    settings = neighbourhood.settings() | {"database_url": url, "job_threads_count": 1}  # type: ignore[attr-defined]
    with RoomProcess("training", folder, **settings) as room, TrainingClient(room.target) as client:
        yield client


def test_a_plan_counts_the_rows_features_and_fits_that_the_job_has(
    planning: TrainingClient, calm_job: pb.Job
) -> None:
    planned = planning.plan_training(quick_config())
    assert planned.config == calm_job.config
    assert planned.row_count == calm_job.result.row_count
    assert planned.feature_count == calm_job.result.feature_count
    assert planned.fit_count == 3
