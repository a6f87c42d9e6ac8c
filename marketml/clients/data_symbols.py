"""Names of instruments: how they are spelled, and what a frame without one may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from marketml.data.v1 import data_pb2 as pb
from marketml.rpc.frames import CHUNK_BYTES_MAX, cut
from marketml.rpc.refusals import InvalidArgument

_TYPES = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_string)


class SymbolCalls:
    """The part of `DataClient` that is about names of instruments."""

    _stub: Any

    def normalize_symbol(self, text: str, venue: str = "") -> pb.NormalizeSymbolResponse:
        """A venue's spelling in unified form, and how it was recognised."""
        response: pb.NormalizeSymbolResponse = self._stub.NormalizeSymbol(
            pb.NormalizeSymbolRequest(text=text, venue=venue)
        )
        return response

    def infer_series(
        self,
        frame: pd.DataFrame | pa.Table,
        metadata: Mapping[str, str] | None = None,
        *,
        venue: str = "",
    ) -> list[pb.SeriesSuggestion]:
        """What a frame of unknown origin may be: suggestions, the likeliest first, each with a confidence and
        reasons; none when nothing speaks for anything.

        Parameters
        ----------
        frame
            With any columns; its newest rows are sent, as many as fit 1 MiB. Its `attrs` count as metadata.
        metadata
            What else is known of it: `file`, `title`, `symbol`…
        venue
            When it is known.
        """
        said = dict(metadata or {})
        if isinstance(frame, pd.DataFrame):
            said = {str(key): str(value) for key, value in frame.attrs.items()} | said
            frame = _table(frame)
        request = pb.InferSeriesRequest(arrow_ipc=_newest_rows(_sendable(frame)), metadata=said, venue=venue)
        response: pb.InferSeriesResponse = self._stub.InferSeries(request)
        return list(response.suggestions)


def _table(frame: pd.DataFrame) -> pa.Table:
    """With its index when that has a name or is of times."""
    is_kept = frame.index.name is not None or isinstance(frame.index, pd.DatetimeIndex)
    try:
        table = pa.Table.from_pandas(frame, preserve_index=is_kept)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise InvalidArgument.of("frame", "columns", f"cannot be sent: {str(error)[:200]}") from None
    return table.replace_schema_metadata()


def _sendable(table: pa.Table) -> pa.Table:
    """Times in microseconds, what is neither time nor number as text, and without what is not even that."""
    names, columns = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_timestamp(field.type) or pa.types.is_date(field.type):
            zone = "UTC" if pa.types.is_timestamp(field.type) and field.type.tz else None
            column = column.cast(pa.timestamp("us", zone), safe=False)
        elif not any(is_type(field.type) for is_type in _TYPES):
            try:
                column = column.cast(pa.string())
            except pa.ArrowException:
                continue
        names.append(field.name)
        columns.append(column)
    return pa.table(columns, names=names).replace_schema_metadata(table.schema.metadata)


def _newest_rows(table: pa.Table) -> bytes:
    """The last rows that one message takes."""
    table = table.combine_chunks()
    count = table.num_rows
    while count:
        ipc = next(cut(table.slice(table.num_rows - count)))
        held = pa.ipc.open_stream(ipc).read_all().num_rows
        if held == count:
            return ipc
        count = min(held, count - 1)
    return next(cut(table, CHUNK_BYTES_MAX))
