"""A folder of dumps: which of its files are market data, and which are left out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_ENDINGS = (".csv", ".tsv", ".txt", ".json", ".parquet", ".feather", ".zip", ".gz")
_PAPERS = re.compile(r"(readme|licen[cs]e|notice|changelog|changes|credits|attribution)\b.*", re.IGNORECASE)


@dataclass(frozen=True)
class MarketFiles:
    """Files to read, in order of their paths, and those left out."""

    files: tuple[Path, ...]
    left_out: tuple[Path, ...]


def is_market_name(name: str) -> bool:
    """Whether a file of this name may hold market data: not hidden, no checksum, no paper, a known
    ending."""
    return not name.startswith(".") and name.lower().endswith(_ENDINGS) and not _PAPERS.fullmatch(name)


def find_market_files(paths: Iterable[Path]) -> MarketFiles:
    """The files of some paths: a file is taken whatever it is called, a folder with all below it. Hidden
    folders and links to folders are not entered."""
    files: list[Path] = []
    left_out: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        for folder, folders, names in os.walk(path):
            left_out += [Path(folder, name) for name in folders if name.startswith(".")]
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                (files if is_market_name(name) else left_out).append(Path(folder, name))
    return MarketFiles(_ordered(files), _ordered(left_out))


def _ordered(paths: list[Path]) -> tuple[Path, ...]:
    return tuple(sorted(dict.fromkeys(paths), key=lambda path: path.parts))
