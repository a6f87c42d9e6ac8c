"""How fast health is answered while the training room is at work.

    python benchmarks/health.py [--rounds 6] [--seconds 8] [--watchers 100] [--threads N]

The four rooms run as processes. A checker asks the training room for its health every few milliseconds, on
the port of health, which probes use, and on the port of the service, by turns: idle, while a job trains on
every core it may use or on so many threads, and while watchers, each with a connection of its own, follow it.
One such second is not like the next on a machine that others share, so the three come again and again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import numpy as np
import pandas as pd
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from marketml.clients.data import DataClient
from marketml.clients.training import FINAL_STATES, JobHandle, TrainingClient
from marketml.training.v1 import training_pb2 as pb
from tests.support.servers import Rooms, four_rooms
from tests.support.waiting import eventually

VENUE, SYMBOL, TIMEFRAME = "binance", "BTC/USDT:USDT", "1h"
BARS = 20_000
PAUSE_SECONDS = 0.005
P99_SECONDS_MAX = 0.050
Spent = dict[tuple[str, str], list[float]]  # of what is measured and the port, seconds of each call


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each of the three in a round")
    parser.add_argument("--watchers", type=int, default=100, help="0 leaves them out")
    parser.add_argument("--threads", type=int, help="of the job; as many as there are cores by default")
    parser.add_argument("--watch", nargs=3, metavar=("TARGET", "JOB", "COUNT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.watch:
        watch(given.watch[0], given.watch[1], int(given.watch[2]))
        return
    settings = {"training": {"job_threads_count": given.threads}} if given.threads else {}
    spent: Spent = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, four_rooms(Path(folder), settings) as rooms:
        _ingest(rooms)
        with TrainingClient(rooms.training.target) as client:
            for round_number in range(given.rounds):
                measure(rooms, "idle", given.seconds, spent)
                job = start_long_job(client, f"health-{round_number}")
                measure(rooms, "a job trains", given.seconds, spent)
                if given.watchers:
                    with watching(rooms, job.job_id, given.watchers):
                        measure(rooms, f"a job trains, {given.watchers} watchers", given.seconds, spent)
                assert job.job().state == pb.JOB_STATE_RUNNING, "the job ended before it was measured"
                job.stop()
                eventually(lambda job=job: job.job().state in FINAL_STATES, 30)
    report(spent)


def measure(rooms: Rooms, title: str, seconds: float, spent: Spent) -> None:
    """Add what calls take on each of the two ports."""
    targets = {"health port": rooms.training.health_target, "service port": rooms.training.target}
    with ExitStack() as opened:
        stubs = {
            name: HealthStub(opened.enter_context(grpc.insecure_channel(target)))
            for name, target in targets.items()
        }
        for stub in stubs.values():
            stub.Check(HealthCheckRequest(), wait_for_ready=True)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for name, stub in stubs.items():
                started = time.perf_counter()
                answer = stub.Check(HealthCheckRequest())
                spent[title, name].append(time.perf_counter() - started)
                assert answer.status == HealthCheckResponse.SERVING
                time.sleep(PAUSE_SECONDS)


def report(spent: Spent) -> None:
    """A row for each of what was measured; how many times the idle p99 its own is."""
    print(f"{'health of the training room, ms':<50}{'p50':>7}{'p99':>7}{'max':>8}{'calls':>8}{'of idle':>9}")
    idle = {name: np.quantile(each, 0.99) for (title, name), each in spent.items() if title == "idle"}
    for (title, name), durations in spent.items():
        p50, p99 = np.quantile(durations, (0.5, 0.99))
        row = f"{p50 * 1000:7.2f}{p99 * 1000:7.2f}{max(durations) * 1000:8.2f}"
        mark = "" if p99 < P99_SECONDS_MAX else f"   p99 is over {P99_SECONDS_MAX * 1000:g} ms"
        ratio = f"{p99 / idle[name]:7.2f} x"
        print(f"{f'{title} ({name})':<50}{row}{len(durations):8,}{ratio}{mark}", flush=True)


def start_long_job(client: TrainingClient, name: str) -> JobHandle:
    """A job that trains for minutes; returns once its models are being fitted."""
    config = client.get_default_training_config()
    config.dataset.series.series.venue = VENUE
    config.dataset.series.series.symbol = SYMBOL
    config.dataset.series.series.timeframe = TIMEFRAME
    config.early_stopping.Clear()
    config.early_stopping.enabled = False
    config.model.lightgbm.rounds = 5_000
    job = client.start_training(name, config)
    for event in job.watch(timeout=300):
        if event.HasField("stage_started") and event.stage_started.stage == pb.JOB_STAGE_CROSS_VALIDATION:
            return job
    raise AssertionError(f"The job ended before it trained: {job.job().failure}")


@contextmanager
def watching(rooms: Rooms, job_id: str, count: int) -> Iterator[None]:
    """`count` callers that watch a job, each over a connection of its own. They are another process: their
    threads would take turns with the checker's."""
    command = [sys.executable, __file__, "--watch", rooms.training.target, job_id, str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "connected\n", "a watcher got no event"
            yield
        finally:
            process.kill()


def watch(target: str, job_id: str, count: int) -> None:
    """Watch until killed; says when every watcher has got its first event."""
    connected = threading.Semaphore(0)

    def follow() -> None:
        with TrainingClient(target) as client:
            for number, _ in enumerate(client.watch_training(job_id)):
                if number == 0:
                    connected.release()

    for _ in range(count):
        threading.Thread(target=follow, daemon=True).start()
    for _ in range(count):
        if not connected.acquire(timeout=60):
            return
    print("connected", flush=True)
    threading.Event().wait()


def _ingest(rooms: Rooms) -> None:
    random = np.random.default_rng(0)
    close = 40_000 * np.exp(np.cumsum(random.normal(0, 0.005, BARS)))
    opened = np.concatenate([[40_000.0], close[:-1]])
    candles = pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * 1.001,
            "low": np.minimum(opened, close) * 0.999,
            "close": close,
            "volume": random.uniform(1, 100, BARS),
        },
        index=pd.date_range("2022-01-01", periods=BARS, freq="h", tz="UTC", name="open_time"),
    )
    with DataClient(rooms.data.target) as data:
        data.ingest_candles(candles, VENUE, SYMBOL, TIMEFRAME)


if __name__ == "__main__":
    main()
