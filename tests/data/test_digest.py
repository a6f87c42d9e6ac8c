"""The digest of a series: one for the same revisions, however they were told and lie in blocks."""

from __future__ import annotations

import hashlib
import itertools
import struct
from collections.abc import Iterator
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketml.rpc.refusals import NotFound
from services.data.__main__ import MIGRATIONS
from services.data.blocks import BLOCK_ROWS, TAIL_ROWS
from services.data.checks import Checked
from services.data.revisions import OnConflict
from services.data.series import MINUTE_US, OPEN_INTEREST, Series
from services.data.store import SeriesStore
from services.host.database import open_database

Call = tuple[int, int, int]  # captured, first minute, end
COLUMNS_COUNT = len(OPEN_INTEREST.columns)


@pytest.fixture
def store(database_url: str) -> Iterator[SeriesStore]:
    with open_database(database_url, migrations=MIGRATIONS) as database:
        yield SeriesStore(database, 2**20)


def value(captured: int, minute: int, column: int) -> float:
    """What is told of a minute at a capture: never the same twice."""
    return float(1 + captured + minute * 16) if column == 0 else float("nan") if minute % 3 else minute / 7


def tell(store: SeriesStore, series: Series, call: Call) -> None:
    captured, first, end = call
    minutes = range(first, end)
    columns = tuple(
        np.array([value(captured, minute, column) for minute in minutes]) for column in range(COLUMNS_COUNT)
    )
    store.ingest(
        series,
        Checked(np.arange(first, end) * MINUTE_US, columns, 0, 0, ()),
        source="",
        captured_us=captured,
        clock=lambda: 0,
        on_conflict=OnConflict.REVISE,
        check=lambda: None,
    )


def digest_of(calls: list[Call]) -> str:
    """The same from a plain set."""
    revisions = {(minute, captured) for captured, first, end in calls for minute in range(first, end)}
    digest = hashlib.sha256()
    for minute, captured in sorted(revisions):
        values = [value(captured, minute, column) for column in range(COLUMNS_COUNT)]
        digest.update(struct.pack(f"<2q{COLUMNS_COUNT}d", minute * MINUTE_US, captured, *values))
    return digest.hexdigest()


def divided(calls: list[Call], random: Random) -> list[Call]:
    """The same rows in other calls and another order, some of them told again."""
    parts = []
    for captured, first, end in calls:
        cuts = sorted(random.sample(range(first + 1, end), min(random.randrange(4), end - first - 1)))
        parts += [(captured, *edges) for edges in itertools.pairwise([first, *cuts, end])]
    random.shuffle(parts)
    return parts + random.sample(parts, random.randrange(3) % len(parts))


lengths = st.one_of(
    st.integers(1, 30),
    st.integers(TAIL_ROWS - 2, TAIL_ROWS + 2),
    st.integers(BLOCK_ROWS - 2, BLOCK_ROWS + 2),
    st.integers(1, 2 * BLOCK_ROWS),
)
histories = st.lists(
    st.tuples(st.integers(1, 6), st.integers(0, 9_000), lengths).map(
        lambda drawn: (drawn[0], drawn[1], drawn[1] + drawn[2])
    ),
    min_size=1,
    max_size=4,
)
symbols = (f"A{number}/USDT" for number in itertools.count())


@given(calls=histories, random=st.randoms(use_true_random=False))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_and_any_split_of_the_same_rows_have_one_digest(store, calls, random):
    expected = digest_of(calls)
    for told in (calls, divided(calls, random), divided(calls, random)):
        series = Series(OPEN_INTEREST, "venue", next(symbols))
        for call in told:
            tell(store, series, call)
        assert store.digest(series) == expected
        store.delete_series(series, dry_run=False, force=False, request_id="", body=b"")


def test_another_value_time_or_capture_has_another_digest(store):
    digests = set()
    for calls in ([(1, 0, 9)], [(2, 0, 9)], [(1, 0, 8)], [(1, 1, 9)], [(1, 0, 9), (2, 8, 9)]):
        series = Series(OPEN_INTEREST, "venue", next(symbols))
        for call in calls:
            tell(store, series, call)
        digests.add(store.digest(series))
    assert len(digests) == 5


def test_a_series_that_is_not_there_has_no_digest(store):
    with pytest.raises(NotFound):
        store.digest(Series(OPEN_INTEREST, "venue", "NO/USDT"))
