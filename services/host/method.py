"""A method of a contract joined to its servicer's function: how messages are decoded, called and encoded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from marketml.rpc.refusals import InvalidArgument, Reason
from services.host.call import Call


@dataclass(frozen=True)
class Method:
    """One method of one servicer: how to decode, what to call, which bounds hold."""

    service: str
    name: str
    decode: Callable[[bytes], Any]
    function: Callable[..., Any] | None  # None: the servicer does not have it
    takes_stream: bool
    gives_stream: bool
    is_endless: bool  # a watch: ended at once when the server drains, since it would never end by itself
    is_admitted: bool  # False: health and reflection, which overload and draining must not silence

    @property
    def is_stream(self) -> bool:
        return self.takes_stream or self.gives_stream


def method_of(
    service: ServiceDescriptor,
    descriptor: MethodDescriptor,
    servicer: object,
    is_endless: bool,
    is_admitted: bool,
) -> Method:
    """The method of a contract, joined to the servicer's function of the same name.

    Raises
    ------
    TypeError
        It takes a stream and the function is not `async def`.
    """
    function = getattr(servicer, descriptor.name, None)
    if function is not None and descriptor.client_streaming:
        is_async = (
            inspect.isasyncgenfunction(function)
            if descriptor.server_streaming
            else inspect.iscoroutinefunction(function)
        )
        if not is_async:
            raise TypeError(f"{descriptor.full_name} takes a stream: the method must be `async def`.")
    return Method(
        service=service.full_name,
        name=descriptor.name,
        decode=GetMessageClass(descriptor.input_type).FromString,
        function=function,
        takes_stream=descriptor.client_streaming,
        gives_stream=descriptor.server_streaming,
        is_endless=is_endless,
        is_admitted=is_admitted,
    )


def decoded(method: Method, raw: bytes) -> Any:
    """The message, or `InvalidArgument` with reason UNDECODABLE."""
    try:
        return method.decode(raw)
    except DecodeError:
        raise InvalidArgument.of(
            "request",
            "undecodable",
            f"These {len(raw)} bytes are not its message.",
            Reason.UNDECODABLE,
        ) from None


def encoded(response: Any) -> bytes:
    """A response as bytes, which it may already be."""
    if isinstance(response, bytes):
        return response
    serialised: bytes = response.SerializeToString()
    return serialised


def answered(method: Method, raw: bytes, call: Call) -> bytes:
    """A unary call from bytes to bytes."""
    assert method.function is not None
    return encoded(method.function(decoded(method, raw), call))


def opened(method: Method, raw: bytes, call: Call) -> Iterator[Any]:
    """The responses of a unary-to-stream call, not yet asked for."""
    assert method.function is not None
    return iter(method.function(decoded(method, raw), call))


def next_encoded(responses: Iterator[Any]) -> bytes | None:
    """The next response as bytes; None at the end."""
    response = next(responses, None)
    return None if response is None else encoded(response)
