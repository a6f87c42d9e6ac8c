"""Costs of a made-up host, for forecasts that need one."""

from __future__ import annotations

from services.training import learners
from services.training.forecasting.cost_measurements import KINDS, TRIALS, Trial
from services.training.forecasting.cost_model import (
    SCORING,
    FitShape,
    HostCosts,
    Seconds,
    keep_terms,
    predict_terms,
    prepare_terms,
    round_terms,
    score_terms,
)


def shape_of(trial: Trial, rounds: int = 10) -> FitShape:
    """The fit of a trial."""
    return FitShape(
        trial.parameters,
        trial.train_rows,
        trial.stopping_rows,
        trial.stopping_rows,
        trial.feature_count,
        trial.class_count,
        rounds,
    )


def made_costs(nanoseconds: float = 1.0) -> HostCosts:
    """A host on which every term of every phase costs as much."""
    found = {}
    for kind in KINDS:
        shape = shape_of(next(each for each in TRIALS if learners.kind_of(each.parameters) == kind))
        for phase, terms in (
            ("prepare", prepare_terms(shape)),
            ("round", round_terms(shape, 1)),
            ("predict", predict_terms(shape)),
            ("keep", keep_terms(shape)),
        ):
            found[f"{kind}.{phase}"] = (
                (nanoseconds * 1e-9,) * len(terms),
                (nanoseconds * 1e-9,) * len(terms),
            )
    terms = score_terms(100, 3)
    found[f"{SCORING}.score"] = ((nanoseconds * 1e-9,) * len(terms),) * 2
    return HostCosts(
        coefficients=found,
        start=Seconds(1.0, 1.0),
        library_start=dict.fromkeys(KINDS, Seconds(0.1, 0.1)),
        idle_bytes=200_000_000,
        library_bytes=dict.fromkeys(KINDS, 20_000_000),
    )
