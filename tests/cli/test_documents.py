"""Configs that people write in YAML become messages, or are refused with their place."""

import click
import pytest

from marketml.cli.documents import parse_time, read_mapping, to_message
from marketml.training.v1 import training_pb2 as pb

CONFIG = """
dataset:
  series:
    series: {venue: binance, symbol: "BTC/USDT:USDT", timeframe: 1h}
    range: {start_time: 2024-01-01T00:00:00Z, end_time: 2024-06-01}
label:
  triple_barrier: {horizon_bars: 24, volatility: {profit_multiple: 4}}
split: {folds: 5, embargo_bars: 24}
class_weight: balanced
budget: {max_duration: 600}
seed: 7
"""


def read(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return to_message(read_mapping(path), pb.TrainingConfig(), "config.yaml")


def test_yaml_becomes_a_training_config(tmp_path):
    config = read(tmp_path, CONFIG)
    assert config.dataset.series.range.start_time.seconds == 1_704_067_200
    assert config.dataset.series.range.end_time.seconds == 1_717_200_000
    assert config.class_weight == pb.CLASS_WEIGHT_BALANCED
    assert config.budget.max_duration.seconds == 600
    assert config.label.triple_barrier.volatility.profit_multiple == 4
    assert not config.label.triple_barrier.volatility.HasField("loss_multiple")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("labl: {}", 'no field named "labl"'),
        ("seed: many", "seed"),
        ("split: {folds: 2.5}", "folds"),
        ("class_weight: heavy", "heavy"),
        ("- a list", "must hold names and values"),
        ("a: [", "is not YAML"),
        ("a: !!python/object/apply:os.system ['true']", "is not YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, says):
    with pytest.raises(click.UsageError) as caught:
        read(tmp_path, text)
    assert says in caught.value.message
    assert "config.yaml" in caught.value.message


def test_times_without_a_zone_are_utc():
    assert parse_time("2024-01-31T08:00", "--start").isoformat() == "2024-01-31T08:00:00+00:00"
    assert parse_time("2024-01-31T08:00+02:00", "--start").isoformat() == "2024-01-31T06:00:00+00:00"
    with pytest.raises(click.UsageError, match="--start must be a time"):
        parse_time("soon", "--start")
