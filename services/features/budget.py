"""The memory that all computations of the process together may take."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from marketml.rpc.refusals import Reason, ResourceExhausted

RETRY_AFTER_SECONDS = 5.0


class Loan:
    """What one computation holds of a budget."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._size_bytes = 0

    def resize(self, size_bytes: int) -> None:
        """Hold so much from here on, more or less than before.

        Raises
        ------
        ResourceExhausted
            More than the whole budget, or (with a time to wait) more than is free now; it holds what it held.
        """
        self._budget._move(size_bytes, self._size_bytes)
        self._size_bytes = size_bytes


class MemoryBudget:
    """Bytes handed out and given back; never more than `total_bytes` at a time."""

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = total_bytes
        self._taken_bytes = 0
        self._lock = threading.Lock()

    @contextmanager
    def reserved(self, size_bytes: int) -> Iterator[Loan]:
        """Hold `size_bytes` while the block runs, or what the loan is resized to.

        Raises
        ------
        ResourceExhausted
            As `Loan.resize`.
        """
        loan = Loan(self)
        loan.resize(size_bytes)
        try:
            yield loan
        finally:
            loan.resize(0)

    def _move(self, size_bytes: int, held_bytes: int) -> None:
        with self._lock:
            others_bytes = self._taken_bytes - held_bytes
            if size_bytes > self._total_bytes:
                raise ResourceExhausted(
                    "work_memory_bytes",
                    f"The work needs {size_bytes:,} bytes and this server lends {self._total_bytes:,}.",
                )
            if size_bytes > held_bytes and size_bytes > self._total_bytes - others_bytes:
                raise ResourceExhausted(
                    "work_memory_bytes",
                    f"The work needs {size_bytes:,} bytes and other calls hold {others_bytes:,} of "
                    f"{self._total_bytes:,}.",
                    RETRY_AFTER_SECONDS,
                    Reason.OVERLOADED,
                )
            self._taken_bytes = others_bytes + size_bytes
