"""Collection policies on the wire."""

from __future__ import annotations

import re

from marketml.data.v1 import data_pb2 as pb
from marketml.rpc.refusals import InvalidArgument, Violation
from services.data import wire
from services.data.collection.policies import INTERVAL_US_MAX, INTERVAL_US_MIN, Change, Draft, Policy, Status
from services.data.collection.venues import venue_violation
from services.data.records import Coverage
from services.data.wire_collection import read_target

_POLICY_ID = re.compile(r"[0-9a-f]{32}")
_ETAG = re.compile(r"[0-9a-f]{16}")
_MASK = "update_mask.paths"
_GIVEN_BY_THE_ROOM = ("policy_id", "etag", "create_time", "update_time", "status")
_CHANGEABLE = ("interval", "paused")


def read_draft(policy: pb.CollectionPolicy) -> Draft:
    """The policy of CreateCollectionPolicyRequest."""
    given = {field.name for field, _ in policy.ListFields()}
    found = [
        Violation(f"policy.{name}", "empty", "must be empty in a new policy, the room gives it.")
        for name in _GIVEN_BY_THE_ROOM
        if name in given
    ]
    series = read_target(policy.series, "policy.series", found)
    if series is not None and not found and (violation := venue_violation(series, "policy.series.")):
        found.append(violation)
    if series is None or found:
        raise InvalidArgument(found)
    start_us = wire.read_start(policy, "policy")
    return Draft(series, _read_interval(policy), start_us, policy.paused)


def read_change(request: pb.UpdateCollectionPolicyRequest) -> Change:
    """UpdateCollectionPolicyRequest."""
    policy_id = read_policy_id(request.policy.policy_id, "policy.policy_id")
    names = list(request.update_mask.paths)
    if not names:
        raise InvalidArgument.of(_MASK, "required", "must name the fields to change.")
    violations = [
        Violation(
            f"{_MASK}[{position}]", "unknown", f"must be one of {', '.join(_CHANGEABLE)}, not {name[:80]!r}."
        )
        for position, name in enumerate(names[:100])
        if name not in _CHANGEABLE
    ]
    if violations:
        raise InvalidArgument(violations)
    if request.etag and not _ETAG.fullmatch(request.etag):
        raise InvalidArgument.of(
            "etag", "etag", f"must be 16 lower-case hex digits, not {request.etag[:80]!r}."
        )
    return Change(
        policy_id,
        _read_interval(request.policy) if "interval" in names else None,
        request.policy.paused if "paused" in names else None,
        request.etag,
    )


def read_policy_id(policy_id: str, field: str = "policy_id") -> str:
    """A policy's id."""
    if not policy_id:
        raise InvalidArgument.of(field, "required", "must name the policy.")
    if not _POLICY_ID.fullmatch(policy_id):
        raise InvalidArgument.of(
            field, "policy_id", f"must be 32 lower-case hex digits, not {policy_id[:80]!r}."
        )
    return policy_id


def written_policy(policy: Policy) -> pb.CollectionPolicy:
    """A policy as its message."""
    return pb.CollectionPolicy(
        policy_id=policy.policy_id,
        series=wire.written_target(policy.series),
        interval=wire.written_duration(policy.interval_us),
        start_time=wire.written_instant(policy.start_us),
        paused=policy.is_paused,
        etag=policy.etag,
        create_time=wire.written_instant(policy.create_time_us),
        update_time=wire.written_instant(policy.update_time_us),
        status=_written_status(policy.status),
    )


def written_series(coverage: Coverage) -> pb.Series:
    """A series, its coverage, and how the policy that collects it fares as their message."""
    message = wire.written_coverage(coverage)
    if coverage.collection is not None:
        message.collection.CopyFrom(_written_status(coverage.collection))
    return message


def _written_status(status: Status) -> pb.CollectionStatus:
    """How a policy fares as its message."""
    return pb.CollectionStatus(
        last_run_time=wire.written_instant(status.last_run_us),
        last_success_time=wire.written_instant(status.last_success_us),
        next_run_time=wire.written_instant(status.next_run_us),
        inserted=status.inserted_count,
        lag=wire.written_duration(status.lag_us),
        error=status.error,
        failed_runs_count=status.failed_runs_count,
        is_running=status.is_running,
    )


def _read_interval(policy: pb.CollectionPolicy) -> int:
    if not policy.HasField("interval"):
        raise InvalidArgument.of(
            "policy.interval", "required", "must say how long after a run the next begins."
        )
    interval = policy.interval
    interval_us = (wire.duration_ns(interval) or 0) // 1000
    if not INTERVAL_US_MIN <= interval_us <= INTERVAL_US_MAX:
        raise InvalidArgument.of(
            "policy.interval",
            "range",
            f"must be from 10 seconds to 31 days: {interval.seconds} seconds, {interval.nanos} nanoseconds.",
        )
    return interval_us
