"""What the command prints: tables and sentences for people, one JSON document or JSON lines for programs.

Results go to stdout, everything said on the way to stderr, so that a pipe carries results alone.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console


class Output:
    """Where one command writes. `is_json` is its `--json`."""

    def __init__(self, is_json: bool) -> None:
        self.is_json = is_json
        self.out = Console(highlight=False, soft_wrap=True)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)

    @property
    def is_live(self) -> bool:
        """Whether progress may be drawn over itself."""
        return self.err.is_terminal and not self.is_json

    def document(self, value: Any) -> None:
        """The one result of a command with `--json`."""
        print(json.dumps(plain(value), indent=2, ensure_ascii=False))

    def line(self, value: Any) -> None:
        """One of many results of a command with `--json`."""
        print(json.dumps(plain(value), ensure_ascii=False, separators=(",", ":")), flush=True)

    def say(self, text: str, style: str | None = None) -> None:
        """A sentence for people, on the way; nothing with `--json`."""
        if not self.is_json:
            self.err.print(text, style=style, markup=False)

    def show(self, text: str = "") -> None:
        """A result for people; nothing with `--json`."""
        if not self.is_json:
            self.out.print(text, markup=False)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
        """A table for people, numbers to the right; nothing with `--json`."""
        if self.is_json:
            return
        listed = [[cell(value) for value in row] for row in rows]
        widths = [max(map(len, texts)) for texts in zip(columns, *listed, strict=True)]
        right = [all(_is_number(text) for text in texts if text) for texts in zip(*listed, strict=True)]
        aligned = right or [False] * len(columns)

        def line(texts: Sequence[str]) -> str:
            parts = zip(texts, widths, aligned, strict=True)
            return "  ".join(t.rjust(width) if is_number else t.ljust(width) for t, width, is_number in parts)

        if title:
            self.out.print(title, style="bold", markup=False)
        self.out.print(line(columns).rstrip(), style="bold", markup=False)
        for row in listed:
            self.out.print(line(row).rstrip(), markup=False)

    def frame(self, frame: pd.DataFrame) -> None:
        """A DataFrame: JSON lines, or CSV text."""
        if self.is_json:
            for row in frame.reset_index().to_dict("records"):
                self.line(row)
        else:
            frame.to_csv(sys.stdout, date_format="%Y-%m-%dT%H:%M:%SZ")


def plain(value: Any) -> Any:
    """Anything the rooms answer as what JSON knows: messages by field, times in RFC 3339, spans in seconds,
    enums by name, NaN as null."""
    if isinstance(value, Timestamp):
        return time_text(value)
    if isinstance(value, Duration):
        return value.ToTimedelta().total_seconds()
    if isinstance(value, Message):
        return _plain_message(value)
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, pd.Timestamp | datetime):
        return None if value is pd.NaT else pd.Timestamp(value).isoformat().replace("+00:00", "Z")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | int | bool) or value is None:
        return value
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, Iterable):
        return [plain(inner) for inner in value]
    return str(value)


def _plain_message(message: Message) -> dict[str, Any]:
    """Fields that are set, and those that have no absence."""
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        if field.enum_type is not None and not field.is_repeated:
            found[field.name] = enum_text(field.enum_type, value)
        elif field.enum_type is not None:
            found[field.name] = [enum_text(field.enum_type, inner) for inner in value]
        else:
            found[field.name] = plain(value)
    return found


def enum_text(kind: Any, number: int) -> str:
    """The value's name without its type: `JOB_STATE_RUNNING` is `running`."""
    name = kind.values_by_number[number].name if number in kind.values_by_number else str(number)
    words = kind.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return str(name).removeprefix(words).lower()


def time_text(time: Timestamp) -> str:
    """`2024-10-31T23:00:00Z`."""
    return time.ToDatetime(UTC).isoformat(timespec="auto").replace("+00:00", "Z")


def cell(value: Any) -> str:
    """A value in a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}" if abs(value) < 1 else f"{value:,.4g}"
    if isinstance(value, Timestamp):
        return value.ToDatetime(UTC).strftime("%Y-%m-%d %H:%M") if value.ByteSize() else ""
    if isinstance(value, Duration):
        return seconds_text(value.ToTimedelta().total_seconds())
    return str(value)


def seconds_text(seconds: float) -> str:
    """`850 ms`, `12.5 s`, `3:07`, `2:03:07`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "", 1).lstrip("-").removesuffix("%").isdigit()
