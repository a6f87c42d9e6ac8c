"""The doors that everybody may use: health, reflection, and the HTTP page of metrics and probes."""

from __future__ import annotations

import asyncio
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from services.host import Room, Server, ServerSettings
from tests.host.echo_service import SERVICE, Echo, Word, call, serving
from tests.support.servers import serve_in_process
from tests.support.waiting import eventually

STATUSES = health_pb2.HealthCheckResponse


def get(target: str, path: str) -> tuple[int, str, str]:
    """Status, content type and body of an HTTP page."""
    try:
        with urllib.request.urlopen(f"http://{target}{path}", timeout=20) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


@pytest.mark.parametrize("service", ["", SERVICE.full_name])
@pytest.mark.parametrize("is_apart", [False, True])
def test_health_is_served_for_the_service_and_for_the_server_on_both_ports(
    service: str, is_apart: bool
) -> None:
    with serving(Echo()) as (served, _):
        target = served.health_target if is_apart else served.target
        with grpc.insecure_channel(target) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            assert health.Check(health_pb2.HealthCheckRequest(service=service)).status == STATUSES.SERVING
            watch = health.Watch(health_pb2.HealthCheckRequest(service=service))
            assert next(watch).status == STATUSES.SERVING
            watch.cancel()


def test_health_of_an_unknown_service_is_not_found_and_watched_as_unknown() -> None:
    with serving(Echo()) as (served, _), grpc.insecure_channel(served.health_target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service="marketml.other.v1.Service")
        with pytest.raises(grpc.RpcError) as raised:
            health.Check(request)
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND
        watch = health.Watch(request)
        assert next(watch).status == STATUSES.SERVICE_UNKNOWN
        watch.cancel()


def test_the_health_port_serves_nothing_but_health() -> None:
    with serving(Echo()) as (served, _), grpc.insecure_channel(served.health_target) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            call(channel, "GetWord")(Word())
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_starting_server_is_alive_and_not_ready() -> None:
    async def start_slowly() -> None:
        entered, gate = asyncio.Event(), asyncio.Event()

        @asynccontextmanager
        async def lifespan() -> AsyncIterator[None]:
            entered.set()
            await gate.wait()
            yield

        server = Server(Room("test", ((SERVICE, Echo()),), lifespan=lifespan), ServerSettings())
        starting = asyncio.create_task(server.start())
        await entered.wait()
        page = f"127.0.0.1:{server.metrics_port}"
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.health_port}") as channel:
            watch = aiter(health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()))
            assert (await anext(watch)).status == STATUSES.NOT_SERVING
            assert (await asyncio.to_thread(get, page, "/livez"))[0] == 200
            assert (await asyncio.to_thread(get, page, "/readyz"))[0] == 503
            gate.set()
            await starting
            assert (await anext(watch)).status == STATUSES.SERVING
            assert (await asyncio.to_thread(get, page, "/readyz"))[0] == 200
        await server.stop(0)

    asyncio.run(start_slowly())


def test_the_lifespan_is_left_after_the_last_call_and_its_failure_stops_the_start() -> None:
    order: list[str] = []

    @asynccontextmanager
    async def background() -> AsyncIterator[None]:
        order.append("entered")
        yield
        order.append("left")

    echo = Echo()
    echo.on["work"] = lambda of: (of.cancelled.wait(1), order.append("call ended"))
    room = Room("test", ((SERVICE, echo),), lifespan=background)
    with serve_in_process(room) as served, grpc.insecure_channel(served.target) as channel:
        running = call(channel, "GetWord").future(Word(text="work"))
        eventually(lambda: echo.entered == ["work"])
        served.begin_stop(20).result(60)
        running.result(20)
    assert order == ["entered", "call ended", "left"]

    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        raise ValueError("no")
        yield  # makes it a generator

    with pytest.raises(ValueError, match="no"), serve_in_process(Room("test", (), lifespan=broken)):
        pass


def test_reflection_describes_every_service_and_can_be_switched_off() -> None:
    with serving(Echo()) as (served, _), grpc.insecure_channel(served.target) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert sorted(database.get_services()) == [
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
            SERVICE.full_name,
        ]
        described = database.FindFileContainingSymbol(SERVICE.full_name)
        assert [method.name for method in described.service[0].method] == [
            method.name for method in SERVICE.methods
        ]
    with serving(Echo(), reflection=False) as (served, _), grpc.insecure_channel(served.target) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            ProtoReflectionDescriptorDatabase(channel).get_services()
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_metrics_page_counts_calls_by_method_and_code() -> None:
    with serving(Echo()) as (served, channel):
        call(channel, "GetWord")(Word())
        status, kind, page = get(served.metrics_target, "/metrics")
        assert status == 200
        assert kind.startswith("text/plain")
        labels = 'code="OK",method="GetWord",service="marketml.test.EchoService"'
        assert f"marketml_rpc_handled_total{{{labels}}} 1.0" in page.splitlines()
        assert "marketml_rpc_duration_seconds_bucket" in page


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/livez", 200, "alive\n"),
        ("/readyz", 200, "ready\n"),
        ("/readyz?verbose", 200, "ready\n"),
        ("/", 404, "Pages: /metrics /livez /readyz\n"),
        ("/../etc/passwd", 404, "Pages: /metrics /livez /readyz\n"),
    ],
)
def test_the_probe_pages_answer(path: str, status: int, body: str) -> None:
    with serving(Echo()) as (served, _):
        assert get(served.metrics_target, path)[::2] == (status, body)


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 "),
        (b"nonsense\r\n\r\n", b"HTTP/1.1 405 "),
        (b"\x16\x03\x01" * 5000, b""),
        (b"GET /metrics", b""),
        (b"", b""),
    ],
)
def test_the_metrics_door_survives_callers_who_do_not_speak_http(sent: bytes, answer: bytes) -> None:
    with serving(Echo()) as (served, _):
        host, port = served.metrics_target.split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(13) == answer
        assert get(served.metrics_target, "/livez")[0] == 200


def test_a_stop_does_not_wait_for_a_caller_who_stays_silent_at_the_metrics_door() -> None:
    with serving(Echo()) as (served, _):
        host, port = served.metrics_target.split(":")
        with socket.create_connection((host, int(port)), timeout=20):
            eventually(lambda: get(served.metrics_target, "/livez")[0] == 200)
            served.begin_stop(1).result(30)
