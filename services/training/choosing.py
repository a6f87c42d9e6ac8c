"""The features of a job that its config leaves to the data: chosen for every fit on the rows of that fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import timedelta

import numpy as np
import pandas as pd
import xxhash

from services.training.jobs import Tree
from services.training.labels import close_times
from services.training.learners.fitting import Classes, Weights
from services.training.rooms import Features, Fit
from services.training.samples import Chosen, Samples
from services.training.splits import Rows
from services.training.workshop.alone import Records

_FINAL = "final_model.selection"


def may_be_fitted(config: Tree) -> bool:
    """Whether a feature config as the job has it may leave something to the data; a preset may."""
    return "preset" in config or is_fitted(config)


def is_fitted(config: Tree) -> bool:
    """Whether a feature config, its preset put in place, leaves something to the data."""
    tsfresh = config.get("tsfresh", {})
    return bool(
        config.get("selection", {}).get("enabled")
        or config.get("autofeat", {}).get("enabled")
        or (tsfresh.get("enabled") and tsfresh.get("feature_selection"))
    )


def features_section(features: Features) -> Tree:
    """What a manifest says of features. Limits do not decide them."""
    return {
        "digest": features.digest,
        "config": without_limits(features.config),
        "warm_up_bars": features.warm_up_bars,
        "omitted": dict(features.omitted),
    }


def without_limits(config: Tree) -> Tree:
    """A feature config without the bounds of its work."""
    return {name: value for name, value in config.items() if name != "limits"}


@dataclass
class Chooser:
    """Chooses for every fit of a job, in `samples.Choose`'s shape.

    Attributes
    ----------
    select, generate : callable
        The features room, asked for the job's snapshot.
    told : callable
        Takes the consumer, how many features were looked at and how many were chosen.
    offered : Features
        What is chosen from; no column of it is here.
    samples : Samples
        Their features are not looked at.
    timeframe : timedelta
    records : Records, optional
        Remembers what was chosen.
    """

    select: Callable[[Tree, pd.Series, pd.Series | None, int], Fit]
    generate: Callable[[Tree], Features]
    told: Callable[[str, int, int], None]
    offered: Features
    samples: Samples
    timeframe: timedelta
    records: Records | None = None
    final: tuple[Fit, Features] | None = field(default=None, init=False)
    """What the final model takes."""

    def __call__(self, consumer: str, rows: Rows, classes: Classes, weights: Weights, seed: int) -> Chosen:
        """The features of one fit, over all rows of the samples."""
        target = self._target(rows, classes)
        weight = None if np.all(weights == weights[0]) else pd.Series(weights, target.index, name="weight")
        fit = self._fit(consumer, target, weight, seed)
        self.told(consumer, fit.considered_count, len(fit.features))
        features = self.generate(fit.config)
        if consumer == _FINAL:
            self.final = (fit, features)
        at = np.searchsorted(close_times(features.frame.index, self.timeframe), self.samples.t0)
        return Chosen(
            features=features.frame.to_numpy(np.float64)[at],
            feature_names=tuple(str(name) for name in features.frame.columns),
        )

    def section(self) -> Tree:
        """What the manifest says of the final model's features, and of those they were chosen from."""
        assert self.final is not None, "a run ends with the final model"
        fit, features = self.final
        return {
            **features_section(features),
            "chosen": fit.features,
            "chosen_from": {
                **features_section(self.offered),
                "feature_count": fit.considered_count,
            },
        }

    def _fit(self, consumer: str, target: pd.Series, weight: pd.Series | None, seed: int) -> Fit:
        """What is chosen, or was by an earlier attempt of the same job."""
        if self.records is None:
            return self.select(self.offered.config, target, weight, seed)
        said = {"features": self.offered.digest, "config": self.offered.config, "seed": seed}
        hasher = xxhash.xxh3_128(json.dumps(said, sort_keys=True).encode())
        times = target.index.to_numpy(dtype="datetime64[us]").astype(np.int64)
        for array in (times, target.to_numpy(), np.empty(0) if weight is None else weight.to_numpy()):
            hasher.update(f"{array.dtype} {array.shape} ".encode())
            hasher.update(np.ascontiguousarray(array).data)
        digest = hasher.hexdigest()
        known = self.records.recall_record(consumer, digest)
        if known is not None:
            return Fit(**known)
        fit = self.select(self.offered.config, target, weight, seed)
        self.records.keep_record(consumer, digest, asdict(fit))
        return fit

    def _target(self, rows: Rows, classes: Classes) -> pd.Series:
        decided = pd.to_datetime(self.samples.t0[rows], unit="us", utc=True)
        index = pd.DatetimeIndex(decided - self.timeframe, name="open_time")
        return pd.Series(classes, index=index, name="target")
