import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from marketml.features.v1 import features_pb2 as _features_pb2
from marketml.training.v1 import training_pb2 as _training_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Model(_message.Message):
    __slots__ = ("model_name", "version", "digest", "create_time", "size_bytes", "class_names", "feature_count", "aliases", "files", "job_id", "snapshot_id")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAMES_FIELD_NUMBER: _ClassVar[int]
    FEATURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    version: int
    digest: str
    create_time: _timestamp_pb2.Timestamp
    size_bytes: int
    class_names: _containers.RepeatedScalarFieldContainer[str]
    feature_count: int
    aliases: _containers.RepeatedScalarFieldContainer[str]
    files: _containers.RepeatedCompositeFieldContainer[ModelFile]
    job_id: str
    snapshot_id: str
    def __init__(self, model_name: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., size_bytes: _Optional[int] = ..., class_names: _Optional[_Iterable[str]] = ..., feature_count: _Optional[int] = ..., aliases: _Optional[_Iterable[str]] = ..., files: _Optional[_Iterable[_Union[ModelFile, _Mapping]]] = ..., job_id: _Optional[str] = ..., snapshot_id: _Optional[str] = ...) -> None: ...

class ModelFile(_message.Message):
    __slots__ = ("name", "size_bytes", "sha256")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    name: str
    size_bytes: int
    sha256: str
    def __init__(self, name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class UploadHeader(_message.Message):
    __slots__ = ("request_id", "model_name", "files", "job_id")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    model_name: str
    files: _containers.RepeatedCompositeFieldContainer[ModelFile]
    job_id: str
    def __init__(self, request_id: _Optional[str] = ..., model_name: _Optional[str] = ..., files: _Optional[_Iterable[_Union[ModelFile, _Mapping]]] = ..., job_id: _Optional[str] = ...) -> None: ...

class FilePiece(_message.Message):
    __slots__ = ("name", "data")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    name: str
    data: bytes
    def __init__(self, name: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class UploadModelRequest(_message.Message):
    __slots__ = ("header", "piece")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PIECE_FIELD_NUMBER: _ClassVar[int]
    header: UploadHeader
    piece: FilePiece
    def __init__(self, header: _Optional[_Union[UploadHeader, _Mapping]] = ..., piece: _Optional[_Union[FilePiece, _Mapping]] = ...) -> None: ...

class UploadModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class DownloadModelRequest(_message.Message):
    __slots__ = ("model_name", "version", "file_names")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FILE_NAMES_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    version: int
    file_names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, model_name: _Optional[str] = ..., version: _Optional[int] = ..., file_names: _Optional[_Iterable[str]] = ...) -> None: ...

class DownloadModelResponse(_message.Message):
    __slots__ = ("model", "piece")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PIECE_FIELD_NUMBER: _ClassVar[int]
    model: Model
    piece: FilePiece
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ..., piece: _Optional[_Union[FilePiece, _Mapping]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("model_name", "version")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    version: int
    def __init__(self, model_name: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model", "manifest_json")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_JSON_FIELD_NUMBER: _ClassVar[int]
    model: Model
    manifest_json: str
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ..., manifest_json: _Optional[str] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ("model_name", "page_size", "page_token")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    page_size: int
    page_token: str
    def __init__(self, model_name: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteModelRequest(_message.Message):
    __slots__ = ("model_name", "version", "request_id")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    version: int
    request_id: str
    def __init__(self, model_name: _Optional[str] = ..., version: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteModelResponse(_message.Message):
    __slots__ = ("freed_bytes",)
    FREED_BYTES_FIELD_NUMBER: _ClassVar[int]
    freed_bytes: int
    def __init__(self, freed_bytes: _Optional[int] = ...) -> None: ...

class Alias(_message.Message):
    __slots__ = ("model_name", "alias", "model", "since_time", "etag")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    alias: str
    model: Model
    since_time: _timestamp_pb2.Timestamp
    etag: str
    def __init__(self, model_name: _Optional[str] = ..., alias: _Optional[str] = ..., model: _Optional[_Union[Model, _Mapping]] = ..., since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...

class LoadModelRequest(_message.Message):
    __slots__ = ("model_name", "version", "alias", "etag", "request_id")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    version: int
    alias: str
    etag: str
    request_id: str
    def __init__(self, model_name: _Optional[str] = ..., version: _Optional[int] = ..., alias: _Optional[str] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class LoadModelResponse(_message.Message):
    __slots__ = ("alias", "previous_version")
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_VERSION_FIELD_NUMBER: _ClassVar[int]
    alias: Alias
    previous_version: int
    def __init__(self, alias: _Optional[_Union[Alias, _Mapping]] = ..., previous_version: _Optional[int] = ...) -> None: ...

class GetCurrentModelRequest(_message.Message):
    __slots__ = ("model_name", "alias")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    alias: str
    def __init__(self, model_name: _Optional[str] = ..., alias: _Optional[str] = ...) -> None: ...

class GetCurrentModelResponse(_message.Message):
    __slots__ = ("alias",)
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    alias: Alias
    def __init__(self, alias: _Optional[_Union[Alias, _Mapping]] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("loaded_models", "version_count", "stored_bytes", "free_bytes", "start_time")
    LOADED_MODELS_FIELD_NUMBER: _ClassVar[int]
    VERSION_COUNT_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_FIELD_NUMBER: _ClassVar[int]
    FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    loaded_models: _containers.RepeatedCompositeFieldContainer[LoadedModel]
    version_count: int
    stored_bytes: int
    free_bytes: int
    start_time: _timestamp_pb2.Timestamp
    def __init__(self, loaded_models: _Optional[_Iterable[_Union[LoadedModel, _Mapping]]] = ..., version_count: _Optional[int] = ..., stored_bytes: _Optional[int] = ..., free_bytes: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class LoadedModel(_message.Message):
    __slots__ = ("model_name", "version", "digest", "aliases", "call_count", "row_count", "median_duration", "last_time")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    CALL_COUNT_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_DURATION_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    version: int
    digest: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    call_count: int
    row_count: int
    median_duration: _duration_pb2.Duration
    last_time: _timestamp_pb2.Timestamp
    def __init__(self, model_name: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., call_count: _Optional[int] = ..., row_count: _Optional[int] = ..., median_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PlatformConfig(_message.Message):
    __slots__ = ("data_processing", "features", "training", "labels", "evaluation", "prediction")
    DATA_PROCESSING_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    TRAINING_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    data_processing: DataProcessingConfig
    features: _features_pb2.FeatureConfig
    training: TrainingDefaults
    labels: _training_pb2.LabelConfig
    evaluation: _training_pb2.EvaluationConfig
    prediction: PredictionConfig
    def __init__(self, data_processing: _Optional[_Union[DataProcessingConfig, _Mapping]] = ..., features: _Optional[_Union[_features_pb2.FeatureConfig, _Mapping]] = ..., training: _Optional[_Union[TrainingDefaults, _Mapping]] = ..., labels: _Optional[_Union[_training_pb2.LabelConfig, _Mapping]] = ..., evaluation: _Optional[_Union[_training_pb2.EvaluationConfig, _Mapping]] = ..., prediction: _Optional[_Union[PredictionConfig, _Mapping]] = ...) -> None: ...

class DataProcessingConfig(_message.Message):
    __slots__ = ("funding_max_age", "open_interest_max_age")
    FUNDING_MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    OPEN_INTEREST_MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    funding_max_age: _duration_pb2.Duration
    open_interest_max_age: _duration_pb2.Duration
    def __init__(self, funding_max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., open_interest_max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class TrainingDefaults(_message.Message):
    __slots__ = ("split", "model", "early_stopping", "class_weight", "budget", "sample_weights", "search", "calibration", "decision_thresholds")
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    EARLY_STOPPING_FIELD_NUMBER: _ClassVar[int]
    CLASS_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    DECISION_THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    split: _training_pb2.SplitConfig
    model: _training_pb2.ModelConfig
    early_stopping: _training_pb2.EarlyStopping
    class_weight: _training_pb2.ClassWeight
    budget: _training_pb2.Budget
    sample_weights: _training_pb2.SampleWeights
    search: SearchDefaults
    calibration: _training_pb2.Calibration
    decision_thresholds: _training_pb2.DecisionThresholds
    def __init__(self, split: _Optional[_Union[_training_pb2.SplitConfig, _Mapping]] = ..., model: _Optional[_Union[_training_pb2.ModelConfig, _Mapping]] = ..., early_stopping: _Optional[_Union[_training_pb2.EarlyStopping, _Mapping]] = ..., class_weight: _Optional[_Union[_training_pb2.ClassWeight, str]] = ..., budget: _Optional[_Union[_training_pb2.Budget, _Mapping]] = ..., sample_weights: _Optional[_Union[_training_pb2.SampleWeights, _Mapping]] = ..., search: _Optional[_Union[SearchDefaults, _Mapping]] = ..., calibration: _Optional[_Union[_training_pb2.Calibration, _Mapping]] = ..., decision_thresholds: _Optional[_Union[_training_pb2.DecisionThresholds, _Mapping]] = ...) -> None: ...

class SearchDefaults(_message.Message):
    __slots__ = ("trials", "max_duration", "metric", "startup_trials", "pruning", "trials_at_once")
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    MAX_DURATION_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    STARTUP_TRIALS_FIELD_NUMBER: _ClassVar[int]
    PRUNING_FIELD_NUMBER: _ClassVar[int]
    TRIALS_AT_ONCE_FIELD_NUMBER: _ClassVar[int]
    trials: int
    max_duration: _duration_pb2.Duration
    metric: str
    startup_trials: int
    pruning: bool
    trials_at_once: int
    def __init__(self, trials: _Optional[int] = ..., max_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., metric: _Optional[str] = ..., startup_trials: _Optional[int] = ..., pruning: _Optional[bool] = ..., trials_at_once: _Optional[int] = ...) -> None: ...

class PredictionConfig(_message.Message):
    __slots__ = ("max_rows",)
    MAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    max_rows: int
    def __init__(self, max_rows: _Optional[int] = ...) -> None: ...

class GetConfigRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetConfigResponse(_message.Message):
    __slots__ = ("config", "version", "etag", "update_time")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    config: PlatformConfig
    version: int
    etag: str
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, config: _Optional[_Union[PlatformConfig, _Mapping]] = ..., version: _Optional[int] = ..., etag: _Optional[str] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class UpdateConfigRequest(_message.Message):
    __slots__ = ("config", "update_mask", "etag", "request_id")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    config: PlatformConfig
    update_mask: _field_mask_pb2.FieldMask
    etag: str
    request_id: str
    def __init__(self, config: _Optional[_Union[PlatformConfig, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class UpdateConfigResponse(_message.Message):
    __slots__ = ("config", "version", "etag")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    config: PlatformConfig
    version: int
    etag: str
    def __init__(self, config: _Optional[_Union[PlatformConfig, _Mapping]] = ..., version: _Optional[int] = ..., etag: _Optional[str] = ...) -> None: ...

class ResetConfigRequest(_message.Message):
    __slots__ = ("etag", "request_id")
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    etag: str
    request_id: str
    def __init__(self, etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ResetConfigResponse(_message.Message):
    __slots__ = ("config", "version", "etag")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    config: PlatformConfig
    version: int
    etag: str
    def __init__(self, config: _Optional[_Union[PlatformConfig, _Mapping]] = ..., version: _Optional[int] = ..., etag: _Optional[str] = ...) -> None: ...

class PredictRequest(_message.Message):
    __slots__ = ("model_name", "version", "alias", "arrow_ipc")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    ARROW_IPC_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    version: int
    alias: str
    arrow_ipc: bytes
    def __init__(self, model_name: _Optional[str] = ..., version: _Optional[int] = ..., alias: _Optional[str] = ..., arrow_ipc: _Optional[bytes] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("arrow_ipc", "model_name", "version", "digest", "watermark_time")
    ARROW_IPC_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_TIME_FIELD_NUMBER: _ClassVar[int]
    arrow_ipc: bytes
    model_name: str
    version: int
    digest: str
    watermark_time: _timestamp_pb2.Timestamp
    def __init__(self, arrow_ipc: _Optional[bytes] = ..., model_name: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., watermark_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
