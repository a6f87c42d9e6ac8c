"""Configs: what is refused, with which path; what is only unusual; what they select."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketml.features.v1 import features_pb2 as pb
from marketml.rpc.refusals import InvalidArgument
from services.features import wire_config
from services.features.calculators import features_of
from services.features.config import (
    CATALOGUE_FAMILIES,
    ROLLING_COLUMNS,
    TRANSFORMATIONS,
    AutofeatChoice,
    FamilyChoice,
    FeatureConfig,
    Limits,
    SelectionChoice,
    TsfreshChoice,
    feature_count,
    lookback_bars,
    selected,
)
from services.features.config_rules import violations, warnings
from services.features.expressions import Expression
from services.features.feature import Family
from services.features.presets import PRESETS
from services.features.rolling.calculators import CALCULATORS
from services.features.rolling.presets import PRESETS as ROLLING_PRESETS

NONE = FamilyChoice(enabled=False)
NOTHING = {family.value: NONE for family in CATALOGUE_FAMILIES}


def rolling(**more) -> FeatureConfig:
    return FeatureConfig(tsfresh=TsfreshChoice(enabled=True, **more))


def technical(*names: str) -> FeatureConfig:
    return FeatureConfig(technical=FamilyChoice(features=names))


@pytest.mark.parametrize(
    ("config", "field", "rule", "said"),
    [
        (rolling(windows=(7,)), "config.tsfresh.windows[0]", "range", "7"),
        (rolling(windows=(24, 721)), "config.tsfresh.windows[1]", "range", "721"),
        (rolling(windows=(-1,)), "config.tsfresh.windows[0]", "range", "-1"),
        (rolling(windows=(24, 48, 24)), "config.tsfresh.windows[2]", "duplicate", "24"),
        (rolling(windows=(8, 9, 10, 11, 12)), "config.tsfresh.windows", "count", "5"),
        (rolling(columns=("closed",)), "config.tsfresh.columns[0]", "unknown", "'close'"),
        (rolling(columns=("close", "close")), "config.tsfresh.columns[1]", "duplicate", "close"),
        (rolling(columns=ROLLING_COLUMNS), "config.tsfresh.columns", "count", "14"),
        (rolling(calculators=("mean", "means")), "config.tsfresh.calculators[1]", "unknown", "'mean'"),
        (technical("rsi_15"), "config.technical.features[0]", "unknown", "'rsi_14'"),
        (technical("rsi_14", "rsi_14"), "config.technical.features[1]", "duplicate", "rsi_14"),
        (technical("funding_rate"), "config.technical.features[0]", "unknown", "belongs to market"),
        (technical("?" * 5000), "config.technical.features[0]", "unknown", "…"),
        (technical(""), "config.technical.features[0]", "unknown", "''"),
        (
            FeatureConfig(calendar=FamilyChoice(features=("hour",))),
            "config.calendar.features[0]",
            "unknown",
            "hour",
        ),
        (FeatureConfig(limits=Limits(max_rows=0)), "config.limits.max_rows", "range", "0"),
        (FeatureConfig(limits=Limits(max_rows=10_000_001)), "config.limits.max_rows", "range", "1e+07"),
        (FeatureConfig(limits=Limits(max_features=-3)), "config.limits.max_features", "range", "-3"),
        (FeatureConfig(limits=Limits(max_features=20_001)), "config.limits.max_features", "range", "20001"),
        (
            FeatureConfig(limits=Limits(timeout_seconds=0.0)),
            "config.limits.timeout_seconds",
            "range",
            "0",
        ),
        (
            FeatureConfig(limits=Limits(timeout_seconds=math.nan)),
            "config.limits.timeout_seconds",
            "range",
            "nan",
        ),
        (
            FeatureConfig(limits=Limits(timeout_seconds=3601.0)),
            "config.limits.timeout_seconds",
            "range",
            "3601",
        ),
        (FeatureConfig(limits=Limits(max_memory_bytes=1)), "config.limits.max_memory_bytes", "range", "1"),
        (FeatureConfig(**NOTHING), "config", "empty", "nothing"),
    ],
)
def test_a_broken_rule_is_named_with_its_path_and_value(
    config: FeatureConfig, field: str, rule: str, said: str
):
    (violation,) = violations(config)
    assert (violation.field, violation.rule) == (field, rule)
    assert said in violation.description
    assert len(violation.description) < 300


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (technical(*(f"rsi_{number}" for number in range(300_000))), "config.technical.features"),
        (rolling(windows=tuple(range(300_000))), "config.tsfresh.windows"),
        (rolling(columns=("closed",) * 300_000), "config.tsfresh.columns"),
        (rolling(calculators=("means",) * 300_000), "config.tsfresh.calculators"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_list_that_is_too_long_is_one_broken_rule_whatever_it_holds(config: FeatureConfig, field: str):
    (violation,) = violations(config)
    assert (violation.field, violation.rule) == (field, "count")
    assert "300000" in violation.description


def test_every_broken_rule_is_named_at_once():
    config = FeatureConfig(
        technical=FamilyChoice(features=("rsi", "x")),
        tsfresh=TsfreshChoice(enabled=True, windows=(1,), columns=("x",)),
        limits=Limits(max_rows=0),
    )
    assert [violation.field for violation in violations(config)] == [
        "config.technical.features[0]",
        "config.technical.features[1]",
        "config.tsfresh.windows[0]",
        "config.tsfresh.columns[0]",
        "config.limits.max_rows",
    ]


def test_the_default_breaks_no_rule_and_selects_the_whole_catalogue_but_longer_bars_and_references():
    config = FeatureConfig()
    assert violations(config) == []
    assert warnings(config) == []
    assert selected(config) == tuple(
        feature
        for family in CATALOGUE_FAMILIES
        if family not in (Family.HIGHER_TIMEFRAME, Family.CROSS_SYMBOL)
        for feature in features_of(family)
    )
    assert feature_count(config) == len(selected(config))
    assert lookback_bars(config) == max(feature.lookback_bars for feature in selected(config))


def test_named_features_come_in_the_order_of_the_catalogue():
    config = FeatureConfig(**NOTHING | {"calendar": FamilyChoice(features=("month", "hour_of_day"))})
    assert [feature.name for feature in selected(config)] == ["hour_of_day", "month"]
    assert lookback_bars(config) == 0


def test_a_rolling_family_counts_every_window_column_and_parameter():
    config = FeatureConfig(**NOTHING, tsfresh=TsfreshChoice(True, (8, 24), ("close",), ("mean", "c3")))
    assert feature_count(config) == 2 * (1 + 3)
    assert lookback_bars(config) == 23


def test_what_has_no_effect_is_a_warning():
    assert "technical" in warnings(FeatureConfig(technical=FamilyChoice(False, ("rsi_14",))))[0]
    assert "tsfresh" in warnings(FeatureConfig(tsfresh=TsfreshChoice(windows=(48,))))[0]
    assert "max_features" in warnings(FeatureConfig(limits=Limits(max_features=10)))[0]


def test_rolling_settings_that_have_no_effect_are_not_refused():
    assert violations(FeatureConfig(tsfresh=TsfreshChoice(windows=(3,)))) == []


def test_an_absent_message_is_the_default():
    assert wire_config.read_config(pb.FeatureConfig()) == FeatureConfig()
    assert wire_config.read_config(wire_config.write_config(FeatureConfig())) == FeatureConfig()


def test_a_family_that_is_given_is_enabled_unless_it_says_otherwise():
    message = pb.FeatureConfig(
        technical=pb.FamilyConfig(features=["rsi_14"]),
        series=pb.FamilyConfig(),
        market=pb.FamilyConfig(enabled=False),
        tsfresh=pb.TsfreshConfig(windows=[48]),
    )
    config = wire_config.read_config(message)
    assert config.technical == FamilyChoice(True, ("rsi_14",))
    assert config.series.enabled
    assert not config.market.enabled
    assert not config.tsfresh.enabled
    assert config.tsfresh.windows == (48,)
    assert config.tsfresh.columns == ("close", "volume")


def test_a_field_of_another_contract_is_refused_and_not_passed_over():
    message = pb.FeatureConfig(tsfresh=pb.TsfreshConfig(enabled=True))
    message.tsfresh.MergeFromString(b"\xf8\x06\x01")  # field 111, a varint
    with pytest.raises(InvalidArgument) as refused:
        wire_config.read_config(message)
    assert [(each.field, each.rule) for each in refused.value.violations] == [("config.tsfresh", "unknown")]


def test_a_limit_of_zero_is_a_zero_and_not_a_default():
    assert wire_config.read_config(pb.FeatureConfig(limits=pb.FeatureLimits(max_rows=0))).limits.max_rows == 0


FAMILY = st.builds(FamilyChoice, st.booleans(), st.lists(st.text(max_size=8), max_size=3).map(tuple))
INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
FLOAT = st.floats(allow_nan=False)
WORDS = st.lists(st.text(max_size=8), max_size=3).map(tuple)
CONFIG = st.builds(
    FeatureConfig,
    **{family.value: FAMILY for family in CATALOGUE_FAMILIES if family is not Family.HIGHER_TIMEFRAME},
    higher_timeframe=st.builds(FamilyChoice, st.booleans()),
    tsfresh=st.builds(
        TsfreshChoice,
        enabled=st.booleans(),
        windows=st.lists(INT32, min_size=1, max_size=3).map(tuple),
        columns=st.lists(st.sampled_from(ROLLING_COLUMNS), min_size=1, max_size=3).map(tuple),
        calculators=st.lists(st.sampled_from(list(CALCULATORS)), min_size=1, max_size=3).map(tuple),
        preset=st.just("") | st.text(max_size=8).filter(lambda name: name not in ROLLING_PRESETS),
        feature_selection=st.booleans(),
        fdr_level=FLOAT,
        feature_count_limit=INT32,
        parallel_jobs=INT32,
    ),
    autofeat=st.builds(
        AutofeatChoice,
        enabled=st.booleans(),
        max_features=INT32,
        steps=INT32,
        max_inputs=INT32,
        transformations=st.lists(st.sampled_from(TRANSFORMATIONS), min_size=1).map(tuple),
        selection_runs=INT32,
        max_memory_bytes=INT64,
    ),
    selection=st.builds(
        SelectionChoice,
        enabled=st.booleans(),
        fdr_level=FLOAT,
        correlation_max=FLOAT,
        stability_blocks=INT32,
        stability_share=FLOAT,
        model_importance=st.booleans(),
        feature_count_limit=INT32,
        feature_count_min=INT32,
    ),
    limits=st.builds(Limits, INT64, INT32, FLOAT, INT64),
    expressions=st.lists(st.builds(Expression, st.text(max_size=8), st.text(max_size=8)), max_size=2).map(
        tuple
    ),
    only=WORDS,
    preset=st.just("") | st.text(max_size=8).filter(lambda name: name not in PRESETS),
)


@given(CONFIG)
def test_a_config_comes_back_from_the_wire_as_it_was(config: FeatureConfig):
    message = pb.FeatureConfig.FromString(wire_config.write_config(config).SerializeToString())
    assert wire_config.read_config(message) == config


@given(CONFIG)
def test_any_config_is_judged_and_one_without_violations_can_be_counted(config: FeatureConfig):
    found = violations(config)
    assert all(violation.field.startswith("config") and violation.rule for violation in found)
    if not found:
        assert feature_count(config) >= 0
        assert lookback_bars(config) >= 0
        warnings(config)


def test_the_families_of_the_contract_are_those_of_the_domain():
    assert [f"FEATURE_FAMILY_{family.name}" for family in Family] == pb.FeatureFamily.keys()[1:]
