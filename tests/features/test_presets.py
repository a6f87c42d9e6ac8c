"""The presets: configs with a name."""

from __future__ import annotations

import pytest

from marketml.clients.features import FeaturesClient
from marketml.features.v1 import features_pb2 as pb
from services.features import config_rules, wire_config
from services.features.config import FeatureConfig, TsfreshChoice, feature_count
from services.features.presets import PRESETS
from services.features.rolling.presets import PRESETS as ROLLING_PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_breaks_no_rule_and_fits_its_own_limits(name):
    config = PRESETS[name].config
    assert config_rules.violations(config) == []
    assert feature_count(config) <= config.limits.max_features


def test_a_later_preset_costs_more():
    costs = [wire_config.write_preset(preset).cost_microseconds for preset in PRESETS.values()]
    assert costs == sorted(costs)
    assert len(set(costs)) == len(costs)


@pytest.mark.parametrize("name", PRESETS)
def test_a_config_that_names_a_preset_is_that_preset(name):
    assert wire_config.read_config(pb.FeatureConfig(preset=name)) == PRESETS[name].config


def test_what_a_config_says_beside_its_preset_counts():
    given = pb.FeatureConfig(
        preset="financial",
        calendar=pb.FamilyConfig(enabled=False),
        selection=pb.SelectionConfig(enabled=False),
        tsfresh=pb.TsfreshConfig(windows=[30]),
    )
    read, preset = wire_config.read_config(given), PRESETS["financial"].config
    assert not read.calendar.enabled
    assert not read.selection.enabled
    assert read.selection.feature_count_limit == preset.selection.feature_count_limit
    assert read.tsfresh.windows == (30,)
    assert read.tsfresh.calculators == preset.tsfresh.calculators


def test_a_preset_of_calculators_gives_way_to_calculators_that_are_named():
    chosen = wire_config.read_config(pb.FeatureConfig(tsfresh=pb.TsfreshConfig(preset="fast"))).tsfresh
    assert chosen.calculators == ROLLING_PRESETS["fast"]
    named = pb.TsfreshConfig(preset="fast", calculators=["median"])
    assert wire_config.read_config(pb.FeatureConfig(tsfresh=named)).tsfresh.calculators == ("median",)


def test_an_unknown_preset_is_refused_with_the_nearest():
    read = wire_config.read_config(
        pb.FeatureConfig(preset="finance", tsfresh=pb.TsfreshConfig(preset="slow"))
    )
    assert read.preset == "finance"
    enabled = FeatureConfig(preset="finance", tsfresh=TsfreshChoice(enabled=True, preset="slow"))
    found = {each.field: each for each in config_rules.violations(enabled)}
    assert set(found) == {"config.preset", "config.tsfresh.preset"}
    assert "the nearest is 'financial'" in found["config.preset"].description


def test_a_file_of_yaml_may_name_only_what_a_fit_chose():
    config = FeatureConfig(only=("rsi_14", "rsi_15"))
    [found] = config_rules.violations(config)
    assert (found.field, found.rule) == ("config.only[1]", "unknown")


def test_the_presets_are_listed_with_the_config_that_naming_them_means(client: FeaturesClient):
    listed = client.list_feature_presets()
    assert [preset.name for preset in listed] == list(PRESETS)
    for preset in listed:
        named = client.validate_feature_config(pb.FeatureConfig(preset=preset.name))
        assert named == client.validate_feature_config(preset.config)
        assert named.feature_count == preset.feature_count
    assert client.list_feature_presets(page_size=1) == listed


def test_every_feature_says_which_presets_hold_it(client: FeaturesClient):
    presets = {feature.name: list(feature.presets) for feature in client.list_features()}
    assert presets["rsi_14"] == list(PRESETS)
    assert presets["wWINDOW__COLUMN__mean"] == ["balanced", "financial", "comprehensive"]
    assert presets["wWINDOW__COLUMN__sample_entropy"] == ["financial", "comprehensive"]
    assert presets["htf_4h_rsi_14"] == ["financial", "comprehensive"]
