"""`marketml predict`: a model's answer to the newest bars of a series, or to rows of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pandas as pd

from marketml.cli.command import CommandFailed, Context, command
from marketml.cli.documents import to_message
from marketml.cli.frames import read_features
from marketml.cli.newest import in_columns, newest_features
from marketml.cli.output import Output
from marketml.cli.series import series_options
from marketml.clients.data import DataClient
from marketml.clients.features import FeaturesClient
from marketml.clients.registry import Prediction, RegistryClient
from marketml.features.v1 import features_pb2


@click.command()
@click.argument("name")
@click.option("--version", "version", type=click.IntRange(1), help="This version; default: the champion.")
@click.option("--alias", help="The version this alias points at.")
@click.option("--newest", type=click.IntRange(1), default=5, show_default=True, help="So many newest bars.")
@series_options(is_required=False, has_range=False)
@click.option("--file", "path", type=click.Path(path_type=Path), help="Rows of features instead of bars.")
@command("data", "features", "registry")
def predict(
    context: Context,
    name: str,
    version: int | None,
    alias: str | None,
    newest: int,
    venue: str | None,
    symbol: str | None,
    timeframe: str | None,
    path: Path | None,
) -> None:
    """Ask model NAME. Without options it answers the newest bars of the series it was trained on."""
    if version is not None and alias is not None:
        raise click.UsageError("Give --version or --alias, not both.")
    if path is not None and (venue or symbol or timeframe):
        raise click.UsageError("Give --file, or a series, not both.")
    with RegistryClient(context.endpoint("registry"), tls=context.tls) as registry:
        answering = version or registry.get_current_model(name, alias or "").model.version
        _, manifest = registry.get_model(name, answering)
        if path is not None:
            rows = in_columns(read_features(path), manifest)
        else:
            trained = manifest.get("data", {})
            rows = _of_series(
                context,
                manifest,
                venue or trained.get("venue"),
                symbol or trained.get("symbol"),
                timeframe or trained.get("timeframe"),
                newest,
            )
        prediction = registry.predict(name, rows, version, alias)
    show_prediction(context.output, prediction)


def _of_series(
    context: Context,
    manifest: dict[str, Any],
    venue: str | None,
    symbol: str | None,
    timeframe: str | None,
    newest: int,
) -> pd.DataFrame:
    if venue is None or symbol is None or timeframe is None:
        raise CommandFailed("The model's manifest names no series: give --venue, --symbol and --timeframe.")
    config = feature_config(manifest)
    with (
        DataClient(context.endpoint("data"), tls=context.tls) as data,
        FeaturesClient(context.endpoint("features"), tls=context.tls) as features,
    ):
        reference = _reference(manifest)
        frame = newest_features(data, features, venue, symbol, timeframe, config, newest, reference)
    return in_columns(frame, manifest)


def _reference(manifest: dict[str, Any]) -> tuple[str, str] | None:
    """The instrument whose bars stood beside those that a model was trained on."""
    beside = manifest.get("data", {}).get("reference")
    return (beside["venue"], beside["symbol"]) if beside else None


def feature_config(manifest: dict[str, Any]) -> features_pb2.FeatureConfig:
    """The features that a model was trained on."""
    config = manifest.get("features", {}).get("config", {})
    return to_message(config, features_pb2.FeatureConfig(), "the model's manifest")


def show_prediction(output: Output, prediction: Prediction) -> None:
    """Probabilities per row, and who answered."""
    frame = prediction.frame
    if output.is_json:
        answered = {
            "model_name": prediction.model_name,
            "version": prediction.version,
            "digest": prediction.digest,
        }
        for row in frame.reset_index().to_dict("records"):
            output.line({**row, **answered})
        return
    classes = [column for column in frame.columns if column.startswith("probability_")]
    output.table(
        ("bar opened", *(column.removeprefix("probability_") for column in classes), "predicted"),
        [
            (
                time.strftime("%Y-%m-%d %H:%M"),
                *(f"{row[name]:.4f}" for name in classes),
                row["predicted_class"],
            )
            for time, row in zip(pd.DatetimeIndex(frame.index), frame.to_dict("records"), strict=True)
        ],
    )
    output.say(f"{prediction.model_name} version {prediction.version}, digest {prediction.digest[:12]}.")
