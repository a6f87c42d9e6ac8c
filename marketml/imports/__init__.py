"""Market-data files as found on disk, read into validated frames.

    imported = read_market_file("BTCUSDT-1h-2024-04.zip")
    imported.kind, imported.timeframe, imported.frame, imported.notes

The content decides: compression, delimiter, header, which column is what, time format, unit of epochs. What
the file is called is used for what its content leaves open, and may not contradict it. What neither tells is
refused with the choices (`ImportRefused`); what was decided or is odd stands in `notes`. Times become UTC,
nothing is filled in: what a file does not hold is NaN or absent.
"""

from marketml.imports.containers import Bounds
from marketml.imports.folders import MarketFiles, find_market_files, is_market_name
from marketml.imports.market_file import ImportedFile, Kind, read_market_bytes, read_market_file
from marketml.imports.prices import Prices, venue_of
from marketml.imports.refused import ImportRefused

__all__ = [
    "Bounds",
    "ImportRefused",
    "ImportedFile",
    "Kind",
    "MarketFiles",
    "Prices",
    "find_market_files",
    "is_market_name",
    "read_market_bytes",
    "read_market_file",
    "venue_of",
]
