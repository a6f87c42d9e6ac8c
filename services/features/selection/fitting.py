"""The fit of a config: symbolic features first, then the choice among all there are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from services.features.autofeat import Symbolic, evaluated, symbolic_features, work_bytes
from services.features.columns import Floats
from services.features.config import FeatureConfig
from services.features.expressions import Expression, Name, formatted, parse, violations
from services.features.expressions.declared import EXPRESSIONS_MAX, TOGETHER_MAX
from services.features.selection.choose import Choice, Verdict, is_constant
from services.features.selection.relevance import Relevance, relevance
from services.features.selection.spans import spans
from services.features.selection.target import Target

_TRIED = "tried_"


@dataclass(frozen=True)
class Fitted:
    """A verdict for every feature that was looked at, those chosen first; and the config that computes what
    was chosen, with nothing left to fit."""

    verdicts: tuple[Verdict, ...]
    config: FeatureConfig


def is_fitted(config: FeatureConfig) -> bool:
    """Whether a config leaves something to the data."""
    return (
        config.autofeat.enabled
        or config.selection.enabled
        or (config.tsfresh.enabled and config.tsfresh.feature_selection)
    )


def fit(
    names: Sequence[str],
    rolling: Collection[str],
    values: Floats,
    target: Target,
    config: FeatureConfig,
    seed: int,
    look: Callable[[], None],
) -> Fitted:
    """Fit a config on the rows given, which are all that is looked at.

    Parameters
    ----------
    names : sequence of str
    rolling : collection of str
        Those of tsfresh's calculators.
    values : float64 (features, rows), NaN where not known, rows in order of time
    look
        Called between pieces of the work; what it raises ends it.
    """
    found = relevance(values, target, look)
    formulas: dict[str, str] = {}
    if config.autofeat.enabled:
        is_readable = _accepted([formatted(Name(name)) for name in names], config.expressions, look)
        order = [int(at) for at in found.order if is_readable[at] and not is_constant(values[at])]
        symbolic = symbolic_features(names, values, order, target, config.autofeat, seed, look)
        formulas = _kept(symbolic, names, config.expressions, look)
    if formulas:
        rows = dict(zip(names, values, strict=True))
        values = _grown(values, len(formulas), look)
        for place, text in enumerate(formulas.values(), len(names)):
            look()
            values[place] = evaluated(parse(text), rows)
        of_formulas = relevance(values[len(names) :], target, look)
        names = [*names, *formulas]
        found = Relevance(
            np.concatenate([found.p_values, of_formulas.p_values]),
            np.concatenate([found.logarithms, of_formulas.logarithms]),
        )
    choice = Choice(names, values, target, found, look)
    if config.tsfresh.enabled and config.tsfresh.feature_selection:
        choice.keep_relevant(
            [at for at, name in enumerate(names) if name in rolling],
            config.tsfresh.fdr_level,
            config.tsfresh.feature_count_limit,
        )
    if config.selection.enabled:
        choice.run(config.selection, seed)
    verdicts = tuple(
        replace(verdict, expression=formulas.get(verdict.name, "")) for verdict in choice.verdicts
    )
    chosen = [verdict for verdict in verdicts if verdict.dropped_at is None]
    needed = (Expression(each.name, each.expression) for each in chosen if each.expression)
    plain = replace(
        config,
        tsfresh=replace(config.tsfresh, feature_selection=False),
        autofeat=replace(config.autofeat, enabled=False),
        selection=replace(config.selection, enabled=False),
        expressions=(*config.expressions, *needed),
        only=tuple(verdict.name for verdict in chosen),
    )
    return Fitted(verdicts, plain)


def fit_bytes(config: FeatureConfig, features: int, rows: int) -> int:
    """What a fit takes at most: the values, once more for a model or put together with formulas, ranks of
    four bytes; and candidates."""
    if not config.autofeat.enabled:
        return 20 * features * rows
    return 20 * (features + config.autofeat.max_features) * rows + work_bytes(config.autofeat, rows)


def _grown(values: Floats, more: int, look: Callable[[], None]) -> Floats:
    """The same features and room for more."""
    grown = np.empty((len(values) + more, values.shape[1]))
    for some in spans(len(values), values.shape[1], look):
        grown[some] = values[some]
    return grown


def _kept(
    symbolic: Sequence[Symbolic],
    names: Collection[str],
    before: Sequence[Expression],
    look: Callable[[], None],
) -> dict[str, str]:
    """Formulas by name, those first found, that a config can hold beside the expressions it has."""
    is_accepted = _accepted([each.expression for each in symbolic], before, look)
    taken, kept, size = set(names), dict[str, str](), _size(before)
    for each, is_one in zip(symbolic, is_accepted, strict=True):
        size += len(each.expression)
        if len(before) + len(kept) == EXPRESSIONS_MAX or size > TOGETHER_MAX:
            break
        if is_one and each.name not in taken:
            kept[each.name] = each.expression
    return kept


def _accepted(texts: Sequence[str], before: Sequence[Expression], look: Callable[[], None]) -> list[bool]:
    """Which of these formulas a config could hold after the expressions it has: not every feature can be
    read, and several together may look back too far or cost too much."""
    found: list[bool] = []
    while len(found) < len(texts):
        look()
        size, tried = _size(before), list[Expression]()
        for place, text in enumerate(texts[len(found) :]):
            size += len(text)
            if size > TOGETHER_MAX or len(before) + place >= EXPRESSIONS_MAX:
                break
            tried.append(Expression(f"{_TRIED}{place}", text))
        broken = {each.field for each in violations([*before, *tried], "")}
        found += [f"[{len(before) + place}].expression" not in broken for place in range(len(tried))]
        if not tried:  # nothing more fits, be it right or not
            found.append(False)
    return found


def _size(expressions: Sequence[Expression]) -> int:
    return sum(len(each.expression) for each in expressions)
