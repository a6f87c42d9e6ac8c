"""The values of terms over the columns of one frame."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from services.features.columns import Columns, Floats
from services.features.expressions.terms import Term


def computed(term: Term, shared: Collection[bytes]) -> Callable[[Columns], Floats]:
    """What computes a term; those of its parts whose key is in `shared` are remembered with the columns."""

    def compute(columns: Columns) -> Floats:
        with np.errstate(all="ignore"):
            return _values(term, columns, shared)

    return compute


def _values(term: Term, columns: Columns, shared: Collection[bytes]) -> Floats:
    if term.arguments and term.key not in shared:
        return _computed(term, columns, shared)
    return columns.shared(("term", term.key), lambda: _computed(term, columns, shared))


def _computed(term: Term, columns: Columns, shared: Collection[bytes]) -> Floats:
    if not term.arguments:
        return term.compute(columns)
    arguments = [
        _values(argument, columns, shared) if isinstance(argument, Term) else argument
        for argument in term.arguments
    ]
    values: Floats = term.compute(*arguments)
    infinite = np.isinf(values)
    return np.where(infinite, np.nan, values) if infinite.any() else values
