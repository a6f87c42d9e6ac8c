"""The tables of the training room, and their rows as domain values."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    Update,
    update,
)

from services.training.jobs import HELD_STATES, Job, JobStage, JobState, Resources, StopMode

_metadata = MetaData()
jobs = Table(
    "jobs",
    _metadata,
    Column("job_id", String(32), primary_key=True),
    Column("model_name", String(64), nullable=False),
    Column("state", String(32), nullable=False),
    Column("stage", String(32)),
    Column("attempt", Integer, nullable=False),
    Column("death_count", Integer, nullable=False),
    Column("fraction", Float(53), nullable=False),
    Column("remaining_seconds", Float(53)),
    Column("create_time_us", BigInteger, nullable=False),
    Column("start_time_us", BigInteger),
    Column("end_time_us", BigInteger),
    Column("lease_until_us", BigInteger),
    Column("config", Text, nullable=False),
    Column("config_version", BigInteger, nullable=False),
    Column("snapshot_id", String(64)),
    Column("stop_mode", String(32)),
    Column("last_sequence", BigInteger, nullable=False),
    Column("result", Text),
    Column("failure", Text),
    Column("priority", Integer, nullable=False),
    Column("cpu_seconds", Float(53)),
    Column("peak_memory_bytes", BigInteger),
    Column("wall_seconds", Float(53)),
    Column("last_log_line", BigInteger, nullable=False),
    Column("reproduces", Text),
)
events = Table(
    "events",
    _metadata,
    Column("job_id", String(32), primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Column("is_last", Boolean, nullable=False),
)
job_logs = Table(
    "job_logs",
    _metadata,
    Column("job_id", String(32), primary_key=True),
    Column("line", BigInteger, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("level", String(16), nullable=False),
    Column("logger", String(100), nullable=False),
    Column("message", Text, nullable=False),
)


def held_by(job_id: str, attempt: int) -> Update:
    """The update of a job that a worker of this attempt has: of no row once the attempt is over."""
    return update(jobs).where(
        jobs.c.job_id == job_id, jobs.c.attempt == attempt, jobs.c.state.in_(HELD_STATES)
    )


def job_of(row: Row[Any]) -> Job:
    """A row of `jobs`."""
    values = dict(row._mapping)
    del values["lease_until_us"], values["last_log_line"]
    for name in ("config", "result", "failure", "reproduces"):
        values[name] = None if values[name] is None else json.loads(values[name])
    used = {field.name: values.pop(field.name) for field in fields(Resources)}
    values["resources"] = None if None in used.values() else used
    return typed_job(values)


def typed_job(values: dict[str, Any]) -> Job:
    """A job whose enums are still their names, and whose resources a mapping."""
    kinds: dict[str, Any] = {"state": JobState, "stage": JobStage, "stop_mode": StopMode}
    used = values.get("resources")  # which an answer remembered by an earlier version lacks
    given = {"resources": None if used is None else Resources(**used)}
    return Job(**values | given | {n: k(values[n]) for n, k in kinds.items() if values[n] is not None})
