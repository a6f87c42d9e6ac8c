"""What is asked of an audit, and what may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from marketml.rpc.refusals import Violation
from services.features.config import FeatureConfig
from services.features.source import Source

CUTS, LIVE = (1, 100), (0, 1_000)
CUTS_DEFAULT, LIVE_DEFAULT = 5, 20


@dataclass(frozen=True)
class AuditRequest:
    """What to audit; see the contract's AuditLeakageRequest."""

    source: Source
    config: FeatureConfig
    cuts_count: int = CUTS_DEFAULT
    live_count: int = LIVE_DEFAULT
    seed: int = 0

    def violations(self) -> Iterator[Violation]:
        """Every broken rule, those of the config apart."""
        for name, (low, high) in {"cuts_count": CUTS, "live_count": LIVE}.items():
            value = getattr(self, name)
            if not low <= value <= high:
                yield Violation(name, "range", f"must be {low:,} to {high:,}: {value:,}.")
