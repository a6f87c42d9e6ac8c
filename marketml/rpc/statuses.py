"""The table that joins refusals and gRPC statuses, read in both directions.

Every refusal travels as a `google.rpc.Status` whose `ErrorInfo` carries the reason (domain `marketml`); the
other details hold what its class adds. `from_rpc_error(…)` gives a client the refusal the server raised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2

from marketml.rpc import refusals
from marketml.rpc.refusals import Reason, Refusal, Violation

DOMAIN = "marketml"
DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"

# Trailers share the 8 KiB that a peer accepts as metadata; what does not fit is counted, not sent.
MESSAGE_BYTES_MAX = 1024
DETAILS_BYTES_MAX = 4096
OMITTED_KEY = "violations_omitted"

CODES: dict[type[Refusal], grpc.StatusCode] = {
    refusals.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    refusals.OutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    refusals.NotFound: grpc.StatusCode.NOT_FOUND,
    refusals.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    refusals.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    refusals.Aborted: grpc.StatusCode.ABORTED,
    refusals.ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    refusals.Unavailable: grpc.StatusCode.UNAVAILABLE,
    refusals.DataLoss: grpc.StatusCode.DATA_LOSS,
    refusals.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    refusals.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    refusals.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    refusals.Cancelled: grpc.StatusCode.CANCELLED,
    refusals.Unimplemented: grpc.StatusCode.UNIMPLEMENTED,
    refusals.Internal: grpc.StatusCode.INTERNAL,
}
_OF_NUMBER: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
_CLASSES: dict[grpc.StatusCode, type[Refusal]] = {code: kind for kind, code in CODES.items()}


def code_of(refusal: Refusal) -> grpc.StatusCode:
    """The status code of a refusal; that of its nearest listed ancestor for a subclass."""
    for kind in type(refusal).__mro__:
        if kind in CODES:
            return CODES[kind]
    return grpc.StatusCode.INTERNAL


def to_status(refusal: Refusal) -> status_pb2.Status:
    """A refusal as the status that travels, with its `google.rpc` details."""
    status = status_pb2.Status(code=code_of(refusal).value[0], message=_shortened(refusal.message))
    information = details.ErrorInfo(reason=str(refusal.reason), domain=DOMAIN)
    if isinstance(refusal, refusals.InvalidArgument):
        bad_request, omitted_count = _bad_request(refusal.violations)
        if omitted_count:
            information.metadata[OMITTED_KEY] = str(omitted_count)
        _pack(status, information, bad_request)
    else:
        _pack(status, information, *_details_of(refusal))
    return status


def trailers_of(status: status_pb2.Status, refusal: Refusal) -> tuple[tuple[str, str | bytes], ...]:
    """The trailing metadata of a refused call: the details, and the push-back a retrying client honours."""
    trailers: list[tuple[str, str | bytes]] = [(DETAILS_KEY, status.SerializeToString())]
    seconds = getattr(refusal, "retry_after_seconds", None)
    if seconds is not None:
        trailers.append((PUSHBACK_KEY, str(math.ceil(seconds * 1000))))
    return tuple(trailers)


def from_status(status: status_pb2.Status) -> Refusal:
    """The refusal a status stands for. Details that are absent leave the class's defaults."""
    code = _OF_NUMBER.get(status.code, grpc.StatusCode.UNKNOWN)
    refusal = _BUILDERS.get(_CLASSES.get(code, refusals.Internal), _plain)(status, code)
    refusal.message = status.message or refusal.message
    refusal.args = (refusal.message,)
    for information in _unpacked(status, details.ErrorInfo):
        if information.domain == DOMAIN and information.reason in Reason.__members__:
            refusal.reason = Reason(information.reason)
    return refusal


def from_rpc_error(error: grpc.RpcError) -> Refusal:
    """The refusal behind a failed call: the server's own when it sent details, else one by status code.

    A code without a class of its own (UNKNOWN, or one from a proxy) is an `Internal` whose message is the
    status text. The details are ignored when they are damaged or name another code than the status does.
    """
    code, text = grpc.StatusCode.UNKNOWN, str(error)
    trailers: Any = ()
    if isinstance(error, grpc.Call | grpc.aio.AioRpcError):
        code, text, trailers = error.code(), error.details() or "", error.trailing_metadata() or ()
    for key, value in trailers:
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                status = status_pb2.Status.FromString(value)
            except DecodeError:
                break
            if status.code == code.value[0]:
                return from_status(status)
    return from_status(status_pb2.Status(code=code.value[0], message=text))


def _shortened(text: str) -> str:
    raw = text.encode("utf-8", errors="replace")
    if len(raw) <= MESSAGE_BYTES_MAX:
        return raw.decode()
    return raw[: MESSAGE_BYTES_MAX - 3].decode(errors="ignore") + "…"


def _pack(status: status_pb2.Status, *messages: Message) -> None:
    for message in messages:
        packed = AnyMessage()
        packed.Pack(message)
        status.details.append(packed)


def _bad_request(violations: tuple[Violation, ...]) -> tuple[details.BadRequest, int]:
    bad_request = details.BadRequest()
    size_bytes = 0
    for count, violation in enumerate(violations):
        sent = details.BadRequest.FieldViolation(
            field=_shortened(violation.field),
            reason=_shortened(violation.rule),
            description=_shortened(violation.description),
        )
        size_bytes += sent.ByteSize() + 4
        if size_bytes > DETAILS_BYTES_MAX and count:
            return bad_request, len(violations) - count
        bad_request.field_violations.append(sent)
    return bad_request, 0


def _details_of(refusal: Refusal) -> Iterator[Message]:
    if isinstance(refusal, refusals.NotFound | refusals.AlreadyExists):
        yield details.ResourceInfo(
            resource_type=refusal.kind,
            resource_name=_shortened(refusal.name),
            description=_shortened(refusal.message),
        )
    elif isinstance(refusal, refusals.FailedPrecondition):
        yield details.PreconditionFailure(
            violations=[
                details.PreconditionFailure.Violation(
                    type=str(refusal.reason),
                    subject=_shortened(refusal.subject),
                    description=_shortened(refusal.message),
                )
            ]
        )
    elif isinstance(refusal, refusals.ResourceExhausted):
        yield details.QuotaFailure(
            violations=[
                details.QuotaFailure.Violation(
                    subject=_shortened(refusal.subject), description=_shortened(refusal.message)
                )
            ]
        )
    elif isinstance(refusal, refusals.Internal):
        yield details.RequestInfo(request_id=refusal.reference)
    retry_after_seconds = getattr(refusal, "retry_after_seconds", None)
    if retry_after_seconds is not None:
        yield details.RetryInfo(retry_delay=_duration(retry_after_seconds))


def _duration(seconds: float) -> Duration:
    whole, microseconds = divmod(round(seconds * 1e6), 1_000_000)
    return Duration(seconds=whole, nanos=microseconds * 1000)


def _unpacked(status: status_pb2.Status, kind: type[Any]) -> Iterator[Any]:
    for packed in status.details:
        message = kind()
        try:
            if packed.Unpack(message):
                yield message
        except DecodeError:
            continue


def _retry_after_seconds(status: status_pb2.Status) -> float | None:
    for retry in _unpacked(status, details.RetryInfo):
        return float(retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9)
    return None


def _plain(status: status_pb2.Status, code: grpc.StatusCode) -> Refusal:
    return _CLASSES[code](status.message)


def _invalid_argument(status: status_pb2.Status, _code: grpc.StatusCode) -> Refusal:
    violations = [
        Violation(broken.field, broken.reason, broken.description)
        for bad_request in _unpacked(status, details.BadRequest)
        for broken in bad_request.field_violations
    ]
    return refusals.InvalidArgument(violations or [Violation("", "invalid", status.message)])


def _not_found(status: status_pb2.Status, _code: grpc.StatusCode) -> Refusal:
    for resource in _unpacked(status, details.ResourceInfo):
        return refusals.NotFound(resource.resource_type, resource.resource_name, status.message)
    return refusals.NotFound("", "", status.message)


def _already_exists(status: status_pb2.Status, _code: grpc.StatusCode) -> Refusal:
    for resource in _unpacked(status, details.ResourceInfo):
        return refusals.AlreadyExists(resource.resource_type, resource.resource_name, status.message)
    return refusals.AlreadyExists("", "", status.message)


def _failed_precondition(status: status_pb2.Status, _code: grpc.StatusCode) -> Refusal:
    for failure in _unpacked(status, details.PreconditionFailure):
        for broken in failure.violations:
            return refusals.FailedPrecondition(broken.subject, status.message)
    return refusals.FailedPrecondition("", status.message)


def _resource_exhausted(status: status_pb2.Status, _code: grpc.StatusCode) -> Refusal:
    subject = ""
    for failure in _unpacked(status, details.QuotaFailure):
        for broken in failure.violations:
            subject = broken.subject
    return refusals.ResourceExhausted(subject, status.message, _retry_after_seconds(status))


def _unavailable(status: status_pb2.Status, _code: grpc.StatusCode) -> Refusal:
    seconds = _retry_after_seconds(status)
    return refusals.Unavailable(status.message, 1.0 if seconds is None else seconds)


def _internal(status: status_pb2.Status, _code: grpc.StatusCode) -> Refusal:
    for request in _unpacked(status, details.RequestInfo):
        return refusals.Internal(request.request_id)
    return refusals.Internal("unknown")


_BUILDERS: dict[type[Refusal], Callable[[status_pb2.Status, grpc.StatusCode], Refusal]] = {
    refusals.InvalidArgument: _invalid_argument,
    refusals.NotFound: _not_found,
    refusals.AlreadyExists: _already_exists,
    refusals.FailedPrecondition: _failed_precondition,
    refusals.ResourceExhausted: _resource_exhausted,
    refusals.Unavailable: _unavailable,
    refusals.Internal: _internal,
}
