"""What this room needs of the data room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pandas as pd

from marketml.clients.data import DataClient
from marketml.rpc.channels import Tls
from marketml.rpc.refusals import Internal, InvalidArgument, Unavailable, Violation
from services.features.source import Bars, SeriesKey, SeriesSource, SnapshotSource, Source

# The data room's request nests what ours holds in `series`.
_OUR_PATHS = (("frame.", "series."),)


class DataRoom:
    """The data room, behind its client. It connects at the first call."""

    def __init__(self, target: str, tls: Tls | None = None) -> None:
        self._client = DataClient(target, tls=tls)

    def count(self, source: Source, rows_max: int) -> int:
        """How many bars a source has at the most, as far as that can be told before it is read; no more than
        `rows_max`.

        Raises
        ------
        NotFound, Unavailable
            As `load`.
        """
        match source:
            case SnapshotSource(snapshot_id):
                with _told_as_ours():
                    return min(rows_max, self._client.get_snapshot(snapshot_id).row_count)
            case SeriesSource(key, start, end) if start is not None and end is not None:
                return min(rows_max, -((start - end) // key.bar))
        return rows_max

    def load(self, source: Source, rows_max: int) -> Bars | None:
        """The bars of a source; None when there are more than `rows_max`.

        Raises
        ------
        NotFound
            No such snapshot or series.
        Unavailable
            The data room does not answer.
        """
        with _told_as_ours():
            match source:
                case SnapshotSource(snapshot_id):
                    snapshot = self._client.get_snapshot(snapshot_id)
                    series = snapshot.frame.series
                    key = SeriesKey(series.venue, series.symbol, series.timeframe)
                    if snapshot.row_count > rows_max:
                        return None
                    return Bars(key, self._client.read_snapshot(snapshot_id))
                case SeriesSource(key, start, end, as_of):
                    frame = self._client.query_frame(
                        venue=key.venue,
                        symbol=key.symbol,
                        timeframe=key.timeframe,
                        start=start,
                        end=end,
                        as_of=as_of,
                        limit=rows_max + 1,
                    )
                    return Bars(key, frame) if len(frame) <= rows_max else None

    def load_newest(self, key: SeriesKey, as_of: datetime | None, rows_max: int) -> pd.DataFrame:
        """The last bars of a series, as known at `as_of`, at most so many.

        Raises
        ------
        NotFound, Unavailable
            As `load`.
        """
        with _told_as_ours():
            frame: pd.DataFrame = self._client.query_frame(
                venue=key.venue,
                symbol=key.symbol,
                timeframe=key.timeframe,
                as_of=as_of,
                limit=rows_max,
                newest_first=True,
            )
        return frame

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


@contextmanager
def _told_as_ours() -> Iterator[None]:
    """A field that the data room refuses is named as in our request; its address stays with us."""
    try:
        yield
    except InvalidArgument as refusal:
        raise InvalidArgument([_renamed(violation) for violation in refusal.violations]) from refusal
    except Unavailable as refusal:
        raise Unavailable(
            "The data room does not answer: send the same request again.", refusal.retry_after_seconds
        ) from refusal
    except Internal as refusal:  # a bug over there, which a caller here can do no more about
        raise Unavailable(f"The data room failed: {refusal.message}") from refusal


def _renamed(violation: Violation) -> Violation:
    for theirs, ours in _OUR_PATHS:
        if violation.field.startswith(theirs):
            renamed = ours + violation.field.removeprefix(theirs)
            return Violation(renamed, violation.rule, violation.description)
    return violation
