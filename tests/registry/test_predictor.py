"""The predictor answers as the library that trained the model, to the bit where the library is exact."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import lightgbm
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketml.bundle import MANIFEST, TENSORS
from marketml.rpc.refusals import InvalidArgument
from services.training import learners
from services.training.export.trees import tree_arrays
from services.training.learners import ForestParameters, LightgbmParameters, XgboostParameters
from services.training.learners.fitting import Fitted
from tests.registry.trained import KINDS, bundle_of, fitted_model, predictor_of
from tests.training.cases import BINARY, THREE_WAY, made_samples

FLOAT32_MAX = float(np.finfo(np.float32).max)
TINY = [0.0, -0.0, 1e-35, -1e-35, 1.0000000180025095e-35, 1e-36, 2e-35, 1e-45, 5e-324, 1e-310]
LARGE = [1e30, -1e30, 3.4e38, -3.4e38, 2.0**24 + 1]


def assert_answers_alike(fitted, rows):
    """Raw scores bit-equal, XGBoost's within 1e-6 (relative above 1); probabilities likewise, or 1e-12."""
    predictor = predictor_of(fitted)
    raw, expected = predictor.raw(rows), learners.raw_scores(fitted, rows)
    found, probabilities = predictor.predict(rows), learners.predict_probabilities(fitted, rows)
    if fitted.kind == "xgboost":
        assert np.all(np.abs(raw - expected) <= 1e-6 * np.maximum(1, np.abs(expected)))
        assert np.abs(found - probabilities).max() <= 1e-6
    else:
        assert raw.tobytes() == expected.tobytes()
        assert np.abs(found - probabilities).max() <= 1e-12
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-9


def edge_values(fitted) -> list[float]:
    """The thresholds of a model, their neighbours in float64 and float32, tiny and large values, NaN."""
    thresholds = tree_arrays(fitted).threshold
    thresholds = thresholds[np.isfinite(thresholds)][:: max(1, thresholds.size // 60)]
    narrow = thresholds.astype(np.float32)
    near = [
        thresholds,
        np.nextafter(thresholds, np.inf),
        np.nextafter(thresholds, -np.inf),
        narrow,
        np.nextafter(narrow, np.float32(np.inf)),
        np.nextafter(narrow, np.float32(-np.inf)),
        # Halfway between two float32 numbers, where rounding decides the side.
        (narrow.astype(np.float64) + np.nextafter(narrow, np.float32(np.inf)).astype(np.float64)) / 2,
    ]
    return [*np.concatenate([each.astype(np.float64) for each in near]).tolist(), *TINY, *LARGE, float("nan")]


cases = pytest.mark.parametrize("names", [BINARY, THREE_WAY], ids=len)
kinds = pytest.mark.parametrize("parameters", KINDS, ids=learners.kind_of)


@cases
@kinds
@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_thousands_of_rows_are_answered_as_the_library_does(parameters, names, missing):
    fitted = fitted_model(parameters, names, missing)
    assert_answers_alike(fitted, made_samples(3_000, seed=5, missing=missing).features)
    assert_answers_alike(fitted, made_samples(1_000, seed=6, missing=0.5).features * 1e-3)


@cases
@kinds
@pytest.mark.parametrize("missing", [0.0, 0.1])
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_rows_of_thresholds_and_their_neighbours_are_answered_as_the_library_does(
    parameters, names, missing, data
):
    fitted = fitted_model(parameters, names, missing)
    value = st.sampled_from(edge_values(fitted)) | st.floats(-1e38, 1e38) | st.floats(-3, 3)
    rows = data.draw(st.lists(st.lists(value, min_size=5, max_size=5), min_size=1, max_size=40))
    assert_answers_alike(fitted, np.array(rows))


@cases
def test_infinite_values_take_part_in_comparisons_as_in_lightgbm(names):
    rows = made_samples(300, seed=7, missing=0.0).features
    rows[rows > 1] = np.inf
    rows[rows < -1] = -np.inf
    assert_answers_alike(fitted_model(KINDS[0], names), rows)


@cases
def test_zeros_that_are_missing_are_answered_as_lightgbm_does(names):
    """Training here never asks for it; the format knows it, for models that come from elsewhere."""
    samples = made_samples(800, class_names=names, missing=0.0)
    samples.features[np.abs(samples.features) < 0.3] = 0.0
    settings_ = {"objective": "binary", "verbosity": -1, "num_threads": 1, "zero_as_missing": True}
    if len(names) == 3:
        settings_ |= {"objective": "multiclass", "num_class": 3}
    data = lightgbm.Dataset(samples.features, samples.classes, params=settings_)
    booster = lightgbm.train(settings_, data, 20)
    fitted = Fitted(
        "lightgbm", lightgbm.Booster(model_str=booster.model_to_string()), len(names), 5, 20, 20, (), 1
    )
    assert (tree_arrays(fitted).missing == 1).any()
    rows = made_samples(300, seed=8, missing=0.1).features
    rows[np.abs(rows) < 0.2] = 0.0
    rows[:, 1] *= 1e-35
    assert_answers_alike(fitted, rows)


BIG = [
    LightgbmParameters(rounds=400, num_leaves=63, learning_rate=0.2),
    XgboostParameters(rounds=400),
    ForestParameters(trees=200, max_depth=0, min_samples_leaf=1),
]


@pytest.mark.parametrize("parameters", BIG, ids=learners.kind_of)
def test_many_trees_add_up_alike(parameters):
    assert_answers_alike(fitted_model(parameters, THREE_WAY), made_samples(2_000, seed=9).features)


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 64, 65])
@kinds
def test_any_number_of_rows_is_answered(parameters, count):
    fitted = fitted_model(parameters, THREE_WAY)
    rows = made_samples(100, seed=5).features[:count]
    predictor = predictor_of(fitted)
    assert predictor.predict(rows).shape == (count, 3)
    alone = [predictor.predict(rows[index : index + 1])[0].tolist() for index in range(count)]
    assert predictor.predict(rows).tolist() == alone


def test_the_layout_of_the_rows_in_memory_does_not_matter():
    predictor = predictor_of(fitted_model(KINDS[0], BINARY))
    rows = made_samples(50, seed=5).features
    expected = predictor.predict(rows).tobytes()
    wide = np.zeros((50, 9))
    wide[:, 2:7] = rows
    frozen = rows.copy()
    frozen.flags.writeable = False
    for other in (np.asfortranarray(rows), wide[:, 2:7], rows[::-1][::-1], frozen):
        assert predictor.predict(other).tobytes() == expected
    assert np.isnan(rows).any()


@pytest.mark.parametrize(
    "rows", [np.zeros((2, 4)), np.zeros(5), np.zeros((2, 5), np.float32), np.zeros((1, 5, 1))]
)
def test_rows_of_another_shape_or_type_are_refused(rows):
    with pytest.raises(InvalidArgument, match="features: must be float64"):
        predictor_of(fitted_model(KINDS[0], BINARY)).predict(rows)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # scikit-learn's, before it refuses
def test_a_forest_refuses_what_float32_cannot_hold_by_row_and_name_as_scikit_learn_does(value):
    fitted = fitted_model(KINDS[2], BINARY)
    rows = np.zeros((3, 5))
    rows[1, 2] = value
    with pytest.raises(InvalidArgument, match=r"features\[1\]\.feature_2"):
        predictor_of(fitted).predict(rows)
    with pytest.raises(ValueError, match=r"too large|infinity"):
        learners.predict_probabilities(fitted, rows)


def test_threads_may_share_a_predictor():
    predictor = predictor_of(fitted_model(KINDS[0], THREE_WAY))
    batches = [made_samples(200, seed=seed).features for seed in range(16)]
    expected = [predictor.predict(rows).tobytes() for rows in batches]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert [found.tobytes() for found in pool.map(predictor.predict, batches)] == expected


ANSWER = """
import sys
from pathlib import Path
import numpy as np
from services.registry.inspection import inspect_bundle
for folder in map(Path, sys.argv[1:]):
    files = [(folder / name).read_bytes() for name in ("manifest.json", "model.safetensors")]
    found = inspect_bundle(*files)
    print(found.predictor.predict(np.load(folder / "rows.npy")).tobytes().hex())
foreign = {"lightgbm", "xgboost", "sklearn", "joblib", "grpc", "sqlalchemy"}
print(sorted(foreign & {name.split(".")[0] for name in sys.modules}))
"""


def test_answering_takes_no_training_library(tmp_path):
    rows = made_samples(20, seed=5).features
    folders, expected = [], []
    for parameters in KINDS:
        fitted = fitted_model(parameters, THREE_WAY)
        folder = tmp_path / learners.kind_of(parameters)
        folder.mkdir()
        for name in (MANIFEST, TENSORS):
            (folder / name).write_bytes(bundle_of(fitted).contents[name])
        np.save(folder / "rows.npy", rows)
        folders.append(str(folder))
        expected.append(predictor_of(fitted).predict(rows).tobytes().hex())
    there = subprocess.run(
        [sys.executable, "-c", ANSWER, *folders], capture_output=True, text=True, check=True, timeout=120
    )
    assert there.stdout.split("\n") == [*expected, "[]", ""]
