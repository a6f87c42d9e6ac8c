"""Progress: a bar with the time to go on a terminal, plain lines elsewhere, nothing with `--json`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from marketml.cli.output import Output

_PLAIN_SECONDS = 5.0
_PLAIN_STEP = 0.1


@contextlib.contextmanager
def told_progress(output: Output, what: str) -> Iterator[Callable[[float, str], None]]:
    """A function to call with a fraction and what is being done."""
    if output.is_json:
        yield lambda fraction, stage: None
    elif output.is_live:
        with bar(output) as progress:
            task = progress.add_task(what, total=1.0)
            yield lambda fraction, stage: progress.update(
                task, completed=fraction, description=f"{what}: {stage}" if stage else what
            )
    else:
        yield PlainProgress(output, what).tell


def bar(output: Output) -> Progress:
    """A bar on stderr that goes away when it is done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(compact=True),
        console=output.err,
        transient=True,
    )


class PlainProgress:
    """A line now and then: when a tenth more is done and some seconds have passed."""

    def __init__(self, output: Output, what: str) -> None:
        self._output = output
        self._what = what
        self._told_fraction = 0.0
        self._told_time = time.monotonic()

    def tell(self, fraction: float, stage: str) -> None:
        now = time.monotonic()
        if fraction - self._told_fraction < _PLAIN_STEP or now - self._told_time < _PLAIN_SECONDS:
            return
        self._told_fraction, self._told_time = fraction, now
        self._output.say(f"{self._what}: {fraction:.0%}{f', {stage}' if stage else ''}")
