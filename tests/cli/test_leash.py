"""A program on the leash ends with the process that started it, however that ends."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from marketml.cli import leash
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process of its parent's death"
)

PARENT = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-I", "-S", sys.argv[1], str(os.getpid()),
                          sys.executable, "-c", "import signal; signal.pause()"])
print(child.pid, flush=True)
sys.stdin.read()
"""


def test_a_killed_parent_takes_its_program_along():
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, leash.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    child = psutil.Process(int(parent.stdout.readline()))
    eventually(
        lambda: "-c" in child.cmdline() and leash.__file__ not in child.cmdline(), 20, "the program's start"
    )
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    eventually(
        lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 20, "the program's end"
    )


def test_a_parent_that_is_gone_already_starts_nothing():
    done = subprocess.run(
        [sys.executable, "-I", "-S", leash.__file__, "1", sys.executable, "-c", "print('started')"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
