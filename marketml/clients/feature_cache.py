"""The features that the room keeps on disk."""

from __future__ import annotations

from typing import Any

from marketml.features.v1 import features_pb2 as pb
from marketml.market.v1 import market_pb2


class CacheCalls:
    """The part of `FeaturesClient` that is about the cache. What is given narrows down which entries are
    meant; nothing given means all."""

    _stub: Any

    def clear_feature_cache(
        self,
        venue: str | None = None,
        symbol: str | None = None,
        timeframe: str | None = None,
        *,
        config: pb.FeatureConfig | None = None,
        dry_run: bool = False,
    ) -> pb.ClearFeatureCacheResponse:
        """Remove features from the room's disk, or only say what would go.

        Parameters
        ----------
        venue, symbol
            Of this series; None of all.
        timeframe
            None takes all of the symbol's.
        config
            Of this config, its limits apart; None of all.
        """
        response: pb.ClearFeatureCacheResponse = self._stub.ClearFeatureCache(
            pb.ClearFeatureCacheRequest(
                series=_series(venue, symbol, timeframe), config=config, dry_run=dry_run
            )
        )
        return response

    def get_feature_cache_status(
        self,
        venue: str | None = None,
        symbol: str | None = None,
        timeframe: str | None = None,
        *,
        config: pb.FeatureConfig | None = None,
    ) -> pb.GetFeatureCacheStatusResponse:
        """What the room keeps on disk of a series, of a config, of both or all; parameters as
        `clear_feature_cache`."""
        response: pb.GetFeatureCacheStatusResponse = self._stub.GetFeatureCacheStatus(
            pb.GetFeatureCacheStatusRequest(series=_series(venue, symbol, timeframe), config=config)
        )
        return response


def _series(venue: str | None, symbol: str | None, timeframe: str | None) -> market_pb2.SeriesKey | None:
    if venue is None and symbol is None and timeframe is None:
        return None
    return market_pb2.SeriesKey(venue=venue, symbol=symbol, timeframe=timeframe)
