"""AuditLeakage: features computed again without the future, with another one, and as the newest bar's."""

from __future__ import annotations

from services.features.audit.auditing import Told, audit
from services.features.audit.choices import (
    CUTS_DEFAULT,
    CUTS_MAX,
    LIVE_DEFAULT,
    LIVE_MAX,
    Choices,
    chosen,
)
from services.features.audit.findings import AuditSummary, LeakCheck, LeakFinding

__all__ = [
    "CUTS_DEFAULT",
    "CUTS_MAX",
    "LIVE_DEFAULT",
    "LIVE_MAX",
    "AuditSummary",
    "Choices",
    "LeakCheck",
    "LeakFinding",
    "Told",
    "audit",
    "chosen",
]
