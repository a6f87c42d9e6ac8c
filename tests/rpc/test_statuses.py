"""The table of refusals and statuses, read in both directions."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from marketml.rpc import refusals, statuses
from marketml.rpc.refusals import Reason, Refusal, Violation

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
REASONS = st.sampled_from(Reason)
SECONDS = st.integers(0, 10_000_000).map(lambda microseconds: microseconds / 1e6)
VIOLATIONS = st.lists(st.builds(Violation, TEXT, TEXT, TEXT), min_size=1, max_size=4)
REFUSALS = st.one_of(
    st.builds(refusals.InvalidArgument, VIOLATIONS, REASONS),
    st.builds(refusals.NotFound, TEXT, TEXT, TEXT),
    st.builds(refusals.AlreadyExists, TEXT, TEXT, TEXT, REASONS),
    st.builds(refusals.FailedPrecondition, TEXT, TEXT, REASONS),
    st.builds(refusals.ResourceExhausted, TEXT, TEXT, st.none() | SECONDS, REASONS),
    st.builds(refusals.Unavailable, TEXT, SECONDS, REASONS),
    st.builds(refusals.Internal, TEXT),
    *(
        st.builds(kind, TEXT, REASONS)
        for kind in (
            *(refusals.OutOfRange, refusals.Aborted, refusals.DataLoss, refusals.Unauthenticated),
            *(refusals.PermissionDenied, refusals.DeadlineExceeded, refusals.Cancelled),
            refusals.Unimplemented,
        )
    ),
)


class Failed(grpc.RpcError, grpc.Call):  # type: ignore[misc]
    """A failed call as a stub raises it, holding what a test put there."""

    def __init__(self, code: grpc.StatusCode, text: str, trailers: Any) -> None:
        self._of = (code, text, trailers)

    def code(self) -> grpc.StatusCode:
        return self._of[0]

    def details(self) -> str:
        return self._of[1]

    def trailing_metadata(self) -> Any:
        return self._of[2]

    def initial_metadata(self) -> Any:
        return ()

    def is_active(self) -> bool:
        return False

    def time_remaining(self) -> None:
        return None

    def cancel(self) -> None:
        return None

    def add_callback(self, callback: Any) -> bool:
        return False


@given(refusal=REFUSALS)
def test_a_refusal_survives_the_wire(refusal: Refusal) -> None:
    status = statuses.to_status(refusal)
    read = status_pb2.Status.FromString(status.SerializeToString())
    got = statuses.from_status(read)
    assert type(got) is type(refusal)
    assert got.reason is refusal.reason
    if refusal.message:
        assert str(got) == got.message == refusal.message
    for name, value in vars(refusal).items():
        if name not in ("reason", "message"):
            assert getattr(got, name) == value, name


@given(refusal=REFUSALS)
def test_the_trailers_of_any_refusal_fit_into_a_peers_metadata(refusal: Refusal) -> None:
    trailers = statuses.trailers_of(statuses.to_status(refusal), refusal)
    assert sum(len(key) + len(value) for key, value in trailers) < 8 * 1024 - 1024


@given(lengths=st.lists(st.integers(0, 5000), min_size=1, max_size=300))
def test_violations_of_any_size_fit_and_the_omitted_are_counted(lengths: list[int]) -> None:
    refusal = refusals.InvalidArgument([Violation("f" * size, "r" * size, "₿" * size) for size in lengths])
    status = statuses.to_status(refusal)
    assert status.ByteSize() < 7 * 1024
    information, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(information)
    assert status.details[1].Unpack(bad_request)
    omitted = int(information.metadata.get("violations_omitted", "0"))
    assert len(bad_request.field_violations) + omitted == len(lengths)
    assert bad_request.field_violations


def test_a_subclass_has_the_code_of_its_nearest_ancestor() -> None:
    class NoSuchBar(refusals.NotFound):
        """A refusal of one room."""

    assert statuses.code_of(NoSuchBar("bar", "1")) is grpc.StatusCode.NOT_FOUND
    assert statuses.code_of(Refusal("of no class")) is grpc.StatusCode.INTERNAL


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_a_failure_without_details_is_the_class_of_its_code(code: grpc.StatusCode) -> None:
    refusal = statuses.from_rpc_error(Failed(code, "said the proxy", None))
    expected = {code: kind for kind, code in statuses.CODES.items()}.get(code, refusals.Internal)
    assert type(refusal) is expected
    assert refusal.message == "said the proxy"


@pytest.mark.parametrize(
    "details",
    [
        b"\xff\xff",
        status_pb2.Status(code=5, message="another code").SerializeToString(),
        status_pb2.Status(
            code=3, message="sent", details=[{"type_url": "x", "value": b"\xff"}]
        ).SerializeToString(),
        status_pb2.Status(
            code=3,
            message="sent",
            details=[{"type_url": "type.googleapis.com/google.rpc.BadRequest", "value": b"\xff"}],
        ).SerializeToString(),
    ],
)
def test_damaged_details_do_not_hide_the_code(details: bytes) -> None:
    trailers = (("other", "x"), (statuses.DETAILS_KEY, details))
    refusal = statuses.from_rpc_error(Failed(grpc.StatusCode.INVALID_ARGUMENT, "sent", trailers))
    assert isinstance(refusal, refusals.InvalidArgument)
    assert refusal.message == "sent"


@given(details=st.binary(max_size=100), code=st.sampled_from(grpc.StatusCode))
def test_no_trailer_breaks_the_reading_of_an_error(details: bytes, code: grpc.StatusCode) -> None:
    refusal = statuses.from_rpc_error(Failed(code, "text", ((statuses.DETAILS_KEY, details),)))
    assert isinstance(refusal, Refusal)


def test_a_reason_of_another_domain_or_a_newer_server_is_not_taken_for_ours() -> None:
    status = statuses.to_status(refusals.NotFound("model", "btc"))
    for information in (
        error_details_pb2.ErrorInfo(domain="other", reason="IN_USE"),
        error_details_pb2.ErrorInfo(domain="marketml", reason="OF_NEXT_YEAR"),
    ):
        status.details[0].Pack(information)
        assert statuses.from_status(status).reason is Reason.NO_SUCH_RESOURCE


def test_push_back_is_sent_when_waiting_helps() -> None:
    refusal = refusals.Unavailable("down", 1.25)
    trailers = dict(statuses.trailers_of(statuses.to_status(refusal), refusal))
    assert trailers[statuses.PUSHBACK_KEY] == "1250"
    forever = refusals.ResourceExhausted("rows", "too many")
    assert statuses.PUSHBACK_KEY not in dict(statuses.trailers_of(statuses.to_status(forever), forever))


def test_an_invalid_argument_names_at_least_one_field() -> None:
    with pytest.raises(ValueError, match="at least one violation"):
        refusals.InvalidArgument([])
