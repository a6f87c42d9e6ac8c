"""The graph as JSON: how it stands in a manifest, and how it is read from one."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar

from marketml.bundle.canonical import Fields
from marketml.bundle.graph import (
    FEATURES,
    MAX_CLASSES,
    MAX_FEATURES,
    MAX_JOINED,
    MAX_NODES,
    PATH,
    Calibrate,
    Calibration,
    Concat,
    Decision,
    Graph,
    Library,
    Linear,
    Mean,
    Node,
    Sigmoid,
    Softmax,
    Trees,
)
from marketml.rpc.refusals import InvalidArgument

Word = TypeVar("Word", bound=StrEnum)


def write_graph(graph: Graph) -> dict[str, Any]:
    """The graph as it stands in the manifest."""
    return {
        "nodes": [_write_node(node) for node in graph.nodes],
        "raw": graph.raw,
        "probabilities": graph.probabilities,
        **({} if graph.decision is None else {"decision": graph.decision}),
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
        decision=fields.optional_text("decision"),
    )
    fields.finish()
    return graph


def _write_node(node: Node) -> dict[str, Any]:
    match node:
        case Trees():
            return {
                "id": node.id,
                "op": "trees",
                "library": node.library.value,
                "features": node.features,
                "outputs": node.outputs,
                **({} if node.input == FEATURES else {"input": node.input}),  # as before there was a choice
            }
        case Linear():
            return {"id": node.id, "op": "linear", "input": node.input, "outputs": node.outputs}
        case Concat():
            return {"id": node.id, "op": "concat", "inputs": list(node.inputs)}
        case Mean():
            return {"id": node.id, "op": "mean", "inputs": list(node.inputs)}
        case Sigmoid():
            return {"id": node.id, "op": "sigmoid", "input": node.input}
        case Softmax():
            return {"id": node.id, "op": "softmax", "input": node.input}
        case Calibrate():
            return {"id": node.id, "op": "calibrate", "input": node.input, "method": node.method.value}
        case Decision():
            return {"id": node.id, "op": "decision", "input": node.input}


def _read_node(fields: Fields) -> Node:
    identity, op = fields.text("id"), fields.text("op")
    node: Node
    match op:
        case "trees":
            node = Trees(
                identity,
                _read_word(fields, "library", Library),
                features=fields.count("features", 1, MAX_FEATURES + MAX_JOINED),
                outputs=fields.count("outputs", 1, MAX_CLASSES),
                input=_read_input_of_trees(fields),
            )
        case "linear":
            node = Linear(identity, fields.text("input"), fields.count("outputs", 1, MAX_CLASSES))
        case "concat":
            node = Concat(identity, _read_inputs(fields))
        case "mean":
            node = Mean(identity, _read_inputs(fields))
        case "sigmoid":
            node = Sigmoid(identity, fields.text("input"))
        case "softmax":
            node = Softmax(identity, fields.text("input"))
        case "calibrate":
            node = Calibrate(identity, fields.text("input"), _read_word(fields, "method", Calibration))
        case "decision":
            node = Decision(identity, fields.text("input"))
        case _:
            raise InvalidArgument.of(
                f"{fields.path}.op", "unknown_op", f"{op[:80]!r} is no op of this format version."
            )
    fields.finish()
    return node


def _read_word(fields: Fields, name: str, words: type[Word]) -> Word:
    found = fields.text(name)
    if found not in set(words):
        known = ", ".join(words)
        raise InvalidArgument.of(f"{fields.path}.{name}", name, f"must be one of {known}, is {found[:80]!r}.")
    return words(found)


def _read_input_of_trees(fields: Fields) -> str:
    """Written only where it is a node, so that one model has one text."""
    found = fields.optional_text("input")
    if found == FEATURES:
        raise InvalidArgument.of(f"{fields.path}.input", "canonical", "must be absent for the features.")
    return FEATURES if found is None else found


def _read_inputs(fields: Fields) -> tuple[str, ...]:
    values = fields.list("inputs")
    for index, value in enumerate(values):
        if type(value) is not str:
            raise InvalidArgument.of(f"{fields.path}.inputs[{index}]", "type", "must be a string.")
    return tuple(values)
