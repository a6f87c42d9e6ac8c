"""How fast a prediction is served: one row of a LightGBM model of 300 trees and 200 features.

    python benchmarks/serving.py [--calls 3000]

Starts a registry as a process, registers the model, and asks over one plain gRPC channel. The measures take
turns, call by call, so that what the machine does meanwhile hits all alike. `ServerLive` is the yardstick: an
empty call to the same server, which is what gRPC itself costs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np

from inference import open_inference_pb2 as pb
from inference.open_inference_pb2_grpc import GRPCInferenceServiceStub
from marketml.bundle import MANIFEST, TENSORS, Bundle, pack_bundle
from marketml.bundle.trees import tree_tensors
from marketml.clients.registry import RegistryClient
from services.registry.inspection import inspect_bundle
from services.training import learners
from services.training.export.golden import draw_golden_rows, golden_answers
from services.training.export.trees import graph_of, tree_arrays
from services.training.learners import LightgbmParameters
from services.training.learners.fitting import FitRequest, Fitted, Table

ROOT = Path(__file__).resolve().parents[1]
TREES, FEATURES, ROWS, LEAVES = 300, 200, 4_000, 31
WARM_UP_CALLS = 300


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=3000, help="calls per measure")
    calls = parser.parse_args().calls
    fitted, rows = fit()
    bundle = pack(fitted, rows)
    size = sum(len(content) for content in bundle.contents.values())
    print(f"LightGBM, {TREES} trees of {LEAVES} leaves, {FEATURES} features, two classes, {size:,} bytes")
    print_in_process(fitted, bundle, rows, calls)
    with registry_process() as target, RegistryClient(target) as registry:
        registry.upload_model("benchmark", bundle)
        registry.load_model("benchmark")
        print_over_the_wire(target, rows, calls)
        print_many_rows(target, rows, max(20, calls // 50))


def fit() -> tuple[Fitted, np.ndarray]:
    """The model, on noise with a little signal, and its rows."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(ROWS, FEATURES))
    classes = (rows[:, 0] + rows[:, 1] * rows[:, 2] + random.normal(size=ROWS) > 0).astype(np.int8)
    table = Table(rows, classes, np.ones(ROWS))
    request = FitRequest(table, None, 2, 0, 1, lambda number, loss: None, lambda: False)
    return learners.fit(LightgbmParameters(rounds=TREES, num_leaves=LEAVES), request), rows


def pack(fitted: Fitted, rows: np.ndarray) -> Bundle:
    """The model as it is uploaded."""
    return pack_bundle(
        feature_names=[f"feature_{position}" for position in range(FEATURES)],
        classes=["down", "up"],
        graph=graph_of(fitted),
        arrays=tree_tensors("trees", tree_arrays(fitted)),
        golden=golden_answers(fitted, draw_golden_rows(rows, np.random.default_rng(0))),
        native_files={},
        sections={},
    )


def print_in_process(fitted: Fitted, bundle: Bundle, rows: np.ndarray, calls: int) -> None:
    """One row by the registry's predictor, and by LightGBM itself."""
    predictor = inspect_bundle(bundle.contents[MANIFEST], bundle.contents[TENSORS]).predictor
    measures = {
        "registry's predictor, in process": predictor.predict,
        "LightGBM's predict, in process": lambda row: fitted.model.predict(row, num_threads=1),
    }
    show(in_turns({name: bound(ask, rows) for name, ask in measures.items()}, calls))


def print_over_the_wire(target: str, rows: np.ndarray, calls: int) -> None:
    """One row through ModelInfer, beside an empty call."""
    with grpc.insecure_channel(target) as channel:
        stub = GRPCInferenceServiceStub(channel)
        raw = bound(lambda row: stub.ModelInfer(infer_request(row, raw=True)), rows)
        typed = bound(lambda row: stub.ModelInfer(infer_request(row, raw=False)), rows)
        prepared = infer_request(rows[:1], raw=True)
        measures: dict[str, Callable[[int], object]] = {
            "ServerLive (empty call)": lambda _: stub.ServerLive(pb.ServerLiveRequest()),
            "ModelInfer, message prepared": lambda _: stub.ModelInfer(prepared),
            "ModelInfer, raw contents": raw,
            "ModelInfer, typed contents": typed,
        }
        durations = in_turns(measures, calls)
    show(durations)
    empty = statistics.median(durations["ServerLive (empty call)"])
    for name, found in list(durations.items())[1:]:
        print(f"{name:34} {statistics.median(found) / empty:6.2f} × the empty call at the median")


def print_many_rows(target: str, rows: np.ndarray, calls: int) -> None:
    """A thousand rows in one call."""
    request = infer_request(rows[:1000], raw=True)
    with grpc.insecure_channel(target) as channel:
        stub = GRPCInferenceServiceStub(channel)
        show(in_turns({"ModelInfer, 1,000 rows": lambda _: stub.ModelInfer(request)}, calls))


def infer_request(rows: np.ndarray, *, raw: bool) -> pb.ModelInferRequest:
    """The message for rows."""
    request = pb.ModelInferRequest(model_name="benchmark")
    tensor = request.inputs.add(name="features", datatype="FP64", shape=rows.shape)
    if raw:
        request.raw_input_contents.append(rows.tobytes())
    else:
        tensor.contents.fp64_contents.extend(rows.ravel())
    return request


def bound(ask: Callable[[np.ndarray], object], rows: np.ndarray) -> Callable[[int], object]:
    """A measure whose n-th call asks for the n-th row."""
    return lambda number: ask(rows[number % ROWS : number % ROWS + 1])


def in_turns(measures: dict[str, Callable[[int], object]], calls: int) -> dict[str, list[float]]:
    """Seconds of each call of each measure."""
    durations: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(-WARM_UP_CALLS, calls):
        for name, measure in measures.items():
            started = time.perf_counter()
            measure(number)
            if number >= 0:
                durations[name].append(time.perf_counter() - started)
    return durations


def show(durations: dict[str, list[float]]) -> None:
    """A line per measure."""
    for name, found in durations.items():
        cut = statistics.quantiles(found, n=100)
        print(f"{name:34} p50 {cut[49] * 1e6:8,.0f} µs   p99 {cut[98] * 1e6:8,.0f} µs")


@contextmanager
def registry_process() -> Iterator[str]:
    """A registry on a free port with its files in a temporary folder; its address."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"MARKETML_REGISTRY_ADDRESS": "127.0.0.1:0", "MARKETML_REGISTRY_LOG_LEVEL": "WARNING"}
        process = subprocess.Popen(
            [sys.executable, "-m", "services.registry"],
            cwd=folder,
            env=os.environ | settings | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["address"]
        finally:
            process.terminate()
            process.wait(30)


if __name__ == "__main__":
    main()
