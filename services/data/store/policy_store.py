"""Collection policies, and the leases under which they are run.

A lease is a row's holder and its end by the database's clock: of several rooms on one database one gets it,
and what a dead one held falls due to the others.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    delete,
    func,
    or_,
    select,
    tuple_,
    update,
)

from marketml.rpc.refusals import Aborted, AlreadyExists, NotFound, Reason
from services.data.collection.policies import (
    Change,
    Draft,
    Ending,
    Lease,
    Policy,
    Status,
    lag_us,
    next_run_us,
)
from services.data.query.lags import NO_LAGS, OpenInterestLags
from services.data.series import KINDS, Series
from services.data.store.tables import BLOCKS, SERIES, SERIES_KEY, insert_on, key_values
from services.host.database import Database, compare_and_set, database_now
from services.host.mutations import once

_OWN = ("interval_us", "start_us", "is_paused", "etag", "create_time_us", "update_time_us")
_RUNS = ("next_run_us", "last_run_us", "last_success_us", "inserted_count", "error", "failed_runs_count")
POLICIES = Table(
    "collection_policies",
    MetaData(),
    Column("policy_id", String, primary_key=True),
    *(Column(name, String) for name in ("venue", "symbol")),
    Column("kind", SmallInteger),
    Column("timeframe", String),
    *(Column(name, BigInteger) for name in ("interval_us", "start_us")),
    Column("is_paused", Boolean),
    Column("etag", String),
    *(Column(name, BigInteger) for name in ("create_time_us", "update_time_us")),
    *(Column(name, BigInteger) for name in ("next_run_us", "last_run_us", "last_success_us")),
    Column("inserted_count", BigInteger),
    Column("error", String),
    Column("failed_runs_count", Integer),
    Column("lease_holder", String),
    Column("lease_until_us", BigInteger),
)
_NAMED = tuple(POLICIES.c[name] for name in SERIES_KEY)


class PolicyStore:
    """Policies in one database. `lags` are how long after its observation open interest is known."""

    def __init__(self, database: Database, lags: OpenInterestLags = NO_LAGS) -> None:
        self._database = database
        self._lags = lags

    def create_policy(self, draft: Draft, *, request_id: str, body: bytes) -> Policy:
        """Make a policy, due at once.

        Raises
        ------
        AlreadyExists
            The series has one.
        """

        def effect(connection: Connection) -> bytes:
            now_us = database_now(connection)
            policy = Policy(
                uuid.uuid4().hex,
                draft.series,
                draft.interval_us,
                draft.start_us,
                draft.is_paused,
                _new_etag(),
                now_us,
                now_us,
                Status(now_us),
            )
            values = {"policy_id": policy.policy_id} | key_values(draft.series)
            values |= {name: getattr(policy, name) for name in _OWN}
            values |= {name: getattr(policy.status, name) for name in _RUNS}
            made = insert_on(connection, POLICIES).on_conflict_do_nothing()
            if connection.execute(made.execution_options(preserve_rowcount=True), values).rowcount != 1:
                raise _taken(connection, draft.series)
            stored = self._found(connection, policy.policy_id)
            assert stored is not None
            return _written(stored)

        with self._database.write() as connection:
            return _read(once(connection, request_id, "CreateCollectionPolicy", body, effect))

    def policy(self, policy_id: str) -> Policy:
        """A policy and how it fares.

        Raises
        ------
        NotFound
            There is none.
        """
        with self._database.read() as connection:
            found = self._found(connection, policy_id)
        if found is None:
            raise _no_policy(policy_id)
        return found

    def policies(self, after: Sequence[Any] | None, count: int) -> list[Policy]:
        """Policies by venue, symbol, kind and timeframe, from the first after the key `after` on."""
        page = _policies().order_by(*_NAMED).limit(count)
        if after is not None:
            page = page.where(tuple_(*_NAMED) > tuple_(*after))
        with self._database.read() as connection:
            return self._listed(connection, page)

    def statuses(self, first: Series, last: Series) -> dict[Series, Status]:
        """How the policies of the series from `first` to `last`, in the order of a list, fare."""
        mine = _policies().where(
            tuple_(*_NAMED) >= tuple_(*first.key),
            tuple_(*_NAMED) <= tuple_(*last.key),
        )
        with self._database.read() as connection:
            return {policy.series: policy.status for policy in self._listed(connection, mine)}

    def update_policy(self, change: Change, *, request_id: str, body: bytes) -> Policy:
        """Change a policy. A new interval counts from the last run's begin.

        Raises
        ------
        NotFound
            There is none.
        Aborted
            It is not the one that `change.etag` names any more.
        """

        def effect(connection: Connection) -> bytes:
            seen = connection.execute(
                select(POLICIES).where(POLICIES.c.policy_id == change.policy_id).with_for_update()
            ).one_or_none()
            if seen is None:
                raise _no_policy(change.policy_id)
            now_us = database_now(connection)
            values: dict[str, Any] = {"etag": _new_etag(), "update_time_us": now_us}
            if change.is_paused is not None:
                values["is_paused"] = change.is_paused
            if change.interval_us is not None:
                values["interval_us"] = change.interval_us
                if seen.last_run_us is not None:
                    values["next_run_us"] = max(now_us, seen.last_run_us + change.interval_us)
            is_seen = POLICIES.c.etag == (change.etag or seen.etag)
            renewed = update(POLICIES).where(POLICIES.c.policy_id == change.policy_id, is_seen)
            compare_and_set(connection, renewed.values(values), what="policy")
            stored = self._found(connection, change.policy_id)
            assert stored is not None
            return _written(stored)

        with self._database.write() as connection:
            return _read(once(connection, request_id, "UpdateCollectionPolicy", body, effect))

    def delete_policy(self, policy_id: str, *, request_id: str, body: bytes) -> None:
        """Delete a policy.

        Raises
        ------
        NotFound
            There is none.
        """

        def effect(connection: Connection) -> bytes:
            gone = delete(POLICIES).where(POLICIES.c.policy_id == policy_id)
            if connection.execute(gone).rowcount == 0:
                raise _no_policy(policy_id)
            return b""

        with self._database.write() as connection:
            once(connection, request_id, "DeleteCollectionPolicy", body, effect)

    def free_dead(self) -> None:
        """Give back what a process held that died, at the start of the next one: a SQLite file belongs to one
        process. On PostgreSQL the end of its leases tells that it died."""
        if self._database.dialect == "sqlite":
            with self._database.write() as connection:
                connection.execute(update(POLICIES).values(lease_holder=None, lease_until_us=None))

    def claim(self, count: int, lease_us: int) -> list[Lease]:
        """Take up to `count` policies that are due and that nobody runs, the longest due first."""
        with self._database.read() as connection:  # most looks find none: those wait for no writer
            if not connection.execute(_due(database_now(connection), 1)).all():
                return []
        leases = []
        with self._database.write() as connection:
            now_us = database_now(connection)
            for row in connection.execute(_due(now_us, count)).all():
                holder = secrets.token_hex(16)
                taken = update(POLICIES).where(POLICIES.c.policy_id == row.policy_id, *_is_due(now_us))
                values = {"lease_holder": holder, "lease_until_us": now_us + lease_us}
                # No row: another room was faster.
                if connection.execute(taken.values(values)).rowcount == 1:
                    leases.append(
                        Lease(row.policy_id, holder, _series(row), row.start_us, row.next_run_us, now_us)
                    )
        return leases

    def renew(self, lease: Lease, lease_us: int) -> bool:
        """Hold a lease longer. False when the run is to stop: the policy was deleted or paused, or another
        room runs it since our lease was over."""
        with self._database.write() as connection:
            until_us = database_now(connection) + lease_us
            ours = update(POLICIES).where(*_held(lease), ~POLICIES.c.is_paused)
            return connection.execute(ours.values(lease_until_us=until_us)).rowcount == 1

    def end_run(self, lease: Lease, ending: Ending) -> bool:
        """Write down how a run ended, and when the next one is due. False when it was not ours any more."""
        with self._database.write() as connection:
            row = connection.execute(select(POLICIES).where(*_held(lease)).with_for_update()).one_or_none()
            if row is None:
                return False
            now_us = database_now(connection)
            failed_runs_count = row.failed_runs_count + 1 if ending.error else 0
            values = {
                "last_run_us": lease.begin_us,
                "inserted_count": ending.inserted_count,
                "error": ending.error,
                "failed_runs_count": failed_runs_count,
                "next_run_us": next_run_us(lease.due_us, row.interval_us, failed_runs_count, now_us),
                "lease_holder": None,
                "lease_until_us": None,
            }
            if not ending.error:
                values["last_success_us"] = lease.begin_us
            ours = update(POLICIES).where(*_held(lease))
            compare_and_set(connection, ours.values(values), what="policy", reason=Reason.LOST_RACE)
            return True

    def give_back(self, lease: Lease) -> None:
        """Leave a run to whoever comes next, as if it had not begun; the rows it has stored stay."""
        with self._database.write() as connection:
            ours = update(POLICIES).where(*_held(lease))
            connection.execute(ours.values(lease_holder=None, lease_until_us=None))

    def _listed(self, connection: Connection, query: Any) -> list[Policy]:
        now_us = database_now(connection)
        return [self._policy_of(row, now_us) for row in connection.execute(query)]

    def _found(self, connection: Connection, policy_id: str) -> Policy | None:
        found = self._listed(connection, _policies().where(POLICIES.c.policy_id == policy_id))
        return found[0] if found else None

    def _policy_of(self, row: Any, now_us: int) -> Policy:
        series, newest_us = _series(row), row.newest_time_us
        status = Status(
            **{name: getattr(row, name) for name in _RUNS},
            is_running=row.lease_until_us is not None and row.lease_until_us > now_us,
            lag_us=None if newest_us is None else lag_us(series, newest_us, now_us, self._lags),
        )
        own = {name: getattr(row, name) for name in _OWN}
        return Policy(policy_id=row.policy_id, series=series, status=status, **own)


def _series(row: Any) -> Series:
    return Series(KINDS[row.kind], row.venue, row.symbol, row.timeframe)


def _is_due(now_us: int) -> list[ColumnElement[bool]]:
    is_free = or_(POLICIES.c.lease_until_us.is_(None), POLICIES.c.lease_until_us <= now_us)
    return [POLICIES.c.next_run_us <= now_us, ~POLICIES.c.is_paused, is_free]


def _due(now_us: int, count: int) -> Any:
    return select(POLICIES).where(*_is_due(now_us)).order_by(POLICIES.c.next_run_us).limit(count)


def _held(lease: Lease) -> list[ColumnElement[bool]]:
    return [POLICIES.c.policy_id == lease.policy_id, POLICIES.c.lease_holder == lease.holder]


def _policies() -> Any:
    """Policies, each with the event time of its series' newest row."""
    same = [SERIES.c[column.name] == column for column in _NAMED]
    newest = (
        select(func.max(BLOCKS.c.last_time_us))
        .join_from(SERIES, BLOCKS, BLOCKS.c.series_id == SERIES.c.id)
        .where(*same)
        .correlate(POLICIES)
        .scalar_subquery()
    )
    return select(POLICIES, newest.label("newest_time_us"))


def _taken(connection: Connection, series: Series) -> AlreadyExists | Aborted:
    mine = [POLICIES.c[name] == value for name, value in key_values(series).items()]
    policy_id = connection.scalar(select(POLICIES.c.policy_id).where(*mine))
    if policy_id is None:
        return Aborted("The series' policy was deleted at the same moment; send it again.", Reason.LOST_RACE)
    return AlreadyExists(
        "collection policy", policy_id, f"{series.name} is collected by the policy {policy_id} already."
    )


def _no_policy(policy_id: str) -> NotFound:
    return NotFound("collection policy", policy_id)


def _new_etag() -> str:
    return secrets.token_hex(8)


def _written(policy: Policy) -> bytes:
    plain = dataclasses.asdict(policy)
    plain["series"] = key_values(policy.series)
    return json.dumps(plain).encode()


def _read(raw: bytes) -> Policy:
    plain = json.loads(raw)
    series, status = plain.pop("series"), plain.pop("status")
    kind = KINDS[series.pop("kind")]
    return Policy(series=Series(kind, **series), status=Status(**status), **plain)
