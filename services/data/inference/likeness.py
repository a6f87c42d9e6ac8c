"""How like the rows of a frame are to stored ones at the same times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from services.data.inference.clues import Clue
from services.data.revisions import Rows, Times, Values
from services.data.series import CANDLES, Series

ROWS_MIN = 8
_SAME = 1e-9
_NEAR = 2e-3
_RETURNS_MIN = 20
_CORRELATION_MIN = 0.9


@dataclass(frozen=True)
class Likeness:
    """A comparison with a stored series: how many rows of the same times have a telling value, the share of
    equal ones, the median relative difference, and the correlation of log returns (NaN without enough)."""

    series: Series
    rows_count: int
    equal_share: float
    difference: float
    correlation: float

    @property
    def is_equal(self) -> bool:
        """Whether the rows are the stored ones, but for a few that were revised."""
        return self.rows_count >= ROWS_MIN and self.equal_share >= 0.9

    @property
    def is_near(self) -> bool:
        """Whether they are prices of the same thing, at another venue or of another contract."""
        return self.difference < _NEAR and self.correlation > _CORRELATION_MIN


def likeness(series: Series, times: Times, columns: Mapping[str, Values], stored: Rows) -> Likeness | None:
    """Compare a frame with stored rows; None where they have no times or no column in common.

    Parameters
    ----------
    times
        Strictly increasing.
    columns
        Of the frame, by role. The open of a bar is the same for every length of bar that opens then.
    """
    name = next((name for name in series.kind.columns if name in columns), None)
    if name is None or (series.kind is CANDLES and name not in ("open", "close")):
        return None
    _, mine, theirs = np.intersect1d(times, stored.times, assume_unique=True, return_indices=True)
    ours, others = columns[name][mine], stored.columns[series.kind.columns.index(name)][theirs]
    # Rows that many series share, as a funding rate at its floor, say nothing.
    values, counts = np.unique(ours[np.isfinite(ours)], return_counts=True)
    common = values[counts > max(3, 0.05 * len(ours))]
    telling = np.isfinite(ours) & np.isfinite(others) & ~np.isin(ours, common)
    ours, others = ours[telling], others[telling]
    if not len(ours):
        return None
    scale = np.maximum(np.maximum(np.abs(ours), np.abs(others)), 1e-300)
    differences = np.abs(ours - others) / scale
    return Likeness(
        series,
        len(ours),
        float((differences <= _SAME).mean()),
        float(np.median(differences)),
        _correlation(ours, others) if series.kind is CANDLES else float("nan"),
    )


def likeness_clues(found: list[Likeness]) -> list[Clue]:
    """What the comparisons say: of equal series the strongest there is, else of near ones."""
    equal = [like for like in found if like.is_equal]
    near = [] if equal else [like for like in found if like.is_near]
    clues = []
    for likes, word, chance in ((equal, "equal", 0.99), (near, "near", 0.7)):
        symbols = {like.series.symbol: like for like in likes}
        if not symbols:
            continue
        most = max(likes, key=lambda like: like.rows_count)
        chance *= min(1.0, 0.9 + most.rows_count / 1000) if word == "equal" else 1.0
        venues: dict[str, str] = {}
        for like in likes:
            series = like.series
            is_elsewhere = series.symbol in venues and venues[series.symbol] != series.venue
            venues[series.symbol] = "" if is_elsewhere or word == "near" else series.venue
        clues.append(Clue(dict.fromkeys(symbols, chance / len(symbols)), _sentence(most, word), venues))
    return clues


def _sentence(like: Likeness, word: str) -> str:
    name = like.series.name
    if word == "equal":
        return f"{like.equal_share:.0%} of {like.rows_count} rows compared are those of the stored {name}."
    return (
        f"Its prices differ by {like.difference:.2%} from the stored {name} and move with them "
        f"(correlation {like.correlation:.2f}): the same thing, perhaps of another venue or contract."
    )


def _correlation(ours: Values, others: Values) -> float:
    if len(ours) <= _RETURNS_MIN or ours.min() <= 0 or others.min() <= 0:
        return float("nan")
    one, other = np.diff(np.log(ours)), np.diff(np.log(others))
    if not one.std() or not other.std():
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])
