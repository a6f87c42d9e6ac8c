"""The config of what follows a model: calibration and thresholds, their rules and defaults, and what a filled
one means."""

from __future__ import annotations

from marketml.bundle.graph import Calibration
from marketml.rpc.refusals import Violation
from services.training.config.rules import Flag, Group, Number, Word, fill, refuse_given
from services.training.jobs import Tree
from services.training.models.decisions import DecisionMetric
from services.training.plan import CalibrationPlan, DecisionPlan

_METHODS = {
    "CALIBRATION_METHOD_SIGMOID": Calibration.SIGMOID,
    "CALIBRATION_METHOD_ISOTONIC": Calibration.ISOTONIC,
}
_METRICS = {f"DECISION_METRIC_{metric.name}": metric for metric in DecisionMetric}
_FRACTION = Number(0.0, 0.5, CalibrationPlan.fraction, is_above=True)
_CALIBRATION = Group(
    {
        "enabled": Flag(False),
        "method": Word(tuple(_METHODS), "CALIBRATION_METHOD_SIGMOID"),
        "fraction": _FRACTION,
    }
)
_DECISION = Group(
    {
        "enabled": Flag(False),
        "metric": Word(tuple(_METRICS), "DECISION_METRIC_BALANCED_ACCURACY"),
        "fraction": _FRACTION,
    }
)


def fill_calibration(given: Tree, platform: Tree, path: str, found: list[Violation]) -> Tree:
    """The calibration with every default filled in; what breaks a rule goes to `found` with its path."""
    return _fill(_CALIBRATION, given, platform, path, "calibration is", found)


def fill_decision(given: Tree, platform: Tree, calibration: Tree, path: str, found: list[Violation]) -> Tree:
    """The thresholds with every default filled in; beside a filled calibration they take its slice."""
    filled = _fill(_DECISION, given, platform, path, "decision thresholds are", found)
    if calibration["enabled"] and filled["enabled"]:
        refuse_given(given, ("fraction",), path, "the calibration's slice is used", found)
        del filled["fraction"]
    return filled


def read_calibration(filled: Tree) -> CalibrationPlan | None:
    """The calibration that a filled one means."""
    if not filled["enabled"]:
        return None
    return CalibrationPlan(_METHODS[filled["method"]], filled["fraction"])


def read_decision(filled: Tree) -> DecisionPlan | None:
    """The thresholds that filled ones mean."""
    if not filled["enabled"]:
        return None
    return DecisionPlan(_METRICS[filled["metric"]], filled.get("fraction", DecisionPlan.fraction))


def _fill(group: Group, given: Tree, platform: Tree, path: str, what: str, found: list[Violation]) -> Tree:
    if not given.get("enabled", platform.get("enabled", False)):
        details = tuple(name for name in group.fields if name != "enabled")
        refuse_given(given, details, path, f"{what} not enabled", found)
        return {"enabled": False}
    return fill(group, given, platform, path, found)
