"""Search: trials of a model's parameters on the purged folds, and the best of them."""

from services.training.search.plan import (
    MAX_STARTUP_TRIALS,
    MAX_TRIALS,
    MAX_TRIALS_AT_ONCE,
    SearchPlan,
    space_violations,
    violations,
)
from services.training.search.space import (
    Condition,
    Integer,
    OneOf,
    Real,
    Searched,
    Space,
    Value,
    applied,
    default_space,
    parameters_of,
)

__all__ = [
    "MAX_STARTUP_TRIALS",
    "MAX_TRIALS",
    "MAX_TRIALS_AT_ONCE",
    "Condition",
    "Integer",
    "OneOf",
    "Real",
    "SearchPlan",
    "Searched",
    "Space",
    "Value",
    "applied",
    "default_space",
    "parameters_of",
    "space_violations",
    "violations",
]
