import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TimeRange(_message.Message):
    __slots__ = ("start_time", "end_time")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class FrameChunk(_message.Message):
    __slots__ = ("arrow_ipc", "sequence")
    ARROW_IPC_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    arrow_ipc: bytes
    sequence: int
    def __init__(self, arrow_ipc: _Optional[bytes] = ..., sequence: _Optional[int] = ...) -> None: ...

class Violation(_message.Message):
    __slots__ = ("field", "rule", "description")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    field: str
    rule: str
    description: str
    def __init__(self, field: _Optional[str] = ..., rule: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...

class SeriesKey(_message.Message):
    __slots__ = ("venue", "symbol", "timeframe")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    TIMEFRAME_FIELD_NUMBER: _ClassVar[int]
    venue: str
    symbol: str
    timeframe: str
    def __init__(self, venue: _Optional[str] = ..., symbol: _Optional[str] = ..., timeframe: _Optional[str] = ...) -> None: ...

class SeriesRange(_message.Message):
    __slots__ = ("series", "range", "as_of_time", "reference")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_TIME_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    series: SeriesKey
    range: TimeRange
    as_of_time: _timestamp_pb2.Timestamp
    reference: SeriesKey
    def __init__(self, series: _Optional[_Union[SeriesKey, _Mapping]] = ..., range: _Optional[_Union[TimeRange, _Mapping]] = ..., as_of_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reference: _Optional[_Union[SeriesKey, _Mapping]] = ...) -> None: ...
