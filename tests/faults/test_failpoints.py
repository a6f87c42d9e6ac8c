"""The harness that kills at file operations sees all of them, and kills where it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.failpoints import Failpoints, Operation

PUBLISH = """
import os, sqlite3, sys
folder = sys.argv[1]
with open(f"{folder}/draft", "wb") as file:
    file.write(b"0123456789")
    file.flush()
    os.fsync(file.fileno())
os.rename(f"{folder}/draft", f"{folder}/final")
descriptor = os.open(folder, os.O_RDONLY)
os.fsync(descriptor)
os.close(descriptor)
connection = sqlite3.connect(f"{folder}/rows.sqlite", isolation_level=None)
connection.execute("PRAGMA journal_mode=WAL")
connection.execute("PRAGMA synchronous=FULL")
connection.execute("CREATE TABLE IF NOT EXISTS rows (name TEXT)")
connection.execute("INSERT INTO rows VALUES ('final')")
connection.close()
os.unlink(f"{folder}/final")
"""


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    folder = tmp_path / "watched"
    folder.mkdir()
    return folder


def publish(failpoints: Failpoints, folder: Path) -> int:
    """Run the script; its exit status, negative for a signal."""
    command = [sys.executable, "-S", "-c", PUBLISH, str(folder)]
    environment = dict(os.environ) | failpoints.environment
    return subprocess.run(command, env=environment, cwd=folder.parent, check=False).returncode


def test_every_operation_is_seen_in_order(tmp_path: Path, watched: Path) -> None:
    failpoints = Failpoints(tmp_path, watched)
    failpoints.arm()
    assert publish(failpoints, watched) == 0
    seen = failpoints.operations()
    assert seen[:5] == [
        Operation("open", watched / "draft"),
        Operation("write", watched / "draft"),
        Operation("fsync", watched / "draft"),
        Operation("rename", watched / "final"),
        Operation("fsync", watched),
    ]
    assert seen[-1] == Operation("unlink", watched / "final")
    in_log = [operation.kind for operation in seen if operation.path == watched / "rows.sqlite-wal"]
    assert {"open", "write", "fsync", "unlink"} <= set(in_log)


def test_nothing_is_counted_elsewhere_or_unarmed(tmp_path: Path, watched: Path) -> None:
    failpoints = Failpoints(tmp_path, watched)
    assert publish(failpoints, watched) == 0
    assert failpoints.operations() == []
    other = tmp_path / "other"
    other.mkdir()
    failpoints.arm(kill_at=1)
    assert publish(failpoints, other) == 0
    assert failpoints.operations() == []


@pytest.mark.parametrize(
    ("kill_at", "left"),
    [(1, {}), (2, {"draft": 0}), (3, {"draft": 10}), (4, {"draft": 10}), (5, {"final": 10})],
)
def test_the_process_dies_before_the_operation_it_is_told(
    tmp_path: Path, watched: Path, kill_at: int, left: dict[str, int]
) -> None:
    failpoints = Failpoints(tmp_path, watched)
    failpoints.arm(kill_at)
    assert publish(failpoints, watched) == -signal.SIGKILL
    assert {path.name: path.stat().st_size for path in watched.iterdir()} == left
    assert len(failpoints.operations()) == kill_at


def test_a_write_can_be_torn(tmp_path: Path, watched: Path) -> None:
    failpoints = Failpoints(tmp_path, watched)
    failpoints.arm(kill_at=2, half=True)
    assert publish(failpoints, watched) == -signal.SIGKILL
    assert (watched / "draft").read_bytes() == b"01234"


def test_after_the_disarming_nothing_is_killed(tmp_path: Path, watched: Path) -> None:
    failpoints = Failpoints(tmp_path, watched)
    failpoints.arm(kill_at=1)
    failpoints.disarm()
    assert publish(failpoints, watched) == 0
