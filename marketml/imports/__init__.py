"""Market-data files as found on disk, read into validated frames.

    imported = read_market_file("BTCUSDT-1h-2024-04.zip")
    imported.kind, imported.timeframe, imported.frame, imported.notes

The content decides, never the file's name: compression, delimiter, header, which column is what, time
format, unit of epochs. What the rows leave open is refused with the choices (`ImportRefused`); what was
decided or is odd stands in `notes`. Times become UTC, nothing is filled in: what a file does not hold is
NaN or absent.
"""

from marketml.imports.market_file import ImportedFile, Kind, read_market_file
from marketml.imports.refused import ImportRefused

__all__ = ["ImportRefused", "ImportedFile", "Kind", "read_market_file"]
