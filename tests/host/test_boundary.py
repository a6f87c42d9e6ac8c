"""What a caller gets back: messages for messages, a documented status for everything else."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from hypothesis import given
from hypothesis import strategies as st

from marketml.rpc import refusals
from marketml.rpc.refusals import Reason, Refusal, Violation
from tests.host.echo_service import SERVICE, Echo, Word, call, method_names, refusal_of, serving
from tests.support.waiting import eventually

SENT = {
    "invalid": refusals.InvalidArgument(
        [
            Violation("rows[3].candle.high", "high_below_low", "must be at least the low 2.0, not 1.0."),
            Violation("seed", "range", "must be from 0 to 10, not 11."),
        ]
    ),
    "beyond": refusals.OutOfRange("after_sequence: must be at most 3, not 4."),
    "absent": refusals.NotFound("model", "btc"),
    "taken": refusals.AlreadyExists("model", "btc", reason=Reason.NAME_TAKEN),
    "wrong state": refusals.FailedPrecondition("alias champion", "The alias points here.", Reason.IN_USE),
    "lost": refusals.Aborted("The job was changed by someone else.", Reason.LOST_RACE),
    "full": refusals.ResourceExhausted("queue", "The queue is full.", 1.5, Reason.OVERLOADED),
    "too large": refusals.ResourceExhausted("rows", "At most 10 rows, not 11."),
    "down": refusals.Unavailable("The data room did not answer.", 2.5),
    "damaged": refusals.DataLoss("The blob is not what its digest names."),
    "nobody": refusals.Unauthenticated("No token was sent."),
    "small": refusals.PermissionDenied("The role reader may not do this."),
    "late": refusals.DeadlineExceeded("The deadline of the call passed."),
    "gone": refusals.Cancelled("The caller went away."),
    "missing": refusals.Unimplemented("This server does not have it."),
}
CODES = {
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "beyond": grpc.StatusCode.OUT_OF_RANGE,
    "absent": grpc.StatusCode.NOT_FOUND,
    "taken": grpc.StatusCode.ALREADY_EXISTS,
    "wrong state": grpc.StatusCode.FAILED_PRECONDITION,
    "lost": grpc.StatusCode.ABORTED,
    "full": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "too large": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "down": grpc.StatusCode.UNAVAILABLE,
    "damaged": grpc.StatusCode.DATA_LOSS,
    "nobody": grpc.StatusCode.UNAUTHENTICATED,
    "small": grpc.StatusCode.PERMISSION_DENIED,
    "late": grpc.StatusCode.DEADLINE_EXCEEDED,
    "gone": grpc.StatusCode.CANCELLED,
    "missing": grpc.StatusCode.UNIMPLEMENTED,
}


def raising(error: Exception) -> Callable[[Any], None]:
    def act(_call: Any) -> None:
        raise error

    return act


def attempt(channel: Any, name: str, text: str, count: int = 0) -> list[Any]:
    """One call of any shape to its end: its responses."""
    method = SERVICE.methods_by_name[name]
    sent: Any = Word(text=text, count=count)
    answer = call(channel, name)(iter([sent]) if method.client_streaming else sent)
    return list(answer) if method.server_streaming else [answer]


@pytest.fixture(scope="module")
def echo() -> Echo:
    made = Echo()
    made.on |= {text: raising(refusal) for text, refusal in SENT.items()}
    made.on["bug"] = raising(RuntimeError("password=hunter2 in /etc/secret"))
    made.on["os bug"] = raising(FileNotFoundError(2, "No such file", "/etc/secret"))
    return made


@pytest.fixture(scope="module")
def channel(echo: Echo) -> Any:
    with serving(echo) as (_, opened):
        yield opened


@pytest.fixture(scope="module")
def plain(echo: Echo) -> Any:
    """A channel without our client's translation of errors."""
    with serving(echo) as (running, _), grpc.insecure_channel(running.target) as opened:
        yield opened


@pytest.mark.parametrize("name", [name for name in method_names() if name != "LaterWord"])
def test_every_shape_of_call_answers(channel: Any, name: str) -> None:
    answers = attempt(channel, name, "hello", 4) if name != "WatchWords" else []
    if name == "WatchWords":
        with call(channel, name)(Word(text="hello")) as watch:
            answers.append(next(watch))
    assert answers


@pytest.mark.parametrize("name", method_names())
@pytest.mark.parametrize("sent", [b"\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe", b"\x00" * 200_000])
def test_bytes_that_are_no_message_are_an_invalid_argument(channel: Any, name: str, sent: bytes) -> None:
    method = SERVICE.methods_by_name[name]
    raw = call(channel, name, request_serializer=bytes)

    def attempted() -> None:
        answer = raw(iter([sent]) if method.client_streaming else sent)
        if method.server_streaming:
            list(answer)

    refusal = refusal_of(attempted)
    if name == "LaterWord":
        assert isinstance(refusal, refusals.Unimplemented)
        return
    assert isinstance(refusal, refusals.InvalidArgument)
    assert refusal.reason is Reason.UNDECODABLE
    assert f"{len(sent)} bytes" in refusal.message


@given(sent=st.binary(max_size=200))
def test_random_bytes_are_answered_or_refused_as_invalid(channel: Any, sent: bytes) -> None:
    try:
        call(channel, "GetWord", request_serializer=bytes)(sent)
    except refusals.InvalidArgument:
        return
    except Refusal as other:
        raise AssertionError(f"{sent!r} gave {other!r}") from other


def test_a_bad_message_in_the_middle_of_an_upload_is_refused(channel: Any, echo: Echo) -> None:
    sent = [Word(text="first").SerializeToString(), b"\xff"]
    refusal = refusal_of(lambda: call(channel, "IngestWords", request_serializer=bytes)(iter(sent)))
    assert refusal.reason is Reason.UNDECODABLE
    assert echo.entered[-1] == "first"


@pytest.mark.parametrize("text", SENT)
@pytest.mark.parametrize("name", ["GetWord", "GetWordAtOnce", "ListWords", "IngestWords", "TalkWords"])
def test_a_refusal_arrives_as_the_class_that_was_raised(channel: Any, name: str, text: str) -> None:
    sent = SENT[text]
    got = refusal_of(lambda: attempt(channel, name, text))
    assert type(got) is type(sent)
    assert (got.message, got.reason) == (sent.message, sent.reason)
    assert vars(got) | {"reason": got.reason} == vars(sent) | {"reason": sent.reason}


@pytest.mark.parametrize("text", SENT)
@pytest.mark.parametrize("name", ["GetWord", "ListWords"])
def test_a_refusal_has_its_code_and_standard_details(plain: Any, name: str, text: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        attempt(plain, name, text)
    assert raised.value.code() is CODES[text]
    status = rpc_status.from_call(raised.value)
    assert status.message == raised.value.details() == SENT[text].message
    information = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(information)
    assert (information.domain, information.reason) == ("marketml", SENT[text].reason)


def details(plain: Any, text: str, kind: Any) -> Any:
    with pytest.raises(grpc.RpcError) as raised:
        attempt(plain, "GetWord", text)
    message = kind()
    assert any(packed.Unpack(message) for packed in rpc_status.from_call(raised.value).details)
    return message


def test_the_details_say_which_field_resource_state_and_limit(plain: Any) -> None:
    violations = details(plain, "invalid", error_details_pb2.BadRequest).field_violations
    assert [violation.field for violation in violations] == ["rows[3].candle.high", "seed"]
    assert [violation.reason for violation in violations] == ["high_below_low", "range"]
    resource = details(plain, "absent", error_details_pb2.ResourceInfo)
    assert (resource.resource_type, resource.resource_name) == ("model", "btc")
    broken = details(plain, "wrong state", error_details_pb2.PreconditionFailure).violations
    assert [(one.type, one.subject) for one in broken] == [("IN_USE", "alias champion")]
    quota = details(plain, "full", error_details_pb2.QuotaFailure).violations
    assert [one.subject for one in quota] == ["queue"]
    assert details(plain, "full", error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() == 1500


def test_a_thousand_violations_still_fit_into_the_trailers(channel: Any, echo: Echo) -> None:
    many = [Violation(f"rows[{row}].open", "finite", "must be finite, not nan.") for row in range(1000)]
    echo.on["many"] = raising(refusals.InvalidArgument(many))
    refusal = refusal_of(lambda: attempt(channel, "GetWord", "many"))
    assert isinstance(refusal, refusals.InvalidArgument)
    assert 10 < len(refusal.violations) < 1000
    assert refusal.violations[0] == many[0]
    assert "(and 999 more)" in refusal.message


def test_a_message_of_any_length_and_script_arrives_shortened(channel: Any, echo: Echo) -> None:
    echo.on["long"] = raising(refusals.NotFound("series", "₿" * 10_000))
    refusal = refusal_of(lambda: attempt(channel, "GetWord", "long"))
    assert isinstance(refusal, refusals.NotFound)
    assert refusal.message.startswith("There is no series '₿₿")
    assert refusal.message.endswith("…")


@pytest.mark.parametrize("text", ["bug", "os bug"])
@pytest.mark.parametrize("name", ["GetWord", "GetWordAtOnce", "ListWords", "IngestWords", "TalkWords"])
def test_a_bug_is_internal_with_a_reference_and_its_text_stays_in_the_log(
    plain: Any, caplog: pytest.LogCaptureFixture, name: str, text: str
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(grpc.RpcError) as raised:
        attempt(plain, name, text)
    error = raised.value
    assert error.code() is grpc.StatusCode.INTERNAL
    sent = repr((error.details(), error.trailing_metadata()))
    for word in ("hunter2", "secret", "RuntimeError", "NotFound", "Traceback", "echo_service"):
        assert word not in sent
    (problem,) = [record for record in caplog.records if record.exc_info]
    assert "secret" in problem.exc_text
    fields = problem.fields
    assert fields["reference"] in (error.details() or "")
    assert fields["method"] == f"marketml.test.EchoService/{name}"


def test_a_stream_that_fails_late_gives_its_messages_first_and_then_the_refusal(channel: Any) -> None:
    got = []

    def read() -> None:
        for word in call(channel, "ListWords")(Word(text="late", count=5)):
            got.append(word.count)

    assert refusal_of(read).message == "There is no word 'third'."
    assert got == [0, 1, 2]


def test_a_stream_with_a_bug_gives_its_messages_first_and_then_internal(channel: Any) -> None:
    got = []

    def read() -> None:
        for word in call(channel, "ListWords")(Word(text="bug", count=5)):
            got.append(word.count)

    refusal = refusal_of(read)
    assert isinstance(refusal, refusals.Internal)
    assert "hunter2" not in refusal.message
    assert got == [0, 1, 2]


def test_a_response_may_be_bytes_already_serialised(channel: Any) -> None:
    answers = call(channel, "ListWords")(Word(text="bytes", count=3, payload=b"abc"))
    assert [(word.count, word.payload) for word in answers] == [(0, b"abc"), (1, b"abc"), (2, b"abc")]


@pytest.mark.parametrize(
    "path", ["/marketml.test.EchoService/Nothing", "/marketml.other.Service/GetWord", "/x", "/a/b/c/d"]
)
def test_an_unknown_path_is_unimplemented_and_not_echoed(plain: Any, path: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        plain.unary_unary(path)(b"")
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert path not in (raised.value.details() or "")


def test_a_method_of_the_contract_that_the_servicer_lacks_is_unimplemented_by_name(channel: Any) -> None:
    refusal = refusal_of(lambda: attempt(channel, "LaterWord", "x"))
    assert isinstance(refusal, refusals.Unimplemented)
    assert "LaterWord" in refusal.message


def test_a_message_beyond_the_size_limit_is_resource_exhausted_and_the_server_lives(plain: Any) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        call(plain, "GetWord")(Word(payload=b"x" * (5 * 1024 * 1024)))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert call(plain, "GetWord")(Word(text="still here")).text == "still here"


def test_a_servicer_whose_upload_is_not_async_is_refused_when_the_server_is_built() -> None:
    class Wrong(Echo):
        def IngestWords(self, requests: Any, call: Any) -> Any:
            return Word()

    with pytest.raises(TypeError, match="must be `async def`"), serving(Wrong()):
        pass


def test_every_call_is_logged_once_with_code_and_without_its_content(
    channel: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="marketml.requests"):
        attempt(channel, "GetWord", "canary-4711")
        refusal_of(lambda: attempt(channel, "GetWord", "absent"))
        fields: list[Any] = eventually(lambda: _logged(caplog, 2), what="the second line")
    assert [line["code"] for line in fields] == ["OK", "NOT_FOUND"]
    assert fields[1]["reason"] == "NO_SUCH_RESOURCE"
    assert all(line["method"] == "marketml.test.EchoService/GetWord" for line in fields)
    assert "canary" not in json.dumps(fields)


def _logged(caplog: pytest.LogCaptureFixture, count: int) -> list[Any] | None:
    """What the log says of calls, once it has so many lines."""
    records: list[Any] = [record for record in caplog.records if record.name == "marketml.requests"]
    return [record.fields for record in records] if len(records) >= count else None
