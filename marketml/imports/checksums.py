"""The checksum that an exchange publishes beside a dump: `BTCUSDT-1m-2024-04.zip.CHECKSUM`."""

from __future__ import annotations

import hashlib
import re

from marketml.imports.refused import ImportRefused

ENDING = ".CHECKSUM"
BYTES_MAX = 4096
_SHA256 = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{64}(?![0-9a-fA-F])")


def verify(content: bytes, checksum: bytes) -> str:
    """Compare a file's bytes with the text of its checksum file; returns what to note.

    Raises
    ------
    ImportRefused
        The file is not the one that was published, or the checksum file holds no SHA-256.
    """
    found = _SHA256.search(checksum.decode("ascii", "replace"))
    if found is None:
        raise ImportRefused(f"The {ENDING[1:]} file beside it holds no SHA-256: remove or replace it.")
    digest = hashlib.sha256(content).hexdigest()
    if digest != found[0].lower():
        raise ImportRefused(
            f"The file is not the published one: its SHA-256 is {digest[:16]}…, its {ENDING[1:]} file says "
            f"{found[0].lower()[:16]}…: download it again."
        )
    return "SHA-256 as its CHECKSUM file says."
