"""The compiled walk: from rows of features to tree scores, equal to the library that grew the trees.

Layout. A tree of n nodes takes 2 n + 1 slots of 16 bytes, siblings side by side:

    threshold (float64) | column (uint32) | slot of the left child (uint32)

One step is `slot = left + not (value <= threshold)`: no branch to mispredict. `LANES` walks (rows of one
tree, or trees of one row) advance together, so that each hides the memory latency of the others. A leaf
points at itself through a column that holds -infinity, so a lane that has arrived stays while the rest go on;
its threshold is the leaf's score, or the number of its row of probabilities.

A row is prepared once: 1 + 2 features columns, where the first is -infinity, then each feature as a node
with missing values left reads it (NaN became -infinity), then as a node with missing values right does (NaN
stayed: no comparison with it holds). XGBoost's `value < threshold` is `value <= the float32 before it`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from marketml.bundle.graph import Library
from marketml.bundle.trees import MISSING_NONE, MISSING_ZERO, TreeArrays

LANES = 16
STEPS = 4  # between two looks whether all lanes have arrived
BLOCK_ROWS = 64  # prepared together, and walked tree by tree while the tree is in the first-level cache
NARROW = (
    3  # handling of a feature beside the codes of `marketml.bundle.trees`: NaN is missing, value to float32
)
LIGHTGBM_ZERO = float(np.float32(1e-35))  # LightGBM's kZeroThreshold

_TWO, _FOUR = np.uint64(2), np.uint64(4)
_COLUMN, _LEFT = np.uint64(2), np.uint64(3)  # uint32 words within a slot

_ROWS = numba.types.Array(numba.float64, 2, "C", readonly=True)
_HANDLING = numba.types.Array(numba.uint8, 1, "C", readonly=True)


def _readonly(kind: Any) -> Any:
    return numba.types.Array(kind, 1, "C", readonly=True)


@dataclass(frozen=True)
class Forest:
    """Trees laid out for the walk.

    Attributes
    ----------
    handling : ndarray of uint8, shape (features,)
        How a value is prepared.
    thresholds : ndarray of float64, shape (2 * slots,)
        The slots as pairs of float64; each second one is no number.
    links : ndarray of uint32, shape (4 * slots,)
        The same memory; each third word is a column, each fourth a slot.
    roots : ndarray of uint32, shape (trees,)
    rows_of_leaves : ndarray of float64, shape (leaves, outputs)
        Of a random forest; empty for scores.
    """

    handling: npt.NDArray[np.uint8]
    thresholds: npt.NDArray[np.float64]
    links: npt.NDArray[np.uint32]
    roots: npt.NDArray[np.uint32]
    rows_of_leaves: npt.NDArray[np.float64]


def lay_out(library: Library, trees: TreeArrays) -> Forest:
    """Lay checked trees out for the walk."""
    node_count = trees.feature.size
    slots = np.zeros((2 * node_count + trees.tree_count, 2), np.int64)
    thresholds, links = slots.view(np.float64).reshape(-1), slots.view(np.uint32).reshape(-1)
    threshold: npt.NDArray[Any] = trees.threshold
    if library is Library.XGBOOST:
        with np.errstate(over="ignore"):  # below the lowest float32 is -infinity, as it should be
            threshold = np.nextafter(threshold, np.float32(-np.inf))
    by_row = library is Library.FOREST
    leaves = np.arange(node_count + trees.tree_count) if by_row else trees.leaves[:, 0]
    columns = 1 + trees.feature + np.where(trees.default_left == 1, 0, trees.missing.size)
    _fill_slots(
        trees.node_offsets,
        columns.astype(np.uint32),
        threshold.astype(np.float64),
        trees.left,
        trees.right,
        leaves.astype(np.float64),
        thresholds,
        links,
    )
    return Forest(
        handling=trees.missing if library is Library.LIGHTGBM else np.full_like(trees.missing, NARROW),
        thresholds=thresholds,
        links=links,
        roots=(2 * trees.node_offsets[:-1] + np.arange(trees.tree_count)).astype(np.uint32),
        rows_of_leaves=np.ascontiguousarray(trees.leaves, np.float64)[: None if by_row else 0],
    )


@numba.njit(
    numba.void(
        _readonly(numba.int64),
        _readonly(numba.uint32),
        _readonly(numba.float64),
        _readonly(numba.int32),
        _readonly(numba.int32),
        _readonly(numba.float64),
        numba.float64[::1],
        numba.uint32[::1],
    ),
    nogil=True,
    cache=True,
)
def _fill_slots(offsets, columns, threshold, left, right, leaves, thresholds, links):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Node i of a tree whose slots start at s has its children at s + 1 + 2 i and s + 2 + 2 i."""
    slot_of = np.zeros(columns.size, np.int64)
    for tree in range(offsets.size - 1):
        start, stop = offsets[tree], offsets[tree + 1]
        first = 2 * start + tree
        if start == stop:
            thresholds[2 * first] = leaves[start + tree]
            links[4 * first + 3] = first
            continue
        slot_of[start] = first
        for node in range(start, stop):
            slot, below = slot_of[node], first + 1 + 2 * (node - start)
            thresholds[2 * slot] = threshold[node]
            links[4 * slot + 2] = columns[node]
            links[4 * slot + 3] = below
            for side in range(2):
                child = right[node] if side else left[node]
                if child >= 0:
                    slot_of[start + child] = below + side
                else:
                    thresholds[2 * (below + side)] = leaves[start + tree - 1 - child]
                    links[4 * (below + side) + 3] = below + side


@numba.njit(forceinline=True)
def _prepare(features, row, handling, columns, start):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    count = features.shape[1]
    columns[start] = -np.inf
    for feature in range(count):
        value = features[row, feature]
        code = handling[feature]
        if code == NARROW:
            value = np.float64(np.float32(value))
        elif abs(value) <= LIGHTGBM_ZERO:
            value = np.nan if code == MISSING_ZERO else 0.0
        elif code == MISSING_NONE and np.isnan(value):
            value = 0.0
        columns[start + 1 + feature] = -np.inf if np.isnan(value) else value
        columns[start + 1 + count + feature] = value


@numba.njit(forceinline=True)
def _descend(thresholds, links, columns, start, stride, slots):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Take each lane from its root to its leaf; lane i reads the row that starts at `start + i * stride`."""
    arrived = False
    while not arrived:
        for _ in range(STEPS):
            for lane in range(LANES):
                slot = slots[lane]
                column = np.uint64(start + lane * stride) + np.uint64(links[_FOUR * slot + _COLUMN])
                right = not (columns[column] <= thresholds[_TWO * slot])
                slots[lane] = np.uint64(links[_FOUR * slot + _LEFT]) + np.uint64(right)
        arrived = True
        for lane in range(LANES):
            arrived &= links[_FOUR * slots[lane] + _COLUMN] == 0


@numba.njit(forceinline=True)
def _add(leaf, tree, rows_of_leaves, scores, row):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    outputs = scores.shape[1]
    if rows_of_leaves.shape[0]:
        for output in range(outputs):
            scores[row, output] += rows_of_leaves[np.int64(leaf), output]
    else:
        scores[row, tree % outputs] += leaf


@numba.njit(
    [
        numba.void(
            _ROWS,
            _HANDLING,
            _readonly(numba.float64),
            _readonly(numba.uint32),
            _readonly(numba.uint32),
            _ROWS,
            kind[:, ::1],
        )
        for kind in (numba.float64, numba.float32)
    ],
    nogil=True,
    cache=True,
)
def add_scores(features, handling, thresholds, links, roots, rows_of_leaves, scores):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Add each tree's leaf to `scores` (rows, outputs), per row in the order of the trees.

    Parameters
    ----------
    features : ndarray of float64, shape (rows, features)
    handling, thresholds, links, roots, rows_of_leaves
        See `Forest`.
    scores : ndarray of float64 or float32, shape (rows, outputs)
        Changed in place; sums are rounded to its type, as the library's are.
    """
    row_count, stride, tree_count = features.shape[0], 1 + 2 * features.shape[1], roots.size
    together = row_count - row_count % LANES  # rows walked side by side; the rest one by one
    slots = np.empty(LANES, np.uint64)
    columns = np.empty(stride * (BLOCK_ROWS if together else 1))
    for first in range(0, together, BLOCK_ROWS):
        count = min(BLOCK_ROWS, together - first)
        for row in range(count):
            _prepare(features, first + row, handling, columns, row * stride)
        for tree in range(tree_count):
            for group in range(0, count, LANES):
                for lane in range(LANES):
                    slots[lane] = roots[tree]
                _descend(thresholds, links, columns, group * stride, stride, slots)
                for lane in range(LANES):
                    leaf = thresholds[_TWO * slots[lane]]
                    _add(leaf, tree, rows_of_leaves, scores, first + group + lane)
    for row in range(together, row_count):
        _prepare(features, row, handling, columns, 0)
        for first in range(0, tree_count, LANES):
            for lane in range(LANES):
                slots[lane] = roots[min(first + lane, tree_count - 1)]
            _descend(thresholds, links, columns, 0, 0, slots)
            for lane in range(min(LANES, tree_count - first)):
                _add(thresholds[_TWO * slots[lane]], first + lane, rows_of_leaves, scores, row)


@numba.njit(numba.float64[:, ::1](_ROWS), nogil=True, cache=True)
def softmax(scores):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Probabilities (rows, classes) of scores (rows, classes)."""
    found = np.empty_like(scores)
    for row in range(scores.shape[0]):
        highest, total = scores[row].max(), 0.0
        for column in range(scores.shape[1]):
            found[row, column] = np.exp(scores[row, column] - highest)
            total += found[row, column]
        for column in range(scores.shape[1]):
            found[row, column] /= total
    return found


@numba.njit(numba.float64[:, ::1](_ROWS), nogil=True, cache=True)
def sigmoid(scores):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Probabilities (rows, 2) of the scores (rows, 1) of the second of two classes."""
    found = np.empty((scores.shape[0], 2))
    for row in range(scores.shape[0]):
        found[row, 1] = 1.0 / (1.0 + np.exp(-scores[row, 0]))
        found[row, 0] = 1.0 - found[row, 1]
    return found
