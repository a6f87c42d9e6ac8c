"""Sizes of a job that is forecast: the memory of its worker, and the bundle of its model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from services.training import learners
from services.training.export.golden import GOLDEN_ROWS
from services.training.forecasting.cost_model import FitShape, HostCosts, leaf_count, trees_a_round
from services.training.forecasting.rehearsal import Rehearsed
from services.training.job_plan import JobPlan
from services.training.learners.extra_trees import ExtraTreesParameters
from services.training.learners.forest import ForestParameters
from services.training.learners.lightgbm import LightgbmParameters
from services.training.learners.xgboost import XgboostParameters
from services.training.models.ensembles import Bagging, Stacking
from services.training.rooms import Source

_VALUE_BYTES = 8
# Of a worker that holds features: the stream's pieces beside the frame that is made of them; then the frame,
# the samples' rows of it, and the pool in which Arrow keeps what it had.
_ARRIVING_COPIES = 2.0
_KEPT_COPIES = 3.0
_HISTOGRAM_BYTES = 16  # gradient and Hessian of a bin, in double precision
_NODE_BYTES, _LEAF_BYTES = 21, 8  # in a bundle's arrays
_NATIVE_LEAF_BYTES = {"lightgbm": 130, "xgboost": 60}
_MANIFEST_BYTES, _FEATURE_BYTES, _FOLD_BYTES = 8_000, 120, 2_500


def peak_memory_bytes(
    source: Source, units: Sequence[Rehearsed], costs: HostCosts, rows: int, processes_count: int = 1
) -> int:
    """Resident memory of the worker and of what it started, at its highest: while the features arrive, or in
    the largest fit. Processes that fit beside each other share the matrix, which counts for each."""
    matrix = rows * source.chosen_count * _VALUE_BYTES
    arriving = source.bar_count * source.feature_count * _VALUE_BYTES * _ARRIVING_COPIES
    kinds = {learners.kind_of(each.shape.parameters) for each in units}
    libraries = sum(costs.library_bytes[kind] for kind in kinds)
    largest = max(_fit_bytes(each.shape) for each in units)
    held = costs.idle_bytes + _KEPT_COPIES * matrix
    if processes_count > 1:
        held += processes_count * (costs.idle_bytes + libraries + matrix + largest)
    else:
        held += libraries + largest
    return math.ceil(max(costs.idle_bytes + arriving, held))


def bundle_bytes(plan: JobPlan, units: Sequence[Rehearsed], feature_count: int) -> int:
    """Size of the bundle: its trees (those of a single model in the library's own file too), golden rows, the
    manifest."""
    found = _MANIFEST_BYTES + _FEATURE_BYTES * feature_count
    found += _FOLD_BYTES * plan.training.split.method.fold_count
    is_single = not isinstance(plan.training.model, Bagging | Stacking)
    for each in units:
        if each.shape.is_kept:
            found += _trees_bytes(each.shape, has_native=is_single)
    return found + (GOLDEN_ROWS + 4) * feature_count * _VALUE_BYTES


def _fit_bytes(shape: FitShape) -> float:
    """What one fit holds beside the samples: its own rows, the library's form of them, histograms, trees."""
    rows, features = shape.train_rows + shape.stopping_rows, shape.feature_count
    own = rows * features * _VALUE_BYTES
    leaves = leaf_count(shape)
    trees = shape.rounds * trees_a_round(shape) * leaves * 4 * (_NODE_BYTES + _LEAF_BYTES)
    match shape.parameters:
        case LightgbmParameters() as boosting:
            wide = 2 if boosting.max_bin > 255 else 1
            histograms = leaves * features * min(boosting.max_bin, rows) * _HISTOGRAM_BYTES
            return own + rows * features * wide + histograms + trees
        case XgboostParameters() as boosting:
            wide = 2 if boosting.max_bin > 256 else 1
            histograms = 2 * leaves * features * min(boosting.max_bin, rows) * _HISTOGRAM_BYTES
            return own + 2 * rows * features * wide + histograms + trees
        case ForestParameters() | ExtraTreesParameters():
            return own + rows * features * 4 + trees


def _trees_bytes(shape: FitShape, *, has_native: bool) -> int:
    trees, leaves = shape.rounds * trees_a_round(shape), leaf_count(shape)
    kind = learners.kind_of(shape.parameters)
    width = 1 if learners.stops_early(shape.parameters) else shape.class_count
    native = _NATIVE_LEAF_BYTES.get(kind, 0) if has_native else 0
    each = (leaves - 1) * _NODE_BYTES + leaves * (_LEAF_BYTES * width + native)
    return math.ceil(trees * each)
