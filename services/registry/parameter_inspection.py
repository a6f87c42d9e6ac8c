"""What the arrays of nodes other than trees may hold, so that every answer is finite and a probability."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from marketml.bundle.parameters import KNOT_GAP, Parameters
from marketml.bundle.tensors import PATH
from marketml.bundle.trees import MAX_MAGNITUDE
from marketml.rpc.refusals import InvalidArgument

SUM_TOLERANCE = 1e-9  # of weights, to 1


def require_parameters(identity: str, arrays: Parameters) -> None:
    """Check the numbers of one node.

    Raises
    ------
    InvalidArgument
        The first that breaks a rule, with its path, such as `bundle.arrays.calibrated.knots[3]`.
    """

    def require(name: str, holds: npt.NDArray[np.bool_], rule: str, description: str) -> None:
        if not holds.all():
            where = "".join(f"[{index}]" for index in np.argwhere(~holds)[0])
            raise InvalidArgument.of(f"{PATH}.{identity}.{name}{where}", rule, description)

    for name in ("fill", "center", "coefficients", "intercepts"):
        if name in arrays:
            require(
                name, np.abs(arrays[name]) <= MAX_MAGNITUDE, "range", f"must be within ±{MAX_MAGNITUDE:g}."
            )
    for name, low in (("scale", 1 / MAX_MAGNITUDE), ("thresholds", 1 / MAX_MAGNITUDE), ("slopes", 0.0)):
        if name in arrays:
            fits = (arrays[name] >= low) & (arrays[name] <= MAX_MAGNITUDE)
            require(name, fits, "range", f"must be from {low:g} to {MAX_MAGNITUDE:g}.")
    if "weights" in arrays:
        weights = arrays["weights"]
        require("weights", (weights > 0) & (weights <= 1), "range", "must be above 0 and at most 1.")
        if abs(weights.sum() - 1.0) > SUM_TOLERANCE:
            raise InvalidArgument.of(f"{PATH}.{identity}.weights", "range", "must add up to 1.")
    if "knots" in arrays:
        offsets, knots, values = arrays["offsets"], arrays["knots"], arrays["values"]
        if values.shape != knots.shape:
            words = f"must be {knots.shape}, is {values.shape}."
            raise InvalidArgument.of(f"{PATH}.{identity}.values", "shape", words)
        for index, wanted in ((0, 0), (offsets.size - 1, knots.size)):
            if offsets[index] != wanted:
                words = f"must be {wanted}, is {offsets[index]}."
                raise InvalidArgument.of(f"{PATH}.{identity}.offsets[{index}]", "range", words)
        # Compared, not subtracted: a difference of 64-bit numbers can overflow into a harmless one.
        require("offsets", np.append(offsets[:-1] < offsets[1:], True), "order", "must be below the next.")
        for name, numbers in (("knots", knots), ("values", values)):
            require(name, (numbers >= 0) & (numbers <= 1), "range", "must be a probability.")
        first = np.isin(np.arange(knots.size), offsets[:-1])
        require(
            "knots", first | _rises(knots, KNOT_GAP), "order", f"must be {KNOT_GAP:g} above the one before."
        )
        require("values", first | _rises(values, 0.0), "order", "must not be below the one before.")


def _rises(numbers: npt.NDArray[Any], by: float) -> npt.NDArray[np.bool_]:
    """Of each number but the first, whether it is at least so much above the one before."""
    return np.append(False, np.diff(numbers) >= by)
