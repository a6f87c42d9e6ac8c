"""A field that a neighbour refuses is named as the caller of this room knows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor

from marketml.clients.data import DataClient
from marketml.data.v1 import data_pb2
from marketml.features.v1 import features_pb2
from marketml.training.v1 import training_pb2 as pb
from services.training.neighbours import Endpoints, Neighbours, our_path
from tests.training.conftest import SERIES, Neighbourhood


def fields(message: Descriptor, path: str) -> Iterator[str]:
    """The paths of a message's fields at every depth, its own first."""
    yield path
    for field in message.fields:
        at = f"{path}.{field.name}"
        if field.message_type is None or field.message_type.full_name.startswith("google."):
            yield at
        else:
            yield from fields(field.message_type, at)


OURS = set(fields(pb.TrainingConfig.DESCRIPTOR, "config"))
THEIRS = [
    *[
        ("data", path)
        for path in fields(data_pb2.FrameSpec.DESCRIPTOR, "frame")
        if path != "frame.base_timeframe"  # which a job leaves to the data room
    ],
    *[("features", path) for path in fields(features_pb2.FeatureConfig.DESCRIPTOR, "config")],
    ("data", "snapshot_id"),
    ("features", "snapshot_id"),
]


@pytest.mark.parametrize(("room", "theirs"), THEIRS)
def test_every_field_of_a_job_that_a_neighbour_may_refuse_has_a_place_in_the_jobs_config(
    room: str, theirs: str
) -> None:
    ours = our_path(room, theirs)
    assert ours in OURS
    assert ours.rpartition(".")[2] == theirs.rpartition(".")[2] or theirs in ("frame", "config")


@pytest.mark.parametrize(
    ("room", "theirs", "ours"),
    [
        ("features", "config", "config.features"),
        ("features", "config.technical.features[3]", "config.features.technical.features[3]"),
        ("data", "frame.series.venue", "config.dataset.series.series.venue"),
        ("data", "frame.funding_max_age", "config.dataset.funding_max_age"),
        ("data", "request_id", "request_id"),
        ("registry", "model_name", "model_name"),
    ],
)
def test_a_path_below_a_known_one_keeps_its_end_and_any_other_keeps_its_name(
    room: str, theirs: str, ours: str
) -> None:
    assert our_path(room, theirs) == ours


def test_an_age_that_nobody_gave_is_the_data_rooms_to_decide(neighbourhood: Neighbourhood) -> None:
    rooms = (neighbourhood.data, neighbourhood.features, neighbourhood.registry)
    neighbours = Neighbours(Endpoints(*(room.target for room in rooms)))
    try:
        key = {"venue": SERIES[0], "symbol": SERIES[1], "timeframe": "4h"}
        silent: dict[str, Any] = {"series": {"series": key}}
        later = {"series": key, "range": {"start_time": "2024-01-02T00:00:00+00:00"}}
        ages = {"open_interest_max_age": 3600.0, "funding_max_age": 7200.0}
        snapshots = {
            name: neighbours.create_snapshot(dataset, f"ages-{name}").snapshot_id
            for name, dataset in (
                ("silent", silent),
                ("stated", {"series": later, **ages}),
            )
        }
        neighbours.require_dataset(silent)
    finally:
        neighbours.close()
    with DataClient(neighbourhood.data.target) as data:
        frames = {name: data.get_snapshot(digest).frame for name, digest in snapshots.items()}
    assert frames["silent"].open_interest_max_age.seconds == 8 * 3600, "two bars"
    assert frames["stated"].open_interest_max_age.seconds == 3600
    assert frames["stated"].funding_max_age.seconds == 7200
