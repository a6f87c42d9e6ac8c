"""The audit of features for leaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from marketml.clients.data_messages import Instrument
from marketml.clients.feature_source import put_source
from marketml.features.v1 import features_pb2 as pb
from marketml.rpc.refusals import DataLoss


@dataclass(frozen=True)
class LeakAudit:
    """What an audit found: nothing, when no feature sees the future.

    Attributes
    ----------
    findings : tuple of LeakFinding
        Each offender at most once for each check.
    summary : AuditSummary
    """

    findings: tuple[pb.LeakFinding, ...]
    summary: pb.AuditSummary

    @property
    def offenders(self) -> tuple[str, ...]:
        """The features with a finding, in the order they were found."""
        return tuple(dict.fromkeys(finding.feature for finding in self.findings))


class AuditCalls:
    """The part of `FeaturesClient` that is about leaks."""

    _stub: Any

    def audit_leakage(
        self,
        snapshot_id: str | None = None,
        *,
        venue: str | None = None,
        symbol: str | None = None,
        timeframe: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        as_of: datetime | None = None,
        reference: Instrument | None = None,
        config: pb.FeatureConfig | None = None,
        cuts_count: int = 0,
        live_count: int | None = None,
        seed: int = 0,
        on_progress: Callable[[float, str], None] | None = None,
    ) -> LeakAudit:
        """Compute a config's features again on histories that end earlier and on histories with another
        future, and as the newest bar's; name every feature whose value changes.

        Parameters
        ----------
        snapshot_id, venue, symbol, timeframe, start, end, as_of, reference, config, on_progress
            As `generate_features` takes them.
        cuts_count
            Random bars at which the history is cut; 0 is the room's default.
        live_count
            Random bars that are computed as the newest one; None is the room's default.
        seed
            Of the random choices.
        """
        request = pb.AuditLeakageRequest(
            config=config, cuts_count=cuts_count, live_count=live_count, seed=seed
        )
        put_source(request, snapshot_id, venue, symbol, timeframe, start, end, as_of, reference)
        findings: list[pb.LeakFinding] = []
        for part in self._stub.AuditLeakage(request):
            if part.HasField("summary"):
                return LeakAudit(tuple(findings), part.summary)
            if part.HasField("finding"):
                findings.append(part.finding)
            elif on_progress is not None:
                on_progress(part.progress.fraction, part.progress.stage)
        raise DataLoss("The audit ended without its summary.")
