"""A stream of features taken apart: header, progress, the frame piece by piece, summary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from marketml.features.v1 import features_pb2 as pb
from marketml.rpc.frames import TIME_COLUMN, Limits, read_tables, to_frame
from marketml.rpc.refusals import DataLoss

FEATURES_MAX = 20_000  # FeatureLimits.max_features goes so far
_FRAME_FIELD = pb.GenerateFeaturesResponse.FRAME_FIELD_NUMBER
_FRAME_TAG = bytes((_FRAME_FIELD << 3 | 2,))

OnProgress = Callable[[float, str], None]


@dataclass(frozen=True, eq=False)
class FeatureFrame:
    """Features as they were computed.

    Attributes
    ----------
    frame : DataFrame
        Index `open_time` (UTC), a float64 column per feature, NaN where not known.
    digest : str
        Equal digests mean equal values.
    warm_up_bars : int
        Rows at the start in which some feature is not warmed up yet.
    header, summary
        What the room said before and after; `header.omitted` lists what the source could not give.
    """

    frame: pd.DataFrame
    digest: str
    warm_up_bars: int
    header: pb.FeatureHeader
    summary: pb.FeatureSummary


class FeatureStream:
    """Features as they are computed: iterate over their frames, each the next rows with every feature.

    `header` is there from the start, `summary` after the last frame.
    """

    def __init__(self, messages: Iterator[bytes], on_progress: OnProgress | None = None) -> None:
        self._messages = messages
        self._on_progress = on_progress
        self._header: pb.FeatureHeader | None = None
        self.summary: pb.FeatureSummary | None = None
        self._first: bytes | None = next(self._chunks(), None)

    @property
    def header(self) -> pb.FeatureHeader:
        """What the room said before the first frame."""
        if self._header is None:
            raise _damaged()
        return self._header

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return map(to_frame, self.tables())

    def tables(self) -> Iterator[pa.Table]:
        """The same as Arrow tables: `open_time` and a column per feature.

        Raises
        ------
        DataLoss
            A piece is absent or damaged, or header, rows and summary do not fit together.
        """
        names = list(self.header.feature_names)
        limits = Limits(rows_max=2**62, columns_max=FEATURES_MAX + 1, bytes_max=2**62)
        rows, pieces = 0, _Pieces(names)
        for piece in read_tables(self._from_first(), limits, _FRAME_FIELD):
            table = pieces.joined(piece)
            if table is not None:
                rows += table.num_rows
                yield table
        if self.summary is None or rows != self.header.row_count or not pieces.is_whole:
            raise _damaged()

    def _from_first(self) -> Iterator[bytes]:
        if self._first is not None:
            yield self._first
            self._first = None
            yield from self._chunks()

    def _chunks(self) -> Iterator[bytes]:
        """The messages that carry pieces of the frame; the rest is kept or told."""
        for message in self._messages:
            if message.startswith(_FRAME_TAG):
                yield message
                continue
            part = pb.GenerateFeaturesResponse.FromString(message)
            if part.HasField("header"):
                self._header = part.header
            elif part.HasField("summary"):
                self.summary = part.summary
            elif self._on_progress is not None and part.HasField("progress"):
                self._on_progress(part.progress.fraction, part.progress.stage)


class _Pieces:
    """Puts rows together whose columns came one group after the other."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._groups: list[list[pa.Table]] = []
        self._covered = 0  # names of the groups that began

    @property
    def is_whole(self) -> bool:
        """Whether no piece waits for others."""
        return not self._groups

    def joined(self, piece: pa.Table) -> pa.Table | None:
        """The rows that this piece makes whole, if it does."""
        columns = piece.schema.names[1:]
        if self._groups and columns == self._groups[-1][0].schema.names[1:]:
            self._groups[-1].append(piece)
        elif columns and columns == self._names[self._covered : self._covered + len(columns)]:
            self._groups.append([piece])
            self._covered += len(columns)
        else:
            raise _damaged()
        rows = [sum(table.num_rows for table in group) for group in self._groups]
        if self._covered < len(self._names) or rows[-1] < rows[0]:
            return None
        first, *others = (pa.concat_tables(group) for group in self._groups)
        self._groups, self._covered = [], 0
        if not all(other.column(TIME_COLUMN).equals(first.column(TIME_COLUMN)) for other in others):
            raise _damaged()
        columns = [*first.columns, *(column for other in others for column in other.columns[1:])]
        table = pa.table(columns, names=[TIME_COLUMN, *self._names])
        return table.replace_schema_metadata(first.schema.metadata)


def _damaged() -> DataLoss:
    return DataLoss("The features arrived damaged: header, rows and summary do not fit together.")
