"""The fields of the platform config: default and rule of each, by path. The contract's comments say the same.

A path's last part is a field; what stands before it are messages. `ONE_OFS` says which fields exclude each
other, and which one it is when none is given. A test holds both tables against the contract.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_DAY = 86_400.0
_INT32_MAX = 2**31 - 1
_INT64_MAX = 2**63 - 1


@dataclass(frozen=True)
class Number:
    """A finite number within bounds; None is no bound. `default` None means absent."""

    low: float | None
    high: float | None
    default: float | None
    above_low: bool = False
    below_high: bool = False
    is_whole: bool = False
    unit: str = ""

    rule = "range"

    def fault(self, value: Any) -> str | None:
        """What is wrong with a value."""
        fits = math.isfinite(value)
        if self.low is not None:
            fits = fits and (value > self.low if self.above_low else value >= self.low)
        if self.high is not None:
            fits = fits and (value < self.high if self.below_high else value <= self.high)
        if fits and self.is_whole and value != int(value):
            return f"must be whole, is {value}{self.unit}."
        return None if fits else f"must be {self._bounds()}, is {value}{self.unit}."

    def _bounds(self) -> str:
        bounds = []
        if self.low is not None:
            bounds.append(f"{'above' if self.above_low else 'at least'} {self.low:,g}{self.unit}")
        if self.high is not None:
            bounds.append(f"{'below' if self.below_high else 'at most'} {self.high:,g}{self.unit}")
        return " and ".join(bounds) or "finite"


@dataclass(frozen=True)
class Flag:
    """True or false."""

    default: bool

    rule = "type"

    def fault(self, value: Any) -> str | None:
        """What is wrong with a value."""
        return None if isinstance(value, bool) else "must be true or false."


@dataclass(frozen=True)
class Choice:
    """One of these."""

    options: tuple[str, ...]
    default: str

    rule = "choice"

    def fault(self, value: Any) -> str | None:
        """What is wrong with a value."""
        return None if value in self.options else f"must be {' or '.join(self.options)}, is {value!r}."


@dataclass(frozen=True)
class Several:
    """A list without repetition, each item by its own rule; empty is the default."""

    item: Number | Choice | Word
    most: int
    default: tuple[Any, ...] = ()

    rule = "list"

    def fault(self, value: Any) -> str | None:
        """What is wrong with a value."""
        if len(value) > self.most:
            return f"may have {self.most} items, has {len(value)}."
        if len(set(value)) != len(value):
            return "must not list an item twice."
        for each in value:
            if fault := self.item.fault(each):
                return f"each {fault}"
        return None


@dataclass(frozen=True)
class Word:
    """A name of letters, digits, `_`, `.` and `-`."""

    def fault(self, value: Any) -> str | None:
        """What is wrong with a value."""
        if _WORD.fullmatch(value):
            return None
        return f"must be 1 to 200 of A-Z a-z 0-9 _ . -, is {value[:80]!r}."


_WORD = re.compile(r"[A-Za-z0-9_.-]{1,200}")

Rule = Number | Flag | Choice | Several


@dataclass(frozen=True)
class OneOf:
    """Fields of one message of which at most one is set; `default` is which when none is given."""

    members: tuple[str, ...]
    default: str


def _seconds(high: float, default: float | None) -> Number:
    return Number(0, high, default, above_low=True, unit=" s")


def _above_zero(default: float | None = None) -> Number:
    return Number(0, None, default, above_low=True)


_FAMILIES = ("technical", "statistical", "series", "market", "calendar")
_COLUMNS = (
    *("open", "high", "low", "close", "volume", "quote_volume", "trade_count", "taker_buy_volume"),
    *("funding_rate", "open_interest"),
    *("reference_close", "reference_volume", "reference_funding_rate", "reference_open_interest"),
)
_PRESETS = ("", "fast", "balanced", "financial", "comprehensive")
_TRANSFORMATIONS = ("1/", "abs", "exp", "log", "sqrt", "^2", "^3")
_METRICS = (
    *("balanced_accuracy", "accuracy", "macro_precision", "macro_recall", "macro_f1", "mcc", "kappa"),
    *("log_loss", "brier", "roc_auc", "pr_auc"),
)
_FEATURE_NAMES = Several(Word(), 2_000)  # so that a config fits a message
_SUBSAMPLE = Number(0.05, 1, 1.0)
_COLSAMPLE = Number(0.01, 1, 1.0)
_WINDOW_BARS = Number(2, 100_000, 72)

_FEATURES: dict[str, Rule] = {
    **{f"{family}.enabled": Flag(True) for family in _FAMILIES},
    **{f"{family}.features": _FEATURE_NAMES for family in _FAMILIES},
    "tsfresh.enabled": Flag(False),
    "tsfresh.windows": Several(Number(8, 720, None), 4, (24,)),
    "tsfresh.columns": Several(Choice(_COLUMNS, "close"), 8, ("close", "volume")),
    "tsfresh.calculators": Several(Word(), 1_000),  # none: the features room's default list
    "tsfresh.preset": Choice(_PRESETS, ""),
    "tsfresh.feature_selection": Flag(False),
    "tsfresh.fdr_level": Number(0.001, 0.1, 0.05),
    "tsfresh.feature_count_limit": Number(10, 500, 100),
    "tsfresh.parallel_jobs": Number(1, 8, 1),
    "autofeat.enabled": Flag(False),
    "autofeat.max_features": Number(10, 200, 50),
    "autofeat.steps": Number(1, 3, 2),
    "autofeat.max_inputs": Number(2, 100, 20),
    "autofeat.transformations": Several(Choice(_TRANSFORMATIONS, "abs"), 7),  # none: all but exp
    "autofeat.selection_runs": Number(1, 20, 5),
    "autofeat.max_memory_bytes": Number(2**20, 16 * 2**30, 2**30),
    "selection.enabled": Flag(False),
    "selection.fdr_level": Number(0.001, 1, 0.05),
    "selection.correlation_max": Number(0.5, 1, 0.95),
    "selection.stability_blocks": Number(1, 20, 1),
    "selection.stability_share": Number(0, 1, 0.6, above_low=True),
    "selection.model_importance": Flag(True),
    "selection.feature_count_limit": Number(1, 10_000, 200),
    "selection.feature_count_min": Number(0, 1_000, 10),
    "higher_timeframe.enabled": Flag(False),
    "higher_timeframe.features": _FEATURE_NAMES,
    "cross_symbol.enabled": Flag(False),
    "cross_symbol.features": _FEATURE_NAMES,
    "preset": Choice(_PRESETS, ""),
    "only": _FEATURE_NAMES,
    "limits.max_rows": Number(1, 10_000_000, 2_000_000),
    "limits.max_features": Number(1, 10_000, 2_000),
    "limits.timeout_seconds": Number(0, 3600, 600.0, above_low=True),
    "limits.max_memory_bytes": Number(2**20, 64 * 2**30, 4 * 2**30),
}

_FOREST: dict[str, Rule] = {
    "trees": Number(1, 5_000, 300),
    "max_depth": Number(0, 64, 12),
    "min_samples_leaf": Number(1, 1_000_000, 5),
    "min_samples_split": Number(2, 1_000_000, 2),
    "max_features_rule": Choice(("sqrt", "log2"), "sqrt"),
    "max_features_fraction": Number(0.01, 1, None),
    "max_samples": Number(0.05, 1, 1.0),
}
_MODEL: dict[str, Rule] = {
    "lightgbm.rounds": Number(1, 20_000, 500),
    "lightgbm.learning_rate": Number(0.0001, 1, 0.05),
    "lightgbm.num_leaves": Number(2, 4_096, 31),
    "lightgbm.max_depth": Number(0, 64, 0),
    "lightgbm.min_child_samples": Number(1, 1_000_000, 20),
    "lightgbm.min_split_gain": Number(0, 1_000, 0.0),
    "lightgbm.subsample": _SUBSAMPLE,
    "lightgbm.colsample_bytree": _COLSAMPLE,
    "lightgbm.reg_alpha": Number(0, 10_000, 0.0),
    "lightgbm.reg_lambda": Number(0, 10_000, 0.0),
    "lightgbm.max_bin": Number(8, 1_023, 255),
    "xgboost.rounds": Number(1, 20_000, 500),
    "xgboost.learning_rate": Number(0.0001, 1, 0.05),
    "xgboost.max_depth": Number(1, 16, 6),
    "xgboost.min_child_weight": Number(0, 1_000_000, 1.0),
    "xgboost.gamma": Number(0, 1_000, 0.0),
    "xgboost.subsample": _SUBSAMPLE,
    "xgboost.colsample_bytree": _COLSAMPLE,
    "xgboost.reg_alpha": Number(0, 10_000, 0.0),
    "xgboost.reg_lambda": Number(0, 10_000, 1.0),
    "xgboost.max_bin": Number(8, 1_024, 256),
    **{f"random_forest.{path}": rule for path, rule in _FOREST.items()},
    **{f"extra_trees.{path}": rule for path, rule in _FOREST.items()},
    "extra_trees.bootstrap": Flag(False),
}
# The models of an ensemble are a request's own.
_ENSEMBLES: dict[str, Rule] = {
    "bagging.members": Number(2, 100, 5),
    "bagging.bootstrap_fraction": Number(0.05, 1, 0.8),
    "bagging.bootstrap": Choice(
        ("BOOTSTRAP_METHOD_BLOCKS", "BOOTSTRAP_METHOD_SEQUENTIAL"), "BOOTSTRAP_METHOD_BLOCKS"
    ),
    "bagging.block_rows": Number(1, 1_000_000, 24),
    "stacking.folds": Number(2, 20, 5),
    "stacking.passthrough": Flag(False),
    "stacking.meta_model.logistic_regression.c": Number(1e-6, 1e6, 1.0),
    **{
        f"stacking.meta_model.{path}": rule
        for path, rule in _MODEL.items()
        if path.startswith(("lightgbm.", "random_forest."))
    },
}

_TRAINING: dict[str, Rule] = {
    "split.test_fraction": Number(0, 0.5, 0.2, above_low=True),
    "split.folds": Number(2, 100, 5),
    "split.walk_forward.folds": Number(1, 100, 5),
    "split.walk_forward.test_row_count": Number(1, _INT32_MAX, None),
    "split.walk_forward.train_row_count": Number(1, _INT32_MAX, None),
    "split.combinatorial_purged.groups": Number(3, 14, 6),
    "split.combinatorial_purged.test_groups": Number(1, 5, 2),
    "split.embargo_bars": Number(0, _INT32_MAX, 24),
    "split.embargo_duration": Number(0, 36_500 * _DAY, None, is_whole=True, unit=" s"),
    **{f"model.{path}": rule for path, rule in (_MODEL | _ENSEMBLES).items()},
    "early_stopping.enabled": Flag(True),
    "early_stopping.patience_rounds": Number(1, 10_000, 50),
    "early_stopping.fraction": Number(0, 0.5, 0.15, above_low=True),
    "class_weight": Choice(("CLASS_WEIGHT_NONE", "CLASS_WEIGHT_BALANCED"), "CLASS_WEIGHT_NONE"),
    "sample_weights.uniqueness": Flag(False),
    "sample_weights.return_attribution": Flag(False),
    "sample_weights.oldest_weight": Number(0, 1, 1.0),
    "search.trials": Number(1, 10_000, 50),
    "search.max_duration": _seconds(7 * _DAY, None),
    "search.metric": Choice(_METRICS, "log_loss"),
    "search.startup_trials": Number(1, 1_000, 10),
    "search.pruning": Flag(True),
    "search.trials_at_once": Number(1, 100, 1),
    "calibration.enabled": Flag(False),
    "calibration.method": Choice(
        ("CALIBRATION_METHOD_SIGMOID", "CALIBRATION_METHOD_ISOTONIC"), "CALIBRATION_METHOD_SIGMOID"
    ),
    "calibration.fraction": Number(0, 0.5, 0.15, above_low=True),
    "decision_thresholds.enabled": Flag(False),
    "decision_thresholds.metric": Choice(
        tuple(f"DECISION_METRIC_{name}" for name in ("BALANCED_ACCURACY", "MACRO_F1", "MCC")),
        "DECISION_METRIC_BALANCED_ACCURACY",
    ),
    "decision_thresholds.fraction": Number(0, 0.5, 0.15, above_low=True),
    "budget.max_duration": _seconds(7 * _DAY, 3600.0),
    "budget.max_memory_bytes": Number(64 * 2**20, _INT64_MAX, None),
}

_TRIPLE_BARRIER: dict[str, Rule] = {
    "fraction.profit_fraction": _above_zero(),
    "fraction.loss_fraction": Number(0, 1, None, above_low=True, below_high=True),
    "volatility.profit_multiple": _above_zero(4.0),
    "volatility.loss_multiple": _above_zero(4.0),
    "volatility.window_bars": _WINDOW_BARS,
    "horizon_bars": Number(1, 100_000, 24),
    "minimum_return": Number(0, 1, 0.0, below_high=True),
}

_LABELS: dict[str, Rule] = {
    "fixed_horizon.horizon_bars": Number(1, 100_000, 24),
    "fixed_horizon.fraction": _above_zero(),
    "fixed_horizon.trailing_volatility.multiple": _above_zero(1.0),
    "fixed_horizon.trailing_volatility.window_bars": _WINDOW_BARS,
    "fixed_horizon.quantile.tail": Number(0, 0.5, 0.33, above_low=True, below_high=True),
    **{f"triple_barrier.{path}": rule for path, rule in _TRIPLE_BARRIER.items()},
    "trend_scanning.min_horizon_bars": Number(2, 1_000, 8),
    "trend_scanning.max_horizon_bars": Number(2, 1_000, 24),
    "trend_scanning.minimum_t": _above_zero(5.0),
    "meta_label.moving_averages.fast_bars": Number(1, 99_999, 12),
    "meta_label.moving_averages.slow_bars": Number(2, 100_000, 48),
    **{f"meta_label.triple_barrier.{path}": rule for path, rule in _TRIPLE_BARRIER.items()},
    "cusum_events.enabled": Flag(False),
    "cusum_events.fraction": _above_zero(),
    "cusum_events.trailing_volatility.multiple": _above_zero(1.0),
    "cusum_events.trailing_volatility.window_bars": _WINDOW_BARS,
    "binary": Flag(False),
}

RULES: Mapping[str, Rule] = {
    "data_processing.funding_max_age": _seconds(30 * _DAY, None),  # none: as the data room decides
    "data_processing.open_interest_max_age": _seconds(30 * _DAY, None),
    **{f"features.{path}": rule for path, rule in _FEATURES.items()},
    **{f"training.{path}": rule for path, rule in _TRAINING.items()},
    **{f"labels.{path}": rule for path, rule in _LABELS.items()},
    "evaluation.interval_level": Number(0.5, 1, 0.95, below_high=True),
    "evaluation.interval_draws": Number(100, 100_000, 1_000),
    "prediction.max_rows": Number(1, 1_000_000, 100_000),
}

ONE_OFS: Mapping[str, tuple[OneOf, ...]] = {
    "training.split": (
        OneOf(("embargo_bars", "embargo_duration"), "embargo_bars"),
        OneOf(("walk_forward", "combinatorial_purged", "folds"), "folds"),  # `folds` is older than the others
    ),
    "training.model": (
        OneOf(("bagging", "stacking", "lightgbm", "xgboost", "random_forest", "extra_trees"), "lightgbm"),
    ),
    "training.model.stacking.meta_model": (
        OneOf(("logistic_regression", "lightgbm", "random_forest"), "logistic_regression"),
    ),
    "training.model.stacking.meta_model.random_forest": (
        OneOf(("max_features_rule", "max_features_fraction"), "max_features_rule"),
    ),
    "training.model.random_forest": (
        OneOf(("max_features_rule", "max_features_fraction"), "max_features_rule"),
    ),
    "training.model.extra_trees": (
        OneOf(("max_features_rule", "max_features_fraction"), "max_features_rule"),
    ),
    "labels": (OneOf(("fixed_horizon", "triple_barrier", "trend_scanning", "meta_label"), "triple_barrier"),),
    "labels.fixed_horizon": (OneOf(("fraction", "trailing_volatility", "quantile"), "trailing_volatility"),),
    "labels.triple_barrier": (OneOf(("fraction", "volatility"), "volatility"),),
    "labels.meta_label.triple_barrier": (OneOf(("fraction", "volatility"), "volatility"),),
    "labels.cusum_events": (OneOf(("fraction", "trailing_volatility"), "trailing_volatility"),),
}
"""By the path of the message that has them."""
