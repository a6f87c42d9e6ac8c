"""What a chunk's arrays lay in is there for those of the next."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import resource, threading
import numpy as np
from services.features.memory import keep_between_chunks

keep_between_chunks()

def chunk():
    arrays = [np.zeros(2**17) + 1.0 for _ in range(64)]  # 64 MiB, as pages of 4 KiB 16,384

def chunks():
    chunk()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    chunk()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=chunks)
thread.start()
thread.join()
"""


def test_a_thread_takes_a_chunks_memory_from_the_system_once() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1_000
