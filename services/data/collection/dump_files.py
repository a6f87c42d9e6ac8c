"""The folder from which the room reads exchange dumps.

What a caller names never becomes a path: names are compared with those that a walk of the folder finds, by
directory descriptors, so that no link, no `..` and no race leads out of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from marketml.imports import Bounds, is_market_name
from marketml.imports.checksums import BYTES_MAX as CHECKSUM_BYTES_MAX
from marketml.imports.checksums import ENDING as CHECKSUM_ENDING
from marketml.imports.containers import read_bounded
from marketml.rpc.refusals import FailedPrecondition, NotFound, ResourceExhausted

FILES_MAX = 100_000
DEPTH_MAX = 32

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe is opened without waiting


@dataclass(frozen=True)
class DumpFile:
    """A file below the folder: the names on the way to it, and its size."""

    names: tuple[str, ...]
    size_bytes: int

    @property
    def path(self) -> str:
        """Relative to the folder, with `/`."""
        return "/".join(self.names)


class ImportFolder:
    """The folder that the operator named."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, path: str) -> list[DumpFile]:
        """The file that `path` names, or the market-data files of the folder it names, in order of their
        paths.

        Raises
        ------
        NotFound
            Nothing below the folder is called so, or it holds no market-data file.
        """
        wanted = path.removesuffix("/").split("/")
        with self._opened() as root, contextlib.ExitStack() as opened:
            at = root
            for depth, name in enumerate(wanted):
                entry = next((one for one in _entries(at) if one.name == name), None)
                if entry is None:
                    raise _nothing(path)
                if entry.is_file(follow_symlinks=False) and depth == len(wanted) - 1:
                    size_bytes = entry.stat(follow_symlinks=False).st_size
                    return [DumpFile(tuple(wanted), size_bytes)]
                if not entry.is_dir(follow_symlinks=False):
                    raise _nothing(path)
                at = _opened_folder(entry.name, at, path)
                opened.callback(os.close, at)
            files = list(_below(at, tuple(wanted)))
        if not files:
            raise NotFound("file", path[:200], f"No market-data file lies in {path[:200]!r}.")
        return sorted(files, key=lambda file: file.names)

    def read(self, file: DumpFile, bounds: Bounds) -> tuple[bytes, bytes | None]:
        """A file's bytes, and those of the checksum file beside it if there is one.

        Raises
        ------
        NotFound
            The file is no longer there, or no longer a file.
        ImportRefused
            It holds more bytes than `bounds` allows.
        """
        *folders, name = file.names
        with self._opened() as root, contextlib.ExitStack() as opened:
            at = root
            for folder in folders:
                at = _opened_folder(folder, at, file.path)
                opened.callback(os.close, at)
            content = _content(at, name, bounds)
            if content is None:
                raise _nothing(file.path)
            return content, _content(at, f"{name}{CHECKSUM_ENDING}", Bounds(CHECKSUM_BYTES_MAX))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            raise FailedPrecondition(
                "import_folder",
                "The import folder of this room (MARKETML_DATA_IMPORT_FOLDER) cannot be opened.",
            ) from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def no_import_folder() -> FailedPrecondition:
    """The refusal of a room whose operator named no folder."""
    return FailedPrecondition(
        "import_folder",
        "This room reads no files: its operator names the folder of dumps in MARKETML_DATA_IMPORT_FOLDER.",
    )


def _below(folder: int, names: tuple[str, ...]) -> Iterator[DumpFile]:
    """The market-data files below an open folder. Links are not followed, hidden folders not entered."""
    if len(names) > DEPTH_MAX:
        raise ResourceExhausted(
            "folder_depth", f"Folders are read {DEPTH_MAX} deep: {'/'.join(names)[:200]!r}."
        )
    count = 0
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            inner = _opened_folder(entry.name, folder, "/".join(names))
            try:
                found = list(_below(inner, (*names, entry.name)))
            finally:
                os.close(inner)
        elif entry.is_file(follow_symlinks=False) and is_market_name(entry.name):
            found = [DumpFile((*names, entry.name), entry.stat(follow_symlinks=False).st_size)]
        else:
            continue
        count += len(found)
        if count > FILES_MAX:
            raise ResourceExhausted(
                "files", f"A call reads at most {FILES_MAX} files; name a smaller folder."
            )
        yield from found


def _entries(folder: int) -> list[os.DirEntry[str]]:
    """What a folder holds, but names that are no text."""
    with os.scandir(folder) as entries:
        return [entry for entry in entries if _is_text(entry.name)]


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _opened_folder(name: str, at: int, path: str) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=at)
    except OSError as error:
        raise _unreadable(error, path) from None


def _content(at: int, name: str, bounds: Bounds) -> bytes | None:
    """The bytes of a file of an open folder; None where no file of that name is."""
    try:
        descriptor = os.open(name, _FILE, dir_fd=at)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(error, name) from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        try:
            return read_bounded(file, bounds)
        except OSError as error:
            raise _unreadable(error, name) from None


def _unreadable(error: OSError, path: str) -> NotFound:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return _nothing(path)
    return NotFound("file", path[:200], f"{path[:200]!r} cannot be read: {os.strerror(error.errno or 0)}.")


def _nothing(path: str) -> NotFound:
    return NotFound("file", path[:200], f"Nothing below the import folder is called {path[:200]!r}.")
