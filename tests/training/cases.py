"""Samples with a known truth, for the tests of learners, pipeline and export."""

from __future__ import annotations

import numpy as np

from marketml.bundle.files import LIGHTGBM_TEXT, MANIFEST, TENSORS
from services.registry.inspection import inspect_bundle
from services.training.export.bundle import export_bundle
from services.training.results import TrainedResult
from services.training.samples import Samples

SECOND = 1_000_000
BINARY = ("down", "up")
THREE_WAY = ("down", "range", "up")


def made_samples(
    rows: int = 600,
    features: int = 5,
    class_names: tuple[str, ...] = THREE_WAY,
    *,
    seed: int = 0,
    signal: float = 1.5,
    missing: float = 0.1,
    label_bars: int = 3,
) -> Samples:
    """Rows a second apart whose class follows their first feature, `signal` times as strong as the noise.

    Labels are open for `label_bars` seconds; a share `missing` of the features is NaN.
    """
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(rows, features))
    latent = signal * values[:, 0] + generator.normal(size=rows)
    bounds = np.quantile(latent, np.arange(1, len(class_names)) / len(class_names))
    values[generator.random(values.shape) < missing] = np.nan
    t0 = np.arange(rows, dtype=np.int64) * SECOND
    return Samples(
        features=values,
        feature_names=tuple(f"feature_{index}" for index in range(features)),
        classes=np.searchsorted(bounds, latent).astype(np.int8),
        t0=t0,
        t1=t0 + label_bars * SECOND,
        class_names=class_names,
        weights=np.ones(rows),
    )


def answers(result: TrainedResult, rows: np.ndarray) -> np.ndarray:
    """What a registry answers with the final model of a run."""
    bundle = export_bundle(result, seed=0, sections={})
    return inspect_bundle(bundle.contents[MANIFEST], bundle.contents[TENSORS]).predictor.predict(rows)


def native_file(result: TrainedResult) -> bytes:
    """LightGBM's own text of the final model of a run."""
    return result.model.native_files[LIGHTGBM_TEXT]
