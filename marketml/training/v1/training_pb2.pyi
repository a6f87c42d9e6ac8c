import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from marketml.features.v1 import features_pb2 as _features_pb2
from marketml.market.v1 import market_pb2 as _market_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_QUEUED: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_STOPPING: _ClassVar[JobState]
    JOB_STATE_SUCCEEDED: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_STOPPED: _ClassVar[JobState]

class JobStage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STAGE_UNSPECIFIED: _ClassVar[JobStage]
    JOB_STAGE_SNAPSHOT: _ClassVar[JobStage]
    JOB_STAGE_FEATURES: _ClassVar[JobStage]
    JOB_STAGE_LABELS: _ClassVar[JobStage]
    JOB_STAGE_CROSS_VALIDATION: _ClassVar[JobStage]
    JOB_STAGE_FINAL_FIT: _ClassVar[JobStage]
    JOB_STAGE_FINAL_TEST: _ClassVar[JobStage]
    JOB_STAGE_REGISTER: _ClassVar[JobStage]
    JOB_STAGE_SEARCH: _ClassVar[JobStage]

class StopMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STOP_MODE_UNSPECIFIED: _ClassVar[StopMode]
    STOP_MODE_KEEP_BEST: _ClassVar[StopMode]
    STOP_MODE_DISCARD: _ClassVar[StopMode]

class ClassWeight(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CLASS_WEIGHT_UNSPECIFIED: _ClassVar[ClassWeight]
    CLASS_WEIGHT_NONE: _ClassVar[ClassWeight]
    CLASS_WEIGHT_BALANCED: _ClassVar[ClassWeight]

class CalibrationMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CALIBRATION_METHOD_UNSPECIFIED: _ClassVar[CalibrationMethod]
    CALIBRATION_METHOD_SIGMOID: _ClassVar[CalibrationMethod]
    CALIBRATION_METHOD_ISOTONIC: _ClassVar[CalibrationMethod]

class DecisionMetric(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_METRIC_UNSPECIFIED: _ClassVar[DecisionMetric]
    DECISION_METRIC_BALANCED_ACCURACY: _ClassVar[DecisionMetric]
    DECISION_METRIC_MACRO_F1: _ClassVar[DecisionMetric]
    DECISION_METRIC_MCC: _ClassVar[DecisionMetric]

class BootstrapMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BOOTSTRAP_METHOD_UNSPECIFIED: _ClassVar[BootstrapMethod]
    BOOTSTRAP_METHOD_BLOCKS: _ClassVar[BootstrapMethod]
    BOOTSTRAP_METHOD_SEQUENTIAL: _ClassVar[BootstrapMethod]

class TrialState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRIAL_STATE_UNSPECIFIED: _ClassVar[TrialState]
    TRIAL_STATE_COMPLETE: _ClassVar[TrialState]
    TRIAL_STATE_PRUNED: _ClassVar[TrialState]
    TRIAL_STATE_UNSCORED: _ClassVar[TrialState]

class InputKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INPUT_KIND_UNSPECIFIED: _ClassVar[InputKind]
    INPUT_KIND_DATA: _ClassVar[InputKind]
    INPUT_KIND_CONFIG: _ClassVar[InputKind]
    INPUT_KIND_CODE: _ClassVar[InputKind]
    INPUT_KIND_LIBRARY: _ClassVar[InputKind]
    INPUT_KIND_HARDWARE: _ClassVar[InputKind]
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_QUEUED: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_STOPPING: JobState
JOB_STATE_SUCCEEDED: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_STOPPED: JobState
JOB_STAGE_UNSPECIFIED: JobStage
JOB_STAGE_SNAPSHOT: JobStage
JOB_STAGE_FEATURES: JobStage
JOB_STAGE_LABELS: JobStage
JOB_STAGE_CROSS_VALIDATION: JobStage
JOB_STAGE_FINAL_FIT: JobStage
JOB_STAGE_FINAL_TEST: JobStage
JOB_STAGE_REGISTER: JobStage
JOB_STAGE_SEARCH: JobStage
STOP_MODE_UNSPECIFIED: StopMode
STOP_MODE_KEEP_BEST: StopMode
STOP_MODE_DISCARD: StopMode
CLASS_WEIGHT_UNSPECIFIED: ClassWeight
CLASS_WEIGHT_NONE: ClassWeight
CLASS_WEIGHT_BALANCED: ClassWeight
CALIBRATION_METHOD_UNSPECIFIED: CalibrationMethod
CALIBRATION_METHOD_SIGMOID: CalibrationMethod
CALIBRATION_METHOD_ISOTONIC: CalibrationMethod
DECISION_METRIC_UNSPECIFIED: DecisionMetric
DECISION_METRIC_BALANCED_ACCURACY: DecisionMetric
DECISION_METRIC_MACRO_F1: DecisionMetric
DECISION_METRIC_MCC: DecisionMetric
BOOTSTRAP_METHOD_UNSPECIFIED: BootstrapMethod
BOOTSTRAP_METHOD_BLOCKS: BootstrapMethod
BOOTSTRAP_METHOD_SEQUENTIAL: BootstrapMethod
TRIAL_STATE_UNSPECIFIED: TrialState
TRIAL_STATE_COMPLETE: TrialState
TRIAL_STATE_PRUNED: TrialState
TRIAL_STATE_UNSCORED: TrialState
INPUT_KIND_UNSPECIFIED: InputKind
INPUT_KIND_DATA: InputKind
INPUT_KIND_CONFIG: InputKind
INPUT_KIND_CODE: InputKind
INPUT_KIND_LIBRARY: InputKind
INPUT_KIND_HARDWARE: InputKind

class TrainingConfig(_message.Message):
    __slots__ = ("dataset", "features", "label", "split", "model", "early_stopping", "class_weight", "evaluation", "budget", "seed", "sample_weights", "search", "calibration", "decision_thresholds")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    EARLY_STOPPING_FIELD_NUMBER: _ClassVar[int]
    CLASS_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    DECISION_THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    dataset: Dataset
    features: _features_pb2.FeatureConfig
    label: LabelConfig
    split: SplitConfig
    model: ModelConfig
    early_stopping: EarlyStopping
    class_weight: ClassWeight
    evaluation: EvaluationConfig
    budget: Budget
    seed: int
    sample_weights: SampleWeights
    search: SearchConfig
    calibration: Calibration
    decision_thresholds: DecisionThresholds
    def __init__(self, dataset: _Optional[_Union[Dataset, _Mapping]] = ..., features: _Optional[_Union[_features_pb2.FeatureConfig, _Mapping]] = ..., label: _Optional[_Union[LabelConfig, _Mapping]] = ..., split: _Optional[_Union[SplitConfig, _Mapping]] = ..., model: _Optional[_Union[ModelConfig, _Mapping]] = ..., early_stopping: _Optional[_Union[EarlyStopping, _Mapping]] = ..., class_weight: _Optional[_Union[ClassWeight, str]] = ..., evaluation: _Optional[_Union[EvaluationConfig, _Mapping]] = ..., budget: _Optional[_Union[Budget, _Mapping]] = ..., seed: _Optional[int] = ..., sample_weights: _Optional[_Union[SampleWeights, _Mapping]] = ..., search: _Optional[_Union[SearchConfig, _Mapping]] = ..., calibration: _Optional[_Union[Calibration, _Mapping]] = ..., decision_thresholds: _Optional[_Union[DecisionThresholds, _Mapping]] = ...) -> None: ...

class Calibration(_message.Message):
    __slots__ = ("enabled", "method", "fraction")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    method: CalibrationMethod
    fraction: float
    def __init__(self, enabled: _Optional[bool] = ..., method: _Optional[_Union[CalibrationMethod, str]] = ..., fraction: _Optional[float] = ...) -> None: ...

class DecisionThresholds(_message.Message):
    __slots__ = ("enabled", "metric", "fraction")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    metric: DecisionMetric
    fraction: float
    def __init__(self, enabled: _Optional[bool] = ..., metric: _Optional[_Union[DecisionMetric, str]] = ..., fraction: _Optional[float] = ...) -> None: ...

class SearchConfig(_message.Message):
    __slots__ = ("enabled", "trials", "max_duration", "metric", "startup_trials", "pruning", "space", "trials_at_once")
    class SpaceEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ParameterSpace
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ParameterSpace, _Mapping]] = ...) -> None: ...
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    MAX_DURATION_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    STARTUP_TRIALS_FIELD_NUMBER: _ClassVar[int]
    PRUNING_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    TRIALS_AT_ONCE_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    trials: int
    max_duration: _duration_pb2.Duration
    metric: str
    startup_trials: int
    pruning: bool
    space: _containers.MessageMap[str, ParameterSpace]
    trials_at_once: int
    def __init__(self, enabled: _Optional[bool] = ..., trials: _Optional[int] = ..., max_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., metric: _Optional[str] = ..., startup_trials: _Optional[int] = ..., pruning: _Optional[bool] = ..., space: _Optional[_Mapping[str, ParameterSpace]] = ..., trials_at_once: _Optional[int] = ...) -> None: ...

class ParameterSpace(_message.Message):
    __slots__ = ("integer", "real", "numbers", "words", "condition")
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    REAL_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    integer: IntegerRange
    real: RealRange
    numbers: NumberChoice
    words: WordChoice
    condition: ParameterCondition
    def __init__(self, integer: _Optional[_Union[IntegerRange, _Mapping]] = ..., real: _Optional[_Union[RealRange, _Mapping]] = ..., numbers: _Optional[_Union[NumberChoice, _Mapping]] = ..., words: _Optional[_Union[WordChoice, _Mapping]] = ..., condition: _Optional[_Union[ParameterCondition, _Mapping]] = ...) -> None: ...

class IntegerRange(_message.Message):
    __slots__ = ("low", "high", "step", "log")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    low: int
    high: int
    step: int
    log: bool
    def __init__(self, low: _Optional[int] = ..., high: _Optional[int] = ..., step: _Optional[int] = ..., log: _Optional[bool] = ...) -> None: ...

class RealRange(_message.Message):
    __slots__ = ("low", "high", "step", "log")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    step: float
    log: bool
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ..., step: _Optional[float] = ..., log: _Optional[bool] = ...) -> None: ...

class NumberChoice(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class WordChoice(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values: _Optional[_Iterable[str]] = ...) -> None: ...

class ParameterCondition(_message.Message):
    __slots__ = ("parameter", "numbers", "words")
    PARAMETER_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    parameter: str
    numbers: _containers.RepeatedScalarFieldContainer[float]
    words: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, parameter: _Optional[str] = ..., numbers: _Optional[_Iterable[float]] = ..., words: _Optional[_Iterable[str]] = ...) -> None: ...

class ParameterValue(_message.Message):
    __slots__ = ("number", "word")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    WORD_FIELD_NUMBER: _ClassVar[int]
    number: float
    word: str
    def __init__(self, number: _Optional[float] = ..., word: _Optional[str] = ...) -> None: ...

class SampleWeights(_message.Message):
    __slots__ = ("uniqueness", "return_attribution", "oldest_weight")
    UNIQUENESS_FIELD_NUMBER: _ClassVar[int]
    RETURN_ATTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    OLDEST_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    uniqueness: bool
    return_attribution: bool
    oldest_weight: float
    def __init__(self, uniqueness: _Optional[bool] = ..., return_attribution: _Optional[bool] = ..., oldest_weight: _Optional[float] = ...) -> None: ...

class Dataset(_message.Message):
    __slots__ = ("snapshot_id", "series", "funding_max_age", "open_interest_max_age", "more_series", "more_snapshot_ids")
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    FUNDING_MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    OPEN_INTEREST_MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    MORE_SERIES_FIELD_NUMBER: _ClassVar[int]
    MORE_SNAPSHOT_IDS_FIELD_NUMBER: _ClassVar[int]
    snapshot_id: str
    series: _market_pb2.SeriesRange
    funding_max_age: _duration_pb2.Duration
    open_interest_max_age: _duration_pb2.Duration
    more_series: _containers.RepeatedCompositeFieldContainer[_market_pb2.SeriesKey]
    more_snapshot_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, snapshot_id: _Optional[str] = ..., series: _Optional[_Union[_market_pb2.SeriesRange, _Mapping]] = ..., funding_max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., open_interest_max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., more_series: _Optional[_Iterable[_Union[_market_pb2.SeriesKey, _Mapping]]] = ..., more_snapshot_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class LabelConfig(_message.Message):
    __slots__ = ("fixed_horizon", "triple_barrier", "trend_scanning", "meta_label", "binary", "cusum_events")
    FIXED_HORIZON_FIELD_NUMBER: _ClassVar[int]
    TRIPLE_BARRIER_FIELD_NUMBER: _ClassVar[int]
    TREND_SCANNING_FIELD_NUMBER: _ClassVar[int]
    META_LABEL_FIELD_NUMBER: _ClassVar[int]
    BINARY_FIELD_NUMBER: _ClassVar[int]
    CUSUM_EVENTS_FIELD_NUMBER: _ClassVar[int]
    fixed_horizon: FixedHorizon
    triple_barrier: TripleBarrier
    trend_scanning: TrendScanning
    meta_label: MetaLabel
    binary: bool
    cusum_events: CusumEvents
    def __init__(self, fixed_horizon: _Optional[_Union[FixedHorizon, _Mapping]] = ..., triple_barrier: _Optional[_Union[TripleBarrier, _Mapping]] = ..., trend_scanning: _Optional[_Union[TrendScanning, _Mapping]] = ..., meta_label: _Optional[_Union[MetaLabel, _Mapping]] = ..., binary: _Optional[bool] = ..., cusum_events: _Optional[_Union[CusumEvents, _Mapping]] = ...) -> None: ...

class CusumEvents(_message.Message):
    __slots__ = ("enabled", "fraction", "trailing_volatility")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    TRAILING_VOLATILITY_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    fraction: float
    trailing_volatility: TrailingVolatility
    def __init__(self, enabled: _Optional[bool] = ..., fraction: _Optional[float] = ..., trailing_volatility: _Optional[_Union[TrailingVolatility, _Mapping]] = ...) -> None: ...

class TrendScanning(_message.Message):
    __slots__ = ("min_horizon_bars", "max_horizon_bars", "minimum_t")
    MIN_HORIZON_BARS_FIELD_NUMBER: _ClassVar[int]
    MAX_HORIZON_BARS_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_T_FIELD_NUMBER: _ClassVar[int]
    min_horizon_bars: int
    max_horizon_bars: int
    minimum_t: float
    def __init__(self, min_horizon_bars: _Optional[int] = ..., max_horizon_bars: _Optional[int] = ..., minimum_t: _Optional[float] = ...) -> None: ...

class MetaLabel(_message.Message):
    __slots__ = ("moving_averages", "triple_barrier")
    MOVING_AVERAGES_FIELD_NUMBER: _ClassVar[int]
    TRIPLE_BARRIER_FIELD_NUMBER: _ClassVar[int]
    moving_averages: MovingAverages
    triple_barrier: TripleBarrier
    def __init__(self, moving_averages: _Optional[_Union[MovingAverages, _Mapping]] = ..., triple_barrier: _Optional[_Union[TripleBarrier, _Mapping]] = ...) -> None: ...

class MovingAverages(_message.Message):
    __slots__ = ("fast_bars", "slow_bars")
    FAST_BARS_FIELD_NUMBER: _ClassVar[int]
    SLOW_BARS_FIELD_NUMBER: _ClassVar[int]
    fast_bars: int
    slow_bars: int
    def __init__(self, fast_bars: _Optional[int] = ..., slow_bars: _Optional[int] = ...) -> None: ...

class FixedHorizon(_message.Message):
    __slots__ = ("horizon_bars", "fraction", "trailing_volatility", "quantile")
    HORIZON_BARS_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    TRAILING_VOLATILITY_FIELD_NUMBER: _ClassVar[int]
    QUANTILE_FIELD_NUMBER: _ClassVar[int]
    horizon_bars: int
    fraction: float
    trailing_volatility: TrailingVolatility
    quantile: QuantileThreshold
    def __init__(self, horizon_bars: _Optional[int] = ..., fraction: _Optional[float] = ..., trailing_volatility: _Optional[_Union[TrailingVolatility, _Mapping]] = ..., quantile: _Optional[_Union[QuantileThreshold, _Mapping]] = ...) -> None: ...

class QuantileThreshold(_message.Message):
    __slots__ = ("tail",)
    TAIL_FIELD_NUMBER: _ClassVar[int]
    tail: float
    def __init__(self, tail: _Optional[float] = ...) -> None: ...

class TrailingVolatility(_message.Message):
    __slots__ = ("multiple", "window_bars")
    MULTIPLE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_BARS_FIELD_NUMBER: _ClassVar[int]
    multiple: float
    window_bars: int
    def __init__(self, multiple: _Optional[float] = ..., window_bars: _Optional[int] = ...) -> None: ...

class TripleBarrier(_message.Message):
    __slots__ = ("fraction", "volatility", "horizon_bars", "minimum_return")
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    VOLATILITY_FIELD_NUMBER: _ClassVar[int]
    HORIZON_BARS_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_RETURN_FIELD_NUMBER: _ClassVar[int]
    fraction: FractionBarriers
    volatility: VolatilityBarriers
    horizon_bars: int
    minimum_return: float
    def __init__(self, fraction: _Optional[_Union[FractionBarriers, _Mapping]] = ..., volatility: _Optional[_Union[VolatilityBarriers, _Mapping]] = ..., horizon_bars: _Optional[int] = ..., minimum_return: _Optional[float] = ...) -> None: ...

class FractionBarriers(_message.Message):
    __slots__ = ("profit_fraction", "loss_fraction")
    PROFIT_FRACTION_FIELD_NUMBER: _ClassVar[int]
    LOSS_FRACTION_FIELD_NUMBER: _ClassVar[int]
    profit_fraction: float
    loss_fraction: float
    def __init__(self, profit_fraction: _Optional[float] = ..., loss_fraction: _Optional[float] = ...) -> None: ...

class VolatilityBarriers(_message.Message):
    __slots__ = ("profit_multiple", "loss_multiple", "window_bars")
    PROFIT_MULTIPLE_FIELD_NUMBER: _ClassVar[int]
    LOSS_MULTIPLE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_BARS_FIELD_NUMBER: _ClassVar[int]
    profit_multiple: float
    loss_multiple: float
    window_bars: int
    def __init__(self, profit_multiple: _Optional[float] = ..., loss_multiple: _Optional[float] = ..., window_bars: _Optional[int] = ...) -> None: ...

class SplitConfig(_message.Message):
    __slots__ = ("test_fraction", "folds", "embargo_bars", "embargo_duration", "walk_forward", "combinatorial_purged")
    TEST_FRACTION_FIELD_NUMBER: _ClassVar[int]
    FOLDS_FIELD_NUMBER: _ClassVar[int]
    EMBARGO_BARS_FIELD_NUMBER: _ClassVar[int]
    EMBARGO_DURATION_FIELD_NUMBER: _ClassVar[int]
    WALK_FORWARD_FIELD_NUMBER: _ClassVar[int]
    COMBINATORIAL_PURGED_FIELD_NUMBER: _ClassVar[int]
    test_fraction: float
    folds: int
    embargo_bars: int
    embargo_duration: _duration_pb2.Duration
    walk_forward: WalkForward
    combinatorial_purged: CombinatorialPurged
    def __init__(self, test_fraction: _Optional[float] = ..., folds: _Optional[int] = ..., embargo_bars: _Optional[int] = ..., embargo_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., walk_forward: _Optional[_Union[WalkForward, _Mapping]] = ..., combinatorial_purged: _Optional[_Union[CombinatorialPurged, _Mapping]] = ...) -> None: ...

class WalkForward(_message.Message):
    __slots__ = ("folds", "test_row_count", "train_row_count")
    FOLDS_FIELD_NUMBER: _ClassVar[int]
    TEST_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    TRAIN_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    folds: int
    test_row_count: int
    train_row_count: int
    def __init__(self, folds: _Optional[int] = ..., test_row_count: _Optional[int] = ..., train_row_count: _Optional[int] = ...) -> None: ...

class CombinatorialPurged(_message.Message):
    __slots__ = ("groups", "test_groups")
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    TEST_GROUPS_FIELD_NUMBER: _ClassVar[int]
    groups: int
    test_groups: int
    def __init__(self, groups: _Optional[int] = ..., test_groups: _Optional[int] = ...) -> None: ...

class ModelConfig(_message.Message):
    __slots__ = ("lightgbm", "xgboost", "random_forest", "extra_trees", "bagging", "stacking")
    LIGHTGBM_FIELD_NUMBER: _ClassVar[int]
    XGBOOST_FIELD_NUMBER: _ClassVar[int]
    RANDOM_FOREST_FIELD_NUMBER: _ClassVar[int]
    EXTRA_TREES_FIELD_NUMBER: _ClassVar[int]
    BAGGING_FIELD_NUMBER: _ClassVar[int]
    STACKING_FIELD_NUMBER: _ClassVar[int]
    lightgbm: Lightgbm
    xgboost: Xgboost
    random_forest: RandomForest
    extra_trees: ExtraTrees
    bagging: Bagging
    stacking: Stacking
    def __init__(self, lightgbm: _Optional[_Union[Lightgbm, _Mapping]] = ..., xgboost: _Optional[_Union[Xgboost, _Mapping]] = ..., random_forest: _Optional[_Union[RandomForest, _Mapping]] = ..., extra_trees: _Optional[_Union[ExtraTrees, _Mapping]] = ..., bagging: _Optional[_Union[Bagging, _Mapping]] = ..., stacking: _Optional[_Union[Stacking, _Mapping]] = ...) -> None: ...

class SingleModel(_message.Message):
    __slots__ = ("lightgbm", "xgboost", "random_forest", "extra_trees")
    LIGHTGBM_FIELD_NUMBER: _ClassVar[int]
    XGBOOST_FIELD_NUMBER: _ClassVar[int]
    RANDOM_FOREST_FIELD_NUMBER: _ClassVar[int]
    EXTRA_TREES_FIELD_NUMBER: _ClassVar[int]
    lightgbm: Lightgbm
    xgboost: Xgboost
    random_forest: RandomForest
    extra_trees: ExtraTrees
    def __init__(self, lightgbm: _Optional[_Union[Lightgbm, _Mapping]] = ..., xgboost: _Optional[_Union[Xgboost, _Mapping]] = ..., random_forest: _Optional[_Union[RandomForest, _Mapping]] = ..., extra_trees: _Optional[_Union[ExtraTrees, _Mapping]] = ...) -> None: ...

class Bagging(_message.Message):
    __slots__ = ("members", "models", "bootstrap_fraction", "bootstrap", "block_rows")
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    BOOTSTRAP_FRACTION_FIELD_NUMBER: _ClassVar[int]
    BOOTSTRAP_FIELD_NUMBER: _ClassVar[int]
    BLOCK_ROWS_FIELD_NUMBER: _ClassVar[int]
    members: int
    models: _containers.RepeatedCompositeFieldContainer[SingleModel]
    bootstrap_fraction: float
    bootstrap: BootstrapMethod
    block_rows: int
    def __init__(self, members: _Optional[int] = ..., models: _Optional[_Iterable[_Union[SingleModel, _Mapping]]] = ..., bootstrap_fraction: _Optional[float] = ..., bootstrap: _Optional[_Union[BootstrapMethod, str]] = ..., block_rows: _Optional[int] = ...) -> None: ...

class Stacking(_message.Message):
    __slots__ = ("base_models", "meta_model", "folds", "passthrough")
    BASE_MODELS_FIELD_NUMBER: _ClassVar[int]
    META_MODEL_FIELD_NUMBER: _ClassVar[int]
    FOLDS_FIELD_NUMBER: _ClassVar[int]
    PASSTHROUGH_FIELD_NUMBER: _ClassVar[int]
    base_models: _containers.RepeatedCompositeFieldContainer[SingleModel]
    meta_model: MetaModel
    folds: int
    passthrough: bool
    def __init__(self, base_models: _Optional[_Iterable[_Union[SingleModel, _Mapping]]] = ..., meta_model: _Optional[_Union[MetaModel, _Mapping]] = ..., folds: _Optional[int] = ..., passthrough: _Optional[bool] = ...) -> None: ...

class MetaModel(_message.Message):
    __slots__ = ("logistic_regression", "lightgbm", "random_forest")
    LOGISTIC_REGRESSION_FIELD_NUMBER: _ClassVar[int]
    LIGHTGBM_FIELD_NUMBER: _ClassVar[int]
    RANDOM_FOREST_FIELD_NUMBER: _ClassVar[int]
    logistic_regression: LogisticRegression
    lightgbm: Lightgbm
    random_forest: RandomForest
    def __init__(self, logistic_regression: _Optional[_Union[LogisticRegression, _Mapping]] = ..., lightgbm: _Optional[_Union[Lightgbm, _Mapping]] = ..., random_forest: _Optional[_Union[RandomForest, _Mapping]] = ...) -> None: ...

class LogisticRegression(_message.Message):
    __slots__ = ("c",)
    C_FIELD_NUMBER: _ClassVar[int]
    c: float
    def __init__(self, c: _Optional[float] = ...) -> None: ...

class Lightgbm(_message.Message):
    __slots__ = ("rounds", "learning_rate", "num_leaves", "max_depth", "min_child_samples", "min_split_gain", "subsample", "colsample_bytree", "reg_alpha", "reg_lambda", "max_bin")
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    NUM_LEAVES_FIELD_NUMBER: _ClassVar[int]
    MAX_DEPTH_FIELD_NUMBER: _ClassVar[int]
    MIN_CHILD_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    MIN_SPLIT_GAIN_FIELD_NUMBER: _ClassVar[int]
    SUBSAMPLE_FIELD_NUMBER: _ClassVar[int]
    COLSAMPLE_BYTREE_FIELD_NUMBER: _ClassVar[int]
    REG_ALPHA_FIELD_NUMBER: _ClassVar[int]
    REG_LAMBDA_FIELD_NUMBER: _ClassVar[int]
    MAX_BIN_FIELD_NUMBER: _ClassVar[int]
    rounds: int
    learning_rate: float
    num_leaves: int
    max_depth: int
    min_child_samples: int
    min_split_gain: float
    subsample: float
    colsample_bytree: float
    reg_alpha: float
    reg_lambda: float
    max_bin: int
    def __init__(self, rounds: _Optional[int] = ..., learning_rate: _Optional[float] = ..., num_leaves: _Optional[int] = ..., max_depth: _Optional[int] = ..., min_child_samples: _Optional[int] = ..., min_split_gain: _Optional[float] = ..., subsample: _Optional[float] = ..., colsample_bytree: _Optional[float] = ..., reg_alpha: _Optional[float] = ..., reg_lambda: _Optional[float] = ..., max_bin: _Optional[int] = ...) -> None: ...

class Xgboost(_message.Message):
    __slots__ = ("rounds", "learning_rate", "max_depth", "min_child_weight", "gamma", "subsample", "colsample_bytree", "reg_alpha", "reg_lambda", "max_bin")
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    MAX_DEPTH_FIELD_NUMBER: _ClassVar[int]
    MIN_CHILD_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    GAMMA_FIELD_NUMBER: _ClassVar[int]
    SUBSAMPLE_FIELD_NUMBER: _ClassVar[int]
    COLSAMPLE_BYTREE_FIELD_NUMBER: _ClassVar[int]
    REG_ALPHA_FIELD_NUMBER: _ClassVar[int]
    REG_LAMBDA_FIELD_NUMBER: _ClassVar[int]
    MAX_BIN_FIELD_NUMBER: _ClassVar[int]
    rounds: int
    learning_rate: float
    max_depth: int
    min_child_weight: float
    gamma: float
    subsample: float
    colsample_bytree: float
    reg_alpha: float
    reg_lambda: float
    max_bin: int
    def __init__(self, rounds: _Optional[int] = ..., learning_rate: _Optional[float] = ..., max_depth: _Optional[int] = ..., min_child_weight: _Optional[float] = ..., gamma: _Optional[float] = ..., subsample: _Optional[float] = ..., colsample_bytree: _Optional[float] = ..., reg_alpha: _Optional[float] = ..., reg_lambda: _Optional[float] = ..., max_bin: _Optional[int] = ...) -> None: ...

class RandomForest(_message.Message):
    __slots__ = ("trees", "max_depth", "min_samples_leaf", "min_samples_split", "max_features_rule", "max_features_fraction", "max_samples")
    TREES_FIELD_NUMBER: _ClassVar[int]
    MAX_DEPTH_FIELD_NUMBER: _ClassVar[int]
    MIN_SAMPLES_LEAF_FIELD_NUMBER: _ClassVar[int]
    MIN_SAMPLES_SPLIT_FIELD_NUMBER: _ClassVar[int]
    MAX_FEATURES_RULE_FIELD_NUMBER: _ClassVar[int]
    MAX_FEATURES_FRACTION_FIELD_NUMBER: _ClassVar[int]
    MAX_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    trees: int
    max_depth: int
    min_samples_leaf: int
    min_samples_split: int
    max_features_rule: str
    max_features_fraction: float
    max_samples: float
    def __init__(self, trees: _Optional[int] = ..., max_depth: _Optional[int] = ..., min_samples_leaf: _Optional[int] = ..., min_samples_split: _Optional[int] = ..., max_features_rule: _Optional[str] = ..., max_features_fraction: _Optional[float] = ..., max_samples: _Optional[float] = ...) -> None: ...

class ExtraTrees(_message.Message):
    __slots__ = ("trees", "max_depth", "min_samples_leaf", "min_samples_split", "max_features_rule", "max_features_fraction", "bootstrap", "max_samples")
    TREES_FIELD_NUMBER: _ClassVar[int]
    MAX_DEPTH_FIELD_NUMBER: _ClassVar[int]
    MIN_SAMPLES_LEAF_FIELD_NUMBER: _ClassVar[int]
    MIN_SAMPLES_SPLIT_FIELD_NUMBER: _ClassVar[int]
    MAX_FEATURES_RULE_FIELD_NUMBER: _ClassVar[int]
    MAX_FEATURES_FRACTION_FIELD_NUMBER: _ClassVar[int]
    BOOTSTRAP_FIELD_NUMBER: _ClassVar[int]
    MAX_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    trees: int
    max_depth: int
    min_samples_leaf: int
    min_samples_split: int
    max_features_rule: str
    max_features_fraction: float
    bootstrap: bool
    max_samples: float
    def __init__(self, trees: _Optional[int] = ..., max_depth: _Optional[int] = ..., min_samples_leaf: _Optional[int] = ..., min_samples_split: _Optional[int] = ..., max_features_rule: _Optional[str] = ..., max_features_fraction: _Optional[float] = ..., bootstrap: _Optional[bool] = ..., max_samples: _Optional[float] = ...) -> None: ...

class EarlyStopping(_message.Message):
    __slots__ = ("enabled", "patience_rounds", "fraction")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_ROUNDS_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    patience_rounds: int
    fraction: float
    def __init__(self, enabled: _Optional[bool] = ..., patience_rounds: _Optional[int] = ..., fraction: _Optional[float] = ...) -> None: ...

class EvaluationConfig(_message.Message):
    __slots__ = ("interval_level", "interval_draws")
    INTERVAL_LEVEL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_DRAWS_FIELD_NUMBER: _ClassVar[int]
    interval_level: float
    interval_draws: int
    def __init__(self, interval_level: _Optional[float] = ..., interval_draws: _Optional[int] = ...) -> None: ...

class Budget(_message.Message):
    __slots__ = ("max_duration", "max_memory_bytes")
    MAX_DURATION_FIELD_NUMBER: _ClassVar[int]
    MAX_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    max_duration: _duration_pb2.Duration
    max_memory_bytes: int
    def __init__(self, max_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_memory_bytes: _Optional[int] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("job_id", "model_name", "state", "stage", "progress_fraction", "remaining", "attempt", "create_time", "start_time", "end_time", "config", "config_version", "snapshot_id", "last_sequence", "result", "failure", "priority", "resources", "reproduction")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FRACTION_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CONFIG_VERSION_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    REPRODUCTION_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    model_name: str
    state: JobState
    stage: JobStage
    progress_fraction: float
    remaining: _duration_pb2.Duration
    attempt: int
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    config: TrainingConfig
    config_version: int
    snapshot_id: str
    last_sequence: int
    result: TrainingResult
    failure: JobFailure
    priority: int
    resources: ResourceUse
    reproduction: Reproduction
    def __init__(self, job_id: _Optional[str] = ..., model_name: _Optional[str] = ..., state: _Optional[_Union[JobState, str]] = ..., stage: _Optional[_Union[JobStage, str]] = ..., progress_fraction: _Optional[float] = ..., remaining: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., attempt: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., config: _Optional[_Union[TrainingConfig, _Mapping]] = ..., config_version: _Optional[int] = ..., snapshot_id: _Optional[str] = ..., last_sequence: _Optional[int] = ..., result: _Optional[_Union[TrainingResult, _Mapping]] = ..., failure: _Optional[_Union[JobFailure, _Mapping]] = ..., priority: _Optional[int] = ..., resources: _Optional[_Union[ResourceUse, _Mapping]] = ..., reproduction: _Optional[_Union[Reproduction, _Mapping]] = ...) -> None: ...

class ResourceUse(_message.Message):
    __slots__ = ("cpu_seconds", "peak_memory_bytes", "wall_seconds")
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    WALL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    cpu_seconds: float
    peak_memory_bytes: int
    wall_seconds: float
    def __init__(self, cpu_seconds: _Optional[float] = ..., peak_memory_bytes: _Optional[int] = ..., wall_seconds: _Optional[float] = ...) -> None: ...

class JobFailure(_message.Message):
    __slots__ = ("code", "reason", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: str
    reason: str
    message: str
    def __init__(self, code: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class TrainingResult(_message.Message):
    __slots__ = ("model_name", "model_version", "model_digest", "class_names", "row_count", "feature_count", "rounds", "fold_table", "test", "test_row_count", "importances", "proofs", "stopped_early", "path_table", "paths", "return_thresholds", "search", "symbols", "code_digest", "machine_kind")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAMES_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    FEATURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    FOLD_TABLE_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    TEST_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    IMPORTANCES_FIELD_NUMBER: _ClassVar[int]
    PROOFS_FIELD_NUMBER: _ClassVar[int]
    STOPPED_EARLY_FIELD_NUMBER: _ClassVar[int]
    PATH_TABLE_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    RETURN_THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    CODE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MACHINE_KIND_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    model_version: int
    model_digest: str
    class_names: _containers.RepeatedScalarFieldContainer[str]
    row_count: int
    feature_count: int
    rounds: int
    fold_table: _containers.RepeatedCompositeFieldContainer[MetricRow]
    test: _containers.RepeatedCompositeFieldContainer[TestMetric]
    test_row_count: int
    importances: _containers.RepeatedCompositeFieldContainer[Importance]
    proofs: _containers.RepeatedCompositeFieldContainer[SplitProof]
    stopped_early: bool
    path_table: _containers.RepeatedCompositeFieldContainer[MetricRow]
    paths: _containers.RepeatedCompositeFieldContainer[BacktestPath]
    return_thresholds: ReturnThresholds
    search: SearchResult
    symbols: _containers.RepeatedCompositeFieldContainer[SymbolScore]
    code_digest: str
    machine_kind: str
    def __init__(self, model_name: _Optional[str] = ..., model_version: _Optional[int] = ..., model_digest: _Optional[str] = ..., class_names: _Optional[_Iterable[str]] = ..., row_count: _Optional[int] = ..., feature_count: _Optional[int] = ..., rounds: _Optional[int] = ..., fold_table: _Optional[_Iterable[_Union[MetricRow, _Mapping]]] = ..., test: _Optional[_Iterable[_Union[TestMetric, _Mapping]]] = ..., test_row_count: _Optional[int] = ..., importances: _Optional[_Iterable[_Union[Importance, _Mapping]]] = ..., proofs: _Optional[_Iterable[_Union[SplitProof, _Mapping]]] = ..., stopped_early: _Optional[bool] = ..., path_table: _Optional[_Iterable[_Union[MetricRow, _Mapping]]] = ..., paths: _Optional[_Iterable[_Union[BacktestPath, _Mapping]]] = ..., return_thresholds: _Optional[_Union[ReturnThresholds, _Mapping]] = ..., search: _Optional[_Union[SearchResult, _Mapping]] = ..., symbols: _Optional[_Iterable[_Union[SymbolScore, _Mapping]]] = ..., code_digest: _Optional[str] = ..., machine_kind: _Optional[str] = ...) -> None: ...

class SearchResult(_message.Message):
    __slots__ = ("metric", "trial_count", "complete_count", "pruned_count", "unscored_count", "best_trial", "best_value", "best_parameters", "first_value")
    class BestParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ParameterValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ParameterValue, _Mapping]] = ...) -> None: ...
    METRIC_FIELD_NUMBER: _ClassVar[int]
    TRIAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_COUNT_FIELD_NUMBER: _ClassVar[int]
    PRUNED_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNSCORED_COUNT_FIELD_NUMBER: _ClassVar[int]
    BEST_TRIAL_FIELD_NUMBER: _ClassVar[int]
    BEST_VALUE_FIELD_NUMBER: _ClassVar[int]
    BEST_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    FIRST_VALUE_FIELD_NUMBER: _ClassVar[int]
    metric: str
    trial_count: int
    complete_count: int
    pruned_count: int
    unscored_count: int
    best_trial: int
    best_value: float
    best_parameters: _containers.MessageMap[str, ParameterValue]
    first_value: float
    def __init__(self, metric: _Optional[str] = ..., trial_count: _Optional[int] = ..., complete_count: _Optional[int] = ..., pruned_count: _Optional[int] = ..., unscored_count: _Optional[int] = ..., best_trial: _Optional[int] = ..., best_value: _Optional[float] = ..., best_parameters: _Optional[_Mapping[str, ParameterValue]] = ..., first_value: _Optional[float] = ...) -> None: ...

class SymbolScore(_message.Message):
    __slots__ = ("venue", "symbol", "row_count", "test_row_count", "balanced_accuracy", "absent_reason")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    TEST_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    BALANCED_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    ABSENT_REASON_FIELD_NUMBER: _ClassVar[int]
    venue: str
    symbol: str
    row_count: int
    test_row_count: int
    balanced_accuracy: float
    absent_reason: str
    def __init__(self, venue: _Optional[str] = ..., symbol: _Optional[str] = ..., row_count: _Optional[int] = ..., test_row_count: _Optional[int] = ..., balanced_accuracy: _Optional[float] = ..., absent_reason: _Optional[str] = ...) -> None: ...

class ReturnThresholds(_message.Message):
    __slots__ = ("lower", "upper")
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    lower: float
    upper: float
    def __init__(self, lower: _Optional[float] = ..., upper: _Optional[float] = ...) -> None: ...

class BacktestPath(_message.Message):
    __slots__ = ("path", "folds", "row_count", "metrics")
    PATH_FIELD_NUMBER: _ClassVar[int]
    FOLDS_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    path: int
    folds: _containers.RepeatedScalarFieldContainer[int]
    row_count: int
    metrics: _containers.RepeatedCompositeFieldContainer[TestMetric]
    def __init__(self, path: _Optional[int] = ..., folds: _Optional[_Iterable[int]] = ..., row_count: _Optional[int] = ..., metrics: _Optional[_Iterable[_Union[TestMetric, _Mapping]]] = ...) -> None: ...

class MetricRow(_message.Message):
    __slots__ = ("baseline", "metric", "mean", "std", "min", "max", "fold_count", "absent_reason")
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    FOLD_COUNT_FIELD_NUMBER: _ClassVar[int]
    ABSENT_REASON_FIELD_NUMBER: _ClassVar[int]
    baseline: str
    metric: str
    mean: float
    std: float
    min: float
    max: float
    fold_count: int
    absent_reason: str
    def __init__(self, baseline: _Optional[str] = ..., metric: _Optional[str] = ..., mean: _Optional[float] = ..., std: _Optional[float] = ..., min: _Optional[float] = ..., max: _Optional[float] = ..., fold_count: _Optional[int] = ..., absent_reason: _Optional[str] = ...) -> None: ...

class TestMetric(_message.Message):
    __slots__ = ("baseline", "metric", "value", "low", "high", "absent_reason")
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    ABSENT_REASON_FIELD_NUMBER: _ClassVar[int]
    baseline: str
    metric: str
    value: float
    low: float
    high: float
    absent_reason: str
    def __init__(self, baseline: _Optional[str] = ..., metric: _Optional[str] = ..., value: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., absent_reason: _Optional[str] = ...) -> None: ...

class Importance(_message.Message):
    __slots__ = ("feature", "share")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    feature: str
    share: float
    def __init__(self, feature: _Optional[str] = ..., share: _Optional[float] = ...) -> None: ...

class SplitProof(_message.Message):
    __slots__ = ("consumer", "train_row_count", "held_out_row_count", "purged_count", "embargoed_count", "gap")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    TRAIN_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    HELD_OUT_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    PURGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    EMBARGOED_COUNT_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    consumer: str
    train_row_count: int
    held_out_row_count: int
    purged_count: int
    embargoed_count: int
    gap: _duration_pb2.Duration
    def __init__(self, consumer: _Optional[str] = ..., train_row_count: _Optional[int] = ..., held_out_row_count: _Optional[int] = ..., purged_count: _Optional[int] = ..., embargoed_count: _Optional[int] = ..., gap: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class StartTrainingRequest(_message.Message):
    __slots__ = ("request_id", "model_name", "config", "priority")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    model_name: str
    config: TrainingConfig
    priority: int
    def __init__(self, request_id: _Optional[str] = ..., model_name: _Optional[str] = ..., config: _Optional[_Union[TrainingConfig, _Mapping]] = ..., priority: _Optional[int] = ...) -> None: ...

class StartTrainingResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class GetTrainingRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class GetTrainingResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class ListTrainingsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "state", "model_name")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    state: JobState
    model_name: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., state: _Optional[_Union[JobState, str]] = ..., model_name: _Optional[str] = ...) -> None: ...

class ListTrainingsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchTrainingRequest(_message.Message):
    __slots__ = ("job_id", "after_sequence")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    after_sequence: int
    def __init__(self, job_id: _Optional[str] = ..., after_sequence: _Optional[int] = ...) -> None: ...

class WatchTrainingResponse(_message.Message):
    __slots__ = ("event", "heartbeat")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    event: Event
    heartbeat: Heartbeat
    def __init__(self, event: _Optional[_Union[Event, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("time", "last_sequence")
    TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    last_sequence: int
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_sequence: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("sequence", "time", "attempt", "state_changed", "stage_started", "progress", "fold_finished", "metric", "model_registered", "warning", "trial_finished")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STATE_CHANGED_FIELD_NUMBER: _ClassVar[int]
    STAGE_STARTED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    FOLD_FINISHED_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    MODEL_REGISTERED_FIELD_NUMBER: _ClassVar[int]
    WARNING_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FINISHED_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    time: _timestamp_pb2.Timestamp
    attempt: int
    state_changed: StateChanged
    stage_started: StageStarted
    progress: Progress
    fold_finished: FoldFinished
    metric: Metric
    model_registered: ModelRegistered
    warning: Warning
    trial_finished: TrialFinished
    def __init__(self, sequence: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempt: _Optional[int] = ..., state_changed: _Optional[_Union[StateChanged, _Mapping]] = ..., stage_started: _Optional[_Union[StageStarted, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., fold_finished: _Optional[_Union[FoldFinished, _Mapping]] = ..., metric: _Optional[_Union[Metric, _Mapping]] = ..., model_registered: _Optional[_Union[ModelRegistered, _Mapping]] = ..., warning: _Optional[_Union[Warning, _Mapping]] = ..., trial_finished: _Optional[_Union[TrialFinished, _Mapping]] = ...) -> None: ...

class StateChanged(_message.Message):
    __slots__ = ("previous_state", "state", "cause")
    PREVIOUS_STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    previous_state: JobState
    state: JobState
    cause: str
    def __init__(self, previous_state: _Optional[_Union[JobState, str]] = ..., state: _Optional[_Union[JobState, str]] = ..., cause: _Optional[str] = ...) -> None: ...

class StageStarted(_message.Message):
    __slots__ = ("stage",)
    STAGE_FIELD_NUMBER: _ClassVar[int]
    stage: JobStage
    def __init__(self, stage: _Optional[_Union[JobStage, str]] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("fraction", "remaining", "fold", "round", "validation_loss", "trial")
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    FOLD_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_LOSS_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    fraction: float
    remaining: _duration_pb2.Duration
    fold: int
    round: int
    validation_loss: float
    trial: int
    def __init__(self, fraction: _Optional[float] = ..., remaining: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., fold: _Optional[int] = ..., round: _Optional[int] = ..., validation_loss: _Optional[float] = ..., trial: _Optional[int] = ...) -> None: ...

class FoldFinished(_message.Message):
    __slots__ = ("fold", "fold_count", "rounds", "metrics")
    FOLD_FIELD_NUMBER: _ClassVar[int]
    FOLD_COUNT_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    fold: int
    fold_count: int
    rounds: int
    metrics: _containers.RepeatedCompositeFieldContainer[TestMetric]
    def __init__(self, fold: _Optional[int] = ..., fold_count: _Optional[int] = ..., rounds: _Optional[int] = ..., metrics: _Optional[_Iterable[_Union[TestMetric, _Mapping]]] = ...) -> None: ...

class TrialFinished(_message.Message):
    __slots__ = ("trial", "trial_count", "state", "metric", "value", "fold_values", "parameters", "best_trial", "best_value", "absent_reason")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ParameterValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ParameterValue, _Mapping]] = ...) -> None: ...
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    TRIAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    FOLD_VALUES_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    BEST_TRIAL_FIELD_NUMBER: _ClassVar[int]
    BEST_VALUE_FIELD_NUMBER: _ClassVar[int]
    ABSENT_REASON_FIELD_NUMBER: _ClassVar[int]
    trial: int
    trial_count: int
    state: TrialState
    metric: str
    value: float
    fold_values: _containers.RepeatedScalarFieldContainer[float]
    parameters: _containers.MessageMap[str, ParameterValue]
    best_trial: int
    best_value: float
    absent_reason: str
    def __init__(self, trial: _Optional[int] = ..., trial_count: _Optional[int] = ..., state: _Optional[_Union[TrialState, str]] = ..., metric: _Optional[str] = ..., value: _Optional[float] = ..., fold_values: _Optional[_Iterable[float]] = ..., parameters: _Optional[_Mapping[str, ParameterValue]] = ..., best_trial: _Optional[int] = ..., best_value: _Optional[float] = ..., absent_reason: _Optional[str] = ...) -> None: ...

class Metric(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...

class ModelRegistered(_message.Message):
    __slots__ = ("model_name", "model_version", "model_digest")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    model_version: int
    model_digest: str
    def __init__(self, model_name: _Optional[str] = ..., model_version: _Optional[int] = ..., model_digest: _Optional[str] = ...) -> None: ...

class Warning(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: str
    def __init__(self, message: _Optional[str] = ...) -> None: ...

class ReadTrainingLogsRequest(_message.Message):
    __slots__ = ("job_id", "attempt", "after_line")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    AFTER_LINE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    attempt: int
    after_line: int
    def __init__(self, job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., after_line: _Optional[int] = ...) -> None: ...

class ReadTrainingLogsResponse(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[LogEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[LogEntry, _Mapping]]] = ...) -> None: ...

class LogEntry(_message.Message):
    __slots__ = ("line", "time", "attempt", "level", "logger", "message")
    LINE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    LOGGER_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    line: int
    time: _timestamp_pb2.Timestamp
    attempt: int
    level: str
    logger: str
    message: str
    def __init__(self, line: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempt: _Optional[int] = ..., level: _Optional[str] = ..., logger: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class StopTrainingRequest(_message.Message):
    __slots__ = ("job_id", "mode")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    mode: StopMode
    def __init__(self, job_id: _Optional[str] = ..., mode: _Optional[_Union[StopMode, str]] = ...) -> None: ...

class StopTrainingResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class ValidateTrainingConfigRequest(_message.Message):
    __slots__ = ("config",)
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    config: TrainingConfig
    def __init__(self, config: _Optional[_Union[TrainingConfig, _Mapping]] = ...) -> None: ...

class ValidateTrainingConfigResponse(_message.Message):
    __slots__ = ("violations", "warnings", "config")
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    violations: _containers.RepeatedCompositeFieldContainer[_market_pb2.Violation]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    config: TrainingConfig
    def __init__(self, violations: _Optional[_Iterable[_Union[_market_pb2.Violation, _Mapping]]] = ..., warnings: _Optional[_Iterable[str]] = ..., config: _Optional[_Union[TrainingConfig, _Mapping]] = ...) -> None: ...

class GetDefaultTrainingConfigRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetDefaultTrainingConfigResponse(_message.Message):
    __slots__ = ("config", "config_version")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CONFIG_VERSION_FIELD_NUMBER: _ClassVar[int]
    config: TrainingConfig
    config_version: int
    def __init__(self, config: _Optional[_Union[TrainingConfig, _Mapping]] = ..., config_version: _Optional[int] = ...) -> None: ...

class PlanTrainingRequest(_message.Message):
    __slots__ = ("config", "model_name")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    config: TrainingConfig
    model_name: str
    def __init__(self, config: _Optional[_Union[TrainingConfig, _Mapping]] = ..., model_name: _Optional[str] = ...) -> None: ...

class PlanTrainingResponse(_message.Message):
    __slots__ = ("config", "config_version", "row_count", "feature_count", "fit_count", "duration", "duration_at_most", "cpu_seconds", "stages", "peak_memory_bytes", "bundle_bytes", "expected_rounds", "refusals", "assumptions")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CONFIG_VERSION_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    FEATURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    FIT_COUNT_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    DURATION_AT_MOST_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_BYTES_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_ROUNDS_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    ASSUMPTIONS_FIELD_NUMBER: _ClassVar[int]
    config: TrainingConfig
    config_version: int
    row_count: int
    feature_count: int
    fit_count: int
    duration: _duration_pb2.Duration
    duration_at_most: _duration_pb2.Duration
    cpu_seconds: float
    stages: _containers.RepeatedCompositeFieldContainer[StageForecast]
    peak_memory_bytes: int
    bundle_bytes: int
    expected_rounds: int
    refusals: _containers.RepeatedCompositeFieldContainer[ExceededBound]
    assumptions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, config: _Optional[_Union[TrainingConfig, _Mapping]] = ..., config_version: _Optional[int] = ..., row_count: _Optional[int] = ..., feature_count: _Optional[int] = ..., fit_count: _Optional[int] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., duration_at_most: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cpu_seconds: _Optional[float] = ..., stages: _Optional[_Iterable[_Union[StageForecast, _Mapping]]] = ..., peak_memory_bytes: _Optional[int] = ..., bundle_bytes: _Optional[int] = ..., expected_rounds: _Optional[int] = ..., refusals: _Optional[_Iterable[_Union[ExceededBound, _Mapping]]] = ..., assumptions: _Optional[_Iterable[str]] = ...) -> None: ...

class StageForecast(_message.Message):
    __slots__ = ("stage", "duration", "cpu_seconds")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    stage: JobStage
    duration: _duration_pb2.Duration
    cpu_seconds: float
    def __init__(self, stage: _Optional[_Union[JobStage, str]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cpu_seconds: _Optional[float] = ...) -> None: ...

class ExceededBound(_message.Message):
    __slots__ = ("field", "forecast", "bound", "description")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    FORECAST_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    field: str
    forecast: float
    bound: float
    description: str
    def __init__(self, field: _Optional[str] = ..., forecast: _Optional[float] = ..., bound: _Optional[float] = ..., description: _Optional[str] = ...) -> None: ...

class ReproduceModelRequest(_message.Message):
    __slots__ = ("model_name", "model_version", "budget")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    model_version: int
    budget: Budget
    def __init__(self, model_name: _Optional[str] = ..., model_version: _Optional[int] = ..., budget: _Optional[_Union[Budget, _Mapping]] = ...) -> None: ...

class ReproduceModelResponse(_message.Message):
    __slots__ = ("progress", "result")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    progress: ReproductionProgress
    result: Reproduction
    def __init__(self, progress: _Optional[_Union[ReproductionProgress, _Mapping]] = ..., result: _Optional[_Union[Reproduction, _Mapping]] = ...) -> None: ...

class ReproductionProgress(_message.Message):
    __slots__ = ("job_id", "state", "stage", "fraction", "remaining")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    state: JobState
    stage: JobStage
    fraction: float
    remaining: _duration_pb2.Duration
    def __init__(self, job_id: _Optional[str] = ..., state: _Optional[_Union[JobState, str]] = ..., stage: _Optional[_Union[JobStage, str]] = ..., fraction: _Optional[float] = ..., remaining: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Reproduction(_message.Message):
    __slots__ = ("model_name", "model_version", "model_digest", "job_id", "reproduced_digest", "is_equal", "first_difference", "differing_parts")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    REPRODUCED_DIGEST_FIELD_NUMBER: _ClassVar[int]
    IS_EQUAL_FIELD_NUMBER: _ClassVar[int]
    FIRST_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    DIFFERING_PARTS_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    model_version: int
    model_digest: str
    job_id: str
    reproduced_digest: str
    is_equal: bool
    first_difference: InputDifference
    differing_parts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, model_name: _Optional[str] = ..., model_version: _Optional[int] = ..., model_digest: _Optional[str] = ..., job_id: _Optional[str] = ..., reproduced_digest: _Optional[str] = ..., is_equal: _Optional[bool] = ..., first_difference: _Optional[_Union[InputDifference, _Mapping]] = ..., differing_parts: _Optional[_Iterable[str]] = ...) -> None: ...

class InputDifference(_message.Message):
    __slots__ = ("kind", "name", "then", "now", "description")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    THEN_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    kind: InputKind
    name: str
    then: str
    now: str
    description: str
    def __init__(self, kind: _Optional[_Union[InputKind, str]] = ..., name: _Optional[str] = ..., then: _Optional[str] = ..., now: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...
