"""LightGBM's trees as arrays, read from the model text, which holds every double to its last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from marketml.bundle.trees import MISSING_NAN, TreeArrays
from services.training.learners.fitting import Fitted

# Bits of `decision_type`: categorical, default left, and two of the kind of missing value, whose codes are
# those of `marketml.bundle.trees`.
_CATEGORICAL, _DEFAULT_LEFT, _MISSING_SHIFT = 1, 2, 2


def tree_arrays(fitted: Fitted) -> TreeArrays:
    """The arrays of a LightGBM model; its nodes and leaves are numbered as the bundle's already."""
    text = fitted.model.model_to_string()
    trees = [_fields(block) for block in text.split("\nTree=")[1:]]
    nodes = [int(tree["num_leaves"]) - 1 for tree in trees]
    split = [tree for tree, count in zip(trees, nodes, strict=True) if count]
    feature = _joined(split, "split_feature", np.int32)
    decision: npt.NDArray[np.uint8] = _joined(split, "decision_type", np.uint8)
    if np.any(decision & _CATEGORICAL) or any(int(tree["is_linear"]) for tree in trees):
        raise ValueError("The model has categorical splits or linear leaves, which no bundle holds.")
    return TreeArrays(
        node_offsets=np.concatenate(([0], np.cumsum(nodes))).astype(np.int64),
        feature=feature,
        threshold=_joined(split, "threshold", np.float64),
        left=_joined(split, "left_child", np.int32),
        right=_joined(split, "right_child", np.int32),
        default_left=((decision & _DEFAULT_LEFT) != 0).astype(np.uint8),
        leaves=_joined(trees, "leaf_value", np.float64)[:, np.newaxis],
        base=np.zeros(1 if fitted.class_count == 2 else fitted.class_count),
        missing=_missing(feature, (decision >> _MISSING_SHIFT).astype(np.uint8), fitted.feature_count),
    )


def _missing(
    feature: npt.NDArray[np.int32], codes: npt.NDArray[np.uint8], feature_count: int
) -> npt.NDArray[np.uint8]:
    """The kind of missing value of each feature: all its nodes agree, as they share its bins."""
    found = np.full(feature_count, MISSING_NAN, np.uint8)
    found[feature] = codes
    if np.any(found[feature] != codes):
        raise ValueError("Nodes of one feature treat missing values differently.")
    return found


def _fields(block: str) -> dict[str, str]:
    """The `name=values` lines of one tree, which end with an empty line."""
    lines = block.split("\n\n", 1)[0].splitlines()[1:]
    return dict(line.split("=", 1) for line in lines)


def _joined(trees: list[dict[str, str]], name: str, dtype: type[np.generic]) -> npt.NDArray[Any]:
    words = [word for tree in trees for word in tree[name].split()]
    return np.array(words, np.float64).astype(dtype)
