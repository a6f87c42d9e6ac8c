"""A random forest's trees as arrays, taken from scikit-learn's own."""

from __future__ import annotations

import numpy as np

from marketml.bundle.trees import MISSING_NAN, TreeArrays
from services.training.export.numbering import number_tree
from services.training.learners.fitting import Fitted


def tree_arrays(fitted: Fitted) -> TreeArrays:
    """The arrays of a forest; a class without a training row has probability 0 in every leaf."""
    trees = [each.tree_ for each in fitted.model.estimators_]
    numbered = [number_tree(tree.children_left, tree.children_right) for tree in trees]
    pairs = list(zip(trees, numbered, strict=True))
    found = np.concatenate([tree.value[order.leaves, 0, :] for tree, order in pairs])
    leaves = np.zeros((found.shape[0], fitted.class_count))
    leaves[:, fitted.model.classes_] = found
    return TreeArrays(
        node_offsets=np.concatenate(([0], np.cumsum([order.nodes.size for order in numbered]))),
        feature=np.concatenate([tree.feature[order.nodes] for tree, order in pairs]).astype(np.int32),
        threshold=np.concatenate([tree.threshold[order.nodes] for tree, order in pairs]),
        left=np.concatenate([order.left for order in numbered]),
        right=np.concatenate([order.right for order in numbered]),
        default_left=np.concatenate([tree.missing_go_to_left[order.nodes] for tree, order in pairs]).astype(
            np.uint8
        ),
        leaves=leaves,
        base=np.zeros(fitted.class_count),
        missing=np.full(fitted.feature_count, MISSING_NAN, np.uint8),
    )
