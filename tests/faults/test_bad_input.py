"""Whatever a caller sends to whichever method of the four rooms, the answer is a documented status.

Random messages built from the contracts, damaged ones and plain noise go to every method, streams too.
UNKNOWN and INTERNAL are bugs. A refusal has its documented details, names a field that the request's contract
has, and has changed nothing. Afterwards every room still serves.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketml.clients.data import DataClient
from marketml.clients.registry import RegistryClient
from marketml.clients.training import TrainingClient
from tests.faults.asking import BUGS, CALL_SECONDS_MAX, SECRET, flaws, outcome
from tests.faults.stock import stock
from tests.support.messages import Known, requests
from tests.support.servers import RoomProcess, Rooms, four_rooms

# (room, module, service)
SERVICES = [
    ("data", "marketml.data.v1.data_pb2", "DataService"),
    ("features", "marketml.features.v1.features_pb2", "FeatureService"),
    ("training", "marketml.training.v1.training_pb2", "TrainingService"),
    ("registry", "marketml.registry.v1.registry_pb2", "RegistryService"),
    ("registry", "inference.open_inference_pb2", "GRPCInferenceService"),
]


def every_method() -> list[Any]:
    """(room, method) of every service a room serves, those of the host included."""
    found = []
    for room, module, name in SERVICES:
        service = importlib.import_module(module).DESCRIPTOR.services_by_name[name]
        found += [(room, method) for method in service.methods]
    of_host: Any = [
        health_pb2.DESCRIPTOR.services_by_name["Health"],
        reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"],
    ]
    found += [("data", method) for service in of_host for method in service.methods]
    # What takes things away comes last.
    return sorted(found, key=lambda of: of[1].name.startswith(("Delete", "Stop")))


METHODS = every_method()


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    few = {"training": {"queued_jobs_count": 2}}
    with four_rooms(tmp_path_factory.mktemp("rooms"), few) as started:
        yield started


@pytest.fixture(scope="module")
def known(rooms: Rooms) -> Known:
    return stock(rooms)


@pytest.fixture(scope="module")
def channels(rooms: Rooms) -> Iterator[dict[str, grpc.Channel]]:
    with ExitStack() as opened:
        yield {room.name: opened.enter_context(grpc.insecure_channel(room.target)) for room in rooms.all()}


@pytest.fixture(scope="module")
def state(rooms: Rooms) -> Iterator[Callable[[str], Any]]:
    """`state("data")` is what a caller can read of a room: what a refused call must not have changed."""
    with (
        DataClient(rooms.data.target) as data,
        RegistryClient(rooms.registry.target) as registry,
        TrainingClient(rooms.training.target) as training,
    ):
        readings: dict[str, Callable[[], Any]] = {
            "data": lambda: (data.list_series(), data.list_snapshots()),
            "features": lambda: None,
            "training": lambda: [job.job_id for job in training.list_trainings()],
            "registry": lambda: (registry.list_models(), registry.get_config()),
        }
        yield lambda room: readings[room]()


def last_bug(room: RoomProcess) -> str:
    """The newest traceback in a room's log."""
    lines = [json.loads(line) for line in room.log().splitlines() if line.startswith("{")]
    return next((line["traceback"] for line in reversed(lines) if "traceback" in line), "no traceback")


@pytest.mark.parametrize(
    ("name", "method"),
    METHODS,
    ids=[f"{method.containing_service.name}.{method.name}" for _, method in METHODS],
)
def test_no_message_breaks_a_method(
    rooms: Rooms,
    known: Known,
    channels: dict[str, grpc.Channel],
    state: Callable[[str], Any],
    name: str,
    method: Any,
) -> None:
    @settings(max_examples=30, suppress_health_check=list(HealthCheck))
    @given(sent=requests(method, known))
    def send(sent: list[bytes]) -> None:
        before = state(name)
        ended = outcome(channels[name], method, sent)
        assert ended.code not in BUGS, last_bug(getattr(rooms, name))
        assert not flaws(ended, method)
        if ended.code is not grpc.StatusCode.OK:
            assert state(name) == before

    send()


@given(
    path=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60), sent=st.binary(max_size=50)
)
def test_no_path_breaks_a_room(channels: dict[str, grpc.Channel], path: str, sent: bytes) -> None:
    for channel in channels.values():
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary(f"/{path}")(sent, timeout=CALL_SECONDS_MAX)
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_every_room_still_serves_and_its_log_has_no_bug(rooms: Rooms) -> None:
    for room in rooms.all():
        with grpc.insecure_channel(room.health_target) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert "A bug ended a call." not in room.log(), last_bug(room)
        assert "Traceback" not in room.log(), last_bug(room)
        assert SECRET not in room.log() + room.output()
