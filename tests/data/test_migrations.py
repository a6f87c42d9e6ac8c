"""The room's schema back and forth with rows in it: what the older revision can hold stays to the last bit,
what it cannot hold keeps the revision where it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pytest

from marketml.rpc.refusals import FailedPrecondition
from services.data.__main__ import MIGRATIONS
from services.data.checks import Checked
from services.data.collection.policies import Draft
from services.data.query.alignment import FrameSpec
from services.data.records import Snapshot
from services.data.revisions import OnConflict
from services.data.series import CANDLES, FUNDING_RATES, MINUTE_US, Series
from services.data.store import PolicyStore, SeriesStore, SnapshotStore
from services.host.database import migrate_database, open_database

BARS = Series(CANDLES, "binance", "BTC/USDT:USDT", "1m")
RATES = BARS.sibling(FUNDING_RATES)
FRAME = FrameSpec(BARS, None, 5, 1, 2, 3)
SNAPSHOT = Snapshot("a" * 64, FRAME, 4, 100, None, 9, 7)


@dataclass
class Stores:
    series: SeriesStore
    snapshots: SnapshotStore
    policies: PolicyStore

    def tell(self, series: Series, minutes: np.ndarray, value: float, captured_us: int) -> None:
        columns = (np.full(len(minutes), value),) * len(series.kind.columns)
        self.series.ingest(
            series,
            Checked(minutes * MINUTE_US, columns, 0, 0, ()),
            source="test",
            captured_us=captured_us,
            clock=lambda: captured_us,
            on_conflict=OnConflict.REVISE,
            check=lambda: None,
        )

    def mark(self, first: int, end: int) -> None:
        where = (first * MINUTE_US, end * MINUTE_US)
        self.series.mark_missing(
            BARS, *where, clock=lambda: 0, times_max=99, request_id="", body=b"", check=lambda: None
        )

    def add_snapshot(self, snapshot: Snapshot) -> None:
        self.snapshots.add_snapshot(snapshot, b"seal", lambda: "state", request_id="", body=b"")

    def contents(self) -> object:
        return (
            [(each, self.series.digest(each.series)) for each in self.series.coverage(count=9)],
            self.snapshots.snapshots(None, 9),
            [(each.policy_id, each.etag) for each in self.policies.policies(None, 9)],
        )


@contextmanager
def opened(url: str) -> Iterator[Stores]:
    with open_database(url, migrations=MIGRATIONS) as database:
        yield Stores(SeriesStore(database, 0), SnapshotStore(database), PolicyStore(database))


def go_to(url: str, revision: str) -> None:
    migrate_database(url, migrations=MIGRATIONS, revision=revision)


@pytest.fixture
def filled(database_url: str) -> str:
    """The URL of a database with revised rows of two kinds and a snapshot, which every revision can hold."""
    with opened(database_url) as stores:
        stores.tell(BARS, np.arange(6_000), 1.0, 10**12)
        stores.tell(BARS, np.arange(0, 6_000, 7), 2.0, 10**12 + 1)
        stores.tell(RATES, np.arange(0, 960, 480), 0.5, 10**12)
        stores.add_snapshot(SNAPSHOT)
    return database_url


@pytest.mark.parametrize("revision", [f"data000{number}" for number in (6, 5, 4, 3, 2, 1)])
def test_rows_go_back_to_a_revision_and_come_again_as_they_were(filled, revision):
    with opened(filled) as stores:
        before = stores.contents()
    go_to(filled, revision)
    with opened(filled) as stores:  # which brings it to the newest
        assert stores.contents() == before
        stores.tell(BARS, np.arange(6_000, 7_000), 3.0, 10**12 + 2)
        stores.mark(10, 20)
        stores.add_snapshot(replace(SNAPSHOT, snapshot_id="b" * 64))


def refused(url: str, revision: str, sentence: str) -> None:
    """Fail unless the way to a revision is refused with this sentence and nothing changes."""
    with opened(url) as stores:
        before = stores.contents()
    with pytest.raises(FailedPrecondition, match=f"has no place for {sentence}, or restore a backup"):
        go_to(url, revision)
    with opened(url) as stores:
        assert stores.contents() == before


def test_marks_as_missing_are_not_lost_on_the_way_to_a_revision_without_them(filled):
    with opened(filled) as stores:
        stores.mark(10, 20)
        marked = stores.contents()
    for revision in ("data0001", "base"):
        refused(filled, revision, "1 stretches of rows marked as missing; delete their series")
    go_to(filled, "data0002")
    with opened(filled) as stores:
        assert stores.contents() == marked
        stores.tell(BARS, np.arange(10, 20), 5.0, 2 * 10**12)  # rows again, but they were marked once
    refused(filled, "data0001", "10 older revisions that mark rows as missing; delete their series")
    with opened(filled) as stores:
        stores.series.delete_series(BARS, dry_run=False, force=True, request_id="", body=b"")
    go_to(filled, "data0001")


def test_policies_are_not_lost_on_the_way_to_a_revision_without_them(filled):
    with opened(filled) as stores:
        draft = Draft(BARS, interval_us=3_600_000_000)
        policy = stores.policies.create_policy(draft, request_id="", body=b"")
    for revision in ("data0002", "data0001"):
        refused(filled, revision, "1 collection policies; delete them")
    go_to(filled, "data0003")
    with opened(filled) as stores:
        assert [each.policy_id for each in stores.policies.policies(None, 9)] == [policy.policy_id]
        stores.policies.delete_policy(policy.policy_id, request_id="", body=b"")
    go_to(filled, "data0002")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"base_timeframe": "1m"}, "snapshots whose bars are made of shorter ones"),
        ({"funding_max_age_us": None}, "snapshots whose funding age is the data's"),
    ],
)
def test_snapshots_are_not_lost_on_the_way_to_a_revision_that_cannot_tell_of_them(filled, changes, what):
    made = replace(SNAPSHOT, snapshot_id="b" * 64, frame=replace(FRAME, **changes))
    with opened(filled) as stores:
        stores.add_snapshot(made)
    refused(filled, "data0003", f"1 {what}; delete them")
    with opened(filled) as stores:
        stores.snapshots.delete_snapshot(made.snapshot_id, request_id="", body=b"")
    go_to(filled, "data0003")


def test_a_snapshots_reference_is_not_lost_on_the_way_to_a_revision_without_it(filled):
    reference = replace(BARS, symbol="ETH/USDT:USDT")
    made = replace(SNAPSHOT, snapshot_id="b" * 64, frame=replace(FRAME, reference=reference))
    with opened(filled) as stores:
        stores.add_snapshot(made)
        assert stores.snapshots.snapshot(made.snapshot_id) == made
    for revision in ("data0004", "data0003"):
        refused(filled, revision, "1 snapshots with a reference; delete them")
    with opened(filled) as stores:
        stores.snapshots.delete_snapshot(made.snapshot_id, request_id="", body=b"")
    go_to(filled, "data0004")


def test_whoever_still_has_rows_cannot_go_back_to_nothing(filled):
    refused(filled, "base", "2 series; delete them")
    with opened(filled) as stores:
        for series in (BARS, RATES):
            stores.series.delete_series(series, dry_run=False, force=True, request_id="", body=b"")
    go_to(filled, "data0001")
    with pytest.raises(FailedPrecondition, match="1 snapshots; delete them"):
        go_to(filled, "base")
