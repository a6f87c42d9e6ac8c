"""Collecting from dump files: one file after the other, each whole or not at all."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Generator

from marketml.imports import Bounds, ImportRefused, read_market_bytes
from marketml.rpc.refusals import (
    AlreadyExists,
    InvalidArgument,
    NotFound,
    Reason,
    Refusal,
    ResourceExhausted,
)
from services.data.collection.dump_files import DumpFile, ImportFolder
from services.data.collection.file_imports import (
    FileOutcome,
    FileProgress,
    FileRequest,
    header_of,
    piece_of,
    series_of,
)
from services.data.series import Series
from services.data.symbols.unified import Symbol
from services.data.uploads import Budget, Header, Hold, Piece, Upload

# What reading a file keeps in memory for each byte that it says it holds: text, cells, numbers. Measured: 3.5
# on two million rows of 19 bytes, 3.4 on a million of 113.
BYTES_FACTOR = 4


class FileCollector:
    """Files of one call.

    Parameters
    ----------
    upload
        Begins an ingest.
    normalize
        Reads a spelling at a venue.
    check
        Raises when the call is over.
    """

    def __init__(
        self,
        folder: ImportFolder,
        upload: Callable[[Header], Upload],
        normalize: Callable[[str, str], Symbol],
        budget: Budget,
        check: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._upload = upload
        self._normalize = functools.cache(normalize)  # a folder spells few instruments many times
        self._budget = budget
        self._check = check

    def collect(self, request: FileRequest) -> Generator[FileProgress | FileOutcome, None, None]:
        """Take the files of `request`: a progress and an outcome each.

        Raises
        ------
        NotFound
            There is no such file or folder.
        InvalidArgument, AlreadyExists, ResourceExhausted
            After all outcomes: why the first of the files that failed did.
        """
        files = self._folder.find(request.path)
        sizes = [file.size_bytes for file in files]
        total, done, began = max(1, sum(sizes)), 0, time.monotonic()
        failures: list[tuple[str, Refusal]] = []
        for file, size_bytes in zip(files, sizes, strict=True):
            self._check()
            pace = (time.monotonic() - began) / done if done else None
            yield FileProgress(file.path, done / total, None if pace is None else pace * (total - done))
            try:
                outcome = self._taken(request, file)
            except (InvalidArgument, AlreadyExists, NotFound, ResourceExhausted) as refusal:
                if refusal.reason in (Reason.OVERLOADED, Reason.DISK_FULL):
                    raise  # so would the next one be
                failures.append((file.path, refusal))
                outcome = FileOutcome(file.path, failure=refusal.message, failure_reason=str(refusal.reason))
            done += size_bytes
            yield outcome
        if failures:
            path, first = failures[0]
            count = f"{len(failures)} of {len(files)} files were" if len(files) > 1 else "The file was"
            first.message = f"{count} not taken, the first is {path!r}: {first.message}"
            raise first

    def _taken(self, request: FileRequest, file: DumpFile) -> FileOutcome:
        held = Hold(
            self._budget,
            f"Reading the file needs more than the {self._budget.bytes_max} bytes that the room keeps for "
            "rows; split it.",
        )
        try:
            series, piece, notes = self._read(request, file, held)
            held.give_back()
            self._check()
            held.take(piece.size_bytes)  # the frame that the rows were read into
            upload = self._upload(header_of(request, series, file.path))
            try:
                upload.add(piece)
                report = upload.finish(self._check)
            finally:
                upload.close()
        finally:
            held.give_back()
        first_us, last_us = piece.times[[0, -1]].tolist() if len(piece.times) else (None, None)
        missing_count = max(0, series.missing_count(first_us, last_us, len(piece.times)))
        return FileOutcome(file.path, series, report, missing_count, notes=notes)

    def _read(
        self, request: FileRequest, file: DumpFile, held: Hold
    ) -> tuple[Series, Piece, tuple[str, ...]]:
        def hold(size_bytes: int) -> None:
            self._check()
            held.take(size_bytes * BYTES_FACTOR)

        bounds = Bounds(hold=hold)
        try:
            content, checksum = self._folder.read(file, bounds)
            imported = read_market_bytes(
                content,
                file.path,
                request.file_kind,
                timeframe=request.timeframe or None,
                utc_offset=request.utc_offset or None,
                prices=request.prices,
                checksum=checksum,
                bounds=bounds,
            )
        except ImportRefused as refused:
            raise InvalidArgument.of("files.path", "content", str(refused)) from None
        series, note = series_of(request, imported, self._normalize)
        notes = imported.notes if note is None else (*imported.notes, note)
        return series, piece_of(series, imported), notes
