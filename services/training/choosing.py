"""The features of a job that its config leaves to the data: chosen for every fit on the rows of that fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta

import numpy as np
import pandas as pd
import xxhash

from services.training.jobs import Tree
from services.training.labels import close_times
from services.training.learners.fitting import Classes, Weights
from services.training.rooms import Features, Fit, TargetRows
from services.training.samples import Chosen, Samples
from services.training.splits import Rows
from services.training.workshop.alone import Records
from services.training.workshop.units import hash_arrays

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
    """Chooses for every fit of a job, in `samples.Choose`'s shape: by the rows of all symbols together, one
    choice for all of them.

    Attributes
    ----------
    select, generate : callable
        The features room, asked for the job's snapshots: by rows of each, and for the features of each.
    told : callable
        Takes the consumer, how many features were looked at and how many were chosen.
    offered : sequence of Features
        What is chosen from, of each symbol; no column of it is here.
    samples : Samples
        Their features are not looked at.
    timeframe : timedelta
    records : Records, optional
        Remembers what was chosen.
    """

    select: Callable[[Tree, Sequence[TargetRows], int], Fit]
    generate: Callable[[Tree], Sequence[Features]]
    told: Callable[[str, int, int], None]
    offered: Sequence[Features]
    samples: Samples
    timeframe: timedelta
    records: Records | None = None
    final: tuple[Fit, Sequence[Features]] | None = field(default=None, init=False)
    """What the final model takes, of each symbol."""

    def __call__(self, consumer: str, rows: Rows, classes: Classes, weights: Weights, seed: int) -> Chosen:
        """The features of one fit, over all rows of the samples."""
        fit = self._fit(consumer, self._target_rows(rows, classes, weights), seed)
        self.told(consumer, fit.considered_count, len(fit.features))
        features = self.generate(fit.config)
        if consumer == _FINAL:
            self.final = (fit, features)
        frames = [each.frame for each in features]
        names = tuple(str(name) for name in frames[0].columns)
        values = np.empty((self.samples.t0.size, len(names)))
        for frame, mine in zip(frames, self._of_symbols(np.arange(self.samples.t0.size)), strict=True):
            at = np.searchsorted(close_times(frame.index, self.timeframe), self.samples.t0[mine])
            values[mine] = frame[list(names)].to_numpy(np.float64)[at]
        return Chosen(values, names)

    def section(self) -> Tree:
        """What the manifest says of the final model's features, and of those they were chosen from; of
        several symbols' those of the first."""
        fit, features = self._final()
        return {
            **features_section(features[0]),
            "chosen": fit.features,
            "chosen_from": {
                **features_section(self.offered[0]),
                "feature_count": fit.considered_count,
            },
        }

    def digests(self) -> list[str]:
        """The digest of the final model's features, of each symbol."""
        return [each.digest for each in self._final()[1]]

    def _final(self) -> tuple[Fit, Sequence[Features]]:
        assert self.final is not None, "a run ends with the final model"
        return self.final

    def _fit(self, consumer: str, rows: Sequence[TargetRows], seed: int) -> Fit:
        """What is chosen, or was by an earlier attempt of the same job."""
        config = self.offered[0].config
        if self.records is None:
            return self.select(config, rows, seed)
        said = {"features": [each.digest for each in self.offered], "config": config, "seed": seed}
        hasher = xxhash.xxh3_128(json.dumps(said, sort_keys=True).encode())
        for target, weight in ((each.target, each.weight) for each in rows):
            times = target.index.to_numpy(dtype="datetime64[us]").astype(np.int64)
            weights = np.empty(0) if weight is None else weight.to_numpy()
            hash_arrays(hasher, [times, target.to_numpy(), weights])
        digest = hasher.hexdigest()
        known = self.records.recall_record(consumer, digest)
        if known is not None:
            return Fit(**known)
        fit = self.select(config, rows, seed)
        self.records.keep_record(consumer, digest, asdict(fit))
        return fit

    def _target_rows(self, rows: Rows, classes: Classes, weights: Weights) -> list[TargetRows]:
        """The rows of a fit, symbol by symbol; one may have none of them."""
        decided = pd.to_datetime(self.samples.t0[rows], unit="us", utc=True)
        index = pd.DatetimeIndex(decided - self.timeframe, name="open_time")
        target = pd.Series(classes, index=index, name="target")
        weight = None if np.all(weights == weights[0]) else pd.Series(weights, index, name="weight")
        return [
            TargetRows(target.iloc[mine], None if weight is None else weight.iloc[mine])
            for mine in self._of_symbols(rows)
        ]

    def _of_symbols(self, rows: Rows) -> list[Rows]:
        """Places among `rows` of those of each symbol."""
        symbols = self.samples.symbols
        if symbols is None:
            return [np.arange(rows.size)]
        return [np.flatnonzero(symbols[rows] == symbol) for symbol in range(len(self.offered))]
