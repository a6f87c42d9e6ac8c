"""What the features room says of features before it computes them, in this room's words."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace

from marketml.features.v1 import features_pb2
from marketml.rpc.refusals import InvalidArgument
from marketml.timeframes import TIMEFRAMES
from services.training.choosing import is_fitted
from services.training.jobs import Tree
from services.training.rooms import Bound, Snapshot, Source
from services.training.wire_trees import read_tree

_ROLLED = "wWINDOW__COLUMN__"  # as the names of the catalogue begin whose windows and columns a config says


def read_source(
    header: features_pb2.FeatureHeader,
    catalogue: Iterable[features_pb2.FeatureInfo],
    asked: Tree,
    refused: Sequence[tuple[str, str]],
) -> Source:
    """The source of a job.

    Parameters
    ----------
    header
        Of the features, their limits lifted where they refused.
    catalogue
        Every feature there is, with its cost.
    asked : Tree
        The feature config as the job has it.
    refused
        Each limit that refused, and its sentence.
    """
    config = read_tree(header.config, "config")[0]
    limits = {**config.get("limits", {}), **asked.get("limits", {})}
    counts = {"max_rows": header.row_count, "max_features": len(header.feature_names)}
    cost = _cost_microseconds(header.feature_names, catalogue)
    path = "config.features.limits"
    found = [
        Bound(f"{path}.{name}", counts.get(name), limits[name], message)
        for name, message in refused
        if name in asked.get("limits", {}) or name in limits
    ]
    seconds, bound = header.row_count * cost / 1e6, limits.get("timeout_seconds")
    if bound is not None and seconds > bound:
        words = f"The features would take about {seconds:,.0f} s."
        found.append(Bound(f"{path}.timeout_seconds", seconds, bound, words))
    return Source(
        bar_count=header.row_count,
        timeframe=TIMEFRAMES[header.series.timeframe],
        feature_count=len(header.feature_names),
        chosen_count=_chosen_count(config, len(header.feature_names)),
        is_chosen=is_fitted(config),
        warm_up_bars=header.warm_up_bars,
        features_cost=cost,
        refused=tuple(found),
    )


def together(sources: Sequence[Source]) -> Source:
    """The sources of several symbols as one: bars and the cost of all, features that each has."""
    bars = sum(source.bar_count for source in sources)
    refused = {bound: None for source in sources for bound in source.refused}
    return replace(
        sources[0],
        bar_count=bars,
        feature_count=min(source.feature_count for source in sources),
        chosen_count=min(source.chosen_count for source in sources),
        warm_up_bars=max(source.warm_up_bars for source in sources),
        refused=tuple(refused),
    )


def require_together(snapshots: Sequence[Snapshot]) -> None:
    """Refuse snapshots that are not of several symbols of one timeframe.

    Raises
    ------
    InvalidArgument
    """
    seen: list[tuple[str, str]] = []
    for index, snapshot in enumerate(snapshots):
        venue, symbol, timeframe = (snapshot.series[name] for name in ("venue", "symbol", "timeframe"))
        field, first = f"config.dataset.more_snapshot_ids[{index - 1}]", snapshots[0].series["timeframe"]
        if timeframe != first:
            words = f"must be of timeframe {first} as the first is, is of {timeframe}."
            raise InvalidArgument.of(field, "same", words)
        if (venue, symbol) in seen:
            words = f"must be of another symbol than those before it, is of {venue} {symbol}."
            raise InvalidArgument.of(field, "other", words)
        seen.append((venue, symbol))


def _chosen_count(config: Tree, offered: int) -> int:
    """Features that one fit takes at most."""
    autofeat, selection = config.get("autofeat", {}), config.get("selection", {})
    if autofeat.get("enabled"):
        offered += autofeat["max_features"]
    return min(offered, selection["feature_count_limit"]) if selection.get("enabled") else offered


def _cost_microseconds(names: Iterable[str], catalogue: Iterable[features_pb2.FeatureInfo]) -> float:
    """Microseconds of CPU a bar of features of these names; of an unknown one, those of the median."""
    costs = {each.name.removeprefix(_ROLLED): each.cost_microseconds for each in catalogue}
    usual = statistics.median(costs.values())
    return sum(costs.get(name, costs.get(_calculator(name), usual)) for name in names)


def _calculator(name: str) -> str:
    """Of `w24__close__quantile__q_0.1`: `quantile`."""
    parts = name.split("__")
    return parts[2] if len(parts) > 2 else name
