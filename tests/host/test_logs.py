"""One request id through every room of a call, and logs that hold nothing a caller sent."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from marketml.rpc import channels, correlation, refusals
from marketml.rpc.refusals import Internal
from services.host import Call
from tests.host.echo_service import Echo, Word, call, refusal_of, served, serving
from tests.support.servers import ROOT, RoomProcess
from tests.support.waiting import eventually

CANARY = "c4n4ry-4711"


def ids_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The request ids of the request log, in order."""
    lines: list[Any] = [record for record in caplog.records if record.name == "marketml.requests"]
    return [line.fields["request_id"] for line in lines]


def test_the_request_id_crosses_rooms(caplog: pytest.LogCaptureFixture) -> None:
    far, near = Echo(), Echo()
    with served(far) as far_room, serving(near) as (_, channel), channels.open_channel(far_room.target) as on:
        near.on["unary"] = lambda _call: call(on, "GetWord")(Word(text="far"))
        near.on["stream"] = lambda _call: list(call(on, "ListWords")(Word(text="far", count=1)))
        with caplog.at_level(logging.INFO, logger="marketml.requests"):
            for text in ("unary", "stream"):
                for name in ("GetWord", "ListWords"):
                    answer = call(channel, name)
                    sent = [("x-request-id", f"from-{text}-{name}")]
                    got: Any = answer(Word(text=text, count=1), metadata=sent)
                    assert got.text == text if name == "GetWord" else list(got)
            eventually(lambda: len(ids_of(caplog)) == 8)
    assert sorted(ids_of(caplog)) == sorted(
        f"from-{text}-{name}"
        for text in ("unary", "stream")
        for name in ("GetWord", "ListWords")
        for _ in "12"
    )


def test_a_call_without_an_id_gets_one_and_a_malformed_one_is_replaced() -> None:
    echo = Echo()
    with served(echo) as room, grpc.insecure_channel(room.target) as plain:
        call(plain, "GetWord")(Word())
        call(plain, "GetWord")(Word(), metadata=[("x-request-id", "a b/{c}")])
        call(plain, "GetWord")(Word(), metadata=[("x-request-id", "x" * 65)])
        call(plain, "GetWord")(Word(), metadata=[("x-request-id", "x" * 64)])
    first, second, third, fourth = [one.request_id for one in echo.calls]
    assert len({first, second, third}) == 3
    assert all(len(made) == 16 and correlation.accepted(made) == made for made in (first, second, third))
    assert fourth == "x" * 64


def test_a_nested_call_ends_before_the_deadline_of_its_caller() -> None:
    far, near = Echo(), Echo()
    far.on["work"] = lambda of: of.cancelled.wait(60)
    nested: list[refusals.Refusal] = []

    def relay(_call: Call) -> None:
        nested.append(refusal_of(lambda: call(on, "GetWord")(Word(text="work"))))
        raise nested[0]

    near.on["relay"] = relay
    with served(far) as far_room, serving(near) as (_, channel), channels.open_channel(far_room.target) as on:
        refusal = refusal_of(lambda: call(channel, "GetWord")(Word(text="relay"), timeout=1.0))
        assert isinstance(refusal, refusals.DeadlineExceeded)
        eventually(lambda: nested)
        assert isinstance(nested[0], refusals.DeadlineExceeded)
        assert far.calls[0].deadline < near.calls[0].deadline


def test_no_log_line_or_error_holds_what_a_caller_sent(tmp_path: Path) -> None:
    with RoomProcess("echo", tmp_path, module="tests.host.echo_room", log_level="DEBUG") as room:
        metadata = [("authorization", f"Bearer {CANARY}"), ("x-other", CANARY)]
        with channels.open_channel(room.target) as channel:
            call(channel, "GetWord")(Word(text=CANARY, payload=CANARY.encode()), metadata=metadata)
            list(call(channel, "ListWords")(Word(text=CANARY, count=3), metadata=metadata))
            raw = call(channel, "GetWord", request_serializer=bytes)
            undecodable = refusal_of(lambda: raw(b"\xff" + CANARY.encode(), metadata=metadata))
            bug = refusal_of(lambda: call(channel, "GetWord")(Word(text="bug"), metadata=metadata))
        with grpc.insecure_channel(room.target) as plain, pytest.raises(grpc.RpcError) as unknown:
            plain.unary_unary(f"/{CANARY}/{CANARY}")(CANARY.encode(), metadata=metadata)
        assert room.stop() == 0
        for answer in (undecodable.message, bug.message, str(unknown.value.details())):
            assert CANARY not in answer
        assert CANARY not in room.log()
        assert CANARY not in room.output()
        lines = [json.loads(line) for line in room.log().splitlines()]
        assert [line["code"] for line in lines if line["logger"] == "marketml.requests"] == [
            *("OK", "OK", "INVALID_ARGUMENT", "INTERNAL", "UNIMPLEMENTED")
        ]
        assert isinstance(bug, Internal)
        (told,) = [line for line in lines if line.get("reference") == bug.reference]
        assert "RuntimeError" in told["traceback"]
        (logged,) = [line for line in lines if line.get("code") == "INTERNAL"]
        assert told["request_id"] == logged["request_id"]


def test_a_start_that_a_refusal_ends_is_one_line_of_the_log() -> None:
    script = (
        "from services.host import explained_start\n"
        "from marketml.rpc.refusals import DataLoss\n"
        "with explained_start('echo'):\n"
        "    raise DataLoss('The database is damaged.')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    (line,) = [json.loads(line) for line in ended.stderr.splitlines()]
    assert line["message"] == "The echo room cannot start: The database is damaged."


def test_a_start_logs_the_migrations_that_it_runs_and_nothing_else_of_them(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\n"
        "from services.host import logs\n"
        "from services.host.database import open_database\n"
        "logs.write_json_lines('echo', 'INFO')\n"
        "open_database('sqlite:///echo.sqlite', migrations=Path('MIGRATIONS')).close()\n"
    ).replace("MIGRATIONS", str(ROOT / "tests/host/migrations"))
    told = []
    for _ in range(2):
        started = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        told.append([json.loads(line)["message"] for line in started.stderr.splitlines()])
    first, second = told
    assert first
    assert all(message.startswith("Running upgrade ") for message in first)
    assert second == []
