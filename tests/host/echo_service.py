"""A small service for the tests of the host, its descriptor built at run time, and ways to call it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass

from marketml.rpc import channels
from marketml.rpc.refusals import NotFound, Refusal
from services.host import Call, Room, ServerSettings
from tests.support.servers import Served, serve_in_process

FILE = descriptor_pb2.FileDescriptorProto(
    name="marketml/test/echo.proto", package="marketml.test", syntax="proto3"
)
_word = FILE.message_type.add(name="Word")
for _number, (_name, _kind) in enumerate(
    [
        ("text", descriptor_pb2.FieldDescriptorProto.TYPE_STRING),
        ("count", descriptor_pb2.FieldDescriptorProto.TYPE_INT64),
        ("payload", descriptor_pb2.FieldDescriptorProto.TYPE_BYTES),
    ],
    start=1,
):
    _word.field.add(
        name=_name, number=_number, type=_kind, label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
    )
_service = FILE.service.add(name="EchoService")
for _name, _takes, _gives in [
    ("GetWord", False, False),
    ("GetWordAtOnce", False, False),
    ("ListWords", False, True),
    ("WatchWords", False, True),
    ("IngestWords", True, False),
    ("TalkWords", True, True),
    ("LaterWord", False, False),
]:
    _service.method.add(
        name=_name,
        input_type=".marketml.test.Word",
        output_type=".marketml.test.Word",
        client_streaming=_takes,
        server_streaming=_gives,
    )

POOL = descriptor_pool.Default()
POOL.AddSerializedFile(FILE.SerializeToString())
SERVICE: Any = POOL.FindServiceByName("marketml.test.EchoService")
Word: Any = GetMessageClass(POOL.FindMessageTypeByName("marketml.test.Word"))


class Echo:
    """`text` says what to do; `on[text]` is called with the call, on the thread or loop of the method."""

    def __init__(self) -> None:
        self.on: dict[str, Callable[[Call], Any]] = {}
        self.entered: list[str] = []
        self.calls: list[Call] = []
        self.closed = threading.Event()

    def _act(self, request: Any, call: Call) -> Any:
        self.entered.append(request.text)
        self.calls.append(call)
        if request.text in self.on:
            self.on[request.text](call)
        return Word(text=request.text, count=request.count, payload=request.payload)

    def GetWord(self, request: Any, call: Call) -> Any:
        return self._act(request, call)

    async def GetWordAtOnce(self, request: Any, call: Call) -> Any:
        return self._act(request, call)

    def ListWords(self, request: Any, call: Call) -> Iterator[Any]:
        try:
            for number in range(request.count):
                if request.text == "late" and number == 3:
                    raise NotFound("word", "third")
                if request.text == "bug" and number == 3:
                    raise RuntimeError("password=hunter2")
                if request.text == "bytes":
                    yield Word(count=number, payload=request.payload).SerializeToString()
                else:
                    yield Word(text=request.text, count=number, payload=request.payload)
            self._act(request, call)
        finally:
            self.closed.set()

    async def WatchWords(self, request: Any, call: Call) -> AsyncIterator[Any]:
        try:
            yield self._act(request, call)
            if request.text == "flood":
                while True:
                    yield Word(payload=b"x" * 1_000_000)
            await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def IngestWords(self, requests: AsyncIterator[Any], call: Call) -> Any:
        count = 0
        async for request in requests:
            count += 1
            self._act(request, call)
        return Word(count=count)

    async def TalkWords(self, requests: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
        async for request in requests:
            yield await call.run(self._act, request, call)


def method_names() -> list[str]:
    return [method.name for method in SERVICE.methods]


def call(channel: Any, name: str, **arguments: Any) -> Any:
    """The multi-callable of a method, over messages."""
    method = SERVICE.methods_by_name[name]
    shape = {(False, False): "unary_unary", (False, True): "unary_stream", (True, False): "stream_unary"}.get(
        (method.client_streaming, method.server_streaming), "stream_stream"
    )
    return getattr(channel, shape)(
        f"/{SERVICE.full_name}/{name}",
        request_serializer=arguments.get("request_serializer", Word.SerializeToString),
        response_deserializer=arguments.get("response_deserializer", Word.FromString),
    )


@contextmanager
def served(echo: Echo, **settings: Any) -> Iterator[Served]:
    """A server of the echo room inside this process."""
    room = Room("test", ((SERVICE, echo),), endless=frozenset({"WatchWords"}))
    with serve_in_process(room, ServerSettings(**settings)) as running:
        yield running


@contextmanager
def serving(echo: Echo, **settings: Any) -> Iterator[tuple[Served, Any]]:
    """A server and a channel to it."""
    with served(echo, **settings) as running, channels.open_channel(running.target) as channel:
        yield running, channel


def refusal_of(function: Callable[[], Any]) -> Refusal:
    """The refusal that `function` raises."""
    try:
        function()
    except Refusal as refusal:
        return refusal
    raise AssertionError("nothing was refused")
