"""How long after its observation open interest is known: what its feed needs to say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class OpenInterestLags:
    """Lags by venue, in microseconds; `default_us` is that of all others."""

    default_us: int = 0
    by_venue: Mapping[str, int] = field(default_factory=dict)

    def of(self, venue: str) -> int:
        """The lag of a venue's open interest."""
        return self.by_venue.get(venue, self.default_us)


NO_LAGS = OpenInterestLags()
