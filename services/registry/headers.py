"""What an upload announces, and whether it may come."""

from __future__ import annotations

import re
from dataclasses import dataclass

from marketml.bundle import FILE_NAMES, MANIFEST, TENSORS, FileEntry
from marketml.bundle.files import MAX_BUNDLE_BYTES
from marketml.rpc.refusals import InvalidArgument, ResourceExhausted
from services.registry.models import require_job_id, require_name, shown

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class AnnouncedFile:
    """A file as the header names it, not yet looked at."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Header:
    """The first message of an upload. `request_bytes` is its serialisation, equal for equal headers."""

    request_id: str
    model_name: str
    job_id: str
    files: tuple[AnnouncedFile, ...]
    request_bytes: bytes


def announced_entries(header: Header) -> tuple[FileEntry, ...]:
    """The header's files, in order of name, once everything in it was found right.

    Raises
    ------
    InvalidArgument
    ResourceExhausted
        More bytes than a bundle may have.
    """
    if not header.request_id:
        raise InvalidArgument.of("header.request_id", "required", "must be present.")
    require_name("header.model_name", header.model_name)
    require_job_id("header.job_id", header.job_id)
    seen: set[str] = set()
    if len(header.files) > len(FILE_NAMES):
        count = len(header.files)
        raise InvalidArgument.of("header.files", "range", f"may be {len(FILE_NAMES)}, are {count}.")
    for position, file in enumerate(header.files):
        path = f"header.files[{position}]"
        if file.name not in FILE_NAMES or file.name in seen:
            names = ", ".join(sorted(FILE_NAMES))
            raise InvalidArgument.of(
                f"{path}.name", "name", f"must be one of {names}, each once, is {shown(file.name)}."
            )
        seen.add(file.name)
        if not 0 < file.size_bytes <= MAX_BUNDLE_BYTES:
            raise InvalidArgument.of(
                f"{path}.size_bytes", "range", f"must be from 1 to {MAX_BUNDLE_BYTES}, is {file.size_bytes}."
            )
        if not _SHA256.fullmatch(file.sha256):
            raise InvalidArgument.of(
                f"{path}.sha256", "digest", f"must be 64 lower-case hex digits, is {shown(file.sha256)}."
            )
    for name in (MANIFEST, TENSORS):
        if name not in seen:
            raise InvalidArgument.of("header.files", "required", f"must name {name}.")
    total_bytes = sum(file.size_bytes for file in header.files)
    if total_bytes > MAX_BUNDLE_BYTES:
        raise ResourceExhausted(
            "header.files", f"A bundle may have {MAX_BUNDLE_BYTES} bytes, this one announces {total_bytes}."
        )
    entries = [FileEntry(file.name, file.size_bytes, file.sha256) for file in header.files]
    return tuple(sorted(entries, key=lambda entry: entry.name))
