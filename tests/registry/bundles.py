"""Small bundles made by hand: stumps, whose answers a line of NumPy repeats."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from marketml.bundle import (
    MANIFEST,
    TENSORS,
    Bundle,
    GoldenRows,
    Graph,
    Library,
    Softmax,
    TreeArrays,
    Trees,
    pack_bundle,
    pack_tensors,
    unpack_tensors,
)
from marketml.bundle.trees import tree_tensors

CLASSES = ("down", "range", "up")
FEATURES = ("close_return_1", "funding_rate_z", "rsi_14", "volume_ratio")


@dataclass(frozen=True)
class Stumps:
    """A model whose trees take turns in the classes and look at one feature once. A seed is a model."""

    seed: int = 0
    tree_count: int = 12
    feature_names: tuple[str, ...] = FEATURES
    snapshot_id: str = ""
    classes: tuple[str, ...] = CLASSES

    @cached_property
    def trees(self) -> TreeArrays:
        random = np.random.default_rng(self.seed)
        count, width = self.tree_count, len(self.feature_names)
        return TreeArrays(
            node_offsets=np.arange(count + 1, dtype=np.int64),
            feature=random.integers(0, width, count).astype(np.int32),
            threshold=random.normal(size=count),
            left=np.full(count, -1, np.int32),
            right=np.full(count, -2, np.int32),
            default_left=random.integers(0, 2, count).astype(np.uint8),
            leaves=random.normal(size=(2 * count, 1)),
            base=np.zeros(len(self.classes)),
            missing=np.full(width, 2, np.uint8),
        )

    def raw(self, rows: np.ndarray) -> np.ndarray:
        """Scores (rows, classes), tree by tree."""
        trees, scores = self.trees, np.zeros((len(rows), len(self.classes)))
        for tree in range(self.tree_count):
            values = rows[:, trees.feature[tree]]
            left = np.where(np.isnan(values), trees.default_left[tree] == 1, values <= trees.threshold[tree])
            leaves = np.where(left, trees.leaves[2 * tree, 0], trees.leaves[2 * tree + 1, 0])
            scores[:, tree % len(self.classes)] += leaves
        return scores

    def probabilities(self, rows: np.ndarray) -> np.ndarray:
        """What the model has to answer."""
        raw = self.raw(rows)
        exponentials = np.exp(raw - raw.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    @cached_property
    def bundle(self) -> Bundle:
        rows = np.random.default_rng(1).normal(size=(8, len(self.feature_names)))
        rows[0, 0] = np.nan
        graph = Graph(
            (
                Trees("trees", Library.LIGHTGBM, len(self.feature_names), len(self.classes)),
                Softmax("probabilities", "trees"),
            ),
            raw="trees",
            probabilities="probabilities",
        )
        return pack_bundle(
            feature_names=self.feature_names,
            classes=self.classes,
            graph=graph,
            arrays=tree_tensors("trees", self.trees),
            golden=GoldenRows(rows, self.raw(rows), self.probabilities(rows)),
            native_files={"model.lightgbm.txt": f"tree\nseed={self.seed}\n".encode()},
            sections={"data": {"snapshot_id": self.snapshot_id}} if self.snapshot_id else {},
        )


def with_arrays(bundle: Bundle, change) -> Bundle:
    """The bundle with its arrays changed by `change(arrays)`, and its manifest made to fit again."""
    read_only = unpack_tensors(bundle.contents[TENSORS])
    arrays = {name: array.copy() for name, array in read_only.items()}
    change(arrays)
    return with_file(bundle, TENSORS, pack_tensors(arrays))


def with_file(bundle: Bundle, name: str, content: bytes) -> Bundle:
    """The bundle with another file, which its manifest names by its right digest."""
    manifest = json.loads(bundle.contents[MANIFEST])
    for entry in manifest["files"]:
        if entry["name"] == name:
            entry.update(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return Bundle({**bundle.contents, name: content, MANIFEST: text})
