"""Symbolic features: planted ones are found, noise finds none, formulas give the bits that the fit saw."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from services.features.autofeat import Symbolic, evaluated, symbolic_features
from services.features.autofeat.formulas import candidates, name_of, named
from services.features.columns import Floats
from services.features.config import TRANSFORMATIONS, AutofeatChoice, FeatureConfig
from services.features.expressions import Expression, parse, violations
from services.features.selection.relevance import relevance
from services.features.selection.target import Target, TargetKind
from tests.features.frames import awkward_walk
from tests.features.selection.matrices import nobody
from tests.features.whole import generated

CHOICE = AutofeatChoice(enabled=True, max_inputs=10)
ROWS = 4000


def walk(generator: np.random.Generator, count: int = 10) -> Floats:
    """Half of them persistent."""
    values = generator.normal(size=(count, ROWS))
    values[: count // 2] = values[: count // 2].cumsum(axis=1) * 0.05
    return values


def found(values: Floats, target: Target, choice: AutofeatChoice = CHOICE, seed: int = 0) -> list[Symbolic]:
    names = [f"x{place}" for place in range(len(values))]
    order = relevance(values, target, nobody).order
    return symbolic_features(names, values, list(order), target, choice, seed, nobody)


@pytest.mark.parametrize("kind", list(TargetKind))
def test_a_product_that_decides_the_target_is_found(kind: TargetKind):
    generator = np.random.default_rng(3)
    values = walk(generator)
    signal = values[6] * values[8] + 0.5 * generator.normal(size=ROWS)
    borders = {TargetKind.BINARY: [0.0], TargetKind.MULTICLASS: [-0.5, 0.5]}
    told = signal if kind is TargetKind.REAL else np.digitize(signal, borders[kind]).astype(float)
    texts = [each.expression for each in found(values, Target(kind, told))]
    assert {"x6 * x8", "x8 * x6"} & set(texts), texts


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", list(TargetKind))
def test_next_to_nothing_is_found_in_noise(kind: TargetKind, seed: int):
    generator = np.random.default_rng(seed)
    values = walk(generator)
    persistent = generator.normal(size=ROWS).cumsum()  # goes with other persistent ones for a while
    noise = persistent if seed % 2 else generator.normal(size=ROWS)
    borders = {TargetKind.BINARY: [0.5], TargetKind.MULTICLASS: [0.33, 0.67]}
    told = noise if kind is TargetKind.REAL else np.digitize(noise, np.quantile(noise, borders[kind]))
    assert len(found(values, Target(kind, told.astype(float)))) <= 1


def test_the_same_arguments_find_the_same_and_a_name_follows_from_its_formula():
    generator = np.random.default_rng(5)
    values = walk(generator)
    told = (values[6] * values[8] + values[7] / values[9] > 0).astype(float)
    target = Target(TargetKind.BINARY, told)
    first = found(values, target)
    assert first
    assert first == found(values.copy(), Target(TargetKind.BINARY, told.copy()))
    assert len({each.name for each in first}) == len(first)
    assert all(each.name == name_of(parse(each.expression)) for each in first)


def test_little_memory_looks_at_fewer_rows_and_still_finds_it():
    generator = np.random.default_rng(5)
    values = walk(generator)
    target = Target(TargetKind.BINARY, (values[6] * values[8] > 0).astype(float))
    choice = dataclasses.replace(CHOICE, max_memory_bytes=1024**2, steps=1)
    assert found(values, target, choice)[0].expression in ("x6 * x8", "x8 * x6")


def test_without_rows_of_both_classes_or_features_nothing_is_found():
    values = walk(np.random.default_rng(0))
    assert not found(values, Target(TargetKind.BINARY, np.zeros(ROWS)))
    target = Target(TargetKind.BINARY, np.arange(ROWS) % 2.0)
    assert not symbolic_features([], np.empty((0, ROWS)), [], target, CHOICE, 0, nobody)


def test_a_config_with_the_formulas_gives_the_bits_that_the_fit_saw():
    frame = awkward_walk(11, 700)
    names = ["rsi_14", "close_mean_20", "close_lag_6", "returns"]
    plain = generated(frame, FeatureConfig())
    names = [name for name in names if name in plain.columns][:3]
    assert len(names) >= 2
    rows = np.sort(np.random.default_rng(0).choice(len(frame), 300, replace=False))
    pool = [named(name, np.ascontiguousarray(plain[name].to_numpy()[rows])) for name in names]
    first = [each.formula(pool) for each in candidates(pool, 0, TRANSFORMATIONS)]
    wider = [*pool, *first[:8]]
    second = [each.formula(wider) for each in candidates(wider, len(pool), TRANSFORMATIONS)]
    formulas = {name_of(one.node): one for one in [*first, *second]}
    listed = tuple(Expression(name, one.text) for name, one in list(formulas.items())[:400])
    assert len(listed) > 100
    assert not list(violations(listed))
    later = generated(frame, FeatureConfig(expressions=listed, only=tuple(each.name for each in listed)))
    for each in listed:
        seen = formulas[each.name].values
        known = ~np.isnan(seen)
        bits = later[each.name].to_numpy()[rows][known].view(np.int64)
        np.testing.assert_array_equal(bits, seen[known].view(np.int64), each.expression)
        alone = evaluated(parse(each.expression), {one.text: one.values for one in pool})
        np.testing.assert_array_equal(alone, seen, each.expression)
        np.testing.assert_array_equal(
            np.isnan(later[each.name].to_numpy()[rows]), np.isnan(formulas[each.name].values)
        )
