"""The cost meter: has this host measured in a process of its own, once, and keeps what came of it."""

from __future__ import annotations

import json
import math
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from marketml.rpc.refusals import Refusal, Unavailable
from services.host.children import child_environment
from services.host.logs import problems
from services.training.forecasting.cost_model import HostCosts, read_costs
from services.training.forecasting.cost_store import CostStore

USUAL_SECONDS = 20.0  # that a measurement takes
LONGEST_SECONDS = 300.0
AGAIN_SECONDS = 2.0  # at least, between two questions of one who waits


class CostMeter:
    """The costs of this host. All methods may be called from any thread.

    Parameters
    ----------
    host_key
        Names the kind of host, its threads and the versions of its libraries.
    command
        Starts the process that measures; the threads of a job are its last word.
    """

    def __init__(self, store: CostStore, host_key: str, command: Sequence[str], threads_count: int) -> None:
        self._store = store
        self._host_key = host_key
        self._command = [*command, str(threads_count)]
        self._threads_count = threads_count
        self._lock = threading.Lock()
        self._costs: HostCosts | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._begun = 0.0
        self._is_closed = False

    def start(self) -> None:
        """Measure, unless this kind of host is known; returns at once."""
        with self._lock:
            if self._costs is not None or self._is_closed or (self._thread and self._thread.is_alive()):
                return
            self._begun = time.monotonic()
            self._thread = threading.Thread(target=self._run, name="cost-meter", daemon=True)
            self._thread.start()

    def costs(self) -> HostCosts:
        """What work costs here.

        Raises
        ------
        Unavailable
            It is being measured, from now on if it was not.
        """
        if self._costs is None:
            self._costs = self._store.read_costs(self._host_key)
        if self._costs is None:
            self.start()
            left = max(AGAIN_SECONDS, math.ceil(USUAL_SECONDS - (time.monotonic() - self._begun)))
            raise Unavailable(f"This host is being measured; ask again in {left:g} s.", left)
        return self._costs

    def close(self) -> None:
        """End the process that measures."""
        with self._lock:
            self._is_closed = True
            process, thread = self._process, self._thread
        if process is not None:
            process.kill()
        if thread is not None:
            thread.join(LONGEST_SECONDS)

    def _run(self) -> None:
        try:
            if self._store.read_costs(self._host_key) is not None:
                return
            costs = self._measure()
            if costs is not None:
                self._store.keep_costs(self._host_key, costs)
        except Refusal as refusal:
            problems.warning("What was measured of this host could not be kept: %s", refusal)
        except Exception:
            problems.exception("This host could not be measured; the next forecast tries again.")

    def _measure(self) -> HostCosts | None:
        with self._lock:
            if self._is_closed:
                return None
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,  # whose end tells it that this server is gone
                stdout=subprocess.PIPE,
                env=child_environment(self._threads_count),
                start_new_session=True,
            )
            self._process = process
        try:
            assert process.stdout is not None
            assert process.stdin is not None
            cutter = threading.Timer(LONGEST_SECONDS, process.kill)
            cutter.start()
            said = process.stdout.readline()
            cutter.cancel()
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
        if self._is_closed:
            return None
        return read_costs(json.loads(said))
