"""The platform config over a real channel: masks, etags, versions, refusals."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from marketml.registry.v1 import registry_pb2 as pb
from marketml.rpc.refusals import Aborted, AlreadyExists, InvalidArgument, ResourceExhausted
from tests.registry.bundles import Stumps
from tests.registry.frames import frame_of, random_rows


def _split(**fields) -> pb.PlatformConfig:
    config = pb.PlatformConfig()
    for name, value in fields.items():
        setattr(config.training.split, name, value)
    return config


def test_a_change_is_in_force_at_once_and_makes_a_version(registry):
    before = registry.client.get_config()
    assert (before.version, before.config.training.split.folds) == (1, 5)
    changed = registry.client.update_config(_split(folds=7), ["training.split.folds"], before.etag)
    now = registry.client.get_config()
    assert (now.version, now.etag, now.config) == (2, changed.etag, changed.config)
    assert now.config.training.split.folds == 7
    assert now.etag != before.etag
    assert now.update_time.ToDatetime() >= before.update_time.ToDatetime()
    reset = registry.client.reset_config()
    assert (reset.version, reset.config) == (3, before.config)


def test_a_stale_etag_is_refused_and_changes_nothing(registry):
    etag = registry.client.get_config().etag
    registry.client.update_config(_split(folds=7), ["training.split.folds"], etag)
    now = registry.client.get_config()
    with pytest.raises(Aborted):
        registry.client.update_config(_split(folds=8), ["training.split.folds"], etag)
    with pytest.raises(Aborted):
        registry.client.reset_config(etag)
    assert registry.client.get_config() == now


@pytest.mark.parametrize(
    ("config", "mask", "field", "rule"),
    [
        (_split(folds=1), ["training.split.folds"], "config.training.split.folds", "range"),
        (_split(test_fraction=0.51), ["training"], "config.training.split.test_fraction", "range"),
        (_split(test_fraction=float("nan")), ["training"], "config.training.split.test_fraction", "range"),
        (_split(folds=3), ["training.split.fold"], "update_mask.paths[0]", "unknown"),
        (_split(folds=3), [], "update_mask.paths", "required"),
        (
            pb.PlatformConfig(training={"class_weight": "CLASS_WEIGHT_UNSPECIFIED"}),
            ["training.class_weight"],
            "config.training.class_weight",
            "choice",
        ),
        (
            pb.PlatformConfig(training={"class_weight": 77}),
            ["training.class_weight"],
            "config.training.class_weight",
            "choice",
        ),
        (
            pb.PlatformConfig(labels={"triple_barrier": {"fraction": {"profit_fraction": 0.1}}}),
            ["labels"],
            "config.labels.triple_barrier.fraction.loss_fraction",
            "range",
        ),
        (
            pb.PlatformConfig(data_processing={"funding_max_age": {"seconds": -1}}),
            ["data_processing.funding_max_age"],
            "config.data_processing.funding_max_age",
            "range",
        ),
        (
            pb.PlatformConfig(data_processing={"funding_max_age": {"nanos": 2_000_000_000}}),
            ["data_processing.funding_max_age"],
            "config.data_processing.funding_max_age",
            "duration",
        ),
        (
            pb.PlatformConfig(features={"tsfresh": {"columns": ["close", "close"]}}),
            ["features.tsfresh.columns"],
            "config.features.tsfresh.columns",
            "list",
        ),
        (
            pb.PlatformConfig(features={"technical": {"features": ["a b"]}}),
            ["features.technical"],
            "config.features.technical.features",
            "list",
        ),
        (
            pb.PlatformConfig(training={"model": {"random_forest": {"max_features_rule": "all"}}}),
            ["training.model"],
            "config.training.model.random_forest.max_features_rule",
            "choice",
        ),
    ],
)
def test_a_bad_change_is_refused_with_its_path_and_changes_nothing(registry, config, mask, field, rule):
    before = registry.client.get_config()
    with pytest.raises(InvalidArgument) as refused:
        registry.client.update_config(config, mask, before.etag)
    assert (field, rule) in {(each.field, each.rule) for each in refused.value.violations}
    assert registry.client.get_config() == before


def test_an_absent_etag_is_refused(registry):
    with pytest.raises(InvalidArgument) as refused:
        registry.client.update_config(_split(folds=7), ["training.split.folds"], "")
    assert refused.value.violations[0].field == "etag"
    assert registry.client.get_config().version == 1


def test_a_field_of_no_contract_is_refused_even_outside_the_mask(registry):
    etag = registry.client.get_config().etag
    config = _split(folds=7)
    config.training.split.MergeFromString(b"\xf8\x06\x01")  # field 111, a varint
    with pytest.raises(InvalidArgument) as refused:
        registry.client.update_config(config, ["training.split.folds"], etag)
    (violation,) = refused.value.violations
    assert (violation.field, violation.rule) == ("config.training.split", "unknown")
    assert "111" in violation.description


def test_a_repeated_request_has_one_effect_and_the_first_answer(registry):
    etag = registry.client.get_config().etag
    ask = (_split(folds=7), ["training.split.folds"], etag, "change-1")
    first = registry.client.update_config(*ask)
    registry.client.reset_config(request_id="reset-1")
    assert registry.client.update_config(*ask) == first
    assert registry.client.get_config().version == 3
    with pytest.raises(AlreadyExists):
        registry.client.reset_config(request_id="change-1")
    assert registry.client.reset_config(request_id="reset-1").version == 3
    assert registry.client.get_config().version == 3


def test_fifty_writers_at_once_lose_no_update(registry):
    registry.client.update_config(
        _split(embargo_bars=0), ["training.split.embargo_bars"], registry.client.get_config().etag
    )

    def add_one(_: int) -> None:
        while True:
            seen = registry.client.get_config()
            bars = seen.config.training.split.embargo_bars + 1
            try:
                registry.client.update_config(
                    _split(embargo_bars=bars), ["training.split.embargo_bars"], seen.etag
                )
            except Aborted:
                continue
            return

    with ThreadPoolExecutor(50) as writers:
        list(writers.map(add_one, range(50)))
    now = registry.client.get_config()
    assert (now.config.training.split.embargo_bars, now.version) == (50, 52)


def test_the_limit_on_rows_is_the_config_s(registry):
    registry.client.upload_model("btc", Stumps().bundle)
    registry.client.load_model("btc")
    assert len(registry.client.predict("btc", frame_of(random_rows(3))).frame) == 3
    config = pb.PlatformConfig(prediction={"max_rows": 2})
    registry.client.update_config(config, ["prediction.max_rows"], registry.client.get_config().etag)
    with pytest.raises(ResourceExhausted):
        registry.client.predict("btc", frame_of(random_rows(3)))
    assert len(registry.client.predict("btc", frame_of(random_rows(2))).frame) == 2
