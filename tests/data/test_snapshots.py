"""Snapshots: frozen rows under the name of their bytes, readable for ever or known to be damaged."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.data.v1 import data_pb2 as pb
from marketml.rpc import frames
from marketml.rpc.refusals import DataLoss, FailedPrecondition, NotFound
from services.data.alignment import FRAME_SCHEMA, aligned, newest_known
from services.data.blocks import batch_of
from services.data.revisions import Rows
from services.data.series import CANDLES
from services.data.snapshot_draft import BATCH_ROWS
from services.data.snapshot_files import SnapshotFiles
from tests.data.market import HOUR, KEY, START, SYMBOL, TIMEFRAME, VENUE, candles, data_room, funding, same
from tests.support.waiting import eventually

SERIES = (VENUE, SYMBOL, TIMEFRAME)
LONG_AGO = pd.Timestamp("2018-01-01", tz="UTC")


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "files" / "snapshots").iterdir())


def test_a_snapshot_is_the_frame_as_it_was_and_stays_so(each_room, tmp_path):
    each_room.client.ingest_candles(candles(20_000, LONG_AGO), *SERIES)
    each_room.client.ingest_funding_rates(funding(50, LONG_AGO), VENUE, SYMBOL)
    frame = each_room.client.query_frame(*SERIES)
    snapshot = each_room.client.create_snapshot(*SERIES)
    assert snapshot.row_count == 20_000
    assert snapshot.first_time.ToNanoseconds() == frame.index[0].value
    assert snapshot.last_time.ToNanoseconds() == frame.index[-1].value
    assert snapshot.frame.open_interest_max_age.seconds == 2 * 3600
    assert not snapshot.frame.HasField("funding_max_age")  # read from the data
    assert snapshot.frame.HasField("as_of_time")

    each_room.client.ingest_candles(candles(20_000, LONG_AGO, seed=9), *SERIES)
    back = each_room.client.read_snapshot(snapshot.snapshot_id)
    same(back, frame)
    assert back.attrs["digest"] == snapshot.snapshot_id
    assert back.attrs["symbol"] == SYMBOL

    [path] = files(tmp_path)
    raw = path.read_bytes()
    assert hashlib.sha256(raw).hexdigest() == snapshot.snapshot_id == path.stem
    assert len(raw) == snapshot.size_bytes
    assert each_room.client.get_snapshot(snapshot.snapshot_id) == snapshot


def test_the_same_rows_give_the_same_snapshot(room, tmp_path):
    room.client.ingest_candles(candles(10), *SERIES)
    first = room.client.create_snapshot(*SERIES)
    again = room.client.create_snapshot(*SERIES, start=START, end=START + 10 * HOUR)
    assert again == first
    part = room.client.create_snapshot(*SERIES, start=START, end=START + 9 * HOUR)
    assert part.snapshot_id != first.snapshot_id
    assert room.client.list_snapshots() == [part, first]
    assert len(files(tmp_path)) == 2


@given(
    count=st.integers(0, 2 * BATCH_ROWS + 50),
    edges=st.lists(st.integers(0, 2 * BATCH_ROWS + 50), max_size=6),
    missing=st.integers(1, 9),
)
@settings(max_examples=25)
def test_the_digest_depends_on_the_rows_and_not_on_how_they_were_cut(tmp_path_factory, count, edges, missing):
    folder = tmp_path_factory.mktemp("snapshots")
    times = np.arange(count, dtype=np.int64) * 60_000_000
    rows = Rows(times, (np.arange(count) + 0.5,) * 8, times)
    rates = Rows(times[::missing], (np.ones(len(times[::missing])),), times[::missing])
    store = SnapshotFiles(folder)

    def digest(cuts: list[int]) -> str:
        draft = store.draft(FRAME_SCHEMA)
        for first, last in zip([0, *cuts], [*cuts, count], strict=True):
            part = rows.take(slice(first, last))
            closes = part.times + 60_000_000
            known = newest_known(closes, rates, 120_000_000)
            other = newest_known(closes, rates.take(slice(0, missing)), 90_000_000)
            batch = aligned(batch_of(CANDLES, part), known, other, 0)
            draft.write(pa.Table.from_batches([batch]))
        written = draft.finish()
        draft.publish()
        draft.discard()
        return written.snapshot_id

    cuts = sorted(edge for edge in edges if edge <= count)
    assert digest(cuts) == digest([])
    assert len(list(folder.iterdir())) == 1


def test_an_empty_frame_has_a_snapshot_too(room):
    room.client.ingest_candles(candles(3), *SERIES)
    snapshot = room.client.create_snapshot(*SERIES, start=START + 99 * HOUR)
    assert snapshot.row_count == 0
    assert not snapshot.HasField("first_time")
    back = room.client.read_snapshot(snapshot.snapshot_id)
    assert len(back) == 0
    assert "funding_rate_missing" in back.columns


def test_a_repeated_request_has_the_first_answer_even_when_its_source_is_gone(room):
    room.client.ingest_candles(candles(5), *SERIES)
    first = room.client.create_snapshot(*SERIES, request_id="job-1")
    room.client.ingest_candles(candles(5, seed=4), *SERIES)
    assert room.client.create_snapshot(*SERIES, request_id="job-1") == first
    assert room.client.create_snapshot(*SERIES, request_id="job-2") != first
    room.client.delete_series("candles", *SERIES, force=True)
    assert room.client.create_snapshot(*SERIES, request_id="job-1") == first
    assert len(room.client.read_snapshot(first.snapshot_id)) == 5


@pytest.mark.parametrize("damage", ["bit", "cut", "grown", "gone", "empty"])
def test_a_damaged_file_is_data_loss_and_making_the_snapshot_again_repairs_it(room, tmp_path, damage):
    room.client.ingest_candles(candles(9_000, LONG_AGO), *SERIES)
    snapshot = room.client.create_snapshot(*SERIES)
    [path] = files(tmp_path)
    raw = path.read_bytes()
    middle = len(raw) // 2
    damaged = {
        "bit": raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :],
        "cut": raw[:-1],
        "grown": raw + b"\0",
        "empty": b"",
    }
    path.unlink() if damage == "gone" else path.write_bytes(damaged[damage])
    with pytest.raises(DataLoss, match=snapshot.snapshot_id) as refused:
        room.client.read_snapshot(snapshot.snapshot_id)
    assert str(tmp_path) not in refused.value.message
    assert room.client.get_snapshot(snapshot.snapshot_id) == snapshot
    room.client.create_snapshot(*SERIES)
    assert len(room.client.read_snapshot(snapshot.snapshot_id)) == 9_000


def test_deleting_frees_the_file_and_the_series(room, tmp_path):
    room.client.ingest_candles(candles(5), *SERIES)
    snapshot = room.client.create_snapshot(*SERIES)
    with pytest.raises(FailedPrecondition):
        room.client.delete_series("candles", *SERIES)
    assert room.client.delete_snapshot(snapshot.snapshot_id, request_id="x") == snapshot.size_bytes
    assert room.client.delete_snapshot(snapshot.snapshot_id, request_id="x") == snapshot.size_bytes
    assert files(tmp_path) == []
    with pytest.raises(NotFound):
        room.client.read_snapshot(snapshot.snapshot_id)
    assert room.client.delete_series("candles", *SERIES, dry_run=True) == 5
    assert room.client.delete_series("candles", *SERIES) == 5
    assert room.client.list_series() == []


def test_pages_of_snapshots_hold_each_once(room):
    room.client.ingest_candles(candles(8), *SERIES)
    made = [room.client.create_snapshot(*SERIES, start=START + hour * HOUR) for hour in range(7)]
    assert room.client.list_snapshots(page_size=3) == made[::-1]
    page = room.stub.ListSnapshots(pb.ListSnapshotsRequest(page_size=7))
    assert page.next_page_token == ""


def test_what_a_killed_process_left_is_removed_when_it_is_old_and_nothing_else(tmp_path):
    url = f"sqlite:///{tmp_path}/d.sqlite"
    with data_room(url, tmp_path) as room:
        room.client.ingest_candles(candles(5), *SERIES)
        snapshot = room.client.create_snapshot(*SERIES)
    folder = tmp_path / "files" / "snapshots"
    for name, age_seconds in [
        ("a.draft", 9_000),
        ("b.draft", 0),
        ("c" * 64 + ".arrow", 9_000),
        ("x.txt", 9_000),
    ]:
        (folder / name).write_bytes(b"left")
        moment = (folder / name).stat().st_mtime - age_seconds
        os.utime(folder / name, (moment, moment))
    os.utime(folder / f"{snapshot.snapshot_id}.arrow", (0, 0))
    with data_room(url, tmp_path) as room:
        room.served.room.services[0][1]
        assert len(room.client.read_snapshot(snapshot.snapshot_id)) == 5
        expected = sorted(["b.draft", "x.txt", f"{snapshot.snapshot_id}.arrow"])
        eventually(lambda: sorted(path.name for path in folder.iterdir()) == expected)


def test_a_chunk_of_a_snapshot_is_at_most_one_mebibyte(room):
    room.client.ingest_candles(candles(30_000, LONG_AGO), *SERIES)
    snapshot = room.client.create_snapshot(*SERIES)
    request = pb.ReadSnapshotRequest(snapshot_id=snapshot.snapshot_id)
    chunks = [response.chunk for response in room.stub.ReadSnapshot(request)]
    assert len(chunks) == -(-30_000 // BATCH_ROWS)
    assert max(len(chunk.arrow_ipc) for chunk in chunks) <= frames.CHUNK_BYTES_MAX
    frame = pb.FrameSpec(series=KEY)
    chunks = [response.chunk for response in room.stub.QueryFrame(pb.QueryFrameRequest(frame=frame))]
    assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
