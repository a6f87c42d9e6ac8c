"""The graph: how a model's arrays become probabilities, as a short list of typed nodes.

    {"nodes": [{"id": "trees", "op": "trees", "library": "lightgbm", "features": 200, "outputs": 3},
               {"id": "probabilities", "op": "softmax", "input": "trees"}],
     "raw": "trees", "probabilities": "probabilities"}

A node reads only nodes before it, so a graph cannot have a cycle. Each node has a width (columns per row),
and gives either scores (any real numbers) or probabilities. A reader refuses ops that it does not know; a new
op is a new class here and a new case in the predictor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from marketml.bundle.canonical import Fields
from marketml.rpc.refusals import InvalidArgument

PATH = "bundle.manifest.graph"
MAX_NODES = 1_024
MAX_FEATURES = 10_000
MAX_CLASSES = 100

_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")
_RESERVED_IDS = frozenset({"golden"})  # the golden rows' arrays stand under this name


class Library(StrEnum):
    """Who grew the trees: decides how a value is compared with a threshold and how leaves are added up."""

    LIGHTGBM = "lightgbm"  # float64 throughout: value <= threshold; tree i adds to output i mod outputs
    XGBOOST = "xgboost"  # float32 throughout: value < threshold; tree i adds to output i mod outputs
    FOREST = "forest"  # float32 value <= float64 threshold; the mean of a row of probabilities per tree


@dataclass(frozen=True)
class Trees:
    """Decision trees over the features; `marketml.bundle.trees` describes the arrays that stand under `id`.

    One output of LightGBM or XGBoost is the score of the second of two classes; more are a score per class.
    """

    id: str
    library: Library
    features: int
    outputs: int


@dataclass(frozen=True)
class Sigmoid:
    """Two columns from one score s: 1 - p and p = 1 / (1 + exp(-s))."""

    id: str
    input: str


@dataclass(frozen=True)
class Softmax:
    """A probability per column from a score per column."""

    id: str
    input: str


Node: TypeAlias = Trees | Sigmoid | Softmax


@dataclass(frozen=True)
class Graph:
    """Nodes in the order in which they are computed, and which of them answer.

    `raw` names the node with the model's scores before any link function (of a forest: its probabilities),
    `probabilities` the node with one probability per class.
    """

    nodes: tuple[Node, ...]
    raw: str
    probabilities: str

    def node(self, identity: str) -> Node:
        """The node of that id."""
        return next(node for node in self.nodes if node.id == identity)


@dataclass(frozen=True)
class Shape:
    """What a node gives per row: so many columns, of scores or of probabilities."""

    width: int
    of_probabilities: bool


def require_graph(graph: Graph, feature_count: int, class_count: int) -> dict[str, Shape]:
    """Check that the graph turns `feature_count` features into `class_count` probabilities.

    Returns
    -------
    dict of str to Shape
        What each node gives.

    Raises
    ------
    InvalidArgument
        Ids that repeat, an input that is no earlier node, widths that do not fit, no probabilities.
    """
    shapes: dict[str, Shape] = {}
    for index, node in enumerate(graph.nodes):
        path = f"{PATH}.nodes[{index}]"
        if not _ID.fullmatch(node.id) or node.id in _RESERVED_IDS or node.id in shapes:
            raise InvalidArgument.of(f"{path}.id", "id", f"must be a new lower-case word, is {node.id!r}.")
        shapes[node.id] = _shape_of(node, shapes, feature_count, path)
    for name, identity in (("raw", graph.raw), ("probabilities", graph.probabilities)):
        if identity not in shapes:
            raise InvalidArgument.of(f"{PATH}.{name}", "unknown_node", f"{identity[:80]!r} is no node.")
    if shapes[graph.probabilities] != Shape(class_count, of_probabilities=True):
        raise InvalidArgument.of(
            f"{PATH}.probabilities", "width", f"must give one probability for each of {class_count} classes."
        )
    return shapes


def write_graph(graph: Graph) -> dict[str, Any]:
    """The graph as it stands in the manifest."""
    return {
        "nodes": [_write_node(node) for node in graph.nodes],
        "raw": graph.raw,
        "probabilities": graph.probabilities,
    }


def read_graph(value: object) -> Graph:
    """The graph of a manifest; `require_graph` checks how its nodes fit together.

    Raises
    ------
    InvalidArgument
        An unknown op or field, a wrong type, too many nodes.
    """
    fields = Fields(value, PATH)
    nodes = fields.list("nodes")
    if not 1 <= len(nodes) <= MAX_NODES:
        raise InvalidArgument.of(f"{PATH}.nodes", "range", f"must be 1 to {MAX_NODES}, are {len(nodes)}.")
    graph = Graph(
        tuple(_read_node(Fields(node, f"{PATH}.nodes[{index}]")) for index, node in enumerate(nodes)),
        raw=fields.text("raw"),
        probabilities=fields.text("probabilities"),
    )
    fields.finish()
    return graph


def _shape_of(node: Node, before: Mapping[str, Shape], feature_count: int, path: str) -> Shape:
    match node:
        case Trees():
            if node.features != feature_count:
                raise InvalidArgument.of(
                    f"{path}.features", "width", f"must be {feature_count}, is {node.features}."
                )
            if node.outputs == 2 and node.library is not Library.FOREST:
                raise InvalidArgument.of(
                    f"{path}.outputs", "width", "must be 1 for two classes: the score of the second."
                )
            return Shape(node.outputs, of_probabilities=node.library is Library.FOREST)
        case Sigmoid():
            _require_scores(node.input, before, path, narrow=True)
            return Shape(2, of_probabilities=True)
        case Softmax():
            width = _require_scores(node.input, before, path, narrow=False)
            return Shape(width, of_probabilities=True)


def _require_scores(identity: str, before: Mapping[str, Shape], path: str, narrow: bool) -> int:
    """The width of the input, which must be scores: one (`narrow`) or several."""
    if identity not in before:
        raise InvalidArgument.of(f"{path}.input", "unknown_node", f"{identity[:80]!r} is no earlier node.")
    shape = before[identity]
    if shape.of_probabilities or (shape.width == 1) != narrow:
        wanted = "one score" if narrow else "two or more scores"
        raise InvalidArgument.of(f"{path}.input", "width", f"{identity!r} must give {wanted} per row.")
    return shape.width


def _write_node(node: Node) -> dict[str, Any]:
    match node:
        case Trees():
            return {
                "id": node.id,
                "op": "trees",
                "library": node.library.value,
                "features": node.features,
                "outputs": node.outputs,
            }
        case Sigmoid():
            return {"id": node.id, "op": "sigmoid", "input": node.input}
        case Softmax():
            return {"id": node.id, "op": "softmax", "input": node.input}


def _read_node(fields: Fields) -> Node:
    identity, op = fields.text("id"), fields.text("op")
    node: Node
    match op:
        case "trees":
            library = fields.text("library")
            if library not in set(Library):
                known = ", ".join(Library)
                raise InvalidArgument.of(
                    f"{fields.path}.library", "library", f"must be one of {known}, is {library[:80]!r}."
                )
            node = Trees(
                identity,
                Library(library),
                features=fields.count("features", 1, MAX_FEATURES),
                outputs=fields.count("outputs", 1, MAX_CLASSES),
            )
        case "sigmoid":
            node = Sigmoid(identity, fields.text("input"))
        case "softmax":
            node = Softmax(identity, fields.text("input"))
        case _:
            raise InvalidArgument.of(
                f"{fields.path}.op", "unknown_op", f"{op[:80]!r} is no op of this format version."
            )
    fields.finish()
    return node
