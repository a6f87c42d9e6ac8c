"""The arrays of every node but trees: what stands under its id.

    linear      fill (inputs,)              what a missing column counts as
                center, scale (inputs,)     a column counts as (value - center) / scale
                coefficients (outputs, inputs), intercepts (outputs,)
    mean        weights (inputs,)           above 0, of sum 1
    calibrate   of a sigmoid: slopes (classes,), 0 or more, and intercepts (classes,): the probability p of a
                class becomes 1 / (1 + exp(-(slope * log(q / (1 - q)) + intercept))), where q is p within
                [`CLIP`, 1 - `CLIP`]
                isotonic: class k owns the knots `offsets[k]` to `offsets[k + 1]`, each at least `KNOT_GAP`
                above the one before; between two knots its probability follows the line between their values,
                which never fall, and beyond the first and last is theirs
    decision    thresholds (classes,)       above 0

All numbers are float64, offsets int64. A row all of whose calibrated probabilities are 0 has equal ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from marketml.bundle.graph import Calibrate, Calibration, Decision, Linear, Mean, Node, Shape
from marketml.bundle.tensors import PATH, Arrays
from marketml.rpc.refusals import InvalidArgument

CLIP = 1e-6  # of a probability before its log-odds are taken
KNOT_GAP = 1e-6  # a last bit of a probability may move the corrected one by no more than 1e-10
MAX_KNOTS = 100_000  # of all classes of a node

Parameters: TypeAlias = Mapping[str, npt.NDArray[Any]]
"""The arrays of one node by their names."""


def read_parameters(node: Node, shapes: Mapping[str, Shape], arrays: Arrays) -> Parameters:
    """The arrays of `node`, of the right types and sizes; what they hold is not looked at. Trees have none.

    Raises
    ------
    InvalidArgument
        An array that is absent or has another dtype or shape.
    """
    found = {}
    for name, shape in _sizes(node, shapes).items():
        path = f"{PATH}.{node.id}.{name}"
        array = arrays.get(f"{node.id}.{name}")
        if array is None:
            raise InvalidArgument.of(path, "required", "must be present.")
        dtype = np.dtype(np.int64 if name == "offsets" else np.float64)
        if array.dtype != dtype:
            raise InvalidArgument.of(path, "dtype", f"must be {dtype.name}, is {array.dtype.name}.")
        if shape is _KNOTS:
            if array.ndim != 1 or not 1 <= array.size <= MAX_KNOTS:
                words = f"must be of 1 to {MAX_KNOTS} knots, is {array.shape}."
                raise InvalidArgument.of(path, "shape", words)
        elif array.shape != shape:
            raise InvalidArgument.of(path, "shape", f"must be {shape}, is {array.shape}.")
        found[name] = array
    return found


_KNOTS = (-1,)


def _sizes(node: Node, shapes: Mapping[str, Shape]) -> Mapping[str, tuple[int, ...]]:
    match node:
        case Linear():
            width = shapes[node.input].width
            columns = dict.fromkeys(("fill", "center", "scale"), (width,))
            return {**columns, "coefficients": (node.outputs, width), "intercepts": (node.outputs,)}
        case Mean():
            return {"weights": (len(node.inputs),)}
        case Calibrate(method=Calibration.SIGMOID):
            return dict.fromkeys(("slopes", "intercepts"), (shapes[node.id].width,))
        case Calibrate():
            return {"offsets": (shapes[node.id].width + 1,), "knots": _KNOTS, "values": _KNOTS}
        case Decision():
            return {"thresholds": (shapes[node.id].width,)}
        case _:
            return {}
