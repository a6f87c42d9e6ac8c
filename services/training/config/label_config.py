"""The config of labels: its rules, its defaults, and the label rule that a filled one means."""

from __future__ import annotations

from typing import TypeAlias

from marketml.rpc.refusals import Violation
from services.training import labels
from services.training.config.rules import Choice, Flag, Group, Number, Rule, fill, refuse_given
from services.training.jobs import Tree

_INFINITY = float("inf")
_Threshold: TypeAlias = labels.Fixed | labels.TrailingVolatility


def _positive(default: float | None = None, high: float = _INFINITY, *, is_below: bool = False) -> Number:
    return Number(0.0, high, default, is_above=True, is_below=is_below)


def _bars(default: int, low: int, high: int) -> Number:
    return Number(low, high, default, unit=" bars")


_WINDOW = _bars(72, 2, labels.MAX_WINDOW_BARS)
_HORIZON = _bars(24, 1, labels.MAX_HORIZON_BARS)
_THRESHOLDS = ("fraction", "trailing_volatility")
_THRESHOLD: dict[str, Rule] = {
    "fraction": _positive(),
    "trailing_volatility": Group({"multiple": _positive(1.0), "window_bars": _WINDOW}),
}
_THRESHOLD_CHOICE = (Choice(_THRESHOLDS, "trailing_volatility"),)
_HORIZON_THRESHOLDS = (*_THRESHOLDS, "quantile")
_HORIZON_THRESHOLD: dict[str, Rule] = {
    **_THRESHOLD,
    "quantile": Group({"tail": _positive(0.33, 0.5, is_below=True)}),
}
_HORIZON_CHOICE = (Choice(_HORIZON_THRESHOLDS, "trailing_volatility"),)
_TRIPLE_BARRIER = Group(
    {
        "fraction": Group(
            {"profit_fraction": _positive(), "loss_fraction": _positive(high=1.0, is_below=True)}
        ),
        "volatility": Group(
            {"profit_multiple": _positive(4.0), "loss_multiple": _positive(4.0), "window_bars": _WINDOW}
        ),
        "horizon_bars": _HORIZON,
        "minimum_return": Number(0.0, 1.0, 0.0, is_below=True),
    },
    (Choice(("fraction", "volatility"), "volatility"),),
)
_TREND_BARS: dict[str, Rule] = {
    name: _bars(default, labels.MIN_TREND_BARS, labels.MAX_TREND_BARS)
    for name, default in (("min_horizon_bars", 8), ("max_horizon_bars", 24))
}
_META_LABEL = Group(
    {
        "moving_averages": Group(
            {
                "fast_bars": _bars(12, 1, labels.MAX_WINDOW_BARS - 1),
                "slow_bars": _bars(48, 2, labels.MAX_WINDOW_BARS),
            }
        ),
        "triple_barrier": _TRIPLE_BARRIER,
    }
)
_METHODS = ("fixed_horizon", "triple_barrier", "trend_scanning", "meta_label")


def _label_rules(is_binary: bool, has_events: bool) -> Group:
    horizon: dict[str, Rule] = {"horizon_bars": _HORIZON}
    trend = _TREND_BARS
    events = Group({"enabled": Flag(False), **_THRESHOLD}, _THRESHOLD_CHOICE)
    return Group(
        {
            "fixed_horizon": Group(horizon)
            if is_binary
            else Group({**horizon, **_HORIZON_THRESHOLD}, _HORIZON_CHOICE),
            "triple_barrier": _TRIPLE_BARRIER,
            "trend_scanning": Group(trend if is_binary else {**trend, "minimum_t": _positive(5.0)}),
            "meta_label": _META_LABEL,
            "binary": Flag(False),
            "cusum_events": events if has_events else Group({"enabled": Flag(False)}),
        },
        (Choice(_METHODS, "triple_barrier"),),
    )


def fill_label(given: Tree, platform: Tree, path: str, found: list[Violation]) -> Tree:
    """The label with every default filled in; what breaks a rule goes to `found` with its path."""
    is_binary = bool(given.get("binary", platform.get("binary", False)))
    events, beneath = given.get("cusum_events", {}), platform.get("cusum_events", {})
    has_events = bool(events.get("enabled", beneath.get("enabled", False)))
    if is_binary:
        why = "a binary label is the sign of the return"
        refuse_given(given.get("fixed_horizon", {}), _HORIZON_THRESHOLDS, f"{path}.fixed_horizon", why, found)
        why = "a binary label is the sign of the slope"
        refuse_given(given.get("trend_scanning", {}), ("minimum_t",), f"{path}.trend_scanning", why, found)
    if not has_events:
        refuse_given(events, _THRESHOLDS, f"{path}.cusum_events", "the events are not enabled", found)
    filled = fill(_label_rules(is_binary, has_events), given, platform, path, found)
    if "meta_label" in filled:
        if given.get("binary"):
            refuse_given(given, ("binary",), path, "a meta-label has two classes, loss and profit", found)
        filled["binary"] = False
        averages, at = filled["meta_label"]["moving_averages"], f"{path}.meta_label.moving_averages"
        _require_more(averages, "fast_bars", "slow_bars", 1, at, found)
    if "trend_scanning" in filled:
        at = f"{path}.trend_scanning"
        _require_more(filled["trend_scanning"], "min_horizon_bars", "max_horizon_bars", 0, at, found)
    return filled


def _require_more(tree: Tree, least: str, most: str, by: int, path: str, found: list[Violation]) -> None:
    if tree[most] < tree[least] + by:
        words = f"must be {'more than' if by else 'at least'} {least} {tree[least]}, is {tree[most]}."
        found.append(Violation(f"{path}.{most}", "order", words))


def read_label(label: Tree) -> labels.LabelRule:
    """The rule that a filled label means."""
    if "fixed_horizon" in label:
        horizon = label["fixed_horizon"]
        quantile = horizon.get("quantile")
        threshold = _threshold(horizon) if quantile is None else labels.QuantileThreshold(**quantile)
        return labels.FixedHorizon(horizon["horizon_bars"], threshold)
    if "trend_scanning" in label:
        return labels.TrendScanning(**label["trend_scanning"])
    if "meta_label" in label:
        meta = label["meta_label"]
        side = labels.MovingAverages(**meta["moving_averages"])
        return labels.MetaLabel(side, _triple_barrier(meta["triple_barrier"]))
    return _triple_barrier(label["triple_barrier"])


def read_events(label: Tree) -> labels.CusumEvents | None:
    """The event filter that a filled label means; None where every bar is a decision."""
    events = label["cusum_events"]
    threshold = _threshold(events) if events["enabled"] else None
    return None if threshold is None else labels.CusumEvents(threshold)


def _threshold(tree: Tree) -> _Threshold | None:
    if "fraction" in tree:
        return labels.Fixed(tree["fraction"])
    if "trailing_volatility" in tree:
        return labels.TrailingVolatility(**tree["trailing_volatility"])
    return None


def _triple_barrier(barrier: Tree) -> labels.TripleBarrier:
    barriers: labels.FractionBarriers | labels.VolatilityBarriers
    if "fraction" in barrier:
        barriers = labels.FractionBarriers(**barrier["fraction"])
    else:
        barriers = labels.VolatilityBarriers(**barrier["volatility"])
    return labels.TripleBarrier(barriers, barrier["horizon_bars"], barrier["minimum_return"])
