"""The formula language of a config's expressions and of fitted symbolic features.

`parse` and `formatted` go from text to trees and back; `features_of` makes features of named formulas that
`violations` found nothing wrong with. Nothing of a formula is ever run as code: a tree is walked.
"""

from __future__ import annotations

from services.features.expressions.declared import Expression, features_of, violations
from services.features.expressions.functions import FUNCTIONS, OPERATORS, Function
from services.features.expressions.syntax import Call, FormulaError, Name, Node, Number, formatted, parse

__all__ = [
    "FUNCTIONS",
    "OPERATORS",
    "Call",
    "Expression",
    "FormulaError",
    "Function",
    "Name",
    "Node",
    "Number",
    "features_of",
    "formatted",
    "parse",
    "violations",
]
