"""One call over raw bytes, how it ended, and what is wrong with the answer of a call that was refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from marketml.rpc.refusals import Reason

CALL_SECONDS_MAX = 20.0
WATCH_SECONDS_MAX = 0.2  # of a stream that does not end by itself
ANSWERS_MAX = 50
ENDLESS = {"WatchTraining", "WatchRegistry", "Watch"}
SECRET = "c4n4ry-4711"
METADATA = (("authorization", f"Bearer {SECRET}"), ("cookie", SECRET))

BUGS = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL}
# What the inside of a server looks like, and no answer of it may.
LEAKS = re.compile(
    r"Traceback|site-packages|sqlalchemy|sqlite|psycopg|SELECT |INSERT INTO|\.py\b|/tmp/|0x[0-9a-f]{8}"
)
# Each code's detail, beside the ErrorInfo of all.
DETAILS: dict[grpc.StatusCode, Any] = {
    grpc.StatusCode.INVALID_ARGUMENT: error_details_pb2.BadRequest,
    grpc.StatusCode.NOT_FOUND: error_details_pb2.ResourceInfo,
    grpc.StatusCode.ALREADY_EXISTS: error_details_pb2.ResourceInfo,
    grpc.StatusCode.FAILED_PRECONDITION: error_details_pb2.PreconditionFailure,
    grpc.StatusCode.RESOURCE_EXHAUSTED: error_details_pb2.QuotaFailure,
    grpc.StatusCode.UNAVAILABLE: error_details_pb2.RetryInfo,
}
# The client's own gRPC says these two without the server.
OF_THE_CLIENT = {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}

_SEGMENT = re.compile(r"([a-z][a-z0-9_]*)((?:\[[^\]]*\])?)")


@dataclass(frozen=True)
class Outcome:
    """How a call ended, and what its caller was told."""

    code: grpc.StatusCode
    text: str = ""
    status: status_pb2.Status | None = None  # with the details, where the server sent some


def outcome(channel: grpc.Channel, method: Any, sent: list[bytes]) -> Outcome:
    """One call with these messages; a stream is read a while and left."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    seconds = WATCH_SECONDS_MAX if method.name in ENDLESS else CALL_SECONDS_MAX
    argument: Any = iter(sent) if method.client_streaming else sent[0]
    try:
        if not method.server_streaming:
            kind = channel.stream_unary if method.client_streaming else channel.unary_unary
            kind(path)(argument, timeout=seconds, metadata=METADATA)
            return Outcome(grpc.StatusCode.OK)
        stream_kind = channel.stream_stream if method.client_streaming else channel.unary_stream
        answers: Any = stream_kind(path)(argument, timeout=seconds, metadata=METADATA)
        for count, _ in enumerate(answers):
            if count >= ANSWERS_MAX:
                answers.cancel()
                break
    except grpc.RpcError as error:
        call: Any = error
        return Outcome(call.code(), str(call.details()), rpc_status.from_call(call))
    return Outcome(grpc.StatusCode.OK)


def flaws(ended: Outcome, method: Any) -> list[str]:
    """What a refused call's answer lacks of what the contracts promise."""
    if ended.code is grpc.StatusCode.OK or (ended.status is None and ended.code in OF_THE_CLIENT):
        return []
    if ended.status is None:
        return [f"{ended.code.name} without details: {ended.text}"]
    found = []
    information = unpacked(ended.status, error_details_pb2.ErrorInfo)
    if (
        information is None
        or information.domain != "marketml"
        or information.reason not in Reason.__members__
    ):
        found.append(f"{ended.code.name} without a documented reason: {ended.text}")
    if ended.code in DETAILS and unpacked(ended.status, DETAILS[ended.code]) is None:
        found.append(f"{ended.code.name} without {DETAILS[ended.code].DESCRIPTOR.name}: {ended.text}")
    bad_request = unpacked(ended.status, error_details_pb2.BadRequest)
    for violation in bad_request.field_violations if bad_request else ():
        is_whole = violation.field == "request" and violation.reason == "undecodable"
        if not is_whole and not leads_somewhere(method.input_type, violation.field):
            found.append(f"{violation.field!r} is no field of {method.input_type.name}: {ended.text}")
        if not violation.reason or not violation.description:
            found.append(f"{violation.field!r} without rule or description")
    if LEAKS.search(ended.text):
        found.append(f"the inside of a server: {ended.text}")
    return found


def unpacked(status: status_pb2.Status, kind: Any) -> Any:
    """The first detail of a kind, or None."""
    for packed in status.details:
        message = kind()
        if packed.Unpack(message):
            return message
    return None


def wrapped_list(each: FieldDescriptor) -> FieldDescriptor | None:
    """The list inside a message that only wraps it under the same name."""
    inner = each.message_type.fields_by_name.get(each.name) if each.message_type is not None else None
    return inner if inner is not None and inner.is_repeated else None


def leads_somewhere(kind: Descriptor, path: str) -> bool:
    """Whether a path (`config.split.folds`, `rows[3].high`) leads from a message to a field, or to a choice
    of fields. What follows a field of bytes names something in them, a column say."""
    if path in kind.oneofs_by_name:
        return True
    name, _, rest = path.partition(".")
    segment = _SEGMENT.fullmatch(name)
    each: FieldDescriptor | None = kind.fields_by_name.get(segment[1]) if segment else None
    if segment is None or each is None:
        return False
    if each.type == FieldDescriptor.TYPE_BYTES:
        return True
    if segment[2] and not each.is_repeated and each.message_type is None:
        return False
    if not rest:
        return True
    if segment[2] and not each.is_repeated and wrapped_list(each) is not None:
        each = wrapped_list(each)  # `rows[3]` of a message whose `rows` is a message with `rows`
        assert each is not None
    return each.message_type is not None and leads_somewhere(each.message_type, rest)
