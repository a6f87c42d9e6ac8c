"""A fit with formulas: over rolling features too, to the bit, and never more than a config can hold."""

from __future__ import annotations

import numpy as np
import pytest

from services.features import config_rules
from services.features.autofeat import Symbolic
from services.features.config import AutofeatChoice, FamilyChoice, FeatureConfig, TsfreshChoice
from services.features.expressions import Expression
from services.features.expressions.declared import EXPRESSIONS_MAX, TOGETHER_MAX
from services.features.selection.fitting import _accepted, _kept, fit
from services.features.selection.target import Target, TargetKind
from tests.features.frames import random_walk
from tests.features.selection.matrices import nobody
from tests.features.whole import generated

NOTHING = {name: FamilyChoice(enabled=False) for name in ("technical", "statistical", "series", "market")}


def test_a_formula_over_rolling_features_is_found_and_computed_with_the_fits_bits():
    frame = random_walk(4, 3000)
    config = FeatureConfig(
        **NOTHING,
        calendar=FamilyChoice(features=("hour_sin",)),
        tsfresh=TsfreshChoice(enabled=True, columns=("close",), calculators=("mean_change", "kurtosis")),
        autofeat=AutofeatChoice(enabled=True, steps=1),
    )
    values = generated(frame, config)
    told = values["w24__close__mean_change"] * values["w24__close__kurtosis"]
    rows = np.sort(np.random.default_rng(0).choice(np.arange(50, 3000), 2000, replace=False))
    target = Target(TargetKind.REAL, told.to_numpy()[rows])
    given = np.ascontiguousarray(values.to_numpy().T[:, rows])
    rolling = [name for name in values.columns if name.startswith("w24")]
    found = fit(list(values.columns), rolling, given, target, config, 0, nobody)
    formula = found.config.expressions[0]
    assert formula.expression in (
        "w24__close__mean_change * w24__close__kurtosis",
        "w24__close__kurtosis * w24__close__mean_change",
    )
    assert not config_rules.violations(found.config)
    later = generated(frame, found.config)[formula.name].to_numpy()
    np.testing.assert_array_equal(later[50:], told.to_numpy()[50:])


@pytest.mark.parametrize("count", [0, EXPRESSIONS_MAX - 2, EXPRESSIONS_MAX])
def test_no_more_formulas_are_kept_than_a_config_can_hold(count: int):
    before = [Expression(f"mine_{place}", "close / open") for place in range(count)]
    found = [Symbolic(f"af_{place}", f"close * {place + 2}") for place in range(10)]
    assert len(_kept(found, [], before, nobody)) == min(10, EXPRESSIONS_MAX - count)
    assert _kept(found, ["af_3"], before, nobody).keys().isdisjoint({"af_3"})


def test_formulas_that_a_config_would_refuse_are_told_from_those_it_takes():
    texts = ["close", "nothing_of_the_sort", "mine * 2", "`w24__close__quantile__q_0.1`", "1 + 1"]
    assert _accepted(texts, [Expression("mine", "close")], nobody) == [True, False, True, True, False]
    full = [Expression(f"mine_{place}", f"close + {'9' * 1_900}") for place in range(TOGETHER_MAX // 1_950)]
    assert _accepted(texts * 300, full, nobody)[:2] == [True, False]
