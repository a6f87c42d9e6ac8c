"""What this room needs of the data room."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pandas as pd

from marketml.clients.data import DataClient
from marketml.clients.frame_states import FrameStates
from marketml.market.v1 import market_pb2
from marketml.rpc.channels import Tls
from marketml.rpc.refusals import Internal, InvalidArgument, Unavailable, Unimplemented, Violation
from services.features.source import Bars, SeriesKey, SeriesSource, SnapshotSource, Source

# The data room's request nests in `frame` what ours hold in `series`, or of the newest bar nowhere.
_OF_RANGE, _OF_NEWEST = "series.", ""


class DataRoom:
    """The data room, behind its client. It connects at the first call."""

    def __init__(self, target: str, tls: Tls | None = None) -> None:
        self._client = DataClient(target, tls=tls)
        self._target = target
        self._tls = tls
        self._states: FrameStates | None = None

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
                    spec = snapshot.frame
                    reference = _read_key(spec.reference) if spec.HasField("reference") else None
                    key = _read_key(spec.series)
                    if snapshot.row_count > rows_max:
                        return None
                    return Bars(key, self._client.read_snapshot(snapshot_id), reference)
                case SeriesSource(key, start, end, as_of, reference):
                    frame = self._client.query_frame(
                        venue=key.venue,
                        symbol=key.symbol,
                        timeframe=key.timeframe,
                        start=start,
                        end=end,
                        as_of=as_of,
                        limit=rows_max + 1,
                        reference=_instrument(reference),
                    )
                    return Bars(key, frame, reference) if len(frame) <= rows_max else None

    async def frame_state(self, key: SeriesKey, reference: SeriesKey | None, as_of: datetime | None) -> str:
        """A word of what `load_newest` reads: told again after rows were read, they are still the same.
        On one loop only, as `leave_loop`.

        Raises
        ------
        NotFound, Unavailable
            As `load`.
        """
        if self._states is None:
            self._states = FrameStates(self._target, tls=self._tls)
        try:
            with _told_as_ours(_OF_NEWEST):
                return await self._states.get_frame_state(
                    venue=key.venue,
                    symbol=key.symbol,
                    timeframe=key.timeframe,
                    as_of=as_of,
                    reference=_instrument(reference),
                )
        except Unimplemented:  # a data room of an older version: whatever it has may have changed
            return secrets.token_hex(32)

    def load_newest(
        self, key: SeriesKey, reference: SeriesKey | None, as_of: datetime | None, rows_max: int
    ) -> pd.DataFrame:
        """The last bars of a series, those of a reference beside them, as known at `as_of`, at most so many.

        Raises
        ------
        NotFound, Unavailable
            As `load`.
        """
        with _told_as_ours(_OF_NEWEST):
            frame: pd.DataFrame = self._client.query_frame(
                venue=key.venue,
                symbol=key.symbol,
                timeframe=key.timeframe,
                as_of=as_of,
                limit=rows_max,
                newest_first=True,
                reference=_instrument(reference),
            )
        return frame

    async def leave_loop(self) -> None:
        """Close what `frame_state` opened."""
        if self._states is not None:
            await self._states.close()

    def close(self) -> None:
        """Close the connection of everything else."""
        self._client.close()


def _read_key(key: market_pb2.SeriesKey) -> SeriesKey:
    return SeriesKey(key.venue, key.symbol, key.timeframe)


def _instrument(key: SeriesKey | None) -> tuple[str, str] | None:
    return None if key is None else (key.venue, key.symbol)


@contextmanager
def _told_as_ours(path: str = _OF_RANGE) -> Iterator[None]:
    """A field that the data room refuses is named as in our request; its address stays with us."""
    try:
        yield
    except InvalidArgument as refusal:
        raise InvalidArgument([_renamed(violation, path) for violation in refusal.violations]) from refusal
    except Unavailable as refusal:
        raise Unavailable(
            "The data room does not answer: send the same request again.", refusal.retry_after_seconds
        ) from refusal
    except Internal as refusal:  # a bug over there, which a caller here can do no more about
        raise Unavailable(f"The data room failed: {refusal.message}") from refusal


def _renamed(violation: Violation, path: str) -> Violation:
    if not violation.field.startswith("frame."):
        return violation
    return Violation(path + violation.field.removeprefix("frame."), violation.rule, violation.description)
