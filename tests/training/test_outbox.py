"""What a worker writes: events at once and in order, progress merged, every line whole and readable."""

from __future__ import annotations

import io
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.training.crew.worker_lines import (
    Assignment,
    Report,
    UnreadableLineError,
    read_assignment,
    read_stop,
    read_worker_line,
    write_assignment,
    write_ending,
    write_report,
    write_stop,
)
from services.training.jobs import NO_CHANGES, Changes, Ending, JobStage, JobState, StopMode, failed
from services.training.worker import Outbox, seconds_between_ticks

METRIC = {"metric": {"name": "n", "value": 1.0}}
STAGE = {"stage_started": {"stage": JobStage.FINAL_FIT}}


class Kept(io.BytesIO):
    """A stream whose content outlives it."""

    content = b""

    def close(self) -> None:
        self.content = self.getvalue()
        super().close()

    def reports(self) -> list[Report | Ending]:
        lines = (self.content if self.closed else self.getvalue()).splitlines(keepends=True)
        return [read_worker_line(line) for line in lines]


def test_only_the_newest_progress_of_a_tick_is_written_and_it_never_falls() -> None:
    lines = Kept()
    outbox = Outbox(lines)
    for fraction in (0.1, 0.3, 0.2):
        outbox.progress(fraction, fold=1, round=int(fraction * 10), validation_loss=None)
    outbox.flush()
    outbox.flush()
    outbox.progress(0.0)
    outbox.flush()
    first, second = lines.reports()
    assert isinstance(first, Report)
    assert isinstance(second, Report)
    (progress,) = first.details
    assert {**progress["progress"], "remaining": 0} == {
        "fraction": 0.3,
        "fold": 1,
        "round": 2,
        "remaining": 0,
    }
    assert second.changes.fraction == 0.3


def test_a_short_job_tells_its_progress_often_and_a_long_one_once_a_second() -> None:
    assert [seconds_between_ticks(under_way) for under_way in (0.0, 1.0, 5.0, 10.0, 86_400.0)] == [
        0.1,
        0.1,
        0.5,
        1.0,
        1.0,
    ]


def test_a_new_stage_forgets_the_fold_of_the_last_one() -> None:
    lines = Kept()
    outbox = Outbox(lines)
    outbox.progress(0.5, fold=5, round=9)
    outbox.tell(STAGE, Changes(stage=JobStage.FINAL_FIT))
    outbox.flush()
    told, progress = lines.reports()
    assert isinstance(told, Report)
    assert told.changes.stage is JobStage.FINAL_FIT
    assert isinstance(progress, Report)
    assert "fold" not in progress.details[0]["progress"]


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def forecasts(
    stages: list[tuple[JobStage, float, float]], steps: int = 100
) -> list[tuple[float, float, float]]:
    """Run a job of stages (its seconds, the fraction at its end) by a clock of its own: how long it has run,
    how long it has still to run, and what the outbox said to that, wherever it said something."""
    lines, clock = Kept(), Clock()
    outbox = Outbox(lines, clock)
    begun, fraction, moments = clock.now, 0.0, []
    for stage, seconds, until in stages:
        outbox.tell({"stage_started": {"stage": stage}}, Changes(stage=stage))
        first = fraction
        for step in range(1, steps + 1):
            clock.now += seconds / steps
            fraction = first + (until - first) * step / steps
            outbox.progress(fraction)
            outbox.flush()
            moments.append(clock.now - begun)
    total = clock.now - begun
    told = [report.changes for report in lines.reports() if isinstance(report, Report)]
    said = [changes for changes in told if changes.fraction is not None]
    fractions = [changes.fraction for changes in said]
    assert fractions == sorted(fractions)  # type: ignore[type-var]
    return [
        (moment, total - moment, changes.remaining_seconds)
        for moment, changes in zip(moments, said, strict=True)
        if changes.remaining_seconds is not None
    ]


_TWO_STAGES = (JobStage.FEATURES, 5.0, 0.1)


@settings(max_examples=40)
@given(st.floats(0.5, 1e6))
def test_at_one_pace_the_forecast_is_the_truth_from_the_first(seconds: float) -> None:
    told = forecasts(
        [_TWO_STAGES, (JobStage.CROSS_VALIDATION, seconds, 0.98), (JobStage.FINAL_FIT, 0.0, 1.0)]
    )
    for moment, left, said in told:
        if moment > 5.0:
            assert said == pytest.approx(left, rel=0.03, abs=0.003 + 0.03 * seconds)


@settings(max_examples=40)
@given(restored=st.floats(0.0, 0.5), seconds=st.floats(1.0, 1e5), slowness=st.floats(0.0, 0.9))
def test_a_job_that_goes_on_from_a_checkpoint_or_changes_its_pace_is_forecast_right_again(
    restored: float, seconds: float, slowness: float
) -> None:
    """The first part is there at once, or went faster than the rest: when as long has passed since, the
    forecast is the truth."""
    first = restored * seconds * slowness
    told = forecasts(
        [
            (JobStage.CROSS_VALIDATION, first, restored),
            (JobStage.FINAL_TEST, (1.0 - restored) * seconds, 1.0),  # at the same pace, for all that is known
        ]
    )
    settled = [(left, said) for moment, left, said in told if moment > 2.05 * first + 0.02 * seconds]
    assert settled
    for left, said in settled:
        assert said == pytest.approx(left, rel=0.1, abs=0.01 * seconds)


def test_a_job_that_stands_still_is_not_forecast_from_nothing() -> None:
    lines, clock = Kept(), Clock()
    outbox = Outbox(lines, clock)
    for fraction, seconds in ((0.0, 1.0), (0.005, 1.0), (0.5, 1.0), (0.5, 1000.0), (0.5, 1000.0)):
        clock.now += seconds
        outbox.progress(fraction)
        outbox.flush()
    told = [report.changes.remaining_seconds for report in lines.reports() if isinstance(report, Report)]
    assert told[:2] == [None, None]
    assert told[2] == pytest.approx(2.0, rel=0.01)
    assert told[-1] == pytest.approx(2003.0, rel=0.01)


def test_the_last_word_is_the_last_line() -> None:
    lines = Kept()
    outbox = Outbox(lines)
    outbox.progress(0.5)
    outbox.end(Ending(JobState.SUCCEEDED, "Done.", result={"rounds": 1}))
    outbox.progress(0.9)
    outbox.flush()
    assert lines.reports() == [Ending(JobState.SUCCEEDED, "Done.", result={"rounds": 1})]


def test_lines_of_many_threads_stay_whole() -> None:
    lines = Kept()
    outbox = Outbox(lines)

    def tell() -> None:
        for _ in range(100):
            outbox.tell(METRIC)
            outbox.progress(0.5)
            outbox.flush()

    threads = [threading.Thread(target=tell) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    metrics = [
        report for report in lines.reports() if isinstance(report, Report) and METRIC in report.details
    ]
    assert len(metrics) == 800


def test_lines_come_back_as_they_went() -> None:
    assignment = Assignment("a" * 32, 2, "m", {"seed": 2**63 - 1}, None, 3, {"data_target": "x"}, "/kept")
    assert read_assignment(write_assignment(assignment)) == assignment
    for mode in StopMode:
        assert read_stop(write_stop(mode)) is mode
    changes = Changes(JobStage.LABELS, 0.5, 1.5, "5" * 64)
    assert read_worker_line(write_report([METRIC, STAGE], changes)) == Report((METRIC, STAGE), changes)
    assert read_worker_line(write_report([], NO_CHANGES)) == Report((), NO_CHANGES)
    ending = failed("INTERNAL", "BUG", "A line\nin two parts.")
    assert read_worker_line(write_ending(ending)) == ending


_ALMOST = st.from_regex(r'\{"(ending|details|changes)": [\[\]\{\}0-9a-z":, ]{0,40}\}', fullmatch=True)


@given(st.binary(max_size=80) | _ALMOST.map(str.encode))
def test_nonsense_is_no_line(line: bytes) -> None:
    try:
        read_worker_line(line)
    except UnreadableLineError:
        return
    pytest.fail(f"{line!r} was read")
