"""An upload under way: what was announced, and that exactly it arrives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from marketml.bundle import FileEntry, bundle_digest
from marketml.rpc.refusals import DataLoss, InvalidArgument
from services.registry.blobs import Incoming
from services.registry.headers import Header
from services.registry.models import shown

PIECE_BYTES_MAX = 1024 * 1024


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
