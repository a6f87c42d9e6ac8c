"""What a frame of unknown origin may be: suggestions with a confidence and reasons, never an answer.

Every clue gives chances to some answers and leaves the rest to all others. The odds of an answer are the sum
of the odds that the clues give it: one clue alone gives its own chance, agreeing ones give more, opposing
ones take from each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from marketml.rpc.refusals import Aborted
from services.data.inference.clues import (
    Clue,
    Unlabelled,
    kind_clue,
    roles_of,
    symbol_clues,
    venue_said,
)
from services.data.inference.likeness import Likeness, likeness, likeness_clues
from services.data.inference.spacings import length_text, spacing_us, timeframe_clues
from services.data.query import views
from services.data.records import Coverage
from services.data.revisions import Times, Values
from services.data.series import CANDLES, Kind, Series

SUGGESTIONS_MAX = 5
COMPARED_MAX = 100
CONFIDENCE_MIN = 0.02
_WINDOWS = 3
_WINDOW_ROWS = 256
_WINDOW_STORED_ROWS = 20_000
_CONFIDENCE_MAX = 0.99


@dataclass(frozen=True)
class Suggestion:
    """What the frame may be. Venue, symbol and timeframe are empty where nothing speaks for any."""

    series: Series
    symbol_confidence: float
    timeframe_confidence: float
    reasons: tuple[str, ...]


class Shelf(views.Shelf, Protocol):
    """What is stored."""

    def coverage(self, *, kind: Kind, count: int) -> list[Coverage]:
        """Series of a kind and their coverage."""


def infer_series(frame: Unlabelled, shelf: Shelf, check: Callable[[], None]) -> list[Suggestion]:
    """What a frame may be, the likeliest first; none when not even its kind can be told.

    Parameters
    ----------
    check
        Called between comparisons; raises when nobody waits for the answer any more.
    """
    told = kind_clue(frame)
    if told is None:
        return []
    kind, kind_reason = told
    stored = shelf.coverage(kind=kind, count=10 * COMPARED_MAX)
    said = list(symbol_clues(frame, kind, sorted({one.series.symbol for one in stored})))
    rows = _rows(frame)
    around = _comparable(rows, stored, said)
    likes = list(_compared(rows, around[:COMPARED_MAX], shelf, check))
    compared = likeness_clues(likes)
    lengths = _weighed([*timeframe_clues(frame), *_lengths(likes)]) if kind is CANDLES else []
    timeframe, timeframe_confidence, reasons = lengths[0] if lengths else ("", 0.0, _spacing(frame))
    more = [*reasons, kind_reason]
    if len(around) > COMPARED_MAX and not any(like.is_equal for like in likes):
        more.append(f"Of {len(around)} stored series of that time only {COMPARED_MAX} were compared.")
    symbols = _weighed(_resolved([*compared, *said]))
    if not symbols:
        series = Series(kind, venue_said(frame), "", timeframe)
        return [Suggestion(series, 0.0, timeframe_confidence, ("Nothing speaks for any instrument.", *more))]
    venue_of = _venues(frame, [*compared, *said])
    return [
        Suggestion(
            Series(kind, venue_of(symbol), symbol, timeframe),
            confidence,
            timeframe_confidence,
            (*why, *more),
        )
        for symbol, confidence, why in symbols[:SUGGESTIONS_MAX]
        if confidence >= CONFIDENCE_MIN
    ]


def _resolved(clues: list[Clue]) -> Iterator[Clue]:
    """Clues that tell a base currency alone speak for the symbols of it that others name."""
    named: dict[str, float] = {}
    for clue in clues:
        if not clue.base:
            for symbol, chance in clue.chances.items():
                named[symbol] = max(chance, named.get(symbol, 0.0))
    for clue in clues:
        mine = {symbol: chance for symbol, chance in named.items() if symbol.startswith(f"{clue.base}/")}
        if clue.base and mine:
            scale = sum(clue.chances.values()) / sum(mine.values())
            yield replace(clue, chances={symbol: chance * scale for symbol, chance in mine.items()})
        else:
            yield clue


def _weighed(clues: Iterable[Clue]) -> list[tuple[str, float, list[str]]]:
    """Answers, their confidence and the reasons for each, the likeliest first."""
    odds: dict[str, float] = {}
    reasons: dict[str, list[tuple[float, str]]] = {}
    for clue in clues:
        left = max(1 - _CONFIDENCE_MAX, 1 - sum(clue.chances.values()))
        for answer, chance in clue.chances.items():
            odds[answer] = odds.get(answer, 0.0) + chance / left
            reasons.setdefault(answer, []).append((chance, clue.reason))
    total = 1 + sum(odds.values())
    order = sorted(odds, key=lambda answer: (-odds[answer], answer))
    return [
        (
            answer,
            min(_CONFIDENCE_MAX, odds[answer] / total),
            [reason for _, reason in sorted(reasons[answer], key=lambda pair: -pair[0])],
        )
        for answer in order
    ]


@dataclass(frozen=True)
class _Rows:
    """The rows of a frame by time, each time once."""

    times: Times
    columns: dict[str, Values]
    step_us: int


def _rows(frame: Unlabelled) -> _Rows:
    times, first = np.unique(frame.times, return_index=True)
    columns = (
        {role: frame.columns[name][first] for role, name in roles_of(frame).items()} if len(times) else {}
    )
    spacing = spacing_us(times)
    return _Rows(times, columns, spacing[0] if spacing else 0)


def _comparable(rows: _Rows, stored: list[Coverage], said: list[Clue]) -> list[Coverage]:
    """The stored series of the same times: those first that the frame names, then those of its spacing."""
    named = {symbol for clue in said for symbol in clue.chances}
    around = [
        one
        for one in stored
        if len(rows.times)
        and one.first_time_us is not None
        and one.last_time_us is not None
        and one.first_time_us <= rows.times[-1]
        and one.last_time_us >= rows.times[0]
        and _has_column(one.series, rows)
    ]
    return sorted(
        around, key=lambda one: (one.series.symbol not in named, one.series.step_us != rows.step_us)
    )


def _compared(
    rows: _Rows, stored: list[Coverage], shelf: Shelf, check: Callable[[], None]
) -> Iterator[Likeness]:
    """Comparisons with stored series."""
    for one in stored:
        check()
        if (state := shelf.find(one.series)) is None:
            continue
        view = views.View(shelf, one.series.kind, state, state.newest_capture_us, check)
        start_us, end_us = one.first_time_us or 0, one.last_time_us or 0
        mine = rows.times[(rows.times >= start_us) & (rows.times <= end_us)]
        windows = _windows(mine, one.series.step_us, rows.step_us)
        try:
            parts = [view.rows(int(window[0]), int(window[-1]) + 1) for window in windows]
        except Aborted:  # deleted meanwhile
            continue
        found = [like for part in parts if (like := likeness(one.series, rows.times, rows.columns, part))]
        if found:
            yield max(found, key=lambda like: (like.is_equal, like.is_near, like.rows_count))


def _has_column(series: Series, rows: _Rows) -> bool:
    """Whether something of the frame can be compared: of other bars' the open alone."""
    if series.kind is not CANDLES:
        return series.kind.columns[0] in rows.columns
    return "open" in rows.columns or ("close" in rows.columns and series.step_us == rows.step_us)


def _windows(times: Times, stored_step_us: int, step_us: int) -> list[Times]:
    """Stretches of the times, at the end, the begin and in the middle, each short enough to be read."""
    if not len(times):
        return []
    count = _WINDOW_ROWS
    if stored_step_us and step_us > stored_step_us:
        count = max(12, min(count, _WINDOW_STORED_ROWS * stored_step_us // step_us))
    starts = {max(0, len(times) - count), 0, max(0, (len(times) - count) // 2)}
    return [times[start : start + count] for start in sorted(starts, reverse=True)][:_WINDOWS]


def _lengths(likes: list[Likeness]) -> list[Clue]:
    """Bars whose closes too are those of a stored series are as long."""
    names = {like.series.timeframe for like in likes if like.is_equal and like.series.timeframe}
    if len(names) != 1:
        return []
    return [Clue({names.pop(): 0.5}, "The stored series that it equals has bars of this length.")]


def _spacing(frame: Unlabelled) -> list[str]:
    spacing = spacing_us(frame.times)
    if spacing is None:
        return []
    return [f"{spacing[1]:.0%} of its rows follow each other by {length_text(spacing[0])}."]


def _venues(frame: Unlabelled, clues: list[Clue]) -> Callable[[str], str]:
    said = venue_said(frame)

    def venue_of(symbol: str) -> str:
        return said or next((clue.venues[symbol] for clue in clues if clue.venues.get(symbol)), "")

    return venue_of
