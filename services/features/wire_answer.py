"""The answer of GenerateFeatures as messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd
import pyarrow as pa

from marketml.features.v1 import features_pb2 as pb
from marketml.rpc.frames import TIME_TYPE, pack_table
from services.features.answer import Header, Part, Progress, Summary, Values
from services.features.wire import write_family, write_key, write_omission
from services.features.wire_config import write_config

FRAME_FIELD = pb.GenerateFeaturesResponse.FRAME_FIELD_NUMBER
# Of a piece of the frame: the names of more would take as much of a message as a hundred rows of theirs.
COLUMNS_MAX = 500


def write_parts(parts: Iterable[Part]) -> Iterator[pb.GenerateFeaturesResponse | bytes]:
    """The messages of an answer: several for a piece of the frame, serialised already, numbered over all."""
    sequence = 0
    for part in parts:
        match part:
            case Header():
                yield pb.GenerateFeaturesResponse(header=_write_header(part))
            case Progress():
                progress = pb.FeatureProgress(fraction=part.fraction, stage=part.stage)
                yield pb.GenerateFeaturesResponse(progress=progress)
            case Values():
                for message in _write_values(part, sequence):
                    yield message
                    sequence += 1
            case Summary():
                yield pb.GenerateFeaturesResponse(summary=_write_summary(part))


def _write_values(part: Values, sequence: int) -> Iterator[bytes]:
    """The rows of some columns after the other, each piece with its times."""
    metadata = {
        "symbol": part.header.key.symbol,
        "timeframe": part.header.key.timeframe,
        "digest": part.header.digest,
    }
    times = pa.Array.from_pandas(pd.Series(part.open_time)).cast(TIME_TYPE)
    for start in range(0, len(part.header.names), COLUMNS_MAX):
        some = slice(start, start + COLUMNS_MAX)
        columns = [times, *(pa.array(row) for row in part.values[some])]
        table = pa.table(columns, names=["open_time", *part.header.names[some]])
        for message in pack_table(table.replace_schema_metadata(metadata), FRAME_FIELD, sequence):
            yield message
            sequence += 1


def _write_header(header: Header) -> pb.FeatureHeader:
    return pb.FeatureHeader(
        digest=header.digest,
        config_digest=header.config_digest,
        feature_names=header.names,
        warm_up_bars=header.warm_up_bars,
        row_count=header.row_count,
        config=write_config(header.config),
        omitted=[write_omission(omission) for omission in header.omitted],
        series=write_key(header.key),
        reference=None if header.reference is None else write_key(header.reference),
    )


def _write_summary(summary: Summary) -> pb.FeatureSummary:
    return pb.FeatureSummary(
        row_count=summary.row_count,
        feature_count=summary.feature_count,
        family_times=[
            pb.FamilyTime(family=write_family(family), seconds=seconds)
            for family, seconds in summary.seconds.items()
        ],
        cache_hit=summary.is_cache_hit,
    )
