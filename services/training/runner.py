"""The run of a job, stage by stage: from what happened to a registered model.

It asks the rooms, tells what happens, and looks before every step whether it shall stop. What an earlier
attempt of the job has fitted or chosen is in its folder and is taken from there. The same snapshot, config
and seed give the same bundle: no time, host or job goes into it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import pandas as pd

from marketml.bundle import Bundle
from marketml.rpc.refusals import Refusal
from marketml.timeframes import TIMEFRAMES
from services.training import choosing, events, reports, reproducing, scores
from services.training.choosing import Chooser
from services.training.crew.worker_lines import Assignment
from services.training.datasets import each_of
from services.training.export.bundle import export_bundle
from services.training.gathering import Gathered, data_section, lineage_section, pool
from services.training.job_plan import JobPlan, read_plan
from services.training.jobs import NO_CHANGES, Changes, Ending, JobStage, JobState, StopMode, Tree
from services.training.labels import label
from services.training.machine import code_digest, machine_kind
from services.training.pipeline import evaluate_and_fit
from services.training.results import TrainedResult
from services.training.rooms import Features, Fit, ForRuns, Snapshot, TargetRows
from services.training.samples import Samples, join_samples
from services.training.workshop.alone import Alone, Workshop
from services.training.workshop.checkpoints import FolderMemory
from services.training.workshop.pool import LocalPool
from services.training.workshop.together import Together

T = TypeVar("T")

# Share of the work that the features are: with the default families (a hundredth beside the default model,
# more beside smaller ones), and with tsfresh's rolling windows.
_FEATURES_SHARE, _TSFRESH_SHARE = 0.06, 0.5
_STAGES = {
    events.Stage.SEARCH: JobStage.SEARCH,
    events.Stage.CROSS_VALIDATION: JobStage.CROSS_VALIDATION,
    events.Stage.FINAL_FIT: JobStage.FINAL_FIT,
    events.Stage.FINAL_TEST: JobStage.FINAL_TEST,
}
_NOTHING_TO_KEEP = frozenset({JobStage.SNAPSHOT, JobStage.FEATURES, JobStage.LABELS})
_STOPS = {StopMode.KEEP_BEST: events.Stop.KEEP_BEST, StopMode.DISCARD: events.Stop.DISCARD}
_NAMED = 5  # features in a warning
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.25, 5.0


class Told(Protocol):
    """Where a run tells what happens. `progress` may come as often as it likes."""

    def tell(self, detail: Tree, changes: Changes = NO_CHANGES) -> None: ...
    def progress(self, fraction: float, **more: int | float | None) -> None: ...


class Asked(Protocol):
    """Where a run looks whether it shall stop; `pause` returns early when that changes."""

    @property
    def mode(self) -> StopMode | None: ...
    def pause(self, seconds: float) -> None: ...


class NothingToKeep(Exception):
    """The job was told to keep its best before there was any."""


def spans(features: Tree) -> dict[JobStage, tuple[float, float]]:
    """Where in the whole job a stage begins and ends. The pipeline counts its stages as one."""
    is_rolled = features.get("tsfresh", {}).get("enabled") or features.get("preset", "fast") != "fast"
    share = _TSFRESH_SHARE if is_rolled else _FEATURES_SHARE
    return {
        JobStage.SNAPSHOT: (0.0, 0.01),
        JobStage.FEATURES: (0.01, 0.01 + share),
        JobStage.LABELS: (0.01 + share, 0.02 + share),
        JobStage.CROSS_VALIDATION: (0.02 + share, 0.98),
        JobStage.REGISTER: (0.98, 1.0),
    }


class Runner:
    """One run of one job.

    Parameters
    ----------
    retry_seconds
        How long it waits for a room that does not answer.
    """

    def __init__(
        self, assignment: Assignment, rooms: ForRuns, told: Told, asked: Asked, retry_seconds: float
    ) -> None:
        self._assignment = assignment
        self._config = assignment.config
        self._plan: JobPlan = read_plan(assignment.config, assignment.threads_count)
        self._rooms = rooms
        self._told = told
        self._asked = asked
        self._retry_seconds = retry_seconds
        folder = assignment.checkpoint_folder
        self._memory = None if folder is None else FolderMemory(Path(folder), self._warn)
        self._spans = spans(assignment.config["features"])

    def run(self) -> Ending:
        """Run to the end.

        Raises
        ------
        Refusal
            Why the job fails.
        """
        try:
            return self._run()
        except events.Discarded:
            return Ending(JobState.STOPPED, "Told to discard.")
        except NothingToKeep:
            return Ending(JobState.STOPPED, "Told to keep the best; there was nothing to keep yet.")

    def _run(self) -> Ending:
        with self._workshop() as workshop:
            # The rooms prepare the rows meanwhile. It is over before the fits begin: two threads that import
            # the same things may meet half of them.
            loading = threading.Thread(target=scores.load, daemon=True)
            loading.start()
            snapshots = self._freeze()
            features = self._generate(snapshots)
            parts = self._label(snapshots, features)
            samples = self._pool(parts)
            chooser = self._chooser(parts, samples)
            loading.join()
            result = evaluate_and_fit(
                samples,
                self._plan.training,
                self._plan.seed,
                events=self._pass_on,
                should_stop=self._stop,
                choose=chooser,
                workshop=workshop,
                trials=self._memory,
            )
        if self._memory is not None and self._memory.recalled_count:
            self._told.tell(reports.metric("units_recalled", self._memory.recalled_count))
        bundle = export_bundle(
            result,
            seed=self._plan.seed,
            sections=self._sections(parts, chooser),
        )
        if self._assignment.reproduces is not None:
            return self._compare(reproducing.Origin(**self._assignment.reproduces), bundle, result)
        return self._register(bundle, result, samples, parts)

    def _freeze(self) -> list[Snapshot]:
        """For each symbol the snapshot named, that of an earlier attempt, or a new one."""
        self._begin(JobStage.SNAPSHOT)
        datasets = each_of(self._config["dataset"])
        found = [self._freeze_one(dataset, number) for number, dataset in enumerate(datasets, start=1)]
        self._told.tell(
            reports.metric("snapshot_rows", sum(each.row_count for each in found)),
            Changes(snapshot_id=found[0].snapshot_id),
        )
        return found

    def _freeze_one(self, dataset: Tree, number: int) -> Snapshot:
        known = dataset.get("snapshot_id") or (self._assignment.snapshot_id if number == 1 else None)
        if known is not None:
            return self._patiently(lambda: self._rooms.get_snapshot(known))
        # The data room remembers a request: what an earlier attempt froze is what it gives again.
        request_id = f"{self._assignment.job_id}.snapshot" + (f"_{number}" if number > 1 else "")
        return self._patiently(lambda: self._rooms.create_snapshot(dataset, request_id))

    def _generate(self, snapshots: Sequence[Snapshot]) -> list[Features]:
        self._begin(JobStage.FEATURES)
        return [self._generate_one(snapshot, at, len(snapshots)) for at, snapshot in enumerate(snapshots)]

    def _generate_one(self, snapshot: Snapshot, at: int, count: int) -> Features:
        def on_progress(fraction: float, _stage: str) -> None:
            self._look()
            self._advance(JobStage.FEATURES, (at + fraction) / count)

        config, snapshot_id = self._config["features"], snapshot.snapshot_id
        features = None
        if choosing.may_be_fitted(config):
            features = self._patiently(lambda: self._rooms.describe_features(snapshot_id, config))
        if features is None or not choosing.is_fitted(features.config):
            features = self._patiently(
                lambda: self._rooms.generate_features(snapshot_id, config, on_progress)
            )
            self._told.tell(reports.metric("features", features.frame.shape[1]))
        missing = sorted(set(features.omitted.values()))
        if missing:
            self._told.tell(
                reports.warning(
                    f"{len(features.omitted)} features were left out: the data has no {', '.join(missing)}."
                )
            )
        return features

    def _label(self, snapshots: Sequence[Snapshot], features: Sequence[Features]) -> list[Gathered]:
        """Labels, and the warmed-up rows that have one."""
        self._begin(JobStage.LABELS)
        return [self._label_one(*each) for each in zip(snapshots, features, strict=True)]

    def _label_one(self, snapshot: Snapshot, features: Features) -> Gathered:
        prices = self._patiently(lambda: self._rooms.read_prices(snapshot.snapshot_id))
        timeframe = TIMEFRAMES[snapshot.series["timeframe"]]
        plan = self._plan
        labels = label(prices, timeframe, plan.label, binary=plan.is_binary, events=plan.label_events)
        frame = features.frame if len(features.frame) else pd.DataFrame(index=prices.index)
        samples = join_samples(frame.iloc[features.warm_up_bars :], timeframe, labels)
        return Gathered(snapshot, features, labels, samples)

    def _pool(self, parts: Sequence[Gathered]) -> Samples:
        """The rows of all symbols."""
        samples, left_out = pool(parts)
        if left_out:
            names = ", ".join(left_out[:_NAMED])
            words = f"{len(left_out)} features were left out, as not every symbol has them: {names}"
            self._warn(f"{words}{'…' if len(left_out) > _NAMED else '.'}")
        self._told.tell(reports.metric("rows", samples.classes.size))
        known = () if samples.quantile else samples.class_names  # else each model has its own count of them
        for index, name in enumerate(known):
            self._told.tell(reports.metric(f"rows.{name}", int((samples.classes == index).sum())))
        self._look()
        return samples

    def _chooser(self, parts: Sequence[Gathered], samples: Samples) -> Chooser | None:
        """Chooses the features of each fit, where the config leaves that to the data."""
        offered = [part.features for part in parts]
        if not choosing.is_fitted(offered[0].config):
            return None
        rooms, snapshot_ids = self._rooms, [part.snapshot.snapshot_id for part in parts]

        def look() -> None:
            if self._asked.mode is StopMode.DISCARD:
                raise events.Discarded

        def select(config: Tree, rows: Sequence[TargetRows], seed: int) -> Fit:
            return self._patiently(
                lambda: rooms.select_features(snapshot_ids, config, rows, seed, look), keeps_best_here=True
            )

        def generate_one(snapshot_id: str, config: Tree) -> Features:
            return self._patiently(
                lambda: rooms.generate_features(snapshot_id, config, lambda *_: look()), keeps_best_here=True
            )

        def generate(config: Tree) -> list[Features]:
            return [generate_one(snapshot_id, config) for snapshot_id in snapshot_ids]

        def told(consumer: str, considered: int, kept: int) -> None:
            self._told.tell(reports.metric(f"{consumer}.considered", considered))
            self._told.tell(reports.metric(f"{consumer}.chosen", kept))

        timeframe = TIMEFRAMES[parts[0].snapshot.series["timeframe"]]
        return Chooser(select, generate, told, offered, samples, timeframe, self._memory)

    @contextmanager
    def _workshop(self) -> Iterator[Workshop]:
        """Where units are fitted: on a cluster, in processes of this worker, or here."""
        given = self._assignment
        if given.dask_scheduler is not None:
            from services.training.workshop.dask_pool import DaskPool  # a second of imports

            with closing(DaskPool(given.dask_scheduler, self._retry_seconds)) as cluster:
                yield Together(cluster, self._memory)
        elif given.processes_count > 1 and given.checkpoint_folder is not None:
            folder = Path(given.checkpoint_folder)
            with closing(LocalPool(folder, given.processes_count, given.threads_count)) as pool:
                pool.begin()
                yield Together(pool, self._memory)
        else:
            yield Alone(self._memory)

    def _register(
        self, bundle: Bundle, result: TrainedResult, samples: Samples, parts: Sequence[Gathered]
    ) -> Ending:
        """Put the bundle into the registry, at most once per job: the request id is the job's."""
        if self._asked.mode is StopMode.DISCARD:
            raise events.Discarded
        self._begin(JobStage.REGISTER)
        name, job_id = self._assignment.model_name, self._assignment.job_id
        registered = self._patiently(
            lambda: self._rooms.upload_model(name, bundle, job_id), keeps_best_here=True
        )
        if registered.digest != bundle.digest:
            self._told.tell(reports.warning(f"An earlier attempt registered version {registered.version}."))
        self._told.tell(reports.model_registered(name, registered.version, registered.digest))
        done = reports.result_of(result, samples, name, registered.version, registered.digest)
        done |= reports.symbol_scores(result, samples, [part.instrument for part in parts])
        done |= {"code_digest": code_digest(), "machine_kind": machine_kind()}
        return Ending(JobState.SUCCEEDED, f"Version {registered.version} of {name} is registered.", done)

    def _compare(self, origin: reproducing.Origin, bundle: Bundle, result: TrainedResult) -> Ending:
        """Hold the bundle against the registered one that it repeats; nothing is registered."""
        if self._asked.mode is StopMode.DISCARD:
            raise events.Discarded
        if result.stopped:
            raise NothingToKeep
        name = self._assignment.model_name
        then = self._patiently(lambda: self._rooms.download_model(name, origin.model_version))
        found = reproducing.compare(origin, then, bundle)
        words = "comes out equal" if found["is_equal"] else "comes out as other bytes"
        return Ending(JobState.SUCCEEDED, f"Version {origin.model_version} of {name} {words}.", found)

    def _sections(self, parts: Sequence[Gathered], chooser: Chooser | None) -> dict[str, Tree]:
        """What the manifest says of the inputs. The config stands without what does not decide the model: the
        budget, the limits of the features, and the dataset, which the snapshots' rows are."""
        decides = {name: value for name, value in self._config.items() if name not in ("dataset", "budget")}
        decides["features"] = choosing.without_limits(decides["features"])
        if chooser is None:
            chosen = choosing.features_section(parts[0].features)
            digests = [part.features.digest for part in parts]
        else:
            chosen, digests = chooser.section(), chooser.digests()
        return {
            "config": decides,
            "data": data_section(parts),
            "features": chosen,
            "lineage": lineage_section(parts, digests),
        }

    def _warn(self, message: str) -> None:
        self._told.tell(reports.warning(message))

    def _begin(self, stage: JobStage) -> None:
        if stage in _NOTHING_TO_KEEP:
            self._look()
        if stage in self._spans:
            self._advance(stage, 0.0)
        self._told.tell({"stage_started": {"stage": stage}}, Changes(stage=stage))

    def _advance(self, stage: JobStage, share: float, **more: int | float | None) -> None:
        begin, end = self._spans[stage]
        self._told.progress(begin + (end - begin) * share, **more)

    def _pass_on(self, event: events.Event) -> None:
        """An event of the pipeline in the words of the job."""
        match event:
            case events.StageStarted(stage):
                self._begin(_STAGES[stage])
            case events.Progress(fraction):
                self._advance(JobStage.CROSS_VALIDATION, fraction)
            case events.RoundFinished(fold, number, loss, trial):
                self._told.progress(0.0, trial=trial, fold=fold, round=number, validation_loss=loss)
            case events.TrialFinished():
                self._told.tell(reports.trial_finished(event))
            case events.FoldFinished():
                self._told.tell(reports.fold_finished(event))
            case events.Warned(message):
                self._told.tell(reports.warning(message))

    def _stop(self) -> events.Stop | None:
        mode = self._asked.mode
        return None if mode is None else _STOPS[mode]

    def _look(self) -> None:
        """Stop here if told to: before the pipeline there is nothing to keep."""
        mode = self._asked.mode
        if mode is StopMode.DISCARD:
            raise events.Discarded
        if mode is StopMode.KEEP_BEST:
            raise NothingToKeep

    def _patiently(self, ask: Callable[[], T], *, keeps_best_here: bool = False) -> T:
        """Ask a room, again and again while it says that waiting helps."""
        waited, pause = 0.0, _FIRST_PAUSE_SECONDS
        while True:
            try:
                return ask()
            except Refusal as refusal:
                wish = getattr(refusal, "retry_after_seconds", None)
                if wish is None or waited >= self._retry_seconds:
                    raise
                pause = max(pause, min(wish, _LONGEST_PAUSE_SECONDS))
            self._asked.pause(pause)
            waited, pause = waited + pause, min(2 * pause, _LONGEST_PAUSE_SECONDS)
            if not keeps_best_here or self._asked.mode is StopMode.DISCARD:
                self._look()
