"""Delimited text: encoding, delimiter, lines above the table, header or none."""

from __future__ import annotations

import csv
import re
from collections import Counter

import pyarrow as pa
import pyarrow.csv

from marketml.imports.refused import ImportRefused
from marketml.imports.table import RawTable, numbered

_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_BYTES = 64 * 1024
_PREAMBLE_LINES_MAX = 30
_NUMBER = re.compile(r"[-+]?(\d[\d,_]*\.?\d*|\.\d+)([eE][-+]?\d+)?%?")


def read_delimited(content: bytes) -> RawTable:
    """Every cell as text; an empty cell is null.

    Raises
    ------
    ImportRefused
        No delimiter gives the lines more than one column, or a line has another number of cells.
    """
    text, encoding = _decoded(content)
    lines = text[:_SAMPLE_BYTES].splitlines()
    if len(text) > _SAMPLE_BYTES:
        lines = lines[:-1]  # the sample may end inside a line
    delimiter, width = _shape(lines)
    skipped = _preamble(lines, delimiter, width)
    first = _cells(lines[skipped], delimiter)
    has_header = _is_header(first)
    notes = [] if encoding == "utf-8" else [f"Read as {encoding} text."]
    preamble = tuple(line.strip() for line in lines[:skipped] if line.strip())
    if preamble:
        notes.append(f"Skipped above the table: {'; '.join(line[:80] for line in preamble[:3])}.")
    content = content.removeprefix(b"\xef\xbb\xbf") if encoding == "utf-8" else text.encode()
    table = _parsed(content, delimiter, width, skipped + has_header)
    if not has_header:
        if first == [str(position) for position in range(width)]:  # pandas' header of a frame without names
            table = table.slice(1)
        notes.append(f"No header: {width} columns taken by position.")
        return RawTable(numbered(width), tuple(table.columns), False, preamble, tuple(notes))
    names = tuple(name.strip() for name in first)
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ImportRefused(f"The header names a column twice: {repeated[0]!r}.")
    return RawTable(names, tuple(table.columns), True, preamble, tuple(notes))


def _decoded(content: bytes) -> tuple[str, str]:
    for encoding in ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" in text:
            break
        return text, "utf-8" if encoding == "utf-8-sig" else encoding
    raise ImportRefused("The file is neither text nor Parquet, Feather, JSON, gzip or ZIP.")


def _cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]


def _width(line: str, delimiter: str) -> int:
    """How many cells a line has."""
    return len(_cells(line, delimiter)) if '"' in line else line.count(delimiter) + 1


def _shape(lines: list[str]) -> tuple[str, int]:
    """The delimiter under which most lines agree on the largest number of cells, and that number."""
    best = (0.0, 0, ",")
    for delimiter in _DELIMITERS:
        widths = Counter(_width(line, delimiter) for line in lines[:200] if line.strip())
        width, agreeing = widths.most_common(1)[0] if widths else (1, 0)
        if width > 1:
            # A decimal comma makes "," agree too, on more cells than ";"; quotes and spaces do not decide it.
            share = round(agreeing / widths.total(), 1) + (0.5 if delimiter != "," else 0.0)
            best = max(best, (share, width, delimiter))
    if best[1] == 0:
        raise ImportRefused("The text has no columns: no comma, semicolon, tab or bar separates its lines.")
    return best[2], best[1]


def _preamble(lines: list[str], delimiter: str, width: int) -> int:
    """How many lines stand above the table."""
    for number, line in enumerate(lines[:_PREAMBLE_LINES_MAX]):
        is_remark = line.lstrip().startswith(("#", "//")) or "://" in line
        if line.strip() and not is_remark and len(_cells(line, delimiter)) == width:
            return number
    raise ImportRefused(f"No table starts within the first {_PREAMBLE_LINES_MAX} lines.")


def _is_header(cells: list[str]) -> bool:
    """Whether this first line names columns: nothing in it is a number, and something is a word."""
    words = [cell for cell in cells if cell]
    return bool(words) and not any(
        _NUMBER.fullmatch(cell) or (cell[:1].isdigit() and ":" in cell) for cell in words
    )


def _parsed(content: bytes, delimiter: str, width: int, skipped: int) -> pa.Table:
    uneven: list[tuple[int | None, str]] = []

    def on_uneven(row: pa.csv.InvalidRow) -> str:
        uneven.append((row.number, row.text))
        return "skip"

    names = numbered(width)
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(content),
            read_options=pa.csv.ReadOptions(skip_rows=skipped, column_names=names, use_threads=False),
            parse_options=pa.csv.ParseOptions(delimiter=delimiter, invalid_row_handler=on_uneven),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowException as error:
        raise ImportRefused(f"The text cannot be read as rows: {str(error).splitlines()[0]}.") from None
    if uneven:
        number, row = uneven[0]
        where = f"Row {number - skipped}" if number else "A row"
        raise ImportRefused(
            f"{where} has not the {width} cells of the others ({len(uneven)} such): {row.strip()[:80]!r}."
        )
    if table.num_rows == 0:
        raise ImportRefused("The file has a header and no rows.")
    return table
