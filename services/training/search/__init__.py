"""Search: trials of a model's parameters on the purged folds, and the best of them."""

from services.training.search.plan import SearchPlan, violations
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
)

__all__ = [
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
    "violations",
]
