"""Repairs: what could be done about findings, and what may be asked for. Nothing here is done by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice

import numpy as np

from marketml.rpc.refusals import Violation
from services.data.quality.findings import Finding
from services.data.series import Series

ACTIONS_MAX = 100
TIMES_MAX = 1_000_000  # marked by one action
REFETCHED_BARS_MAX = 100_000  # by one action: more would outlast what callers wait for
_PLANNED_BARS_MAX = 20_000

# What an exchange may say otherwise now; and what, where none can be asked, is at least known to be absent.
_REFETCHED = frozenset({"gap", "settlement_gap", "never_closed", "jump", "disconnected"})
_MARKED = frozenset({"gap", "never_closed"})


class Remedy(Enum):
    """What an action does."""

    REFETCH = "refetch"
    MARK_MISSING = "mark_missing"
    MARK_ABSENT = "mark_absent"


# How far apart the absences of one action may lie. What lies between is asked for again, too, within a page;
# marked as missing only where it is absent itself.
_REACH_SPACINGS = {Remedy.REFETCH: 1000, Remedy.MARK_MISSING: 0, Remedy.MARK_ABSENT: TIMES_MAX}


@dataclass(frozen=True)
class Action:
    """A remedy for [start_us, end_us). `rule` and `rows_count` say why, of planned ones."""

    remedy: Remedy
    start_us: int
    end_us: int
    rule: str = ""
    rows_count: int = 0


@dataclass(frozen=True)
class Outcome:
    """What an action did."""

    inserted: int = 0
    revised: int = 0
    unchanged: int = 0
    marked_count: int = 0
    still_missing_count: int = 0


def planned(
    series: Series, findings: Sequence[Finding], spacing_us: int | None, *, can_refetch: bool
) -> list[Action]:
    """What could be done about findings, by time: the first actions, as many as one request takes.

    Parameters
    ----------
    can_refetch
        Whether the venue is an exchange that can be asked. Without one only absent bars are planned for.
    """
    if not can_refetch and not series.step_us:
        return []
    wanted = [one for one in findings if one.rule in (_REFETCHED if can_refetch else _MARKED)]
    if not wanted:
        return []
    remedy = Remedy.REFETCH if can_refetch else Remedy.MARK_MISSING
    if not can_refetch and sum(one.places_count for one in wanted) > ACTIONS_MAX:
        # More than one request takes each by itself; the rows between them stay.
        wanted, remedy = [one for one in wanted if one.rule == "gap"], Remedy.MARK_ABSENT
        if not wanted:
            return []
    spans = np.concatenate([one.spans for one in wanted])
    order = np.argsort(spans[:, 0], kind="stable")
    starts, ends = spans[order].T
    latest = np.maximum.accumulate(ends)
    step_us = series.step_us or spacing_us or 1
    apart = starts[1:] - latest[:-1]
    reach_us = step_us * _REACH_SPACINGS[remedy]
    if can_refetch and (excess := int((apart > reach_us).sum()) + 1 - ACTIONS_MAX) > 0:
        reach_us = int(np.sort(apart[apart > reach_us])[excess - 1])
    firsts = np.flatnonzero(np.append(True, apart > reach_us))
    counts = np.add.reduceat(np.concatenate([one.counts for one in wanted])[order], firsts)
    numbers = np.repeat(np.arange(len(wanted)), [len(one.spans) for one in wanted])
    rules = np.bitwise_or.reduceat(1 << numbers[order], firsts)
    joined = zip(starts[firsts], np.maximum.reduceat(ends, firsts), rules, counts, strict=True)
    longest_us = step_us * (_PLANNED_BARS_MAX if can_refetch else TIMES_MAX)
    plan: list[Action] = []
    for start_us, end_us, broken, count in islice(joined, ACTIONS_MAX):
        rule = " ".join(one.rule for number, one in enumerate(wanted) if broken >> number & 1)
        plan += _pieces(Action(remedy, int(start_us), int(end_us), rule, int(count)), longest_us)
    return plan[:ACTIONS_MAX]


def action_violations(series: Series, action: Action, field: str, now_us: int) -> list[Violation]:
    """The rules that an action's range breaks."""
    if action.start_us < 0:
        return [Violation(f"{field}.start_time", "range", "must not be before 1970-01-01.")]
    if action.end_us > now_us:
        return [Violation(f"{field}.end_time", "future", "must not be in the future.")]
    if action.remedy is Remedy.MARK_ABSENT and not series.step_us:
        return [Violation(field, "candles", f"must be mark_missing: {series.kind.name} have no grid.")]
    bars_max = REFETCHED_BARS_MAX if action.remedy is Remedy.REFETCH else TIMES_MAX
    if series.step_us and (bars := (action.end_us - action.start_us) // series.step_us) > bars_max:
        return [Violation(field, "at_most", f"must hold at most {bars_max:,} bars, not {bars:,}.")]
    return []


def step_id(request_id: str, position: int) -> str:
    """The id under which one action of a request is remembered; empty when the request is not."""
    if not request_id:
        return ""
    return "repair:" + hashlib.sha256(f"{position} {request_id}".encode()).hexdigest()


def _pieces(action: Action, longest_us: int) -> Iterator[Action]:
    """An action in parts that one may have."""
    if action.end_us - action.start_us <= longest_us:
        yield action
        return
    told_count = 0
    for start_us in range(action.start_us, action.end_us, longest_us):
        end_us = min(action.end_us, start_us + longest_us)
        until_count = action.rows_count * (end_us - action.start_us) // (action.end_us - action.start_us)
        yield replace(action, start_us=start_us, end_us=end_us, rows_count=until_count - told_count)
        told_count = until_count
