"""What the room counts beside its calls: moves of jobs, and workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.training.jobs import Event


class JobMetrics:
    """Counters of one room, fed with every event that is published."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._moves = Counter(
            "marketml_training_job_moves", "Jobs that came into a state.", ("state",), registry=registry
        )
        self._workers = Gauge("marketml_training_workers", "Worker processes.", registry=registry)

    def watch_workers(self, count: Callable[[], int]) -> None:
        """Name who knows how many workers there are."""
        self._workers.set_function(count)

    def count(self, events: Sequence[Event]) -> None:
        """Count the moves among stored events."""
        for event in events:
            moved = json.loads(event.detail).get("state_changed")
            if moved is not None:
                self._moves.labels(moved["state"].removeprefix("JOB_STATE_")).inc()
