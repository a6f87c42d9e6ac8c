"""What a call carries from room to room: the id its logs share, and when its first caller stops waiting."""

from __future__ import annotations

import re
import secrets
import time
from contextvars import ContextVar
from dataclasses import dataclass

HEADER = "x-request-id"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@dataclass(frozen=True)
class Correlation:
    """`request_id` joins the log lines of every room a call passes; `deadline` is a `time.monotonic` instant
    that no nested call may outlive, or None."""

    request_id: str
    deadline: float | None = None

    def remaining_seconds(self) -> float | None:
        """Seconds until the deadline, never below 0; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


_current: ContextVar[Correlation | None] = ContextVar("marketml_correlation", default=None)


def new_request_id() -> str:
    """A fresh id: 16 hexadecimal digits."""
    return secrets.token_hex(8)


def accepted(request_id: str | bytes | None) -> str:
    """The caller's id when it is well formed (`[A-Za-z0-9._:-]`, at most 64 characters), else a fresh one."""
    if isinstance(request_id, str) and _WELL_FORMED.fullmatch(request_id):
        return request_id
    return new_request_id()


def current() -> Correlation | None:
    """The correlation of the call this code runs for, or None outside any call."""
    return _current.get()


def enter(correlation: Correlation | None) -> None:
    """Make `correlation` the one of this context (a task, or a copied context on a pool thread)."""
    _current.set(correlation)
