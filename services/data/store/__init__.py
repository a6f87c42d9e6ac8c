"""The store: all SQL of the data room. The rows lie in blocks of Arrow bytes, by series and time.

Why blocks and not a row per candle: a query is then copying bytes instead of making nine Python objects a
row (a million candles: 0.1 s against seconds), ingest is a few hundred inserts instead of a million, and
SQLite and PostgreSQL store the same bits (NaN is NULL in one and NaN in the other). Why in the database and
not in files: one transaction covers a whole call, so that acknowledged is durable, a kill leaves all or
nothing, and a backup of the database is a backup of the rows. The price: a late row rewrites its block,
350 KB; new bars rewrite a small one at the end of the series.

Writers of a series take turns on its row (SQLite: on the file). Blocks never change and ids are never used
again, so that a block read once may be kept in memory under its id.
"""

from services.data.store.policy_store import PolicyStore
from services.data.store.repair_store import RepairStore
from services.data.store.series_store import SeriesStore
from services.data.store.snapshot_store import SnapshotStore

__all__ = ["PolicyStore", "RepairStore", "SeriesStore", "SnapshotStore"]
