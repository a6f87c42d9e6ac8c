"""The refusals: every way a room says no, as the domain raises it and as a client catches it.

    Refusal
    ├── InvalidArgument       a field broke a rule, whatever the state          INVALID_ARGUMENT
    ├── OutOfRange            a page or sequence beyond the end                 OUT_OF_RANGE
    ├── NotFound              no such series, snapshot, job, model, alias       NOT_FOUND
    ├── AlreadyExists         the name or request_id is taken by another body   ALREADY_EXISTS
    ├── FailedPrecondition    right request, wrong state                        FAILED_PRECONDITION
    ├── Aborted               a compare-and-set was lost: read again, decide    ABORTED
    ├── ResourceExhausted     a stated limit; says which and how much           RESOURCE_EXHAUSTED
    ├── Unavailable           a part is down or draining: same request again    UNAVAILABLE
    ├── DataLoss              stored bytes are not what their digest names      DATA_LOSS
    ├── Unauthenticated       no or bad credential                              UNAUTHENTICATED
    ├── PermissionDenied      the credential's role is too small                PERMISSION_DENIED
    ├── DeadlineExceeded      the caller's time is over; the work stopped       DEADLINE_EXCEEDED
    ├── Cancelled             the caller went away; the work stopped            CANCELLED
    ├── Unimplemented         this server has no such method                    UNIMPLEMENTED
    └── Internal              a bug of ours; carries the id that the log has    INTERNAL

This module knows no gRPC, so that any domain module may import it. `statuses.py` holds the table that turns
each class into a status and back. Messages are one sentence: field, rule, value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """`google.rpc.ErrorInfo.reason`: the closed list that clients may branch on (domain `marketml`)."""

    INVALID_FIELD = "INVALID_FIELD"  # one or more fields broke a rule; see the field violations
    UNDECODABLE = "UNDECODABLE"  # the bytes are no message, or no Arrow stream
    BEYOND_END = "BEYOND_END"  # page token or sequence past the last item
    NO_SUCH_RESOURCE = "NO_SUCH_RESOURCE"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"  # same request_id, other body
    NAME_TAKEN = "NAME_TAKEN"
    IN_USE = "IN_USE"  # an alias, a snapshot or a job still needs it
    TOO_LITTLE_DATA = "TOO_LITTLE_DATA"  # need and have are in the message
    WRONG_STATE = "WRONG_STATE"  # the resource's state does not allow this
    SCHEMA_MISMATCH = "SCHEMA_MISMATCH"  # names or types differ from what the model was trained on
    LEAK_DETECTED = "LEAK_DETECTED"
    STALE_ETAG = "STALE_ETAG"
    LOST_RACE = "LOST_RACE"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"  # a bound that waiting will not lift: shrink the request
    OVERLOADED = "OVERLOADED"  # admission refused it: wait and send it again
    DISK_FULL = "DISK_FULL"
    DRAINING = "DRAINING"  # this server is stopping
    NEIGHBOUR_DOWN = "NEIGHBOUR_DOWN"  # another room did not answer
    EXCHANGE_DOWN = "EXCHANGE_DOWN"  # an exchange did not answer, or too slowly, as often as it was asked
    WORKER_DIED = "WORKER_DIED"  # the process of a training job died as often as a job may try
    STORE_DOWN = "STORE_DOWN"  # the database or file store did not answer; the outcome is unknown
    DIGEST_MISMATCH = "DIGEST_MISMATCH"
    NO_CREDENTIAL = "NO_CREDENTIAL"
    ROLE_TOO_SMALL = "ROLE_TOO_SMALL"
    DEADLINE = "DEADLINE"
    CALLER_GONE = "CALLER_GONE"
    NO_SUCH_METHOD = "NO_SUCH_METHOD"  # an older server, or another one than the caller meant
    BUG = "BUG"


@dataclass(frozen=True)
class Violation:
    """One broken rule: `field` is the full path in the request (`rows[3].candle.high`), `rule` a short
    lower-case identifier (`required`, `range`, `high_below_low`), `description` one sentence with the
    value."""

    field: str
    rule: str
    description: str


class Refusal(Exception):
    """The root: a documented no. `message` is one sentence; it never holds a path, SQL or a secret."""

    reason: Reason = Reason.BUG

    def __init__(self, message: str, reason: Reason | None = None) -> None:
        super().__init__(message)
        self.message = message
        if reason is not None:
            self.reason = reason


class InvalidArgument(Refusal):
    """Fields that broke a rule whatever the state of the server."""

    reason = Reason.INVALID_FIELD

    def __init__(self, violations: Sequence[Violation], reason: Reason | None = None) -> None:
        if not violations:
            raise ValueError("InvalidArgument needs at least one violation.")
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        super().__init__(f"{violations[0].field}: {violations[0].description}{more}", reason)
        self.violations = tuple(violations)

    @classmethod
    def of(cls, field: str, rule: str, description: str, reason: Reason | None = None) -> InvalidArgument:
        """A refusal of a single field."""
        return cls([Violation(field, rule, description)], reason)


class OutOfRange(Refusal):
    """A page token or a sequence number beyond the end."""

    reason = Reason.BEYOND_END


class _OfResource(Refusal):
    def __init__(self, kind: str, name: str, message: str, reason: Reason | None = None) -> None:
        super().__init__(message, reason)
        self.kind = kind
        self.name = name


class NotFound(_OfResource):
    """`kind` (series, snapshot, job, model, alias, feature…) called `name` does not exist."""

    reason = Reason.NO_SUCH_RESOURCE

    def __init__(self, kind: str, name: str, message: str = "") -> None:
        super().__init__(kind, name, message or f"There is no {kind} {name!r}.")


class AlreadyExists(_OfResource):
    """The name is taken, or the `request_id` was used with another body."""

    reason = Reason.NAME_TAKEN

    def __init__(self, kind: str, name: str, message: str = "", reason: Reason | None = None) -> None:
        super().__init__(kind, name, message or f"The {kind} {name!r} already exists.", reason)


class FailedPrecondition(Refusal):
    """The request is right, the state is not: `subject` names what has to change first."""

    reason = Reason.WRONG_STATE

    def __init__(self, subject: str, message: str, reason: Reason | None = None) -> None:
        super().__init__(message, reason)
        self.subject = subject


class Aborted(Refusal):
    """Someone else changed it first. Read again and decide again."""

    reason = Reason.STALE_ETAG


class ResourceExhausted(Refusal):
    """A limit: `subject` names the term that broke. `retry_after_seconds` is set when waiting helps."""

    reason = Reason.LIMIT_EXCEEDED

    def __init__(
        self,
        subject: str,
        message: str,
        retry_after_seconds: float | None = None,
        reason: Reason | None = None,
    ) -> None:
        super().__init__(message, reason)
        self.subject = subject
        self.retry_after_seconds = retry_after_seconds


class Unavailable(Refusal):
    """A part is down or draining, or the outcome is unknown. Send the same request (same request_id)
    again."""

    reason = Reason.NEIGHBOUR_DOWN

    def __init__(self, message: str, retry_after_seconds: float = 1.0, reason: Reason | None = None) -> None:
        super().__init__(message, reason)
        self.retry_after_seconds = retry_after_seconds


class DataLoss(Refusal):
    """Stored bytes fail their digest or cannot be read as what they are."""

    reason = Reason.DIGEST_MISMATCH


class Unauthenticated(Refusal):
    """No credential, or one that does not verify."""

    reason = Reason.NO_CREDENTIAL


class PermissionDenied(Refusal):
    """The credential is good and its role does not allow this call."""

    reason = Reason.ROLE_TOO_SMALL


class DeadlineExceeded(Refusal):
    """The caller's deadline passed; the work was stopped."""

    reason = Reason.DEADLINE


class Cancelled(Refusal):
    """The caller went away; the work was stopped."""

    reason = Reason.CALLER_GONE


class Unimplemented(Refusal):
    """This server has no such method: it is older than the caller, or another one than the caller meant."""

    reason = Reason.NO_SUCH_METHOD


class Internal(Refusal):
    """A bug on the server. `reference` is the id that its log repeats; nothing else is told."""

    reason = Reason.BUG

    def __init__(self, reference: str) -> None:
        super().__init__(f"Internal error; the server's log has the details under reference {reference}.")
        self.reference = reference
