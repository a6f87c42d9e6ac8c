"""Models as nodes of a graph: a learner's trees, the mean of members, a stack, and what follows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from marketml.bundle.graph import (
    FEATURES,
    Calibrate,
    Calibration,
    Concat,
    Decision,
    Graph,
    Linear,
    Mean,
    Node,
    Sigmoid,
    Softmax,
)
from marketml.bundle.manifest import GoldenRows
from marketml.bundle.tensors import Arrays
from marketml.bundle.trees import tree_tensors
from services.training.export.trees import graph_of
from services.training.learners import native_name
from services.training.learners.fitting import Probabilities
from services.training.learners.logistic import LinearModel
from services.training.models.calibrators import Calibrator, SigmoidCalibrator
from services.training.models.decisions import Thresholds
from services.training.models.ensembles import mean_of, shares_of
from services.training.results import LearnedModel
from services.training.workshop.units import FitOutcome


@dataclass(frozen=True, eq=False)
class Piece:
    """Nodes of a graph with their arrays, which of them answer, and their golden answers.

    `native_files` are the library's own files of a single model; of an ensemble, the arrays are all.
    """

    nodes: tuple[Node, ...]
    arrays: Mapping[str, npt.NDArray[Any]]
    raw: str
    probabilities: str
    golden_raw: npt.NDArray[np.float64]
    golden_probabilities: Probabilities
    native_files: Mapping[str, bytes]


def tree_piece(
    outcome: FitOutcome, trees: str, linked: str, source: str = FEATURES, *, is_alone: bool = False
) -> Piece:
    """The model of a unit that kept it: trees named `trees` over `source`, linked as `linked`."""
    kept = outcome.kept
    assert kept is not None, "a task with golden rows keeps its model"
    graph = graph_of(outcome, trees, linked, source)
    has_native = is_alone and kept.native is not None
    return Piece(
        nodes=graph.nodes,
        arrays=tree_tensors(trees, kept.trees),
        raw=graph.raw,
        probabilities=graph.probabilities,
        golden_raw=kept.golden.raw,
        golden_probabilities=kept.golden.probabilities,
        native_files={native_name(outcome.kind): kept.native} if has_native and kept.native else {},
    )


def mean_piece(members: Sequence[Piece]) -> Piece:
    """The mean of members' probabilities."""
    mean = Mean("mean", tuple(member.probabilities for member in members))
    golden = mean_of([member.golden_probabilities for member in members])
    return Piece(
        nodes=(*_nodes_of(members), mean),
        arrays={**_arrays_of(members), "mean.weights": shares_of(len(members))},
        raw=mean.id,
        probabilities=mean.id,
        golden_raw=golden,
        golden_probabilities=golden,
        native_files={},
    )


def linear_piece(model: LinearModel, golden_probabilities: Probabilities) -> Piece:
    """A linear meta model over the joined probabilities."""
    outputs = model.intercepts.size
    link = (Sigmoid if outputs == 1 else Softmax)("stacked", "meta")
    names = ("fill", "center", "scale", "coefficients", "intercepts")
    return Piece(
        nodes=(Linear("meta", "joined", outputs), link),
        arrays={f"meta.{name}": getattr(model, name) for name in names},
        raw="meta",
        probabilities=link.id,
        golden_raw=golden_probabilities,
        golden_probabilities=golden_probabilities,
        native_files={},
    )


def stacked_piece(bases: Sequence[FitOutcome], meta: Piece, *, passthrough: bool) -> Piece:
    """A meta model over the base models' probabilities, and with `passthrough` the features."""
    pieces = [
        tree_piece(base, f"base_{number}", f"base_{number}_probabilities")
        for number, base in enumerate(bases, start=1)
    ]
    joined = Concat(
        "joined", (*(piece.probabilities for piece in pieces), *((FEATURES,) if passthrough else ()))
    )
    return Piece(
        nodes=(*_nodes_of(pieces), joined, *meta.nodes),
        arrays={**_arrays_of(pieces), **meta.arrays},
        raw=meta.probabilities,
        probabilities=meta.probabilities,
        golden_raw=meta.golden_probabilities,
        golden_probabilities=meta.golden_probabilities,
        native_files={},
    )


def calibrated_piece(piece: Piece, calibrator: Calibrator) -> Piece:
    """A model whose probabilities are corrected."""
    is_sigmoid = isinstance(calibrator, SigmoidCalibrator)
    method = Calibration.SIGMOID if is_sigmoid else Calibration.ISOTONIC
    names = ("slopes", "intercepts") if is_sigmoid else ("offsets", "knots", "values")
    node = Calibrate("calibrated", piece.probabilities, method)
    return replace(
        piece,
        nodes=(*piece.nodes, node),
        arrays={**piece.arrays, **{f"{node.id}.{name}": getattr(calibrator, name) for name in names}},
        probabilities=node.id,
        golden_probabilities=calibrator.correct(piece.golden_probabilities),
    )


def model_of(piece: Piece, golden: npt.NDArray[np.float64], thresholds: Thresholds | None) -> LearnedModel:
    """The model as a bundle holds it."""
    nodes, arrays, decision = piece.nodes, piece.arrays, None
    if thresholds is not None:
        decision = Decision("decision", piece.probabilities)
        nodes, arrays = (*nodes, decision), {**arrays, f"{decision.id}.thresholds": thresholds}
    return LearnedModel(
        graph=Graph(nodes, piece.raw, piece.probabilities, None if decision is None else decision.id),
        arrays=arrays,
        golden=GoldenRows(golden, piece.golden_raw, piece.golden_probabilities),
        native_files=piece.native_files,
    )


def _nodes_of(pieces: Sequence[Piece]) -> tuple[Node, ...]:
    return tuple(node for piece in pieces for node in piece.nodes)


def _arrays_of(pieces: Sequence[Piece]) -> Arrays:
    return {name: array for piece in pieces for name, array in piece.arrays.items()}
