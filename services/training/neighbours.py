"""What this room needs of the others: data, features, and the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from marketml.bundle import Bundle
from marketml.clients.data import DataClient
from marketml.clients.feature_selection import MoreRows
from marketml.clients.features import FeaturesClient
from marketml.clients.registry import RegistryClient
from marketml.features.v1 import features_pb2
from marketml.rpc.channels import Tls
from marketml.rpc.refusals import Internal, InvalidArgument, ResourceExhausted, Unavailable, Violation
from services.training.datasets import each_of
from services.training.jobs import Tree
from services.training.neighbours_source import read_source, require_together, together
from services.training.rooms import Features, Fit, Registered, RegisteredModel, Snapshot, Source, TargetRows
from services.training.wire_trees import read_tree, write_tree

# Where a field of a neighbour's request, with all that is below it, stands in ours. What is not here has no
# place there and keeps its name.
_PATHS: dict[str, dict[str, str]] = {
    "features": {"config": "config.features", "snapshot_id": "config.dataset.snapshot_id"},
    "data": {
        "frame": "config.dataset.series",
        "frame.funding_max_age": "config.dataset.funding_max_age",
        "frame.open_interest_max_age": "config.dataset.open_interest_max_age",
        "snapshot_id": "config.dataset.snapshot_id",
    },
    "registry": {},
}


# Of the features' limits: the highest that may be asked for.
_HIGHEST_LIMITS = {"max_rows": 10_000_000, "max_features": 20_000, "max_memory_bytes": 64 * 2**30}


@dataclass(frozen=True)
class Endpoints:
    """Where the neighbours are. A tree of plain values, so that a worker gets it through its pipe."""

    data_target: str
    features_target: str
    registry_target: str
    tls: Tree | None = None
    """Paths of PEM files: `authority`, `certificate`, `key`, each may be None."""


def read_endpoints(tree: Tree) -> Endpoints:
    """Endpoints from the values of their fields."""
    return Endpoints(**tree)


class Neighbours:
    """The three rooms behind their clients, which connect at the first call.

    A field that a neighbour refuses is named as in the request of this room. A bug of a neighbour is
    `Unavailable` here: the caller can do no more about it than about a room that is down.
    """

    def __init__(self, endpoints: Endpoints) -> None:
        tls = _tls(endpoints.tls)
        self._data = DataClient(endpoints.data_target, tls=tls)
        self._features = FeaturesClient(endpoints.features_target, tls=tls)
        self._registry = RegistryClient(endpoints.registry_target, tls=tls)

    def close(self) -> None:
        """Close the connections."""
        for client in (self._data, self._features, self._registry):
            client.close()

    def defaults(self) -> tuple[Tree, int]:
        """The platform's config in the shape of a training config, and its version."""
        with _asking("registry"):
            answer = self._registry.get_config()
        config, _ = read_tree(answer.config, "config")
        platform = {**config.get("training", {}), "dataset": config.get("data_processing", {})}
        for ours, theirs in (("features", "features"), ("label", "labels"), ("evaluation", "evaluation")):
            platform[ours] = config.get(theirs, {})
        return platform, answer.version

    def check_features(self, config: Tree) -> tuple[list[Violation], list[str]]:
        """The rules that a feature config breaks, and what is only unusual about it."""
        with _asking("features"):
            answer = self._features.validate_feature_config(_feature_config(config))
        found = [
            Violation(our_path("features", each.field), each.rule, each.description)
            for each in answer.violations
        ]
        return found, list(answer.warnings)

    def require_dataset(self, dataset: Tree) -> None:
        """See that what a job will learn from exists and that the data room would freeze it: ask for a row.

        Raises
        ------
        NotFound
        InvalidArgument
        """
        frozen = []
        for each in each_of(dataset):
            if "snapshot_id" in each:
                frozen.append(self.get_snapshot(each["snapshot_id"]))
                continue
            with _asking("data"):
                self._data.query_frame(**_frame(each), limit=1)
        require_together(frozen)

    def describe_source(self, dataset: Tree, features: Tree) -> Source:
        """What a job would learn from; the limits of the features that refuse it are told, and lifted to see
        the rest."""
        return together([self._describe_source(each, features) for each in each_of(dataset)])

    def _describe_source(self, dataset: Tree, features: Tree) -> Source:
        limits, refused = dict(features.get("limits", {})), []
        while True:
            try:
                with _asking("features"):
                    header = self._features.describe_features(
                        **_source(dataset), config=_feature_config({**features, "limits": limits})
                    )
                break
            except ResourceExhausted as refusal:
                name = refusal.subject.removeprefix("config.limits.")
                if name not in _HIGHEST_LIMITS or limits.get(name) == _HIGHEST_LIMITS[name]:
                    raise
                refused.append((name, refusal.message))
                limits[name] = _HIGHEST_LIMITS[name]
        with _asking("features"):
            catalogue = self._features.list_features()
        return read_source(header, catalogue, features, refused)

    def create_snapshot(self, dataset: Tree, request_id: str) -> Snapshot:
        """Freeze the aligned frame of `dataset.series`; once per `request_id`."""
        with _asking("data"):
            return _snapshot(self._data.create_snapshot(**_frame(dataset), request_id=request_id))

    def get_snapshot(self, snapshot_id: str) -> Snapshot:
        """What is known of a snapshot."""
        with _asking("data"):
            return _snapshot(self._data.get_snapshot(snapshot_id))

    def read_prices(self, snapshot_id: str) -> pd.DataFrame:
        """High, low and close of a snapshot's bars, by `open_time`."""
        with _asking("data"):
            frame: pd.DataFrame = self._data.read_snapshot(snapshot_id)
        return frame[["high", "low", "close"]]

    def generate_features(
        self, snapshot_id: str, config: Tree, on_progress: Callable[[float, str], None]
    ) -> Features:
        """The features of a snapshot; what `on_progress` raises ends the call."""
        with _asking("features"):
            found = self._features.generate_features(
                snapshot_id, config=_feature_config(config), on_progress=on_progress
            )
        return _features(found.header, found.frame)

    def describe_features(self, snapshot_id: str, config: Tree) -> Features:
        """What `generate_features` would give, with no column computed: the frame has none, and no row."""
        with _asking("features"):
            header = self._features.describe_features(snapshot_id, config=_feature_config(config))
        return _features(header, pd.DataFrame())

    def select_features(
        self,
        snapshot_ids: Sequence[str],
        config: Tree,
        rows: Sequence[TargetRows],
        seed: int,
        look: Callable[[], None],
    ) -> Fit:
        """Fit what a feature config leaves to the data.

        Parameters
        ----------
        snapshot_ids : sequence of str
            One for each symbol.
        rows : sequence of TargetRows
            Those of each snapshot to look at.
        look : callable
            Called now and then; what it raises ends the call.
        """
        (first, *others), (mine, *theirs) = snapshot_ids, rows
        classes = {int(each) for some in rows for each in some.target.unique()}
        with _asking("features"):
            found = self._features.select_features(
                first,
                target=mine.target,
                weight=mine.weight,
                kind=features_pb2.TARGET_KIND_BINARY
                if len(classes) == 2
                else features_pb2.TARGET_KIND_MULTICLASS,
                config=_feature_config(config),
                seed=seed,
                on_wait=look,
                more=[
                    MoreRows(each.target, each.weight, snapshot_id)
                    for snapshot_id, each in zip(others, theirs, strict=True)
                ],
            )
        listed = [read_tree(each, "features")[0] for each in found.features if each.is_selected]
        return Fit(
            config=read_tree(found.config, "config")[0],
            features=[
                {name: value for name, value in each.items() if name != "is_selected"} for each in listed
            ],
            considered_count=len(found.features),
            warm_up_bars=found.warm_up_bars,
        )

    def get_model(self, model_name: str, version: int) -> RegisteredModel:
        """A version, 0: the newest, and its manifest."""
        with _asking("registry"):
            model, manifest = self._registry.get_model(model_name, version)
        return RegisteredModel(model.version, model.digest, model.job_id, manifest)

    def download_model(self, model_name: str, version: int) -> Bundle:
        """The files of a version."""
        with _asking("registry"):
            return self._registry.download_model(model_name, version)

    def upload_model(self, model_name: str, bundle: Bundle, job_id: str) -> Registered:
        """Register a bundle; a job registers one version, however often it is asked."""
        with _asking("registry"):
            model = self._registry.upload_model(
                model_name, bundle, job_id=job_id, request_id=f"{job_id}.upload"
            )
        return Registered(model.version, model.digest)


def _tls(files: Tree | None) -> Tls | None:
    if files is None:
        return None
    paths = {name: None if path is None else Path(path) for name, path in files.items()}
    return Tls(authority=paths["authority"], certificate=paths["certificate"], key=paths["key"])


@contextmanager
def _asking(room: str) -> Iterator[None]:
    try:
        yield
    except InvalidArgument as refusal:
        renamed = [
            Violation(our_path(room, each.field), each.rule, each.description) for each in refusal.violations
        ]
        raise InvalidArgument(renamed, refusal.reason) from refusal
    except Unavailable as refusal:
        raise Unavailable(
            f"The {room} room does not answer; send the same request again.",
            refusal.retry_after_seconds,
            refusal.reason,
        ) from refusal
    except Internal as refusal:
        raise Unavailable(f"The {room} room failed: {refusal.message}") from refusal


def our_path(room: str, theirs: str) -> str:
    """A field of a neighbour's request as it is called in ours."""
    head, rest = theirs, ""
    while head and head not in _PATHS[room]:
        head, dot, last = head.rpartition(".")
        rest = f"{dot}{last}{rest}"
    return _PATHS[room][head] + rest if head else theirs


def _feature_config(config: Tree) -> features_pb2.FeatureConfig:
    return write_tree(config, features_pb2.FeatureConfig())


def _features(header: features_pb2.FeatureHeader, frame: pd.DataFrame) -> Features:
    return Features(
        frame=frame,
        warm_up_bars=header.warm_up_bars,
        digest=header.digest,
        config=read_tree(header.config, "config")[0],
        omitted={each.name: each.missing_column for each in header.omitted},
    )


def _frame(dataset: Tree) -> dict[str, Any]:
    """The frame of `dataset.series` in the words of the data room's client."""
    source = dataset["series"]
    span = source.get("range", {})
    ages = ("funding_max_age", "open_interest_max_age")  # absent ones are the data room's to decide
    return {
        **source["series"],
        "reference": (beside["venue"], beside["symbol"]) if (beside := source.get("reference")) else None,
        "start": _moment(span.get("start_time")),
        "end": _moment(span.get("end_time")),
        "as_of": _moment(source.get("as_of_time")),
        **{name: timedelta(seconds=dataset[name]) for name in ages if name in dataset},
    }


def _source(dataset: Tree) -> dict[str, Any]:
    """The source of features in the words of the features room's client."""
    if "snapshot_id" in dataset:
        return {"snapshot_id": dataset["snapshot_id"]}
    return {name: value for name, value in _frame(dataset).items() if not name.endswith("_max_age")}


def _snapshot(snapshot: Any) -> Snapshot:
    known, _ = read_tree(snapshot, "snapshot")
    return Snapshot(
        snapshot_id=snapshot.snapshot_id,
        series=known["frame"]["series"],
        reference=known["frame"].get("reference"),
        row_count=snapshot.row_count,
        first_time=known.get("first_time"),
        last_time=known.get("last_time"),
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
