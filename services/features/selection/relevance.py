"""The relevance tests of tsfresh, by whole matrices (FRESH: Christ, Kempa-Liehr and Feindt 2016).

A class is tested against all others: by Fisher's exact test where the feature has two values, by Mann and
Whitney's where it has more. A number is tested by Kolmogorov and Smirnov's test where the feature has two
values, by Kendall's tau where it has more. P-values are those of `tsfresh.feature_selection.relevance.
calculate_relevance_table` with its settings; here a feature is put in order once for all classes.

tsfresh refuses features with missing values. Here each is tested on the rows where it is known; one that is
known at fewer than `KNOWN_ROWS_MIN` of them, or has the same value in all, is not tested.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from services.features.columns import Floats
from services.features.selection import compiled
from services.features.selection.contingency import fisher_exact
from services.features.selection.spans import spans
from services.features.selection.target import Target, TargetKind

KNOWN_ROWS_MIN = 10
Flags = npt.NDArray[np.bool_]

_EXACT_ROWS_MAX = 8  # scipy's `mannwhitneyu` counts the rankings of so few rows without equal values
_TEST_VALUES = 64  # what a test takes beside the rows: as much as the order of so many values


@dataclass(frozen=True, eq=False)
class Relevance:
    """What the tests say.

    Attributes
    ----------
    p_values : float64 (features, classes) or (features, 1)
        NaN where not tested.
    logarithms : float64 (features,)
        Of the smallest p-value: it goes on where the p-value itself is zero. 0 where not tested.
    """

    p_values: Floats
    logarithms: Floats

    @property
    def is_tested(self) -> Flags:
        return np.asarray(~np.isnan(self.p_values).all(axis=1))

    @property
    def smallest(self) -> Floats:
        """The smallest p-value of each feature; NaN where not tested."""
        found: Floats = np.fmin.reduce(self.p_values, axis=1)
        return found

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """Features from the most relevant on; equal ones as they stand."""
        return np.argsort(self.logarithms, kind="stable")

    def is_relevant(self, fdr_level: float) -> Flags:
        """Features that are relevant for some class, bool (features,); at level 1 all that were tested."""
        if fdr_level >= 1.0:
            return self.is_tested
        return np.asarray(np.array([rejected(column, fdr_level) for column in self.p_values.T]).any(axis=0))


def relevance(
    values: Floats, target: Target, look: Callable[[], None], features: Sequence[int] | None = None
) -> Relevance:
    """Test features, all of them if not said which.

    Parameters
    ----------
    values : float64 (features, rows), NaN where not known
    look
        Called between pieces of the work; what it raises ends it.
    """
    chosen = np.arange(len(values)) if features is None else np.asarray(features, np.int64)
    columns = 1 if target.kind is TargetKind.REAL else len(target.classes)
    found = Relevance(np.empty((len(chosen), columns)), np.empty(len(chosen)))
    test = _real if target.kind is TargetKind.REAL else _classes
    for some in spans(len(chosen), values.shape[1] + _TEST_VALUES * columns, look):
        piece = test(values[chosen[some]], target, look)
        found.p_values[some], found.logarithms[some] = piece.p_values, piece.logarithms
    return found


def rejected(p_values: Floats, fdr_level: float) -> Flags:
    """Which hypotheses are rejected at an expected share of false rejections (Benjamini and Yekutieli 2001,
    theorem 1.3: under any dependence); NaN is no hypothesis."""
    found = np.zeros(len(p_values), dtype=bool)
    known = np.flatnonzero(~np.isnan(p_values))
    if not len(known):
        return found
    order = known[np.argsort(p_values[known], kind="stable")]
    places = np.arange(1, len(order) + 1)
    bounds = fdr_level * places / len(order) / np.sum(1.0 / places)
    passed = np.flatnonzero(p_values[order] <= bounds)
    if len(passed):
        found[order[: passed[-1] + 1]] = True
    return found


def _classes(values: Floats, target: Target, look: Callable[[], None]) -> Relevance:
    features, classes = len(values), len(target.classes)
    distinct, ties = np.empty(features, np.int64), np.empty(features)
    known, sums, low = (np.empty((features, classes)) for _ in range(3))
    compiled.rank_sums(values, target.codes, classes, distinct, known, sums, low, ties)
    p_values = np.full((features, classes), np.nan)
    logarithms = np.zeros((features, classes))
    whole = known.sum(axis=1, keepdims=True)
    others = whole - known
    is_there = (whole >= KNOWN_ROWS_MIN) & (known > 0) & (others > 0)

    ranked = is_there & (distinct == 3)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        above = sums - known * (known + 1.0) / 2.0
        larger = np.maximum(above, known * others - above)
        tied = (ties[:, None] / (whole * (whole - 1.0))) if classes else ties[:, None]
        deviation = np.sqrt(known * others / 12.0 * ((whole + 1.0) - tied))
        standard = (larger - known * others / 2.0 - 0.5) / deviation
    p_values[ranked] = np.clip(2.0 * special.ndtr(-standard[ranked]), 0.0, 1.0)
    logarithms[ranked] = np.minimum(np.log(2.0) + special.log_ndtr(-standard[ranked]), 0.0)
    few = ranked & (np.minimum(known, others) <= _EXACT_ROWS_MAX) & (ties == 0.0)[:, None]
    for feature, code in np.argwhere(few):
        look()
        some = values[feature]
        is_class = target.codes == code
        is_known = ~np.isnan(some)
        p_values[feature, code] = stats.mannwhitneyu(some[is_class & is_known], some[~is_class & is_known])[1]

    is_paired = is_there & (distinct == 2)[:, None]
    if classes == 2:  # both classes ask of the same table
        is_paired[:, 0] = False
    paired = np.argwhere(is_paired)
    at, code = paired[:, 0], paired[:, 1]
    high = known - low
    high_all, low_all = high.sum(axis=1), low.sum(axis=1)
    p_values[at, code] = fisher_exact(
        high[at, code], low[at, code], high_all[at] - high[at, code], low_all[at] - low[at, code]
    )
    if classes == 2:
        p_values[at, 0] = p_values[at, 1]
    replaced = few.copy()
    replaced[at, code] = True
    logarithms[replaced] = _logarithms(p_values[replaced])
    return Relevance(p_values, logarithms.min(axis=1, initial=0.0))


def _real(values: Floats, target: Target, look: Callable[[], None]) -> Relevance:
    features = len(values)
    order = np.argsort(target.values, kind="stable")
    ordered = target.values[order]
    dense = np.concatenate([[0], np.cumsum(ordered[1:] != ordered[:-1])]).astype(np.int32)
    distinct, counted = np.empty(features, np.int64), np.empty((features, 9))
    compiled.concordances(np.ascontiguousarray(values[:, order]), dense, distinct, counted)
    p_values, logarithms = np.full((features, 1), np.nan), np.zeros(features)
    known, discordant, both, of_x, x0, x1, of_y, y0, y1 = counted.T
    pairs = known * (known - 1.0)
    ranked = (known >= KNOWN_ROWS_MIN) & (distinct == 3) & (of_y < pairs / 2.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Kendall (1970), Rank Correlation Methods: the variance with ties in both.
        variance = (
            (pairs * (2.0 * known + 5.0) - x1 - y1) / 18.0
            + 2.0 * of_x * of_y / pairs
            + x0 * y0 / (9.0 * pairs * (known - 2.0))
        )
        standard = np.abs(pairs / 2.0 - of_x - of_y + both - 2.0 * discordant) / np.sqrt(variance)
    p_values[ranked, 0] = 2.0 * special.ndtr(-standard[ranked])
    logarithms[ranked] = np.minimum(np.log(2.0) + special.log_ndtr(-standard[ranked]), 0.0)
    for feature in np.flatnonzero((known >= KNOWN_ROWS_MIN) & (distinct == 2)):
        look()
        some = values[feature]
        highest = np.nanmax(some)
        high, low = target.values[some == highest], target.values[some < highest]
        p_values[feature, 0] = stats.ks_2samp(high, low)[1]
        logarithms[feature] = _logarithms(p_values[feature])[0]
    return Relevance(p_values, logarithms)


def _logarithms(p_values: Floats) -> Floats:
    found: Floats = np.log(np.maximum(p_values, np.finfo(np.float64).tiny))
    return found
