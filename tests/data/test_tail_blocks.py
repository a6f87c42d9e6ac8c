"""New bars at the end of a series: they rewrite a small block, and the series does not fall to pieces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.data.__main__ import MIGRATIONS
from services.data.blocks import BLOCK_ROWS, TAIL_ROWS, decode
from services.data.checks import Checked
from services.data.query.views import BEGINNING_US, END_US
from services.data.revisions import OnConflict, Rows, joined, known_at
from services.data.series import MINUTE_US, OPEN_INTEREST, Series
from services.data.store import SeriesStore
from services.host.database import Database, open_database

SERIES = Series(OPEN_INTEREST, "binance", "BTC/USDT:USDT")


class Shelf:
    """A store, and its blocks as they lie."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.store = SeriesStore(database, 2**24)
        self.captured_us = 10**15

    def tell(self, times: range, value: float = 1.0) -> None:
        """Rows at these minutes, each telling its time and the value."""
        stamps = np.array(times, np.int64)
        rows = Checked(stamps * MINUTE_US, (stamps * value, stamps * value), 0, 0, ())
        self.captured_us += 1
        how = {"source": "", "on_conflict": OnConflict.REVISE, "check": lambda: None}
        self.store.ingest(SERIES, rows, captured_us=None, clock=lambda: self.captured_us, **how)

    def rows(self, as_of_us: int = END_US) -> Rows:
        state = self.store.find(SERIES)
        assert state is not None
        blocks = self.store.blocks(state, BEGINNING_US, END_US, 1000)
        return joined(known_at(decode(SERIES.kind, block), as_of_us) for block in blocks)

    def blocks(self) -> list[tuple[int, int]]:
        """Id and rows of each block."""
        with self._database.read() as connection:
            found = connection.execute(text("SELECT id, row_count FROM blocks ORDER BY first_time_us"))
            return [tuple(row) for row in found]


@contextmanager
def shelf(url: str) -> Iterator[Shelf]:
    with open_database(url, migrations=MIGRATIONS) as database:
        yield Shelf(database)


def test_a_new_bar_leaves_the_big_blocks_as_they_are(database_url):
    with shelf(database_url) as each:
        each.tell(range(BLOCK_ROWS + 1000))
        big = each.blocks()
        for minute in range(BLOCK_ROWS + 1000, BLOCK_ROWS + 1005):
            each.tell(range(minute, minute + 1))
            assert each.blocks()[:2] == big
            assert len(each.blocks()) == 3
        assert each.blocks()[2][1] == 5
        assert (each.rows().times == np.arange(BLOCK_ROWS + 1005) * MINUTE_US).all()


def test_many_new_bars_go_into_the_block_before_them(database_url):
    with shelf(database_url) as each:
        each.tell(range(BLOCK_ROWS + 1000))
        end = BLOCK_ROWS + 1000
        each.tell(range(end, end + TAIL_ROWS - 1))
        each.tell(range(end + TAIL_ROWS - 1, end + TAIL_ROWS))
        assert [rows for _, rows in each.blocks()] == [BLOCK_ROWS, 1000 + TAIL_ROWS]


def test_revisions_are_kept_when_their_block_goes_into_the_one_before(database_url):
    with shelf(database_url) as each:
        each.tell(range(1000))
        each.tell(range(1000, 1100))
        before_us = each.captured_us
        each.tell(range(500, 510), 2.0)
        each.tell(range(1050, 1060), 2.0)
        assert len(each.blocks()) == 2
        each.tell(range(1100, 1100 + TAIL_ROWS))
        assert len(each.blocks()) == 1
        values = np.arange(1100 + TAIL_ROWS, dtype=float)
        values[500:510] *= 2
        values[1050:1060] *= 2
        assert (each.rows().columns[0] == values).all()
        assert (each.rows(before_us).columns[0] == np.arange(1100)).all()
        [coverage] = each.store.coverage(count=1)
        assert (coverage.row_count, coverage.revised_count) == (len(values), 20)


def test_bars_told_again_at_the_end_change_nothing(database_url):
    with shelf(database_url) as each:
        each.tell(range(1000))
        each.tell(range(1000, 1003))
        stored = each.blocks()
        each.tell(range(1000, 1003))
        each.tell(range(990, 1003))
        assert each.blocks() == stored


@given(pages=st.lists(st.one_of(st.integers(1, 300), st.integers(1, 6000)), min_size=1, max_size=12))
@settings(max_examples=15)
def test_however_it_grew_a_series_lies_in_full_blocks_but_for_its_end(new_database_url, pages):
    with new_database_url() as url, shelf(url) as each:
        end = 0
        for page in pages:
            each.tell(range(end, end + page))
            end += page
        sizes = [rows for _, rows in each.blocks()]
        assert (each.rows().columns[0] == np.arange(end)).all()
        assert all(rows == BLOCK_ROWS for rows in sizes[:-2])
        assert len(sizes) < 2 or sizes[-2] == BLOCK_ROWS or sizes[-1] < TAIL_ROWS


@pytest.mark.parametrize("step", [-1, 1])
def test_single_rows_in_a_gap_do_not_stay_apart(database_url, step):
    with shelf(database_url) as each:
        each.tell(range(1000))
        each.tell(range(2000, 2000 + TAIL_ROWS))
        gap = range(1000, 2000)[::step]
        for start in range(0, 1000, 100):
            each.tell(gap[start : start + 100][::step])
        assert (each.rows().columns[0] == np.arange(2000 + TAIL_ROWS)).all()
        assert len(each.blocks()) <= 3
