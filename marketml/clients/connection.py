"""What the clients of all rooms share: a channel to one room, closed when its owner is done; pages of lists;
ids of requests."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from google.protobuf.descriptor import ServiceDescriptor

from marketml.rpc.channels import Tls, open_channel


class Connection:
    """A channel to a room; as a context manager it is closed at the end. What runs in the room goes on.

    Parameters
    ----------
    service
        Of the contract.
    target
        `host:port`.
    tls
        None is plaintext.
    not_repeatable
        Methods that are not sent again by themselves when the room was UNAVAILABLE.
    options
        More gRPC channel arguments.
    """

    def __init__(
        self,
        service: ServiceDescriptor,
        target: str,
        tls: Tls | None,
        *,
        not_repeatable: Iterable[str] = (),
        options: Iterable[tuple[str, int | str]] = (),
    ) -> None:
        names = {method.name for method in service.methods} - set(not_repeatable)
        self._channel = open_channel(
            target,
            tls=tls,
            retryable=[f"{service.full_name}/{name}" for name in sorted(names)],
            options=options,
        )

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def every(method: Callable[[Any], Any], request: Any, field: str, *, limit: int | None = None) -> list[Any]:
    """What all pages of a list hold, at most `limit` when given.

    Parameters
    ----------
    method
        Of the stub.
    request
        For the first page; its `page_size` is how many one page has at most.
    field
        Of the answers, which holds what is listed.
    """
    found: list[Any] = []
    while limit is None or len(found) < limit:
        if limit is not None:
            request.page_size = min(request.page_size, limit - len(found))
        response = method(request)
        found.extend(getattr(response, field))
        request.page_token = response.next_page_token
        if not request.page_token:
            break
    return found


def new_request_id() -> str:
    """An id under which a change may be sent again."""
    return uuid.uuid4().hex
