"""AuditLeakage as messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from marketml.features.v1 import features_pb2 as pb
from services.features.answer import Progress
from services.features.audit import (
    CUTS_DEFAULT,
    LIVE_DEFAULT,
    AuditRequest,
    AuditSummary,
    LeakCheck,
    LeakFinding,
    Told,
)
from services.features.wire import read_source, write_omission
from services.features.wire_config import read_config

_CHECKS: dict[LeakCheck, Any] = {check: pb.LeakCheck.Value(f"LEAK_CHECK_{check.name}") for check in LeakCheck}


def read_audit(request: pb.AuditLeakageRequest) -> AuditRequest:
    """What to audit; no cuts said are the default ones."""
    return AuditRequest(
        read_source(request),
        read_config(request.config),
        request.cuts_count or CUTS_DEFAULT,
        request.live_count if request.HasField("live_count") else LIVE_DEFAULT,
        request.seed,
    )


def write_audit(told: Iterable[Told]) -> Iterator[pb.AuditLeakageResponse]:
    """The messages of an answer."""
    for part in told:
        match part:
            case Progress(fraction, stage):
                progress = pb.FeatureProgress(fraction=fraction, stage=stage)
                yield pb.AuditLeakageResponse(progress=progress)
            case LeakFinding():
                yield pb.AuditLeakageResponse(finding=_write_finding(part))
            case AuditSummary():
                yield pb.AuditLeakageResponse(summary=_write_summary(part))


def _write_finding(finding: LeakFinding) -> pb.LeakFinding:
    written = pb.LeakFinding(
        feature=finding.feature,
        check=_CHECKS[finding.check],
        batch_value=finding.batch_value,
        other_value=finding.other_value,
        size=finding.size,
        wrong_bars=finding.wrong_bars,
    )
    written.open_time.FromDatetime(finding.open_time.to_pydatetime())
    return written


def _write_summary(summary: AuditSummary) -> pb.AuditSummary:
    return pb.AuditSummary(
        row_count=summary.row_count,
        feature_count=summary.feature_count,
        offender_count=summary.offender_count,
        omitted=[write_omission(omission) for omission in summary.omitted],
        seconds=summary.seconds,
        batch_seconds=summary.batch_seconds,
    )
