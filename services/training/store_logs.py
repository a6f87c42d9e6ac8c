"""What the workers of jobs logged: the newest lines of each job, numbered over all its attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import delete, select

from marketml.rpc.refusals import Reason
from services.host.database import Database, compare_and_set, database_now
from services.training.jobs import LogEntry, LogLine
from services.training.store_tables import held_by, job_logs, jobs

LINES_MAX = 2_000  # of a job; the oldest go first


class LogStore:
    """The SQL of the logs. Every method is one transaction and may be called from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, job_id: str, attempt: int, entries: Sequence[LogEntry], lost_count: int = 0) -> None:
        """Store what the worker of an attempt logged. Before it `lost_count` lines came too fast: they have
        numbers, and nothing else.

        Raises
        ------
        Aborted
            The attempt is over.
        """
        with self._database.write() as connection:
            numbered = jobs.c.last_log_line + lost_count + len(entries)
            counted = held_by(job_id, attempt).values(last_log_line=numbered)
            compare_and_set(connection, counted, what="job", reason=Reason.LOST_RACE)
            query = select(jobs.c.last_log_line).where(jobs.c.job_id == job_id)
            last: int = connection.execute(query).scalar_one()
            first = last - len(entries) + 1
            lines = [
                {"job_id": job_id, "line": first + offset, "attempt": attempt, **asdict(entry)}
                for offset, entry in enumerate(entries)
            ]
            if lines:
                connection.execute(job_logs.insert(), lines[-LINES_MAX:])
            old = (job_logs.c.job_id == job_id) & (job_logs.c.line <= last - LINES_MAX)
            connection.execute(delete(job_logs).where(old))

    def after(self, job_id: str, attempt: int | None, line: int, count: int) -> list[LogLine]:
        """At most `count` lines of a job with numbers above `line`, of one attempt if that is given."""
        query = select(job_logs).where(job_logs.c.job_id == job_id, job_logs.c.line > line)
        if attempt is not None:
            query = query.where(job_logs.c.attempt == attempt)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(job_logs.c.line).limit(count))
            return [
                LogLine(row.line, row.attempt, LogEntry(row.time_us, row.level, row.logger, row.message))
                for row in rows
            ]

    def last_line(self, job_id: str) -> int:
        """The number of the newest line of a job that is there, 0 before the first."""
        query = select(jobs.c.last_log_line).where(jobs.c.job_id == job_id)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def sweep(self, retention_seconds: float) -> int:
        """Forget the lines of jobs that ended longer ago than this; how many."""
        with self._database.write() as connection:
            oldest_us = database_now(connection) - int(retention_seconds * 1_000_000)
            ended = select(jobs.c.job_id).where(jobs.c.end_time_us < oldest_us)
            return connection.execute(delete(job_logs).where(job_logs.c.job_id.in_(ended))).rowcount
