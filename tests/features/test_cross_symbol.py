"""What a reference says of a series: against pandas and numpy, on holes and still prices, and never early."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.rpc.refusals import FailedPrecondition, Reason
from services.features.audit import AuditSummary, LeakFinding, audit, chosen
from services.features.calculators import features_of
from services.features.columns import Columns
from services.features.config import CATALOGUE_FAMILIES, FamilyChoice, FeatureConfig, TsfreshChoice
from services.features.expressions import Expression
from services.features.feature import Family, Feature
from services.features.latest import history_bars
from tests.features.frames import HOUR, awkward_walk, columns_of, random_walk, with_reference
from tests.features.golden import assert_golden
from tests.features.goldens_cross_symbol import GOLDENS
from tests.features.looking import computed, looks_ahead, looks_too_far_back
from tests.features.planted import REFERENCE_FILLED_BACKWARDS, REFERENCE_FROM_THE_FUTURE, with_planted
from tests.features.real_frames import real_frame
from tests.features.test_latest import newest
from tests.features.whole import EVERYTHING, KEY, generated, planned

FEATURES = features_of(Family.CROSS_SYMBOL)
NAMES = [feature.name for feature in FEATURES]
COLUMNS = ("close", "volume", "funding_rate", "open_interest")
NOTHING = {family.value: FamilyChoice(enabled=False) for family in CATALOGUE_FAMILIES}
CONFIG = FeatureConfig(**NOTHING | {"cross_symbol": FamilyChoice()})
BESIDE = FeatureConfig(
    cross_symbol=FamilyChoice(),
    tsfresh=TsfreshChoice(enabled=True, columns=("close", "reference_close", "reference_volume")),
    expressions=(
        Expression("apart", "zscore(log(close / reference_close), 48)"),
        Expression("beside", "corr(close / reference_close, volume / reference_volume, 24) + cross_beta_24"),
    ),
)


def real_pair() -> pd.DataFrame:
    """Real bars, and beside them the ones of the summer after as the reference's."""
    own, other = real_frame("2023-12-05", "2024-03-31"), real_frame("2024-04-02", "2024-10-10")
    beside = other.iloc[: len(own)]
    return own.assign(**{f"reference_{name}": beside[name].to_numpy() for name in COLUMNS})


@pytest.mark.parametrize("kind", ["walk", "real"])
@pytest.mark.parametrize("feature", FEATURES, ids=NAMES)
def test_a_feature_agrees_with_pandas_or_numpy(feature: Feature, kind: str):
    frame = with_reference(random_walk(7, 900)) if kind == "walk" else real_pair().iloc[-900:]
    assert_golden(feature, GOLDENS, frame)


def test_every_golden_is_of_a_feature_that_there_is():
    assert set(GOLDENS) == set(NAMES)


def test_a_reference_that_leads_shows_at_its_lag_and_in_no_other():
    frame = with_reference(random_walk(3, 3_000))
    found = {
        bars: np.nanmean(computed(FEATURES, frame)[f"cross_lead_correlation_{bars}_72"]) for bars in (1, 2, 3)
    }
    assert found[1] > 0.5
    assert abs(found[2]) < 0.05
    assert abs(found[3]) < 0.05


def test_of_itself_a_series_has_all_explained():
    frame = random_walk(3, 600)
    itself = {
        f"reference_{name}": frame[name] for name in ("close", "volume", "funding_rate", "open_interest")
    }
    values = computed(FEATURES, frame.assign(**itself))
    for name, value in {
        "cross_beta_72": 1.0,
        "cross_correlation_72": 1.0,
        "cross_volatility_ratio_24": 1.0,
        "cross_unexplained_share_72": 0.0,
        "cross_idiosyncratic_return_24": 0.0,
        "cross_return_difference_24": 0.0,
        "cross_funding_spread": 0.0,
        "cross_open_interest_growth_difference_6": 0.0,
        "cross_volume_zscore_difference_24": 0.0,
    }.items():
        np.testing.assert_allclose(values[name][200:], value, atol=1e-12, err_msg=name)
    assert np.isnan(values["cross_price_ratio_zscore_24"]).all()  # it never deviates


@pytest.mark.parametrize("column", ["close", "reference_close"])
def test_what_a_still_price_makes_undefined_is_missing(column: str):
    frame = with_reference(random_walk(3, 600)).assign(**{column: 3_000.5})
    values = computed(FEATURES, frame)
    for name in NAMES:
        undefined = "correlation" in name or name.startswith(("cross_unexplained", "cross_idiosyncratic_vol"))
        if column == "reference_close":
            undefined |= name.startswith(("cross_beta", "cross_volatility_ratio", "cross_idiosyncratic"))
        assert np.isnan(values[name]).all() == undefined, name
        assert not np.isinf(values[name]).any()


@pytest.mark.parametrize("feature", FEATURES, ids=NAMES)
def test_a_bar_that_the_reference_lacks_is_missing_in_its_windows_and_nowhere_else(feature: Feature):
    whole = with_reference(random_walk(5, 700))
    hole = 350
    names = [name for name in whole.columns if name.startswith("reference_")]
    holed = whole.copy()
    holed.loc[whole.index[hole], names] = np.nan
    before, after = feature.compute(columns_of(whole)), feature.compute(columns_of(holed))
    touched = np.flatnonzero(~np.isclose(before, after, rtol=0, atol=0, equal_nan=True))
    assert touched[0] == hole + (int(feature.parameters["bars"]) if "lead" in feature.name else 0)
    assert touched[-1] == hole + feature.lookback_bars
    assert np.isnan(after[touched]).all()  # never filled forward


@given(seed=st.integers(0, 2**16), cut=st.integers(200, 590))
@settings(max_examples=15, deadline=None)
def test_no_feature_looks_ahead_or_further_back_than_it_says(seed: int, cut: int):
    frame = with_reference(awkward_walk(seed, 600), seed, is_holed=True)
    assert looks_ahead(FEATURES, frame, cut) == []
    assert looks_too_far_back(FEATURES, frame, 300) == []


def test_chunks_of_any_size_give_the_same_bits():
    frame = with_reference(random_walk(2, 2_000), is_holed=True)
    whole = generated(frame, BESIDE)
    for chunk_bars in (256, 700):
        pd.testing.assert_frame_equal(
            whole, generated(frame, BESIDE, chunk_bars=chunk_bars), check_exact=True
        )


@pytest.mark.parametrize("cut", [1, 100, 256, 257])
def test_the_newest_bar_has_the_bits_of_the_batch(cut: int):
    frame = with_reference(random_walk(5, history_bars(BESIDE, KEY.bar) + 700), is_holed=True)
    batch = generated(frame, BESIDE)
    found = newest(frame.iloc[: len(frame) - cut], BESIDE)
    assert set(NAMES) | {"apart", "beside", "w24__reference_close__mean"} <= set(found.names)
    expected = batch[list(found.names)].loc[found.open_time].to_numpy()
    assert found.values.tobytes() == expected.tobytes()


def test_the_newest_bar_whose_reference_is_not_there_yet_is_missing_not_older():
    frame = with_reference(random_walk(5, 900))
    frame.loc[frame.index[-1], ["reference_close", "reference_volume"]] = np.nan
    found = newest(frame, CONFIG)
    values = dict(zip(found.names, found.values, strict=True))
    assert np.isnan(values["cross_beta_24"])
    assert np.isnan(values["reference_log_return_1"])
    assert np.isfinite(values["cross_funding_spread"])


def test_without_a_reference_the_family_is_left_out_with_what_is_missing():
    frame = random_walk(1, 400)
    work = planned(frame, FeatureConfig(cross_symbol=FamilyChoice()))
    assert [one.name for one in work.omitted] == NAMES
    assert {one.missing_column for one in work.omitted} == {f"reference_{name}" for name in COLUMNS}
    assert work.names == planned(frame, FeatureConfig()).names
    only_prices = with_reference(frame).drop(columns=["reference_funding_rate", "reference_open_interest"])
    assert len(planned(only_prices, CONFIG).names) == len(NAMES) - 4
    named = FeatureConfig(**NOTHING | {"cross_symbol": FamilyChoice(features=("cross_beta_24",))})
    with pytest.raises(FailedPrecondition, match="cross_beta_24 needs reference_close") as refused:
        planned(frame, named)
    assert refused.value.reason is Reason.TOO_LITTLE_DATA


def test_a_reference_changes_no_bit_of_the_other_features():
    frame = random_walk(1, 600)
    own = generated(frame, EVERYTHING)
    pd.testing.assert_frame_equal(generated(with_reference(frame), EVERYTHING), own, check_exact=True)


def audited(frame: pd.DataFrame, features: tuple[Feature, ...] = ()) -> tuple[set[str], AuditSummary]:
    columns = Columns(frame, HOUR)
    work = with_planted(planned(frame, BESIDE), features)
    choices = chosen(len(frame), work.warm_up_bars, 5, 20, 1)
    *told, last = audit(work, columns, frame, choices, lambda: None, lambda: 0.0)
    assert isinstance(last, AuditSummary)
    return {one.feature for one in told if isinstance(one, LeakFinding)}, last


def test_the_audit_finds_the_family_clean():
    for frame in (
        with_reference(random_walk(3, 1_200)),
        with_reference(awkward_walk(4, 1_200), is_holed=True),
    ):
        found, summary = audited(frame)
        assert found == set()
        assert summary.feature_count == len(planned(frame, BESIDE).names)
        assert summary.omitted == ()


def test_the_audit_names_what_sees_the_future_of_the_reference_alone():
    leaks = (REFERENCE_FROM_THE_FUTURE, REFERENCE_FILLED_BACKWARDS)
    found, summary = audited(with_reference(random_walk(3, 1_200), is_holed=True), leaks)
    assert found == {leak.name for leak in leaks}
    assert summary.offender_count == 2
