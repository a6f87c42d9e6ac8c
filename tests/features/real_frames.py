"""Real bars with the funding rate and open interest known at their close, as QueryFrame aligns them."""

from __future__ import annotations

from functools import cache

import pandas as pd

from tests.features.frames import DATA, real_bars


def real_frame(start: str, end: str) -> pd.DataFrame:
    """Hourly BTCUSDT perpetual, both ends included; skips the test where the data is not at hand.

    Funding starts on 2019-09-10, open interest on 2023-11-28.
    """
    frame = real_bars(start, end)
    closes = pd.DataFrame({"close_time": frame.index + pd.Timedelta(hours=1)}, index=frame.index)
    for name, prefix, source, hours in (
        ("funding_rate", "funding", "8h_funding_rate", 12),
        ("open_interest", "open_interest", "1h_open_interest", 2),
    ):
        time = f"{prefix}_time"
        known = pd.merge_asof(
            closes,
            _read(source).rename(columns={"timestamp": time}),
            left_on="close_time",
            right_on=time,
            tolerance=pd.Timedelta(hours=hours),
        ).set_index(frame.index)
        frame = frame.assign(**{name: known[name], time: known[time], f"{name}_missing": known[name].isna()})
    return frame


@cache
def _read(source: str) -> pd.DataFrame:
    rows = pd.read_csv(DATA / "demo" / f"BTCUSDT_{source}.csv.gz")
    return rows.assign(timestamp=pd.to_datetime(rows.timestamp, utc=True).dt.as_unit("us"))
