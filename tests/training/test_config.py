"""The config: defaults, the merge with the platform's, and every rule with its full path."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketml.bundle.graph import Calibration
from marketml.training.v1 import training_pb2 as pb
from services.training import labels
from services.training.config import default_config, fill_config, warnings
from services.training.job_plan import read_plan
from services.training.jobs import Tree
from services.training.learners.extra_trees import ExtraTreesParameters
from services.training.learners.forest import ForestParameters
from services.training.learners.lightgbm import LightgbmParameters
from services.training.learners.logistic import LogisticParameters
from services.training.learners.xgboost import XgboostParameters
from services.training.models.decisions import DecisionMetric
from services.training.models.ensembles import Bagging, Bootstrap, Stacking
from services.training.plan import CalibrationPlan, ClassWeight, DecisionPlan, violations
from services.training.splits import CombinatorialPurged, KFold, WalkForward
from services.training.weights import SampleWeights
from services.training.wire_trees import read_tree, write_tree

SNAPSHOT = "5" * 64


def config(*, dataset: bool = True) -> pb.TrainingConfig:
    message = pb.TrainingConfig()
    if dataset:
        message.dataset.snapshot_id = SNAPSHOT
    return message


def broken(message: pb.TrainingConfig, platform: Tree | None = None) -> dict[str, str]:
    """The rule that each field breaks, by its path."""
    tree, found = read_tree(message, "config")
    _, more = fill_config(tree, platform or {})
    return {each.field: each.rule for each in (*more, *found)}


def filled(message: pb.TrainingConfig, platform: Tree | None = None) -> Tree:
    tree, found = read_tree(message, "config")
    result, more = fill_config(tree, platform or {})
    assert not [*found, *more]
    return result


def test_the_built_in_defaults_are_those_of_the_contract() -> None:
    written = write_tree(default_config({}), pb.TrainingConfig())
    assert written.label.triple_barrier.volatility.profit_multiple == 4
    assert written.label.triple_barrier.horizon_bars == 24
    assert (written.split.folds, written.split.embargo_bars, written.split.test_fraction) == (5, 24, 0.2)
    assert (written.model.lightgbm.rounds, written.model.lightgbm.max_bin) == (500, 255)
    assert (written.early_stopping.enabled, written.early_stopping.patience_rounds) == (True, 50)
    assert written.class_weight == pb.CLASS_WEIGHT_NONE
    assert (written.evaluation.interval_level, written.evaluation.interval_draws) == (0.95, 1000)
    assert written.budget.max_duration.seconds == 3600
    assert not written.budget.HasField("max_memory_bytes")
    assert written.HasField("seed")
    assert not written.HasField("dataset")


def test_a_filled_config_is_accepted_and_stays_as_it_is() -> None:
    for kind in ("lightgbm", "xgboost", "random_forest", "extra_trees"):
        for is_binary in (False, True):
            message = config()
            for method in ("fixed_horizon", "triple_barrier", "trend_scanning"):
                getattr(message.model, kind).SetInParent()
                getattr(message.label, method).SetInParent()
                message.label.binary = is_binary
                message.label.cusum_events.enabled = is_binary
                once = filled(message)
                assert filled(write_tree(once, pb.TrainingConfig())) == once
                assert read_plan(once).is_binary == is_binary


def test_what_is_given_wins_then_the_platform_then_the_built_in_default() -> None:
    platform = {
        "model": {"lightgbm": {"rounds": 77, "num_leaves": 5}},
        "split": {"folds": 9, "embargo_duration": 3600.0},
        "label": {"fixed_horizon": {"horizon_bars": 3, "fraction": 0.01}, "binary": False},
        "class_weight": "CLASS_WEIGHT_BALANCED",
        "early_stopping": {"enabled": True, "patience_rounds": 5},
        "dataset": {"funding_max_age": 60.0},
    }
    message = config(dataset=False)
    message.dataset.series.series.venue = "binance"
    message.dataset.series.series.symbol = "BTC/USDT"
    message.dataset.series.series.timeframe = "1h"
    message.model.lightgbm.num_leaves = 6
    message.split.embargo_bars = 0
    found = filled(message, platform)
    assert found["model"]["lightgbm"]["rounds"] == 77
    assert found["model"]["lightgbm"]["num_leaves"] == 6
    assert found["model"]["lightgbm"]["learning_rate"] == 0.05
    assert found["split"] == {"test_fraction": 0.2, "folds": 9, "embargo_bars": 0}
    assert found["label"]["fixed_horizon"] == {"horizon_bars": 3, "fraction": 0.01}
    assert found["class_weight"] == "CLASS_WEIGHT_BALANCED"
    assert found["early_stopping"] == {"enabled": True, "patience_rounds": 5, "fraction": 0.15}
    assert found["dataset"]["funding_max_age"] == 60.0
    assert "open_interest_max_age" not in found["dataset"], "absent everywhere: the data room decides"


def test_the_platforms_values_of_another_branch_count_for_nothing() -> None:
    platform = {"model": {"lightgbm": {"rounds": 77}}, "label": {"fixed_horizon": {"horizon_bars": 3}}}
    message = config()
    message.model.xgboost.SetInParent()
    message.label.triple_barrier.SetInParent()
    found = filled(message, platform)
    assert found["model"] == {"xgboost": {**found["model"]["xgboost"], "rounds": 500}}
    assert found["label"]["triple_barrier"]["horizon_bars"] == 24


def test_a_given_family_of_features_is_taken_whole() -> None:
    platform = {
        "features": {"technical": {"enabled": True, "features": ["rsi_14"]}, "series": {"enabled": False}}
    }
    message = config()
    message.features.technical.enabled = True
    found = filled(message, platform)["features"]
    assert found["technical"] == {"enabled": True}  # not only the platform's one feature
    assert found["series"] == {"enabled": False}


def _set(path: str, value: Any) -> pb.TrainingConfig:
    message = config()
    target: Any = message
    *parents, name = path.split(".")
    for parent in parents:
        target = getattr(target, parent)
    if name.endswith("duration"):
        getattr(target, name).FromNanoseconds(round(value * 1e9))
    elif isinstance(value, pb.TrainingConfig):
        getattr(target, name).SetInParent()
    else:
        setattr(target, name, value)
    return message


_RANGES: dict[str, tuple[Any, ...]] = {
    "label.fixed_horizon.horizon_bars": (0, -1, 100_001),
    "label.fixed_horizon.fraction": (0.0, -0.1, math.inf, math.nan),
    "label.fixed_horizon.trailing_volatility.multiple": (0.0, -1.0),
    "label.fixed_horizon.trailing_volatility.window_bars": (1, 100_001),
    "label.fixed_horizon.quantile.tail": (0.0, -0.1, 0.5, math.nan),
    "label.triple_barrier.horizon_bars": (0, 100_001),
    "label.triple_barrier.minimum_return": (-0.1, 1.0),
    "label.triple_barrier.volatility.profit_multiple": (0.0, math.nan),
    "label.triple_barrier.volatility.loss_multiple": (-4.0,),
    "label.triple_barrier.volatility.window_bars": (1,),
    "label.triple_barrier.fraction.profit_fraction": (0.0, -1.0),
    "label.triple_barrier.fraction.loss_fraction": (0.0, 1.0, 2.0),
    "label.trend_scanning.min_horizon_bars": (1, 1_001),
    "label.trend_scanning.max_horizon_bars": (1, 1_001),
    "label.trend_scanning.minimum_t": (0.0, -1.0, math.inf),
    "label.meta_label.moving_averages.fast_bars": (0, 100_000),
    "label.meta_label.moving_averages.slow_bars": (1, 100_001),
    "label.meta_label.triple_barrier.horizon_bars": (0, 100_001),
    "sample_weights.oldest_weight": (-0.1, 1.1, math.nan),
    "split.test_fraction": (0.0, 0.51, -0.1),
    "split.folds": (1, 101, -3),
    "split.walk_forward.folds": (0, 101),
    "split.walk_forward.test_row_count": (0, -1),
    "split.walk_forward.train_row_count": (0, -1),
    "split.combinatorial_purged.groups": (2, 15),
    "split.combinatorial_purged.test_groups": (0, 6),
    "split.embargo_bars": (-1,),
    "split.embargo_duration": (-1.0, 1.5),
    "early_stopping.patience_rounds": (0, 10_001),
    "early_stopping.fraction": (0.0, 0.6),
    "evaluation.interval_level": (0.4, 1.0),
    "evaluation.interval_draws": (99, 100_001),
    "budget.max_duration": (0.0, -1.0, 8 * 86_400.0),
    "budget.max_memory_bytes": (0, 64 * 2**20 - 1, -1),
    "seed": (-1, -(2**63)),
    "class_weight": (0, 7, -1),
    "model.bagging.members": (1, 101),
    "model.bagging.bootstrap_fraction": (0.04, 1.1),
    "model.bagging.bootstrap": (0, 9),
    "model.bagging.block_rows": (0, 1_000_001),
    "model.stacking.folds": (1, 21),
    "model.stacking.meta_model.logistic_regression.c": (0.0, 1e7),
    "model.stacking.meta_model.lightgbm.rounds": (0, 20_001),
    "model.stacking.meta_model.random_forest.max_features_rule": ("all",),
    "calibration.method": (0, 9),
    "calibration.fraction": (0.0, 0.6),
    "decision_thresholds.metric": (0, 9),
    "decision_thresholds.fraction": (0.0, 0.6),
    "model.random_forest.max_features_rule": ("", "all"),
    "model.random_forest.max_features_fraction": (0.0, 1.1),
    "model.extra_trees.max_features_rule": ("", "all"),
    "model.extra_trees.max_features_fraction": (0.0, 1.1),
}
for _kind, _parameters in (
    ("lightgbm", LightgbmParameters),
    ("xgboost", XgboostParameters),
    ("random_forest", ForestParameters),
    ("extra_trees", ExtraTreesParameters),
):
    for _name, _field in _parameters.__dataclass_fields__.items():
        if _name not in ("max_features", "bootstrap"):
            _low, _high = _field.metadata["low"], _field.metadata["high"]
            _RANGES[f"model.{_kind}.{_name}"] = (_low - 1, _high + 1)


@pytest.mark.parametrize(("path", "value"), [(path, value) for path in _RANGES for value in _RANGES[path]])
def test_a_value_out_of_range_is_refused_with_its_full_path(path: str, value: Any) -> None:
    assert f"config.{path}" in broken(_set(path, value))


def test_a_method_of_splitting_takes_the_place_of_the_number_of_folds() -> None:
    assert filled(config())["split"] == {"test_fraction": 0.2, "folds": 5, "embargo_bars": 24}
    message = config()
    message.split.walk_forward.train_row_count = 900
    found = filled(message)
    assert found["split"] == {
        "test_fraction": 0.2,
        "walk_forward": {"folds": 5, "train_row_count": 900},
        "embargo_bars": 24,
    }
    assert filled(write_tree(found, pb.TrainingConfig())) == found
    assert read_plan(found).training.split.method == WalkForward(5, None, 900)
    message.split.combinatorial_purged.groups = 8
    found = filled(message)
    assert found["split"]["combinatorial_purged"] == {"groups": 8, "test_groups": 2}
    assert set(found["split"]) == {"test_fraction", "combinatorial_purged", "embargo_bars"}
    assert filled(write_tree(found, pb.TrainingConfig())) == found
    assert read_plan(found).training.split.method == CombinatorialPurged(8, 2)
    message.split.folds = 4
    assert broken(message) == {"config.split.folds": "unused"}


def test_the_platforms_method_of_splitting_gives_way_to_the_requests() -> None:
    platform = {"split": {"walk_forward": {"folds": 7, "test_row_count": 50}}}
    message = config()
    assert filled(message, platform)["split"]["walk_forward"] == {"folds": 7, "test_row_count": 50}
    message.split.walk_forward.folds = 3
    assert filled(message, platform)["split"]["walk_forward"] == {"folds": 3, "test_row_count": 50}
    message.split.combinatorial_purged.SetInParent()
    assert "walk_forward" not in filled(message, platform)["split"]
    message = config()
    message.split.folds = 4
    assert read_plan(filled(message, platform)).training.split.method == KFold(4)


@pytest.mark.parametrize(
    ("groups", "test_groups", "rule"), [(4, 4, "range"), (4, 5, "range"), (9, 4, "fold_count")]
)
def test_choices_of_groups_that_cannot_be_or_are_too_many_are_refused(
    groups: int, test_groups: int, rule: str
) -> None:
    message = config()
    message.split.combinatorial_purged.groups = groups
    message.split.combinatorial_purged.test_groups = test_groups
    assert broken(message) == {"config.split.combinatorial_purged.test_groups": rule}


def test_every_broken_rule_is_named_at_once() -> None:
    message = config(dataset=False)
    message.label.triple_barrier.horizon_bars = 0
    message.model.xgboost.gamma = -1
    message.model.xgboost.max_depth = 99
    message.class_weight = 9  # type: ignore[assignment]
    message.split.folds = 1
    message.seed = -5
    assert broken(message) == {
        "config.dataset": "required",
        "config.label.triple_barrier.horizon_bars": "range",
        "config.model.xgboost.gamma": "range",
        "config.model.xgboost.max_depth": "range",
        "config.class_weight": "unknown",
        "config.split.folds": "range",
        "config.seed": "range",
    }


def test_barriers_in_fractions_have_no_default() -> None:
    message = config()
    message.label.triple_barrier.fraction.SetInParent()
    at = "config.label.triple_barrier.fraction"
    assert broken(message) == {f"{at}.profit_fraction": "required", f"{at}.loss_fraction": "required"}


@pytest.mark.parametrize("kind", ["random_forest", "extra_trees"])
@pytest.mark.parametrize("field", ["enabled", "patience_rounds", "fraction"])
def test_a_forest_refuses_early_stopping_and_does_not_inherit_it(field: str, kind: str) -> None:
    platform = {"early_stopping": {"enabled": True, "patience_rounds": 5}}
    message = config()
    getattr(message.model, kind).SetInParent()
    assert filled(message, platform)["early_stopping"] == {"enabled": False}
    setattr(message.early_stopping, field, 1 if field != "fraction" else 0.2)
    assert broken(message, platform) == {f"config.early_stopping.{field}": "unused"}


def test_extra_trees_draw_a_share_of_the_rows_only_with_a_bootstrap() -> None:
    platform = {"model": {"extra_trees": {"max_samples": 0.4}}}
    message = config()
    message.model.extra_trees.trees = 7
    assert "max_samples" not in filled(message, platform)["model"]["extra_trees"]
    assert read_plan(filled(message, platform)).training.model == ExtraTreesParameters(trees=7)
    message.model.extra_trees.bootstrap = True
    found = read_plan(filled(message, platform)).training.model
    assert found == ExtraTreesParameters(trees=7, bootstrap=True, max_samples=0.4)
    message.model.extra_trees.max_samples = 0.5
    message.model.extra_trees.bootstrap = False
    assert broken(message) == {"config.model.extra_trees.max_samples": "unused"}


LIGHTGBM_DEFAULTS = {name: rule.default for name, rule in LightgbmParameters.__dataclass_fields__.items()}


def test_an_ensemble_that_says_nothing_is_the_contracts_default() -> None:
    message = config()
    message.model.bagging.SetInParent()
    found = filled(message)
    assert found["model"] == {
        "bagging": {
            "members": 5,
            "models": [{"lightgbm": LIGHTGBM_DEFAULTS}],
            "bootstrap_fraction": 0.8,
            "bootstrap": "BOOTSTRAP_METHOD_BLOCKS",
            "block_rows": 24,
        }
    }
    assert read_plan(found).training.model == Bagging()
    assert filled(write_tree(found, pb.TrainingConfig())) == found
    message.model.stacking.SetInParent()
    found = filled(message)
    assert read_plan(found).training.model == Stacking()
    assert filled(write_tree(found, pb.TrainingConfig())) == found
    assert found["early_stopping"]["enabled"]


def test_the_models_of_an_ensemble_are_filled_each_and_named_by_their_place() -> None:
    message = config()
    bagging = message.model.bagging
    bagging.models.add().xgboost.rounds = 7
    bagging.models.add().extra_trees.trees = 9
    bagging.models.add()
    bagging.bootstrap = pb.BOOTSTRAP_METHOD_SEQUENTIAL
    plan = read_plan(filled(message, {"model": {"xgboost": {"rounds": 1, "max_depth": 1}}})).training
    assert plan.model == Bagging(
        models=(XgboostParameters(rounds=7), ExtraTreesParameters(trees=9), LightgbmParameters()),
        bootstrap=Bootstrap.SEQUENTIAL,
    )
    bagging.models[1].extra_trees.trees = 0
    bagging.models[1].extra_trees.max_samples = 0.5
    bagging.block_rows = 5
    bagging.members = 2
    assert broken(message) == {
        "config.model.bagging.models[1].extra_trees.trees": "range",
        "config.model.bagging.models[1].extra_trees.max_samples": "unused",
        "config.model.bagging.models": "range",
        "config.model.bagging.block_rows": "unused",
    }


def test_a_stack_takes_its_meta_model_and_its_base_models() -> None:
    message = config()
    stacking = message.model.stacking
    stacking.base_models.add().random_forest.trees = 3
    stacking.base_models.add().extra_trees.max_features_fraction = 0.5
    stacking.meta_model.random_forest.trees = 4
    stacking.folds, stacking.passthrough = 3, True
    found = filled(message)
    assert read_plan(found).training.model == Stacking(
        folds=3,
        base_models=(ForestParameters(trees=3), ExtraTreesParameters(max_features=0.5)),
        meta_model=ForestParameters(trees=4),
        passthrough=True,
    )
    assert found["early_stopping"] == {"enabled": False}
    stacking.meta_model.lightgbm.rounds = 5
    assert filled(message)["early_stopping"]["enabled"]
    del stacking.base_models[1:]
    assert broken(message) == {"config.model.stacking.base_models": "range"}


def test_a_single_model_beside_an_ensemble_is_refused_and_the_platforms_gives_way() -> None:
    message = config()
    message.model.bagging.members = 4
    platform = {"model": {"lightgbm": {"rounds": 9}}}
    assert read_plan(filled(message, platform)).training.model == Bagging(members=4)
    message.model.lightgbm.rounds = 5
    assert broken(message) == {"config.model.lightgbm": "unused"}
    platform = {"model": {"stacking": {"folds": 3, "meta_model": {"logistic_regression": {"c": 0.5}}}}}
    expected = Stacking(folds=3, meta_model=LogisticParameters(0.5))
    assert read_plan(filled(config(), platform)).training.model == expected
    message = config()
    message.model.xgboost.SetInParent()
    assert read_plan(filled(message, platform)).training.model == XgboostParameters()


@pytest.mark.parametrize("field", ["enabled", "patience_rounds", "fraction"])
def test_an_ensemble_of_forests_refuses_early_stopping(field: str) -> None:
    message = config()
    message.model.bagging.models.add().random_forest.trees = 3
    message.model.bagging.models.add().extra_trees.trees = 3
    assert filled(message)["early_stopping"] == {"enabled": False}
    setattr(message.early_stopping, field, 1 if field != "fraction" else 0.2)
    assert broken(message) == {f"config.early_stopping.{field}": "unused"}


def test_calibration_and_thresholds_are_off_and_take_no_details_unless_they_are_on() -> None:
    platform = {
        "calibration": {"method": "CALIBRATION_METHOD_ISOTONIC", "fraction": 0.3},
        "decision_thresholds": {"metric": "DECISION_METRIC_MCC", "fraction": 0.3},
    }
    found = filled(config(), platform)
    assert found["calibration"] == found["decision_thresholds"] == {"enabled": False}
    plan = read_plan(found).training
    assert plan.calibration is plan.decision_thresholds is None
    message = config()
    message.calibration.fraction = 0.2
    message.decision_thresholds.metric = pb.DECISION_METRIC_MCC
    assert broken(message) == {
        "config.calibration.fraction": "unused",
        "config.decision_thresholds.metric": "unused",
    }
    message.calibration.enabled = True
    message.decision_thresholds.enabled = True
    found = filled(message, platform)
    assert filled(write_tree(found, pb.TrainingConfig()), platform) == found
    plan = read_plan(found).training
    assert plan.calibration == CalibrationPlan(Calibration.ISOTONIC, 0.2)
    assert plan.decision_thresholds == DecisionPlan(DecisionMetric.MCC)
    message.decision_thresholds.fraction = 0.1
    assert broken(message) == {"config.decision_thresholds.fraction": "unused"}
    message.calibration.Clear()
    assert read_plan(filled(message)).training.decision_thresholds == DecisionPlan(DecisionMetric.MCC, 0.1)


def test_details_of_early_stopping_are_refused_when_it_is_off() -> None:
    message = config()
    message.early_stopping.enabled = False
    message.early_stopping.patience_rounds = 5
    assert broken(message) == {"config.early_stopping.patience_rounds": "unused"}


def test_a_binary_label_refuses_a_threshold_and_does_not_inherit_one() -> None:
    platform = {"label": {"fixed_horizon": {"horizon_bars": 3, "fraction": 0.01}}}
    message = config()
    message.label.binary = True
    message.label.fixed_horizon.SetInParent()
    assert read_plan(filled(message, platform)).label == labels.FixedHorizon(3, None)
    message.label.fixed_horizon.fraction = 0.01
    assert broken(message) == {"config.label.fixed_horizon.fraction": "unused"}
    message.label.fixed_horizon.trailing_volatility.multiple = 1
    assert broken(message) == {"config.label.fixed_horizon.trailing_volatility": "unused"}
    message.label.fixed_horizon.quantile.SetInParent()
    assert broken(message) == {"config.label.fixed_horizon.quantile": "unused"}


def test_a_threshold_of_quantiles_cuts_off_a_third_unless_told_otherwise() -> None:
    message = config()
    message.label.fixed_horizon.quantile.SetInParent()
    expected = labels.FixedHorizon(24, labels.QuantileThreshold(0.33))
    assert read_plan(filled(message)).label == expected
    assert labels.QuantileThreshold() == expected.threshold
    platform = {"label": {"fixed_horizon": {"horizon_bars": 3, "quantile": {"tail": 0.25}}}}
    assert read_plan(filled(config(), platform)).label == labels.FixedHorizon(
        3, labels.QuantileThreshold(0.25)
    )


def test_a_binary_trend_and_a_binary_meta_label_refuse_what_they_do_not_use() -> None:
    platform = {"label": {"trend_scanning": {"max_horizon_bars": 30, "minimum_t": 3.0}, "binary": True}}
    message = config()
    message.label.trend_scanning.min_horizon_bars = 4
    assert read_plan(filled(message, platform)).label == labels.TrendScanning(4, 30)
    message.label.trend_scanning.minimum_t = 2
    assert broken(message, platform) == {"config.label.trend_scanning.minimum_t": "unused"}
    message.label.meta_label.SetInParent()
    plan = read_plan(filled(message, platform))
    assert plan.label == labels.MetaLabel(
        labels.MovingAverages(12, 48), labels.TripleBarrier(labels.VolatilityBarriers(4.0, 4.0, 72), 24)
    )
    assert not plan.is_binary
    message.label.binary = True
    assert broken(message, platform) == {"config.label.binary": "unused"}


def test_a_length_that_is_shorter_than_the_one_before_it_is_refused() -> None:
    message = config()
    message.label.trend_scanning.min_horizon_bars = 25
    assert broken(message) == {"config.label.trend_scanning.max_horizon_bars": "order"}
    message.label.meta_label.moving_averages.slow_bars = 12
    assert broken(message) == {"config.label.meta_label.moving_averages.slow_bars": "order"}


def test_a_threshold_of_events_is_refused_while_every_bar_is_a_decision() -> None:
    message = config()
    message.label.cusum_events.fraction = 0.02
    assert broken(message) == {"config.label.cusum_events.fraction": "unused"}
    message.label.cusum_events.enabled = True
    assert read_plan(filled(message)).label_events == labels.CusumEvents(labels.Fixed(0.02))
    message.label.cusum_events.fraction = 0
    assert broken(message) == {"config.label.cusum_events.fraction": "range"}
    message.label.cusum_events.trailing_volatility.multiple = -1
    assert broken(message) == {"config.label.cusum_events.trailing_volatility.multiple": "range"}
    platform = {"label": {"cusum_events": {"enabled": True, "trailing_volatility": {"multiple": 3.0}}}}
    message.label.ClearField("cusum_events")
    events = read_plan(filled(message, platform)).label_events
    assert events == labels.CusumEvents(labels.TrailingVolatility(3.0, 72))
    message.label.cusum_events.enabled = False
    assert read_plan(filled(message, platform)).label_events is None


def test_the_weights_of_a_plan_are_what_the_config_says() -> None:
    assert read_plan(filled(config())).training.sample_weights == SampleWeights()
    message = config()
    message.sample_weights.uniqueness = True
    message.sample_weights.oldest_weight = 0.0
    platform = {"sample_weights": {"return_attribution": True, "oldest_weight": 0.5}}
    assert read_plan(filled(message, platform)).training.sample_weights == SampleWeights(True, True, 0.0)


def test_a_config_filled_by_an_earlier_version_still_makes_a_plan() -> None:
    tree = filled(config())
    del tree["sample_weights"]
    del tree["label"]["cusum_events"]
    assert read_plan(tree).label_events is None


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("venue", "", "required"),
        ("venue", "Bin ance", "venue"),
        ("venue", "../../etc", "venue"),
        ("venue", "b" * 33, "venue"),
        ("symbol", "", "required"),
        ("symbol", "BTC\x00USDT", "symbol"),
        ("symbol", "B" * 65, "symbol"),
        ("symbol", "BTCUSDT", "symbol"),
        ("timeframe", "", "required"),
        ("timeframe", "7m", "unknown"),
    ],
)
def test_a_series_that_cannot_be_is_refused(field: str, value: str, rule: str) -> None:
    message = config(dataset=False)
    key = message.dataset.series.series
    key.venue, key.symbol, key.timeframe = "binance", "BTC/USDT", "1h"
    setattr(key, field, value)
    assert broken(message) == {f"config.dataset.series.series.{field}": rule}


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    message = config(dataset=False)
    key = message.dataset.series.series
    key.venue, key.symbol, key.timeframe = "binance", "BTC/USDT", "1h"
    message.dataset.series.range.start_time.seconds = 1_700_000_000
    message.dataset.series.range.end_time.seconds = 1_700_000_000
    assert broken(message) == {"config.dataset.series.range.end_time": "order"}
    message.dataset.series.range.end_time.seconds = 2**60
    assert broken(message) == {"config.dataset.series.range.end_time": "time"}


def test_a_snapshot_is_named_by_its_digest_and_takes_no_ages() -> None:
    message = config()
    message.dataset.funding_max_age.seconds = 60
    assert broken(message) == {"config.dataset.funding_max_age": "unused"}
    for name in ("", "x", "5" * 63, "G" * 64, "../" * 20):
        message = config()
        message.dataset.snapshot_id = name
        assert set(broken(message)) == {"config.dataset.snapshot_id"}


def test_an_impossible_duration_is_refused() -> None:
    message = config()
    message.budget.max_duration.seconds = 5
    message.budget.max_duration.nanos = -1
    assert broken(message) == {"config.budget.max_duration": "duration"}


def test_the_plan_is_what_the_config_says() -> None:
    message = config()
    message.label.triple_barrier.fraction.profit_fraction = 0.02
    message.label.triple_barrier.fraction.loss_fraction = 0.01
    message.label.triple_barrier.horizon_bars = 12
    message.label.triple_barrier.minimum_return = 0.001
    message.model.random_forest.trees = 33
    message.model.random_forest.max_features_fraction = 0.5
    message.class_weight = pb.CLASS_WEIGHT_BALANCED
    message.split.embargo_duration.seconds = 7200
    message.evaluation.interval_level = 0.9
    message.budget.max_duration.FromMilliseconds(1500)
    message.budget.max_memory_bytes = 2**30
    message.seed = 2**63 - 1
    plan = read_plan(filled(message), threads=3)
    barriers = labels.FractionBarriers(0.02, 0.01)
    assert plan.label == labels.TripleBarrier(barriers, 12, 0.001)
    assert plan.training.model == ForestParameters(trees=33, max_features=0.5)
    assert plan.training.class_weight is ClassWeight.BALANCED
    assert (plan.training.split.embargo.seconds, plan.training.split.embargo.bars) == (7200, 0)
    assert plan.training.early_stopping is None
    assert (plan.training.interval_level, plan.training.threads) == (0.9, 3)
    assert (plan.max_duration_seconds, plan.max_memory_bytes, plan.seed) == (1.5, 2**30, 2**63 - 1)
    assert not violations(plan.training)


def test_what_is_unusual_is_told() -> None:
    message = config()
    assert not warnings(filled(message))
    message.split.embargo_bars = 0
    message.early_stopping.enabled = False
    message.model.lightgbm.rounds = 2
    assert len(warnings(filled(message))) == 3
    message.split.embargo_bars = 3
    assert any("horizon of 24 bars" in each for each in warnings(filled(message)))


@given(st.binary(max_size=200))
def test_whatever_a_caller_sends_is_refused_or_makes_a_plan(data: bytes) -> None:
    message = pb.TrainingConfig()
    try:
        message.ParseFromString(data)
    except Exception:  # not a message: the boundary's business
        return
    if not message.HasField("dataset"):
        message.dataset.snapshot_id = SNAPSHOT
    tree, found = read_tree(message, "config")
    result, more = fill_config(tree, {})
    if not [*found, *more]:
        plan = read_plan(result)
        assert not violations(plan.training)
        assert not labels.violations(plan.label, plan.label_events, binary=plan.is_binary)
        assert filled(write_tree(result, pb.TrainingConfig())) == result
