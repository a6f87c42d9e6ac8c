"""Outcomes and records in a folder: kept whole, found again by key and digest, and otherwise not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.training.learners.forest import ForestParameters
from services.training.learners.lightgbm import LightgbmParameters
from services.training.learners.xgboost import XgboostParameters
from services.training.pipeline import evaluate_and_fit
from services.training.plan import EarlyStopping, SplitPlan, TrainingPlan
from services.training.results import TrainedResult
from services.training.splits import KFold
from services.training.workshop import alone as workshop
from services.training.workshop.checkpoints import FolderMemory
from services.training.workshop.unit_files import (
    UnreadableError,
    read_file,
    read_task,
    write_file,
    write_task,
)
from services.training.workshop.units import FitOutcome, FitTask, Part, digest_of, fit_unit
from tests.support.small_disk import small_disk
from tests.training.cases import answers, made_samples

LEARNERS = [
    LightgbmParameters(rounds=12, num_leaves=5),
    XgboostParameters(rounds=9),
    ForestParameters(trees=7),
]


def made_task(parameters: Any = LEARNERS[0], *, keeps: bool = True) -> FitTask:
    samples = made_samples(300)

    def part(first: int, stop: int) -> Part:
        rows = np.arange(first, stop)
        return Part(rows, samples.classes[rows], np.linspace(0.5, 1.5, rows.size))

    is_forest = isinstance(parameters, ForestParameters)
    return FitTask(
        key="fold_3.member_1",
        parameters=parameters,
        matrix=samples.features,
        train=part(0, 180),
        stopping=None if is_forest else part(190, 230),
        patience_rounds=0 if is_forest else 4,
        predicted=np.arange(240, 300),
        golden=samples.features[:4] if keeps else None,
        class_count=3,
        seed=11,
        threads=1,
    )


def fitted(task: FitTask) -> FitOutcome:
    return fit_unit(task, lambda *_: None, lambda: False)


def same(one: Any, other: Any) -> bool:
    """Whether two plain things are equal to the bit and of the same types."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__)
    return bool(one == other)


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("parameters", LEARNERS, ids=lambda parameters: type(parameters).__name__)
def test_a_task_and_its_outcome_survive_as_bytes(parameters: Any, keeps: bool) -> None:
    task = made_task(parameters, keeps=keeps)
    again = read_task(write_task(task), task.matrix)
    assert same(again, task)
    assert digest_of(again) == digest_of(task)
    outcome = fitted(again)
    assert same(read_file(write_file({}, outcome)), ({}, outcome))
    assert (outcome.kept is not None) == keeps


def test_bytes_of_another_kind_are_not_taken_for_a_task(outcome_bytes: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_task(outcome_bytes, np.empty((0, 0)))
    with pytest.raises(UnreadableError):
        read_file(b"")
    with pytest.raises(TypeError):
        write_file({}, {1, 2})


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def memory(tmp_path: Path, warnings: list[str]) -> FolderMemory:
    return FolderMemory(tmp_path, warnings.append)


def test_what_is_kept_is_found_by_its_key_and_digest_alone(memory: FolderMemory, tmp_path: Path) -> None:
    outcome = fitted(made_task(keeps=False))
    memory.keep("fold_1", "a" * 32, outcome)
    later = FolderMemory(tmp_path, pytest.fail)
    assert same(later.recall("fold_1", "a" * 32), outcome)
    assert later.recall("fold_1", "b" * 32) is None
    assert later.recall("fold_2", "a" * 32) is None
    assert later.recall_record("fold_1", "a" * 32) is None


def test_a_record_comes_back_as_the_json_it_was(memory: FolderMemory) -> None:
    record = {"list": [1, [2.5, None]], "tree": {"x": "ä", "empty": {}}, "is": True, "array": [3, "int8"]}
    assert memory.recall_record("trial_1", "d") is None
    memory.keep_record("trial_1", "d", record)
    assert memory.recall_record("trial_1", "d") == record
    memory.keep_record("trial_1", "d", {})
    assert memory.recall_record("trial_1", "d") == {}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_file_that_is_damaged_anywhere_is_as_good_as_absent(
    data: st.DataObject, outcome_bytes: bytes
) -> None:
    position = data.draw(st.integers(0, len(outcome_bytes) - 1))
    flipped = bytearray(outcome_bytes)
    flipped[position] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(flipped), outcome_bytes[:position]):
        with pytest.raises(UnreadableError):
            read_file(damaged)


@pytest.fixture(scope="module")
def outcome_bytes() -> bytes:
    return write_file({}, fitted(made_task()))


def test_a_file_under_the_name_of_another_is_not_taken_for_it(memory: FolderMemory, tmp_path: Path) -> None:
    memory.keep_record("one", "d", {"of": "one"})
    [one] = tmp_path.iterdir()
    memory.keep_record("other", "d", {"of": "other"})
    [other] = set(tmp_path.iterdir()) - {one}
    one.rename(other)
    assert memory.recall_record("other", "d") is None


def test_what_a_killed_attempt_was_writing_is_swept(tmp_path: Path) -> None:
    (tmp_path / "0123.draft").write_bytes(b"half")
    memory = FolderMemory(tmp_path, pytest.fail)
    memory.keep_record("one", "d", {})
    assert [path.suffix for path in tmp_path.iterdir()] == [".record"]


def test_a_full_disk_is_told_once_and_costs_the_checkpoint_alone(warnings: list[str]) -> None:
    with small_disk(2**20) as disk:
        memory = FolderMemory(disk.folder, warnings.append)
        memory.keep_record("small", "d", {"kept": True})
        disk.fill(4096)
        for number in range(2):
            memory.keep_record("big", f"d{number}", {"text": "x" * 100_000})
        assert memory.recall_record("big", "d0") is None
        assert memory.recall_record("small", "d") == {"kept": True}
        assert len(warnings) == 1
        assert "big" in warnings[0]
        assert not list(disk.folder.glob("*.draft"))
        disk.free()
        memory.keep_record("big", "d0", {"text": "x" * 100_000})
        assert memory.recall_record("big", "d0") is not None


class Killed(BaseException):
    """The process would be gone here: nothing that comes after it in the program happens."""


class Counted(FolderMemory):
    """Counts what is fitted, which is what is kept."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, pytest.fail)
        self.fitted: list[str] = []

    def keep(self, key: str, digest: str, outcome: FitOutcome) -> None:
        super().keep(key, digest, outcome)
        self.fitted.append(key)


PLAN = TrainingPlan(
    model=LightgbmParameters(rounds=12, num_leaves=5),
    split=SplitPlan(method=KFold(3)),
    early_stopping=EarlyStopping(patience_rounds=4),
    interval_draws=100,
)
UNITS = ["fold_1", "fold_2", "fold_3", "final_model"]


def run(
    folder: Path, plan: TrainingPlan = PLAN, *, seed: int = 5, rows: int = 600
) -> tuple[TrainedResult, list[str]]:
    memory = Counted(folder)
    samples = made_samples(rows)
    result = evaluate_and_fit(samples, plan, seed, events=lambda _: None, workshop=workshop.Alone(memory))
    return result, memory.fitted


def same_model(one: TrainedResult, other: TrainedResult) -> bool:
    rows = made_samples(50, seed=9).features
    return (
        answers(one, rows).tobytes() == answers(other, rows).tobytes()
        and one.model.native_files == other.model.native_files
        and one.fold_table == other.fold_table
        and one.test_intervals == other.test_intervals
    )


def test_a_run_that_is_run_again_fits_nothing_and_is_the_same(tmp_path: Path) -> None:
    first, units = run(tmp_path)
    assert units == UNITS
    again, units = run(tmp_path)
    assert units == []
    assert same_model(first, again)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 6},
        {"rows": 599},
        {"plan": replace(PLAN, model=replace(PLAN.model, learning_rate=0.06))},
        {"plan": replace(PLAN, early_stopping=EarlyStopping(patience_rounds=5))},
        {"plan": replace(PLAN, early_stopping=None)},
    ],
    ids=["seed", "rows", "learning_rate", "patience", "no_stopping"],
)
def test_another_run_takes_nothing_of_what_is_kept(tmp_path: Path, other: dict[str, Any]) -> None:
    run(tmp_path)
    _, units = run(tmp_path, **other)
    assert units == UNITS


def test_the_number_of_threads_does_not_matter_to_what_is_kept(tmp_path: Path) -> None:
    first, _ = run(tmp_path)
    again, units = run(tmp_path, replace(PLAN, threads=2))
    assert units == []
    assert same_model(first, again)


def test_a_damaged_checkpoint_is_fitted_again_and_the_model_is_the_same(tmp_path: Path) -> None:
    first, _ = run(tmp_path)
    for path in tmp_path.iterdir():
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    again, units = run(tmp_path)
    assert units == UNITS
    assert same_model(first, again)
    assert run(tmp_path)[1] == []


@pytest.mark.parametrize("moment", ["before the write", "before the name", "after it"])
@pytest.mark.parametrize("unit", UNITS)
def test_a_run_that_is_killed_at_a_unit_goes_on_with_it_and_is_the_same(
    tmp_path: Path, calm: TrainedResult, monkeypatch: pytest.MonkeyPatch, unit: str, moment: str
) -> None:
    def die(*_: object) -> None:
        raise Killed

    class Dying(Counted):
        def keep(self, key: str, digest: str, outcome: FitOutcome) -> None:
            if key != unit:
                super().keep(key, digest, outcome)
            elif moment == "before the write":
                raise Killed
            elif moment == "after it":
                super().keep(key, digest, outcome)
                raise Killed
            else:
                with monkeypatch.context() as patched:
                    patched.setattr(Path, "rename", die)
                    super().keep(key, digest, outcome)

    with pytest.raises(Killed):
        evaluate_and_fit(
            made_samples(), PLAN, 5, events=lambda _: None, workshop=workshop.Alone(Dying(tmp_path))
        )
    again, units = run(tmp_path)
    done = UNITS.index(unit) + (moment == "after it")
    assert units == UNITS[done:]
    assert same_model(again, calm)
    assert not list(tmp_path.glob("*.draft"))


@pytest.fixture(scope="module")
def calm() -> TrainedResult:
    return evaluate_and_fit(made_samples(), PLAN, 5, events=lambda _: None)
