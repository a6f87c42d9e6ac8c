"""What the clients of all rooms share: a channel to one room, closed when its owner is done."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Self

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
