"""Export: a trained result as a bundle, which the registry answers from without any training library.

The same samples, plan and seed write the same bytes: nothing here asks the time, the host or the threads.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from marketml.bundle.canonical import JsonObject
from marketml.bundle.files import LIGHTGBM_TEXT, XGBOOST_UBJ, Bundle
from marketml.bundle.graph import Graph, Library, Sigmoid, Softmax, Trees
from marketml.bundle.manifest import GoldenRows, pack_bundle
from marketml.bundle.trees import TreeArrays, tree_tensors
from services.training import learners
from services.training.export import forest_trees, lightgbm_trees, xgboost_trees
from services.training.export.sections import FILLED_SECTIONS, filled_sections
from services.training.learners import forest, lightgbm, xgboost
from services.training.learners.fitting import Fitted, Matrix
from services.training.pipeline import TrainedResult
from services.training.seeds import stream

GOLDEN_ROWS = 64  # samples whose answers travel with the model; a few rows of missing values and zeros follow
MISSING_SHARE = 0.3  # of the values in every second golden sample

CALLER_SECTIONS = frozenset({"config", "data", "features", "lineage"})
"""Sections that the caller knows and this room's pipeline does not."""


def export_bundle(result: TrainedResult, *, seed: int, sections: Mapping[str, JsonObject]) -> Bundle:
    """The bundle of a trained result: trees as arrays, graph, golden rows, sections, the library's own file.

    Parameters
    ----------
    result : TrainedResult
        The golden rows are drawn from its features.
    seed : int
        That of the run.
    sections : mapping
        The manifest's sections in `CALLER_SECTIONS`, any of them; `importances`, `libraries`, `proof`,
        `scores` and `seeds` are written from `result`.

    Raises
    ------
    InvalidArgument, ResourceExhausted
        A bundle that no registry would take: see `marketml.bundle.manifest.pack_bundle`.
    ValueError
        A section that is not the caller's.
    """
    foreign = sorted(sections.keys() - CALLER_SECTIONS)
    if foreign:
        raise ValueError(f"Sections {foreign} are not the caller's; those are {sorted(CALLER_SECTIONS)}.")
    fitted = result.fitted
    native = learners.native_bytes(fitted)
    return pack_bundle(
        feature_names=result.chosen.feature_names,
        classes=result.class_names,
        graph=graph_of(fitted),
        arrays=tree_tensors("trees", tree_arrays(fitted)),
        golden=golden_rows(fitted, result.chosen.features, stream(seed, "golden_rows")),
        native_files={} if native is None else {_NATIVE_NAMES[fitted.kind]: native},
        sections={**sections, **filled_sections(result, seed)},
    )


def tree_arrays(fitted: Fitted) -> TreeArrays:
    """The trees of a fitted model, as `marketml.bundle.trees` describes them."""
    match fitted.kind:
        case lightgbm.KIND:
            return lightgbm_trees.tree_arrays(fitted)
        case xgboost.KIND:
            return xgboost_trees.tree_arrays(fitted)
        case forest.KIND:
            return forest_trees.tree_arrays(fitted)
        case _:
            raise ValueError(f"No export of {fitted.kind!r}.")


def graph_of(fitted: Fitted) -> Graph:
    """How the trees become probabilities: a forest's are, boosted scores pass a sigmoid or a softmax."""
    library = _LIBRARIES[fitted.kind]
    if library is Library.FOREST:
        trees = Trees("trees", library, fitted.feature_count, fitted.class_count)
        return Graph((trees,), raw=trees.id, probabilities=trees.id)
    binary = fitted.class_count == 2
    trees = Trees("trees", library, fitted.feature_count, 1 if binary else fitted.class_count)
    link = (Sigmoid if binary else Softmax)("probabilities", trees.id)
    return Graph((trees, link), raw=trees.id, probabilities=link.id)


def golden_rows(fitted: Fitted, features: Matrix, generator: np.random.Generator) -> GoldenRows:
    """Rows for a registry to replay: samples, every second with holes, and rows of missing, 0 and ±1e6 alone.

    Parameters
    ----------
    fitted : Fitted
    features : float (rows, features)
    generator : numpy.random.Generator
    """
    count = min(GOLDEN_ROWS, features.shape[0])
    chosen = np.sort(generator.choice(features.shape[0], count, replace=False))
    rows = features[chosen].astype(np.float64)
    rows[1::2][generator.random(rows[1::2].shape) < MISSING_SHARE] = np.nan
    corners = np.repeat(np.array([[np.nan], [0.0], [-1e6], [1e6]]), features.shape[1], axis=1)
    rows = np.concatenate((rows, corners))
    return GoldenRows(
        features=rows,
        raw=learners.raw_scores(fitted, rows),
        probabilities=learners.predict_probabilities(fitted, rows),
    )


_LIBRARIES = {
    lightgbm.KIND: Library.LIGHTGBM,
    xgboost.KIND: Library.XGBOOST,
    forest.KIND: Library.FOREST,
}
_NATIVE_NAMES = {lightgbm.KIND: LIGHTGBM_TEXT, xgboost.KIND: XGBOOST_UBJ}

__all__ = ["CALLER_SECTIONS", "FILLED_SECTIONS", "export_bundle", "golden_rows", "graph_of", "tree_arrays"]
