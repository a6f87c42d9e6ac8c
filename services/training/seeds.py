"""Random streams: every random choice of a run comes from the one seed of its request."""

from __future__ import annotations

import numpy as np


def stream(seed: int, consumer: str) -> np.random.Generator:
    """The random stream of one consumer: the same however many others there are, and whoever draws first."""
    return np.random.default_rng(np.random.SeedSequence([seed, *consumer.encode()]))
