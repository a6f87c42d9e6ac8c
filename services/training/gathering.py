"""What a run learns from: the samples of every symbol, pooled, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.training.jobs import Tree
from services.training.labels import Labels
from services.training.rooms import Features, Snapshot
from services.training.samples import Samples, pool_samples


@dataclass(frozen=True, eq=False)
class Gathered:
    """One symbol's part: its snapshot, the features and labels of its bars, and the rows that have both."""

    snapshot: Snapshot
    features: Features
    labels: Labels
    samples: Samples

    @property
    def instrument(self) -> tuple[str, str]:
        """Venue and symbol."""
        return self.snapshot.series["venue"], self.snapshot.series["symbol"]

    def section(self) -> Tree:
        """What the manifest says of the data."""
        snapshot = self.snapshot
        return {
            "snapshot_id": snapshot.snapshot_id,
            **snapshot.series,
            **({} if snapshot.reference is None else {"reference": snapshot.reference}),
            "rows": snapshot.row_count,
            "first_time": snapshot.first_time,
            "last_time": snapshot.last_time,
            "labelled_rows": int(self.labels.values.size),
            "sample_rows": int(self.samples.classes.size),
        }


def pool(parts: Sequence[Gathered]) -> tuple[Samples, list[str]]:
    """The samples of all symbols, and the features that are left out as not every symbol has them."""
    samples = pool_samples([part.samples for part in parts])
    offered = {name for part in parts for name in part.samples.feature_names}
    return samples, sorted(offered - set(samples.feature_names))


def data_section(parts: Sequence[Gathered]) -> Tree:
    """The manifest's section of the data: the first symbol's, the others' as `more`."""
    first, *more = (part.section() for part in parts)
    return {**first, "more": more} if more else first


def lineage_section(parts: Sequence[Gathered], features_digests: Sequence[str]) -> Tree:
    """What the model came from, symbol by symbol as in the section of the data."""
    first, *more = (
        {"snapshot_id": part.snapshot.snapshot_id, "features_digest": digest}
        for part, digest in zip(parts, features_digests, strict=True)
    )
    return {**first, "more": more} if more else first
