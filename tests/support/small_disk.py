"""A disk that is soon full: a file system of a few megabytes in memory.

with small_disk(24 * 2**20) as disk:      # needs root; skips the test without
    disk.fill(1 * 2**20)                  # leaves so much
    disk.free()
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk:
    """A mounted disk. `folder` is its root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    @property
    def free_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, left_bytes: int) -> None:
        """Take all space but `left_bytes`."""
        with self._ballast.open("ab") as ballast:
            os.posix_fallocate(ballast.fileno(), ballast.tell(), max(1, self.free_bytes - left_bytes))

    def free(self) -> None:
        """Give back what `fill` took."""
        self._ballast.unlink()


@contextmanager
def small_disk(size_bytes: int) -> Iterator[Disk]:
    """Mount a disk of this size; everybody may look into its folder."""
    folder = Path(tempfile.mkdtemp(prefix="marketml-disk-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        if not shutil.which("mount") or os.geteuid() != 0:
            pytest.skip("A small disk needs mount, and root.")
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=755", "tmpfs", folder]
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
        if mounted.returncode:
            pytest.skip(f"A small disk cannot be mounted here: {mounted.stderr.strip()}")
        try:
            yield Disk(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True, capture_output=True)
    finally:
        shutil.rmtree(folder)
