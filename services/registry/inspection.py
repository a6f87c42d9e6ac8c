"""Inspection: nothing of an uploaded bundle is used before each number of it was looked at.

Order: the manifest, the digest of the arrays, their container, types and shapes, then what the trees hold
(every index, every child, no cycle, bounded depth) and what the other nodes do, and last the golden rows: the
model must answer them as the libraries that trained it did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from marketml.bundle.files import TENSORS, FileEntry, file_entry
from marketml.bundle.graph import Library, Sigmoid, Softmax, Trees, require_graph
from marketml.bundle.manifest import GoldenRows, Manifest, read_golden_rows, read_manifest
from marketml.bundle.parameters import Parameters, read_parameters
from marketml.bundle.tensors import PATH, Arrays, unpack_tensors
from marketml.bundle.trees import (
    MAX_DEPTH,
    MAX_MAGNITUDE,
    MISSING_NAN,
    TreeArrays,
    read_tree_arrays,
    tree_tensors,
)
from marketml.rpc.refusals import InvalidArgument, Reason
from services.registry.parameter_inspection import require_parameters
from services.registry.predictor import Predictor, load_predictor

XGBOOST_TOLERANCE = 1e-6  # absolute below 1, relative above: float32 sums
LINK_TOLERANCE = 1e-12  # the exponential of two C libraries may differ in its last bit
ENSEMBLE_TOLERANCE = 1e-9  # a last bit of a member's probability, after calibration
ROW_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class LoadedBundle:
    """A bundle found sound, and the predictor that answered its golden rows."""

    manifest: Manifest
    predictor: Predictor


def inspect_bundle(manifest_bytes: bytes, tensors_bytes: bytes) -> LoadedBundle:
    """Check a bundle whole.

    Raises
    ------
    InvalidArgument
        The first rule that is broken, with its path, such as `bundle.arrays.trees.left[17]`.
    ResourceExhausted
        A limit on bytes, trees or features.
    """
    manifest = read_manifest(manifest_bytes)
    _require_digest(manifest, tensors_bytes)
    arrays = unpack_tensors(tensors_bytes)
    golden = read_golden_rows(manifest, arrays)
    trees = {node.id: read_tree_arrays(node, arrays) for node in _tree_nodes(manifest)}
    shapes = require_graph(manifest.graph, len(manifest.feature_names), len(manifest.classes))
    parameters = {node.id: read_parameters(node, shapes, arrays) for node in manifest.graph.nodes}
    _require_no_more(arrays, trees, parameters)
    for node in _tree_nodes(manifest):
        require_trees(node, trees[node.id])
    for identity, found in parameters.items():
        require_parameters(identity, found)
    predictor = load_predictor(manifest, trees, parameters)
    _replay(manifest, predictor, golden)
    return LoadedBundle(manifest, predictor)


def require_trees(node: Trees, trees: TreeArrays) -> None:
    """Check what the arrays of a `trees` node hold: after this, a walk ends, and ends at a finite leaf.

    Raises
    ------
    InvalidArgument
    """

    def require(name: str, holds: npt.NDArray[np.bool_], rule: str, description: str) -> None:
        if not holds.all():
            where = "".join(f"[{index}]" for index in np.argwhere(~holds)[0])
            raise InvalidArgument.of(f"{PATH}.{node.id}.{name}{where}", rule, description)

    offsets, forest = trees.node_offsets, node.library is Library.FOREST
    last = trees.tree_count
    for index, wanted in ((0, 0), (last, trees.feature.size)):
        if offsets[index] != wanted:
            raise InvalidArgument.of(
                f"{PATH}.{node.id}.node_offsets[{index}]", "range", f"must be {wanted}, is {offsets[index]}."
            )
    # Compared, not subtracted: a difference of 64-bit numbers can overflow into a harmless one.
    require(
        "node_offsets", np.append(offsets[:-1] <= offsets[1:], True), "order", "must not be above the next."
    )
    if trees.tree_count % node.outputs and not forest:
        raise InvalidArgument.of(
            f"{PATH}.{node.id}.node_offsets",
            "range",
            f"{trees.tree_count} trees do not divide by {node.outputs} outputs.",
        )
    in_range = (trees.feature >= 0) & (trees.feature < node.features)
    require("feature", in_range, "range", f"must be from 0 to {node.features - 1}.")
    orderly = trees.threshold > -np.inf  # NaN is not
    require("threshold", orderly, "number", "must be a number above -infinity.")
    require("default_left", trees.default_left <= 1, "range", "must be 0 or 1.")
    known = trees.missing <= MISSING_NAN
    if node.library is not Library.LIGHTGBM:
        known = trees.missing == MISSING_NAN
    require("missing", known, "range", "must be a code of this library.")
    bounded = np.abs(trees.base) <= (0 if forest else MAX_MAGNITUDE)  # NaN is not
    require("base", bounded, "range", "must be 0." if forest else f"must be within ±{MAX_MAGNITUDE:g}.")
    if forest:
        require("leaves", (trees.leaves >= 0) & (trees.leaves <= 1), "range", "must be a probability.")
        sums = np.abs(trees.leaves.sum(axis=1) - 1) <= ROW_SUM_TOLERANCE
        require("leaves", sums, "range", "must add up to 1 in each row.")
    else:
        magnitudes = np.abs(trees.leaves) <= MAX_MAGNITUDE
        require("leaves", magnitudes, "range", f"must be within ±{MAX_MAGNITUDE:g}.")
    fault, index = _find_fault(offsets, trees.left, trees.right)
    if fault:
        name, rule, description = _FAULTS[fault]
        raise InvalidArgument.of(f"{PATH}.{node.id}.{name}[{index}]", rule, description)


_FAULTS = {
    1: ("left", "child", "must be a later node or a leaf of the same tree."),
    2: ("right", "child", "must be a later node or a leaf of the same tree."),
    3: ("left", "one_parent", "is the child of another node already."),
    4: ("right", "one_parent", "is the child of another node already."),
    5: ("feature", "one_parent", "is a node that no earlier node has as its child."),
    6: ("feature", "depth", f"is a node deeper than {MAX_DEPTH}."),
}
_LEFT_CHILD, _LEFT_PARENT, _ORPHAN, _DEPTH = 1, 3, 5, 6  # for the right child add 1 to the first two

_INDICES = numba.types.Array(numba.int32, 1, "C", readonly=True)
_OFFSETS = numba.types.Array(numba.int64, 1, "C", readonly=True)
_FAULT = numba.types.UniTuple(numba.int64, 2)  # type: ignore[no-untyped-call]


@numba.njit(_FAULT(_OFFSETS, _INDICES, _INDICES), nogil=True, cache=True)
def _find_fault(offsets, left, right):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The first fault and its index in the arrays, or (0, 0); the offsets are in order.

    A child comes after its parent, so there is no cycle. A tree of n nodes has 2 n children; with none twice
    and every node but the root among them, all n + 1 leaves are too.
    """
    deepest = np.zeros(left.size, np.int64)  # of a node: 1 + nodes above it; 0 until a parent was seen
    leaf_seen = np.zeros(left.size + offsets.size - 1, np.uint8)
    for tree in range(offsets.size - 1):
        start, count = offsets[tree], offsets[tree + 1] - offsets[tree]
        for node in range(count):
            depth = deepest[start + node] if node else 1
            if depth == 0:
                return _ORPHAN, start + node
            if depth > MAX_DEPTH:
                return _DEPTH, start + node
            for side in range(2):
                child = np.int64(right[start + node] if side else left[start + node])
                leaf = -1 - child
                if leaf > count or node >= child >= 0 or child >= count:
                    return _LEFT_CHILD + side, start + node
                if child >= 0:
                    if deepest[start + child]:
                        return _LEFT_PARENT + side, start + node
                    deepest[start + child] = depth + 1
                else:
                    if leaf_seen[start + tree + leaf]:
                        return _LEFT_PARENT + side, start + node
                    leaf_seen[start + tree + leaf] = 1
    return 0, 0


def _tree_nodes(manifest: Manifest) -> list[Trees]:
    return [node for node in manifest.graph.nodes if isinstance(node, Trees)]


def _require_digest(manifest: Manifest, tensors_bytes: bytes) -> None:
    stated = next(file for file in manifest.files if file.name == TENSORS)
    found: FileEntry = file_entry(TENSORS, tensors_bytes)
    if found != stated:
        raise InvalidArgument.of(
            f"bundle.files[{TENSORS}]",
            "digest",
            f"must have {stated.size_bytes} bytes of SHA-256 {stated.sha256}, "
            f"has {found.size_bytes} of {found.sha256}.",
            Reason.DIGEST_MISMATCH,
        )


def _require_no_more(
    arrays: Arrays, trees: Mapping[str, TreeArrays], parameters: Mapping[str, Parameters]
) -> None:
    known = {f"golden.{name}" for name in ("features", "raw", "probabilities")}
    for prefix, found in trees.items():
        known |= tree_tensors(prefix, found).keys()
    known |= {f"{prefix}.{name}" for prefix, each in parameters.items() for name in each}
    unknown = sorted(arrays.keys() - known)
    if unknown:
        raise InvalidArgument.of(f"{PATH}.{unknown[0]}", "unknown", "belongs to no node of the graph.")


def _replay(manifest: Manifest, predictor: Predictor, golden: GoldenRows) -> None:
    """Answer the golden rows: raw scores to the bit (XGBoost 1e-6), probabilities within a last bit or so,
    and all that an ensemble makes of them within 1e-9."""
    libraries = {node.library for node in _tree_nodes(manifest)}
    largest = float(np.finfo(np.float32 if Library.FOREST in libraries else np.float64).max)
    if (np.abs(golden.features) > largest).any():
        description = f"must be NaN (missing) or within ±{largest:.6g}."
        raise InvalidArgument.of(f"{PATH}.golden.features", "finite", description)
    of_xgboost = XGBOOST_TOLERANCE if Library.XGBOOST in libraries else 0.0
    linked = 0.0 if manifest.graph.raw == manifest.graph.probabilities else LINK_TOLERANCE
    composed = 0.0
    if not all(isinstance(node, Trees | Sigmoid | Softmax) for node in manifest.graph.nodes):
        composed = ENSEMBLE_TOLERANCE
    answers: list[tuple[str, Callable[[Any], Any], Any, float]] = [
        ("raw", predictor.raw, golden.raw, max(of_xgboost, composed)),
        ("probabilities", predictor.predict, golden.probabilities, max(of_xgboost, linked, composed)),
    ]
    for name, answer, expected, tolerance in answers:
        if not np.isfinite(expected).all():  # nothing is further than infinity from infinity
            raise InvalidArgument.of(f"{PATH}.golden.{name}", "finite", "must be finite.")
        found = answer(golden.features)
        apart = ~(np.abs(found - expected) <= tolerance * np.maximum(1.0, np.abs(expected)))
        if apart.any():
            row, column = np.argwhere(apart)[0]
            raise InvalidArgument.of(
                f"{PATH}.golden.{name}[{row}][{column}]",
                "golden",
                f"is {expected[row, column]!r}, the model answers {found[row, column]!r}.",
            )
