"""Messages and domain values: what goes out comes back the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketml.training.v1 import training_pb2 as pb
from services.training import wire
from services.training.jobs import Event, Job, JobStage, JobState, Page, StopMode
from services.training.wire_trees import read_tree, write_tree
from tests.training.crews import filled_config

RESULT = {
    "model_name": "m",
    "model_version": 3,
    "model_digest": "d" * 64,
    "class_names": ["down", "up"],
    "row_count": 2**40,
    "fold_table": [{"metric": "log_loss", "mean": 0.5, "fold_count": 2}],
    "importances": [{"feature": "rsi_14", "share": 1.0}],
    "proofs": [{"consumer": "final_test", "train_row_count": 5, "gap": 3600.0}],
    "path_table": [{"metric": "log_loss", "mean": 0.5, "fold_count": 5}],
    "paths": [{"path": 1, "folds": [1, 1, 2], "metrics": [{"metric": "mcc", "value": 0.5}]}],
}


def job(**changes: Any) -> Job:
    values: dict[str, Any] = {
        "job_id": "a" * 32,
        "model_name": "m",
        "state": JobState.RUNNING,
        "stage": JobStage.LABELS,
        "attempt": 2,
        "death_count": 1,
        "fraction": 0.25,
        "remaining_seconds": 1.5,
        "create_time_us": 1_700_000_000_123_456,
        "start_time_us": 1_700_000_001_000_000,
        "end_time_us": None,
        "config": filled_config(),
        "config_version": 4,
        "snapshot_id": "5" * 64,
        "stop_mode": None,
        "last_sequence": 17,
        "result": None,
        "failure": None,
    }
    return Job(**values | changes)


def test_a_job_is_written_with_all_it_has_and_nothing_it_has_not() -> None:
    message = wire.write_job(job())
    assert (message.state, message.stage) == (pb.JOB_STATE_RUNNING, pb.JOB_STAGE_LABELS)
    assert (message.attempt, message.progress_fraction, message.last_sequence) == (2, 0.25, 17)
    assert message.remaining.ToMilliseconds() == 1500
    assert message.create_time.ToMicroseconds() == 1_700_000_000_123_456
    assert read_tree(message.config, "config") == (filled_config(), [])
    for absent in ("end_time", "result", "failure"):
        assert not message.HasField(absent)
    waiting = wire.write_job(job(stage=None, start_time_us=None, snapshot_id=None, remaining_seconds=None))
    assert waiting.stage == pb.JOB_STAGE_UNSPECIFIED
    for absent in ("start_time", "snapshot_id", "remaining"):
        assert not waiting.HasField(absent)


def test_a_brief_job_is_without_proofs_and_importances() -> None:
    whole, brief = (wire.write_job(job(result=RESULT), is_brief=brief) for brief in (False, True))
    assert read_tree(whole.result, "result") == (RESULT, [])
    assert not brief.result.proofs
    assert not brief.result.importances
    assert not brief.result.paths
    assert brief.result.path_table == whole.result.path_table
    assert brief.result.fold_table == whole.result.fold_table


def test_a_failure_says_code_reason_and_sentence() -> None:
    failure = {"code": "FAILED_PRECONDITION", "reason": "TOO_LITTLE_DATA", "message": "7 rows."}
    assert read_tree(wire.write_job(job(failure=failure)).failure, "failure") == (failure, [])


@pytest.mark.parametrize(
    "detail",
    [
        {"state_changed": {"previous_state": "JOB_STATE_QUEUED", "state": "JOB_STATE_RUNNING", "cause": "x"}},
        {"stage_started": {"stage": "JOB_STAGE_FINAL_FIT"}},
        {"progress": {"fraction": 0.5, "remaining": 12.345, "fold": 2, "round": 30, "validation_loss": 0.6}},
        {"fold_finished": {"fold": 1, "metrics": [{"metric": "mcc", "absent_reason": "One class."}]}},
        {"metric": {"name": "rows", "value": 1234.0}},
        {"model_registered": {"model_name": "m", "model_version": 3, "model_digest": "d"}},
        {"warning": {"message": "No funding."}},
    ],
    ids=lambda detail: str(next(iter(detail))),
)
def test_an_event_keeps_number_time_attempt_and_detail(detail: dict[str, Any]) -> None:
    written = wire.write_event(Event("a" * 32, 9, 2, 1_700_000_000_000_001, json.dumps(detail), False))
    event = pb.WatchTrainingResponse.FromString(written).event
    assert (event.sequence, event.attempt, event.time.ToMicroseconds()) == (9, 2, 1_700_000_000_000_001)
    assert event.WhichOneof("detail") == next(iter(detail))
    tree, broken = read_tree(event, "event")
    assert not broken
    assert {name: tree[name] for name in detail} == detail


@given(
    time_us=st.integers(0, 10**17),
    state=st.none() | st.sampled_from(list(JobState)),
    name=st.just("") | st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True),
)
def test_a_page_token_leads_back_to_its_listing_and_no_other(
    time_us: int, state: JobState | None, name: str
) -> None:
    asked = wire.PageRequest(state, name, None, 1)
    token = wire.write_page(Page((), (time_us, "b" * 32)), asked).next_page_token
    request = pb.ListTrainingsRequest(page_token=token, model_name=name)
    if state is not None:
        request.state = pb.JobState.Value(state)
    assert wire.read_list(request).before == (time_us, "b" * 32)
    request.model_name = "another"
    with pytest.raises(wire.InvalidArgument, match="page_token"):
        wire.read_list(request)


@given(st.text(max_size=60))
def test_no_text_is_a_page_token_by_chance(token: str) -> None:
    request = pb.ListTrainingsRequest(page_token=token)
    if token:
        with pytest.raises(wire.InvalidArgument, match="page_token"):
            wire.read_list(request)
    else:
        assert wire.read_list(request).before is None


def test_a_page_is_shorter_where_it_would_not_fit_a_message() -> None:
    asked = wire.read_list(pb.ListTrainingsRequest(page_size=1000))
    many = {"class_names": [f"{number}-{'é' * 90}" for number in range(99)]}
    jobs = tuple(job(job_id=f"{number:032x}", result=RESULT | many) for number in range(300))
    seen = []
    left = jobs
    while left:
        page = wire.write_page(Page(left, None), asked)
        assert page.ByteSize() < 4 * 2**20
        seen += [each.job_id for each in page.jobs]
        left = left[len(page.jobs) :]
        assert bool(page.next_page_token) == bool(left)
        if left:
            again = pb.ListTrainingsRequest(page_size=1000, page_token=page.next_page_token)
            assert wire.read_list(again).before == (jobs[0].create_time_us, seen[-1])
    assert seen == [each.job_id for each in jobs]


def test_a_field_of_another_contract_is_refused_and_not_passed_over() -> None:
    config = pb.TrainingConfig(seed=7)
    config.model.lightgbm.MergeFromString(b"\xf8\x06\x01")  # field 111, a varint
    _, broken = wire.read_config(pb.ValidateTrainingConfigRequest(config=config))
    start = wire.read_start(pb.StartTrainingRequest(request_id="r", model_name="m", config=config))
    for found in (broken, start.broken):
        assert [(each.field, each.rule) for each in found] == [("config.model.lightgbm", "unknown")]


def test_the_priority_of_a_request_is_read_and_part_of_it() -> None:
    plain, zero, high = (
        wire.read_start(pb.StartTrainingRequest(request_id="r", model_name="m", config={}, priority=priority))
        for priority in (None, 0, 7)
    )
    assert (plain.priority, zero.priority, high.priority) == (0, 0, 7)
    assert plain.body == zero.body != high.body
    assert wire.write_job(job(priority=-100)).priority == -100


def test_a_stop_names_its_mode() -> None:
    for mode in StopMode:
        request = pb.StopTrainingRequest(job_id="a" * 32, mode=pb.StopMode.Value(mode))
        assert wire.read_stop(request) == ("a" * 32, mode)


def test_equal_requests_have_equal_bodies_whatever_their_ids() -> None:
    first, second = pb.StartTrainingRequest(request_id="a"), pb.StartTrainingRequest(request_id="b")
    for request in (first, second):
        request.model_name = "m"
        write_tree(filled_config(), request.config)
    assert wire.read_start(first).body == wire.read_start(second).body
    second.config.seed = 1
    assert wire.read_start(first).body != wire.read_start(second).body
