"""`marketml demo`: the whole workflow on real market data, as a newcomer would do it by hand.

Rooms on free ports, files under one folder; when it ends, or is interrupted, nothing is left running.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from marketml.cli.command import CommandFailed, Context, command
from marketml.cli.demo_data import Market, read_market, store_market
from marketml.cli.newest import in_columns, newest_features
from marketml.cli.output import Output, cell, seconds_text
from marketml.cli.predict import feature_config, show_prediction
from marketml.cli.rooms import PORTS, ROOMS, Rooms, ending_on_signals
from marketml.cli.training_view import JobView, show_result
from marketml.clients.data import DataClient
from marketml.clients.features import FeaturesClient
from marketml.clients.registry import RegistryClient
from marketml.clients.training import TrainingClient
from marketml.data.v1 import data_pb2
from marketml.registry.v1 import registry_pb2
from marketml.rpc.refusals import Refusal
from marketml.training.v1 import training_pb2 as pb

_UNDER_WAY = (pb.JOB_STATE_QUEUED, pb.JOB_STATE_RUNNING, pb.JOB_STATE_STOPPING)


@click.command()
@click.option(
    "--data",
    "data_folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of candle, funding and open-interest files; default: the set in the package.",
)
@click.option("--venue", help="Exchange of the files, as binance.")
@click.option("--symbol", help="Instrument of the files, as BTC/USDT:USDT.")
@click.option("--bars", type=click.IntRange(500), help="Train on the newest so many bars only.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".run"),
    show_default=True,
    help="Where databases, snapshots, models and logs lie.",
)
@command()
def demo(
    context: Context,
    data_folder: Path | None,
    venue: str | None,
    symbol: str | None,
    bars: int | None,
    folder: Path,
) -> None:
    """Run the whole workflow on real market data: import, snapshot, train, load, predict."""
    output, began = context.output, time.monotonic()

    def say(event: str, room: str, text: str) -> None:
        output.say(f"  {room:<8} {'serves on' if event == 'ready' else event} {text}")

    with _told_interrupt(output), ending_on_signals(), contextlib.ExitStack() as opened:
        step = _Steps(output)
        step("Read market data")
        read = read_market(output, data_folder)

        step("Start the four rooms")
        rooms = opened.enter_context(Rooms(folder, dict.fromkeys(PORTS, 0), say, _own_addresses()))
        endpoints = rooms.start()
        data = opened.enter_context(DataClient(endpoints["data"]))
        features = opened.enter_context(FeaturesClient(endpoints["features"]))
        training = opened.enter_context(TrainingClient(endpoints["training"]))
        registry = opened.enter_context(RegistryClient(endpoints["registry"]))

        step("Import the data")
        market = store_market(output, data, read, venue, symbol)

        step("Freeze it in a snapshot")
        snapshot = _freeze(output, data, market, bars)

        step("Train: features, labels, purged folds, the untouched test span")
        job = _train(output, training, model_name(market), snapshot)
        output.show()
        show_result(output, job.result)
        output.show()

        step("Load the model")
        model = _load(output, registry, job)

        step("Answer the newest bars")
        _, manifest = registry.get_model(model.model_name, model.version)
        newest = newest_features(
            data, features, market.venue, market.symbol, market.timeframe, feature_config(manifest), 5
        )
        show_prediction(output, registry.predict(model.model_name, in_columns(newest, manifest)))

        seconds = time.monotonic() - began
        _say_next(output, folder, job, seconds)
        output.say("Stopping the rooms.")
    if output.is_json:
        output.line({"job": job, "model": model, "snapshot": snapshot, "seconds": seconds})


@contextlib.contextmanager
def _told_interrupt(output: Output) -> Iterator[None]:
    """Say, once all that was opened is closed, that nothing is left."""
    try:
        yield
    except KeyboardInterrupt:
        output.say("\nInterrupted: the rooms are stopped, nothing is left running.")
        raise


def model_name(market: Market) -> str:
    """`btc-usd-1h` of BTC/USD and 1h."""
    base, _, quote = market.symbol.partition("/")
    return f"{base}-{quote.partition(':')[0]}-{market.timeframe}".lower()


class _Steps:
    """Numbered headings, each with the time the one before it took."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._number = 0
        self._began = time.monotonic()

    def __call__(self, title: str) -> None:
        now = time.monotonic()
        if self._number:
            self._output.say(f"  {seconds_text(now - self._began)}", style="dim")
        self._number += 1
        self._began = now
        self._output.say(f"\n{self._number}. {title}", style="bold")


def _own_addresses() -> dict[str, str]:
    """The demo's rooms take free ports, whatever the environment gives to rooms that stay."""
    return {f"MARKETML_{room.upper()}_ADDRESS": "127.0.0.1:0" for room in ROOMS}


def _freeze(output: Output, data: DataClient, market: Market, bars: int | None) -> data_pb2.Snapshot:
    start = None
    if bars is not None:
        newest = data.query_candles(
            market.venue, market.symbol, market.timeframe, limit=bars, newest_first=True
        )
        start = newest.index[0].to_pydatetime()
    snapshot = data.create_snapshot(market.venue, market.symbol, market.timeframe, start=start)
    output.say(
        f"  {snapshot.row_count:,} bars, {cell(snapshot.first_time)} to {cell(snapshot.last_time)} UTC, "
        f"named by their SHA-256: {snapshot.snapshot_id[:16]}…"
    )
    return snapshot


def _train(output: Output, training: TrainingClient, name: str, snapshot: data_pb2.Snapshot) -> pb.Job:
    """Start a job, show it live, and give it back done."""
    for state in _UNDER_WAY[:2]:
        for left in training.list_trainings(model_name=name, state=state):
            output.say(f"  An earlier run left job {left.job_id[:8]}…: stopped.")
            training.stop_training(left.job_id, pb.STOP_MODE_DISCARD)
    config = pb.TrainingConfig(
        dataset=pb.Dataset(snapshot_id=snapshot.snapshot_id),
        label=pb.LabelConfig(triple_barrier=pb.TripleBarrier(horizon_bars=24)),
        model=pb.ModelConfig(lightgbm=pb.Lightgbm(rounds=300, learning_rate=0.05)),
        seed=1,
    )
    job = training.start_training(name, config)
    output.say(f"  job {job.job_id}")
    try:
        with JobView(output) as view:
            for event in job.watch():
                view.show(event)
    except KeyboardInterrupt:
        with contextlib.suppress(Refusal):
            job.stop()
        raise
    done = job.job()
    if done.state != pb.JOB_STATE_SUCCEEDED:
        failure = done.failure
        raise CommandFailed(
            f"The job ended without a model: {failure.code} {failure.reason}: {failure.message}"
        )
    return done


def _load(output: Output, registry: RegistryClient, job: pb.Job) -> registry_pb2.Model:
    result = job.result
    loaded = registry.load_model(result.model_name, result.model_version)
    model = loaded.alias.model
    same = " (the same bytes as the run before)" if loaded.previous_version == model.version else ""
    output.say(
        f"  {model.model_name} version {model.version} is {loaded.alias.alias}{same}: "
        f"{model.size_bytes:,} bytes, "
        f"digest {model.digest[:16]}…"
    )
    return model


def _say_next(output: Output, folder: Path, job: pb.Job, seconds: float) -> None:
    own, name = _own_name(), job.model_name
    service = "marketml.registry.v1.RegistryService"
    output.say(f"\nDone in {seconds_text(seconds)}. Next", style="bold")
    for what, how in (
        ("keep the rooms running on this data", f"{own} up"),
        ("watch the job again, from any event on", f"{own} train watch {job.job_id} --after 10"),
        ("start a job of your own, stop it", f"{own} train start CONFIG.yaml --watch; {own} train stop JOB"),
        ("ask the model again", f"{own} predict {name}"),
        ("all scores, digests and settings", f"{own} models show {name} --json"),
        ("what the rooms offer", "grpcurl -plaintext 127.0.0.1:50054 list"),
        ("… and mean", f"grpcurl -plaintext 127.0.0.1:50054 describe {service}"),
        (
            "call one by hand",
            f'grpcurl -plaintext -d \'{{"model_name": "{name}"}}\' 127.0.0.1:50054 {service}/GetCurrentModel',
        ),
        ("databases, snapshots, models, logs", f"{_shown(folder)}/data  training  registry  logs"),
    ):
        output.say(f"  {what:<39} {how}")


def _own_name() -> str:
    """How this command is called from here."""
    if shutil.which("marketml"):
        return "marketml"
    script = Path(sys.executable).with_name("marketml")
    return _shown(script) if script.exists() else f"{_shown(Path(sys.executable))} -m marketml.cli.main"


def _shown(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
