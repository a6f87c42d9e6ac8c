"""The graph: how a model's arrays become probabilities, as a short list of typed nodes.

    {"nodes": [{"id": "trees", "op": "trees", "library": "lightgbm", "features": 200, "outputs": 3},
               {"id": "probabilities", "op": "softmax", "input": "trees"}],
     "raw": "trees", "probabilities": "probabilities"}

A node reads the features or nodes before it, so a graph cannot have a cycle. Each node has a width (columns
per row), and gives either scores (any real numbers) or probabilities. A reader refuses ops that it does not
know; a new op is a new class here and a new case in the predictor.

An ensemble is a graph of more nodes: the `mean` of its members' probabilities (bagging), or a model that
reads them, joined by `concat` (stacking). A `calibrate` node may follow, and a `decision`, which says how
probabilities become a class.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from marketml.rpc.refusals import InvalidArgument

PATH = "bundle.manifest.graph"
MAX_NODES = 1_024
MAX_FEATURES = 10_000
MAX_CLASSES = 100
MAX_JOINED = 2 * MAX_FEATURES  # columns of all `concat` nodes together
MAX_INPUTS = 2 * MAX_NODES  # of all nodes that read several

FEATURES = "features"
"""What a node reads that reads no other node."""

_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")
_RESERVED_IDS = frozenset({FEATURES, "golden"})  # the golden rows' arrays stand under the second


class Library(StrEnum):
    """Who grew the trees: decides how a value is compared with a threshold and how leaves are added up."""

    LIGHTGBM = "lightgbm"  # float64 throughout: value <= threshold; tree i adds to output i mod outputs
    XGBOOST = "xgboost"  # float32 throughout: value < threshold; tree i adds to output i mod outputs
    FOREST = "forest"  # float32 value <= float64 threshold; the mean of a row of probabilities per tree


@dataclass(frozen=True)
class Trees:
    """Decision trees over the features, or over the `features` columns of another node, `input`.

    `marketml.bundle.trees` describes the arrays that stand under `id`. One output of LightGBM or XGBoost is
    the score of the second of two classes; more are a score per class.
    """

    id: str
    library: Library
    features: int
    outputs: int
    input: str = FEATURES


@dataclass(frozen=True)
class Linear:
    """Scores that are linear in standardised columns; `marketml.bundle.parameters` describes its arrays.

    One output is the score of the second of two classes; more are a score per class.
    """

    id: str
    input: str
    outputs: int


@dataclass(frozen=True)
class Concat:
    """The columns of several inputs, in order; each the features or a node."""

    id: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Mean:
    """The weighted mean of the probabilities of several nodes."""

    id: str
    inputs: tuple[str, ...]


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


class Calibration(StrEnum):
    """How a class's probability is corrected, before those of a row are made to add up to 1 again."""

    SIGMOID = "sigmoid"  # a sigmoid of its log-odds
    ISOTONIC = "isotonic"  # lines between knots that never fall


@dataclass(frozen=True)
class Calibrate:
    """The probabilities of a node, corrected class by class."""

    id: str
    input: str
    method: Calibration


@dataclass(frozen=True)
class Decision:
    """A threshold for each class: a row's class is that whose probability is the most multiples of it."""

    id: str
    input: str


Node: TypeAlias = Trees | Linear | Concat | Mean | Sigmoid | Softmax | Calibrate | Decision


@dataclass(frozen=True)
class Graph:
    """Nodes in the order in which they are computed, and which of them answer.

    `raw` names the node with the model's scores before any link function (of a forest: its probabilities; of
    an ensemble: its probabilities before any calibration), `probabilities` the node with one probability per
    class, `decision` that which chooses a class: without one it is the likeliest.
    """

    nodes: tuple[Node, ...]
    raw: str
    probabilities: str
    decision: str | None = None

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
    shapes = {FEATURES: Shape(feature_count, of_probabilities=False)}
    joined, inputs = 0, 0
    for index, node in enumerate(graph.nodes):
        path = f"{PATH}.nodes[{index}]"
        if not _ID.fullmatch(node.id) or node.id in _RESERVED_IDS or node.id in shapes:
            raise InvalidArgument.of(f"{path}.id", "id", f"must be a new lower-case word, is {node.id!r}.")
        shapes[node.id] = _shape_of(node, shapes, path)
        joined += shapes[node.id].width if isinstance(node, Concat) else 0
        inputs += len(node.inputs) if isinstance(node, Concat | Mean) else 0
    if joined > MAX_JOINED:
        words = f"may join {MAX_JOINED} columns in all, join {joined}."
        raise InvalidArgument.of(f"{PATH}.nodes", "width", words)
    if inputs > MAX_INPUTS:
        words = f"may read {MAX_INPUTS} inputs in all, read {inputs}."
        raise InvalidArgument.of(f"{PATH}.nodes", "range", words)
    for name, identity in (("raw", graph.raw), ("probabilities", graph.probabilities)):
        if identity not in shapes or identity == FEATURES:
            raise InvalidArgument.of(f"{PATH}.{name}", "unknown_node", f"{identity[:80]!r} is no node.")
    if shapes[graph.probabilities] != Shape(class_count, of_probabilities=True):
        raise InvalidArgument.of(
            f"{PATH}.probabilities", "width", f"must give one probability for each of {class_count} classes."
        )
    chooses = {node.id for node in graph.nodes if isinstance(node, Decision)}
    if chooses != ({graph.decision} if graph.decision is not None else set()):
        words = "must name the node that chooses a class, of which there may be one."
        raise InvalidArgument.of(f"{PATH}.decision", "unknown_node", words)
    for node in graph.nodes:
        if isinstance(node, Decision) and node.input != graph.probabilities:
            words = f"{node.id!r} must read {graph.probabilities!r}."
            raise InvalidArgument.of(f"{PATH}.decision", "width", words)
    return shapes


def _shape_of(node: Node, before: Mapping[str, Shape], path: str) -> Shape:
    match node:
        case Trees():
            width = _input(node.input, before, f"{path}.input").width
            if node.features != width:
                raise InvalidArgument.of(f"{path}.features", "width", f"must be {width}, is {node.features}.")
            _require_outputs(node.outputs, path, two=node.library is Library.FOREST)
            return Shape(node.outputs, of_probabilities=node.library is Library.FOREST)
        case Linear():
            _input(node.input, before, f"{path}.input")
            _require_outputs(node.outputs, path)
            return Shape(node.outputs, of_probabilities=False)
        case Concat():
            return Shape(sum(each.width for each in _inputs(node, before, path)), of_probabilities=False)
        case Mean():
            shapes = _inputs(node, before, path)
            for index, shape in enumerate(shapes):
                if shape != Shape(shapes[0].width, of_probabilities=True):
                    words = f"{node.inputs[index]!r} must give as many probabilities as the others."
                    raise InvalidArgument.of(f"{path}.inputs[{index}]", "width", words)
            return shapes[0]
        case Sigmoid():
            _require_scores(node.input, before, path, narrow=True)
            return Shape(2, of_probabilities=True)
        case Softmax():
            width = _require_scores(node.input, before, path, narrow=False)
            return Shape(width, of_probabilities=True)
        case Calibrate() | Decision():
            shape = _input(node.input, before, f"{path}.input")
            if not shape.of_probabilities:
                words = f"{node.input!r} must give probabilities."
                raise InvalidArgument.of(f"{path}.input", "width", words)
            return Shape(shape.width, of_probabilities=isinstance(node, Calibrate))


def _input(identity: str, before: Mapping[str, Shape], path: str) -> Shape:
    if identity not in before:
        raise InvalidArgument.of(path, "unknown_node", f"{identity[:80]!r} is no earlier node.")
    return before[identity]


def _inputs(node: Concat | Mean, before: Mapping[str, Shape], path: str) -> list[Shape]:
    if not node.inputs or len(set(node.inputs)) != len(node.inputs):
        raise InvalidArgument.of(f"{path}.inputs", "unique", "must be one node or more, each once.")
    return [_input(each, before, f"{path}.inputs[{index}]") for index, each in enumerate(node.inputs)]


def _require_outputs(outputs: int, path: str, *, two: bool = False) -> None:
    if outputs == 2 and not two:
        words = "must be 1 for two classes: the score of the second."
        raise InvalidArgument.of(f"{path}.outputs", "width", words)


def _require_scores(identity: str, before: Mapping[str, Shape], path: str, narrow: bool) -> int:
    """The width of the input, which must be scores: one (`narrow`) or several."""
    shape = _input(identity, before, f"{path}.input")
    if identity == FEATURES or shape.of_probabilities or (shape.width == 1) != narrow:
        wanted = "one score" if narrow else "two or more scores"
        raise InvalidArgument.of(f"{path}.input", "width", f"{identity!r} must give {wanted} per row.")
    return shape.width
