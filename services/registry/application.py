"""What the registry does, in order: the one place that knows files, rows and memory together."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime

from marketml.bundle import MANIFEST, TENSORS
from marketml.rpc.refusals import DataLoss, InvalidArgument, NotFound, Refusal, Unavailable
from services.registry import config
from services.registry.blobs import Blobs
from services.registry.config import ConfigVersion, Tree
from services.registry.headers import Header, announced_entries
from services.registry.inspection import LoadedBundle, inspect_bundle
from services.registry.memory import Memory
from services.registry.models import (
    Alias,
    Deleted,
    Model,
    NewModel,
    Switched,
    require_name,
    require_version,
    shown,
)
from services.registry.questions import Status
from services.registry.serving import Serving
from services.registry.store import ConfigStore, ModelStore
from services.registry.uploads import Upload

PIECE_BYTES = 1024 * 1024
PAGE_BYTES_MAX = 3 * 1024 * 1024
MODEL_BYTES = 1536  # of a version's message, beside its classes
LISTED_MAX = 5_000  # loaded models in one status
INSPECTIONS_MAX = 2  # at once: each may hold a bundle of half a gigabyte in memory

_SNAPSHOT_ID = re.compile(r"[0-9a-f]{64}")


class RegistryApplication:
    """The registry without gRPC; every method may be called from any thread.

    Parameters
    ----------
    models, configs, blobs, memory, serving
        Where things are kept, and who answers.
    now
        The wall clock, UTC.
    """

    def __init__(
        self,
        models: ModelStore,
        configs: ConfigStore,
        blobs: Blobs,
        memory: Memory,
        serving: Serving,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._models = models
        self._configs = configs
        self._blobs = blobs
        self._memory = memory
        self._serving = serving
        self._start_time = now()
        self._unloadable: set[tuple[str, str, int]] = set()  # switches whose model did not load
        self._inspections = threading.BoundedSemaphore(INSPECTIONS_MAX)

    # Uploads.

    def begin_upload(self, header: Header) -> Upload | Model:
        """A place for the files of a bundle; the answer, when this very request had one already."""
        entries = announced_entries(header)
        answer = self._models.registered(header.request_id, header.request_bytes, "header.request_id")
        return answer or Upload(header, entries, self._blobs.new_file)

    def finish_upload(self, upload: Upload) -> Model:
        """Check what has arrived, and make it a version: the files in `blobs`' order, then the row."""
        try:
            upload.seal()
            with self._inspections:
                bundle = inspect_bundle(upload.files[MANIFEST].read(), upload.files[TENSORS].read())
            new = _new_model(upload, bundle)
            try:
                with self._blobs.publish(upload.files.values()):
                    return self._models.register(new, upload.header.request_id, upload.header.request_bytes)
            except Refusal as refusal:
                if not isinstance(refusal, Unavailable):  # after which the row may be there
                    self._blobs.remove([file.sha256 for file in upload.entries], self._models.needed)
                raise
        finally:
            upload.close()

    # Models.

    def get_model(self, model_name: str, version: int) -> tuple[Model, str]:
        """A version (0: the newest) and its manifest."""
        model = self._find(model_name, version)
        entry = next(file for file in model.files if file.name == MANIFEST)
        with self._models.unless_deleted(model):
            return model, self._blobs.read(entry).decode()

    def list_models(self, model_name: str, size: int, before: int | None) -> tuple[list[Model], int | None]:
        """A page of at most `size` versions, newest first, of a sequence number below `before`, and
        the one to go on with, None at the end. A page that would not fit a message is shorter."""
        if model_name:
            require_name("model_name", model_name)
        found = self._models.page(model_name, size + 1, before)
        room, count = PAGE_BYTES_MAX, 0
        for _, model in found[:size]:
            room -= MODEL_BYTES + sum(len(name.encode()) + 2 for name in model.class_names)
            if count and room < 0:
                break
            count += 1
        following = found[count - 1][0] if len(found) > count else None
        return [model for _, model in found[:count]], following

    def download_model(
        self, model_name: str, version: int, file_names: Iterable[str]
    ) -> Iterator[Model | tuple[str, bytes]]:
        """The version, then the pieces of its files, or of those named."""
        model = self._find(model_name, version)
        wanted = list(dict.fromkeys(file_names))
        known = {file.name: file for file in model.files}
        for position, name in enumerate(wanted):
            if name not in known:
                raise InvalidArgument.of(
                    f"file_names[{position}]",
                    "unknown",
                    f"must be one of {', '.join(known)}, is {shown(name)}.",
                )
        with ExitStack() as opened:
            # All are sound, and held, before the first byte goes out.
            with self._models.unless_deleted(model):
                files = [
                    (name, opened.enter_context(self._blobs.open(known[name]))) for name in wanted or known
                ]
            yield model
            for name, file in files:
                while data := file.read(PIECE_BYTES):
                    yield name, data

    def delete_model(self, model_name: str, version: int, request_id: str, request_bytes: bytes) -> Deleted:
        """Forget a version that no alias points at: the row first, then its files."""
        require_name("model_name", model_name)
        require_version("version", version)
        deleted = self._models.delete(model_name, version, request_id, request_bytes)
        self._memory.forget([(model_name, version)])
        self._blobs.remove(deleted.unneeded, self._models.needed)
        return deleted

    # Aliases.

    def load_model(
        self, model_name: str, version: int, alias: str, etag: str, request_id: str, request_bytes: bytes
    ) -> Switched:
        """Verify a version, warm it up, then point the alias at it in one step."""
        require_name("model_name", model_name)
        require_version("version", version, or_newest=True)
        require_name("alias", alias)
        answer = self._models.switched(request_id, request_bytes)
        if answer is not None:
            return answer
        loaded = self._serving.load(self._models.find(model_name, version))
        switched = self._models.switch(loaded.model, alias, etag, request_id, request_bytes)
        if switched.alias.model.version == loaded.model.version:
            self._memory.point(switched.alias, loaded)
        return switched

    def get_current_model(self, model_name: str, alias: str) -> Alias:
        """Who answers."""
        require_name("model_name", model_name)
        require_name("alias", alias)
        return self._models.current(model_name, alias)

    # Config.

    def get_config(self) -> ConfigVersion:
        """The config in force."""
        return self._configs.read()

    def update_config(
        self, change: Tree, paths: Iterable[str], etag: str, request_id: str, request_bytes: bytes
    ) -> ConfigVersion:
        """Put a config in force whose fields at `paths` are those of `change`."""
        listed = list(paths)
        config.require_paths(listed)
        if not etag:
            raise InvalidArgument.of("etag", "required", "must be that of the config you saw.")
        version = self._configs.change(
            lambda overrides: config.changed(overrides, change, listed),
            etag,
            "UpdateConfig",
            request_id,
            request_bytes,
        )
        self._serving.obey(self._configs.read())
        return version

    def reset_config(self, etag: str, request_id: str, request_bytes: bytes) -> ConfigVersion:
        """Put the built-in defaults in force."""
        version = self._configs.change(lambda _: {}, etag, "ResetConfig", request_id, request_bytes)
        self._serving.obey(self._configs.read())
        return version

    # The whole.

    def get_status(self) -> Status:
        """What is loaded, what it has served, and the disk."""
        version_count, stored_bytes = self._models.totals()
        listed = self._memory.loaded()[:LISTED_MAX]
        loaded = tuple((found.model, aliases, found.usage()) for found, aliases in listed)
        return Status(loaded, version_count, stored_bytes, self._blobs.free_bytes(), self._start_time)

    def refresh(self) -> list[str]:
        """See what other processes did: aliases that moved, versions that went, the config. What is aliased
        is loaded; returns a sentence for each model that does not load, once."""
        problems = []
        unloadable = set()
        for switch in self._models.switches():
            model_name, name, number = switch
            if number <= self._memory.switch_of(model_name, name):
                continue
            alias = self._models.current(model_name, name)
            if switch in self._unloadable and not self._memory.has(alias.model):
                unloadable.add(switch)  # until someone's call finds it healed
                continue
            try:
                self._memory.point(alias, self._serving.load(alias.model))
            except (DataLoss, NotFound) as refusal:
                unloadable.add(switch)
                problems.append(
                    f"The alias {name!r} of {model_name} points at version {alias.model.version}, "
                    f"which does not load: {refusal.message}"
                )
        self._unloadable = unloadable
        keys = self._memory.keys()
        self._memory.forget(keys - self._models.existing(keys))
        self._serving.obey(self._configs.read())
        return problems

    def sweep(self, older_than: float, retention_seconds: float) -> int:
        """Remove leftovers: files last written before `older_than` (seconds since 1970) that belong to no
        version, and answers to requests older than the retention. Returns the number of files."""
        self._models.sweep(retention_seconds)
        return self._blobs.sweep(older_than, self._models.needed)

    def _find(self, model_name: str, version: int) -> Model:
        require_name("model_name", model_name)
        require_version("version", version, or_newest=True)
        return self._models.find(model_name, version)


def _new_model(upload: Upload, bundle: LoadedBundle) -> NewModel:
    manifest = bundle.manifest
    if manifest.files != tuple(entry for entry in upload.entries if entry.name != MANIFEST):
        raise InvalidArgument.of(
            "bundle.manifest.files", "files", "must be the header's files but the manifest, size and digest."
        )
    snapshot_id = manifest.sections.get("data", {}).get("snapshot_id", "")
    if snapshot_id and not (isinstance(snapshot_id, str) and _SNAPSHOT_ID.fullmatch(snapshot_id)):
        raise InvalidArgument.of(
            "bundle.manifest.data.snapshot_id", "snapshot_id", "must be 64 lower-case hex digits or absent."
        )
    return NewModel(
        model_name=upload.header.model_name,
        digest=upload.digest,
        class_names=manifest.classes,
        feature_count=len(manifest.feature_names),
        files=upload.entries,
        job_id=upload.header.job_id,
        snapshot_id=snapshot_id or "",
    )
