"""XGBoost's trees as arrays, read from its JSON model, which holds every float to its last bit."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from marketml.bundle.trees import MISSING_NAN, TreeArrays
from services.training.export.numbering import number_tree
from services.training.learners.fitting import Fitted


def tree_arrays(fitted: Fitted) -> TreeArrays:
    """The arrays of an XGBoost model."""
    learner = json.loads(bytes(fitted.model.save_raw("json")))["learner"]
    model = learner["gradient_booster"]["model"]
    outputs = 1 if fitted.class_count == 2 else fitted.class_count
    if model["tree_info"] != [index % outputs for index in range(len(model["trees"]))]:
        raise ValueError("The model's trees do not take turns over its outputs.")
    if any(any(tree["split_type"]) for tree in model["trees"]):
        raise ValueError("The model has categorical splits, which no bundle holds.")
    numbered = [number_tree(tree["left_children"], tree["right_children"]) for tree in model["trees"]]

    def of_nodes(name: str, dtype: type[np.generic]) -> npt.NDArray[Any]:
        pairs = zip(model["trees"], numbered, strict=True)
        return np.concatenate([np.array(tree[name], dtype)[order.nodes] for tree, order in pairs])

    # A leaf's value stands where an inner node has its threshold.
    values = [np.array(tree["split_conditions"], np.float32) for tree in model["trees"]]
    leaves = [value[order.leaves] for value, order in zip(values, numbered, strict=True)]
    return TreeArrays(
        node_offsets=np.concatenate(([0], np.cumsum([order.nodes.size for order in numbered]))),
        feature=of_nodes("split_indices", np.int32),
        threshold=of_nodes("split_conditions", np.float32),
        left=np.concatenate([order.left for order in numbered]),
        right=np.concatenate([order.right for order in numbered]),
        default_left=of_nodes("default_left", np.uint8),
        leaves=np.concatenate(leaves)[:, np.newaxis],
        base=_base(learner["learner_model_param"]["base_score"], outputs),
        missing=np.full(fitted.feature_count, MISSING_NAN, np.uint8),
    )


def _base(text: str, outputs: int) -> npt.NDArray[np.float32]:
    """The scores that the trees add to; of two classes the model keeps the probability instead."""
    score = np.array(json.loads(text), np.float32).reshape(-1)
    if outputs == 1:
        # As the library does, whose logarithm is right to the last bit; NumPy's of float32 is not.
        odds = np.float32(1) / score - np.float32(1)
        score = np.array([-math.log(float(each)) for each in odds], np.float32)
    if score.shape != (outputs,):
        raise ValueError(f"The model has {score.size} base scores for {outputs} outputs.")
    return score
