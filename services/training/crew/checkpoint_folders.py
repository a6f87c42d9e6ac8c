"""The folders in which running jobs keep what they have done, one for each job, gone when the job has ended.

What goes into a folder is its worker's business. Servers of one database may share the root, so that a job
that moves to another server finds what it had; a server that does not share sweeps what it is left with.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

_JOB_ID = re.compile(r"[0-9a-f]{32}")


class CheckpointFolders:
    """The folders below one root. All methods may be called from any thread."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def prepare(self) -> None:
        """Make the root, or raise `OSError`."""
        self._root.mkdir(parents=True, exist_ok=True)

    def open(self, job_id: str) -> Path:
        """The folder of a job, made if it is not there, or `OSError`."""
        folder = self._root / job_id
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def remove(self, job_id: str) -> None:
        """Remove the folder of a job that has ended, if there is one, or raise `OSError`."""
        folder = self._root / job_id
        if folder.is_dir():
            shutil.rmtree(folder)

    def sweep(self, ended: Callable[[Collection[str]], Collection[str]]) -> int:
        """Remove what jobs left that have ended, or raise `OSError`; how many folders went.

        `ended` picks those jobs among the ids it is given. What belongs to no job that it knows stays: it is
        another database's.
        """
        if not self._root.is_dir():
            return 0
        found = [entry.name for entry in self._root.iterdir() if _JOB_ID.fullmatch(entry.name)]
        leftover = ended(found)
        for job_id in leftover:
            self.remove(job_id)
        return len(leftover)
