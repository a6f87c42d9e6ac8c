"""What a series holds, in one word: equal for equal revisions, whoever told them in whatever order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from services.data.revisions import Stored, joined


def revisions_digest(parts: Iterable[Stored]) -> str:
    """SHA-256 over all revisions by time, then capture: both, and the bits of the values.

    Parameters
    ----------
    parts
        A series by time, cut anywhere between two times.
    """
    digest = hashlib.sha256()
    for part in parts:
        rows = joined([part.history, part.current])
        rows = rows.take(np.lexsort((rows.captured, rows.times)))
        bits = [column.view(np.int64) for column in rows.columns]
        digest.update(
            np.stack([rows.times, rows.captured, *bits], axis=1).astype("<i8", copy=False).tobytes()
        )
    return digest.hexdigest()
