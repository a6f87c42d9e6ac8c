"""When a trial of a search is given up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.training.search.race import STANDARD_ERRORS, is_behind

Values = tuple[float, ...]
Table = list[Values]
FOLDS = 5
LOSSES = ((1.0, 1.2, 0.9, 1.1, 1.0), (1.1, 1.2, 1.1, 1.2, 1.0), (1.2, 1.4, 1.0, 1.3, 1.2))
losses = st.lists(st.floats(0.5, 1.5, width=32), min_size=FOLDS, max_size=FOLDS)
tables = st.lists(losses.map(tuple), min_size=2, max_size=6)


def test_no_trial_is_given_up_before_one_is_complete() -> None:
    assert not is_behind("log_loss", (9.0,), [])
    assert is_behind("log_loss", (9.0,), LOSSES[:1])


@given(alone=losses, so_far=losses, count=st.integers(1, FOLDS - 1))
def test_behind_the_only_complete_trial_is_what_is_behind_by_more_than_its_folds_differ(
    alone: list[float], so_far: list[float], count: int
) -> None:
    lag = np.mean(np.subtract(so_far[:count], alone[:count]))
    error = np.std(alone, ddof=1) * np.sqrt(1 / count - 1 / FOLDS)
    if abs(lag - STANDARD_ERRORS * error) > 1e-9:
        told = is_behind("log_loss", tuple(so_far[:count]), [tuple(alone)])
        assert told == (lag > STANDARD_ERRORS * error)


@given(table=tables | losses.map(lambda alone: [tuple(alone)]), count=st.integers(1, FOLDS - 1))
def test_a_trial_that_is_level_with_the_best_goes_on(table: Table, count: int) -> None:
    best = min(table, key=sum)
    assert not is_behind("log_loss", best[:count], table)


@given(table=tables, so_far=losses, count=st.integers(1, FOLDS - 1))
def test_a_trial_goes_on_that_is_behind_by_no_more_than_folds_explain(
    table: Table, so_far: list[float], count: int
) -> None:
    array, seen = np.array(table), np.array(so_far[:count])
    trials = len(table)
    means = array.mean(axis=1)
    leader = means.argmin()
    best, others = array[leader], np.delete(array, leader, axis=0)
    lag = np.mean(seen - best[:count])
    deviation = np.mean([np.var(other - best, ddof=1) for other in others])

    apart = array - means[:, None]
    folds = np.median(apart, axis=0)
    folds -= folds.mean()
    foretold = np.mean(seen - folds[:count])
    own = np.median(np.sum((apart - folds) ** 2, axis=1)) / (FOLDS - 1)
    left_over = own * (trials + 1) / (trials - 1)

    few = 1 / count - 1 / FOLDS
    by_the_best = lag - STANDARD_ERRORS * np.sqrt(deviation * few)
    by_all = foretold - means[leader] - STANDARD_ERRORS * np.sqrt(left_over * few)
    if min(abs(by_the_best), abs(by_all)) > 1e-9:
        told = is_behind("log_loss", tuple(so_far[:count]), table)
        assert told == (by_the_best > 0 and by_all > 0)


def test_the_luck_of_the_best_on_the_first_fold_gives_no_other_trial_up() -> None:
    # Of a search of 100,000 rows: the second trial overfits, and leads by what it happens to come to first.
    complete = [
        (1.01452, 1.01156, 1.01869, 1.01644, 1.01349),
        (1.00889, 1.01854, 1.01994, 1.01364, 1.01347),
        (1.03208, 1.03120, 1.03283, 1.03347, 1.02908),
    ]
    better = (1.01472, 1.01134, 1.01642, 1.01580, 1.01180)
    assert np.mean(better) < min(np.mean(each) for each in complete)
    assert not any(is_behind("log_loss", better[:count], complete) for count in range(1, FOLDS))
    assert is_behind("log_loss", (1.02521,), complete)


def test_how_a_trial_far_off_fares_on_a_fold_keeps_no_other_going() -> None:
    # Of a search of 100,000 rows: the second trial overfits, and no fold of it tells what folds do to others.
    complete = [
        (1.01081, 1.00585, 1.01445, 1.01170, 1.01165),
        (1.06458, 1.05398, 1.05799, 1.05622, 1.05177),
        (1.01949, 1.01783, 1.02067, 1.02034, 1.01606),
        (1.01274, 1.00746, 1.01288, 1.01416, 1.01056),
        (1.00955, 1.00775, 1.01454, 1.01085, 1.01035),
    ]
    assert is_behind("log_loss", (1.01305,), complete)


@given(table=tables, so_far=losses, hardness=st.lists(st.integers(0, 8), min_size=FOLDS, max_size=FOLDS))
def test_how_hard_a_fold_is_for_all_trials_does_not_matter(
    table: Table, so_far: list[float], hardness: list[int]
) -> None:
    def harder(values: Sequence[float]) -> Values:
        return tuple(value + 1024.0 * hard for value, hard in zip(plain(values), hardness, strict=False))

    def plain(values: Sequence[float]) -> Values:
        return tuple(float(round(value * 1024)) for value in values)

    for count in range(1, FOLDS):
        told = is_behind("log_loss", plain(so_far[:count]), [plain(each) for each in table])
        assert is_behind("log_loss", harder(so_far[:count]), [harder(each) for each in table]) == told


@pytest.mark.parametrize("so_far", [(1.3,), (1.0, 1.2), (1.05, 1.25, 1.0), (1.2, 1.3, 1.0, 1.2)])
def test_where_more_is_better_the_trial_with_less_is_given_up(so_far: Values) -> None:
    mirrored = [tuple(-value for value in each) for each in LOSSES]
    told = is_behind("log_loss", so_far, LOSSES)
    assert is_behind("balanced_accuracy", tuple(-value for value in so_far), mirrored) == told
