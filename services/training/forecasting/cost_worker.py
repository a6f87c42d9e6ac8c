"""The process that measures the host: `python -m services.training.forecasting.cost_worker THREADS`.

It imports what a worker imports, fits for some seconds, writes its costs as one JSON line, and ends; also
when its stdin does, for then the server that started it is gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

NICENESS = 15  # a job that runs meanwhile, which itself gives way to the servers, is not held up


def main(threads: int) -> int:
    """Measure; the exit status."""
    os.nice(NICENESS)
    threading.Thread(target=_end_with_server, daemon=True).start()
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no cost

    import psutil

    from services.training import neighbours, runner, scores  # noqa: F401  as a worker does
    from services.training.forecasting.cost_measurements import KINDS, Stopwatch, measure, warm_up
    from services.training.forecasting.cost_model import HostCosts, Seconds, fit_costs, write_costs
    from services.training.learners import extra_trees, forest

    scores.load()
    process = psutil.Process()
    # The clock would tell what else runs on this host, and how cold its disks are.
    spent = time.process_time()
    start, idle_bytes = Seconds(spent, spent), process.memory_info().rss
    library_bytes, library_seconds, before = {}, {}, idle_bytes
    for kind in KINDS:
        watch = Stopwatch()
        warm_up(kind, threads)
        library_seconds[kind] = watch.lap()
        after = process.memory_info().rss
        library_bytes[kind], before = max(0, after - before), after
    # Who comes second finds the library of both loaded.
    library_bytes[extra_trees.KIND] = library_bytes[forest.KIND]
    library_seconds[extra_trees.KIND] = library_seconds[forest.KIND]
    coefficients = fit_costs(list(measure(threads=threads)))
    costs = HostCosts(coefficients, start, library_seconds, idle_bytes, library_bytes)
    lines.write(json.dumps(write_costs(costs)) + "\n")
    lines.close()
    return 0


def _end_with_server() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    status = main(int(sys.argv[1]))
    sys.stderr.flush()
    os._exit(status)  # an orderly end would wait for the thread that reads stdin
