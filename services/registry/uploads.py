"""An upload under way: what was announced, and that exactly it arrives."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from marketml.bundle import FILE_NAMES, MANIFEST, TENSORS, FileEntry, bundle_digest
from marketml.bundle.files import MAX_BUNDLE_BYTES
from marketml.rpc.refusals import DataLoss, InvalidArgument, ResourceExhausted
from services.registry.blobs import Incoming
from services.registry.models import require_job_id, require_name, shown

PIECE_BYTES_MAX = 1024 * 1024
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


class Upload:
    """The files of one bundle while they arrive. `close` takes away what was not published."""

    def __init__(
        self, header: Header, entries: Sequence[FileEntry], new_file: Callable[[FileEntry], Incoming]
    ) -> None:
        self.header = header
        self.entries = tuple(entries)
        self.digest = bundle_digest(entries)
        self.files: dict[str, Incoming] = {}
        self._new_file = new_file
        self._current = ""
        self._lock = threading.Lock()  # a call that ends leaves its last write running
        self._is_closed = False

    def write(self, name: str, data: bytes) -> None:
        """Take the next piece.

        Raises
        ------
        InvalidArgument
            A file that was not announced, or is complete, or a piece without or with too many bytes.
        DataLoss
            More bytes than announced.
        """
        if not 0 < len(data) <= PIECE_BYTES_MAX:
            raise InvalidArgument.of(
                "piece.data", "range", f"must have 1 to {PIECE_BYTES_MAX} bytes, has {len(data)}."
            )
        with self._lock:
            if self._is_closed:
                return
            file = self._file(name)
            if file.written_bytes + len(data) > file.announced.size_bytes:
                raise DataLoss(f"{name} must have {file.announced.size_bytes} bytes, more arrived.")
            file.write(data)

    def seal(self) -> None:
        """Everything has arrived: compare lengths and digests, make the files durable.

        Raises
        ------
        DataLoss
            Files that are absent or not as announced.
        """
        for entry in self.entries:
            if entry.name not in self.files:
                raise DataLoss(f"{entry.name} must have {entry.size_bytes} bytes, none arrived.")
            self.files[entry.name].seal()

    def close(self) -> None:
        """Remove the files that were not published. May be called twice."""
        with self._lock:
            self._is_closed = True
            for file in self.files.values():
                file.close()

    def _file(self, name: str) -> Incoming:
        if name != self._current:
            entry = next((entry for entry in self.entries if entry.name == name), None)
            if entry is None:
                raise InvalidArgument.of(
                    "piece.name", "unknown", f"must be one of the header's files, is {shown(name)}."
                )
            if name in self.files:
                raise InvalidArgument.of(
                    "piece.name", "order", f"must not go back to {name}: files do not interleave."
                )
            self.files[name] = self._new_file(entry)
            self._current = name
        return self.files[name]
