"""Small bundles made by hand: one tree each, so that a test can say which number it spoils."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from marketml.bundle import Bundle, GoldenRows, Graph, Library, Sigmoid, Trees, pack_bundle

FEATURES = ("momentum", "volume")
CLASSES = ("down", "up")

# Two trees. The first: volume <= 2 ? (momentum <= 0 ? -0.5 : 0.25) : 0.75; the second is a leaf of 0.125.
ARRAYS: Mapping[str, Any] = {
    "trees.node_offsets": np.array([0, 2, 2], np.int64),
    "trees.feature": np.array([1, 0], np.int32),
    "trees.threshold": np.array([2.0, 0.0]),
    "trees.left": np.array([1, -2], np.int32),
    "trees.right": np.array([-1, -3], np.int32),
    "trees.default_left": np.array([1, 0], np.uint8),
    "trees.leaves": np.array([[0.75], [-0.5], [0.25], [0.125]]),
    "trees.base": np.zeros(1),
    "trees.missing": np.array([2, 2], np.uint8),
}
GRAPH = Graph(
    (Trees("trees", Library.LIGHTGBM, 2, 1), Sigmoid("probabilities", "trees")),
    raw="trees",
    probabilities="probabilities",
)
ROWS = np.array([[0.0, 3.0], [0.0, 1.0], [1.0, 2.0], [np.nan, np.nan]])
RAW = np.array([[0.875], [-0.375], [0.375], [0.375]])


def golden(rows=ROWS, raw=RAW) -> GoldenRows:
    up = 1 / (1 + np.exp(-raw[:, 0]))
    return GoldenRows(rows, raw, np.column_stack((1 - up, up)))


def hand_bundle(**changes: Any) -> Bundle:
    """The bundle of the two trees, with other arguments of `pack_bundle` where `changes` says so."""
    arguments: dict[str, Any] = {
        "feature_names": FEATURES,
        "classes": CLASSES,
        "graph": GRAPH,
        "arrays": ARRAYS,
        "golden": golden(),
        "native_files": {},
        "sections": {},
    }
    return pack_bundle(**{**arguments, **changes})
