"""Series that the room collects by itself: when they are due, and how their runs went."""

from __future__ import annotations

from dataclasses import dataclass

from services.data.query.lags import OpenInterestLags
from services.data.series import OPEN_INTEREST, Series

INTERVAL_US_MIN = 10 * 1_000_000
INTERVAL_US_MAX = 31 * 86_400 * 1_000_000
RETRY_US_MIN = 60 * 1_000_000  # after the first run that failed; then twice as long each time
ERROR_LENGTH_MAX = 1000


@dataclass(frozen=True)
class Status:
    """How a policy fares.

    Attributes
    ----------
    lag_us
        How long ago the newest row of its series was known; None without rows.
    """

    next_run_us: int
    last_run_us: int | None = None
    last_success_us: int | None = None
    inserted_count: int = 0
    error: str = ""
    failed_runs_count: int = 0
    is_running: bool = False
    lag_us: int | None = None


@dataclass(frozen=True)
class Policy:
    """What the room collects by itself, and how often. `start_us` is where a series without rows begins."""

    policy_id: str
    series: Series
    interval_us: int
    start_us: int | None
    is_paused: bool
    etag: str
    create_time_us: int
    update_time_us: int
    status: Status


@dataclass(frozen=True)
class Draft:
    """A policy that is to be made."""

    series: Series
    interval_us: int
    start_us: int | None = None
    is_paused: bool = False


@dataclass(frozen=True)
class Change:
    """What is to be changed of a policy; None leaves it as it is."""

    policy_id: str
    interval_us: int | None = None
    is_paused: bool | None = None
    etag: str = ""


@dataclass(frozen=True)
class Lease:
    """A run of a policy that is ours as long as we say so in time.

    Attributes
    ----------
    holder
        New for every run: whoever lost it does not take the next one's for his own.
    begin_us
        When the run began, by the database's clock.
    """

    policy_id: str
    holder: str
    series: Series
    start_us: int | None
    due_us: int
    begin_us: int


@dataclass(frozen=True)
class Ending:
    """How a run ended. `error` is one sentence, empty when it went to the end."""

    inserted_count: int
    error: str = ""


def next_run_us(due_us: int, interval_us: int, failed_runs_count: int, now_us: int) -> int:
    """When a policy is due again.

    After a run that went to the end: the first of `due_us` + n intervals that is still to come, so that runs
    keep their pace and those that a long one or a rest of the room has missed are not made up for. After one
    that failed: in a minute, then two, four… and never later than an interval: a daily policy does not lose
    a day to an hour's outage.
    """
    if failed_runs_count:
        retry_us = RETRY_US_MIN << min(failed_runs_count - 1, 20)
        return now_us + min(retry_us, interval_us)
    return due_us + max(1, (now_us - due_us) // interval_us + 1) * interval_us


def lag_us(series: Series, newest_time_us: int, now_us: int, lags: OpenInterestLags) -> int:
    """How long ago the newest row was known: a candle at its close, open interest when its feed has it."""
    known_us = newest_time_us + series.step_us
    if series.kind is OPEN_INTEREST:
        known_us += lags.of(series.venue)
    return max(0, now_us - known_us)


def storable_sentence(text: str) -> str:
    """A sentence as both databases take it: no zero byte, no half of a character, not too long."""
    plain = text.encode("utf-8", "replace").decode().replace("\0", "")
    return plain if len(plain) <= ERROR_LENGTH_MAX else f"{plain[: ERROR_LENGTH_MAX - 1]}…"
