"""The features room as Python sees it.

with FeaturesClient("127.0.0.1:50052") as features:
    generated = features.generate_features(snapshot_id=snapshot_id)
    generated.frame                                  # DataFrame: index open_time, a float64 column each
    generated.frame.iloc[generated.warm_up_bars :]   # without the rows that are not warmed up
    with features.stream_features(snapshot_id=snapshot_id) as stream:
        for frame in stream:                         # the same, as it is computed, some rows at a time
            ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from marketml.clients.connection import Connection, every
from marketml.clients.data_messages import Instrument, reference_key
from marketml.clients.feature_audit import AuditCalls, LeakAudit
from marketml.clients.feature_cache import CacheCalls
from marketml.clients.feature_selection import SelectionCalls
from marketml.clients.feature_source import aware, put_source
from marketml.clients.feature_stream import FeatureFrame, FeatureStream
from marketml.features.v1 import features_pb2 as pb
from marketml.features.v1.features_pb2_grpc import FeatureServiceStub
from marketml.market.v1 import market_pb2
from marketml.rpc.channels import Tls
from marketml.rpc.frames import stream_bytes, to_frame
from marketml.rpc.refusals import DataLoss

__all__ = ["FeatureFrame", "FeatureStream", "FeaturesClient", "LeakAudit"]

_SERVICE = pb.DESCRIPTOR.services_by_name["FeatureService"]


class FeaturesClient(AuditCalls, CacheCalls, SelectionCalls, Connection):
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
        reference: Instrument | None = None,
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
        reference
            Venue and symbol of another instrument whose bars stand beside the series' own, for the features
            of the family cross_symbol.
        config
            None takes the room's default.
        newest_count
            Only the last so many rows, 0 for all; they are computed from the whole source.
        on_progress
            Called with a fraction that never falls and what is being done.
        """
        with self.stream_features(
            snapshot_id,
            venue=venue,
            symbol=symbol,
            timeframe=timeframe,
            start=start,
            end=end,
            as_of=as_of,
            reference=reference,
            config=config,
            newest_count=newest_count,
            on_progress=on_progress,
        ) as stream:
            table = pa.concat_tables(stream.tables())
        header, summary = stream.header, stream.summary
        assert summary is not None  # or the stream would have been damaged
        return FeatureFrame(to_frame(table), header.digest, header.warm_up_bars, header, summary)

    @contextmanager
    def stream_features(
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
        config: pb.FeatureConfig | None = None,
        newest_count: int = 0,
        on_progress: Callable[[float, str], None] | None = None,
    ) -> Iterator[FeatureStream]:
        """The same as `generate_features` piece by piece, for a result larger than this process can hold:
        iterate over what this gives. The room stops computing when the block is left."""
        request = pb.GenerateFeaturesRequest(config=config, newest_count=newest_count)
        put_source(request, snapshot_id, venue, symbol, timeframe, start, end, as_of, reference)
        with self._generate(request) as messages:
            yield FeatureStream(messages, on_progress)

    def describe_features(
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
        config: pb.FeatureConfig | None = None,
    ) -> pb.FeatureHeader:
        """What `generate_features` would give of a snapshot or a series; nothing is computed."""
        request = pb.GenerateFeaturesRequest(config=config, header_only=True)
        put_source(request, snapshot_id, venue, symbol, timeframe, start, end, as_of, reference)
        with self._generate(request) as messages:
            for message in messages:
                return pb.GenerateFeaturesResponse.FromString(message).header
        raise DataLoss("The features room said nothing of the features.")

    def get_latest_features(
        self,
        venue: str,
        symbol: str,
        timeframe: str,
        *,
        config: pb.FeatureConfig | None = None,
        as_of: datetime | None = None,
        reference: Instrument | None = None,
    ) -> pd.Series:
        """The features of the newest closed bar, as known at `as_of` (None is now): what `generate_features`
        gives for it, with the same `reference`, from just enough history.

        Returns
        -------
        float64 Series (features,)
            By name, NaN where not known. `name` is the bar's `open_time`; `attrs` hold `known_time`,
            `history_bars`, `config_digest` and `omitted`, the column that each feature left out lacks.
        """
        request = pb.GetLatestFeaturesRequest(
            series=market_pb2.SeriesKey(venue=venue, symbol=symbol, timeframe=timeframe),
            config=config,
            reference=reference_key(reference),
        )
        if as_of is not None:
            request.as_of_time.FromDatetime(aware(as_of))
        answer = self._stub.GetLatestFeatures(request)
        found = pd.Series(
            np.fromiter(answer.values, np.float64),
            index=_index(tuple(answer.feature_names)).copy(),  # whose name the caller may change
            name=pd.Timestamp(answer.open_time.ToDatetime(UTC)),
            copy=False,
        )
        found.attrs = {
            "known_time": pd.Timestamp(answer.known_time.ToDatetime(UTC)),
            "history_bars": answer.history_bars,
            "config_digest": answer.config_digest,
            "omitted": {each.name: each.missing_column for each in answer.omitted},
        }
        return found

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


@lru_cache(64)
def _index(names: tuple[str, ...]) -> pd.Index[str]:
    """Made once for all vectors of a config: pandas takes a third of a millisecond for 250 names."""
    return pd.Index(names)
