"""Samples: features meet labels where a bar's close is a decision, and nowhere else."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from marketml.rpc.refusals import InvalidArgument
from services.training.labels import Fixed, FixedHorizon, label
from services.training.samples import join_samples, require_finite

HOUR = timedelta(hours=1)
INDEX = pd.date_range("2024-01-01", periods=10, freq="1h", tz="UTC", name="open_time")
CLOSE = np.array([100, 101, 102, 101, 100, 99, 100, 101, 102, 103.0])


def labels_of(close=CLOSE):
    bars = pd.DataFrame({"high": close, "low": close, "close": close}, index=INDEX)
    return label(bars, HOUR, FixedHorizon(2, Fixed(0.005)))


def features_of(index=INDEX) -> pd.DataFrame:
    return pd.DataFrame({"hour": index.hour.astype(np.float64), "twice": 2.0 * index.hour}, index=index)


def test_a_row_has_the_features_and_the_label_of_the_same_bar():
    labels = labels_of()
    samples = join_samples(features_of(), HOUR, labels)
    assert samples.features.tolist() == [[hour, 2 * hour] for hour in range(8)]
    assert samples.feature_names == ("hour", "twice")
    assert samples.t0.tolist() == labels.t0.tolist()
    assert samples.t1.tolist() == (labels.t0 + 2 * 3_600_000_000).tolist()
    assert samples.classes.tolist() == labels.values.tolist()
    assert samples.weights.tolist() == [1.0] * 8


def test_rows_without_a_label_or_without_features_are_left_out_on_either_side():
    close = CLOSE.copy()
    close[5] = np.nan
    samples = join_samples(features_of(INDEX[2:].delete(4)), HOUR, labels_of(close))
    assert samples.features[:, 0].tolist() == [2, 7]  # 3, 4 and 5 see the missing price; 6 has no features
    weighted = join_samples(features_of(), HOUR, labels_of(), weights=np.arange(8.0))
    assert weighted.weights.tolist() == list(range(8))
    part = join_samples(features_of(INDEX[3:]), HOUR, labels_of(), weights=np.arange(8.0))
    assert part.weights.tolist() == [3, 4, 5, 6, 7]


@pytest.mark.parametrize("unit", ["s", "ms", "ns"])
def test_the_unit_of_the_index_does_not_matter(unit):
    features = features_of(INDEX.as_unit(unit))
    assert join_samples(features, HOUR, labels_of()).features[:, 0].tolist() == list(range(8))


def test_features_that_share_no_bar_with_the_labels_leave_no_rows():
    assert join_samples(features_of(INDEX + pd.Timedelta(days=9)), HOUR, labels_of()).t0.size == 0


def test_nan_is_missing_and_infinity_is_refused_with_its_name_and_row():
    features = features_of()
    features.iloc[3, 1] = np.nan
    require_finite(join_samples(features, HOUR, labels_of()))
    features.iloc[5, 1] = -np.inf
    with pytest.raises(InvalidArgument, match=r"features\.twice: .*row 5 is -inf"):
        require_finite(join_samples(features, HOUR, labels_of()))


def test_features_stamped_out_of_order_are_refused():
    with pytest.raises(InvalidArgument, match="open_time"):
        join_samples(features_of(INDEX[::-1]), HOUR, labels_of())
