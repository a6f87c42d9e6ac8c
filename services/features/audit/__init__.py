"""AuditLeakage: features computed again without the future, with another one, and as the newest bar's."""

from __future__ import annotations

from services.features.audit.auditing import Told, audit, memory_bytes
from services.features.audit.choices import Choices, chosen
from services.features.audit.findings import AuditSummary, LeakCheck, LeakFinding
from services.features.audit.request import CUTS_DEFAULT, LIVE_DEFAULT, AuditRequest

__all__ = [
    "CUTS_DEFAULT",
    "LIVE_DEFAULT",
    "AuditRequest",
    "AuditSummary",
    "Choices",
    "LeakCheck",
    "LeakFinding",
    "Told",
    "audit",
    "chosen",
    "memory_bytes",
]
