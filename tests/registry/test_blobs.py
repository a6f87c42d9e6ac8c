"""Model files: the order in which they are published, what is found damaged, what is swept."""

from __future__ import annotations

import os
import resource
import signal
import threading

import pytest

from marketml.bundle import file_entry
from marketml.rpc.refusals import DataLoss, Reason, ResourceExhausted, Unavailable
from services.registry.blobs import Blobs

CONTENT = b"some bytes" * 1000
ENTRY = file_entry("manifest.json", CONTENT)


@pytest.fixture
def blobs(tmp_path) -> Blobs:
    return Blobs(tmp_path / "registry")


def published(blobs: Blobs, content: bytes = CONTENT):
    entry = file_entry("manifest.json", content)
    incoming = blobs.new_file(entry)
    incoming.write(content)
    incoming.seal()
    with blobs.publish([incoming]):
        pass
    incoming.close()
    return entry


def test_what_was_published_is_read_back(blobs, tmp_path):
    published(blobs)
    assert blobs.read(ENTRY) == CONTENT
    with blobs.open(ENTRY) as opened:
        assert opened.read() == CONTENT
    assert list((tmp_path / "registry" / "incoming").iterdir()) == []
    assert os.listdir(tmp_path / "registry" / "blobs") == [ENTRY.sha256]


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"x", bytes(len(CONTENT))])
def test_other_bytes_than_announced_are_never_published(blobs, tmp_path, content):
    incoming = blobs.new_file(ENTRY)
    incoming.write(content)
    with pytest.raises(DataLoss):
        incoming.seal()
    incoming.close()
    incoming.close()
    assert list((tmp_path / "registry" / "incoming").iterdir()) == []
    assert list((tmp_path / "registry" / "blobs").iterdir()) == []


def test_publishing_syncs_the_file_renames_it_and_syncs_the_folder_before_the_row(
    blobs, tmp_path, monkeypatch
):
    """The one test that watches the operating system: no observer can see a missing fsync otherwise."""
    seen = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(descriptor):
        seen.append(("fsync", os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))))
        real_fsync(descriptor)

    def rename(source, target, **more):
        seen.append(("rename", os.path.basename(target)))
        real_rename(source, target, **more)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    incoming = blobs.new_file(ENTRY)
    temporary = next((tmp_path / "registry" / "incoming").iterdir()).name
    incoming.write(CONTENT)
    incoming.seal()
    with blobs.publish([incoming]):
        seen.append(("row", ""))
    assert seen == [("fsync", temporary), ("rename", ENTRY.sha256), ("fsync", "blobs"), ("row", "")]


def test_a_damaged_file_is_found_and_publishing_it_again_heals_it(blobs, tmp_path):
    published(blobs)
    path = tmp_path / "registry" / "blobs" / ENTRY.sha256
    for damage in (b"", CONTENT[:-1], bytes(len(CONTENT))):
        path.write_bytes(damage)
        for look in (blobs.read, blobs.open):
            with pytest.raises(DataLoss):
                look(ENTRY)
    path.unlink()
    with pytest.raises(DataLoss):
        blobs.read(ENTRY)
    with pytest.raises(DataLoss):
        blobs.open(ENTRY)
    published(blobs)
    assert blobs.read(ENTRY) == CONTENT


def test_removing_waits_for_who_publishes_and_asks_again(blobs):
    """A row that is committed between the decision to remove and the removal saves its file."""
    rows: set[str] = set()
    incoming = blobs.new_file(ENTRY)
    incoming.write(CONTENT)
    incoming.seal()
    remover = threading.Thread(target=blobs.remove, args=([ENTRY.sha256], lambda _: set(rows)))
    with blobs.publish([incoming]):
        remover.start()
        remover.join(0.2)
        assert remover.is_alive(), "the removal waits for the row"
        rows.add(ENTRY.sha256)
    remover.join(20)
    assert blobs.read(ENTRY) == CONTENT
    rows.clear()
    blobs.remove([ENTRY.sha256], lambda _: set(rows))
    with pytest.raises(DataLoss):
        blobs.read(ENTRY)


def test_a_sweep_takes_old_leftovers_only(blobs, tmp_path):
    kept, old = published(blobs, b"kept"), published(blobs, b"old")
    fresh = published(blobs, b"fresh")
    folder = tmp_path / "registry"
    first, second = folder / "incoming" / "1", folder / "incoming" / "2"
    for left in (first, second):
        left.write_bytes(b"half")
    for path in (folder / "blobs" / kept.sha256, folder / "blobs" / old.sha256, first):
        os.utime(path, (1000, 1000))
    assert blobs.sweep(2000, lambda digests: set(digests) & {kept.sha256}) == 2
    assert {path.name for path in (folder / "blobs").iterdir()} == {kept.sha256, fresh.sha256}
    assert list((folder / "incoming").iterdir()) == [second]


def test_a_folder_that_is_gone_is_said_without_its_path(blobs, tmp_path):
    (tmp_path / "registry" / "incoming").rmdir()
    with pytest.raises(Unavailable) as refused:
        blobs.new_file(ENTRY)
    assert str(tmp_path) not in refused.value.message


def test_a_full_disk_is_said_and_leaves_nothing(blobs, tmp_path):
    incoming = blobs.new_file(ENTRY)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        with pytest.raises(ResourceExhausted) as refused:
            incoming.write(CONTENT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
        incoming.close()
    assert refused.value.reason is Reason.DISK_FULL
    assert list((tmp_path / "registry" / "incoming").iterdir()) == []


def test_a_folder_that_cannot_be_one_is_said_without_its_path(tmp_path):
    (tmp_path / "registry").write_text("a file")
    with pytest.raises(Unavailable) as refused:
        Blobs(tmp_path / "registry")
    assert str(tmp_path) not in refused.value.message
