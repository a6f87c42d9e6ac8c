"""Formulas over real processes and channels: computed, newest bar, listed, refused, and never a bug."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketml.clients.features import FeaturesClient
from marketml.features.v1 import features_pb2 as pb
from marketml.rpc.refusals import FailedPrecondition, InvalidArgument, Refusal, ResourceExhausted
from services.features.expressions import FUNCTIONS, formatted
from tests.features.conftest import SYMBOL, TIMEFRAME, VENUE, Rooms
from tests.features.formulas import FORMULAS

SERIES = {"venue": VENUE, "symbol": SYMBOL, "timeframe": TIMEFRAME}
PULL = "zscore(close / ema(close, 24), 168)"


def config(*formulas: tuple[str, str], **more: object) -> pb.FeatureConfig:
    off = pb.FamilyConfig(enabled=False)
    families = dict.fromkeys(("technical", "statistical", "series", "market", "calendar"), off)
    listed = [pb.FeatureExpression(name=name, expression=text) for name, text in formulas]
    return pb.FeatureConfig(**families, expressions=listed, **more)


def test_formulas_are_columns_in_their_order_and_their_last_bar_is_the_newest(client: FeaturesClient):
    asked = config(("pull", PULL), ("calm", "abs(pull) < 1"), ("paid", "lag(funding_rate_mean_3, 8) * 3"))
    answer = client.generate_features(**SERIES, config=asked)
    assert list(answer.frame.columns) == ["pull", "calm", "paid"]
    assert set(answer.frame["calm"].dropna()) == {0.0, 1.0}
    assert np.isfinite(answer.frame.iloc[answer.warm_up_bars :]).all(axis=None)
    newest = client.get_latest_features(VENUE, SYMBOL, TIMEFRAME, config=asked)
    assert newest.tolist() == answer.frame.iloc[-1].tolist()
    assert newest.attrs["config_digest"] == answer.header.config_digest
    assert answer.header.config.expressions == asked.expressions


def test_another_formula_under_the_same_name_is_another_digest(client: FeaturesClient):
    one = client.generate_features(**SERIES, config=config(("mine", "mean(close, 5)")))
    other = client.generate_features(**SERIES, config=config(("mine", "mean(close, 6)")))
    assert one.header.config_digest != other.header.config_digest
    assert not one.frame.equals(other.frame)


def test_only_what_is_asked_for_is_sent(client: FeaturesClient):
    asked = config(("pull", PULL), ("calm", "abs(pull) < 1"), only=["calm"])
    assert list(client.generate_features(**SERIES, config=asked).frame.columns) == ["calm"]


def test_a_formula_is_judged_before_it_is_computed(client: FeaturesClient):
    fine = client.validate_feature_config(config(("pull", PULL)))
    assert (fine.feature_count, fine.warm_up_bars, len(fine.violations)) == (1, 499, 0)
    wrong = client.validate_feature_config(config(("pull", "zscore(clse, 168)"), ("close", "open")))
    assert [(each.field, each.rule) for each in wrong.violations] == [
        ("config.expressions[0].expression", "unknown"),
        ("config.expressions[1].name", "taken"),
    ]
    assert "'clse'; the nearest is 'close' (column 8)" in wrong.violations[0].description
    with pytest.raises(InvalidArgument, match=r"config\.expressions\[0\]\.expression"):
        client.generate_features(**SERIES, config=config(("pull", "zscore(clse, 168)")))


def test_a_formula_of_what_the_source_has_not_is_refused(client: FeaturesClient):
    with pytest.raises(FailedPrecondition, match="mine needs open_interest"):
        client.generate_features(
            venue=VENUE,
            symbol="SPOT/USDT",
            timeframe=TIMEFRAME,
            config=config(("mine", "close * open_interest")),
        )


def test_the_functions_are_listed(client: FeaturesClient):
    listed = client.list_features(pb.FEATURE_FAMILY_EXPRESSION)
    assert [each.name for each in listed] == sorted(each.signature for each in set(FUNCTIONS.values()))
    assert all(each.description and not each.HasField("lookback_bars") for each in listed)


FORMULA = st.one_of(FORMULAS.map(formatted), st.text(max_size=30), st.just("(" * 2000), st.just("-" * 2000))


@given(st.lists(st.tuples(st.sampled_from(["mine", "close", "Ω", ""]), FORMULA), max_size=3))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_formula_meets_a_bug(client: FeaturesClient, rooms: Rooms, formulas: list[tuple[str, str]]):
    refused: Refusal | None = None
    try:
        answer = client.generate_features(rooms.snapshot_id, config=config(*formulas))
        assert list(answer.frame.columns) == [name for name, _ in formulas]
    except Refusal as refusal:
        refused = refusal
    assert refused is None or isinstance(refused, InvalidArgument | FailedPrecondition | ResourceExhausted)
