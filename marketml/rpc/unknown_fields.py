"""Fields that a message holds and its contract has not: of a newer caller, whose wish would go unheard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from marketml.rpc.refusals import Violation


def unknown_fields(message: Message, path: str) -> Iterator[Violation]:
    """A violation for each, at the path of the message that holds it: only its number is known."""
    unknown: Any = UnknownFieldSet(message)
    for number in sorted({each.field_number for each in unknown}):
        yield Violation(path, "unknown", f"has no field number {number} in this contract, and it is set.")
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                for key in sorted(value):
                    yield from unknown_fields(value[key], f"{path}.{field.name}.{str(key)[:80]}")
        elif field.is_repeated:
            for position, each in enumerate(value):
                yield from unknown_fields(each, f"{path}.{field.name}[{position}]")
        else:
            yield from unknown_fields(value, f"{path}.{field.name}")
