"""How long the bars of a frame are: by the spacing of its rows, and by what is written about it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from services.data.inference.clues import (
    FILE_KEYS,
    TIMEFRAME_KEYS,
    UNREAD_KEYS,
    Clue,
    Unlabelled,
    name_of,
    shown,
)
from services.data.revisions import Times
from services.data.series import TIMEFRAMES_US, grid_offset_us

_SPACING = re.compile(
    r"(?<![A-Za-z0-9.])(?:(\d{1,2}) ?(m|min|mins|minute|minutes|t|h|hr|hour|hours|d|day|days|w|week|weeks)"
    r"|([mhd])(\d{1,2}))(?![A-Za-z0-9])",
    re.IGNORECASE,
)


def timeframe_clues(frame: Unlabelled) -> Iterator[Clue]:
    """What the frame says of the length of its bars."""
    for key, text in frame.said.items():
        is_stated = key.lower() in TIMEFRAME_KEYS
        if key.lower() in UNREAD_KEYS and not is_stated:
            continue
        found = {name for name in map(_timeframe, _SPACING.finditer(text)) if name}
        if len(found) == 1:
            timeframe = found.pop()
            written = shown(name_of(text) if key.lower() in FILE_KEYS else text)
            sentence = f"Its {shown(key)} {written} says {timeframe}."
            yield Clue({timeframe: 0.95 if is_stated else 0.85}, sentence)
    yield from _spacing_clue(frame.times)


def spacing_us(times: Times) -> tuple[int, float] | None:
    """The commonest time between rows, and its share; None below two times."""
    steps = np.diff(np.unique(times))
    if not len(steps):
        return None
    values, counts = np.unique(steps, return_counts=True)
    commonest = int(np.argmax(counts))
    return int(values[commonest]), float(counts[commonest] / len(steps))


def length_text(length_us: int) -> str:
    """A time span for people."""
    for name, unit_us in (("days", 86_400_000_000), ("hours", 3_600_000_000), ("minutes", 60_000_000)):
        if length_us >= unit_us:
            return f"{length_us / unit_us:g} {name if length_us != unit_us else name[:-1]}"
    return f"{length_us / 1e6:g} seconds"


def _spacing_clue(times: Times) -> Iterator[Clue]:
    found = spacing_us(times)
    if found is None:
        return
    step_us, share = found
    timeframe = next((name for name, length_us in TIMEFRAMES_US.items() if length_us == step_us), None)
    if timeframe is None:
        return
    ordered = np.unique(times)
    steps = np.diff(ordered)
    multiples = float((steps % step_us == 0).mean())
    off_grid = float((ordered % step_us != grid_offset_us(timeframe)).mean())
    chance = 0.98 * multiples**2 * len(steps) / (len(steps) + 1) * min(1.0, 0.5 + share)
    sentence = f"{share:.0%} of its rows follow each other by {length_text(step_us)}"
    if gaps := int((steps > step_us).sum()):
        sentence += f", with {gaps} gap{'s' if gaps > 1 else ''}"
    if off_grid > 0.5:
        chance *= 0.7
        sentence += f"; {off_grid:.0%} of them off the grid of {timeframe}"
    if len(ordered) < len(times):
        sentence += f"; {len(times) - len(ordered)} times come twice"
    yield Clue({timeframe: chance}, sentence + ".")


def _timeframe(found: re.Match[str]) -> str | None:
    count, unit = (found[1], found[2]) if found[1] else (found[4], found[3])
    if unit == "M" and found[1]:  # a month
        return None
    letter = {"t": "m"}.get(unit[0].lower(), unit[0].lower())
    minutes = int(count) * {"m": 1, "h": 60, "d": 1440, "w": 10_080}[letter]
    return next((name for name, us in TIMEFRAMES_US.items() if us == minutes * 60_000_000), None)
