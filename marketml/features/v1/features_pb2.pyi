import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
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
    FEATURE_FAMILY_HIGHER_TIMEFRAME: _ClassVar[FeatureFamily]
    FEATURE_FAMILY_EXPRESSION: _ClassVar[FeatureFamily]
    FEATURE_FAMILY_CROSS_SYMBOL: _ClassVar[FeatureFamily]

class TargetKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TARGET_KIND_UNSPECIFIED: _ClassVar[TargetKind]
    TARGET_KIND_BINARY: _ClassVar[TargetKind]
    TARGET_KIND_MULTICLASS: _ClassVar[TargetKind]
    TARGET_KIND_REAL: _ClassVar[TargetKind]

class SelectionStep(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SELECTION_STEP_UNSPECIFIED: _ClassVar[SelectionStep]
    SELECTION_STEP_CONSTANT: _ClassVar[SelectionStep]
    SELECTION_STEP_RELEVANCE: _ClassVar[SelectionStep]
    SELECTION_STEP_CORRELATION: _ClassVar[SelectionStep]
    SELECTION_STEP_STABILITY: _ClassVar[SelectionStep]
    SELECTION_STEP_COUNT: _ClassVar[SelectionStep]

class LeakCheck(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEAK_CHECK_UNSPECIFIED: _ClassVar[LeakCheck]
    LEAK_CHECK_TRUNCATION: _ClassVar[LeakCheck]
    LEAK_CHECK_PERTURBATION: _ClassVar[LeakCheck]
    LEAK_CHECK_LIVE: _ClassVar[LeakCheck]
FEATURE_FAMILY_UNSPECIFIED: FeatureFamily
FEATURE_FAMILY_TECHNICAL: FeatureFamily
FEATURE_FAMILY_STATISTICAL: FeatureFamily
FEATURE_FAMILY_SERIES: FeatureFamily
FEATURE_FAMILY_MARKET: FeatureFamily
FEATURE_FAMILY_CALENDAR: FeatureFamily
FEATURE_FAMILY_TSFRESH: FeatureFamily
FEATURE_FAMILY_HIGHER_TIMEFRAME: FeatureFamily
FEATURE_FAMILY_EXPRESSION: FeatureFamily
FEATURE_FAMILY_CROSS_SYMBOL: FeatureFamily
TARGET_KIND_UNSPECIFIED: TargetKind
TARGET_KIND_BINARY: TargetKind
TARGET_KIND_MULTICLASS: TargetKind
TARGET_KIND_REAL: TargetKind
SELECTION_STEP_UNSPECIFIED: SelectionStep
SELECTION_STEP_CONSTANT: SelectionStep
SELECTION_STEP_RELEVANCE: SelectionStep
SELECTION_STEP_CORRELATION: SelectionStep
SELECTION_STEP_STABILITY: SelectionStep
SELECTION_STEP_COUNT: SelectionStep
LEAK_CHECK_UNSPECIFIED: LeakCheck
LEAK_CHECK_TRUNCATION: LeakCheck
LEAK_CHECK_PERTURBATION: LeakCheck
LEAK_CHECK_LIVE: LeakCheck

class FeatureConfig(_message.Message):
    __slots__ = ("technical", "statistical", "series", "market", "calendar", "tsfresh", "autofeat", "selection", "limits", "higher_timeframe", "expressions", "only", "preset", "cross_symbol")
    TECHNICAL_FIELD_NUMBER: _ClassVar[int]
    STATISTICAL_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    MARKET_FIELD_NUMBER: _ClassVar[int]
    CALENDAR_FIELD_NUMBER: _ClassVar[int]
    TSFRESH_FIELD_NUMBER: _ClassVar[int]
    AUTOFEAT_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    HIGHER_TIMEFRAME_FIELD_NUMBER: _ClassVar[int]
    EXPRESSIONS_FIELD_NUMBER: _ClassVar[int]
    ONLY_FIELD_NUMBER: _ClassVar[int]
    PRESET_FIELD_NUMBER: _ClassVar[int]
    CROSS_SYMBOL_FIELD_NUMBER: _ClassVar[int]
    technical: FamilyConfig
    statistical: FamilyConfig
    series: FamilyConfig
    market: FamilyConfig
    calendar: FamilyConfig
    tsfresh: TsfreshConfig
    autofeat: AutofeatConfig
    selection: SelectionConfig
    limits: FeatureLimits
    higher_timeframe: FamilyConfig
    expressions: _containers.RepeatedCompositeFieldContainer[FeatureExpression]
    only: _containers.RepeatedScalarFieldContainer[str]
    preset: str
    cross_symbol: FamilyConfig
    def __init__(self, technical: _Optional[_Union[FamilyConfig, _Mapping]] = ..., statistical: _Optional[_Union[FamilyConfig, _Mapping]] = ..., series: _Optional[_Union[FamilyConfig, _Mapping]] = ..., market: _Optional[_Union[FamilyConfig, _Mapping]] = ..., calendar: _Optional[_Union[FamilyConfig, _Mapping]] = ..., tsfresh: _Optional[_Union[TsfreshConfig, _Mapping]] = ..., autofeat: _Optional[_Union[AutofeatConfig, _Mapping]] = ..., selection: _Optional[_Union[SelectionConfig, _Mapping]] = ..., limits: _Optional[_Union[FeatureLimits, _Mapping]] = ..., higher_timeframe: _Optional[_Union[FamilyConfig, _Mapping]] = ..., expressions: _Optional[_Iterable[_Union[FeatureExpression, _Mapping]]] = ..., only: _Optional[_Iterable[str]] = ..., preset: _Optional[str] = ..., cross_symbol: _Optional[_Union[FamilyConfig, _Mapping]] = ...) -> None: ...

class FeatureExpression(_message.Message):
    __slots__ = ("name", "expression")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    expression: str
    def __init__(self, name: _Optional[str] = ..., expression: _Optional[str] = ...) -> None: ...

class FamilyConfig(_message.Message):
    __slots__ = ("enabled", "features")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    features: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, enabled: _Optional[bool] = ..., features: _Optional[_Iterable[str]] = ...) -> None: ...

class TsfreshConfig(_message.Message):
    __slots__ = ("enabled", "windows", "columns", "calculators", "preset", "feature_selection", "fdr_level", "feature_count_limit", "parallel_jobs")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    CALCULATORS_FIELD_NUMBER: _ClassVar[int]
    PRESET_FIELD_NUMBER: _ClassVar[int]
    FEATURE_SELECTION_FIELD_NUMBER: _ClassVar[int]
    FDR_LEVEL_FIELD_NUMBER: _ClassVar[int]
    FEATURE_COUNT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_JOBS_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    windows: _containers.RepeatedScalarFieldContainer[int]
    columns: _containers.RepeatedScalarFieldContainer[str]
    calculators: _containers.RepeatedScalarFieldContainer[str]
    preset: str
    feature_selection: bool
    fdr_level: float
    feature_count_limit: int
    parallel_jobs: int
    def __init__(self, enabled: _Optional[bool] = ..., windows: _Optional[_Iterable[int]] = ..., columns: _Optional[_Iterable[str]] = ..., calculators: _Optional[_Iterable[str]] = ..., preset: _Optional[str] = ..., feature_selection: _Optional[bool] = ..., fdr_level: _Optional[float] = ..., feature_count_limit: _Optional[int] = ..., parallel_jobs: _Optional[int] = ...) -> None: ...

class AutofeatConfig(_message.Message):
    __slots__ = ("enabled", "max_features", "steps", "max_inputs", "transformations", "selection_runs", "max_memory_bytes")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    MAX_FEATURES_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    MAX_INPUTS_FIELD_NUMBER: _ClassVar[int]
    TRANSFORMATIONS_FIELD_NUMBER: _ClassVar[int]
    SELECTION_RUNS_FIELD_NUMBER: _ClassVar[int]
    MAX_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    max_features: int
    steps: int
    max_inputs: int
    transformations: _containers.RepeatedScalarFieldContainer[str]
    selection_runs: int
    max_memory_bytes: int
    def __init__(self, enabled: _Optional[bool] = ..., max_features: _Optional[int] = ..., steps: _Optional[int] = ..., max_inputs: _Optional[int] = ..., transformations: _Optional[_Iterable[str]] = ..., selection_runs: _Optional[int] = ..., max_memory_bytes: _Optional[int] = ...) -> None: ...

class SelectionConfig(_message.Message):
    __slots__ = ("enabled", "fdr_level", "correlation_max", "stability_blocks", "stability_share", "model_importance", "feature_count_limit", "feature_count_min")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    FDR_LEVEL_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_MAX_FIELD_NUMBER: _ClassVar[int]
    STABILITY_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    STABILITY_SHARE_FIELD_NUMBER: _ClassVar[int]
    MODEL_IMPORTANCE_FIELD_NUMBER: _ClassVar[int]
    FEATURE_COUNT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    FEATURE_COUNT_MIN_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    fdr_level: float
    correlation_max: float
    stability_blocks: int
    stability_share: float
    model_importance: bool
    feature_count_limit: int
    feature_count_min: int
    def __init__(self, enabled: _Optional[bool] = ..., fdr_level: _Optional[float] = ..., correlation_max: _Optional[float] = ..., stability_blocks: _Optional[int] = ..., stability_share: _Optional[float] = ..., model_importance: _Optional[bool] = ..., feature_count_limit: _Optional[int] = ..., feature_count_min: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("snapshot_id", "series", "config", "newest_count", "header_only")
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    NEWEST_COUNT_FIELD_NUMBER: _ClassVar[int]
    HEADER_ONLY_FIELD_NUMBER: _ClassVar[int]
    snapshot_id: str
    series: _market_pb2.SeriesRange
    config: FeatureConfig
    newest_count: int
    header_only: bool
    def __init__(self, snapshot_id: _Optional[str] = ..., series: _Optional[_Union[_market_pb2.SeriesRange, _Mapping]] = ..., config: _Optional[_Union[FeatureConfig, _Mapping]] = ..., newest_count: _Optional[int] = ..., header_only: _Optional[bool] = ...) -> None: ...

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
    __slots__ = ("digest", "feature_names", "warm_up_bars", "row_count", "config", "omitted", "series", "config_digest", "reference")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    FEATURE_NAMES_FIELD_NUMBER: _ClassVar[int]
    WARM_UP_BARS_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    OMITTED_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    CONFIG_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    digest: str
    feature_names: _containers.RepeatedScalarFieldContainer[str]
    warm_up_bars: int
    row_count: int
    config: FeatureConfig
    omitted: _containers.RepeatedCompositeFieldContainer[OmittedFeature]
    series: _market_pb2.SeriesKey
    config_digest: str
    reference: _market_pb2.SeriesKey
    def __init__(self, digest: _Optional[str] = ..., feature_names: _Optional[_Iterable[str]] = ..., warm_up_bars: _Optional[int] = ..., row_count: _Optional[int] = ..., config: _Optional[_Union[FeatureConfig, _Mapping]] = ..., omitted: _Optional[_Iterable[_Union[OmittedFeature, _Mapping]]] = ..., series: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., config_digest: _Optional[str] = ..., reference: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ...) -> None: ...

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
    __slots__ = ("name", "family", "group", "inputs", "parameters", "lookback_bars", "description", "cost_microseconds", "is_default", "runs_tsfresh", "presets")
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
    RUNS_TSFRESH_FIELD_NUMBER: _ClassVar[int]
    PRESETS_FIELD_NUMBER: _ClassVar[int]
    name: str
    family: FeatureFamily
    group: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    parameters: _containers.ScalarMap[str, float]
    lookback_bars: int
    description: str
    cost_microseconds: float
    is_default: bool
    runs_tsfresh: bool
    presets: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., family: _Optional[_Union[FeatureFamily, str]] = ..., group: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., parameters: _Optional[_Mapping[str, float]] = ..., lookback_bars: _Optional[int] = ..., description: _Optional[str] = ..., cost_microseconds: _Optional[float] = ..., is_default: _Optional[bool] = ..., runs_tsfresh: _Optional[bool] = ..., presets: _Optional[_Iterable[str]] = ...) -> None: ...

class GetLatestFeaturesRequest(_message.Message):
    __slots__ = ("series", "config", "as_of_time", "reference")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AS_OF_TIME_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    series: _market_pb2.SeriesKey
    config: FeatureConfig
    as_of_time: _timestamp_pb2.Timestamp
    reference: _market_pb2.SeriesKey
    def __init__(self, series: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., config: _Optional[_Union[FeatureConfig, _Mapping]] = ..., as_of_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reference: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ...) -> None: ...

class GetLatestFeaturesResponse(_message.Message):
    __slots__ = ("open_time", "known_time", "feature_names", "values", "omitted", "history_bars", "config_digest")
    OPEN_TIME_FIELD_NUMBER: _ClassVar[int]
    KNOWN_TIME_FIELD_NUMBER: _ClassVar[int]
    FEATURE_NAMES_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    OMITTED_FIELD_NUMBER: _ClassVar[int]
    HISTORY_BARS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_DIGEST_FIELD_NUMBER: _ClassVar[int]
    open_time: _timestamp_pb2.Timestamp
    known_time: _timestamp_pb2.Timestamp
    feature_names: _containers.RepeatedScalarFieldContainer[str]
    values: _containers.RepeatedScalarFieldContainer[float]
    omitted: _containers.RepeatedCompositeFieldContainer[OmittedFeature]
    history_bars: int
    config_digest: str
    def __init__(self, open_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., known_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., feature_names: _Optional[_Iterable[str]] = ..., values: _Optional[_Iterable[float]] = ..., omitted: _Optional[_Iterable[_Union[OmittedFeature, _Mapping]]] = ..., history_bars: _Optional[int] = ..., config_digest: _Optional[str] = ...) -> None: ...

class ListFeaturePresetsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListFeaturePresetsResponse(_message.Message):
    __slots__ = ("presets", "next_page_token")
    PRESETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    presets: _containers.RepeatedCompositeFieldContainer[FeaturePreset]
    next_page_token: str
    def __init__(self, presets: _Optional[_Iterable[_Union[FeaturePreset, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class FeaturePreset(_message.Message):
    __slots__ = ("name", "description", "config", "feature_count", "warm_up_bars", "cost_microseconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    FEATURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    WARM_UP_BARS_FIELD_NUMBER: _ClassVar[int]
    COST_MICROSECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    config: FeatureConfig
    feature_count: int
    warm_up_bars: int
    cost_microseconds: float
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., config: _Optional[_Union[FeatureConfig, _Mapping]] = ..., feature_count: _Optional[int] = ..., warm_up_bars: _Optional[int] = ..., cost_microseconds: _Optional[float] = ...) -> None: ...

class SelectFeaturesRequest(_message.Message):
    __slots__ = ("snapshot_id", "series", "config", "target_arrow", "target_kind", "seed", "more")
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    TARGET_ARROW_FIELD_NUMBER: _ClassVar[int]
    TARGET_KIND_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    snapshot_id: str
    series: _market_pb2.SeriesRange
    config: FeatureConfig
    target_arrow: bytes
    target_kind: TargetKind
    seed: int
    more: _containers.RepeatedCompositeFieldContainer[SelectionSource]
    def __init__(self, snapshot_id: _Optional[str] = ..., series: _Optional[_Union[_market_pb2.SeriesRange, _Mapping]] = ..., config: _Optional[_Union[FeatureConfig, _Mapping]] = ..., target_arrow: _Optional[bytes] = ..., target_kind: _Optional[_Union[TargetKind, str]] = ..., seed: _Optional[int] = ..., more: _Optional[_Iterable[_Union[SelectionSource, _Mapping]]] = ...) -> None: ...

class SelectionSource(_message.Message):
    __slots__ = ("snapshot_id", "series", "target_arrow")
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    TARGET_ARROW_FIELD_NUMBER: _ClassVar[int]
    snapshot_id: str
    series: _market_pb2.SeriesRange
    target_arrow: bytes
    def __init__(self, snapshot_id: _Optional[str] = ..., series: _Optional[_Union[_market_pb2.SeriesRange, _Mapping]] = ..., target_arrow: _Optional[bytes] = ...) -> None: ...

class SelectFeaturesResponse(_message.Message):
    __slots__ = ("features", "config", "row_count", "class_counts", "warm_up_bars")
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    CLASS_COUNTS_FIELD_NUMBER: _ClassVar[int]
    WARM_UP_BARS_FIELD_NUMBER: _ClassVar[int]
    features: _containers.RepeatedCompositeFieldContainer[FeatureVerdict]
    config: FeatureConfig
    row_count: int
    class_counts: _containers.RepeatedScalarFieldContainer[int]
    warm_up_bars: int
    def __init__(self, features: _Optional[_Iterable[_Union[FeatureVerdict, _Mapping]]] = ..., config: _Optional[_Union[FeatureConfig, _Mapping]] = ..., row_count: _Optional[int] = ..., class_counts: _Optional[_Iterable[int]] = ..., warm_up_bars: _Optional[int] = ...) -> None: ...

class FeatureVerdict(_message.Message):
    __slots__ = ("name", "is_selected", "dropped_at", "p_value", "correlated_with", "stability", "importance", "expression", "lookback_bars")
    NAME_FIELD_NUMBER: _ClassVar[int]
    IS_SELECTED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_AT_FIELD_NUMBER: _ClassVar[int]
    P_VALUE_FIELD_NUMBER: _ClassVar[int]
    CORRELATED_WITH_FIELD_NUMBER: _ClassVar[int]
    STABILITY_FIELD_NUMBER: _ClassVar[int]
    IMPORTANCE_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    LOOKBACK_BARS_FIELD_NUMBER: _ClassVar[int]
    name: str
    is_selected: bool
    dropped_at: SelectionStep
    p_value: float
    correlated_with: str
    stability: float
    importance: float
    expression: str
    lookback_bars: int
    def __init__(self, name: _Optional[str] = ..., is_selected: _Optional[bool] = ..., dropped_at: _Optional[_Union[SelectionStep, str]] = ..., p_value: _Optional[float] = ..., correlated_with: _Optional[str] = ..., stability: _Optional[float] = ..., importance: _Optional[float] = ..., expression: _Optional[str] = ..., lookback_bars: _Optional[int] = ...) -> None: ...

class AuditLeakageRequest(_message.Message):
    __slots__ = ("snapshot_id", "series", "config", "cuts_count", "live_count", "seed")
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CUTS_COUNT_FIELD_NUMBER: _ClassVar[int]
    LIVE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    snapshot_id: str
    series: _market_pb2.SeriesRange
    config: FeatureConfig
    cuts_count: int
    live_count: int
    seed: int
    def __init__(self, snapshot_id: _Optional[str] = ..., series: _Optional[_Union[_market_pb2.SeriesRange, _Mapping]] = ..., config: _Optional[_Union[FeatureConfig, _Mapping]] = ..., cuts_count: _Optional[int] = ..., live_count: _Optional[int] = ..., seed: _Optional[int] = ...) -> None: ...

class AuditLeakageResponse(_message.Message):
    __slots__ = ("progress", "finding", "summary")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    FINDING_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    progress: FeatureProgress
    finding: LeakFinding
    summary: AuditSummary
    def __init__(self, progress: _Optional[_Union[FeatureProgress, _Mapping]] = ..., finding: _Optional[_Union[LeakFinding, _Mapping]] = ..., summary: _Optional[_Union[AuditSummary, _Mapping]] = ...) -> None: ...

class LeakFinding(_message.Message):
    __slots__ = ("feature", "check", "open_time", "batch_value", "other_value", "size", "wrong_bars")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    OPEN_TIME_FIELD_NUMBER: _ClassVar[int]
    BATCH_VALUE_FIELD_NUMBER: _ClassVar[int]
    OTHER_VALUE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    WRONG_BARS_FIELD_NUMBER: _ClassVar[int]
    feature: str
    check: LeakCheck
    open_time: _timestamp_pb2.Timestamp
    batch_value: float
    other_value: float
    size: float
    wrong_bars: int
    def __init__(self, feature: _Optional[str] = ..., check: _Optional[_Union[LeakCheck, str]] = ..., open_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., batch_value: _Optional[float] = ..., other_value: _Optional[float] = ..., size: _Optional[float] = ..., wrong_bars: _Optional[int] = ...) -> None: ...

class AuditSummary(_message.Message):
    __slots__ = ("row_count", "feature_count", "offender_count", "omitted", "seconds", "batch_seconds")
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    FEATURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    OFFENDER_COUNT_FIELD_NUMBER: _ClassVar[int]
    OMITTED_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SECONDS_FIELD_NUMBER: _ClassVar[int]
    row_count: int
    feature_count: int
    offender_count: int
    omitted: _containers.RepeatedCompositeFieldContainer[OmittedFeature]
    seconds: float
    batch_seconds: float
    def __init__(self, row_count: _Optional[int] = ..., feature_count: _Optional[int] = ..., offender_count: _Optional[int] = ..., omitted: _Optional[_Iterable[_Union[OmittedFeature, _Mapping]]] = ..., seconds: _Optional[float] = ..., batch_seconds: _Optional[float] = ...) -> None: ...

class ClearFeatureCacheRequest(_message.Message):
    __slots__ = ("series", "config", "dry_run")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    series: _market_pb2.SeriesKey
    config: FeatureConfig
    dry_run: bool
    def __init__(self, series: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., config: _Optional[_Union[FeatureConfig, _Mapping]] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class ClearFeatureCacheResponse(_message.Message):
    __slots__ = ("entry_count", "size_bytes")
    ENTRY_COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    entry_count: int
    size_bytes: int
    def __init__(self, entry_count: _Optional[int] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class GetFeatureCacheStatusRequest(_message.Message):
    __slots__ = ("series", "config")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    series: _market_pb2.SeriesKey
    config: FeatureConfig
    def __init__(self, series: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., config: _Optional[_Union[FeatureConfig, _Mapping]] = ...) -> None: ...

class GetFeatureCacheStatusResponse(_message.Message):
    __slots__ = ("entry_count", "size_bytes", "limit_bytes", "hit_count", "miss_count", "eviction_count", "series")
    ENTRY_COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    HIT_COUNT_FIELD_NUMBER: _ClassVar[int]
    MISS_COUNT_FIELD_NUMBER: _ClassVar[int]
    EVICTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    entry_count: int
    size_bytes: int
    limit_bytes: int
    hit_count: int
    miss_count: int
    eviction_count: int
    series: _containers.RepeatedCompositeFieldContainer[SeriesCacheUse]
    def __init__(self, entry_count: _Optional[int] = ..., size_bytes: _Optional[int] = ..., limit_bytes: _Optional[int] = ..., hit_count: _Optional[int] = ..., miss_count: _Optional[int] = ..., eviction_count: _Optional[int] = ..., series: _Optional[_Iterable[_Union[SeriesCacheUse, _Mapping]]] = ...) -> None: ...

class SeriesCacheUse(_message.Message):
    __slots__ = ("series", "entry_count", "size_bytes")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    ENTRY_COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    series: _market_pb2.SeriesKey
    entry_count: int
    size_bytes: int
    def __init__(self, series: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., entry_count: _Optional[int] = ..., size_bytes: _Optional[int] = ...) -> None: ...
