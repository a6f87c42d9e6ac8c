"""The one way an import says no."""

from __future__ import annotations


class ImportRefused(ValueError):
    """The file cannot be read as market data without guessing. One sentence: what, where, and the choices."""
