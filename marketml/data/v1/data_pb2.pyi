import datetime

from google.protobuf import duration_pb2 as _duration_pb2
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
    __slots__ = ("received", "inserted", "revised", "unchanged", "rejected_count", "rejections", "first_time", "last_time")
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    INSERTED_FIELD_NUMBER: _ClassVar[int]
    REVISED_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    received: int
    inserted: int
    revised: int
    unchanged: int
    rejected_count: int
    rejections: _containers.RepeatedCompositeFieldContainer[Rejection]
    first_time: _timestamp_pb2.Timestamp
    last_time: _timestamp_pb2.Timestamp
    def __init__(self, received: _Optional[int] = ..., inserted: _Optional[int] = ..., revised: _Optional[int] = ..., unchanged: _Optional[int] = ..., rejected_count: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[Rejection, _Mapping]]] = ..., first_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

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
    __slots__ = ("series", "range", "limit", "newest_first", "as_of_time")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    AS_OF_TIME_FIELD_NUMBER: _ClassVar[int]
    series: _market_pb2.SeriesKey
    range: _market_pb2.TimeRange
    limit: int
    newest_first: bool
    as_of_time: _timestamp_pb2.Timestamp
    def __init__(self, series: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., range: _Optional[_Union[_market_pb2.TimeRange, _Mapping]] = ..., limit: _Optional[int] = ..., newest_first: _Optional[bool] = ..., as_of_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class QueryCandlesResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: _market_pb2.FrameChunk
    def __init__(self, chunk: _Optional[_Union[_market_pb2.FrameChunk, _Mapping]] = ...) -> None: ...

class QueryFundingRatesRequest(_message.Message):
    __slots__ = ("series", "range", "limit", "newest_first", "as_of_time")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    AS_OF_TIME_FIELD_NUMBER: _ClassVar[int]
    series: _market_pb2.SeriesKey
    range: _market_pb2.TimeRange
    limit: int
    newest_first: bool
    as_of_time: _timestamp_pb2.Timestamp
    def __init__(self, series: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., range: _Optional[_Union[_market_pb2.TimeRange, _Mapping]] = ..., limit: _Optional[int] = ..., newest_first: _Optional[bool] = ..., as_of_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class QueryFundingRatesResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: _market_pb2.FrameChunk
    def __init__(self, chunk: _Optional[_Union[_market_pb2.FrameChunk, _Mapping]] = ...) -> None: ...

class QueryOpenInterestRequest(_message.Message):
    __slots__ = ("series", "range", "limit", "newest_first", "as_of_time")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    AS_OF_TIME_FIELD_NUMBER: _ClassVar[int]
    series: _market_pb2.SeriesKey
    range: _market_pb2.TimeRange
    limit: int
    newest_first: bool
    as_of_time: _timestamp_pb2.Timestamp
    def __init__(self, series: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., range: _Optional[_Union[_market_pb2.TimeRange, _Mapping]] = ..., limit: _Optional[int] = ..., newest_first: _Optional[bool] = ..., as_of_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class QueryOpenInterestResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: _market_pb2.FrameChunk
    def __init__(self, chunk: _Optional[_Union[_market_pb2.FrameChunk, _Mapping]] = ...) -> None: ...

class FrameSpec(_message.Message):
    __slots__ = ("series", "range", "funding_max_age", "open_interest_max_age", "as_of_time")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    FUNDING_MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    OPEN_INTEREST_MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_TIME_FIELD_NUMBER: _ClassVar[int]
    series: _market_pb2.SeriesKey
    range: _market_pb2.TimeRange
    funding_max_age: _duration_pb2.Duration
    open_interest_max_age: _duration_pb2.Duration
    as_of_time: _timestamp_pb2.Timestamp
    def __init__(self, series: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., range: _Optional[_Union[_market_pb2.TimeRange, _Mapping]] = ..., funding_max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., open_interest_max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., as_of_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class QueryFrameRequest(_message.Message):
    __slots__ = ("frame", "limit", "newest_first")
    FRAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    frame: FrameSpec
    limit: int
    newest_first: bool
    def __init__(self, frame: _Optional[_Union[FrameSpec, _Mapping]] = ..., limit: _Optional[int] = ..., newest_first: _Optional[bool] = ...) -> None: ...

class QueryFrameResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: _market_pb2.FrameChunk
    def __init__(self, chunk: _Optional[_Union[_market_pb2.FrameChunk, _Mapping]] = ...) -> None: ...

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
    __slots__ = ("kind", "key", "row_count", "first_time", "last_time", "missing_bars_count", "revised_count", "newest_capture_time", "source")
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    MISSING_BARS_COUNT_FIELD_NUMBER: _ClassVar[int]
    REVISED_COUNT_FIELD_NUMBER: _ClassVar[int]
    NEWEST_CAPTURE_TIME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    kind: SeriesKind
    key: _market_pb2.SeriesKey
    row_count: int
    first_time: _timestamp_pb2.Timestamp
    last_time: _timestamp_pb2.Timestamp
    missing_bars_count: int
    revised_count: int
    newest_capture_time: _timestamp_pb2.Timestamp
    source: str
    def __init__(self, kind: _Optional[_Union[SeriesKind, str]] = ..., key: _Optional[_Union[_market_pb2.SeriesKey, _Mapping]] = ..., row_count: _Optional[int] = ..., first_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., missing_bars_count: _Optional[int] = ..., revised_count: _Optional[int] = ..., newest_capture_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., source: _Optional[str] = ...) -> None: ...

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
