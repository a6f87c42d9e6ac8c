"""Units: a run is made of fits of one learner each, which take plain data and leave plain data.

What a unit takes decides what it leaves, to the bit: not who runs it, when, with how many threads, or how
many others there are. So one may be fitted in another process, and one whose outcome is kept in a checkpoint
need not be fitted again.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import xxhash

from marketml.bundle.manifest import GoldenRows
from marketml.bundle.trees import TreeArrays
from services.training import learners
from services.training.export.golden import golden_answers
from services.training.export.trees import tree_arrays
from services.training.learners import ModelParameters
from services.training.learners.fitting import (
    Check,
    Classes,
    FitRequest,
    Matrix,
    OnRound,
    Probabilities,
    Reading,
    Table,
    Validation,
    Weights,
)
from services.training.learners.readings import Readings
from services.training.splits import Rows

Array: TypeAlias = npt.NDArray[np.generic]

_FOLD = re.compile(r"(?:trial_(\d+)\.)?fold_(\d+)")
_READINGS = Readings()


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of a matrix with the class and the weight of each."""

    rows: Rows
    classes: Classes
    weights: Weights


@dataclass(frozen=True, eq=False)
class FitTask:
    """What one fit takes.

    Attributes
    ----------
    key : str
        Names the unit within its run: `fold_3`, `final_model.member_2`…
    parameters : ModelParameters
        Of one learner.
    matrix : float (rows, features)
        NaN is missing. Units of one run may share it.
    train : Part
    stopping : Part, optional
        The slice that a boosted model stops on, after `patience_rounds` rounds without a lower log loss.
    patience_rounds : int
    predicted : intp (predicted,)
        Rows of the matrix whose probabilities are wanted.
    golden : float64 (golden, features), optional
        Rows whose answers travel with the model; without them the model itself is not kept.
    class_count, seed, threads : int
    is_repeated : bool
        Whether other parameters are fitted on the same rows, so that reading them once pays.
    """

    key: str
    parameters: ModelParameters
    matrix: Matrix
    train: Part
    stopping: Part | None
    patience_rounds: int
    predicted: Rows
    golden: npt.NDArray[np.float64] | None
    class_count: int
    seed: int
    threads: int
    is_repeated: bool = False


@dataclass(frozen=True, eq=False)
class KeptModel:
    """A fitted model as arrays, with the library's own file where it has one, and its golden answers."""

    trees: TreeArrays
    native: bytes | None
    golden: GoldenRows


@dataclass(frozen=True, eq=False)
class FitOutcome:
    """What one fit leaves.

    Attributes
    ----------
    kind : str
        `lightgbm`, `xgboost`, `random_forest`…
    class_count, feature_count : int
    rounds, trained_rounds : int
        Of the best round, to which the model is cut, and fitted to find it.
    validation_losses : tuple of float
        Log loss on the early stopping slice after each trained round.
    importances : float64 (features,)
        Each feature's share of the gain: sums to 1, or all 0 if nothing split.
    probabilities : float64 (predicted, classes)
    kept : KeptModel, optional
        The model, if the task had golden rows.
    """

    kind: str
    class_count: int
    feature_count: int
    rounds: int
    trained_rounds: int
    validation_losses: tuple[float, ...]
    importances: npt.NDArray[np.float64]
    probabilities: Probabilities
    kept: KeptModel | None


class Noting:
    """A check that notes whether it last said to end: then the unit has fewer rounds than it might have."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self.said_end = False

    def __call__(self) -> bool:
        """See `learners.fitting.Check`."""
        self.said_end = self._check()
        return self.said_end


def fit_unit(task: FitTask, on_round: OnRound, check: Check) -> FitOutcome:
    """Fit, predict, and keep the model if it is wanted.

    Raises
    ------
    InvalidArgument, FailedPrecondition
        See `learners.fitting.require_fittable`; and whatever `check` raises.
    """

    def table(part: Part) -> Table:
        return Table(task.matrix[part.rows], part.classes, part.weights)

    request = FitRequest(
        train=table(task.train),
        validation=(
            None if task.stopping is None else Validation(table(task.stopping), task.patience_rounds)
        ),
        class_count=task.class_count,
        seed=task.seed,
        threads=task.threads,
        on_round=on_round,
        check=check,
    )
    fitted = learners.fit(task.parameters, request, _reading(task, request))
    kept = None
    if task.golden is not None:
        kept = KeptModel(
            trees=tree_arrays(fitted),
            native=learners.native_bytes(fitted),
            golden=golden_answers(fitted, task.golden),
        )
    return FitOutcome(
        kind=fitted.kind,
        class_count=fitted.class_count,
        feature_count=fitted.feature_count,
        rounds=fitted.rounds,
        trained_rounds=fitted.trained_rounds,
        validation_losses=fitted.validation_losses,
        importances=learners.importances(fitted),
        probabilities=learners.predict_probabilities(fitted, task.matrix[task.predicted]),
        kept=kept,
    )


def _reading(task: FitTask, request: FitRequest) -> Reading | None:
    """The task's rows as its library holds them, if they are read once for several fits."""
    if not task.is_repeated:
        _READINGS.clear()  # what was repeated is over
        return None
    terms = learners.reading_terms(task.parameters, task.seed)
    if terms is None:
        return None
    hasher = xxhash.xxh3_128()
    hash_arrays(hasher, [task.matrix, *_arrays_of(task)])
    key = (type(task.parameters), terms, hasher.digest())
    return _READINGS.get(key, lambda: learners.read(task.parameters, request))


def fold_of(key: str) -> int | None:
    """The number of the fold that a unit belongs to; None of the final model's."""
    found = _FOLD.match(key)
    return None if found is None else int(found[2])


def trial_of(key: str) -> int | None:
    """The number of the trial that a unit belongs to; None where there is none."""
    found = _FOLD.match(key)
    return None if found is None or found[1] is None else int(found[1])


def digest_of(task: FitTask) -> str:
    """What decides the outcome: 32 hex digits of XXH3-128 over all but the key and the threads, and over the
    versions of what computes it."""
    hasher = xxhash.xxh3_128()
    said = {
        "learner": type(task.parameters).__name__,
        "parameters": asdict(task.parameters),
        "patience_rounds": task.patience_rounds,
        "class_count": task.class_count,
        "seed": task.seed,
        "versions": versions(),
    }
    hasher.update(json.dumps(said, sort_keys=True).encode())
    golden = [] if task.golden is None else [task.golden]
    hash_arrays(hasher, [task.matrix, task.predicted, *_arrays_of(task), *golden])
    return hasher.hexdigest()


def _arrays_of(task: FitTask) -> list[Array]:
    parts = [task.train] if task.stopping is None else [task.train, task.stopping]
    return [array for part in parts for array in (part.rows, part.classes, part.weights)]


def hash_arrays(hasher: xxhash.xxh3_128, arrays: Sequence[Array]) -> None:
    """Arrays, with their types and shapes, into a digest."""
    for array in arrays:
        hasher.update(f"{array.dtype} {array.shape} ".encode())
        hasher.update(np.ascontiguousarray(array).data)


@functools.cache
def versions(*beside: str) -> dict[str, str]:
    """Of Python, of what fits, and of packages beside."""
    names = ("marketml", "lightgbm", "numpy", "scikit-learn", "xgboost", *beside)
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}}
