"""Deaths of workers that said no last word."""

from __future__ import annotations

import signal

from services.host.deaths import signal_name, was_for_memory
from services.training.jobs import Death


def death_of(status: int, kills: tuple[int | None, int | None], peak_bytes: int) -> Death:
    """Why a worker died that said no last word.

    Parameters
    ----------
    status
        Its exit status; a signal is negative.
    kills
        `memory_kills_count` when it began and when it was dead.
    peak_bytes
        The most memory it was seen with.
    """
    if status >= 0:
        return Death(f"The worker ended with status {status} without a last word.")
    if status != -signal.SIGKILL:
        return Death(f"The worker was killed by {signal_name(-status)}.")
    if None in kills:
        said = "signal 9, which the kernel uses when memory runs out"
        return Death(f"The worker was killed by SIGKILL, {said}; it had used {peak_bytes:,} bytes.")
    if was_for_memory(status, kills):
        said = f"The kernel killed the worker because memory ran out; it had used {peak_bytes:,} bytes."
        return Death(said, is_of_memory=True)
    return Death("The worker was killed by SIGKILL; the kernel counted no kill for lack of memory.")
