"""From bytes on disk to a table of cells: compression, archives, Parquet, Feather, JSON, delimited text.

Told apart by their first bytes. Nothing is extracted to disk, and nothing in a file is ever executed.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from marketml.imports.delimited import read_delimited
from marketml.imports.refused import ImportRefused
from marketml.imports.table import RawTable, numbered

_PIECE_BYTES = 4 * 1024**2
_ROW_BYTES = 48  # what a row costs beside its text, in measures of that: offsets, times, numbers


@dataclass(frozen=True)
class Bounds:
    """How much one file may be.

    Attributes
    ----------
    bytes_max
        Decompressed; a bomb is refused instead of filling the memory.
    hold
        Told of every piece before it is kept: bytes, as read or decompressed, then what their rows cost in
        the same measure. Reading keeps up to four times the sum in memory. May refuse by raising.
    """

    bytes_max: int = 4 * 1024**3
    rows_max: int = 50_000_000
    hold: Callable[[int], None] = lambda size_bytes: None


UNBOUNDED = Bounds()


def read_table(content: bytes, bounds: Bounds) -> RawTable:
    """Find the one table in a file's bytes.

    Raises
    ------
    ImportRefused
        They are none of the known containers, or hold no table or more than one.
    """
    table = _from_bytes(content, bounds, depth=0)
    if table.row_count == 0:
        raise ImportRefused("The file has no rows.")
    if table.row_count > bounds.rows_max:
        raise ImportRefused(
            f"The file has {table.row_count:,} rows; the most is {bounds.rows_max:,}: split it."
        )
    bounds.hold(table.row_count * _ROW_BYTES)
    return table


def read_bounded(file: IO[bytes] | gzip.GzipFile, bounds: Bounds) -> bytes:
    """All bytes of an open file.

    Raises
    ------
    ImportRefused
        There are more than `bounds` allows.
    """
    pieces: list[bytes] = []
    size = 0
    while piece := file.read(_PIECE_BYTES):
        size += len(piece)
        if size > bounds.bytes_max:
            raise ImportRefused(f"The file holds more than {bounds.bytes_max // 1024**2:,} MiB: split it.")
        bounds.hold(len(piece))
        pieces.append(piece)
    return b"".join(pieces)


def _from_bytes(content: bytes, bounds: Bounds, depth: int) -> RawTable:
    head = content[:8]
    if depth > 2:
        raise ImportRefused("The file is compressed more than twice: unpack it first.")
    if head.startswith(b"\x1f\x8b"):
        return _from_bytes(_unzipped(content, bounds), bounds, depth + 1)
    if head.startswith(b"PK\x03\x04"):
        return _from_bytes(_archived(content, bounds), bounds, depth + 1)
    if head.startswith(b"PAR1"):
        return _from_arrow(content, "Parquet")
    if head.startswith(b"ARROW1"):
        return _from_arrow(content, "Feather")
    for magic, name in _FOREIGN.items():
        if head.startswith(magic):
            raise ImportRefused(
                f"The file is {name}: give CSV, JSON, Parquet or Feather, plain, .gz or .zip."
            )
    if content[:64].lstrip().lower().startswith((b"<html", b"<!doctype", b"<?xml")):
        raise ImportRefused("The file is a web page or XML, not the data it may link to.")
    first = content[:256].removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if first in (b"[", b"{"):
        return _from_json(content)
    if first == b"":
        raise ImportRefused("The file is empty.")
    return read_delimited(content)


_FOREIGN = {
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"FEA1": "Feather of the first version, which pyarrow reads no more",
    b"\x89HDF": "HDF5",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet",
    b"\x80\x04\x95": "a pickle, which could run code when read",
    b"\x80\x05\x95": "a pickle, which could run code when read",
    b"SQLite f": "an SQLite database",
}


def _unzipped(content: bytes, bounds: Bounds) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            return read_bounded(file, bounds)
    except (OSError, EOFError, zlib.error) as error:
        raise ImportRefused(f"The gzip file is damaged or cut off: {error}.") from None


def _archived(content: bytes, bounds: Bounds) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            names = [member.filename for member in members]
            if "[Content_Types].xml" in names:
                raise ImportRefused("The file is a spreadsheet: save the sheet as CSV.")
            tables = [m for m in members if not m.filename.upper().endswith((".CHECKSUM", ".MD", ".TXT.SIG"))]
            if len(tables) != 1:
                listed = ", ".join(names[:8]) or "none"
                raise ImportRefused(f"The archive holds {len(tables)} files, and one is expected: {listed}.")
            with archive.open(tables[0]) as file:
                return read_bounded(file, bounds)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ImportRefused(f"The ZIP file is damaged or cut off: {error}.") from None
    except (RuntimeError, NotImplementedError):
        raise ImportRefused("The ZIP file is encrypted or packed in a way that cannot be read.") from None


def _from_arrow(content: bytes, kind: str) -> RawTable:
    try:
        source = pa.BufferReader(content)
        if kind == "Parquet":
            table = pa.parquet.read_table(source)
        else:
            table = pa.feather.read_table(source, memory_map=False)
        table.validate(full=True)
        names = tuple("" if _is_pandas_index(name) else name for name in table.column_names)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ImportRefused(f"The {kind} file is damaged: {(str(error).splitlines() or [''])[0]}.") from None
    if len(set(names)) < len(names):
        raise ImportRefused(f"Column names repeat: {', '.join(table.column_names)}.")
    return RawTable(names, tuple(_decoded(column) for column in table.columns), has_names=True)


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Plain values instead of a dictionary's numbers, and plain text instead of views."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.large_string()) if pa.types.is_string_view(column.type) else column


def _is_pandas_index(name: str) -> bool:
    """Whether pandas wrote a nameless index under this name."""
    return name.startswith("__index_level_") and name.endswith("__")


def _from_json(content: bytes) -> RawTable:
    try:
        document = json.loads(content, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise ImportRefused(f"The JSON cannot be read: {error}.") from None
    tables = [rows for rows in _row_lists(document, depth=0) if rows]
    if len(tables) != 1:
        raise ImportRefused(
            f"The JSON holds {len(tables)} lists of rows, and one is expected: a list of lists or of objects."
        )
    rows = tables[0]
    if isinstance(rows[0], dict):
        names = tuple(dict.fromkeys(str(key) for row in rows if isinstance(row, dict) for key in row))
        cells = [[row.get(name) if isinstance(row, dict) else None for row in rows] for name in names]
        return RawTable(names, tuple(_column(values) for values in cells), has_names=True)
    width = len(rows[0])
    uneven = next((i for i, row in enumerate(rows) if not isinstance(row, list) or len(row) != width), None)
    if uneven is not None:
        raise ImportRefused(f"The JSON's row {uneven + 1} has not the {width} values of the first.")
    columns = tuple(_column([row[position] for row in rows]) for position in range(width))
    return RawTable(numbered(width), columns, has_names=False)


def _row_lists(value: Any, depth: int) -> Iterator[list[Any]]:
    """Every list of lists or objects, at most three objects deep."""
    if isinstance(value, list):
        if value and isinstance(value[0], list | dict):
            yield value
    elif isinstance(value, dict) and depth < 3:
        for inner in value.values():
            yield from _row_lists(inner, depth + 1)


def _column(values: list[Any]) -> pa.ChunkedArray:
    """One JSON column: whole numbers and numbers as they are, anything else as text."""
    present = [value for value in values if value is not None]
    if present and all(type(value) is int for value in present) and max(map(abs, present)) < 2**63:
        return pa.chunked_array([pa.array(values, pa.int64())])
    if present and all(type(value) in (int, float) for value in present):
        floats = [None if value is None else float(value) for value in values]
        return pa.chunked_array([pa.array(floats, pa.float64())])
    texts = [
        None if value is None else value if isinstance(value, str) else json.dumps(value) for value in values
    ]
    return pa.chunked_array([pa.array(texts, pa.string())])
