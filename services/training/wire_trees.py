"""Messages as plain JSON objects and back: the form in which config, events and results are kept.

Absent fields are left out; maps are objects, enums their names, timestamps RFC 3339 text, durations seconds.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from marketml.rpc.refusals import Violation
from services.training.jobs import Tree

M = TypeVar("M", bound=Message)

_DURATION, _TIMESTAMP = Duration.DESCRIPTOR.full_name, Timestamp.DESCRIPTOR.full_name
_NANOSECONDS = 1_000_000_000
KEY_CHARACTERS = 80  # of a key in a path: it is the caller's, of any length


def read_tree(message: Message, path: str) -> tuple[Tree, list[Violation]]:
    """A message as a tree, and every field of it that means nothing, which is left out: unknown enum numbers,
    impossible times, numbers that are not finite."""
    violations: list[Violation] = []
    return _read(message, path, violations), violations


def write_tree(tree: Tree, message: M) -> M:
    """Fill `message` with a tree that `read_tree` gave, or that this room wrote, and return it."""
    for name, value in tree.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        if _is_map(field):
            for key, each in value.items():
                _write_entry(field, key, each, getattr(message, name))
        elif field.is_repeated:
            for each in value:
                if field.type == FieldDescriptor.TYPE_MESSAGE:
                    write_tree(each, getattr(message, name).add())
                else:
                    getattr(message, name).append(each)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            _write_message(value, getattr(message, name))
        else:
            setattr(message, name, value)
    return message


def _read(message: Message, path: str, violations: list[Violation]) -> Tree:
    tree: Tree = {}
    for field, value in message.ListFields():
        at = f"{path}.{field.name}"
        found: Any
        if _is_map(field):
            of = _value_of(field)
            named = {
                key: _read_value(of, value[key], f"{at}.{key[:KEY_CHARACTERS]}", violations)
                for key in sorted(value)
            }
            found = {key: each for key, each in named.items() if each is not None}
        elif field.is_repeated:
            listed = [
                _read_value(field, each, f"{at}[{index}]", violations) for index, each in enumerate(value)
            ]
            found = [each for each in listed if each is not None]
        else:
            found = _read_value(field, value, at, violations)
        if found is not None:
            tree[field.name] = found
    return tree


def _read_value(field: FieldDescriptor, value: Any, path: str, violations: list[Violation]) -> Any:
    def refuse(rule: str, description: str) -> None:
        violations.append(Violation(path, rule, description))

    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        if known is None or value == 0:
            names = ", ".join(each.name for each in field.enum_type.values if each.number)
            refuse("unknown", f"must be one of {names}, is {known.name if known else value}.")
            return None
        return known.name
    if field.message_type is not None:
        kind = field.message_type.full_name
        if kind == _DURATION:
            if not -315_576_000_000 <= value.seconds <= 315_576_000_000 or (
                abs(value.nanos) >= _NANOSECONDS or value.seconds * value.nanos < 0
            ):
                refuse("duration", f"is no duration: {value.seconds} s and {value.nanos} ns.")
                return None
            return value.seconds + value.nanos / _NANOSECONDS
        if kind == _TIMESTAMP:
            try:
                return value.ToJsonString()
            except ValueError:
                refuse("time", f"is no time: {value.seconds} s and {value.nanos} ns.")
                return None
        return _read(value, path, violations)
    if isinstance(value, float) and not math.isfinite(value):
        refuse("finite", f"must be finite, is {value}.")
        return None
    return value


def _is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _value_of(field: Any) -> Any:
    """The field of a map's entries that holds the value."""
    return field.message_type.fields_by_name["value"]


def _write_entry(field: Any, key: str, value: Any, entries: Any) -> None:
    if _value_of(field).message_type is None:
        entries[key] = value
    else:
        _write_message(value, entries[key])


def _write_message(value: Any, message: Message) -> None:
    if isinstance(message, Duration):
        message.FromNanoseconds(round(value * _NANOSECONDS))
    elif isinstance(message, Timestamp):
        message.FromJsonString(value)
    else:
        message.SetInParent()
        write_tree(value, message)
