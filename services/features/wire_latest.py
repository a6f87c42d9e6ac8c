"""The newest bar as messages and as domain values. Who asks bar after bar sends the same request again: it is
read once."""

from __future__ import annotations

from functools import lru_cache
from weakref import WeakKeyDictionary

from marketml.features.v1 import features_pb2 as pb
from services.features import wire, wire_config
from services.features.answer import Latest
from services.features.vectors import Question

# Questions that were read last, of requests so large at the most each.
_KEPT_COUNT, _KEPT_BYTES_MAX = 256, 64 * 1024

_written: WeakKeyDictionary[Latest, bytes] = WeakKeyDictionary()


def is_short(request: pb.GetLatestFeaturesRequest) -> bool:
    """Whether a request is read in so little time that a loop may wait for it."""
    return request.ByteSize() <= _KEPT_BYTES_MAX


def read_question(request: pb.GetLatestFeaturesRequest) -> Question:
    """What is asked for, with every default of the config filled in.

    Raises
    ------
    InvalidArgument
        What names the series, or fields of the config that this contract has not.
    """
    return _read_kept(request.SerializeToString()) if is_short(request) else _read(request)


@lru_cache(_KEPT_COUNT)
def _read_kept(request: bytes) -> Question:
    return _read(pb.GetLatestFeaturesRequest.FromString(request))


def _read(request: pb.GetLatestFeaturesRequest) -> Question:
    key, reference, as_of = wire.read_latest(request)
    return Question(key, reference, wire_config.read_config(request.config), as_of)


def write_latest(latest: Latest) -> bytes:
    """Written once, however often it is given."""
    if (written := _written.get(latest)) is None:
        written = _written[latest] = _message(latest).SerializeToString()
    return written


def _message(latest: Latest) -> pb.GetLatestFeaturesResponse:
    response = pb.GetLatestFeaturesResponse(
        feature_names=latest.names,
        values=latest.values,
        omitted=[wire.write_omission(omission) for omission in latest.omitted],
        history_bars=latest.history_bars,
        config_digest=latest.config_digest,
    )
    response.open_time.FromDatetime(latest.open_time.to_pydatetime())
    response.known_time.FromDatetime(latest.known_time.to_pydatetime())
    return response
