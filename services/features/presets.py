"""Configs with a name, from the cheapest to the dearest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.features.config import (
    MIB,
    AutofeatChoice,
    FamilyChoice,
    FeatureConfig,
    Limits,
    SelectionChoice,
    TsfreshChoice,
)
from services.features.rolling.presets import PRESETS as ROLLING_PRESETS


@dataclass(frozen=True)
class Preset:
    """A config with a name and what it is for."""

    name: str
    description: str
    config: FeatureConfig


PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "fast",
            "The catalogue alone, which costs a few microseconds a bar; nothing is fitted.",
            FeatureConfig(),
        ),
        Preset(
            "balanced",
            "The catalogue and the short list of tsfresh over 24 bars; the relevant ones are kept.",
            FeatureConfig(
                tsfresh=TsfreshChoice(enabled=True, calculators=ROLLING_PRESETS["balanced"]),
                selection=SelectionChoice(enabled=True),
            ),
        ),
        Preset(
            "financial",
            "The catalogue, longer bars and the tsfresh set for prices over two windows; the relevant ones "
            "that do not repeat each other are kept.",
            FeatureConfig(
                tsfresh=TsfreshChoice(
                    enabled=True, windows=(24, 72), calculators=ROLLING_PRESETS["financial"]
                ),
                selection=SelectionChoice(enabled=True, correlation_max=0.9, feature_count_limit=150),
                higher_timeframe=FamilyChoice(enabled=True),
            ),
        ),
        Preset(
            "comprehensive",
            "Everything: all of tsfresh over three windows, symbolic features, and a choice that must hold "
            "in most blocks of time.",
            FeatureConfig(
                tsfresh=TsfreshChoice(
                    enabled=True, windows=(24, 72, 168), calculators=ROLLING_PRESETS["comprehensive"]
                ),
                autofeat=AutofeatChoice(enabled=True),
                selection=SelectionChoice(enabled=True, stability_blocks=5, feature_count_limit=150),
                limits=Limits(max_features=10_000, max_memory_bytes=8192 * MIB),
                higher_timeframe=FamilyChoice(enabled=True),
            ),
        ),
    )
}
