"""The aligned frame: candles with the newest funding rate and open interest known at each bar's close, and
beside them those of a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marketml.rpc.frames import TIME_TYPE
from services.data.revisions import Rows, Times, Values
from services.data.series import CANDLES, HOUR_US, Series

LONE_SETTLEMENT_MAX_AGE_US = 12 * HOUR_US

_ADDED: list[Any] = [
    pa.field("funding_rate", pa.float64()),
    pa.field("funding_time", TIME_TYPE),
    pa.field("funding_rate_missing", pa.bool_()),
    pa.field("open_interest", pa.float64()),
    pa.field("open_interest_time", TIME_TYPE),
    pa.field("open_interest_missing", pa.bool_()),
]
FRAME_SCHEMA = pa.schema([*CANDLES.schema, *_ADDED])
_OF_SAME_BARS = ("close", "volume")
_REFERENCE: list[Any] = [
    pa.field(f"reference_{name}", pa.float64()) for name in (*_OF_SAME_BARS, "funding_rate", "open_interest")
]
_REFERRING_SCHEMA = pa.schema([*FRAME_SCHEMA, *_REFERENCE])


@dataclass(frozen=True)
class FrameSpec:
    """What a frame is made of. Times in microseconds since 1970 UTC; None is an open end of the range, for
    `as_of_us` now, for `funding_max_age_us` what the settlements say.

    `base_timeframe` names shorter bars to make the frame's of. None is by default until the spec is resolved;
    after that the series' own bars. `reference` are other candles of the same timeframe, always made as
    by default.
    """

    series: Series
    start_us: int | None
    end_us: int | None
    funding_max_age_us: int | None
    open_interest_max_age_us: int
    as_of_us: int | None
    base_timeframe: str | None = None
    reference: Series | None = None


@dataclass(frozen=True)
class Known:
    """One observation per bar: its value (float64), its time, and whether none was known or it was too old;
    then NaN and null."""

    values: pa.Array
    times: pa.Array
    missing: pa.Array


def open_interest_max_age_us(series: Series) -> int:
    """The default: the larger of 2 hours and 2 bars."""
    return max(2 * HOUR_US, 2 * series.step_us)


def settlement_max_ages_us(times: Times) -> Times:
    """How old each settlement may become: one and a half times its distance from the one before it, all that
    is known of the funding interval then. The first one has none before it: 12 hours."""
    ages = np.full(len(times), LONE_SETTLEMENT_MAX_AGE_US, np.int64)
    ages[1:] = np.diff(times) * 3 // 2
    return ages


def newest_known(closes: Times, observed: Rows, max_age_us: int | None, lag_us: int = 0) -> Known:
    """The newest observation known at each bar's close.

    The few observations are sought among the many closes, and each is repeated for the bars that know it.

    Parameters
    ----------
    closes
        Strictly increasing.
    observed
        Strictly increasing times; the first column is the value. Known from its time plus `lag_us` on.
    max_age_us
        An observation whose time lies further back than this from the close counts as missing. None takes
        `settlement_max_ages_us`.
    """
    count = len(closes)
    if max_age_us is None:
        ages = settlement_max_ages_us(observed.times)
    else:
        ages = np.full(len(observed), max_age_us, np.int64)
    begins = np.searchsorted(closes, observed.times + lag_us)
    ends = np.append(begins[1:], count)[: len(begins)]
    values, times, missing = observed.columns[0], observed.times, np.zeros(len(begins), np.bool_)
    is_stale = (begins < ends) & (closes[ends - 1] - times > ages) if count else missing
    if is_stale.any():
        # Each observation's run, and after it the run of the bars for which it is too old.
        oldest = times[is_stale] + ages[is_stale]
        fresh_ends = ends.copy()
        fresh_ends[is_stale] = np.maximum(begins[is_stale], np.searchsorted(closes, oldest, "right"))
        ends, missing = _woven(fresh_ends, ends), _woven(missing, ~missing)
        # Nothing of what counts as missing stays, not even under the validity bitmap: it is in no digest.
        values, times = _woven(values, np.full(len(values), np.nan)), _woven(times, np.zeros_like(times))
    first = begins[0] if len(begins) else count
    if first:
        ends, missing = np.append(first, ends), np.append(True, missing)
        values, times = np.append(np.nan, values), np.append(0, times)
    kept = ends > np.append(0, ends[:-1])
    if not kept.all():
        ends, missing, values, times = ends[kept], missing[kept], values[kept], times[kept]
    return _repeated(ends.astype(np.int32), values, times, missing)


def _woven(one: Any, other: Any) -> Any:
    """An element of one, an element of the other, and so on."""
    both = np.empty(2 * len(one), one.dtype)
    both[::2], both[1::2] = one, other
    return both


def _repeated(run_ends: Any, values: Values, times: Times, missing: Any) -> Known:
    """Runs written out, in Arrow's own memory, which is used again: fresh pages cost more than the join."""

    def decoded(of_runs: Any) -> Any:
        return pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(run_ends, pa.array(of_runs)))

    stamps = decoded(times)
    if not missing.any():
        flags = pa.py_buffer(bytes(len(stamps) // 8 + 1))
        none = pa.Array.from_buffers(pa.bool_(), len(stamps), [None, flags])
        return Known(decoded(values), stamps.view(TIME_TYPE), none)
    flags = decoded(missing)
    validity = pc.invert(flags).buffers()[1]
    stamps = pa.Array.from_buffers(TIME_TYPE, len(stamps), [validity, stamps.buffers()[1]])
    return Known(decoded(values), stamps, flags)


def of_same_bars(times: Times, bars: Rows) -> list[Any]:
    """Close and volume of the candles that open at these times, NaN where there is none: never another's."""
    places = np.searchsorted(bars.times, times)
    is_there = places < len(bars)
    is_there[is_there] = bars.times[places[is_there]] == times[is_there]
    found = []
    for name in _OF_SAME_BARS:
        values = np.full(len(times), np.nan)
        values[is_there] = bars.columns[CANDLES.columns.index(name)][places[is_there]]
        found.append(pa.array(values))
    return found


def aligned(
    candles: Any, funding: Known, open_interest: Known, start: int, reference: Sequence[Any] = ()
) -> Any:
    """A batch of the frame: a batch of candles, and beside it value, time and missing flag of funding and
    open interest, and the columns of a reference, from the bar `start` on."""
    count = candles.num_rows
    arrays = list(candles.columns)
    for known in (funding, open_interest):
        arrays += [each.slice(start, count) for each in (known.values, known.times, known.missing)]
    arrays += [each.slice(start, count) for each in reference]
    return pa.RecordBatch.from_arrays(arrays, schema=_REFERRING_SCHEMA if reference else FRAME_SCHEMA)


def frame_schema(spec: FrameSpec) -> pa.Schema:
    """The schema of a resolved spec's frame, with what it says of itself."""
    named = spec.series.metadata() | {"kind": "frame"}
    if spec.base_timeframe is not None:
        named["base_timeframe"] = spec.base_timeframe
    if spec.reference is None:
        return FRAME_SCHEMA.with_metadata(named)
    named |= {"reference_venue": spec.reference.venue, "reference_symbol": spec.reference.symbol}
    return _REFERRING_SCHEMA.with_metadata(named)
