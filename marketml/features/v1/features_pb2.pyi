from marketml.market.v1 import market_pb2 as _market_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FeatureFamily(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FEATURE_FAMILY_UNSPECIFIED: _ClassVar[FeatureFamily]
    FEATURE_FAMILY_TECHNICAL: _ClassVar[FeatureFamily]
    FEATURE_FAMILY_STATISTICAL: _ClassVar[FeatureFamily]
    FEATURE_FAMILY_SERIES: _ClassVar[FeatureFamily]
    FEATURE_FAMILY_MARKET: _ClassVar[FeatureFamily]
    FEATURE_FAMILY_CALENDAR: _ClassVar[FeatureFamily]
    FEATURE_FAMILY_TSFRESH: _ClassVar[FeatureFamily]
FEATURE_FAMILY_UNSPECIFIED: FeatureFamily
FEATURE_FAMILY_TECHNICAL: FeatureFamily
FEATURE_FAMILY_STATISTICAL: FeatureFamily
FEATURE_FAMILY_SERIES: FeatureFamily
FEATURE_FAMILY_MARKET: FeatureFamily
FEATURE_FAMILY_CALENDAR: FeatureFamily
FEATURE_FAMILY_TSFRESH: FeatureFamily

class FeatureConfig(_message.Message):
    __slots__ = ("technical", "statistical", "series", "market", "calendar", "tsfresh", "limits")
    TECHNICAL_FIELD_NUMBER: _ClassVar[int]
    STATISTICAL_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    MARKET_FIELD_NUMBER: _ClassVar[int]
    CALENDAR_FIELD_NUMBER: _ClassVar[int]
    TSFRESH_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    technical: FamilyConfig
    statistical: FamilyConfig
    series: FamilyConfig
    market: FamilyConfig
    calendar: FamilyConfig
    tsfresh: TsfreshConfig
    limits: FeatureLimits
    def __init__(self, technical: _Optional[_Union[FamilyConfig, _Mapping]] = ..., statistical: _Optional[_Union[FamilyConfig, _Mapping]] = ..., series: _Optional[_Union[FamilyConfig, _Mapping]] = ..., market: _Optional[_Union[FamilyConfig, _Mapping]] = ..., calendar: _Optional[_Union[FamilyConfig, _Mapping]] = ..., tsfresh: _Optional[_Union[TsfreshConfig, _Mapping]] = ..., limits: _Optional[_Union[FeatureLimits, _Mapping]] = ...) -> None: ...

class FamilyConfig(_message.Message):
    __slots__ = ("enabled", "features")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    features: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, enabled: _Optional[bool] = ..., features: _Optional[_Iterable[str]] = ...) -> None: ...

class TsfreshConfig(_message.Message):
    __slots__ = ("enabled", "windows", "columns", "calculators")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    CALCULATORS_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    windows: _containers.RepeatedScalarFieldContainer[int]
    columns: _containers.RepeatedScalarFieldContainer[str]
    calculators: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, enabled: _Optional[bool] = ..., windows: _Optional[_Iterable[int]] = ..., columns: _Optional[_Iterable[str]] = ..., calculators: _Optional[_Iterable[str]] = ...) -> None: ...

class FeatureLimits(_message.Message):
    __slots__ = ("max_rows", "max_features", "timeout_seconds", "max_memory_bytes")
    MAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    MAX_FEATURES_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    max_rows: int
    max_features: int
    timeout_seconds: float
    max_memory_bytes: int
    def __init__(self, max_rows: _Optional[int] = ..., max_features: _Optional[int] = ..., timeout_seconds: _Optional[float] = ..., max_memory_bytes: _Optional[int] = ...) -> None: ...

class GenerateFeaturesRequest(_message.Message):
    __slots__ = ("snapshot_id", "series", "config", "newest_count")
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    NEWEST_COUNT_FIELD_NUMBER: _ClassVar[int]
    snapshot_id: str
    series: _market_pb2.SeriesRange
    config: FeatureConfig
    newest_count: int
    def __init__(self, snapshot_id: _Optional[str] = ..., series: _Optional[_Union[_market_pb2.SeriesRange, _Mapping]] = ..., config: _Optional[_Union[FeatureConfig, _Mapping]] = ..., newest_count: _Optional[int] = ...) -> None: ...

class GenerateFeaturesResponse(_message.Message):
    __slots__ = ("header", "progress", "frame", "summary")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    header: FeatureHeader
    progress: FeatureProgress
    frame: _market_pb2.FrameChunk
    summary: FeatureSummary
    def __init__(self, header: _Optional[_Union[FeatureHeader, _Mapping]] = ..., progress: _Optional[_Union[FeatureProgress, _Mapping]] = ..., frame: _Optional[_Union[_market_pb2.FrameChunk, _Mapping]] = ..., summary: _Optional[_Union[FeatureSummary, _Mapping]] = ...) -> None: ...

class FeatureHeader(_message.Message):
    __slots__ = ("digest", "feature_names", "warm_up_bars", "row_count", "config", "omitted", "series")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    FEATURE_NAMES_FIELD_NUMBER: _ClassVar[int]
    WARM_UP_BARS_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    OMITTED_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    digest: str
    feature_names: _containers.RepeatedScalarFieldContainer[str]
    warm_up_bars: int
    row_count: int
    config: FeatureConfig
    omitted: _containers.RepeatedCompositeFieldContainer[OmittedFeature]
    series: _market_pb2.SeriesKey
    def __init__(self, digest: _Optional[str] = ..., feature_names: _Optional[_Iterable[str]] = ..., warm_up_bars: _Optional[int] = ..., row_count: _Optional[int] = ..., config: _Optional[_Union[FeatureConfig, _Mapping]] = ..., omitted: _Optional[_Iterable[_Union[OmittedFeature, _Mapping]]] = ..., series: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ...) -> None: ...

class OmittedFeature(_message.Message):
    __slots__ = ("name", "missing_column")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MISSING_COLUMN_FIELD_NUMBER: _ClassVar[int]
    name: str
    missing_column: str
    def __init__(self, name: _Optional[str] = ..., missing_column: _Optional[str] = ...) -> None: ...

class FeatureProgress(_message.Message):
    __slots__ = ("fraction", "stage")
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    fraction: float
    stage: str
    def __init__(self, fraction: _Optional[float] = ..., stage: _Optional[str] = ...) -> None: ...

class FeatureSummary(_message.Message):
    __slots__ = ("row_count", "feature_count", "family_times", "cache_hit")
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    FEATURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAMILY_TIMES_FIELD_NUMBER: _ClassVar[int]
    CACHE_HIT_FIELD_NUMBER: _ClassVar[int]
    row_count: int
    feature_count: int
    family_times: _containers.RepeatedCompositeFieldContainer[FamilyTime]
    cache_hit: bool
    def __init__(self, row_count: _Optional[int] = ..., feature_count: _Optional[int] = ..., family_times: _Optional[_Iterable[_Union[FamilyTime, _Mapping]]] = ..., cache_hit: _Optional[bool] = ...) -> None: ...

class FamilyTime(_message.Message):
    __slots__ = ("family", "seconds")
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    family: FeatureFamily
    seconds: float
    def __init__(self, family: _Optional[_Union[FeatureFamily, str]] = ..., seconds: _Optional[float] = ...) -> None: ...

class ValidateFeatureConfigRequest(_message.Message):
    __slots__ = ("config",)
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    config: FeatureConfig
    def __init__(self, config: _Optional[_Union[FeatureConfig, _Mapping]] = ...) -> None: ...

class ValidateFeatureConfigResponse(_message.Message):
    __slots__ = ("violations", "warnings", "feature_count", "warm_up_bars")
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    FEATURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    WARM_UP_BARS_FIELD_NUMBER: _ClassVar[int]
    violations: _containers.RepeatedCompositeFieldContainer[_market_pb2.Violation]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    feature_count: int
    warm_up_bars: int
    def __init__(self, violations: _Optional[_Iterable[_Union[_market_pb2.Violation, _Mapping]]] = ..., warnings: _Optional[_Iterable[str]] = ..., feature_count: _Optional[int] = ..., warm_up_bars: _Optional[int] = ...) -> None: ...

class GetDefaultFeatureConfigRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetDefaultFeatureConfigResponse(_message.Message):
    __slots__ = ("config",)
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    config: FeatureConfig
    def __init__(self, config: _Optional[_Union[FeatureConfig, _Mapping]] = ...) -> None: ...

class ListFeaturesRequest(_message.Message):
    __slots__ = ("family", "page_size", "page_token")
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    family: FeatureFamily
    page_size: int
    page_token: str
    def __init__(self, family: _Optional[_Union[FeatureFamily, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListFeaturesResponse(_message.Message):
    __slots__ = ("features", "next_page_token")
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    features: _containers.RepeatedCompositeFieldContainer[FeatureInfo]
    next_page_token: str
    def __init__(self, features: _Optional[_Iterable[_Union[FeatureInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class FeatureInfo(_message.Message):
    __slots__ = ("name", "family", "group", "inputs", "parameters", "lookback_bars", "description", "cost_microseconds", "is_default")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    LOOKBACK_BARS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    COST_MICROSECONDS_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    name: str
    family: FeatureFamily
    group: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    parameters: _containers.ScalarMap[str, float]
    lookback_bars: int
    description: str
    cost_microseconds: float
    is_default: bool
    def __init__(self, name: _Optional[str] = ..., family: _Optional[_Union[FeatureFamily, str]] = ..., group: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., parameters: _Optional[_Mapping[str, float]] = ..., lookback_bars: _Optional[int] = ..., description: _Optional[str] = ..., cost_microseconds: _Optional[float] = ..., is_default: _Optional[bool] = ...) -> None: ...
