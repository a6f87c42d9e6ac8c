"""Whatever way candles are written, they are read back as they were."""

import gzip
import io
import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.imports import ImportRefused, read_market_file
from marketml.imports.decimals import to_nearest_decimals
from tests.imports.market_files import candles, lines

EPOCHS = {"s": 10**6, "ms": 10**3, "us": 1}
FORMATS = [
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M:%S+00:00",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%d %I-%p",
    "%d.%m.%Y %H:%M:%S.000",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%Y%m%d %H%M%S",
    "%Y%m%d%H%M%S",
    "%d %b %Y %H:%M",
    "%b %d %Y %H:%M",
    "%d.%m.%Y %H:%M:%S.000 GMT+0000",
]
NAMES = {
    "lower": ["time", "open", "high", "low", "close", "volume"],
    "title": ["Date", "Open", "High", "Low", "Close", "Volume"],
    "exchange": ["Open time", "Open", "High", "Low", "Close", "Volume"],
    "terminal": ["<DATETIME>", "<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>", "<VOL>"],
    "numbered": ["timestamp", "1. open", "2. high", "3. low", "4. close", "5. volume"],
    "unnamed": ["", "open", "high", "low", "close", "volume"],
}
ORDERS = [
    ["open", "high", "low", "close", "volume"],
    ["open", "close", "high", "low", "volume"],
    ["low", "high", "open", "close", "volume"],
    ["open", "high", "low", "close"],
]


def stamps(frame: pd.DataFrame, how: str) -> list[str]:
    micros = frame.index.as_unit("us").asi8
    return [str(m // EPOCHS[how]) for m in micros] if how in EPOCHS else list(frame.index.strftime(how))


@settings(max_examples=60, deadline=None)
@given(
    how=st.sampled_from([*EPOCHS, *FORMATS]),
    names=st.sampled_from([*NAMES, None]),
    order=st.sampled_from(ORDERS),
    delimiter=st.sampled_from([",", ";", "\t"]),
    descending=st.booleans(),
    line_end=st.sampled_from(["\n", "\r\n"]),
    packing=st.sampled_from(["plain", "gzip", "zip"]),
    preamble=st.sampled_from(["", "# exported\n", "https://example.org/data\n"]),
    rows=st.integers(21, 80),
    seed=st.integers(0, 1000),
)
def test_any_way_of_writing_candles_reads_back_the_same(
    tmp_path_factory, how, names, order, delimiter, descending, line_end, packing, preamble, rows, seed
):
    frame = candles(rows, seed=seed)
    written = frame[::-1] if descending else frame
    text = lines(written, stamps(written, how), order, delimiter)
    if names is not None:
        by_role = dict(zip(["open", "high", "low", "close", "volume"], NAMES[names][1:], strict=True))
        text = delimiter.join([NAMES[names][0], *(by_role[role] for role in order)]) + "\n" + text
    content = (preamble + text).replace("\n", line_end).encode()
    if packing == "gzip":
        content = gzip.compress(content)
    elif packing == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("candles.csv", content)
        content = packed.getvalue()
    path = tmp_path_factory.mktemp("round") / "data"
    path.write_bytes(content)

    imported = read_market_file(path)

    expected = frame if "volume" in order else frame.assign(volume=np.nan)
    assert (imported.kind, imported.timeframe) == ("candles", "1h")
    pd.testing.assert_frame_equal(imported.frame, expected, check_freq=False)


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(40)), repeated=st.lists(st.integers(0, 39), max_size=5))
def test_order_and_exact_repetition_never_change_the_frame(tmp_path_factory, order, repeated):
    frame = candles(40)
    written = frame.iloc[[*order, *repeated]]
    path = tmp_path_factory.mktemp("order") / "c.csv"
    text = lines(written, stamps(written, "ms"), ["open", "high", "low", "close", "volume"])
    path.write_text("time,open,high,low,close,volume\n" + text)
    imported = read_market_file(path)
    pd.testing.assert_frame_equal(imported.frame, frame, check_freq=False)
    assert any(note.startswith(f"Dropped {len(repeated)} exact") for note in imported.notes) == bool(repeated)


@settings(max_examples=150, deadline=None)
@given(content=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_no_bytes_do_more_than_be_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("noise") / "x"
    path.write_bytes(content)
    with pytest.raises(ImportRefused):
        read_market_file(path)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_damaged_files_are_read_or_refused_and_nothing_else(tmp_path_factory, data):
    frame = candles(30)
    folder = tmp_path_factory.mktemp("damaged")
    kind = data.draw(st.sampled_from(["csv", "parquet", "feather", "json", "gz", "zip"]))
    text = "time,open,high,low,close,volume\n" + lines(
        frame, stamps(frame, "ms"), ["open", "high", "low", "close", "volume"]
    )
    path = folder / "data"
    if kind == "parquet":
        frame.to_parquet(path)
    elif kind == "feather":
        frame.reset_index().to_feather(path)
    elif kind == "json":
        path.write_text(json.dumps([[1.7e12 + i, 1, 2, 1, 2, 3] for i in range(20)]))
    elif kind == "gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.csv", text)
    else:
        path.write_text(text)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        imported = read_market_file(path)
    except ImportRefused:
        return
    assert imported.frame.index.is_unique


def test_parquet_is_read_with_a_time_column_and_with_an_index(tmp_path):
    frame = candles(50)
    frame.to_parquet(tmp_path / "index.parquet")
    frame.rename_axis(None).to_parquet(tmp_path / "nameless.parquet")
    frame.reset_index().rename(columns={"open_time": "Time"}).to_parquet(tmp_path / "column.parquet")
    frame.tz_localize(None).reset_index(names="date").to_parquet(tmp_path / "naive.parquet")
    words = frame.tz_localize(None).reset_index(names="time").assign(symbol="ABC").astype(str)
    words.astype("category").to_parquet(tmp_path / "categories.parquet")
    frame.tz_convert("Asia/Tokyo").reset_index(names="date").to_feather(tmp_path / "tokyo.feather")
    for path in sorted(tmp_path.iterdir()):
        pd.testing.assert_frame_equal(read_market_file(path).frame, frame, check_freq=False)


def test_json_of_lists_of_objects_and_inside_an_answer(tmp_path):
    frame = candles(50)
    rows = [[int(t.timestamp() * 1000), *values] for t, *values in frame.itertuples()]
    objects = [dict(zip(["t", "o", "h", "l", "c", "v"], map(str, row), strict=True)) for row in rows]
    answer = {"retCode": 0, "result": {"symbol": "BTCUSDT", "list": [list(map(str, row)) for row in rows]}}
    for number, document in enumerate((rows, objects, answer)):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(document))
        pd.testing.assert_frame_equal(read_market_file(path).frame, frame, check_freq=False)


@settings(max_examples=200, deadline=None)
@given(
    digits=st.lists(st.integers(1, 10**15 - 1), min_size=4, max_size=30),
    scale=st.integers(-7, 12),
    off=st.lists(st.sampled_from([-1, 0, 0, 0, 0, 1]), min_size=30, max_size=30),
)
def test_numbers_one_bit_beside_a_decimal_become_it_and_decimals_stay(digits, scale, off):
    decimals = np.array([float(f"{digit}e{scale}") for digit in digits])
    is_off = np.array(off[: len(digits)])
    noisy = np.where(is_off == 0, decimals, np.nextafter(decimals, np.where(is_off > 0, np.inf, -np.inf)))
    read = noisy.copy()
    rows = to_nearest_decimals(read)
    if np.count_nonzero(is_off) <= len(digits) / 2:
        assert read.tolist() == decimals.tolist()
        assert rows.tolist() == np.flatnonzero(is_off).tolist()


def test_computed_numbers_are_left_as_they_are():
    values = np.random.default_rng(0).normal(0, 1, 10_000)
    read = values.copy()
    assert len(to_nearest_decimals(read)) == 0
    assert read.tolist() == values.tolist()
