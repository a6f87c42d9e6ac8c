"""The one way an import says no."""

from __future__ import annotations


class ImportRefused(ValueError):
    """The file cannot be read as market data without guessing. One sentence: what, where, and the choices."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """Text that quotes a file, without the line ends and control characters that the file may hold."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
