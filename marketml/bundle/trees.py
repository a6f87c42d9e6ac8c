"""Trees as arrays: what a `trees` node keeps under its id.

All trees stand one after the other. Tree t owns the inner nodes `node_offsets[t]` to `node_offsets[t + 1]`,
and one leaf more than it has nodes: its leaves start at `node_offsets[t] + t`. Within a tree, nodes and
leaves count from 0; the root is node 0 (of a tree without nodes: leaf 0). A child c >= 0 is the node c, which
comes after its parent; a child c < 0 is the leaf -1 - c. Each node but the root, and each leaf, is the child
of exactly one node.

A value goes left if it is at most the threshold (XGBoost: less than it), as `Library` says; a missing one
goes left if `default_left` is 1. Missing is NaN, except for LightGBM, where `missing` says it for each
feature: NONE (NaN counts as 0), ZERO (NaN and 0 are missing) or NAN. To LightGBM 0 is all within 1e-35 of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from marketml.bundle.graph import Library, Trees
from marketml.bundle.tensors import PATH, Arrays
from marketml.rpc.refusals import InvalidArgument, ResourceExhausted

MAX_TREES = 60_000  # 20,000 rounds of three classes
MAX_DEPTH = 4_096  # nodes from the root to the deepest leaf
MAX_MAGNITUDE = 1e30  # of a leaf: so many of them still add up to a finite float32

MISSING_NONE = 0
MISSING_ZERO = 1
MISSING_NAN = 2

Floats: TypeAlias = npt.NDArray[np.float64] | npt.NDArray[np.float32]


@dataclass(frozen=True)
class TreeArrays:
    """The arrays of one `trees` node; thresholds, leaves and base are float32 for XGBoost, else float64.

    Attributes
    ----------
    node_offsets : ndarray of int64, shape (trees + 1,)
    feature : ndarray of int32, shape (nodes,)
    threshold : ndarray, shape (nodes,)
        Never NaN or -infinity. Infinity sends every value left (but XGBoost's +infinity), missing ones right.
    left, right : ndarray of int32, shape (nodes,)
    default_left : ndarray of uint8, shape (nodes,)
        0 or 1.
    leaves : ndarray, shape (nodes + trees, 1), of a forest (nodes + trees, outputs)
        Scores, of a forest a probability per class.
    base : ndarray, shape (outputs,)
        What the scores start from.
    missing : ndarray of uint8, shape (features,)
        Only LightGBM's differ from `MISSING_NAN`.
    """

    node_offsets: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int32]
    threshold: Floats
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    default_left: npt.NDArray[np.uint8]
    leaves: Floats
    base: Floats
    missing: npt.NDArray[np.uint8]

    @property
    def tree_count(self) -> int:
        """Trees."""
        return self.node_offsets.size - 1


def tree_tensors(prefix: str, trees: TreeArrays) -> dict[str, npt.NDArray[Any]]:
    """The arrays by the names that a bundle gives them."""
    return {f"{prefix}.{each.name}": getattr(trees, each.name) for each in fields(TreeArrays)}


def read_tree_arrays(node: Trees, arrays: Arrays) -> TreeArrays:
    """The arrays of `node`, of the right types and sizes; what they hold is not looked at.

    Raises
    ------
    InvalidArgument
        An array that is absent or has another dtype or shape.
    ResourceExhausted
        More than `MAX_TREES`.
    """
    number = np.float32 if node.library is Library.XGBOOST else np.float64
    offsets = _required(node.id, "node_offsets", arrays, np.int64)
    if offsets.ndim != 1 or offsets.size < 2:
        raise InvalidArgument.of(
            f"{PATH}.{node.id}.node_offsets", "shape", f"must be (trees + 1,), is {offsets.shape}."
        )
    trees = offsets.size - 1
    if trees > MAX_TREES:
        raise ResourceExhausted(
            f"{PATH}.{node.id}.node_offsets", f"A bundle may hold {MAX_TREES} trees, holds {trees}."
        )
    nodes = _required(node.id, "feature", arrays, np.int32).size
    leaf_width = node.outputs if node.library is Library.FOREST else 1
    expected: Mapping[str, tuple[type[np.generic], tuple[int, ...]]] = {
        "node_offsets": (np.int64, (trees + 1,)),
        "feature": (np.int32, (nodes,)),
        "threshold": (number, (nodes,)),
        "left": (np.int32, (nodes,)),
        "right": (np.int32, (nodes,)),
        "default_left": (np.uint8, (nodes,)),
        "leaves": (number, (nodes + trees, leaf_width)),
        "base": (number, (node.outputs,)),
        "missing": (np.uint8, (node.features,)),
    }
    return TreeArrays(
        **{name: _required(node.id, name, arrays, dtype, shape) for name, (dtype, shape) in expected.items()}
    )


def _required(
    prefix: str,
    name: str,
    arrays: Arrays,
    dtype: type[np.generic],
    shape: tuple[int, ...] | None = None,
) -> npt.NDArray[Any]:
    path = f"{PATH}.{prefix}.{name}"
    if f"{prefix}.{name}" not in arrays:
        raise InvalidArgument.of(path, "required", "must be present.")
    array = arrays[f"{prefix}.{name}"]
    if array.dtype != np.dtype(dtype):
        raise InvalidArgument.of(path, "dtype", f"must be {np.dtype(dtype).name}, is {array.dtype.name}.")
    if shape is not None and array.shape != shape:
        raise InvalidArgument.of(path, "shape", f"must be {shape}, is {array.shape}.")
    return array
