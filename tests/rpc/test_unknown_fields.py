"""Fields of another contract are found at any depth, and a message without them is left alone."""

from __future__ import annotations

import pytest
from google.protobuf.struct_pb2 import Struct

from marketml.features.v1 import features_pb2
from marketml.rpc.unknown_fields import unknown_fields
from marketml.training.v1 import training_pb2 as pb

FIELD_111 = b"\xf8\x06\x01"  # a varint, 1


def test_a_message_of_its_contract_has_none() -> None:
    config = pb.TrainingConfig(seed=7, split=pb.SplitConfig(folds=3))
    config.features.technical.features.append("rsi_14")
    config.dataset.series.range.start_time.GetCurrentTime()
    assert not list(unknown_fields(config, "config"))
    mapped = Struct()
    mapped["key"] = {"inner": [1, "text"]}
    assert not list(unknown_fields(mapped, "struct"))


@pytest.mark.parametrize(
    ("path", "reach"),
    [
        ("config", lambda config: config),
        ("config.split", lambda config: config.split),
        ("config.features.tsfresh", lambda config: config.features.tsfresh),
        ("config.dataset.series.range.start_time", lambda config: config.dataset.series.range.start_time),
    ],
)
def test_one_is_named_by_the_message_that_holds_it(path: str, reach) -> None:  # type: ignore[no-untyped-def]
    config = pb.TrainingConfig(seed=7)
    reach(config).MergeFromString(FIELD_111 + FIELD_111)
    (violation,) = unknown_fields(config, "config")
    assert (violation.field, violation.rule) == (path, "unknown")
    assert "111" in violation.description


def test_one_within_a_list_has_its_position() -> None:
    header = features_pb2.FeatureHeader()
    header.omitted.add()
    header.omitted.add().MergeFromString(FIELD_111)
    assert [violation.field for violation in unknown_fields(header, "header")] == ["header.omitted[1]"]
