"""The memory that all computations of the process together may take."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from marketml.rpc.refusals import Reason, ResourceExhausted

RETRY_AFTER_SECONDS = 5.0


class MemoryBudget:
    """Bytes handed out and given back; never more than `total_bytes` at a time."""

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = total_bytes
        self._taken_bytes = 0
        self._lock = threading.Lock()

    @contextmanager
    def reserved(self, size_bytes: int) -> Iterator[None]:
        """Hold `size_bytes` while the block runs.

        Raises
        ------
        ResourceExhausted
            More than the whole budget, or (with a time to wait) more than is free now.
        """
        with self._lock:
            if size_bytes > self._total_bytes:
                raise ResourceExhausted(
                    "work_memory_bytes",
                    f"The work needs {size_bytes:,} bytes and this server lends {self._total_bytes:,}.",
                )
            if size_bytes > self._total_bytes - self._taken_bytes:
                raise ResourceExhausted(
                    "work_memory_bytes",
                    f"The work needs {size_bytes:,} bytes and other calls hold {self._taken_bytes:,} of "
                    f"{self._total_bytes:,}.",
                    RETRY_AFTER_SECONDS,
                    Reason.OVERLOADED,
                )
            self._taken_bytes += size_bytes
        try:
            yield
        finally:
            with self._lock:
                self._taken_bytes -= size_bytes
