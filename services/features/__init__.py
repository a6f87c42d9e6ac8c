"""The features room: what could be known at a bar, computed from data known at that bar."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from numba.core import config


def _keep_machine_code_apart() -> None:
    """Let every state of the compiled sources have a cache of its own.

    Numba looks only at the file of a function for whether its cached machine code is still right, not at
    those of the functions that are compiled into it. Where an operator names a cache, or none can be written
    here, that is as it was.
    """
    settings: Any = config
    folder = Path(__file__).parent
    if settings.CACHE_DIR or not os.access(folder, os.W_OK):
        return
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        text = path.read_bytes()
        if b"numba" in text or b"@compiled" in text:
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + text)
    settings.CACHE_DIR = str(folder / "__pycache__" / f"numba-{digest.hexdigest()[:16]}")


_keep_machine_code_apart()
