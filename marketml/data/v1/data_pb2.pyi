import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from marketml.market.v1 import market_pb2 as _market_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SeriesKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SERIES_KIND_UNSPECIFIED: _ClassVar[SeriesKind]
    SERIES_KIND_CANDLES: _ClassVar[SeriesKind]
    SERIES_KIND_FUNDING_RATES: _ClassVar[SeriesKind]
    SERIES_KIND_OPEN_INTEREST: _ClassVar[SeriesKind]

class OnConflict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ON_CONFLICT_UNSPECIFIED: _ClassVar[OnConflict]
    ON_CONFLICT_REVISE: _ClassVar[OnConflict]
    ON_CONFLICT_KEEP: _ClassVar[OnConflict]
    ON_CONFLICT_REFUSE: _ClassVar[OnConflict]

class OnInvalid(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ON_INVALID_UNSPECIFIED: _ClassVar[OnInvalid]
    ON_INVALID_REFUSE: _ClassVar[OnInvalid]
    ON_INVALID_SKIP: _ClassVar[OnInvalid]

class Market(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MARKET_UNSPECIFIED: _ClassVar[Market]
    MARKET_SPOT: _ClassVar[Market]
    MARKET_CONTRACT: _ClassVar[Market]

class BarPrices(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BAR_PRICES_UNSPECIFIED: _ClassVar[BarPrices]
    BAR_PRICES_TRADE: _ClassVar[BarPrices]
    BAR_PRICES_MARK: _ClassVar[BarPrices]
    BAR_PRICES_INDEX: _ClassVar[BarPrices]

class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_UNSPECIFIED: _ClassVar[Severity]
    SEVERITY_INFO: _ClassVar[Severity]
    SEVERITY_WARNING: _ClassVar[Severity]
    SEVERITY_ERROR: _ClassVar[Severity]
SERIES_KIND_UNSPECIFIED: SeriesKind
SERIES_KIND_CANDLES: SeriesKind
SERIES_KIND_FUNDING_RATES: SeriesKind
SERIES_KIND_OPEN_INTEREST: SeriesKind
ON_CONFLICT_UNSPECIFIED: OnConflict
ON_CONFLICT_REVISE: OnConflict
ON_CONFLICT_KEEP: OnConflict
ON_CONFLICT_REFUSE: OnConflict
ON_INVALID_UNSPECIFIED: OnInvalid
ON_INVALID_REFUSE: OnInvalid
ON_INVALID_SKIP: OnInvalid
MARKET_UNSPECIFIED: Market
MARKET_SPOT: Market
MARKET_CONTRACT: Market
BAR_PRICES_UNSPECIFIED: BarPrices
BAR_PRICES_TRADE: BarPrices
BAR_PRICES_MARK: BarPrices
BAR_PRICES_INDEX: BarPrices
SEVERITY_UNSPECIFIED: Severity
SEVERITY_INFO: Severity
SEVERITY_WARNING: Severity
SEVERITY_ERROR: Severity

class IngestHeader(_message.Message):
    __slots__ = ("venue", "symbol", "timeframe", "source", "on_conflict", "on_invalid", "capture_time")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    TIMEFRAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ON_CONFLICT_FIELD_NUMBER: _ClassVar[int]
    ON_INVALID_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_TIME_FIELD_NUMBER: _ClassVar[int]
    venue: str
    symbol: str
    timeframe: str
    source: str
    on_conflict: OnConflict
    on_invalid: OnInvalid
    capture_time: _timestamp_pb2.Timestamp
    def __init__(self, venue: _Optional[str] = ..., symbol: _Optional[str] = ..., timeframe: _Optional[str] = ..., source: _Optional[str] = ..., on_conflict: _Optional[_Union[OnConflict, str]] = ..., on_invalid: _Optional[_Union[OnInvalid, str]] = ..., capture_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Candle(_message.Message):
    __slots__ = ("open_time", "open", "high", "low", "close", "volume", "quote_volume", "trade_count", "taker_buy_volume")
    OPEN_TIME_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    QUOTE_VOLUME_FIELD_NUMBER: _ClassVar[int]
    TRADE_COUNT_FIELD_NUMBER: _ClassVar[int]
    TAKER_BUY_VOLUME_FIELD_NUMBER: _ClassVar[int]
    open_time: _timestamp_pb2.Timestamp
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    trade_count: float
    taker_buy_volume: float
    def __init__(self, open_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., open: _Optional[float] = ..., high: _Optional[float] = ..., low: _Optional[float] = ..., close: _Optional[float] = ..., volume: _Optional[float] = ..., quote_volume: _Optional[float] = ..., trade_count: _Optional[float] = ..., taker_buy_volume: _Optional[float] = ...) -> None: ...

class FundingRate(_message.Message):
    __slots__ = ("time", "funding_rate", "mark_price")
    TIME_FIELD_NUMBER: _ClassVar[int]
    FUNDING_RATE_FIELD_NUMBER: _ClassVar[int]
    MARK_PRICE_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    funding_rate: float
    mark_price: float
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., funding_rate: _Optional[float] = ..., mark_price: _Optional[float] = ...) -> None: ...

class OpenInterest(_message.Message):
    __slots__ = ("time", "open_interest", "open_interest_value")
    TIME_FIELD_NUMBER: _ClassVar[int]
    OPEN_INTEREST_FIELD_NUMBER: _ClassVar[int]
    OPEN_INTEREST_VALUE_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    open_interest: float
    open_interest_value: float
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., open_interest: _Optional[float] = ..., open_interest_value: _Optional[float] = ...) -> None: ...

class CandleRows(_message.Message):
    __slots__ = ("rows",)
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[Candle]
    def __init__(self, rows: _Optional[_Iterable[_Union[Candle, _Mapping]]] = ...) -> None: ...

class FundingRateRows(_message.Message):
    __slots__ = ("rows",)
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[FundingRate]
    def __init__(self, rows: _Optional[_Iterable[_Union[FundingRate, _Mapping]]] = ...) -> None: ...

class OpenInterestRows(_message.Message):
    __slots__ = ("rows",)
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[OpenInterest]
    def __init__(self, rows: _Optional[_Iterable[_Union[OpenInterest, _Mapping]]] = ...) -> None: ...

class IngestCandlesRequest(_message.Message):
    __slots__ = ("header", "rows", "arrow_ipc")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ARROW_IPC_FIELD_NUMBER: _ClassVar[int]
    header: IngestHeader
    rows: CandleRows
    arrow_ipc: bytes
    def __init__(self, header: _Optional[_Union[IngestHeader, _Mapping]] = ..., rows: _Optional[_Union[CandleRows, _Mapping]] = ..., arrow_ipc: _Optional[bytes] = ...) -> None: ...

class IngestCandlesResponse(_message.Message):
    __slots__ = ("report",)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: IngestReport
    def __init__(self, report: _Optional[_Union[IngestReport, _Mapping]] = ...) -> None: ...

class IngestFundingRatesRequest(_message.Message):
    __slots__ = ("header", "rows", "arrow_ipc")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ARROW_IPC_FIELD_NUMBER: _ClassVar[int]
    header: IngestHeader
    rows: FundingRateRows
    arrow_ipc: bytes
    def __init__(self, header: _Optional[_Union[IngestHeader, _Mapping]] = ..., rows: _Optional[_Union[FundingRateRows, _Mapping]] = ..., arrow_ipc: _Optional[bytes] = ...) -> None: ...

class IngestFundingRatesResponse(_message.Message):
    __slots__ = ("report",)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: IngestReport
    def __init__(self, report: _Optional[_Union[IngestReport, _Mapping]] = ...) -> None: ...

class IngestOpenInterestRequest(_message.Message):
    __slots__ = ("header", "rows", "arrow_ipc")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ARROW_IPC_FIELD_NUMBER: _ClassVar[int]
    header: IngestHeader
    rows: OpenInterestRows
    arrow_ipc: bytes
    def __init__(self, header: _Optional[_Union[IngestHeader, _Mapping]] = ..., rows: _Optional[_Union[OpenInterestRows, _Mapping]] = ..., arrow_ipc: _Optional[bytes] = ...) -> None: ...

class IngestOpenInterestResponse(_message.Message):
    __slots__ = ("report",)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: IngestReport
    def __init__(self, report: _Optional[_Union[IngestReport, _Mapping]] = ...) -> None: ...

class IngestReport(_message.Message):
    __slots__ = ("received", "inserted", "revised", "unchanged", "rejected_count", "rejections", "first_time", "last_time", "doubtful_count", "doubtful")
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    INSERTED_FIELD_NUMBER: _ClassVar[int]
    REVISED_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    DOUBTFUL_COUNT_FIELD_NUMBER: _ClassVar[int]
    DOUBTFUL_FIELD_NUMBER: _ClassVar[int]
    received: int
    inserted: int
    revised: int
    unchanged: int
    rejected_count: int
    rejections: _containers.RepeatedCompositeFieldContainer[Rejection]
    first_time: _timestamp_pb2.Timestamp
    last_time: _timestamp_pb2.Timestamp
    doubtful_count: int
    doubtful: _containers.RepeatedCompositeFieldContainer[DoubtfulRow]
    def __init__(self, received: _Optional[int] = ..., inserted: _Optional[int] = ..., revised: _Optional[int] = ..., unchanged: _Optional[int] = ..., rejected_count: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[Rejection, _Mapping]]] = ..., first_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., doubtful_count: _Optional[int] = ..., doubtful: _Optional[_Iterable[_Union[DoubtfulRow, _Mapping]]] = ...) -> None: ...

class DoubtfulRow(_message.Message):
    __slots__ = ("row", "field", "rule", "value")
    ROW_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    row: int
    field: str
    rule: str
    value: str
    def __init__(self, row: _Optional[int] = ..., field: _Optional[str] = ..., rule: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class Rejection(_message.Message):
    __slots__ = ("row", "field", "rule", "value")
    ROW_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    row: int
    field: str
    rule: str
    value: str
    def __init__(self, row: _Optional[int] = ..., field: _Optional[str] = ..., rule: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class QueryCandlesRequest(_message.Message):
    __slots__ = ("series", "range", "limit", "newest_first", "as_of_time", "columns", "float32", "more_series", "resample_timeframe")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    AS_OF_TIME_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    FLOAT32_FIELD_NUMBER: _ClassVar[int]
    MORE_SERIES_FIELD_NUMBER: _ClassVar[int]
    RESAMPLE_TIMEFRAME_FIELD_NUMBER: _ClassVar[int]
    series: _market_pb2.SeriesKey
    range: _market_pb2.TimeRange
    limit: int
    newest_first: bool
    as_of_time: _timestamp_pb2.Timestamp
    columns: _containers.RepeatedScalarFieldContainer[str]
    float32: bool
    more_series: _containers.RepeatedCompositeFieldContainer[_market_pb2.SeriesKey]
    resample_timeframe: str
    def __init__(self, series: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., range: _Optional[_Union[_market_pb2.TimeRange, _Mapping]] = ..., limit: _Optional[int] = ..., newest_first: _Optional[bool] = ..., as_of_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., columns: _Optional[_Iterable[str]] = ..., float32: _Optional[bool] = ..., more_series: _Optional[_Iterable[_Union[_market_pb2.SeriesKey, _Mapping]]] = ..., resample_timeframe: _Optional[str] = ...) -> None: ...

class QueryCandlesResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: _market_pb2.FrameChunk
    def __init__(self, chunk: _Optional[_Union[_market_pb2.FrameChunk, _Mapping]] = ...) -> None: ...

class QueryFundingRatesRequest(_message.Message):
    __slots__ = ("series", "range", "limit", "newest_first", "as_of_time", "columns", "float32", "more_series")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    AS_OF_TIME_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    FLOAT32_FIELD_NUMBER: _ClassVar[int]
    MORE_SERIES_FIELD_NUMBER: _ClassVar[int]
    series: _market_pb2.SeriesKey
    range: _market_pb2.TimeRange
    limit: int
    newest_first: bool
    as_of_time: _timestamp_pb2.Timestamp
    columns: _containers.RepeatedScalarFieldContainer[str]
    float32: bool
    more_series: _containers.RepeatedCompositeFieldContainer[_market_pb2.SeriesKey]
    def __init__(self, series: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., range: _Optional[_Union[_market_pb2.TimeRange, _Mapping]] = ..., limit: _Optional[int] = ..., newest_first: _Optional[bool] = ..., as_of_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., columns: _Optional[_Iterable[str]] = ..., float32: _Optional[bool] = ..., more_series: _Optional[_Iterable[_Union[_market_pb2.SeriesKey, _Mapping]]] = ...) -> None: ...

class QueryFundingRatesResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: _market_pb2.FrameChunk
    def __init__(self, chunk: _Optional[_Union[_market_pb2.FrameChunk, _Mapping]] = ...) -> None: ...

class QueryOpenInterestRequest(_message.Message):
    __slots__ = ("series", "range", "limit", "newest_first", "as_of_time", "columns", "float32", "more_series")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    AS_OF_TIME_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    FLOAT32_FIELD_NUMBER: _ClassVar[int]
    MORE_SERIES_FIELD_NUMBER: _ClassVar[int]
    series: _market_pb2.SeriesKey
    range: _market_pb2.TimeRange
    limit: int
    newest_first: bool
    as_of_time: _timestamp_pb2.Timestamp
    columns: _containers.RepeatedScalarFieldContainer[str]
    float32: bool
    more_series: _containers.RepeatedCompositeFieldContainer[_market_pb2.SeriesKey]
    def __init__(self, series: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., range: _Optional[_Union[_market_pb2.TimeRange, _Mapping]] = ..., limit: _Optional[int] = ..., newest_first: _Optional[bool] = ..., as_of_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., columns: _Optional[_Iterable[str]] = ..., float32: _Optional[bool] = ..., more_series: _Optional[_Iterable[_Union[_market_pb2.SeriesKey, _Mapping]]] = ...) -> None: ...

class QueryOpenInterestResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: _market_pb2.FrameChunk
    def __init__(self, chunk: _Optional[_Union[_market_pb2.FrameChunk, _Mapping]] = ...) -> None: ...

class FrameSpec(_message.Message):
    __slots__ = ("series", "range", "funding_max_age", "open_interest_max_age", "as_of_time", "base_timeframe", "reference")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    FUNDING_MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    OPEN_INTEREST_MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_TIME_FIELD_NUMBER: _ClassVar[int]
    BASE_TIMEFRAME_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    series: _market_pb2.SeriesKey
    range: _market_pb2.TimeRange
    funding_max_age: _duration_pb2.Duration
    open_interest_max_age: _duration_pb2.Duration
    as_of_time: _timestamp_pb2.Timestamp
    base_timeframe: str
    reference: _market_pb2.SeriesKey
    def __init__(self, series: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., range: _Optional[_Union[_market_pb2.TimeRange, _Mapping]] = ..., funding_max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., open_interest_max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., as_of_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., base_timeframe: _Optional[str] = ..., reference: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ...) -> None: ...

class QueryFrameRequest(_message.Message):
    __slots__ = ("frame", "limit", "newest_first", "columns", "float32", "more_series")
    FRAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    FLOAT32_FIELD_NUMBER: _ClassVar[int]
    MORE_SERIES_FIELD_NUMBER: _ClassVar[int]
    frame: FrameSpec
    limit: int
    newest_first: bool
    columns: _containers.RepeatedScalarFieldContainer[str]
    float32: bool
    more_series: _containers.RepeatedCompositeFieldContainer[_market_pb2.SeriesKey]
    def __init__(self, frame: _Optional[_Union[FrameSpec, _Mapping]] = ..., limit: _Optional[int] = ..., newest_first: _Optional[bool] = ..., columns: _Optional[_Iterable[str]] = ..., float32: _Optional[bool] = ..., more_series: _Optional[_Iterable[_Union[_market_pb2.SeriesKey, _Mapping]]] = ...) -> None: ...

class QueryFrameResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: _market_pb2.FrameChunk
    def __init__(self, chunk: _Optional[_Union[_market_pb2.FrameChunk, _Mapping]] = ...) -> None: ...

class GetFrameStateRequest(_message.Message):
    __slots__ = ("frame",)
    FRAME_FIELD_NUMBER: _ClassVar[int]
    frame: FrameSpec
    def __init__(self, frame: _Optional[_Union[FrameSpec, _Mapping]] = ...) -> None: ...

class GetFrameStateResponse(_message.Message):
    __slots__ = ("state",)
    STATE_FIELD_NUMBER: _ClassVar[int]
    state: str
    def __init__(self, state: _Optional[str] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("snapshot_id", "frame", "row_count", "size_bytes", "first_time", "last_time", "create_time")
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FIRST_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    snapshot_id: str
    frame: FrameSpec
    row_count: int
    size_bytes: int
    first_time: _timestamp_pb2.Timestamp
    last_time: _timestamp_pb2.Timestamp
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, snapshot_id: _Optional[str] = ..., frame: _Optional[_Union[FrameSpec, _Mapping]] = ..., row_count: _Optional[int] = ..., size_bytes: _Optional[int] = ..., first_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateSnapshotRequest(_message.Message):
    __slots__ = ("frame", "request_id")
    FRAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    frame: FrameSpec
    request_id: str
    def __init__(self, frame: _Optional[_Union[FrameSpec, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateSnapshotResponse(_message.Message):
    __slots__ = ("snapshot",)
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    snapshot: Snapshot
    def __init__(self, snapshot: _Optional[_Union[Snapshot, _Mapping]] = ...) -> None: ...

class GetSnapshotRequest(_message.Message):
    __slots__ = ("snapshot_id",)
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    snapshot_id: str
    def __init__(self, snapshot_id: _Optional[str] = ...) -> None: ...

class GetSnapshotResponse(_message.Message):
    __slots__ = ("snapshot",)
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    snapshot: Snapshot
    def __init__(self, snapshot: _Optional[_Union[Snapshot, _Mapping]] = ...) -> None: ...

class ListSnapshotsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSnapshotsResponse(_message.Message):
    __slots__ = ("snapshots", "next_page_token")
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    snapshots: _containers.RepeatedCompositeFieldContainer[Snapshot]
    next_page_token: str
    def __init__(self, snapshots: _Optional[_Iterable[_Union[Snapshot, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ReadSnapshotRequest(_message.Message):
    __slots__ = ("snapshot_id",)
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    snapshot_id: str
    def __init__(self, snapshot_id: _Optional[str] = ...) -> None: ...

class ReadSnapshotResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: _market_pb2.FrameChunk
    def __init__(self, chunk: _Optional[_Union[_market_pb2.FrameChunk, _Mapping]] = ...) -> None: ...

class DeleteSnapshotRequest(_message.Message):
    __slots__ = ("snapshot_id", "request_id")
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    snapshot_id: str
    request_id: str
    def __init__(self, snapshot_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteSnapshotResponse(_message.Message):
    __slots__ = ("freed_bytes",)
    FREED_BYTES_FIELD_NUMBER: _ClassVar[int]
    freed_bytes: int
    def __init__(self, freed_bytes: _Optional[int] = ...) -> None: ...

class Series(_message.Message):
    __slots__ = ("kind", "key", "row_count", "first_time", "last_time", "missing_bars_count", "revised_count", "newest_capture_time", "source", "marked_missing_count", "settlement_interval", "collection")
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    MISSING_BARS_COUNT_FIELD_NUMBER: _ClassVar[int]
    REVISED_COUNT_FIELD_NUMBER: _ClassVar[int]
    NEWEST_CAPTURE_TIME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    MARKED_MISSING_COUNT_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    kind: SeriesKind
    key: _market_pb2.SeriesKey
    row_count: int
    first_time: _timestamp_pb2.Timestamp
    last_time: _timestamp_pb2.Timestamp
    missing_bars_count: int
    revised_count: int
    newest_capture_time: _timestamp_pb2.Timestamp
    source: str
    marked_missing_count: int
    settlement_interval: _duration_pb2.Duration
    collection: CollectionStatus
    def __init__(self, kind: _Optional[_Union[SeriesKind, str]] = ..., key: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., row_count: _Optional[int] = ..., first_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., missing_bars_count: _Optional[int] = ..., revised_count: _Optional[int] = ..., newest_capture_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., source: _Optional[str] = ..., marked_missing_count: _Optional[int] = ..., settlement_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., collection: _Optional[_Union[CollectionStatus, _Mapping]] = ...) -> None: ...

class ListSeriesRequest(_message.Message):
    __slots__ = ("venue", "symbol", "kind", "page_size", "page_token")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    venue: str
    symbol: str
    kind: SeriesKind
    page_size: int
    page_token: str
    def __init__(self, venue: _Optional[str] = ..., symbol: _Optional[str] = ..., kind: _Optional[_Union[SeriesKind, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSeriesResponse(_message.Message):
    __slots__ = ("series", "next_page_token")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    series: _containers.RepeatedCompositeFieldContainer[Series]
    next_page_token: str
    def __init__(self, series: _Optional[_Iterable[_Union[Series, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class NormalizeSymbolRequest(_message.Message):
    __slots__ = ("text", "venue")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VENUE_FIELD_NUMBER: _ClassVar[int]
    text: str
    venue: str
    def __init__(self, text: _Optional[str] = ..., venue: _Optional[str] = ...) -> None: ...

class NormalizeSymbolResponse(_message.Message):
    __slots__ = ("symbol", "base", "quote", "settle", "recognised_as")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    SETTLE_FIELD_NUMBER: _ClassVar[int]
    RECOGNISED_AS_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    base: str
    quote: str
    settle: str
    recognised_as: str
    def __init__(self, symbol: _Optional[str] = ..., base: _Optional[str] = ..., quote: _Optional[str] = ..., settle: _Optional[str] = ..., recognised_as: _Optional[str] = ...) -> None: ...

class DeleteSeriesRequest(_message.Message):
    __slots__ = ("kind", "key", "dry_run", "force", "request_id")
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    kind: SeriesKind
    key: _market_pb2.SeriesKey
    dry_run: bool
    force: bool
    request_id: str
    def __init__(self, kind: _Optional[_Union[SeriesKind, str]] = ..., key: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., dry_run: _Optional[bool] = ..., force: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteSeriesResponse(_message.Message):
    __slots__ = ("deleted_count",)
    DELETED_COUNT_FIELD_NUMBER: _ClassVar[int]
    deleted_count: int
    def __init__(self, deleted_count: _Optional[int] = ...) -> None: ...

class CollectionTarget(_message.Message):
    __slots__ = ("kind", "key")
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    kind: SeriesKind
    key: _market_pb2.SeriesKey
    def __init__(self, kind: _Optional[_Union[SeriesKind, str]] = ..., key: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ...) -> None: ...

class ExchangeSource(_message.Message):
    __slots__ = ("series", "start_time", "end_time")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    series: _containers.RepeatedCompositeFieldContainer[CollectionTarget]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, series: _Optional[_Iterable[_Union[CollectionTarget, _Mapping]]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class FileSource(_message.Message):
    __slots__ = ("path", "venue", "symbol", "timeframe", "kind", "on_conflict", "on_invalid", "utc_offset", "market", "bar_prices")
    PATH_FIELD_NUMBER: _ClassVar[int]
    VENUE_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    TIMEFRAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ON_CONFLICT_FIELD_NUMBER: _ClassVar[int]
    ON_INVALID_FIELD_NUMBER: _ClassVar[int]
    UTC_OFFSET_FIELD_NUMBER: _ClassVar[int]
    MARKET_FIELD_NUMBER: _ClassVar[int]
    BAR_PRICES_FIELD_NUMBER: _ClassVar[int]
    path: str
    venue: str
    symbol: str
    timeframe: str
    kind: SeriesKind
    on_conflict: OnConflict
    on_invalid: OnInvalid
    utc_offset: str
    market: Market
    bar_prices: BarPrices
    def __init__(self, path: _Optional[str] = ..., venue: _Optional[str] = ..., symbol: _Optional[str] = ..., timeframe: _Optional[str] = ..., kind: _Optional[_Union[SeriesKind, str]] = ..., on_conflict: _Optional[_Union[OnConflict, str]] = ..., on_invalid: _Optional[_Union[OnInvalid, str]] = ..., utc_offset: _Optional[str] = ..., market: _Optional[_Union[Market, str]] = ..., bar_prices: _Optional[_Union[BarPrices, str]] = ...) -> None: ...

class CollectSeriesRequest(_message.Message):
    __slots__ = ("exchange", "files")
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    exchange: ExchangeSource
    files: FileSource
    def __init__(self, exchange: _Optional[_Union[ExchangeSource, _Mapping]] = ..., files: _Optional[_Union[FileSource, _Mapping]] = ...) -> None: ...

class CollectSeriesResponse(_message.Message):
    __slots__ = ("progress", "outcome")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    progress: CollectionProgress
    outcome: CollectionOutcome
    def __init__(self, progress: _Optional[_Union[CollectionProgress, _Mapping]] = ..., outcome: _Optional[_Union[CollectionOutcome, _Mapping]] = ...) -> None: ...

class CollectionProgress(_message.Message):
    __slots__ = ("series", "file", "received", "inserted", "revised", "missing_bars_count", "newest_time", "progress_fraction", "remaining_time", "waiting_for")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    INSERTED_FIELD_NUMBER: _ClassVar[int]
    REVISED_FIELD_NUMBER: _ClassVar[int]
    MISSING_BARS_COUNT_FIELD_NUMBER: _ClassVar[int]
    NEWEST_TIME_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FRACTION_FIELD_NUMBER: _ClassVar[int]
    REMAINING_TIME_FIELD_NUMBER: _ClassVar[int]
    WAITING_FOR_FIELD_NUMBER: _ClassVar[int]
    series: CollectionTarget
    file: str
    received: int
    inserted: int
    revised: int
    missing_bars_count: int
    newest_time: _timestamp_pb2.Timestamp
    progress_fraction: float
    remaining_time: _duration_pb2.Duration
    waiting_for: str
    def __init__(self, series: _Optional[_Union[CollectionTarget, _Mapping]] = ..., file: _Optional[str] = ..., received: _Optional[int] = ..., inserted: _Optional[int] = ..., revised: _Optional[int] = ..., missing_bars_count: _Optional[int] = ..., newest_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., progress_fraction: _Optional[float] = ..., remaining_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., waiting_for: _Optional[str] = ...) -> None: ...

class CollectionOutcome(_message.Message):
    __slots__ = ("series", "file", "report", "missing_bars_count", "failure", "failure_reason", "notes")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    MISSING_BARS_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_REASON_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    series: CollectionTarget
    file: str
    report: IngestReport
    missing_bars_count: int
    failure: str
    failure_reason: str
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, series: _Optional[_Union[CollectionTarget, _Mapping]] = ..., file: _Optional[str] = ..., report: _Optional[_Union[IngestReport, _Mapping]] = ..., missing_bars_count: _Optional[int] = ..., failure: _Optional[str] = ..., failure_reason: _Optional[str] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...

class CollectionStatus(_message.Message):
    __slots__ = ("last_run_time", "last_success_time", "next_run_time", "inserted", "lag", "error", "failed_runs_count", "is_running")
    LAST_RUN_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SUCCESS_TIME_FIELD_NUMBER: _ClassVar[int]
    NEXT_RUN_TIME_FIELD_NUMBER: _ClassVar[int]
    INSERTED_FIELD_NUMBER: _ClassVar[int]
    LAG_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FAILED_RUNS_COUNT_FIELD_NUMBER: _ClassVar[int]
    IS_RUNNING_FIELD_NUMBER: _ClassVar[int]
    last_run_time: _timestamp_pb2.Timestamp
    last_success_time: _timestamp_pb2.Timestamp
    next_run_time: _timestamp_pb2.Timestamp
    inserted: int
    lag: _duration_pb2.Duration
    error: str
    failed_runs_count: int
    is_running: bool
    def __init__(self, last_run_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_success_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_run_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., inserted: _Optional[int] = ..., lag: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., error: _Optional[str] = ..., failed_runs_count: _Optional[int] = ..., is_running: _Optional[bool] = ...) -> None: ...

class CollectionPolicy(_message.Message):
    __slots__ = ("policy_id", "series", "interval", "start_time", "paused", "etag", "create_time", "update_time", "status")
    POLICY_ID_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    policy_id: str
    series: CollectionTarget
    interval: _duration_pb2.Duration
    start_time: _timestamp_pb2.Timestamp
    paused: bool
    etag: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    status: CollectionStatus
    def __init__(self, policy_id: _Optional[str] = ..., series: _Optional[_Union[CollectionTarget, _Mapping]] = ..., interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., paused: _Optional[bool] = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., status: _Optional[_Union[CollectionStatus, _Mapping]] = ...) -> None: ...

class CreateCollectionPolicyRequest(_message.Message):
    __slots__ = ("policy", "request_id")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    policy: CollectionPolicy
    request_id: str
    def __init__(self, policy: _Optional[_Union[CollectionPolicy, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateCollectionPolicyResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: CollectionPolicy
    def __init__(self, policy: _Optional[_Union[CollectionPolicy, _Mapping]] = ...) -> None: ...

class GetCollectionPolicyRequest(_message.Message):
    __slots__ = ("policy_id",)
    POLICY_ID_FIELD_NUMBER: _ClassVar[int]
    policy_id: str
    def __init__(self, policy_id: _Optional[str] = ...) -> None: ...

class GetCollectionPolicyResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: CollectionPolicy
    def __init__(self, policy: _Optional[_Union[CollectionPolicy, _Mapping]] = ...) -> None: ...

class ListCollectionPoliciesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCollectionPoliciesResponse(_message.Message):
    __slots__ = ("policies", "next_page_token")
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    policies: _containers.RepeatedCompositeFieldContainer[CollectionPolicy]
    next_page_token: str
    def __init__(self, policies: _Optional[_Iterable[_Union[CollectionPolicy, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateCollectionPolicyRequest(_message.Message):
    __slots__ = ("policy", "update_mask", "etag", "request_id")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    policy: CollectionPolicy
    update_mask: _field_mask_pb2.FieldMask
    etag: str
    request_id: str
    def __init__(self, policy: _Optional[_Union[CollectionPolicy, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class UpdateCollectionPolicyResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: CollectionPolicy
    def __init__(self, policy: _Optional[_Union[CollectionPolicy, _Mapping]] = ...) -> None: ...

class DeleteCollectionPolicyRequest(_message.Message):
    __slots__ = ("policy_id", "request_id")
    POLICY_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    policy_id: str
    request_id: str
    def __init__(self, policy_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteCollectionPolicyResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class QualityThresholds(_message.Message):
    __slots__ = ("jump_z", "zero_volume_run_bars", "stale_after", "unit_change_factor")
    JUMP_Z_FIELD_NUMBER: _ClassVar[int]
    ZERO_VOLUME_RUN_BARS_FIELD_NUMBER: _ClassVar[int]
    STALE_AFTER_FIELD_NUMBER: _ClassVar[int]
    UNIT_CHANGE_FACTOR_FIELD_NUMBER: _ClassVar[int]
    jump_z: float
    zero_volume_run_bars: int
    stale_after: _duration_pb2.Duration
    unit_change_factor: float
    def __init__(self, jump_z: _Optional[float] = ..., zero_volume_run_bars: _Optional[int] = ..., stale_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., unit_change_factor: _Optional[float] = ...) -> None: ...

class CheckQualityRequest(_message.Message):
    __slots__ = ("kind", "key", "range", "as_of_time", "thresholds", "rows_max", "arrow_ipc")
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_TIME_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    ROWS_MAX_FIELD_NUMBER: _ClassVar[int]
    ARROW_IPC_FIELD_NUMBER: _ClassVar[int]
    kind: SeriesKind
    key: _market_pb2.SeriesKey
    range: _market_pb2.TimeRange
    as_of_time: _timestamp_pb2.Timestamp
    thresholds: QualityThresholds
    rows_max: int
    arrow_ipc: bytes
    def __init__(self, kind: _Optional[_Union[SeriesKind, str]] = ..., key: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., range: _Optional[_Union[_market_pb2.TimeRange, _Mapping]] = ..., as_of_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., thresholds: _Optional[_Union[QualityThresholds, _Mapping]] = ..., rows_max: _Optional[int] = ..., arrow_ipc: _Optional[bytes] = ...) -> None: ...

class QualityRow(_message.Message):
    __slots__ = ("time", "end_time", "rows_count", "value")
    TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ROWS_COUNT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    rows_count: int
    value: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rows_count: _Optional[int] = ..., value: _Optional[str] = ...) -> None: ...

class QualityFinding(_message.Message):
    __slots__ = ("rule", "severity", "count", "places_count", "rows", "description")
    RULE_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    PLACES_COUNT_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    rule: str
    severity: Severity
    count: int
    places_count: int
    rows: _containers.RepeatedCompositeFieldContainer[QualityRow]
    description: str
    def __init__(self, rule: _Optional[str] = ..., severity: _Optional[_Union[Severity, str]] = ..., count: _Optional[int] = ..., places_count: _Optional[int] = ..., rows: _Optional[_Iterable[_Union[QualityRow, _Mapping]]] = ..., description: _Optional[str] = ...) -> None: ...

class RepairAction(_message.Message):
    __slots__ = ("refetch", "mark_missing", "mark_absent", "rule", "rows_count")
    REFETCH_FIELD_NUMBER: _ClassVar[int]
    MARK_MISSING_FIELD_NUMBER: _ClassVar[int]
    MARK_ABSENT_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    ROWS_COUNT_FIELD_NUMBER: _ClassVar[int]
    refetch: _market_pb2.TimeRange
    mark_missing: _market_pb2.TimeRange
    mark_absent: _market_pb2.TimeRange
    rule: str
    rows_count: int
    def __init__(self, refetch: _Optional[_Union[_market_pb2.TimeRange, _Mapping]] = ..., mark_missing: _Optional[_Union[_market_pb2.TimeRange, _Mapping]] = ..., mark_absent: _Optional[_Union[_market_pb2.TimeRange, _Mapping]] = ..., rule: _Optional[str] = ..., rows_count: _Optional[int] = ...) -> None: ...

class CheckQualityResponse(_message.Message):
    __slots__ = ("row_count", "first_time", "last_time", "findings", "plan", "content_sha256", "spacing")
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    CONTENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    SPACING_FIELD_NUMBER: _ClassVar[int]
    row_count: int
    first_time: _timestamp_pb2.Timestamp
    last_time: _timestamp_pb2.Timestamp
    findings: _containers.RepeatedCompositeFieldContainer[QualityFinding]
    plan: _containers.RepeatedCompositeFieldContainer[RepairAction]
    content_sha256: str
    spacing: _duration_pb2.Duration
    def __init__(self, row_count: _Optional[int] = ..., first_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., findings: _Optional[_Iterable[_Union[QualityFinding, _Mapping]]] = ..., plan: _Optional[_Iterable[_Union[RepairAction, _Mapping]]] = ..., content_sha256: _Optional[str] = ..., spacing: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class RepairSeriesRequest(_message.Message):
    __slots__ = ("kind", "key", "actions", "request_id")
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    kind: SeriesKind
    key: _market_pb2.SeriesKey
    actions: _containers.RepeatedCompositeFieldContainer[RepairAction]
    request_id: str
    def __init__(self, kind: _Optional[_Union[SeriesKind, str]] = ..., key: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., actions: _Optional[_Iterable[_Union[RepairAction, _Mapping]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class RepairOutcome(_message.Message):
    __slots__ = ("action", "inserted", "revised", "unchanged", "marked_count", "still_missing_count")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    INSERTED_FIELD_NUMBER: _ClassVar[int]
    REVISED_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    MARKED_COUNT_FIELD_NUMBER: _ClassVar[int]
    STILL_MISSING_COUNT_FIELD_NUMBER: _ClassVar[int]
    action: RepairAction
    inserted: int
    revised: int
    unchanged: int
    marked_count: int
    still_missing_count: int
    def __init__(self, action: _Optional[_Union[RepairAction, _Mapping]] = ..., inserted: _Optional[int] = ..., revised: _Optional[int] = ..., unchanged: _Optional[int] = ..., marked_count: _Optional[int] = ..., still_missing_count: _Optional[int] = ...) -> None: ...

class RepairSeriesResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[RepairOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[RepairOutcome, _Mapping]]] = ...) -> None: ...

class InferSeriesRequest(_message.Message):
    __slots__ = ("arrow_ipc", "metadata", "venue")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ARROW_IPC_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    VENUE_FIELD_NUMBER: _ClassVar[int]
    arrow_ipc: bytes
    metadata: _containers.ScalarMap[str, str]
    venue: str
    def __init__(self, arrow_ipc: _Optional[bytes] = ..., metadata: _Optional[_Mapping[str, str]] = ..., venue: _Optional[str] = ...) -> None: ...

class SeriesSuggestion(_message.Message):
    __slots__ = ("kind", "key", "symbol_confidence", "timeframe_confidence", "reasons")
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    TIMEFRAME_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    kind: SeriesKind
    key: _market_pb2.SeriesKey
    symbol_confidence: float
    timeframe_confidence: float
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[_Union[SeriesKind, str]] = ..., key: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., symbol_confidence: _Optional[float] = ..., timeframe_confidence: _Optional[float] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class InferSeriesResponse(_message.Message):
    __slots__ = ("suggestions",)
    SUGGESTIONS_FIELD_NUMBER: _ClassVar[int]
    suggestions: _containers.RepeatedCompositeFieldContainer[SeriesSuggestion]
    def __init__(self, suggestions: _Optional[_Iterable[_Union[SeriesSuggestion, _Mapping]]] = ...) -> None: ...
