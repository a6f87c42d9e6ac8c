"""YAML and JSON that people write, as messages; times and enum values in the words people use."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import yaml
from google.protobuf import json_format
from google.protobuf.message import Message

M = TypeVar("M", bound=Message)


def read_mapping(path: Path) -> dict[str, Any]:
    """A YAML (or JSON) file that holds one mapping.

    Raises
    ------
    click.UsageError
        It cannot be read, or holds something else.
    """
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path} cannot be read: {error}.") from None
    except yaml.YAMLError as error:
        raise click.UsageError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise click.UsageError(f"{path} must hold names and values, not a {type(found).__name__}.")
    return found


def to_message(mapping: Any, message: M, where: str) -> M:
    """Fill `message` from a mapping; unknown names and wrong types are refused with their place.

    Enum values may be written short, in any case: `balanced` for `CLASS_WEIGHT_BALANCED`.
    """
    try:
        json_format.ParseDict(_prepared(mapping, message.DESCRIPTOR), message)
    except json_format.ParseError as error:
        raise click.UsageError(f"{where}: {' '.join(str(error).split())}") from None
    return message


def parse_time(text: str, name: str) -> datetime:
    """`2024-01-31`, `2024-01-31T08:00`, with or without a zone; without one it is UTC.

    Raises
    ------
    click.UsageError
        It is no time.
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise click.UsageError(f"{name} must be a time like 2024-01-31T08:00Z: {text!r}.") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def parse_given_time(text: str | None, name: str) -> datetime | None:
    """The same of an option that may be left out."""
    return parse_time(text, name) if text else None


def _prepared(value: Any, kind: Any) -> Any:
    """YAML's dates as text, enum values in full, spans of time in seconds; `kind` describes the message,
    if known."""
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return f"{value.isoformat()}T00:00:00Z"
    if isinstance(value, dict):
        fields = kind.fields_by_name if kind is not None else {}
        return {str(name): _field(inner, fields.get(str(name))) for name, inner in value.items()}
    if isinstance(value, list):
        return [_prepared(inner, kind) for inner in value]
    return value


def _field(value: Any, field: Any) -> Any:
    if field is None:
        return _prepared(value, None)
    if field.enum_type is not None and isinstance(value, str):
        prefix = field.enum_type.values_by_number[0].name.removesuffix("UNSPECIFIED")
        full = prefix + value.upper().replace("-", "_")
        return full if full in field.enum_type.values_by_name else value
    is_span = field.message_type is not None and field.message_type.full_name == "google.protobuf.Duration"
    if is_span and isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value}s"
    return _prepared(value, field.message_type)
