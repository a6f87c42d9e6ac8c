"""Frames on the wire: what goes in comes out, and what was damaged on the way is refused, never believed."""

from __future__ import annotations

import contextlib
import struct
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.data.v1 import data_pb2
from marketml.market.v1 import market_pb2
from marketml.rpc import frames
from marketml.rpc.refusals import DataLoss, InvalidArgument, Reason, ResourceExhausted


def table_of(rows: int, columns: int = 8, **metadata: str) -> pa.Table:
    times = pa.array(np.arange(rows, dtype="int64") * 3_600_000_000).cast(frames.TIME_TYPE)
    values = np.random.default_rng(rows).standard_normal((columns, rows))
    named = {"open_time": times} | {f"value_{number}": pa.array(row) for number, row in enumerate(values)}
    return pa.table(named).replace_schema_metadata(metadata or None)


def ipc_of(table: pa.Table, **options: object) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def touched(table: pa.Table) -> None:
    """Read every value."""
    for column in table.columns:
        column.to_numpy()


def test_a_table_comes_back_equal_in_chunks_of_at_most_one_mebibyte():
    table = table_of(60_000, symbol="BTC/USDT:USDT", timeframe="1h")
    chunks = list(frames.cut(table))
    assert len(chunks) > 3
    assert max(len(chunk) for chunk in chunks) <= frames.CHUNK_BYTES_MAX
    messages = [frames.pack_chunk(chunk, number) for number, chunk in enumerate(chunks)]
    back = frames.read_chunks(messages)
    assert back.equals(table)
    assert back.schema.metadata == {b"symbol": b"BTC/USDT:USDT", b"timeframe": b"1h"}


@given(
    rows=st.integers(0, 5_000),
    columns=st.integers(1, 12),
    bytes_max=st.integers(8_000, 60_000),
    pieces=st.integers(1, 6),
)
@settings(max_examples=40, deadline=None)
def test_any_cut_of_any_table_joins_to_the_same_table(rows, columns, bytes_max, pieces):
    table = table_of(rows, columns)
    edges = np.linspace(0, rows, pieces + 1).astype(int)
    table = pa.concat_tables([table.slice(a, b - a) for a, b in pairwise(edges)])
    chunks = list(frames.cut(table, bytes_max))
    assert all(len(chunk) <= bytes_max for chunk in chunks)
    assert frames.read_chunks(frames.pack_chunk(c, n) for n, c in enumerate(chunks)).equals(table)


def test_an_empty_frame_still_says_its_columns():
    empty = table_of(0)
    [message] = frames.pack_table(empty)
    assert frames.read_chunks([message]).schema.equals(empty.schema)


def test_text_that_grows_after_the_first_rows_still_fits_its_chunks():
    table = table_of(2_000, 1).append_column(
        "note", pa.array(["" if n < 1_900 else "x" * 900 for n in range(2_000)])
    )
    chunks = list(frames.cut(table, 20_000))
    assert max(map(len, chunks)) <= 20_000
    assert frames.read_chunks(frames.pack_chunk(c, n) for n, c in enumerate(chunks)).equals(table)


def test_a_row_that_fits_no_chunk_is_refused():
    with pytest.raises(ResourceExhausted, match="8001 columns does not fit"):
        list(frames.cut(table_of(1, 8_000), 100_000))


@pytest.mark.parametrize("sequence", [0, 1, 127, 128, 70_000, 2**40])
def test_a_packed_chunk_is_the_response_that_protobuf_writes(sequence):
    ipc = next(frames.cut(table_of(7)))
    message = frames.pack_chunk(ipc, sequence)
    response = data_pb2.QueryCandlesResponse.FromString(message)
    assert response == data_pb2.QueryCandlesResponse(
        chunk=market_pb2.FrameChunk(arrow_ipc=ipc, sequence=sequence)
    )
    for written in (message, response.SerializeToString()):
        found, number = frames.unpack_chunk(written)
        assert (found.to_pybytes(), number) == (ipc, sequence)


def test_a_chunk_in_another_field_is_none_and_in_its_own_field_is_found():
    message = frames.pack_chunk(b"abcd", 3, field_number=5)
    assert frames.unpack_chunk(message, field_number=1) is None
    assert frames.unpack_chunk(message, field_number=5)[1] == 3
    with pytest.raises(ValueError, match="1 to 15"):
        frames.pack_chunk(b"abcd", 3, field_number=16)


def test_fields_of_a_newer_contract_are_passed_over():
    chunk = market_pb2.FrameChunk(arrow_ipc=b"abc", sequence=9).SerializeToString() + bytes.fromhex(
        "18052201aa29" + "00" * 8 + "35" + "00" * 4
    )
    message = bytes((0x0A, len(chunk))) + chunk + bytes.fromhex("1001")
    ipc, sequence = frames.unpack_chunk(message)
    assert (ipc.to_pybytes(), sequence) == (b"abc", 9)


def test_the_arrow_bytes_of_a_packed_chunk_are_aligned_and_not_copied():
    message = next(frames.pack_table(table_of(1_000)))
    ipc, _ = frames.unpack_chunk(message)
    assert ipc.address % 8 == 0
    assert ipc.address == pa.py_buffer(message).address + 8
    column = frames.read_ipc(ipc).column("value_0").chunk(0)
    assert ipc.address < column.buffers()[1].address < ipc.address + ipc.size


@pytest.mark.parametrize("order", [[1], [0, 2], [0, 0], [1, 0], [0, 1, 1]])
def test_a_gap_or_a_repeat_in_the_sequence_is_data_loss(order):
    ipc = next(frames.cut(table_of(3)))
    with pytest.raises(DataLoss, match="is missing"):
        frames.read_chunks(frames.pack_chunk(ipc, number) for number in order)


def test_a_stream_without_chunks_or_with_other_columns_later_is_data_loss():
    with pytest.raises(DataLoss, match="first chunk"):
        frames.read_chunks([])
    pieces = [next(frames.cut(table_of(3, columns))) for columns in (2, 3)]
    with pytest.raises(DataLoss, match="other columns"):
        frames.read_chunks(frames.pack_chunk(piece, number) for number, piece in enumerate(pieces))
    with pytest.raises(DataLoss, match="no frame chunk"):
        frames.read_chunks([frames.pack_chunk(pieces[0], 0, field_number=2)])


def test_limits_hold_over_all_chunks_together():
    messages = list(frames.pack_table(table_of(60_000)))
    size = sum(frames.unpack_chunk(message)[0].size for message in messages)
    assert frames.read_chunks(messages, frames.Limits(60_000, 9, size)).num_rows == 60_000
    for limits, subject in [
        (frames.Limits(59_999, 9, size), "frame_rows"),
        (frames.Limits(60_000, 8, size), "frame_columns"),
        (frames.Limits(60_000, 9, size - 1), "frame_bytes"),
    ]:
        with pytest.raises(ResourceExhausted) as refused:
            frames.read_chunks(messages, limits)
        assert refused.value.subject == subject


def test_rows_that_take_no_bytes_are_counted_before_they_are_made():
    batch = bytearray(ipc_of(pa.table({"open_time": pa.array([1, 2], frames.TIME_TYPE)})))
    # The row count of the batch and its one column, written twice as little-endian 64-bit numbers.
    for _ in range(2):
        at = batch.rindex(struct.pack("<q", 2))
        batch[at : at + 8] = struct.pack("<q", 2**60)
    with pytest.raises((ResourceExhausted, InvalidArgument)):
        frames.read_ipc(bytes(batch))


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_batches_are_refused_before_anything_is_inflated(compression):
    bomb = ipc_of(pa.table({"zeros": pa.array(np.zeros(1_000_000))}), compression=compression)
    with pytest.raises(InvalidArgument, match="compressed") as refused:
        frames.read_ipc(bomb, "arrow_ipc")
    assert refused.value.reason is Reason.UNDECODABLE
    assert refused.value.violations[0].field == "arrow_ipc"


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", "b"]).dictionary_encode(),
        pa.array([[1], [2]]),
        pa.array([{"a": 1}, {"a": 2}]),
        pa.array([b"a", b"b"]),
        pa.nulls(2),
    ],
    ids=["dictionary", "list", "struct", "binary", "null"],
)
def test_columns_that_are_not_flat_are_refused(column):
    with pytest.raises(InvalidArgument):
        frames.read_ipc(ipc_of(pa.table({"column": column})))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00",
        b"\xff" * 64,
        b"\xff\xff\xff\xff\x00\x00\x00\x00",
        b"PAR1" * 40,
        b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    ],
)
def test_bytes_that_are_no_arrow_stream_are_refused(raw):
    with pytest.raises(InvalidArgument):
        frames.read_ipc(raw)


def test_what_follows_the_end_of_the_stream_is_refused():
    with pytest.raises(InvalidArgument, match="follows its end"):
        frames.read_ipc(ipc_of(table_of(3)) + b"\x00")


_good = ipc_of(
    table_of(5, 2, symbol="BTC/USDT")
    .append_column("flag", pa.array([True, None, False, True, None]))
    .append_column("note", pa.array(["a", None, "ccc", "", "é"]))
)


@given(
    edits=st.lists(st.tuples(st.integers(0, len(_good) - 1), st.integers(0, 255)), min_size=1, max_size=8),
    end=st.integers(0, len(_good)) | st.just(len(_good)),
)
@settings(max_examples=1_500, deadline=None)
def test_a_mutated_stream_is_read_whole_or_refused_and_never_crashes(edits, end):
    raw = bytearray(_good)
    for position, value in edits:
        raw[position] = value
    with contextlib.suppress(InvalidArgument, ResourceExhausted):
        touched(frames.read_ipc(bytes(raw[:end])))


_number = st.sampled_from([-1, 0, 1, 7, 8, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, -(2**63)])


@given(position=st.integers(0, len(_good) // 8 - 1), number=_number)
@settings(max_examples=800, deadline=None)
def test_lengths_and_offsets_that_lie_are_refused(position, number):
    raw = bytearray(_good)
    raw[position * 8 : position * 8 + 8] = struct.pack("<q", number)
    with contextlib.suppress(InvalidArgument, ResourceExhausted):
        touched(frames.read_ipc(bytes(raw)))


@given(raw=st.binary(max_size=200), edit=st.integers(0, 40), value=st.integers(0, 255))
@settings(max_examples=500, deadline=None)
def test_a_mutated_response_is_data_loss_or_read(raw, edit, value):
    message = bytearray(frames.pack_chunk(raw, 5))
    message[edit % len(message)] = value
    with contextlib.suppress(DataLoss):
        frames.unpack_chunk(bytes(message))
    with contextlib.suppress(DataLoss, ResourceExhausted):
        touched(frames.read_chunks([bytes(message)]))


def candles(rows: int = 4, **changes) -> pd.DataFrame:
    index = pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC", name="open_time")
    return pd.DataFrame({"open": np.arange(rows) + 1.0, "close": [np.nan] * rows} | changes, index=index)


def test_a_frame_comes_back_equal_with_its_metadata_as_attributes():
    frame = candles(funding_rate_missing=[True, False, True, False])
    frame["funding_time"] = pd.array([frame.index[0], pd.NaT, frame.index[2], pd.NaT])
    table = frames.to_table(frame, metadata={"symbol": "BTC/USDT"})
    back = frames.to_frame(frames.read_chunks(frames.pack_table(table)))
    assert back.attrs == {"symbol": "BTC/USDT"}
    assert back["funding_rate_missing"].dtype == bool
    assert str(back["funding_time"].dt.tz) == "UTC"
    assert back.index.dtype == "datetime64[us, UTC]"
    pd.testing.assert_frame_equal(back, frame, check_dtype=False, check_freq=False, check_index_type=False)


def test_a_frame_of_numbers_is_one_block_of_float64_and_may_be_written_to():
    back = frames.to_frame(frames.to_table(candles(100)))
    assert set(back.dtypes) == {np.dtype("float64")}
    back.loc[back.index[3], "open"] = 7.0
    assert back["open"].iloc[3] == 7.0


def test_integers_and_small_floats_become_float64_and_another_zone_becomes_utc():
    frame = candles(
        count=np.arange(4), small=np.arange(4, dtype="float32"), maybe=pd.array([1, None, 3, 4], "Int64")
    )
    frame.index = frame.index.tz_convert("Asia/Tokyo")
    table = frames.to_table(frame)
    assert {str(kind) for kind in table.schema.types} == {"timestamp[us, tz=UTC]", "double"}
    assert table.column("open_time")[0].as_py() == pd.Timestamp("2024-01-01", tz="UTC")
    assert np.isnan(table.column("maybe").to_numpy()[1])


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        (candles().reset_index(), "frame.index"),
        (candles().tz_localize(None), "frame.index"),
        (candles().rename_axis("when"), "frame.index"),
        (candles()[::-1], "frame.index"),
        (pd.concat([candles(), candles()]), "frame.index"),
        (candles(high=[1j] * 4), "frame.high"),
        (candles(high=[object()] * 4), "frame.high"),
        (candles(high=pd.date_range("2024", periods=4)), "frame.high"),
        (candles().rename(columns={"close": "open"}), "frame.columns[1]"),
        (candles().rename(columns={"close": 7}), "frame.columns[1]"),
        (candles().set_index(candles().index + pd.Timedelta(1, "ns")), "frame.index"),
    ],
)
def test_a_frame_that_breaks_the_convention_is_refused_by_field(frame, field):
    frame.index.name = frame.index.name or "open_time"
    with pytest.raises(InvalidArgument) as refused:
        frames.to_table(frame)
    assert [violation.field for violation in refused.value.violations] == [field]


def test_a_table_whose_time_does_not_increase_is_data_loss():
    for table in [
        table_of(3).take([0, 2, 1]),
        table_of(3).take([0, 0, 1]),
        table_of(3).rename_columns([f"c{n}" for n in range(9)]),
        table_of(3).set_column(0, "open_time", pa.array([1, None, 2], frames.TIME_TYPE)),
    ]:
        with pytest.raises(DataLoss):
            frames.to_frame(table)
