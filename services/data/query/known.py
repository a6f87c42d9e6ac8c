"""What was known at the close of a frame's bars: of a series, and of a reference beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.data.query.alignment import Known, newest_known, of_same_bars
from services.data.query.views import Selection, Source, View, rows_of
from services.data.revisions import Times, empty_rows, joined
from services.data.series import CANDLES


def known_of(view: View | None, closes: Times, max_age_us: int | None, lag_us: int = 0) -> Known:
    """The newest observation known at each close; none of a view that there is not."""
    if view is None:
        return newest_known(closes, empty_rows(1), max_age_us, lag_us)
    first_us, end_us = int(closes[0]) - lag_us, int(closes[-1]) - lag_us + 1
    if max_age_us is None:  # two settlements say how old the newer one may be
        observed = view.rows_from_before(first_us + 1, 2, end_us)
    else:
        observed = view.rows(int(closes[0]) - max_age_us, end_us)
    return newest_known(closes, observed, max_age_us, lag_us)


@dataclass(frozen=True)
class Reference:
    """What the columns of a frame's reference are read from. A maximum age of None and `lag_us` are as in
    `newest_known`."""

    bars: Source
    funding: View | None
    open_interest: View | None
    funding_max_age_us: int | None
    open_interest_max_age_us: int
    lag_us: int

    def columns(self, times: Times, step_us: int) -> list[Any]:
        """An array for each reference column at the bars that open at these times and last so long."""
        closes = times + step_us
        pieces = self.bars.pieces(Selection(int(times[0]), int(times[-1]) + 1))
        bars = joined([empty_rows(len(CANDLES.columns)), *(rows_of(CANDLES, piece) for piece in pieces)])
        return [
            *of_same_bars(times, bars),
            known_of(self.funding, closes, self.funding_max_age_us).values,
            known_of(self.open_interest, closes, self.open_interest_max_age_us, self.lag_us).values,
        ]
