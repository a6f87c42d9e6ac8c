"""tsfresh's features over rolling windows, by the names of their columns, as parts of formulas."""

from __future__ import annotations

import re

import numpy as np

from services.features.columns import BLOCK_BARS, Columns, Floats
from services.features.feature import Family, Feature, Work
from services.features.rolling.calculators import broken_rule
from services.features.rolling.engine import WINDOW_BARS, Pass
from services.features.rolling.kernels import KERNELS
from services.features.source import VALUE_COLUMNS

# What one bar of a window takes, in bars that a plain sum reads: what kernels share is not shared here.
OWN_SHARE = 50
_SQUARE = frozenset({"sample_entropy", "approximate_entropy"})  # every bar with every other

_NAME = re.compile(
    rf"w([0-9]{{1,3}})__({'|'.join(VALUE_COLUMNS)})__((?:[a-z0-9]+_)*[a-z0-9]+)(__.{{1,150}})?", re.ASCII
)


def rolled(name: str) -> Feature | None:
    """The feature of a name like `w24__close__quantile__q_0.1`; None where no kernel computes such a one."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    window, column, calculator, parameters = int(found[1]), found[2], found[3], found[4] or ""
    entry = calculator + parameters
    if not WINDOW_BARS[0] <= window <= WINDOW_BARS[1] or calculator not in KERNELS or broken_rule(entry):
        return None
    rolling = Pass(column, window, (entry,))
    if rolling.names != (name,):
        return None

    def compute(columns: Columns) -> Floats:
        values = np.empty((1, columns.bars))
        for _ in rolling.run(columns[column], columns.bar_numbers, values):
            pass
        row: Floats = values[0]
        return row

    return Feature(
        name=name,
        family=Family.TSFRESH,
        group=calculator,
        inputs=(column,),
        parameters={},
        lookback_bars=window - 1 + BLOCK_BARS - 1,  # a value follows from the whole of its block before it
        description=f"tsfresh's {entry} of the last {window} bars' {column}.",
        compute=compute,
        work=Work(window * (window if calculator in _SQUARE else OWN_SHARE), 2, frozenset()),
    )
