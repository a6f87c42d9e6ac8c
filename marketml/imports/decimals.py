"""Numbers that arithmetic left one bit beside the decimal they were: 1.0520100000000001 for 1.05201.

Exchanges state decimals. A tool that computed with them and wrote floats has now and then the neighbouring
float, and two files of the same rows then contradict each other in their last bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_DIGITS = 15  # every decimal of so many digits has one float that is its own
_DECIMAL_SHARE_MIN = 0.5  # a column of computed numbers has few that are short decimals


def to_nearest_decimals(values: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Put numbers one bit beside a decimal of 15 digits on it, in place, where most of the column are such
    decimals already; returns their rows."""
    with np.errstate(all="ignore"):
        size = np.abs(values)
        leading = np.floor(np.log10(size))
        leading -= np.power(10.0, leading) > size  # the logarithm of 999999999999998 rounds to that of 1e15
        exponent = _DIGITS - 1 - leading
        known = np.isfinite(exponent) & (np.abs(exponent) <= 22)  # powers of ten that a float holds exactly
        power = np.power(10.0, np.abs(np.where(known, exponent, 0.0)))
        is_small = exponent >= 0
        whole = np.rint(np.where(is_small, values * power, values / power))
        decimal = np.where(is_small, whole / power, whole * power)
        beside = known & (decimal != values) & (np.abs(decimal - values) <= np.spacing(size))
        exact = (known & (decimal == values)) | (values == 0)
    counted = ~np.isnan(values)
    if not beside.any() or exact.sum() < _DECIMAL_SHARE_MIN * counted.sum():
        return np.array([], dtype=np.intp)
    values[beside] = decimal[beside]
    return np.flatnonzero(beside)
