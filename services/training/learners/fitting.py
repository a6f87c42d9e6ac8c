"""What every learner shares: the rows it takes, the loop of its rounds, and the model it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from marketml.rpc.refusals import FailedPrecondition, InvalidArgument, Reason

Matrix: TypeAlias = npt.NDArray[np.float64] | npt.NDArray[np.float32]
Classes: TypeAlias = npt.NDArray[np.int8]
Weights: TypeAlias = npt.NDArray[np.float64]
Probabilities: TypeAlias = npt.NDArray[np.float64]

SMALLEST_PROBABILITY = 1e-15  # keeps the log loss of a confident mistake finite

OnRound: TypeAlias = Callable[[int, float | None], None]
"""Called after every round with its number (from 1) and the validation loss, if there is a slice."""

Check: TypeAlias = Callable[[], bool]
"""Called before every round: raises to abandon the fit, returns True to end it with the rounds it has."""


@dataclass(frozen=True)
class Table:
    """Rows to fit or to stop on: `features` (rows, features) with NaN for missing, class index, weight."""

    features: Matrix
    classes: Classes
    weights: Weights


@dataclass(frozen=True)
class Validation:
    """The slice a boosted model stops on, after `patience_rounds` rounds without a lower log loss."""

    table: Table
    patience_rounds: int


@dataclass(frozen=True)
class FitRequest:
    """Everything one fit takes beside its parameters.

    `class_count` counts the classes of the label, whether or not each is in `train`. `seed` is below 2**31.
    """

    train: Table
    validation: Validation | None
    class_count: int
    seed: int
    threads: int
    on_round: OnRound
    check: Check


@dataclass(frozen=True, eq=False)
class Reading:
    """The rows of a fit as its library holds them, in bins. Fits of other parameters on the same rows may
    share one: a library only looks at it."""

    train: Any
    validation: Any | None
    size_bytes: int
    """About so many, never fewer."""


@dataclass(frozen=True)
class Fitted:
    """A fitted model, cut to its best round.

    Attributes
    ----------
    kind : str
        `lightgbm`, `xgboost` or `random_forest`.
    model : lightgbm.Booster, xgboost.Booster or RandomForestClassifier
        Holds exactly `rounds` rounds: nothing of it has to be left out when it is exported.
    class_count, feature_count : int
    rounds : int
        Boosting rounds (trees per class) or trees in the model: the best iteration.
    trained_rounds : int
        Rounds that were fitted to find it.
    validation_losses : tuple of float
        Log loss on the early stopping slice after each trained round; empty without a slice.
    threads : int
    """

    kind: str
    model: Any
    class_count: int
    feature_count: int
    rounds: int
    trained_rounds: int
    validation_losses: tuple[float, ...]
    threads: int


@dataclass(frozen=True)
class Boosted:
    """Outcome of the loop: best and last round, and the validation losses."""

    best_round: int
    trained_rounds: int
    validation_losses: tuple[float, ...]


def require_fittable(request: FitRequest, *, narrow: bool = False) -> None:
    """Refuse what a library would accept and learn nonsense from, or fail on without saying where.

    Parameters
    ----------
    request : FitRequest
    narrow : bool
        Whether the library reads features as float32: one that is finite may then be infinite.

    Raises
    ------
    InvalidArgument
        Infinite features, a class out of range, a weight that is negative or not finite.
    FailedPrecondition
        The training rows hold fewer than two classes.
    """
    largest = float(np.finfo(np.float32 if narrow else np.float64).max)
    _require_table(request.train, request.class_count, largest, "train")
    if request.validation is not None:
        _require_table(request.validation.table, request.class_count, largest, "validation")
    found = np.unique(request.train.classes)
    if found.size < 2:
        raise FailedPrecondition(
            "dataset",
            f"{request.train.classes.size} training rows hold {found.size} class; a model needs two.",
            Reason.TOO_LITTLE_DATA,
        )


def boost(
    update: Callable[[int], bool], loss: Callable[[Table], float], rounds: int, request: FitRequest
) -> Boosted:
    """Run boosting rounds until they are done, stop improving, cannot grow, or the request says to end.

    Parameters
    ----------
    update : callable
        Fits one more round given its index from 0; False if no tree could grow.
    loss : callable
        Log loss of the newest round on the validation table; called only if there is one.
    rounds : int
        At most so many; at least one is fitted, unless the check raises.
    request : FitRequest
    """
    validation = request.validation
    losses: list[float] = []
    best_round, trained = 0, 0
    for index in range(rounds):
        if (request.check() and trained) or not update(index):
            break
        trained = index + 1
        if validation is None:
            best_round = trained
            request.on_round(trained, None)
            continue
        losses.append(loss(validation.table))
        request.on_round(trained, losses[-1])
        if not best_round or losses[-1] < losses[best_round - 1]:
            best_round = trained
        elif trained - best_round >= validation.patience_rounds:
            break
    # A first round that cannot grow still leaves a model: the class frequencies.
    return Boosted(max(best_round, 1), max(trained, 1), tuple(losses))


def log_loss(table: Table, probabilities: npt.NDArray[np.floating[Any]]) -> float:
    """Weighted mean log loss of probabilities (rows, classes), or of class 1's (rows,) if there are two.

    The libraries' own sums depend on the number of threads in the last bit, which could move the best round.
    """
    if probabilities.ndim == 1:
        chosen = np.where(table.classes == 1, probabilities, 1.0 - probabilities)
    else:
        chosen = probabilities[np.arange(table.classes.size), table.classes]
    losses = -np.log(np.maximum(chosen.astype(np.float64), SMALLEST_PROBABILITY))
    return float(np.average(losses, weights=table.weights))


def _require_table(table: Table, class_count: int, largest: float, name: str) -> None:
    rows = table.classes.size
    if table.features.ndim != 2 or table.features.shape[0] != rows or table.weights.shape != (rows,):
        raise ValueError(
            f"{name}: features {table.features.shape}, classes {table.classes.shape} and weights "
            f"{table.weights.shape} do not agree."
        )
    if not np.issubdtype(table.classes.dtype, np.integer):
        raise InvalidArgument.of(
            f"{name}.classes", "integer", f"must be class indices, are {table.classes.dtype}."
        )
    if np.any((table.classes < 0) | (table.classes >= class_count)):
        raise InvalidArgument.of(f"{name}.classes", "range", f"must be from 0 to {class_count - 1}.")
    beyond = np.abs(table.features) > largest
    if beyond.any():
        row, column = np.argwhere(beyond)[0]
        description = f"must be NaN (missing) or within ±{largest:.6g}, is {table.features[row, column]}."
        raise InvalidArgument.of(f"{name}.features[{row}][{column}]", "finite", description)
    if not (np.isfinite(table.weights).all() and np.all(table.weights >= 0) and table.weights.any()):
        raise InvalidArgument.of(f"{name}.weights", "weight", "must be finite, 0 or more, and not all 0.")
