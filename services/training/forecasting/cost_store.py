"""The costs of hosts, as they were measured: one row for each kind of host."""

from __future__ import annotations

import json

from sqlalchemy import BigInteger, Column, MetaData, String, Table, Text, delete, insert, select

from services.host.database import Database, database_now
from services.training.forecasting.cost_model import HostCosts, read_costs, write_costs

_host_costs = Table(
    "host_costs",
    MetaData(),
    Column("host_key", String(64), primary_key=True),
    Column("measure_time_us", BigInteger, nullable=False),
    Column("costs", Text, nullable=False),
)


class CostStore:
    """All SQL of measured costs. Every method is one transaction and may be called from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read_costs(self, host_key: str) -> HostCosts | None:
        """What was measured last on this kind of host, if anything was."""
        query = select(_host_costs.c.costs).where(_host_costs.c.host_key == host_key)
        with self._database.read() as connection:
            text = connection.execute(query).scalar_one_or_none()
        return None if text is None else read_costs(json.loads(text))

    def keep_costs(self, host_key: str, costs: HostCosts) -> None:
        """Put what was measured in the place of what was there."""
        with self._database.write() as connection:
            connection.execute(delete(_host_costs).where(_host_costs.c.host_key == host_key))
            values = {
                "host_key": host_key,
                "measure_time_us": database_now(connection),
                "costs": json.dumps(write_costs(costs)),
            }
            connection.execute(insert(_host_costs).values(**values))
