"""The timeframes of the platform: the names of the contract, and how long their bars are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

TIMEFRAMES: Mapping[str, timedelta] = {
    **{f"{count}m": timedelta(minutes=count) for count in (1, 3, 5, 15, 30)},
    **{f"{count}h": timedelta(hours=count) for count in (1, 2, 4, 6, 8, 12)},
    "1d": timedelta(days=1),
    "1w": timedelta(weeks=1),
}
"""From short to long."""
