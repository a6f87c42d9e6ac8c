"""The pace of a job: from how far it came lately, how long the rest will take."""

from __future__ import annotations

from collections import deque

FORECAST_FROM_FRACTION = 0.01
_MARKS = 200  # of the time under way, so many moments are remembered


class Pace:
    """Forecasts at the pace of the later half of the time under way.

    What came before tells little: a job that goes on from a checkpoint has the first part at once, and folds
    that stop early are no measure for those that do not. Whenever the pace last changed, the forecast is
    right again when as much time has passed since.
    """

    def __init__(self, now: float, fraction: float = 0.0) -> None:
        self.begin(now, fraction)

    def begin(self, now: float, fraction: float) -> None:
        """Work of another kind begins: forget what there was."""
        self._begun = (now, fraction)
        self._marks = deque([self._begun])

    def remaining_seconds(self, now: float, fraction: float) -> float | None:
        """Seconds until the fraction is 1; None while too little is done to tell. `fraction` never falls."""
        begun, before = self._begun
        elapsed = now - begun
        if now - self._marks[-1][0] >= elapsed / _MARKS:
            self._marks.append((now, fraction))
        while len(self._marks) > 2 and self._marks[1][0] <= begun + elapsed / 2:
            self._marks.popleft()
        if fraction - before < FORECAST_FROM_FRACTION:
            return None
        since, done = self._marks[0]
        if fraction <= done:  # nothing in all the later half
            since, done = self._begun
        return (now - since) * (1.0 - fraction) / (fraction - done)
