"""Trees as arrays, whichever library grew them, and the graph by which they answer."""

from __future__ import annotations

from typing import Protocol

from marketml.bundle.graph import FEATURES, Graph, Library, Sigmoid, Softmax, Trees
from marketml.bundle.trees import TreeArrays
from services.training.export import forest_trees, lightgbm_trees, xgboost_trees
from services.training.learners import extra_trees, forest, lightgbm, xgboost
from services.training.learners.fitting import Fitted

_LIBRARIES = {
    lightgbm.KIND: Library.LIGHTGBM,
    xgboost.KIND: Library.XGBOOST,
    forest.KIND: Library.FOREST,
    extra_trees.KIND: Library.FOREST,
}


def tree_arrays(fitted: Fitted) -> TreeArrays:
    """The trees of a fitted model, as `marketml.bundle.trees` describes them."""
    match fitted.kind:
        case lightgbm.KIND:
            return lightgbm_trees.tree_arrays(fitted)
        case xgboost.KIND:
            return xgboost_trees.tree_arrays(fitted)
        case forest.KIND | extra_trees.KIND:
            return forest_trees.tree_arrays(fitted)
        case _:
            raise ValueError(f"No export of {fitted.kind!r}.")


class Grown(Protocol):
    """What grew trees."""

    @property
    def kind(self) -> str: ...
    @property
    def feature_count(self) -> int: ...
    @property
    def class_count(self) -> int: ...


def graph_of(
    grown: Grown, trees: str = "trees", linked: str = "probabilities", source: str = FEATURES
) -> Graph:
    """How trees over `source` become probabilities: a forest's are, boosted scores pass a sigmoid or a
    softmax. `trees` and `linked` name the nodes."""
    library, feature_count, class_count = _LIBRARIES[grown.kind], grown.feature_count, grown.class_count
    if library is Library.FOREST:
        grove = Trees(trees, library, feature_count, class_count, source)
        return Graph((grove,), raw=trees, probabilities=trees)
    binary = class_count == 2
    boosted = Trees(trees, library, feature_count, 1 if binary else class_count, source)
    link = (Sigmoid if binary else Softmax)(linked, trees)
    return Graph((boosted, link), raw=trees, probabilities=linked)
