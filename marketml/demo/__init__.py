"""The market data that ships with the package; see the README beside it."""

from __future__ import annotations

from pathlib import Path

FILE = Path(__file__).with_name("Coinbase_BTCUSD_1h.csv.gz")
VENUE, SYMBOL, TIMEFRAME = "coinbase", "BTC/USD", "1h"
