"""The files of a bundle: which names there may be, and the digest that stands for all of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from marketml.bundle.canonical import write_canonical_json
from marketml.rpc.refusals import InvalidArgument

MANIFEST = "manifest.json"
TENSORS = "model.safetensors"
LIGHTGBM_TEXT = "model.lightgbm.txt"
XGBOOST_UBJ = "model.xgboost.ubj"

FILE_NAMES = frozenset({MANIFEST, TENSORS, LIGHTGBM_TEXT, XGBOOST_UBJ})
"""Every name a bundle may hold. The last two are the library's own files, for people; nothing opens them."""

MAX_BUNDLE_BYTES = 512 * 2**20

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileEntry:
    """One file: its name, its length, and its SHA-256 as 64 lower-case hexadecimal digits.

    Raises
    ------
    InvalidArgument
        A name outside `FILE_NAMES`, an impossible size, or no SHA-256.
    """

    name: str
    size_bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if self.name not in FILE_NAMES:
            raise InvalidArgument.of(
                "bundle.files", "name", f"names are {', '.join(sorted(FILE_NAMES))}, not {self.name[:80]!r}."
            )
        path = f"bundle.files[{self.name}]"
        if not 0 <= self.size_bytes <= MAX_BUNDLE_BYTES:
            raise InvalidArgument.of(
                f"{path}.size_bytes", "range", f"must be from 0 to {MAX_BUNDLE_BYTES}, is {self.size_bytes}."
            )
        if not _SHA256.fullmatch(self.sha256):
            raise InvalidArgument.of(f"{path}.sha256", "digest", "must be 64 lower-case hexadecimal digits.")


@dataclass(frozen=True)
class Bundle:
    """A model as it is uploaded and kept: the bytes of each file by name."""

    contents: Mapping[str, bytes]

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """The entries, in order of name."""
        return tuple(file_entry(name, self.contents[name]) for name in sorted(self.contents))

    @property
    def digest(self) -> str:
        """The name of the model's bytes: see `bundle_digest`."""
        return bundle_digest(self.files)


def file_entry(name: str, content: bytes) -> FileEntry:
    """The entry of a file with this content."""
    return FileEntry(name, len(content), hashlib.sha256(content).hexdigest())


def bundle_digest(files: Iterable[FileEntry]) -> str:
    """SHA-256 of the canonical listing of the files (name, size, SHA-256), whatever order they come in.

    Raises
    ------
    InvalidArgument
        A name that is listed twice.
    """
    entries = list(files)
    listing = {file.name: [file.size_bytes, file.sha256] for file in entries}
    if len(listing) != len(entries):
        raise InvalidArgument.of("bundle.files", "unique", "must not list a name twice.")
    return hashlib.sha256(write_canonical_json(listing)).hexdigest()
