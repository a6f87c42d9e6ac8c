"""Inspections of stored series: what is read for them, within which bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.data.quality.doubts import DEFAULTS, Thresholds
from services.data.quality.rules import PLACES_MAX, Inspection, inspect_stored
from services.data.query.views import BEGINNING_US, END_US, Shelf, View
from services.data.records import no_series
from services.data.revisions import are_marks, empty_rows, joined
from services.data.series import Series
from services.data.uploads import Budget, Hold

_COPIES = 2  # of the rows: as they are read, and joined


@dataclass(frozen=True)
class Question:
    """What to look at, and from where on it is doubtful. None is an open end; `as_of_us` None is now."""

    series: Series
    start_us: int | None = None
    end_us: int | None = None
    as_of_us: int | None = None
    thresholds: Thresholds = DEFAULTS
    places_max: int = PLACES_MAX


def inspect_series(
    shelf: Shelf,
    question: Question,
    now_us: int,
    budget: Budget,
    check: Callable[[], None],
) -> Inspection:
    """Look at what is stored of a series.

    Parameters
    ----------
    budget
        Where the memory for its rows is taken from.

    Raises
    ------
    NotFound
        There is no such series.
    ResourceExhausted
        Its rows, and those of all other calls, take more memory than the room has for them.
    """
    series = question.series
    state = shelf.find(series)
    if state is None:
        raise no_series(series)
    as_of_us = state.newest_capture_us if question.as_of_us is None else question.as_of_us
    view = View(shelf, series.kind, state, as_of_us, check)
    start_us = BEGINNING_US if question.start_us is None else question.start_us
    end_us = END_US if question.end_us is None else question.end_us
    parts = [empty_rows(len(series.kind.columns))]
    held = Hold(
        budget,
        f"The rows take more than the {budget.bytes_max} bytes that the room has (ingest_bytes); "
        "look at them range by range.",
    )
    try:
        for rows in view.revisions(start_us, end_us):
            held.take(_COPIES * 8 * len(rows) * (len(rows.columns) + 2))
            parts.append(rows)
        known = joined(parts)
        parts = []
        marked = are_marks(known)
        has_marks = bool(marked.any())
        return inspect_stored(
            series,
            known.take(~marked) if has_marks else known,
            known.times[marked],
            now_us if question.as_of_us is None else question.as_of_us,
            thresholds=question.thresholds,
            end_us=question.end_us,
            places_max=question.places_max,
            check=check,
        )
    finally:
        held.give_back()
