"""Funding and open interest.

The value at a bar is made of what was known at its close. Windows of funding rates are counted in
settlements, those of open interest in bars. Nothing is filled or invented: a value the frame lacks is missing
here.
"""

from __future__ import annotations

from services.features.calculators import composite, funding, interest, positioning
from services.features.feature import Feature

FEATURES: tuple[Feature, ...] = (
    *funding.FEATURES,
    *interest.FEATURES,
    *composite.FEATURES,
    *positioning.FEATURES,
)
