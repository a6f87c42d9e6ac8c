"""Serving: from a name to a model in memory, and from rows to its answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

import numpy as np

from marketml.bundle import MANIFEST, TENSORS
from marketml.bundle.graph import MAX_FEATURES
from marketml.rpc.frames import CHUNK_BYTES_MAX, Limits, read_ipc
from marketml.rpc.refusals import DataLoss, InvalidArgument, ResourceExhausted
from services.registry.blobs import Blobs
from services.registry.columns import read_columns, require_answer_fits, write_columns
from services.registry.config import ConfigVersion
from services.registry.inspection import inspect_bundle
from services.registry.memory import LoadedModel, Memory
from services.registry.models import Model, require_name, require_version
from services.registry.predictor import Rows
from services.registry.questions import PredictAnswer, PredictQuery
from services.registry.store import ModelStore
from services.registry.tensors import InferAnswer, InferQuery, read_rows, row_count_of

WARM_UP_CALLS = 5
AT_ONCE_SECONDS = 0.0002  # of predictor, that a call may take on the server's loop


class Serving:
    """Who answers, and the answering. Any thread may call.

    Parameters
    ----------
    models, blobs, memory
        Where models are.
    config
        Says how many rows a call may ask for, until `obey` says otherwise.
    now
        The wall clock, UTC.
    timer
        A clock for durations, in seconds.
    """

    def __init__(
        self,
        models: ModelStore,
        blobs: Blobs,
        memory: Memory,
        config: ConfigVersion,
        *,
        now: Callable[[], datetime],
        timer: Callable[[], float],
    ) -> None:
        self._models = models
        self._blobs = blobs
        self._memory = memory
        self._now = now
        self._timer = timer
        self._obeying = threading.Lock()
        self._config_version = 0
        self.max_rows = 0
        self.obey(config)

    def obey(self, config: ConfigVersion) -> None:
        """A config came into force; an older one than known changes nothing."""
        with self._obeying:
            if config.version >= self._config_version:
                self._config_version = config.version
                self.max_rows = int(config.config["prediction"]["max_rows"])

    def at_hand(self, model_name: str, version: int | None, alias: str) -> LoadedModel | None:
        """The model, when it is in memory: never waits."""
        if version is None:
            return self._memory.of_alias(model_name, alias)
        return self._memory.of_version(model_name, version)

    def find(self, model_name: str, version: int | None, alias: str) -> LoadedModel:
        """The model of a version, or without one of an alias; loaded when it is not in memory.

        Raises
        ------
        NotFound
        DataLoss
            Its files are damaged.
        """
        require_name("model_name", model_name)
        if version is None:
            require_name("alias", alias)
        else:
            require_version("version", version)
        found = self.at_hand(model_name, version, alias)
        if found is not None:
            return found
        if version is None:
            return self.load(self._models.current(model_name, alias).model)
        return self.load(self._models.find(model_name, version))

    def load(self, model: Model) -> LoadedModel:
        """A version in memory, verified and warm."""
        with self._models.unless_deleted(model):
            return self._memory.obtain(model, self._read)

    def answers_at_once(self, loaded: LoadedModel, row_count: int) -> bool:
        """Whether so many rows may be answered on the server's loop: that is cheaper than a thread's turn."""
        return loaded.row_seconds * row_count <= AT_ONCE_SECONDS

    def predict(self, query: PredictQuery) -> PredictAnswer:
        """Answer a table of features.

        Raises
        ------
        NotFound, DataLoss
            As `find`.
        InvalidArgument
            No Arrow table, or not the model's columns.
        ResourceExhausted
            More rows than the config allows, or than one message answers.
        """
        loaded = self.find(query.model_name, query.version, query.alias)
        limits = Limits(self.max_rows, MAX_FEATURES + 1, CHUNK_BYTES_MAX)
        table = read_ipc(query.arrow_ipc, "arrow_ipc", limits)
        predictor = loaded.predictor
        require_answer_fits("arrow_ipc", table.num_rows, predictor.classes)
        asked = read_columns(table, predictor.feature_names, "arrow_ipc")
        probabilities = self.answer(loaded, asked.rows, "arrow_ipc")
        answer = write_columns(asked, probabilities, predictor.choose(probabilities), predictor.classes)
        return PredictAnswer(loaded.model, answer, asked.watermark)

    def infer(self, query: InferQuery, loaded: LoadedModel) -> InferAnswer:
        """Answer tensors.

        Raises
        ------
        InvalidArgument
            Not the model's tensors.
        ResourceExhausted
            As `predict`.
        """
        row_count = row_count_of(query.inputs)
        if row_count > self.max_rows:
            raise ResourceExhausted(
                "inputs",
                f"inputs may have {self.max_rows} rows (config prediction.max_rows), have {row_count}.",
            )
        predictor = loaded.predictor
        require_answer_fits("inputs", row_count, predictor.classes)
        rows = read_rows(query.inputs, predictor.feature_names)
        probabilities = self.answer(loaded, rows, "inputs")
        return InferAnswer(loaded.model, predictor.classes, probabilities, predictor.choose(probabilities))

    def answer(self, loaded: LoadedModel, rows: Rows, field: str) -> Rows:
        """Class probabilities (rows, classes). `field` is where the rows stand in the request."""
        try:
            return loaded.answer(rows, self._timer, self._now)
        except InvalidArgument as refusal:
            first = refusal.violations[0]
            raise InvalidArgument.of(f"{field}.{first.field}", first.rule, first.description) from None

    def _read(self, model: Model) -> LoadedModel:
        files = {file.name: file for file in model.files}
        try:
            bundle = inspect_bundle(self._blobs.read(files[MANIFEST]), self._blobs.read(files[TENSORS]))
        except (InvalidArgument, ResourceExhausted) as refusal:
            raise DataLoss(
                f"Version {model.version} of {model.model_name} is not what was registered: {refusal.message}"
            ) from None
        row = np.zeros((1, len(bundle.predictor.feature_names)))
        seconds = []
        for _ in range(WARM_UP_CALLS):
            started = self._timer()
            bundle.predictor.predict(row)
            seconds.append(self._timer() - started)
        return LoadedModel(model, bundle.predictor, min(seconds))
