"""The choice of features by what came of the rows of a fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pyarrow as pa

from marketml.clients.data_messages import Instrument
from marketml.clients.feature_source import put_source
from marketml.features.v1 import features_pb2 as pb
from marketml.rpc.frames import TIME_TYPE

WAIT_SECONDS = 0.5  # between calls of `on_wait`
# The config's own limit ends the work, at the latest after an hour; this is past it.
TIMEOUT_SECONDS = 3_660.0


@dataclass(frozen=True, eq=False)
class MoreRows:
    """Rows of one more source to look at: its fields are those of `select_features`."""

    target: pd.Series[Any]
    weight: pd.Series[Any] | None = None
    snapshot_id: str | None = None
    venue: str | None = None
    symbol: str | None = None
    timeframe: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    as_of: datetime | None = None
    reference: Instrument | None = None


class SelectionCalls:
    """The part of `FeaturesClient` that fits."""

    _stub: Any

    def select_features(
        self,
        snapshot_id: str | None = None,
        *,
        venue: str | None = None,
        symbol: str | None = None,
        timeframe: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        as_of: datetime | None = None,
        reference: Instrument | None = None,
        target: pd.Series[Any],
        kind: pb.TargetKind,
        weight: pd.Series[Any] | None = None,
        config: pb.FeatureConfig | None = None,
        seed: int = 0,
        on_wait: Callable[[], None] | None = None,
        more: Sequence[MoreRows] = (),
    ) -> pb.SelectFeaturesResponse:
        """Fit what a config leaves to the data, on the rows of `target` and nothing else. The answer's
        `config` computes what was chosen and needs no fit any more.

        Parameters
        ----------
        snapshot_id, venue, symbol, timeframe, start, end, as_of, reference
            As `generate_features` takes them.
        target : Series (rows,)
            Index `open_time` (UTC), ascending, bars of the source; integers for classes, floats for a number.
        kind
            TARGET_KIND_BINARY, TARGET_KIND_MULTICLASS or TARGET_KIND_REAL.
        weight : float Series (rows,), optional
            With the same index; the model's importance takes it.
        config
            None takes the room's default, with selection.
        seed
            Of every random choice.
        on_wait
            Called now and then; what it raises ends the call, and the work in the room.
        more
            Rows of other instruments: what is chosen is chosen by the rows of all together.
        """
        request = pb.SelectFeaturesRequest(
            config=config, target_arrow=_packed(target, weight), target_kind=kind, seed=seed
        )
        put_source(request, snapshot_id, venue, symbol, timeframe, start, end, as_of, reference)
        for each in more:
            beside = request.more.add(target_arrow=_packed(each.target, each.weight))
            put_source(
                beside,
                each.snapshot_id,
                each.venue,
                each.symbol,
                each.timeframe,
                each.start,
                each.end,
                each.as_of,
                each.reference,
            )
        call = self._stub.SelectFeatures.future(request, timeout=TIMEOUT_SECONDS)
        try:
            while True:
                try:
                    response: pb.SelectFeaturesResponse = call.result(timeout=WAIT_SECONDS)
                    return response
                except grpc.FutureTimeoutError:
                    if on_wait is not None:
                        on_wait()
        finally:
            call.cancel()


def _packed(target: pd.Series[Any], weight: pd.Series[Any] | None) -> bytes:
    if not isinstance(target.index, pd.DatetimeIndex) or target.index.tz is None:
        raise TypeError("The index of target must be a DatetimeIndex that knows its zone.")
    if weight is not None and not weight.index.equals(target.index):
        raise ValueError("The index of weight must be that of target.")
    times = pa.Array.from_pandas(target.index.tz_convert("UTC").as_unit("us")).cast(TIME_TYPE)
    columns = {"open_time": times, "target": pa.array(target.to_numpy(), from_pandas=False)}
    if weight is not None:
        columns["weight"] = pa.array(weight.to_numpy(np.float64), from_pandas=False)
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed
