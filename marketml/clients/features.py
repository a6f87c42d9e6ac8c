"""The features room as Python sees it.

with FeaturesClient("127.0.0.1:50052") as features:
    generated = features.generate_features(snapshot_id=snapshot_id)
    generated.frame                                  # DataFrame: index open_time, a float64 column each
    generated.frame.iloc[generated.warm_up_bars :]   # without the rows that are not warmed up
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from marketml.clients.connection import Connection, every
from marketml.features.v1 import features_pb2 as pb
from marketml.features.v1.features_pb2_grpc import FeatureServiceStub
from marketml.market.v1 import market_pb2
from marketml.rpc.channels import Tls
from marketml.rpc.frames import Limits, read_chunks, stream_bytes, to_frame
from marketml.rpc.refusals import DataLoss

FEATURES_MAX = 10_000  # FeatureLimits.max_features goes so far

_SERVICE = pb.DESCRIPTOR.services_by_name["FeatureService"]
_FRAME_FIELD = pb.GenerateFeaturesResponse.FRAME_FIELD_NUMBER
_FRAME_TAG = bytes((_FRAME_FIELD << 3 | 2,))


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


class FeaturesClient(Connection):
    """A connection to the features room. Its methods raise the classes of `marketml.rpc.refusals`."""

    def __init__(self, target: str = "127.0.0.1:50052", *, tls: Tls | None = None) -> None:
        super().__init__(_SERVICE, target, tls)
        stub: Any = FeatureServiceStub
        self._stub = stub(self._channel)
        self._generate = stream_bytes(self._channel, _SERVICE.methods_by_name["GenerateFeatures"])

    def generate_features(
        self,
        snapshot_id: str | None = None,
        *,
        venue: str | None = None,
        symbol: str | None = None,
        timeframe: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        as_of: datetime | None = None,
        config: pb.FeatureConfig | None = None,
        newest_count: int = 0,
        on_progress: Callable[[float, str], None] | None = None,
    ) -> FeatureFrame:
        """Compute features at every bar of a snapshot, or of a series in [start, end) as known at `as_of`.

        Parameters
        ----------
        snapshot_id
            The snapshot; None takes `venue`, `symbol` and `timeframe`.
        start, end, as_of
            Aware datetimes; None is everything, and now.
        config
            None takes the room's default.
        newest_count
            Only the last so many rows, 0 for all; they are computed from the whole source.
        on_progress
            Called with a fraction that never falls and what is being done.
        """
        request = pb.GenerateFeaturesRequest(config=config, newest_count=newest_count)
        if snapshot_id is not None:
            if any(given is not None for given in (venue, symbol, timeframe, start, end, as_of)):
                raise TypeError("generate_features takes snapshot_id or a series, not both.")
            request.snapshot_id = snapshot_id
        else:
            request.series.CopyFrom(_series(venue, symbol, timeframe, start, end, as_of))
        answer = _Answer(on_progress)
        with self._generate(request) as messages:
            table = read_chunks(answer.chunks(messages), Limits(columns_max=FEATURES_MAX + 1), _FRAME_FIELD)
        header, summary = answer.header, answer.summary
        if header is None or summary is None or table.num_rows != header.row_count:
            raise DataLoss("The features arrived damaged: header, rows and summary do not fit together.")
        return FeatureFrame(to_frame(table), header.digest, header.warm_up_bars, header, summary)

    def validate_feature_config(self, config: pb.FeatureConfig) -> pb.ValidateFeatureConfigResponse:
        """What is wrong with a config, and what it would compute."""
        response: pb.ValidateFeatureConfigResponse = self._stub.ValidateFeatureConfig(
            pb.ValidateFeatureConfigRequest(config=config)
        )
        return response

    def get_default_feature_config(self) -> pb.FeatureConfig:
        """The config in force where a request says nothing."""
        response: pb.GetDefaultFeatureConfigResponse = self._stub.GetDefaultFeatureConfig(
            pb.GetDefaultFeatureConfigRequest()
        )
        return response.config

    def list_feature_presets(self, *, page_size: int = 0) -> list[pb.FeaturePreset]:
        """The configs that `FeatureConfig.preset` may name, from the cheapest to the dearest."""
        request = pb.ListFeaturePresetsRequest(page_size=page_size)
        return every(self._stub.ListFeaturePresets, request, "presets")

    def list_features(
        self, family: pb.FeatureFamily | None = None, *, page_size: int = 0
    ) -> list[pb.FeatureInfo]:
        """Every feature, or those of one family: by family, then name."""
        request = pb.ListFeaturesRequest(family=family, page_size=page_size)
        return every(self._stub.ListFeatures, request, "features")


class _Answer:
    """Takes a stream apart: chunks go on as bytes, the rest is kept or told."""

    def __init__(self, on_progress: Callable[[float, str], None] | None) -> None:
        self._on_progress = on_progress
        self.header: pb.FeatureHeader | None = None
        self.summary: pb.FeatureSummary | None = None

    def chunks(self, messages: Iterator[bytes]) -> Iterator[bytes]:
        for message in messages:
            if message.startswith(_FRAME_TAG):
                yield message
                continue
            part = pb.GenerateFeaturesResponse.FromString(message)
            if part.HasField("header"):
                self.header = part.header
            elif part.HasField("summary"):
                self.summary = part.summary
            elif self._on_progress is not None and part.HasField("progress"):
                self._on_progress(part.progress.fraction, part.progress.stage)


def _series(
    venue: str | None,
    symbol: str | None,
    timeframe: str | None,
    start: datetime | None,
    end: datetime | None,
    as_of: datetime | None,
) -> market_pb2.SeriesRange:
    key = market_pb2.SeriesKey(venue=venue, symbol=symbol, timeframe=timeframe)
    series = market_pb2.SeriesRange(series=key)
    for stamp, time in (
        (series.range.start_time, start),
        (series.range.end_time, end),
        (series.as_of_time, as_of),
    ):
        if time is not None:
            if time.tzinfo is None:
                raise ValueError(f"start, end and as_of must be aware of their zone: {time!r}.")
            stamp.FromDatetime(time)
    return series
