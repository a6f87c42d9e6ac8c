"""`PlatformConfig` and the config's tree of fields, by the contract's own descriptor."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from marketml.registry.v1 import registry_pb2 as pb
from marketml.rpc.refusals import InvalidArgument
from marketml.rpc.unknown_fields import unknown_fields
from services.registry.config import PATH, ConfigVersion, Tree

_NANOS = 1_000_000_000


def read_config(message: pb.PlatformConfig) -> Tree:
    """The fields that a message sets.

    Raises
    ------
    InvalidArgument
        Fields that this contract does not have, lengths of time that are none, or what no platform decides:
        formulas are a request's own.
    """
    broken = list(unknown_fields(message, PATH))
    if broken:
        raise InvalidArgument(broken)
    return _tree(message, PATH)


def write_config(tree: Tree) -> pb.PlatformConfig:
    """A message that sets the fields of a tree."""
    message = pb.PlatformConfig()
    _fill(message, tree)
    return message


def write_time(version: ConfigVersion) -> Timestamp:
    """When the version came into force."""
    stamp = Timestamp()
    stamp.FromDatetime(version.update_time)
    return stamp


def _tree(message: Message, path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        below = f"{path}.{field.name}"
        if field.is_repeated:
            if value and field.message_type is not None:
                raise InvalidArgument.of(below, "unused", "must be empty: each request has its own.")
            if value:
                found[field.name] = list(value)
        elif field.has_presence and not message.HasField(field.name):
            continue
        elif field.message_type is not None:
            is_duration = isinstance(value, Duration)
            found[field.name] = _seconds(value, below) if is_duration else _tree(value, below)
        elif field.enum_type is not None:
            known = field.enum_type.values_by_number.get(value)
            found[field.name] = known.name if known is not None else str(value)
        else:
            found[field.name] = value
    return found


def _fill(message: Message, tree: Tree) -> None:
    for name, value in tree.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        if field.is_repeated:
            getattr(message, name).extend(value)
        elif field.message_type is None:
            enum = field.enum_type
            setattr(message, name, value if enum is None else enum.values_by_name[value].number)
        elif isinstance(getattr(message, name), Duration):
            seconds, nanos = divmod(round(value * _NANOS), _NANOS)
            getattr(message, name).CopyFrom(Duration(seconds=seconds, nanos=nanos))
        else:
            getattr(message, name).SetInParent()
            _fill(getattr(message, name), value)


def _seconds(duration: Duration, path: str) -> float:
    seconds, nanos = duration.seconds, duration.nanos
    if abs(nanos) >= _NANOS or seconds * nanos < 0 or abs(seconds) > 315_576_000_000:
        raise InvalidArgument.of(
            path, "duration", f"must be a length of time, is {seconds} seconds and {nanos} nanoseconds."
        )
    return seconds + nanos / _NANOS
