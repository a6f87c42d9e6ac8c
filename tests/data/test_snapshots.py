"""Snapshots: frozen rows under the name of their bytes, readable for ever or known to be damaged."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import mmap
import os
import resource
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.data.v1 import data_pb2 as pb
from marketml.rpc import frames
from marketml.rpc.refusals import DataLoss, FailedPrecondition, NotFound, Reason, ResourceExhausted
from services.data.blocks import batch_of
from services.data.query.alignment import FRAME_SCHEMA, aligned, newest_known
from services.data.revisions import Rows
from services.data.series import CANDLES
from services.data.snapshots.draft import BATCH_ROWS, Draft, Written
from services.data.snapshots.files import SnapshotFiles
from services.data.snapshots.seals import Piece, read_seal, state_of, written_seal
from tests.data.market import HOUR, KEY, START, SYMBOL, TIMEFRAME, VENUE, candles, data_room, funding, same
from tests.support.waiting import eventually

SERIES = (VENUE, SYMBOL, TIMEFRAME)
LONG_AGO = pd.Timestamp("2018-01-01", tz="UTC")


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "files" / "snapshots").iterdir())


def test_a_snapshot_is_the_frame_as_it_was_and_stays_so(room, tmp_path):
    room.client.ingest_candles(candles(20_000, LONG_AGO), *SERIES)
    room.client.ingest_funding_rates(funding(50, LONG_AGO), VENUE, SYMBOL)
    frame = room.client.query_frame(*SERIES)
    snapshot = room.client.create_snapshot(*SERIES)
    assert snapshot.row_count == 20_000
    assert snapshot.first_time.ToNanoseconds() == frame.index[0].value
    assert snapshot.last_time.ToNanoseconds() == frame.index[-1].value
    assert snapshot.frame.open_interest_max_age.seconds == 2 * 3600
    assert not snapshot.frame.HasField("funding_max_age")  # read from the data
    assert snapshot.frame.HasField("as_of_time")

    room.client.ingest_candles(candles(20_000, LONG_AGO, seed=9), *SERIES)
    back = room.client.read_snapshot(snapshot.snapshot_id)
    same(back, frame)
    assert back.attrs["digest"] == snapshot.snapshot_id
    assert back.attrs["symbol"] == SYMBOL

    [path] = files(tmp_path)
    raw = path.read_bytes()
    assert hashlib.sha256(raw).hexdigest() == snapshot.snapshot_id == path.stem
    assert len(raw) == snapshot.size_bytes
    assert room.client.get_snapshot(snapshot.snapshot_id) == snapshot


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


@pytest.mark.parametrize("was_read", [False, True])
@pytest.mark.parametrize(
    "damage", ["bit", "cut", "grown", "gone", "empty", "link", "pipe", "folder", "other"]
)
def test_a_damaged_file_is_data_loss_and_making_the_snapshot_again_repairs_it(
    room, tmp_path, damage, was_read
):
    room.client.ingest_candles(candles(9_000, LONG_AGO), *SERIES)
    snapshot = room.client.create_snapshot(*SERIES)
    [path] = files(tmp_path)
    if was_read:
        assert len(room.client.read_snapshot(snapshot.snapshot_id)) == 9_000
    raw = path.read_bytes()
    middle = len(raw) // 2
    damaged = {
        "bit": raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :],
        "cut": raw[:-1],
        "grown": raw + b"\0",
        "empty": b"",
        "other": bytes(len(raw)),
    }
    if damage in damaged:
        path.write_bytes(damaged[damage])
    else:
        path.rename(tmp_path / "moved")
    if damage == "link":
        path.symlink_to(tmp_path / "moved")
    elif damage == "pipe":
        os.mkfifo(path)
    elif damage == "folder":
        path.mkdir()
    with pytest.raises(DataLoss, match=snapshot.snapshot_id) as refused:
        room.client.read_snapshot(snapshot.snapshot_id)
    assert str(tmp_path) not in refused.value.message
    assert room.client.get_snapshot(snapshot.snapshot_id) == snapshot
    if damage == "folder":
        path.rmdir()
    room.client.create_snapshot(*SERIES)
    assert len(room.client.read_snapshot(snapshot.snapshot_id)) == 9_000


@pytest.fixture(scope="module")
def sealed(tmp_path_factory) -> tuple[Path, Written]:
    """A snapshot's file of three record batches."""
    folder = tmp_path_factory.mktemp("sealed")
    count = 2 * BATCH_ROWS + 50
    times = np.arange(count, dtype=np.int64) * 60_000_000
    rows = Rows(times, tuple(np.random.default_rng(0).random((8, count))), times)
    known = newest_known(times, rows.take(slice(0, 9)), 10**12)
    draft = SnapshotFiles(folder).draft(FRAME_SCHEMA)
    draft.write(pa.Table.from_batches([aligned(batch_of(CANDLES, rows), known, known, 0)]))
    written = draft.finish()
    draft.publish()
    return folder / f"{written.snapshot_id}.arrow", written


def read(store: SnapshotFiles, written: Written, state: str | None = None) -> list[bytes]:
    pieces = store.read(written.snapshot_id, written.size_bytes, written.seal, state)
    return [bytes(piece) for piece in pieces]


def forged(written: Written, raw: bytes) -> Written:
    """A snapshot with the seal of other bytes."""
    edges = np.cumsum([0, *(piece.size_bytes for piece in read_seal(written.seal))])
    pieces = [Piece.of(raw[start:end]) for start, end in itertools.pairwise(edges)]
    return dataclasses.replace(written, seal=written_seal(pieces))


@given(data=st.data(), bit=st.integers(0, 7))
@settings(max_examples=40)
def test_a_changed_bit_anywhere_is_data_loss_when_nothing_else_tells(sealed, data, bit):
    path, written = sealed
    store = SnapshotFiles(path.parent)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        edges = [0, 8, written.size_bytes - 1, written.size_bytes - 10, written.size_bytes - 600]
        position = data.draw(st.one_of(st.sampled_from(edges), st.integers(0, written.size_bytes - 1)))
        mapped[position] = mapped[position]  # the file's times change now, and not with what follows
        assert len(read(store, written)) == 4
        mapped[position] ^= 1 << bit
        for files_of in (store, SnapshotFiles(path.parent)):
            with pytest.raises(DataLoss, match=written.snapshot_id):
                read(files_of, written)
        mapped[position] ^= 1 << bit
        assert len(read(store, written)) == 4


def test_no_piece_is_given_that_is_not_what_was_written(sealed, tmp_path):
    path, written = sealed
    whole = read(SnapshotFiles(path.parent), written)
    raw = bytearray(path.read_bytes())
    raw[len(whole[0]) + len(whole[1]) + 4000] ^= 1
    (tmp_path / path.name).write_bytes(raw)
    pieces = SnapshotFiles(tmp_path).read(written.snapshot_id, written.size_bytes, written.seal)
    assert [bytes(next(pieces)), bytes(next(pieces))] == whole[:2]
    with pytest.raises(DataLoss):
        next(pieces)


@pytest.mark.parametrize("was_read", [False, True])
def test_a_file_that_is_cut_short_while_it_is_read_is_data_loss_and_nothing_worse(sealed, tmp_path, was_read):
    path, written = sealed
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    store = SnapshotFiles(tmp_path)
    if was_read:
        read(store, written)
    pieces = store.read(written.snapshot_id, written.size_bytes, written.seal)
    next(pieces)
    next(pieces)
    os.truncate(copy, 4096)
    with pytest.raises(DataLoss):
        next(pieces)


def test_a_file_deleted_or_made_again_while_it_is_read_is_read_to_its_end(sealed, tmp_path):
    path, written = sealed
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    store = SnapshotFiles(tmp_path)
    pieces = store.read(written.snapshot_id, written.size_bytes, written.seal)
    next(pieces)
    (tmp_path / "new").write_bytes(b"another")
    (tmp_path / "new").rename(copy)
    copy.unlink()
    assert len(list(pieces)) == 3


def test_a_seal_that_belongs_to_other_bytes_does_not_make_them_the_snapshot(sealed, tmp_path):
    path, written = sealed
    raw = bytearray(path.read_bytes())
    raw[5000] ^= 1
    (tmp_path / path.name).write_bytes(raw)
    with pytest.raises(DataLoss):
        read(SnapshotFiles(tmp_path), forged(written, bytes(raw)))
    for seal in (b"", written.seal[:-1], written.seal[24:], b"\xff" * 48):
        with pytest.raises(DataLoss):
            read(SnapshotFiles(path.parent), dataclasses.replace(written, seal=seal))


def copied(sealed: tuple[Path, Written], tmp_path: Path) -> Path:
    """A copy of the file that the test may damage."""
    copy = tmp_path / sealed[0].name
    copy.write_bytes(sealed[0].read_bytes())
    return copy


def rewritten(copy: Path, raw: bytes) -> None:
    """The same file with other bytes."""
    found = copy.stat()
    copy.write_bytes(raw)
    os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))


def replaced(copy: Path, raw: bytes) -> None:
    """Another file under its name."""
    found = copy.stat()
    copy.with_suffix(".new").write_bytes(raw)
    os.utime(copy.with_suffix(".new"), ns=(found.st_atime_ns, found.st_mtime_ns))
    copy.with_suffix(".new").rename(copy)


@pytest.mark.parametrize("change", [rewritten, replaced])
def test_a_forged_seal_is_found_when_the_file_was_touched_since_its_digest_was_right(
    sealed, tmp_path, change
):
    _, written = sealed
    copy = copied(sealed, tmp_path)
    store = SnapshotFiles(tmp_path)
    read(store, written)
    state = store.verified_state(written.snapshot_id)
    raw = bytearray(copy.read_bytes())
    raw[5000] ^= 1
    # With the time of its last writing as it was; the kernel's own time moves in steps.
    eventually(lambda: change(copy, bytes(raw)) or state_of(copy.stat()) != state)
    for files_of in (store, SnapshotFiles(tmp_path)):
        with pytest.raises(DataLoss):
            read(files_of, forged(written, bytes(raw)), state)


def test_the_digest_of_an_untouched_file_is_not_taken_again_by_another_process(sealed, tmp_path):
    _, written = sealed
    copy = copied(sealed, tmp_path)
    store = SnapshotFiles(tmp_path)
    assert store.verified_state(written.snapshot_id) is None
    whole = read(store, written)
    state = store.verified_state(written.snapshot_id)
    # A name that is not the digest tells whether the digest was looked at.
    misnamed = dataclasses.replace(written, snapshot_id="0" * 64)
    os.link(copy, tmp_path / f"{misnamed.snapshot_id}.arrow")
    eventually(lambda: os.utime(copy) or state_of(copy.stat()) != state)
    read(store, written)
    assert store.verified_state(written.snapshot_id) == state_of(copy.stat())
    state = store.verified_state(written.snapshot_id)
    assert read(SnapshotFiles(tmp_path), misnamed, state) == whole
    with pytest.raises(DataLoss):
        read(SnapshotFiles(tmp_path), misnamed)
    other = SnapshotFiles(tmp_path)
    with pytest.raises(DataLoss):
        read(other, misnamed, f"{state} ")
    assert other.verified_state(misnamed.snapshot_id) is None


def test_a_file_that_is_published_has_the_state_it_is_read_in_unless_somebody_touched_it(tmp_path):
    def draft_of_nothing() -> tuple[Draft, Written]:
        draft = SnapshotFiles(tmp_path).draft(FRAME_SCHEMA)
        return draft, draft.finish()

    draft, written = draft_of_nothing()
    state = draft.publish()
    store = SnapshotFiles(tmp_path)
    read(store, written)
    assert store.verified_state(written.snapshot_id) == state is not None
    draft, _ = draft_of_nothing()
    [path] = tmp_path.glob("*.draft")
    os.utime(path, (0, 0))
    assert draft.publish() is None


def test_the_next_process_knows_the_state_of_a_file_and_learns_the_one_of_a_copy(
    database_url, room, tmp_path
):
    def states(change: str = "") -> list[str | None]:
        return column(database_url, "verified_state", change)

    room.client.ingest_candles(candles(9_000, LONG_AGO), *SERIES)
    snapshot = room.client.create_snapshot(*SERIES)
    [path] = files(tmp_path)
    assert states() == [state_of(path.stat())]
    frame = room.client.read_snapshot(snapshot.snapshot_id)
    assert states() == [state_of(path.stat())]
    path.with_suffix(".copy").write_bytes(path.read_bytes())
    path.with_suffix(".copy").rename(path)
    same(room.client.read_snapshot(snapshot.snapshot_id), frame)
    assert states() == [state_of(path.stat())]
    # What a process has told it does not tell again: two of them with folders of their own would take turns.
    assert states("UPDATE snapshots SET verified_state = 'of another'") == ["of another"]
    same(room.client.read_snapshot(snapshot.snapshot_id), frame)
    assert states() == ["of another"]
    room.client.create_snapshot(*SERIES)
    assert states() == [state_of(path.stat())]


def test_the_seal_of_a_file_is_the_one_it_was_written_with(sealed):
    path, written = sealed
    assert SnapshotFiles(path.parent).seal(written.snapshot_id, written.size_bytes) == written.seal
    with pytest.raises(DataLoss):
        SnapshotFiles(path.parent).seal("0" * 64, written.size_bytes)


def test_a_program_maps_a_snapshot_into_memory_without_a_copy(sealed):
    path, _ = sealed
    before = pa.total_allocated_bytes()
    with pa.memory_map(str(path)) as mapped:
        table = pa.ipc.open_file(mapped).read_all()
        assert table.num_rows == 2 * BATCH_ROWS + 50
        assert pa.total_allocated_bytes() == before


def column(database_url: str, name: str, change: str = "") -> list[Any]:
    """A column of the snapshots, after a change of the database if one is given."""
    engine = sqlalchemy.create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        if change:
            connection.execute(sqlalchemy.text(change))
        found = connection.execute(sqlalchemy.text(f"SELECT {name} FROM snapshots")).scalars().all()
    engine.dispose()
    return list(found)


def test_a_snapshot_from_before_seals_is_verified_whole_and_gets_one(room, database_url, tmp_path):
    def seals(change: str = "") -> list[bytes | None]:
        return [None if seal is None else bytes(seal) for seal in column(database_url, "seal", change)]

    room.client.ingest_candles(candles(9_000, LONG_AGO), *SERIES)
    snapshot = room.client.create_snapshot(*SERIES)
    [seal] = seals()
    assert seal is not None
    frame = room.client.read_snapshot(snapshot.snapshot_id)
    assert seals("UPDATE snapshots SET seal = NULL, verified_state = NULL") == [None]
    [path] = files(tmp_path)
    raw = path.read_bytes()
    path.write_bytes(raw[:-1] + b"?")
    with pytest.raises(DataLoss, match=snapshot.snapshot_id):
        room.client.read_snapshot(snapshot.snapshot_id)
    assert seals() == [None]
    path.write_bytes(raw)
    same(room.client.read_snapshot(snapshot.snapshot_id), frame)
    assert seals() == [seal]


def test_a_full_disk_is_said_and_leaves_nothing_and_there_is_a_snapshot_once_there_is_room(room, tmp_path):
    room.client.ingest_candles(candles(9_000, LONG_AGO), *SERIES)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, before[1]))
        with pytest.raises(ResourceExhausted) as refused:
            room.client.create_snapshot(*SERIES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert refused.value.reason is Reason.DISK_FULL
    assert files(tmp_path) == []
    assert room.client.list_snapshots() == []
    made = room.client.create_snapshot(*SERIES)
    assert len(room.client.read_snapshot(made.snapshot_id)) == 9_000


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


def test_what_a_killed_process_left_is_removed_when_it_is_old_and_nothing_else(database_url, tmp_path):
    with data_room(database_url, tmp_path) as room:
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
    with data_room(database_url, tmp_path) as room:
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
