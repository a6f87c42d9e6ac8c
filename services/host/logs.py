"""Logs: one JSON object a line on stderr. No payload, secret or path of a request ever goes in."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from marketml.rpc import correlation

requests = logging.getLogger("marketml.requests")
problems = logging.getLogger("marketml.problems")


class JsonLines(logging.Formatter):
    """A record as one line: time, level, room, message, and what the caller gave as `extra={"fields": …}`."""

    def __init__(self, room: str) -> None:
        super().__init__()
        self._room = room

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "room": self._room,
            "logger": record.name,
            "message": record.getMessage(),
        }
        around = correlation.current()
        if around is not None:
            line["request_id"] = around.request_id
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _is_news(record: logging.LogRecord) -> bool:
    """gRPC logs a traceback for every caller who left before the status reached them, and Alembic at every
    start how it would migrate."""
    if record.name == "alembic.runtime.migration" and record.levelno <= logging.INFO:
        return record.getMessage().startswith("Running ")
    is_trace = record.name.startswith("grpc.") and record.exc_info is not None
    return not (is_trace and "SendStatusFromServerOperation" in str(record.exc_info[1]))  # type: ignore[index]


def write_json_lines(room: str, level: str) -> None:
    """Send every log record of this process to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(room))
    handler.addFilter(_is_news)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
