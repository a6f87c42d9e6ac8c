"""What this room asks of the others, in its own words; `neighbours` asks them through their clients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import pandas as pd

from marketml.bundle import Bundle
from marketml.rpc.refusals import Violation
from services.training.jobs import Tree


@dataclass(frozen=True)
class Snapshot:
    """A frozen frame: what a model is trained on. `series` holds venue, symbol and timeframe, and so does the
    `reference` whose bars stand beside its own, if there is one."""

    snapshot_id: str
    series: Tree
    row_count: int
    first_time: str | None
    last_time: str | None
    reference: Tree | None = None


@dataclass(frozen=True, eq=False)
class Features:
    """Features of a snapshot, the rows that are not warmed up included, and what the room says of them.

    `omitted` names the features that the source could not give, each with the column it lacks.
    """

    frame: pd.DataFrame
    warm_up_bars: int
    digest: str
    config: Tree
    omitted: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class TargetRows:
    """Rows of one symbol to choose features by: the class of each, int8 (rows,), and how much it counts,
    float64 (rows,), None where all of all symbols count the same. The index is their `open_time`."""

    target: pd.Series
    weight: pd.Series | None


@dataclass(frozen=True)
class Fit:
    """What the features room chose by the rows it was given.

    Attributes
    ----------
    config : Tree
        Computes what was chosen; nothing in it is left to a fit.
    features : list of Tree
        What is known of each that was chosen, by rank: `name`, `lookback_bars`, and where there are any
        `expression`, `p_value`, `importance`, `stability`.
    considered_count : int
    warm_up_bars : int
    """

    config: Tree
    features: list[Tree]
    considered_count: int
    warm_up_bars: int


@dataclass(frozen=True)
class Bound:
    """A bound that work would break: `field` is its full path; `forecast` is None where only the sentence in
    `description` tells it."""

    field: str
    forecast: float | None
    bound: float
    description: str


@dataclass(frozen=True)
class Source:
    """What a job would learn from, as the rooms tell it before any of it is computed.

    Attributes
    ----------
    bar_count : int
    timeframe : timedelta
    feature_count : int
        Columns that the features room would send.
    chosen_count : int
        Those that one fit takes at most.
    is_chosen : bool
        Whether the features of each fit are chosen by its data.
    warm_up_bars : int
    features_cost : float
        Microseconds a bar that the features room says its work takes.
    refused : tuple of Bound
        What the limits of the features would refuse.
    """

    bar_count: int
    timeframe: timedelta
    feature_count: int
    chosen_count: int
    is_chosen: bool
    warm_up_bars: int
    features_cost: float
    refused: tuple[Bound, ...] = ()


@dataclass(frozen=True)
class Registered:
    """A version in the registry."""

    version: int
    digest: str


@dataclass(frozen=True)
class RegisteredModel:
    """A version in the registry as it is known there; `job_id` is empty where no job trained it."""

    version: int
    digest: str
    job_id: str
    manifest: Tree


class ForRequests(Protocol):
    """What requests need of the other rooms."""

    def defaults(self) -> tuple[Tree, int]: ...
    def check_features(self, config: Tree) -> tuple[list[Violation], list[str]]: ...
    def require_dataset(self, dataset: Tree) -> None: ...
    def describe_source(self, dataset: Tree, features: Tree) -> Source: ...
    def get_model(self, model_name: str, version: int) -> RegisteredModel: ...


class ForRuns(Protocol):
    """What a run needs of the other rooms."""

    def create_snapshot(self, dataset: Tree, request_id: str) -> Snapshot: ...
    def get_snapshot(self, snapshot_id: str) -> Snapshot: ...
    def read_prices(self, snapshot_id: str) -> pd.DataFrame: ...
    def generate_features(
        self, snapshot_id: str, config: Tree, on_progress: Callable[[float, str], None]
    ) -> Features: ...
    def describe_features(self, snapshot_id: str, config: Tree) -> Features: ...
    def select_features(
        self,
        snapshot_ids: Sequence[str],
        config: Tree,
        rows: Sequence[TargetRows],
        seed: int,
        look: Callable[[], None],
    ) -> Fit: ...
    def upload_model(self, model_name: str, bundle: Bundle, job_id: str) -> Registered: ...
    def download_model(self, model_name: str, version: int) -> Bundle: ...
