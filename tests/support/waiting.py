"""Waiting for what happens elsewhere: a condition and a deadline, never a guessed pause."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.01


def eventually(condition: Callable[[], T], deadline_seconds: float = 20.0, what: str = "the condition") -> T:
    """Poll until `condition` returns something true, and return that; fail after the deadline."""
    until = time.monotonic() + deadline_seconds
    while not (value := condition()):
        assert time.monotonic() < until, f"{what} did not come true within {deadline_seconds:g} s"
        time.sleep(POLL_SECONDS)
    return value
