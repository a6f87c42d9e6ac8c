"""The predictor: a bundle's graph, ready to answer rows. It needs no training library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from marketml.bundle.graph import (
    FEATURES,
    Calibrate,
    Calibration,
    Concat,
    Decision,
    Library,
    Linear,
    Mean,
    Node,
    Sigmoid,
    Softmax,
    Trees,
    require_graph,
)
from marketml.bundle.manifest import Manifest
from marketml.bundle.parameters import Parameters
from marketml.bundle.trees import TreeArrays
from marketml.rpc.refusals import InvalidArgument
from services.registry.composing import calibrate_by_knots, calibrate_by_sigmoid, linear
from services.registry.walking import add_scores, lay_out, sigmoid, softmax

Rows: TypeAlias = npt.NDArray[np.float64]

MOST_VALUES = 2**24  # that the nodes of a graph give to the rows that are answered together

_Step: TypeAlias = Callable[[Mapping[str, Rows]], Rows]
"""Takes the features and what the nodes before it gave, by name."""


@dataclass(frozen=True)
class Predictor:
    """A model that answers. Many threads may share one; each call runs on its caller's thread alone.

    Attributes
    ----------
    feature_names : tuple of str
        The columns of the rows it takes, in order.
    classes : tuple of str
        The columns of the probabilities it gives, in order.
    """

    feature_names: tuple[str, ...]
    classes: tuple[str, ...]
    _raw: str
    _probabilities: str
    _thresholds: npt.NDArray[np.float64] | None
    _finite_only: str | None
    _most_rows: int
    _steps: tuple[tuple[str, _Step], ...]

    def predict(self, features: Rows) -> Rows:
        """Class probabilities.

        Parameters
        ----------
        features : ndarray of float64, shape (rows, features)
            In the order of `feature_names`; NaN is missing. C-contiguous rows are not copied. Infinite values
            take part in comparisons, as in LightGBM and XGBoost.

        Returns
        -------
        ndarray of float64, shape (rows, classes)

        Raises
        ------
        InvalidArgument
            Another shape or type; of a forest or a linear model also a value that float32 cannot hold
            (scikit-learn refuses it likewise).
        """
        return self._evaluate(features, self._probabilities)

    def raw(self, features: Rows) -> Rows:
        """The model's scores before any link function, float64 (rows, width); see `predict`.

        One column (the second class) for two boosted classes, else one per class; of a forest or an ensemble
        the probabilities, before any calibration.
        """
        return self._evaluate(features, self._raw)

    def choose(self, probabilities: Rows) -> npt.NDArray[np.intp]:
        """The position of each row's class: the likeliest, or as the model's thresholds decide."""
        if self._thresholds is not None:
            probabilities = probabilities / self._thresholds
        chosen: npt.NDArray[np.intp] = probabilities.argmax(axis=1)
        return chosen

    def _evaluate(self, features: Rows, identity: str) -> Rows:
        features = self._require(features)
        if features.shape[0] > self._most_rows:
            starts = range(0, features.shape[0], self._most_rows)
            parts = [self._walk(features[start : start + self._most_rows], identity) for start in starts]
            return np.concatenate(parts)
        return self._walk(features, identity)

    def _walk(self, features: Rows, identity: str) -> Rows:
        values: dict[str, Rows] = {FEATURES: features}
        for name, step in self._steps:
            values[name] = step(values)
            if name == identity:
                break
        return values[identity]

    def _require(self, features: Rows) -> Rows:
        wanted = len(self.feature_names)
        if features.dtype != np.float64 or features.ndim != 2 or features.shape[1] != wanted:
            raise InvalidArgument.of(
                "features",
                "shape",
                f"must be float64 (rows, {wanted}), are {features.dtype} {features.shape}.",
            )
        if self._finite_only is not None:
            too_large = np.abs(features) > np.finfo(np.float32).max
            if too_large.any():
                row, column = np.argwhere(too_large)[0]
                raise InvalidArgument.of(
                    f"features[{row}].{self.feature_names[column]}",
                    "range",
                    f"must fit in float32 for a {self._finite_only}, is {features[row, column]}.",
                )
        return np.ascontiguousarray(features)


def load_predictor(
    manifest: Manifest, trees: Mapping[str, TreeArrays], parameters: Mapping[str, Parameters]
) -> Predictor:
    """The predictor of a bundle that `inspection` has found sound.

    Parameters
    ----------
    manifest : Manifest
    trees : mapping of str to TreeArrays
        The checked arrays of each `trees` node by its id.
    parameters : mapping of str to Parameters
        Those of every other node.
    """
    graph = manifest.graph
    shapes = require_graph(graph, len(manifest.feature_names), len(manifest.classes))
    return Predictor(
        feature_names=manifest.feature_names,
        classes=manifest.classes,
        _raw=graph.raw,
        _probabilities=graph.probabilities,
        _thresholds=None if graph.decision is None else parameters[graph.decision]["thresholds"],
        _finite_only=_finite_only(graph.nodes),
        _most_rows=max(1, MOST_VALUES // sum(shapes[node.id].width for node in graph.nodes)),
        _steps=tuple(
            (node.id, _tree_step(node, trees[node.id]))
            if isinstance(node, Trees)
            else (node.id, _step(node, parameters[node.id]))
            for node in graph.nodes
            if not isinstance(node, Decision)
        ),
    )


def _finite_only(nodes: tuple[Node, ...]) -> str | None:
    """What among the nodes cannot take an infinite feature, if anything."""
    if any(isinstance(node, Trees) and node.library is Library.FOREST for node in nodes):
        return "random forest"
    return "linear model" if any(isinstance(node, Linear) for node in nodes) else None


def _step(node: Node, arrays: Parameters) -> _Step:
    match node:
        case Sigmoid(input=source):
            return lambda values: sigmoid(values[source])
        case Softmax(input=source):
            return lambda values: softmax(values[source])
        case Linear(input=source):
            names = ("fill", "center", "scale", "coefficients", "intercepts")
            numbers = tuple(arrays[name] for name in names)
            return lambda values: linear(values[source], *numbers)
        case Concat(inputs=sources):
            return lambda values: np.concatenate([values[each] for each in sources], axis=1)
        case Mean(inputs=sources):
            shares = tuple(zip(sources, arrays["weights"].tolist(), strict=True))
            return lambda values: _mean(shares, values)
        case Calibrate(input=source, method=Calibration.SIGMOID):
            slopes, intercepts = arrays["slopes"], arrays["intercepts"]
            return lambda values: calibrate_by_sigmoid(values[source], slopes, intercepts)
        case Calibrate(input=source):
            lines = (arrays["offsets"], arrays["knots"], arrays["values"])
            return lambda values: calibrate_by_knots(values[source], *lines)
        case _:
            raise ValueError(f"{node.id!r} is no step.")


def _mean(shares: tuple[tuple[str, float], ...], values: Mapping[str, Rows]) -> Rows:
    """Added up in the order of the nodes, as training did."""
    found = np.zeros_like(values[shares[0][0]])
    for source, weight in shares:
        found += weight * values[source]
    return np.minimum(found, 1.0)  # weights may add up to a last bit more


def _tree_step(node: Trees, trees: TreeArrays) -> _Step:
    forest = lay_out(node.library, trees)
    laid_out = (forest.handling, forest.thresholds, forest.links, forest.roots, forest.rows_of_leaves)
    base, tree_count, source = trees.base, trees.tree_count, node.input

    def score(values: Mapping[str, Rows]) -> Rows:
        rows = values[source]
        scores = np.empty((rows.shape[0], node.outputs), base.dtype)
        scores[:] = base
        add_scores(rows, *laid_out, scores)
        if node.library is Library.FOREST:
            scores /= tree_count
        return scores.astype(np.float64, copy=False)

    return score
