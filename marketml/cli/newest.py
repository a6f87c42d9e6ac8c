"""The features of a series' newest bars, in the columns of a model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from marketml.cli.command import CommandFailed
from marketml.clients.data import DataClient
from marketml.clients.features import FeaturesClient
from marketml.data.v1 import data_pb2
from marketml.features.v1 import features_pb2
from marketml.imports.series import TIMEFRAMES


def newest_features(
    data: DataClient,
    features: FeaturesClient,
    venue: str,
    symbol: str,
    timeframe: str,
    config: features_pb2.FeatureConfig,
    count: int,
    reference: tuple[str, str] | None = None,
) -> pd.DataFrame:
    """Features of the newest `count` bars, computed from as much history as they look back on, with the bars
    of a `reference` (venue, symbol) beside them.

    Raises
    ------
    CommandFailed
        The series has fewer bars that are warmed up.
    """
    series = [one for one in data.list_series(venue=venue, symbol=symbol) if one.key.timeframe == timeframe]
    if not series:
        raise CommandFailed(f"There are no candles of {venue} {symbol} {timeframe}.")
    newest = _candles_end(series)
    warm_up = features.validate_feature_config(config).warm_up_bars
    bars = 2 * warm_up + count
    enough = newest - timedelta(seconds=TIMEFRAMES[timeframe]) * bars
    for start in (enough, None):  # absent bars make the first guess too short
        found = features.generate_features(
            venue=venue,
            symbol=symbol,
            timeframe=timeframe,
            start=start,
            reference=reference,
            config=config,
            newest_count=0,
        )
        warm = found.frame.iloc[found.warm_up_bars :]
        if len(warm) >= count:
            return warm.iloc[-count:]
    raise CommandFailed(
        f"{venue} {symbol} {timeframe} has {len(warm)} bars with all features, and {count} are asked for: "
        f"the features "
        f"look back over {warm_up} bars."
    )


def in_columns(frame: pd.DataFrame, manifest: dict[str, Any]) -> pd.DataFrame:
    """The columns that a model takes.

    Raises
    ------
    CommandFailed
        One is absent.
    """
    names = manifest["feature_names"]
    absent = [name for name in names if name not in frame.columns]
    if absent:
        raise CommandFailed(
            f"The model takes {len(absent)} features that these rows do not have, first {absent[0]}."
        )
    found: pd.DataFrame = frame[names]
    return found


def _candles_end(series: list[data_pb2.Series]) -> datetime:
    return max(one.last_time.ToDatetime(UTC) for one in series)
