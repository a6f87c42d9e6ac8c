"""Symbolic features: formulas over the features there are, found on the rows given and written down as text.

A bounded expansion as autofeat does it (Horn, Pack and Rieger 2019): functions of one feature and of pairs,
round after round, of which those stay that say something of the target which is not said yet.
"""

from services.features.autofeat.expansion import Symbolic, symbolic_features, work_bytes
from services.features.autofeat.formulas import evaluated

__all__ = ["Symbolic", "evaluated", "symbolic_features", "work_bytes"]
