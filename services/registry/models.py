"""What the registry keeps, as values: versions of models, and the aliases that point at them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from marketml.bundle import FileEntry
from marketml.rpc.refusals import InvalidArgument

CHAMPION = "champion"
VERSION_MAX = 2**63 - 1

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_JOB_ID = re.compile(r"[0-9a-f]{32}")
_SHOWN_CHARACTERS = 80  # of a refused text


@dataclass(frozen=True)
class Model:
    """One version of a model. `aliases` are those that pointed at it when it was read."""

    model_name: str
    version: int
    digest: str
    create_time: datetime
    class_names: tuple[str, ...]
    feature_count: int
    files: tuple[FileEntry, ...]
    job_id: str = ""
    snapshot_id: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True)
class NewModel:
    """A bundle found sound, about to become a version."""

    model_name: str
    digest: str
    class_names: tuple[str, ...]
    feature_count: int
    files: tuple[FileEntry, ...]
    job_id: str
    snapshot_id: str


@dataclass(frozen=True)
class Alias:
    """Who answers under a name. `switch` counts the switches of this alias; `etag` changes with each."""

    model_name: str
    alias: str
    model: Model
    since_time: datetime
    etag: str
    switch: int


@dataclass(frozen=True)
class Switched:
    """An alias after a switch; `previous_version` is 0 where it pointed nowhere."""

    alias: Alias
    previous_version: int


@dataclass(frozen=True)
class Deleted:
    """A version that is no more: the bytes freed, and the SHA-256 of the files that no version needs now."""

    freed_bytes: int
    unneeded: tuple[str, ...] = ()


def require_name(field: str, name: str) -> None:
    """Refuse a model name or an alias that breaks the grammar."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument.of(
            field,
            "name" if name else "required",
            f"must be a lower-case letter or digit, then up to 63 of a-z 0-9 . _ -, is {shown(name)}.",
        )


def require_job_id(field: str, job_id: str) -> None:
    """Refuse a job id that is neither empty nor 32 hexadecimal digits."""
    if job_id and not _JOB_ID.fullmatch(job_id):
        raise InvalidArgument.of(field, "job_id", f"must be 32 lower-case hex digits, is {shown(job_id)}.")


def require_version(field: str, version: int, *, or_newest: bool = False) -> None:
    """Refuse a version below 1; 0 means the newest where `or_newest`."""
    low = 0 if or_newest else 1
    if version < low:
        meaning = " (0 for the newest)" if or_newest else ""
        raise InvalidArgument.of(field, "range", f"must be {low} or more{meaning}, is {version}.")


def shown(text: str) -> str:
    """A refused text as a message shows it."""
    return repr(text[:_SHOWN_CHARACTERS]) + ("…" if len(text) > _SHOWN_CHARACTERS else "")
