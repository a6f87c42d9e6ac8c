"""Reading series: rows as they travel, and aligned frames of candles, funding rates and open interest.

A stream reads page by page, each in a transaction of its own, so that a slow reader holds nothing. What was
captured after the stream began is left out by its capture time: the pages together are one state of a series.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from marketml.rpc.frames import CHUNK_BYTES_MAX, END_OF_STREAM
from marketml.rpc.refusals import Aborted
from services.data.blocks import Block
from services.data.query.alignment import FrameSpec, aligned, frame_schema
from services.data.query.bounds import Bounds
from services.data.query.forms import PLAIN, Form
from services.data.query.known import Reference, known_of
from services.data.query.lags import NO_LAGS, OpenInterestLags
from services.data.query.longer_bars import LongerBars
from services.data.query.resampling import shorter_timeframes
from services.data.query.states import state_of
from services.data.query.views import (
    BEGINNING_US,
    END_US,
    Piece,
    Selection,
    Shelf,
    Source,
    View,
    batch_of_piece,
    paged,
    times_of,
)
from services.data.records import SeriesState, no_series
from services.data.series import FUNDING_RATES, OPEN_INTEREST, Kind, Series

_TOLD_MAX = 1024
_FindAll: TypeAlias = Callable[[str, str], Mapping[Series, SeriesState]]


@dataclass(frozen=True)
class Query:
    """Rows of series of one kind, one series after the other. `timeframe` is that of longer bars to make of
    them; empty gives what is stored."""

    series: tuple[Series, ...]
    selection: Selection
    form: Form = PLAIN
    timeframe: str = ""


@dataclass(frozen=True)
class FrameQuery:
    """Aligned frames, one after the other, each with at most `limit` bars (0 is all)."""

    specs: tuple[FrameSpec, ...]
    limit: int = 0
    newest_first: bool = False
    form: Form = PLAIN


@dataclass(frozen=True)
class _Plan:
    """What a frame is read from: the resolved spec, what is stored of its series and of its reference."""

    spec: FrameSpec
    as_of_us: int
    own: _Stored
    reference: _Stored | None


@dataclass(frozen=True)
class _Stored:
    """What is stored of an instrument: the candles that its bars are made of, and what else."""

    series: Series
    base: Series
    state: SeriesState
    others: Mapping[Kind, SeriesState]

    @property
    def states(self) -> list[SeriesState]:
        return [self.state, *self.others.values()]

    @property
    def read(self) -> list[tuple[Series, SeriesState]]:
        others = [(self.series.sibling(kind), state) for kind, state in self.others.items()]
        return [(self.base, self.state), *others]


class Reader:
    """Reads what a store holds. `lags` are how long after its observation open interest is known."""

    def __init__(self, store: Shelf, lags: OpenInterestLags = NO_LAGS) -> None:
        self._store = store
        self._lags = lags
        # The states that were told last, each with what was remembered then: the same object, the same state.
        self._told: dict[FrameSpec, tuple[dict[tuple[str, str], Mapping[Series, SeriesState]], str]] = {}

    def streams(self, query: Query, bounds: Bounds) -> Iterator[list[Any]]:
        """The rows as Arrow IPC streams of at most 1 MiB, each in parts to be concatenated; at least one for
        each series.

        Raises
        ------
        NotFound
            There is no such series; before the first stream.
        ResourceExhausted
            More rows than the bounds allow; before the first stream where that is known.
        """
        sources = [self._source(series, query, bounds.check) for series in query.series]
        selection, form = query.selection, query.form
        _expect(bounds, [(source, selection) for source in sources])
        for series, source in zip(query.series, sources, strict=True):
            named = series.metadata()
            if query.timeframe:
                named |= {"timeframe": query.timeframe, "base_timeframe": series.timeframe}
            schema = form.schema(series.kind.schema).with_metadata(named)
            pieces = source.pieces(selection)
            yield from _streams(schema, (_message(series.kind, piece, form, bounds) for piece in pieces))

    def frames(self, query: FrameQuery, bounds: Bounds) -> Iterator[list[Any]]:
        """Aligned frames in the same way."""
        plans = [self._plan(spec, bounds.check) for spec in query.specs]
        asked = [self._bars(plan, query.limit, query.newest_first, bounds.check) for plan in plans]
        _expect(bounds, asked)
        for plan, (source, selection) in zip(plans, asked, strict=True):
            batches = self._frame(plan, source.pieces(selection), bounds.check)
            schema = query.form.schema(frame_schema(plan.spec))
            yield from _streams(schema, (_written(batch, query.form, bounds) for batch in batches))

    def frame(self, spec: FrameSpec, check: Callable[[], None]) -> Iterator[Any]:
        """The aligned frame of a resolved spec as record batches; none when it has no rows."""
        plan = self._plan(spec, check)
        source, selection = self._bars(plan, 0, False, check)
        return self._frame(plan, source.pieces(selection), check)

    def resolved(self, spec: FrameSpec, check: Callable[[], None]) -> FrameSpec:
        """The spec with `as_of_us` and `base_timeframe` filled in.

        Raises
        ------
        NotFound
            There are no such candles, and none to make them of.
        """
        return self._plan(spec, check).spec

    def state(self, spec: FrameSpec, check: Callable[[], None]) -> str:
        """A word of what the spec's frame is read from. Rows that are read after it was told, and the same
        word told later, are the rows of then, too; see `state_of`.

        Raises
        ------
        NotFound
            There are no such candles, and none to make them of.
        """
        return self._state(self._plan(spec, check))

    def remembered_state(self, spec: FrameSpec) -> str | None:
        """The same where that takes no time, else None."""
        known = {}
        for each in [spec.series] if spec.reference is None else [spec.series, spec.reference]:
            if (found := self._store.remembered(each.venue, each.symbol)) is None:
                return None
            known[each.venue, each.symbol] = found
        if spec.as_of_us is not None:
            return None  # what had been stored then is in the blocks
        last, state = self._told.get(spec, (None, ""))
        if last is not None and all(last[whose] is found for whose, found in known.items()):
            return state
        state = self._state(self._plan(spec, lambda: None, lambda venue, symbol: known[venue, symbol]))
        if len(self._told) >= _TOLD_MAX:
            self._told.clear()
        self._told[spec] = known, state
        return state

    def _state(self, plan: _Plan) -> str:
        parts = [plan.own] if plan.reference is None else [plan.own, plan.reference]
        lags_us = [self._lags.of(part.series.venue) for part in parts]
        return state_of(plan.spec, [each for part in parts for each in part.read], lags_us)

    def settlement_interval_us(self, series: Series) -> int | None:
        """The time between the two newest settlements, None where there are none or one, or the series is of
        another kind or was just deleted."""
        if series.kind is not FUNDING_RATES or (state := self._store.find(series)) is None:
            return None
        view = View(self._store, series.kind, state, state.newest_capture_us, lambda: None)
        try:
            times = view.rows_from_before(END_US, 2).times
        except Aborted:
            return None
        return int(times[1] - times[0]) if len(times) == 2 else None

    def _source(self, series: Series, query: Query, check: Callable[[], None]) -> Source:
        state = self._found(series)
        as_of_us = _as_of(query.selection.as_of_us, [state])
        if query.timeframe:
            closed = View(self._store, series.kind, state, as_of_us, check, series.step_us)
            return LongerBars(closed, query.timeframe)
        return View(self._store, series.kind, state, as_of_us, check)

    def _plan(self, spec: FrameSpec, check: Callable[[], None], find_all: _FindAll | None = None) -> _Plan:
        find_all = find_all or self._store.find_all
        own, reference = self._stored(spec, find_all, check), None
        if spec.reference is not None:
            asked = dataclasses.replace(spec, series=spec.reference, base_timeframe=None)
            reference = self._stored(asked, find_all, check)
        as_of_us = _as_of(spec.as_of_us, own.states + (reference.states if reference else []))
        named = None if own.base == spec.series else own.base.timeframe
        filled = dataclasses.replace(spec, as_of_us=as_of_us, base_timeframe=named)
        return _Plan(filled, as_of_us, own, reference)

    def _stored(self, spec: FrameSpec, find_all: _FindAll, check: Callable[[], None]) -> _Stored:
        stored = find_all(spec.series.venue, spec.series.symbol)
        base, state = self._base(spec, stored, check)
        kinds = (FUNDING_RATES, OPEN_INTEREST)
        others = {kind: stored[named] for kind in kinds if (named := spec.series.sibling(kind)) in stored}
        return _Stored(spec.series, base, state, others)

    def _bars(
        self, plan: _Plan, limit: int, newest_first: bool, check: Callable[[], None]
    ) -> tuple[Source, Selection]:
        """Where the bars of a frame come from, and which."""
        spec = plan.spec
        last_end_us = plan.as_of_us - spec.series.step_us + 1  # bars that open later had not closed
        selection = Selection(
            BEGINNING_US if spec.start_us is None else spec.start_us,
            last_end_us if spec.end_us is None else min(spec.end_us, last_end_us),
            limit,
            newest_first,
        )
        return self._candles(plan.own, plan.as_of_us, check), selection

    def _candles(self, stored: _Stored, as_of_us: int, check: Callable[[], None]) -> Source:
        """The closed bars of an instrument."""
        base = stored.base
        view = View(self._store, base.kind, stored.state, as_of_us, check, base.step_us)
        return view if base == stored.series else LongerBars(view, stored.series.timeframe)

    def _base(
        self, spec: FrameSpec, stored: Mapping[Series, SeriesState], check: Callable[[], None]
    ) -> tuple[Series, SeriesState]:
        """The stored candles that a frame's bars are made of.

        By default its own, else the longest shorter ones: of which something had been stored at `as_of_us`,
        so that the answer does not change when others are stored later.
        """
        if spec.base_timeframe is not None:
            named = dataclasses.replace(spec.series, timeframe=spec.base_timeframe)
            if named not in stored:
                raise no_series(named)
            return named, stored[named]
        found: list[tuple[Series, SeriesState]] = []
        for timeframe in (spec.series.timeframe, *shorter_timeframes(spec.series.timeframe)):
            series = dataclasses.replace(spec.series, timeframe=timeframe)
            if (state := stored.get(series)) is not None:
                as_of_us = _as_of(spec.as_of_us, [state])
                if View(self._store, series.kind, state, as_of_us, check).had_been_stored():
                    return series, state
                found.append((series, state))
        if not found:
            raise no_series(spec.series)
        return found[0]

    def _found(self, series: Series) -> SeriesState:
        state = self._store.find(series)
        if state is None:
            raise no_series(series)
        return state

    def _frame(self, plan: _Plan, pieces: Iterable[Piece], check: Callable[[], None]) -> Iterator[Any]:
        spec = plan.spec
        lag_us = self._lags.of(spec.series.venue)
        views = self._observations(plan.own, plan.as_of_us, check)
        reference = self._reference(plan, check)
        for page in paged(pieces):
            batches = [batch_of_piece(spec.series.kind, piece) for piece in page]
            opens = np.concatenate([times_of(batch) for batch in batches])
            closes = opens + spec.series.step_us
            funding = known_of(views.get(FUNDING_RATES), closes, spec.funding_max_age_us)
            interest = known_of(views.get(OPEN_INTEREST), closes, spec.open_interest_max_age_us, lag_us)
            beside = reference.columns(opens, spec.series.step_us) if reference else ()
            start = 0
            for batch in batches:
                yield aligned(batch, funding, interest, start, beside)
                start += batch.num_rows

    def _observations(self, stored: _Stored, as_of_us: int, check: Callable[[], None]) -> Mapping[Kind, View]:
        return {
            kind: View(self._store, kind, state, as_of_us, check) for kind, state in stored.others.items()
        }

    def _reference(self, plan: _Plan, check: Callable[[], None]) -> Reference | None:
        if plan.reference is None:
            return None
        views = self._observations(plan.reference, plan.as_of_us, check)
        return Reference(
            self._candles(plan.reference, plan.as_of_us, check),
            views.get(FUNDING_RATES),
            views.get(OPEN_INTEREST),
            plan.spec.funding_max_age_us,
            plan.spec.open_interest_max_age_us,
            self._lags.of(plan.reference.series.venue),
        )


def _as_of(asked_us: int | None, states: Iterable[SeriesState]) -> int:
    """As asked, else the newest capture: all that is known now. Not the clock's now, which a call that is
    being committed may have read already: the same question would have another answer later."""
    return max(state.newest_capture_us for state in states) if asked_us is None else asked_us


def _expect(bounds: Bounds, asked: Sequence[tuple[Source, Selection]]) -> None:
    """Refuse what is known to be too much before anything is given. A limit that is small enough needs no
    look at the store."""
    limit = asked[0][1].limit
    if not limit or limit * len(asked) > bounds.rows_max:
        bounds.expect(sum(source.sure_count(selection) for source, selection in asked))


def _streams(schema: pa.Schema, messages: Iterable[Any]) -> Iterator[list[Any]]:
    """Record batch messages as IPC streams of at most 1 MiB, at least one."""
    head = schema.serialize()
    parts: list[Any] = [head]
    size = empty_size = len(head) + len(END_OF_STREAM)
    for message in messages:
        if size + len(message) > CHUNK_BYTES_MAX and len(parts) > 1:
            yield [*parts, END_OF_STREAM]
            parts, size = [head], empty_size
        parts.append(message)
        size += len(message)
    yield [*parts, END_OF_STREAM]


def _message(kind: Kind, piece: Piece, form: Form, bounds: Bounds) -> Any:
    """A piece as a record batch message: a whole block's as it lies."""
    if isinstance(piece, Block) and form.is_plain:
        bounds.give(piece.head.row_count)
        return piece.batch
    return _written(batch_of_piece(kind, piece), form, bounds)


def _written(batch: Any, form: Form, bounds: Bounds) -> Any:
    bounds.give(batch.num_rows)
    return form.batch(batch).serialize()
