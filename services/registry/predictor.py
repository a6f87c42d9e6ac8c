"""The predictor: a bundle's graph, ready to answer rows. It needs no training library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from marketml.bundle.graph import Library, Node, Sigmoid, Softmax, Trees
from marketml.bundle.manifest import Manifest
from marketml.bundle.trees import TreeArrays
from marketml.rpc.refusals import InvalidArgument
from services.registry.walking import add_scores, lay_out, sigmoid, softmax

Rows: TypeAlias = npt.NDArray[np.float64]

_Step: TypeAlias = Callable[[Rows, Mapping[str, Rows]], Rows]


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
    _finite_only: bool
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
            Another shape or type; of a random forest also a value that float32 cannot hold (scikit-learn
            refuses it likewise).
        """
        return self._evaluate(features, self._probabilities)

    def raw(self, features: Rows) -> Rows:
        """The model's scores before any link function, float64 (rows, width); see `predict`.

        One column (the second class) for two boosted classes, else one per class; of a random forest the
        probabilities.
        """
        return self._evaluate(features, self._raw)

    def _evaluate(self, features: Rows, identity: str) -> Rows:
        features = self._require(features)
        values: dict[str, Rows] = {}
        for name, step in self._steps:
            values[name] = step(features, values)
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
        if self._finite_only:
            too_large = np.abs(features) > np.finfo(np.float32).max
            if too_large.any():
                row, column = np.argwhere(too_large)[0]
                raise InvalidArgument.of(
                    f"features[{row}].{self.feature_names[column]}",
                    "range",
                    f"must fit in float32 for a random forest, is {features[row, column]}.",
                )
        return np.ascontiguousarray(features)


def load_predictor(manifest: Manifest, trees: Mapping[str, TreeArrays]) -> Predictor:
    """The predictor of a bundle that `inspection` has found sound.

    Parameters
    ----------
    manifest : Manifest
    trees : mapping of str to TreeArrays
        The checked arrays of each `trees` node by its id.
    """
    graph = manifest.graph
    return Predictor(
        feature_names=manifest.feature_names,
        classes=manifest.classes,
        _raw=graph.raw,
        _probabilities=graph.probabilities,
        _finite_only=any(isinstance(node, Trees) and node.library is Library.FOREST for node in graph.nodes),
        _steps=tuple((node.id, _step(node, trees)) for node in graph.nodes),
    )


def _step(node: Node, trees: Mapping[str, TreeArrays]) -> _Step:
    match node:
        case Trees():
            return _tree_step(node, trees[node.id])
        case Sigmoid(input=source):
            return lambda features, values: sigmoid(values[source])
        case Softmax(input=source):
            return lambda features, values: softmax(values[source])


def _tree_step(node: Trees, trees: TreeArrays) -> _Step:
    forest = lay_out(node.library, trees)
    laid_out = (forest.handling, forest.thresholds, forest.links, forest.roots, forest.rows_of_leaves)
    base, tree_count = trees.base, trees.tree_count

    def score(features: Rows, values: Mapping[str, Rows]) -> Rows:
        scores = np.empty((features.shape[0], node.outputs), base.dtype)
        scores[:] = base
        add_scores(features, *laid_out, scores)
        if node.library is Library.FOREST:
            scores /= tree_count
        return scores.astype(np.float64, copy=False)

    return score
