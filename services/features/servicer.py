"""FeatureService: messages in, messages out."""

from __future__ import annotations

from collections.abc import Iterator

from marketml.features.v1 import features_pb2 as pb
from services.features import (
    wire,
    wire_answer,
    wire_audit,
    wire_cache,
    wire_config,
    wire_latest,
    wire_selection,
)
from services.features.application import FeaturesApplication
from services.host import Call


class FeaturesServicer:
    """One method per RPC."""

    def __init__(self, application: FeaturesApplication) -> None:
        self._application = application

    def GenerateFeatures(
        self, request: pb.GenerateFeaturesRequest, call: Call
    ) -> Iterator[pb.GenerateFeaturesResponse | bytes]:
        parts = self._application.generate_features(
            wire.read_source(request),
            wire_config.read_config(request.config),
            request.newest_count,
            call.check,
            header_only=request.header_only,
        )
        return wire_answer.write_parts(parts)

    async def GetLatestFeatures(self, request: pb.GetLatestFeaturesRequest, call: Call) -> bytes:
        read = wire_latest.read_question
        asked = read(request) if wire_latest.is_short(request) else await call.run(read, request)
        latest = await self._application.get_latest_features(asked, call.run, call.check)
        return wire_latest.write_latest(latest)

    def ValidateFeatureConfig(
        self, request: pb.ValidateFeatureConfigRequest, call: Call
    ) -> pb.ValidateFeatureConfigResponse:
        config = wire_config.read_required_config(request)
        return wire.write_review(self._application.validate_feature_config(config))

    def GetDefaultFeatureConfig(
        self, request: pb.GetDefaultFeatureConfigRequest, call: Call
    ) -> pb.GetDefaultFeatureConfigResponse:
        config = self._application.get_default_feature_config()
        return pb.GetDefaultFeatureConfigResponse(config=wire_config.write_config(config))

    def ListFeaturePresets(
        self, request: pb.ListFeaturePresetsRequest, call: Call
    ) -> pb.ListFeaturePresetsResponse:
        presets, token = self._application.list_feature_presets(request.page_size, request.page_token)
        return pb.ListFeaturePresetsResponse(
            presets=[wire_config.write_preset(preset) for preset in presets], next_page_token=token
        )

    def ListFeatures(self, request: pb.ListFeaturesRequest, call: Call) -> pb.ListFeaturesResponse:
        entries, token = self._application.list_features(
            wire.read_family(request), request.page_size, request.page_token
        )
        return pb.ListFeaturesResponse(
            features=[wire.write_entry(entry) for entry in entries], next_page_token=token
        )

    def SelectFeatures(self, request: pb.SelectFeaturesRequest, call: Call) -> pb.SelectFeaturesResponse:
        selected = self._application.select_features(wire_selection.read_selection(request), call.check)
        return wire_selection.write_selected(selected)

    def AuditLeakage(self, request: pb.AuditLeakageRequest, call: Call) -> Iterator[pb.AuditLeakageResponse]:
        told = self._application.audit_leakage(wire_audit.read_audit(request), call.check)
        return wire_audit.write_audit(told)

    def ClearFeatureCache(
        self, request: pb.ClearFeatureCacheRequest, call: Call
    ) -> pb.ClearFeatureCacheResponse:
        use = self._application.clear_feature_cache(
            wire_cache.read_filter(request),
            wire_cache.read_filter_config(request),
            dry_run=request.dry_run,
        )
        return wire_cache.write_cleared(use)

    def GetFeatureCacheStatus(
        self, request: pb.GetFeatureCacheStatusRequest, call: Call
    ) -> pb.GetFeatureCacheStatusResponse:
        status = self._application.get_feature_cache_status(
            wire_cache.read_filter(request), wire_cache.read_filter_config(request)
        )
        return wire_cache.write_status(status)
