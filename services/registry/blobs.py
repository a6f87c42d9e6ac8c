"""Model files by digest in one folder.

    folder/incoming/<random>     being written; gone at the end of its upload, or swept after a grace
    folder/blobs/<SHA-256>       published; never written to again
    folder/lock                  shared by who publishes, exclusive to who removes

Publishing keeps one order, so that a version's row never stands without its bytes, whenever the power goes:

    1. `Incoming.write`    temporary name, hashing while writing
    2. `Incoming.seal`     length and SHA-256 are those announced, then fsync of the file
    3. `publish`           rename to the digest's name, each file
    4. `publish`           fsync of the folder of blobs
    5. the caller's transaction with the row, still inside `publish`

Removing goes the other way: the row first, then the file, and only when no row needs it. The lock keeps a
removal out of the time between a rename and its row, of this process and of any other on the same folder.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from marketml.bundle import FileEntry
from marketml.rpc.refusals import DataLoss, Reason, ResourceExhausted, Unavailable
from services.host.durable import sync_folder

READ_BYTES = 1024 * 1024
_DIGEST_CHARACTERS = 64


class Incoming:
    """One file while it arrives. `close` takes it away unless it was published."""

    def __init__(self, folder: Path, announced: FileEntry) -> None:
        self.announced = announced
        self.written_bytes = 0
        self._path = folder / secrets.token_hex(16)
        self._hash = hashlib.sha256()
        with _explained():
            self._file: BinaryIO | None = self._path.open("xb", buffering=0)
        self._is_there = True

    def write(self, data: bytes) -> None:
        """Append."""
        assert self._file is not None
        rest = memoryview(data)
        self._hash.update(rest)
        self.written_bytes += len(rest)
        with _explained():
            while rest:
                rest = rest[self._file.write(rest) :]

    def seal(self) -> None:
        """The whole file is here: make it durable.

        Raises
        ------
        DataLoss
            Its length or SHA-256 is not the announced one.
        """
        assert self._file is not None
        wanted = self.announced
        if self.written_bytes != wanted.size_bytes or self._hash.hexdigest() != wanted.sha256:
            raise DataLoss(
                f"{wanted.name} must have {wanted.size_bytes} bytes of SHA-256 {wanted.sha256}, "
                f"{self.written_bytes} of {self._hash.hexdigest()} arrived."
            )
        with _explained():
            os.fsync(self._file.fileno())
            self._file.close()
        self._file = None

    def read(self) -> bytes:
        """The content, after `seal`."""
        with _explained():
            return self._path.read_bytes()

    def rename(self, folder: Path) -> None:
        """Give it its digest as a name; for `Blobs.publish`."""
        assert self._file is None
        with _explained():
            self._path.rename(folder / self.announced.sha256)
        self._is_there = False

    def close(self) -> None:
        """Remove what is left of it. May be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._is_there:
            self._path.unlink(missing_ok=True)
            self._is_there = False


class Blobs:
    """The folder. Every method may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self._incoming = folder / "incoming"
        self._blobs = folder / "blobs"
        self._lock = folder / "lock"
        with _explained():
            for each in (self._incoming, self._blobs):
                each.mkdir(parents=True, exist_ok=True)
            sync_folder(folder)

    def new_file(self, announced: FileEntry) -> Incoming:
        """A place to write a file that was announced."""
        return Incoming(self._incoming, announced)

    @contextmanager
    def publish(self, files: Iterable[Incoming]) -> Iterator[None]:
        """Publish sealed files; the row that needs them is committed inside the `with` block."""
        with self._locked(fcntl.LOCK_SH):
            for file in files:
                file.rename(self._blobs)  # also over an equal one, which heals it should it be damaged
            with _explained():
                sync_folder(self._blobs)
            yield

    def open(self, entry: FileEntry) -> BinaryIO:
        """A published file, read to its end once and found to be what its digest says; at its start.

        Raises
        ------
        DataLoss
            It is absent, or its length or SHA-256 is another one.
        """
        try:
            file = (self._blobs / entry.sha256).open("rb")
        except FileNotFoundError:
            raise DataLoss(f"The file {entry.name} of SHA-256 {entry.sha256} is lost.") from None
        try:
            digest = hashlib.sha256()
            size_bytes = 0
            while data := file.read(READ_BYTES):
                digest.update(data)
                size_bytes += len(data)
            if size_bytes != entry.size_bytes or digest.hexdigest() != entry.sha256:
                raise DataLoss(f"The file {entry.name} of SHA-256 {entry.sha256} is damaged.")
            file.seek(0)
        except OSError:
            file.close()
            raise DataLoss(f"The file {entry.name} of SHA-256 {entry.sha256} cannot be read.") from None
        except BaseException:
            file.close()
            raise
        return file

    def read(self, entry: FileEntry) -> bytes:
        """The content of a published file.

        Raises
        ------
        DataLoss
            It is absent, or its length or SHA-256 is another one.
        """
        try:
            content = (self._blobs / entry.sha256).read_bytes()
        except FileNotFoundError:
            raise DataLoss(f"The file {entry.name} of SHA-256 {entry.sha256} is lost.") from None
        except OSError:
            raise DataLoss(f"The file {entry.name} of SHA-256 {entry.sha256} cannot be read.") from None
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise DataLoss(f"The file {entry.name} of SHA-256 {entry.sha256} is damaged.")
        return content

    def remove(self, digests: Iterable[str], needed: Callable[[list[str]], set[str]]) -> None:
        """Remove published files, but those that `needed` says some row needs now."""
        listed = list(digests)
        if not listed:
            return
        with self._locked(fcntl.LOCK_EX):
            for digest in set(listed) - needed(listed):
                (self._blobs / digest).unlink(missing_ok=True)

    def sweep(self, older_than: float, needed: Callable[[list[str]], set[str]]) -> int:
        """Remove leftovers last written before `older_than` (seconds since 1970): uploads that never ended,
        and files that no row needs. Returns how many."""
        stale = [path for path in self._incoming.iterdir() if _written(path) < older_than]
        for path in stale:
            path.unlink(missing_ok=True)
        digests = [
            path.name
            for path in self._blobs.iterdir()
            if len(path.name) == _DIGEST_CHARACTERS and _written(path) < older_than
        ]
        unneeded = set(digests) - needed(digests) if digests else set()
        self.remove(unneeded, needed)
        return len(stale) + len(unneeded)

    def free_bytes(self) -> int:
        """Bytes free on the disk of the folder."""
        return shutil.disk_usage(self._blobs).free

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        with _explained():
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # published or removed meanwhile
        return float("inf")


@contextmanager
def _explained() -> Iterator[None]:
    """What the disk says, as refusals that name no path."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ResourceExhausted(
                "disk", "The disk of the model files is full.", reason=Reason.DISK_FULL
            ) from error
        raise Unavailable(
            f"The store of model files did not answer: {error.strerror or 'unknown error'}.",
            reason=Reason.STORE_DOWN,
        ) from error
