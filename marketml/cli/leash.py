"""Starts a program that ends with its parent: `python leash.py PARENT PROGRAM ARGUMENT…`.

A file of its own, run before the program and replaced by it, because code between fork and exec is not safe
in a process that has threads. The kernel watches the thread that started this process.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for SIGTERM at the parent's death, then become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(1)
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
