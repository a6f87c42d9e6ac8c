"""What the features room says of features before it computes them, in this room's words."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from marketml.features.v1 import features_pb2
from marketml.timeframes import TIMEFRAMES
from services.training.choosing import is_fitted
from services.training.jobs import Tree
from services.training.rooms import Bound, Source
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
