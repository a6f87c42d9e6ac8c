"""Samples: features joined to labels, the rows a run learns from; of one symbol, or of several together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from marketml.rpc.refusals import InvalidArgument
from services.training.labels import (
    Labels,
    Path,
    QuantileThreshold,
    ReturnThresholds,
    close_times,
    thresholds_of,
)
from services.training.labels.volatility import Floats
from services.training.learners.fitting import Classes, Matrix, Weights
from services.training.splits import Microseconds, Rows

Symbols: TypeAlias = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Samples:
    """What is learnt from: features known at `t0`, the class that came of it, and when that was known.

    Attributes
    ----------
    features : float (rows, features)
        NaN is missing.
    feature_names : tuple of str
    classes : int8 (rows,)
        Index into `class_names`; all `UNDECIDED` until `decided` where there is a `quantile`.
    t0, t1 : int64 (rows,)
        Microseconds since the epoch, `t0` ascending.
    class_names : tuple of str
    weights : float64 (rows,)
        1 for every row unless said otherwise.
    paths : tuple of Path
        The bars that the labels were read from, one for each symbol; sample weights need them.
    returns : float64 (rows,), optional
        What came of each decision, a fraction; `quantile` needs it.
    quantile : QuantileThreshold, optional
        By which the rows of a fit decide all classes.
    symbols : intp (rows,), optional
        Which of several symbols each row is of; None: all are of one.
    """

    features: Matrix
    feature_names: tuple[str, ...]
    classes: Classes
    t0: Microseconds
    t1: Microseconds
    class_names: tuple[str, ...]
    weights: Weights
    paths: tuple[Path, ...] = ()
    returns: Floats | None = None
    quantile: QuantileThreshold | None = None
    symbols: Symbols | None = None

    def thresholds_of(self, rows: Rows) -> ReturnThresholds | None:
        """The thresholds of a model that learns from `rows`; None where classes do not depend on them."""
        if self.quantile is None:
            return None
        return thresholds_of(self._returns()[rows], self.quantile)

    def decided(self, thresholds: ReturnThresholds | None) -> Samples:
        """The samples as the model sees them whose thresholds these are: a class for every row."""
        if thresholds is None:
            return self
        return replace(self, classes=thresholds.classes(self._returns()), quantile=None)

    def decided_by(self, rows: Rows) -> Samples:
        """The samples as a model sees them that learns from `rows`."""
        return self.decided(self.thresholds_of(rows))

    def _returns(self) -> Floats:
        if self.returns is None:
            raise ValueError("Quantile thresholds need the returns that the labels were read from.")
        return self.returns


def join_samples(
    features: pd.DataFrame, timeframe: timedelta, labels: Labels, weights: Weights | None = None
) -> Samples:
    """The labelled rows that have features: joined where a bar's close is a label's decision.

    Parameters
    ----------
    features : DataFrame (bars, features)
        Index `open_time`, UTC; may start later than the labels (warm-up rows cut off).
    timeframe : timedelta
    labels : Labels
    weights : float64 (labels,), optional
    """
    _, at_feature, at_label = np.intersect1d(
        close_times(features.index, timeframe), labels.t0, assume_unique=True, return_indices=True
    )
    return Samples(
        features=features.to_numpy(np.float64)[at_feature],
        feature_names=tuple(str(name) for name in features.columns),
        classes=labels.values[at_label],
        t0=labels.t0[at_label],
        t1=labels.t1[at_label],
        class_names=labels.class_names,
        weights=np.ones(at_label.size) if weights is None else weights[at_label],
        paths=(labels.path,),
        returns=labels.returns[at_label],
        quantile=labels.quantile,
    )


def pool_samples(parts: Sequence[Samples]) -> Samples:
    """The samples of several symbols as one, in order of decision, at one moment in that of the symbols.

    Features that not every symbol has are left out: missing everywhere in some, they would tell the symbol.

    Parameters
    ----------
    parts : sequence of Samples
        One for each symbol, by one rule of labels.
    """
    if len(parts) == 1:
        return parts[0]
    common = [
        name for name in parts[0].feature_names if all(name in part.feature_names for part in parts[1:])
    ]
    columns = [[part.feature_names.index(name) for name in common] for part in parts]
    symbols = np.repeat(np.arange(len(parts)), [part.t0.size for part in parts])
    t0 = np.concatenate([part.t0 for part in parts])
    order = np.lexsort((symbols, t0))
    returns = [part.returns for part in parts if part.returns is not None]
    return Samples(
        features=np.concatenate([part.features[:, at] for part, at in zip(parts, columns, strict=True)])[
            order
        ],
        feature_names=tuple(common),
        classes=np.concatenate([part.classes for part in parts])[order],
        t0=t0[order],
        t1=np.concatenate([part.t1 for part in parts])[order],
        class_names=parts[0].class_names,
        weights=np.concatenate([part.weights for part in parts])[order],
        paths=tuple(path for part in parts for path in part.paths),
        returns=np.concatenate(returns)[order] if len(returns) == len(parts) else None,
        quantile=parts[0].quantile,
        symbols=symbols[order],
    )


@dataclass(frozen=True, eq=False)
class Chosen:
    """Features as one fit takes them, over all rows of the samples.

    Attributes
    ----------
    features : float (rows, features)
        NaN is missing.
    feature_names : tuple of str
    """

    features: Matrix
    feature_names: tuple[str, ...]


class Choose(Protocol):
    """Fits what the features leave to the data."""

    def __call__(self, consumer: str, rows: Rows, classes: Classes, weights: Weights, seed: int) -> Chosen:
        """The features chosen on `rows` of the samples and no others, which are of `classes` and weigh
        `weights`; every choice at random is of `seed`."""


def require_finite(samples: Samples | Chosen) -> None:
    """Refuse rows that no split could keep out of a fit or a score.

    Raises
    ------
    InvalidArgument
        No feature at all, or an infinite value: names the feature, the row and the value.
    """
    if not samples.features.shape[1]:
        raise InvalidArgument.of("features", "required", "must hold at least one feature.")
    infinite = np.isinf(samples.features)
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        description = f"must be finite or NaN, row {row} is {samples.features[row, column]}."
        raise InvalidArgument.of(f"features.{samples.feature_names[column]}", "finite", description)
