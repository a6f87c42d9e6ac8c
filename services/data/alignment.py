"""The aligned frame: candles with the newest funding rate and open interest known at each bar's close."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from marketml.rpc.frames import TIME_TYPE
from services.data.revisions import Rows, Times, Values
from services.data.series import CANDLES, HOUR_US, Series

FUNDING_MAX_AGE_US = 12 * HOUR_US

_ADDED: list[Any] = [
    pa.field("funding_rate", pa.float64()),
    pa.field("funding_time", TIME_TYPE),
    pa.field("funding_rate_missing", pa.bool_()),
    pa.field("open_interest", pa.float64()),
    pa.field("open_interest_time", TIME_TYPE),
    pa.field("open_interest_missing", pa.bool_()),
]


@dataclass(frozen=True)
class FrameSpec:
    """What a frame is made of. Times in microseconds since 1970 UTC; None is an open end of the range, and
    for `as_of_us` now."""

    series: Series
    start_us: int | None
    end_us: int | None
    funding_max_age_us: int
    open_interest_max_age_us: int
    as_of_us: int | None


@dataclass(frozen=True)
class Known:
    """One observation per bar: NaN and missing where none was known or it was too old."""

    values: Values
    times: Times
    missing: npt.NDArray[np.bool_]


def open_interest_max_age_us(series: Series) -> int:
    """The default: the larger of 2 hours and 2 bars."""
    return max(2 * HOUR_US, 2 * series.step_us)


def newest_known(closes: Times, observed: Rows, max_age_us: int, lag_us: int = 0) -> Known:
    """The newest observation known at each bar's close.

    Parameters
    ----------
    closes
        Increasing.
    observed
        Strictly increasing times; the first column is the value. Known from its time plus `lag_us` on.
    max_age_us
        An observation whose time lies further back than this from the close counts as missing.
    """
    place = np.searchsorted(observed.times + lag_us, closes, "right") - 1
    if not len(observed):
        times = np.zeros(len(closes), np.int64)
        return Known(np.full(len(closes), np.nan), times, np.ones(len(closes), np.bool_))
    times = observed.times[place]
    missing = (place < 0) | (closes - times > max_age_us)
    # Nothing of what counts as missing stays, not even under the validity bitmap: it is in no digest.
    return Known(np.where(missing, np.nan, observed.columns[0][place]), np.where(missing, 0, times), missing)


def aligned(series: Series, candles: Rows, funding: Known, open_interest: Known) -> pa.Table:
    """The frame's table: candle columns, then value, time and missing flag of funding and open interest."""
    arrays = [pa.array(candles.times).view(TIME_TYPE), *map(pa.array, candles.columns)]
    for known in (funding, open_interest):
        stamps = pa.array(known.times, mask=known.missing).view(TIME_TYPE)
        arrays += [pa.array(known.values), stamps, pa.array(known.missing)]
    return pa.Table.from_arrays(arrays, schema=frame_schema(series))


def frame_schema(series: Series) -> pa.Schema:
    """The schema of a frame, empty or not."""
    return pa.schema([*CANDLES.schema, *_ADDED], metadata=series.metadata() | {"kind": "frame"})
