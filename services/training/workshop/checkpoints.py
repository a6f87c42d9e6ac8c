"""What a job has done, as files in its folder: a later attempt goes on from there.

Each outcome and each record is one file, named by a hash of its key and of the digest of what it came of. A
file is whole or not there: it is written beside, synced, and renamed. One that is damaged or another's is as
good as absent, and a disk that takes no more costs the checkpoint, not the job.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import xxhash

from services.host.durable import sync_folder
from services.training.jobs import Tree
from services.training.workshop.unit_files import UnreadableError, read_file, write_file
from services.training.workshop.units import FitOutcome

_DRAFT_SUFFIX = ".draft"


class FolderMemory:
    """Outcomes and records in a folder that only this attempt writes to.

    Parameters
    ----------
    folder
    warn
        Told once, in one sentence, that the folder takes no more.

    Attributes
    ----------
    recalled_count : int
        Outcomes that were found.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._warn = warn
        self._has_warned = False
        self.recalled_count = 0
        self._outcomes: dict[str, Path] = {}
        with suppress(OSError):
            for draft in folder.glob(f"*{_DRAFT_SUFFIX}"):  # of an attempt that was killed
                draft.unlink(missing_ok=True)

    def recall(self, key: str, digest: str) -> FitOutcome | None:
        """The outcome of a unit, if it is kept."""
        found = self._read("outcome", key, digest)
        if not isinstance(found, FitOutcome):
            return None
        self.recalled_count += 1
        self._outcomes[key] = self._path({"kind": "outcome", "key": key, "digest": digest})
        return found

    def keep(self, key: str, digest: str, outcome: FitOutcome) -> None:
        """Keep the outcome of a unit."""
        self._outcomes[key] = self._write("outcome", key, digest, outcome)

    def forget(self, beginning: str) -> None:
        """Let go of the outcomes of this attempt, kept or recalled, whose keys begin so."""
        for key in [key for key in self._outcomes if key.startswith(beginning)]:
            with suppress(OSError):
                self._outcomes.pop(key).unlink(missing_ok=True)

    def recall_record(self, key: str, digest: str) -> Tree | None:
        """A record, as it was kept."""
        found = self._read("record", key, digest)
        return _json(found) if isinstance(found, dict) else None

    def keep_record(self, key: str, digest: str, record: Mapping[str, Any]) -> None:
        """Keep a JSON object."""
        self._write("record", key, digest, dict(record))

    def _read(self, kind: str, key: str, digest: str) -> object:
        label = {"kind": kind, "key": key, "digest": digest}
        try:
            found, value = read_file(self._path(label).read_bytes())
        except (OSError, UnreadableError):
            return None
        return value if found == label else None

    def _write(self, kind: str, key: str, digest: str, value: object) -> Path:
        label = {"kind": kind, "key": key, "digest": digest}
        path, content = self._path(label), write_file(label, value)
        draft = self._folder / f"{uuid4().hex}{_DRAFT_SUFFIX}"
        try:
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(path)
            sync_folder(self._folder)
        except OSError as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            if not self._has_warned:
                self._has_warned = True
                self._warn(f"What is done from {key} on may be done again: no checkpoint: {error.strerror}.")
        return path

    def _path(self, label: Mapping[str, str]) -> Path:
        name = xxhash.xxh3_128_hexdigest("\0".join(label.values()).encode())
        return self._folder / f"{name}.{label['kind']}"


def _json(value: Any) -> Any:
    """Lists again, of which files make tuples."""
    if isinstance(value, tuple):
        return [_json(each) for each in value]
    if isinstance(value, dict):
        return {name: _json(each) for name, each in value.items()}
    return value
