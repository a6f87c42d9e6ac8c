"""Feature configs as messages and as domain values, in adjacent pairs."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from google.protobuf.message import Message

from marketml.features.v1 import features_pb2 as pb
from marketml.rpc.refusals import InvalidArgument
from marketml.rpc.unknown_fields import unknown_fields
from services.features.catalogue import cost_microseconds
from services.features.config import (
    CATALOGUE_FAMILIES,
    AutofeatChoice,
    FamilyChoice,
    FeatureConfig,
    Limits,
    SelectionChoice,
    TsfreshChoice,
    feature_count,
    lookback_bars,
)
from services.features.expressions import Expression
from services.features.presets import PRESETS, Preset
from services.features.rolling.presets import PRESETS as ROLLING_PRESETS

_Choice = TypeVar("_Choice", AutofeatChoice, FamilyChoice, Limits, SelectionChoice, TsfreshChoice)


def read_config(message: pb.FeatureConfig) -> FeatureConfig:
    """A config with every default filled in, from its preset where it names one.

    Raises
    ------
    InvalidArgument
        Fields that this contract has not: what is not computed is not passed over in silence.
    """
    unknown = list(unknown_fields(message, "config"))
    if unknown:
        raise InvalidArgument(unknown)
    base = PRESETS[message.preset].config if message.preset in PRESETS else FeatureConfig()
    families: dict[str, Any] = {
        family.value: _filled(getattr(message, family.value), base.choice(family))
        for family in CATALOGUE_FAMILIES
    }
    return FeatureConfig(
        **families,
        tsfresh=_read_tsfresh(message.tsfresh, base.tsfresh),
        autofeat=_filled(message.autofeat, base.autofeat),
        selection=_filled(message.selection, base.selection),
        limits=_filled(message.limits, base.limits),
        expressions=tuple(Expression(each.name, each.expression) for each in message.expressions),
        only=tuple(message.only),
        preset="" if message.preset in PRESETS else message.preset,
    )


def write_config(config: FeatureConfig) -> pb.FeatureConfig:
    """The message that says all of a config."""
    families: dict[str, Any] = {
        family.value: pb.FamilyConfig(**_fields(config.choice(family))) for family in CATALOGUE_FAMILIES
    }
    return pb.FeatureConfig(
        **families,
        tsfresh=pb.TsfreshConfig(**_fields(config.tsfresh)),
        autofeat=pb.AutofeatConfig(**_fields(config.autofeat)),
        selection=pb.SelectionConfig(**_fields(config.selection)),
        limits=pb.FeatureLimits(**_fields(config.limits)),
        expressions=[
            pb.FeatureExpression(name=each.name, expression=each.expression) for each in config.expressions
        ],
        only=config.only,
        preset=config.preset,
    )


def read_required_config(request: pb.ValidateFeatureConfigRequest) -> FeatureConfig:
    """The config of a request that is about it."""
    if not request.HasField("config"):
        raise InvalidArgument.of("config", "required", "must be given: it is absent.")
    return read_config(request.config)


def write_preset(preset: Preset) -> pb.FeaturePreset:
    return pb.FeaturePreset(
        name=preset.name,
        description=preset.description,
        config=write_config(preset.config),
        feature_count=feature_count(preset.config),
        warm_up_bars=lookback_bars(preset.config),
        cost_microseconds=cost_microseconds(preset.config),
    )


def _read_tsfresh(message: pb.TsfreshConfig, base: TsfreshChoice) -> TsfreshChoice:
    choice = _filled(message, base)
    if message.preset not in ROLLING_PRESETS:
        return choice
    calculators = tuple(message.calculators) or ROLLING_PRESETS[message.preset]
    return dataclasses.replace(choice, calculators=calculators, preset="")


def _filled(message: Message, base: _Choice) -> _Choice:
    """What a message says, and where it says nothing what `base` has."""
    said: dict[str, Any] = {
        field.name: tuple(value) if field.is_repeated else value for field, value in message.ListFields()
    }
    said |= {  # a false or a zero that is said counts
        field.name: getattr(message, field.name)
        for field in message.DESCRIPTOR.fields
        if field.has_presence and message.HasField(field.name)
    }
    return dataclasses.replace(base, **said)


def _fields(choice: object) -> dict[str, Any]:
    return {each.name: getattr(choice, each.name) for each in dataclasses.fields(choice)}  # type: ignore[arg-type]
